//! What the simulated disk promises: losses only of what was not synced, and the same ones for
//! the same seed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Fault, Faults, SimStorage, is_power_loss};
use crate::error::Error;
use crate::storage::{File, LockError, OpenMode, Storage};

const ROOT: &str = "";

fn create(disk: &SimStorage, path: &str, bytes: &[u8]) -> io::Result<Arc<dyn File>> {
    let file = disk.open(Path::new(path), OpenMode::CreateNew)?;
    file.write_at(&[bytes], 0)?;
    Ok(file)
}

/// The bytes of a file, or none when there is no such file.
fn content(disk: &SimStorage, path: &str) -> Option<Vec<u8>> {
    let file = disk.open(Path::new(path), OpenMode::Read).ok()?;
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

fn sync_root(disk: &SimStorage) -> io::Result<()> {
    disk.sync_dir(Path::new(ROOT))
}

/// How the usual way to replace a file is spoiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoiled {
    No,
    FileNotSynced,
    FolderNotSynced,
}

/// Replaces "a" by way of a temporary file; returns whether the new content was promised.
fn replace(disk: &SimStorage, spoiled: Spoiled) -> io::Result<()> {
    let file = create(disk, "a.new", &[2; 2000])?;
    if spoiled != Spoiled::FileNotSynced {
        file.sync()?;
    }
    disk.rename(Path::new("a.new"), Path::new("a"))?;
    if spoiled != Spoiled::FolderNotSynced {
        sync_root(disk)?;
    }
    Ok(())
}

/// All that "a" is after a power loss at any moment of `replace`, and after its end.
fn outcomes(spoiled: Spoiled) -> (BTreeSet<Vec<u8>>, BTreeSet<Vec<u8>>) {
    let (mut during, mut after) = (BTreeSet::new(), BTreeSet::new());
    for power_off_at in 1..8 {
        for seed in 0..60 {
            let disk = SimStorage::new(seed);
            let file = create(&disk, "a", &[1; 1500]).unwrap();
            file.sync().unwrap();
            sync_root(&disk).unwrap();
            disk.set_faults(Faults {
                power_off_at: Some(power_off_at),
                ..Faults::default()
            });
            let promised = match replace(&disk, spoiled) {
                Ok(()) => true,
                Err(error) => {
                    assert!(is_power_loss(&error), "{error}");
                    assert!(!disk.is_powered());
                    assert!(is_power_loss(&file.sync().unwrap_err()), "it stays off");
                    false
                }
            };
            let seen = content(&disk.after_power_loss(seed), "a").expect("a is never gone");
            let seen_then = if promised { &mut after } else { &mut during };
            seen_then.insert(seen);
        }
    }
    (during, after)
}

#[test]
fn replacing_a_file_is_atomic_when_it_is_done_right_and_only_then() {
    let (old, new) = (vec![1; 1500], vec![2; 2000]);
    let (during, after) = outcomes(Spoiled::No);
    assert_eq!(during, [old.clone(), new.clone()].into());
    assert_eq!(after, [new.clone()].into());

    let (_, after) = outcomes(Spoiled::FileNotSynced);
    let broken = |bytes: &&Vec<u8>| **bytes != old && **bytes != new;
    assert!(
        after.iter().any(|bytes| broken(&bytes)),
        "an unsynced file is never broken"
    );

    let (_, after) = outcomes(Spoiled::FolderNotSynced);
    assert_eq!(
        after,
        [old, new].into(),
        "an unsynced rename is kept or lost"
    );
}

