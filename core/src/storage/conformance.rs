//! What every storage must do alike: one suite, run over the disk, the memory and the simulation.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::{DiskStorage, Entry, File, LockError, MemoryStorage, OpenMode, SimStorage, Storage};

/// Runs `check` over an empty folder of each storage.
fn everywhere(check: impl Fn(&dyn Storage, &Path)) {
    let dir = tempfile::tempdir().unwrap();
    check(&DiskStorage, dir.path());
    for root in ["/data", "data"] {
        for storage in [
            Arc::new(MemoryStorage::new()) as Arc<dyn Storage>,
            Arc::new(SimStorage::new(1)),
        ] {
            storage.create_dir_all(Path::new(root)).unwrap();
            check(&*storage, Path::new(root));
        }
    }
}

fn create(storage: &dyn Storage, path: &Path, bytes: &[u8]) -> Arc<dyn File> {
    let file = storage.open(path, OpenMode::CreateNew).unwrap();
    file.write_at(&[bytes], 0).unwrap();
    file
}

fn content(file: &dyn File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    bytes
}

fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(error) => error.kind(),
    }
}

fn names(storage: &dyn Storage, dir: &Path) -> Vec<String> {
    let entries = storage.list(dir).unwrap();
    entries.into_iter().map(|entry| entry.name).collect()
}

#[test]
fn bytes_are_read_as_they_were_written() {
    everywhere(|storage, root| {
        let path = root.join("a");
        let file = storage.open(&path, OpenMode::CreateNew).unwrap();
        assert_eq!(file.path(), &path);
        file.write_at(&[b"hello", b"", b", world"], 0).unwrap();
        file.write_at(&[b"J"], 0).unwrap();
        assert_eq!(content(&*file), b"Jello, world");
        let mut few = [9; 8];
        assert_eq!(file.read_at(&mut few, 7).unwrap(), 5);
        assert_eq!(&few, b"world\x09\x09\x09");
        assert_eq!(file.read_at(&mut few, 12).unwrap(), 0);
        assert_eq!(file.read_at(&mut few, 1 << 40).unwrap(), 0);
        assert_eq!(file.read_at(&mut [], 3).unwrap(), 0);
        file.sync().unwrap();
    });
}

#[test]
fn a_gap_and_an_extension_read_as_zeros() {
    everywhere(|storage, root| {
        let file = create(storage, &root.join("a"), b"xxxx");
        file.write_at(&[b"end"], 600_000).unwrap();
        assert_eq!(file.len().unwrap(), 600_003);
        let bytes = content(&*file);
        assert_eq!(&bytes[..6], b"xxxx\0\0");
        assert!(bytes[4..600_000].iter().all(|byte| *byte == 0));
        file.set_len(2).unwrap();
        file.set_len(6).unwrap();
        assert_eq!(
            content(&*file),
            b"xx\0\0\0\0",
            "what was cut off stays gone"
        );
        file.write_at(&[], 100).unwrap();
        file.write_at(&[b""], 100).unwrap();
        assert_eq!(file.len().unwrap(), 6, "no bytes extend nothing");
    });
}

#[test]
fn the_mode_decides_about_what_exists_and_what_does_not() {
    everywhere(|storage, root| {
        let path = root.join("a");
        for mode in [OpenMode::Read, OpenMode::Write] {
            assert_eq!(kind(storage.open(&path, mode)), ErrorKind::NotFound);
        }
        drop(create(storage, &path, b"1"));
        let again = storage.open(&path, OpenMode::CreateNew);
        assert_eq!(kind(again), ErrorKind::AlreadyExists);
        let file = storage.open(&path, OpenMode::CreateOrOpen).unwrap();
        assert_eq!(content(&*file), b"1", "opening cuts nothing off");
        storage
            .open(&path, OpenMode::Write)
            .unwrap()
            .write_at(&[b"2"], 1)
            .unwrap();
        let reader = storage.open(&path, OpenMode::Read).unwrap();
        assert_eq!(content(&*reader), b"12", "two handles see one file");
        assert!(reader.write_at(&[b"3"], 0).is_err());
        assert!(reader.set_len(0).is_err());
        assert_eq!(content(&*file), b"12");
        for mode in [OpenMode::Read, OpenMode::Write, OpenMode::CreateOrOpen] {
            assert_eq!(kind(storage.open(root, mode)), ErrorKind::IsADirectory);
            let inside_a_file = storage.open(&path.join("b"), mode);
            assert_eq!(kind(inside_a_file), ErrorKind::NotADirectory);
        }
        let nowhere = root.join("none").join("b");
        let made = storage.open(&nowhere, OpenMode::CreateNew);
        assert_eq!(kind(made), ErrorKind::NotFound);
    });
}