#[test]
fn a_file_whose_folder_was_not_synced_may_be_gone_or_back() {
    let disk = SimStorage::new(1);
    create(&disk, "old", b"1").unwrap().sync().unwrap();
    sync_root(&disk).unwrap();
    disk.remove_file(Path::new("old")).unwrap();
    create(&disk, "new", b"2").unwrap().sync().unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let after = disk.after_power_loss(seed);
        let (old, new) = (content(&after, "old"), content(&after, "new"));
        assert!(old.as_ref().is_none_or(|bytes| bytes == b"1"));
        assert!(new.as_ref().is_none_or(|bytes| bytes == b"2"));
        seen.insert((old.is_some(), new.is_some()));
    }
    assert_eq!(
        seen.len(),
        4,
        "each name is kept or lost by itself: {seen:?}"
    );
    sync_root(&disk).unwrap();
    for seed in 0..20 {
        let after = disk.after_power_loss(seed);
        assert_eq!(content(&after, "old"), None);
        assert_eq!(content(&after, "new").unwrap(), b"2");
    }
}

#[test]
fn a_file_in_a_folder_needs_both_to_be_synced() {
    let disk = SimStorage::new(1);
    disk.create_dir_all(Path::new("d/e")).unwrap();
    create(&disk, "d/e/f", b"1").unwrap().sync().unwrap();
    disk.sync_dir(Path::new("d/e")).unwrap();
    let survives = |seed| content(&disk.after_power_loss(seed), "d/e/f").is_some();
    assert!((0..50).any(|seed| !survives(seed)));
    disk.sync_dir(Path::new("d")).unwrap();
    sync_root(&disk).unwrap();
    assert!((0..50).all(survives));

    // Moved to another folder, it is in one of both, never in none and never in two.
    disk.create_dir_all(Path::new("g")).unwrap();
    sync_root(&disk).unwrap();
    disk.rename(Path::new("d/e/f"), Path::new("g/f")).unwrap();
    let places = |seed| {
        let after = disk.after_power_loss(seed);
        (
            content(&after, "d/e/f").is_some(),
            content(&after, "g/f").is_some(),
        )
    };
    let seen: BTreeSet<_> = (0..50).map(places).collect();
    assert_eq!(seen, [(true, false), (false, true)].into());
    disk.sync_dir(Path::new("g")).unwrap();
    disk.sync_dir(Path::new("d/e")).unwrap();
    assert!((0..50).all(|seed| places(seed) == (false, true)));

    disk.remove_dir_all(Path::new("g")).unwrap();
    sync_root(&disk).unwrap();
    assert!((0..50).all(|seed| places(seed) == (false, false)));
}

#[test]
fn a_failed_sync_leaves_nothing_to_a_later_one() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..60 {
        let disk = SimStorage::new(seed);
        let file = create(&disk, "a", b"1").unwrap();
        sync_root(&disk).unwrap();
        disk.set_faults(Faults {
            sync: Fault::At(1),
            only: Some("a".to_owned()),
            ..Faults::default()
        });
        assert!(file.sync().is_err());
        file.sync().unwrap();
        assert_eq!(content(&disk, "a").unwrap(), b"1", "the page cache has it");
        match content(&disk.after_power_loss(seed), "a").unwrap().len() {
            0 => lost += 1,
            _ => kept += 1,
        }
    }
    assert!(kept > 5 && lost > 5, "{kept} kept, {lost} lost");
}

#[test]
fn a_full_disk_takes_a_part() {
    let disk = SimStorage::new(1);
    let file = create(&disk, "a", &[1; 900]).unwrap();
    disk.set_faults(Faults {
        disk_bytes_max: Some(1000),
        ..Faults::default()
    });
    file.write_at(&[&[2; 100]], 800).unwrap();
    let full = file.write_at(&[&[3; 150]], 900).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    let bytes = content(&disk, "a").unwrap();
    assert!((900..=1000).contains(&bytes.len()));
    assert!(bytes[900..].iter().all(|byte| *byte == 3));
    file.write_at(&[&[4; 900]], 0).unwrap();
    disk.remove_file(Path::new("a")).unwrap();
    drop(create(&disk, "b", &[5; 1000]).unwrap());
}