#[test]
fn a_folder_lists_what_it_holds_in_order() {
    everywhere(|storage, root| {
        assert_eq!(storage.list(root).unwrap(), []);
        storage.create_dir_all(&root.join("m/n")).unwrap();
        storage.create_dir_all(&root.join("m")).unwrap();
        drop(create(storage, &root.join("z"), b"123"));
        drop(create(storage, &root.join("b"), b""));
        drop(create(storage, &root.join("m/n/deep"), b"1"));
        let entry = |name: &str, is_dir, len| Entry {
            name: name.to_owned(),
            is_dir,
            len,
        };
        let all = [
            entry("b", false, 0),
            entry("m", true, 0),
            entry("z", false, 3),
        ];
        assert_eq!(storage.list(root).unwrap(), all);
        assert_eq!(kind(storage.list(&root.join("q"))), ErrorKind::NotFound);
        assert_eq!(
            kind(storage.list(&root.join("z"))),
            ErrorKind::NotADirectory
        );
        let over_a_file = storage.create_dir_all(&root.join("z"));
        assert_eq!(kind(over_a_file), ErrorKind::AlreadyExists);
        let below_a_file = storage.create_dir_all(&root.join("z/y"));
        assert_eq!(kind(below_a_file), ErrorKind::NotADirectory);
    });
}

#[test]
fn a_rename_replaces_a_file_and_moves_a_folder() {
    everywhere(|storage, root| {
        let (a, b) = (root.join("a"), root.join("b"));
        let moved = create(storage, &a, b"new");
        let replaced = create(storage, &b, b"old");
        storage.rename(&a, &b).unwrap();
        assert_eq!(names(storage, root), ["b"]);
        assert_eq!(content(&*storage.open(&b, OpenMode::Read).unwrap()), b"new");
        moved.write_at(&[b"er"], 3).unwrap();
        assert_eq!(
            content(&*storage.open(&b, OpenMode::Read).unwrap()),
            b"newer"
        );
        assert_eq!(
            content(&*replaced),
            b"old",
            "an open file outlives its name"
        );
        storage.rename(&b, &b).unwrap();
        assert_eq!(kind(storage.rename(&a, &b)), ErrorKind::NotFound);

        storage.create_dir_all(&root.join("d/e")).unwrap();
        drop(create(storage, &root.join("d/e/f"), b"1"));
        storage.rename(&root.join("d"), &root.join("g")).unwrap();
        assert_eq!(names(storage, &root.join("g/e")), ["f"]);
        assert_eq!(kind(storage.list(&root.join("d"))), ErrorKind::NotFound);
        let (g, deep) = (root.join("g"), root.join("g/e/h"));
        assert_eq!(kind(storage.rename(&g, &deep)), ErrorKind::InvalidInput);
        assert_eq!(kind(storage.rename(&b, &g)), ErrorKind::IsADirectory);
        assert_eq!(kind(storage.rename(&g, &b)), ErrorKind::NotADirectory);
        storage.create_dir_all(&root.join("full/x")).unwrap();
        let onto_full = storage.rename(&g, &root.join("full"));
        assert_eq!(kind(onto_full), ErrorKind::DirectoryNotEmpty);
    });
}

#[test]
fn what_is_removed_is_gone_but_for_those_who_have_it_open() {
    everywhere(|storage, root| {
        let path = root.join("a");
        let file = create(storage, &path, b"1");
        storage.remove_file(&path).unwrap();
        assert_eq!(kind(storage.remove_file(&path)), ErrorKind::NotFound);
        file.write_at(&[b"2"], 1).unwrap();
        assert_eq!(content(&*file), b"12");
        assert_eq!(content(&*create(storage, &path, b"3")), b"3");

        storage.create_dir_all(&root.join("d/e")).unwrap();
        drop(create(storage, &root.join("d/e/f"), b"1"));
        storage.remove_dir_all(&root.join("d")).unwrap();
        assert_eq!(names(storage, root), ["a"]);
        let again = storage.remove_dir_all(&root.join("d"));
        assert_eq!(kind(again), ErrorKind::NotFound);
        storage.create_dir_all(&root.join("d")).unwrap();
        assert_eq!(
            names(storage, &root.join("d")),
            [""; 0],
            "a new folder is empty"
        );
        storage.sync_dir(root).unwrap();
        let unknown = storage.sync_dir(&root.join("q"));
        assert_eq!(kind(unknown), ErrorKind::NotFound);
    });
}