#[test]
fn reads_and_writes_fail_where_they_shall() {
    let disk = SimStorage::new(1);
    let (a, b) = (create(&disk, "a", b"1"), create(&disk, "b", b"2"));
    let (a, b) = (a.unwrap(), b.unwrap());
    disk.set_faults(Faults {
        read: Fault::OneIn(1),
        write: Fault::At(2),
        sync_dir: Fault::At(1),
        only: Some("a".to_owned()),
        ..Faults::default()
    });
    assert!(a.read_at(&mut [0], 0).is_err());
    assert_eq!(b.read_at(&mut [0], 0).unwrap(), 1);
    a.write_at(&[b"x"], 0).unwrap();
    a.write_at(&[b"y"], 0).unwrap_err();
    a.write_at(&[b"z"], 0).unwrap();
    assert!(sync_root(&disk).is_ok(), "its path is not one of those");
    let counts = disk.counts();
    assert_eq!(
        (counts.reads, counts.writes, counts.names, counts.sync_dirs),
        (2, 5, 2, 1)
    );
    assert_eq!(counts.changes(), 8);
}

#[test]
fn a_killed_process_leaves_what_it_wrote_and_nothing_else() {
    let disk = SimStorage::new(1);
    let file = create(&disk, "a", b"1").unwrap();
    let lock = disk.lock(Path::new(".lock")).unwrap();
    assert!(matches!(
        disk.lock(Path::new(".lock")),
        Err(LockError::Held { .. })
    ));
    let next = disk.after_kill();
    assert!(file.write_at(&[b"2"], 1).is_err(), "the dead write no more");
    assert!(disk.open(Path::new("b"), OpenMode::CreateNew).is_err());
    let held = next.lock(Path::new(".lock")).unwrap();
    drop(lock);
    assert!(
        next.lock(Path::new(".lock")).is_err(),
        "the dead let go of their own lock only"
    );
    drop(held);
    assert_eq!(content(&next, "a").unwrap(), b"1");
    let lost = |seed| content(&next.after_power_loss(seed), "a").is_none();
    assert!((0..50).any(lost), "what was pending still is");
}

#[test]
fn a_flipped_bit_is_seen_now_and_later() {
    let disk = SimStorage::new(1);
    create(&disk, "a", &[0; 10]).unwrap().sync().unwrap();
    sync_root(&disk).unwrap();
    disk.corrupt(Path::new("a"), 3).unwrap();
    let bytes = content(&disk, "a").unwrap();
    assert_eq!(bytes[3].count_ones(), 1);
    assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    assert_eq!(content(&disk.after_power_loss(1), "a").unwrap(), bytes);
    let beyond = disk.corrupt(Path::new("a"), 10).unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_power_loss_is_recognised_through_errors_of_core() {
    let disk = SimStorage::new(1);
    disk.power_off();
    let error = disk.list(Path::new(ROOT)).unwrap_err();
    let error = Error::io("list the folder", Path::new(ROOT), error);
    assert!(is_power_loss(&error));
    let other = Error::io("list the folder", Path::new(ROOT), io::Error::other("no"));
    assert!(!is_power_loss(&other));
}

#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Write(u8, u64, usize),
    Rename(u8, u8),
    Remove(u8),
    Sync(u8),
    SyncDir,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = 0..4_u8;
    let step = prop_oneof![
        3 => name.clone().prop_map(Step::Create),
        4 => (name.clone(), 0..2000_u64, 1..1500_usize).prop_map(|(n, p, l)| Step::Write(n, p, l)),
        2 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => name.clone().prop_map(Step::Remove),
        4 => name.prop_map(Step::Sync),
        2 => Just(Step::SyncDir),
    ];
    prop::collection::vec(step, 1..30)
}

/// What a plain model knows of a disk: which names and files a power loss may not change.
#[derive(Default)]
struct Model {
    /// File numbers by name.
    names: BTreeMap<u8, usize>,
    /// By name, all files (or none) it stood for since the folder was synced.
    maybe: BTreeMap<u8, BTreeSet<Option<usize>>>,
    files: Vec<ModelFile>,
}

#[derive(Default)]
struct ModelFile {
    bytes: Vec<u8>,
    /// Whether all of it is synced.
    clean: bool,
}

impl Model {
    fn set(&mut self, name: u8, file: Option<usize>) {
        let before = self.names.get(&name).copied();
        self.maybe.entry(name).or_default().extend([before, file]);
        match file {
            Some(file) => drop(self.names.insert(name, file)),
            None => drop(self.names.remove(&name)),
        }
    }

    fn step(&mut self, disk: &SimStorage, step: &Step, stamp: u8) {
        let path = |name: &u8| name.to_string();
        match step {
            Step::Create(name) if !self.names.contains_key(name) => {
                create(disk, &path(name), b"").unwrap();
                self.files.push(ModelFile {
                    clean: true,
                    ..ModelFile::default()
                });
                self.set(*name, Some(self.files.len() - 1));
            }
            Step::Write(name, position, len) => {
                let Some(file) = self.names.get(name) else {
                    return;
                };
                let file = &mut self.files[*file];
                let start = usize::try_from(*position).unwrap();
                file.bytes.resize(file.bytes.len().max(start + len), 0);
                file.bytes[start..start + len].fill(stamp);
                file.clean = false;
                let open = disk.open(Path::new(&path(name)), OpenMode::Write).unwrap();
                open.write_at(&[&vec![stamp; *len]], *position).unwrap();
            }
            Step::Rename(from, to) if from != to && self.names.contains_key(from) => {
                disk.rename(Path::new(&path(from)), Path::new(&path(to)))
                    .unwrap();
                let file = self.names.get(from).copied();
                self.set(*from, None);
                self.set(*to, file);
            }
            Step::Remove(name) if self.names.contains_key(name) => {
                disk.remove_file(Path::new(&path(name))).unwrap();
                self.set(*name, None);
            }
            Step::Sync(name) => {
                let Some(file) = self.names.get(name) else {
                    return;
                };
                let open = disk.open(Path::new(&path(name)), OpenMode::Write).unwrap();
                open.sync().unwrap();
                self.files[*file].clean = true;
            }
            Step::SyncDir => {
                sync_root(disk).unwrap();
                self.maybe.clear();
            }
            Step::Create(_) | Step::Rename(..) | Step::Remove(_) => {}
        }
    }

    fn check(&self, after: &SimStorage) {
        for name in 0..4 {
            let now = BTreeSet::from([self.names.get(&name).copied()]);
            let allowed = self.maybe.get(&name).unwrap_or(&now);
            let seen = content(after, &name.to_string());
            let fits = |file: &Option<usize>| match (file, &seen) {
                (None, None) => true,
                (Some(file), Some(bytes)) => {
                    let file = &self.files[*file];
                    !file.clean || file.bytes == *bytes
                }
                _ => false,
            };
            assert!(allowed.iter().any(fits), "file {name}: none of {allowed:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn what_was_synced_survives_every_power_loss(steps in steps()) {
        let (disk, twin) = (SimStorage::new(9), SimStorage::new(9));
        let (mut model, mut model_of_twin) = (Model::default(), Model::default());
        for (stamp, step) in (1..).zip(&steps) {
            model.step(&disk, step, stamp);
            model_of_twin.step(&twin, step, stamp);
            for seed in 0..4 {
                model.check(&disk.after_power_loss(seed));
            }
        }
        prop_assert_eq!(disk.digest(), twin.digest());
        let images = |disk: &SimStorage| -> Vec<u64> {
            (0..8).map(|seed| disk.after_power_loss(seed).digest()).collect()
        };
        prop_assert_eq!(images(&disk), images(&twin), "the same seed draws the same image");
        let synced = |disk: &SimStorage| {
            for name in model.names.keys() {
                let path = name.to_string();
                disk.open(Path::new(&path), OpenMode::Write).unwrap().sync().unwrap();
            }
            sync_root(disk).unwrap();
        };
        synced(&disk);
        let images: BTreeSet<u64> = images(&disk).into_iter().collect();
        prop_assert_eq!(images, [disk.digest()].into(), "with all synced there is one image");
    }
}