#[test]
fn a_lock_is_given_once() {
    everywhere(|storage, root| {
        let path = root.join(".lock");
        let held = storage.lock(&path).unwrap();
        for _ in 0..2 {
            let second = storage.lock(&path);
            assert!(matches!(second, Err(LockError::Held { pid: Some(_) })));
        }
        let other = storage.lock(&root.join(".lock2")).unwrap();
        drop(held);
        let held = storage.lock(&path).unwrap();
        drop((held, other));
        let nowhere = storage.lock(&root.join("none/.lock"));
        assert!(
            matches!(nowhere, Err(LockError::Io(error)) if error.kind() == ErrorKind::NotFound)
        );
    });
}

#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Write(u8, u64, Vec<u8>),
    SetLen(u8, u64),
    Rename(u8, u8),
    Remove(u8),
    Sync(u8),
    SyncDir,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = 0..4_u8;
    let position = 0..2000_u64;
    let bytes = prop::collection::vec(any::<u8>(), 0..1200);
    let step = prop_oneof![
        2 => name.clone().prop_map(Step::Create),
        4 => (name.clone(), position.clone(), bytes).prop_map(|(n, p, b)| Step::Write(n, p, b)),
        1 => (name.clone(), position).prop_map(|(n, len)| Step::SetLen(n, len)),
        1 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => name.clone().prop_map(Step::Remove),
        2 => name.prop_map(Step::Sync),
        1 => Just(Step::SyncDir),
    ];
    prop::collection::vec(step, 1..40)
}

/// Runs the steps on a storage and on a map of byte arrays; both must agree at every step.
fn agrees_with_a_map(storage: &dyn Storage, root: &Path, steps: &[Step]) {
    let path = |name: u8| root.join(name.to_string());
    let mut model: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Create(name) => {
                let made = storage.open(&path(*name), OpenMode::CreateNew).is_ok();
                assert_eq!(made, !model.contains_key(name));
                model.entry(*name).or_default();
            }
            Step::Write(name, position, bytes) => {
                let file = storage.open(&path(*name), OpenMode::Write);
                let Some(expected) = model.get_mut(name) else {
                    assert!(file.is_err());
                    continue;
                };
                let (head, tail) = bytes.split_at(bytes.len() / 3);
                file.unwrap().write_at(&[head, tail], *position).unwrap();
                let start = usize::try_from(*position).unwrap();
                if !bytes.is_empty() {
                    expected.resize(expected.len().max(start + bytes.len()), 0);
                    expected[start..start + bytes.len()].copy_from_slice(bytes);
                }
            }
            Step::SetLen(name, len) => {
                if let Some(expected) = model.get_mut(name) {
                    let file = storage.open(&path(*name), OpenMode::Write).unwrap();
                    file.set_len(*len).unwrap();
                    expected.resize(usize::try_from(*len).unwrap(), 0);
                }
            }
            Step::Rename(from, to) => {
                let renamed = storage.rename(&path(*from), &path(*to)).is_ok();
                assert_eq!(renamed, model.contains_key(from));
                if let Some(bytes) = model.remove(from) {
                    model.insert(*to, bytes);
                }
            }
            Step::Remove(name) => {
                let removed = storage.remove_file(&path(*name)).is_ok();
                assert_eq!(removed, model.remove(name).is_some());
            }
            Step::Sync(name) => {
                if let Ok(file) = storage.open(&path(*name), OpenMode::Write) {
                    file.sync().unwrap();
                }
            }
            Step::SyncDir => storage.sync_dir(root).unwrap(),
        }
        let listed = names(storage, root);
        let expected: Vec<String> = model.keys().map(ToString::to_string).collect();
        assert_eq!(listed, expected);
    }
    for (name, expected) in &model {
        let file = storage.open(&path(*name), OpenMode::Read).unwrap();
        assert!(content(&*file) == *expected, "file {name} differs");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn all_storages_agree_with_a_map(steps in steps()) {
        everywhere(|storage, root| agrees_with_a_map(storage, root, &steps));
    }
}
