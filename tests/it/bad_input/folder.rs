//! Data folders that are somebody else's, not writable, or on a full disk.

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use headwater::ErrorKind;
use headwater::env::Simulation;
use headwater::prelude::*;
use headwater::storage::{Entry, Faults, File, Lock, LockError, OpenMode, SimStorage, Storage};

use super::world::{DIR, Files, batch, copy_of, fill, open, produce, read, storage_of, tp};

/// The name of the variable that tells [`hold`] which folder to hold.
const HOLD: &str = "HEADWATER_TEST_HOLD";

/// Not a test of its own: the other process of the test below.
#[tokio::test]
async fn hold() {
    let Ok(dir) = std::env::var(HOLD) else { return };
    let cluster = Cluster::open(dir).await.unwrap();
    println!("\nheld");
    io::stdout().flush().unwrap();
    io::stdin().read_line(&mut String::new()).unwrap();
    cluster.close().await.unwrap();
}

#[tokio::test]
async fn a_second_process_is_told_who_has_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "bad_input::folder::hold", "--nocapture"])
        .env(HOLD, dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = io::BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "held"));
    let error = Cluster::open(dir.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataFolderLocked);
    let pid = format!("pid {}", child.id());
    assert!(error.to_string().contains(&pid), "{error}");
    drop(child.stdin.take());
    lines.for_each(drop);
    assert!(child.wait().unwrap().success());
    Cluster::open(dir.path())
        .await
        .unwrap()
        .close()
        .await
        .unwrap();
}

/// Opens a folder with these files; what it holds afterwards comes with the answer.
fn meet(files: &Files) -> (headwater::Result<()>, Files) {
    let simulation = Simulation::new(3);
    let storage = storage_of(files);
    let opened = simulation.block_on(async {
        let cluster = open(&simulation, Arc::clone(&storage)).await?;
        cluster.close().await
    });
    (opened.unwrap(), copy_of(&*storage))
}

#[test]
fn a_folder_of_others_is_refused_and_nothing_is_written() {
    let notes = (Path::new(DIR).join("notes.txt"), Some(b"mine".to_vec()));
    let foreign = Files::from([notes]);
    let (outcome, mut after) = meet(&foreign);
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedFormat);
    assert!(error.to_string().contains("notes.txt"), "{error}");
    after.remove(&Path::new(DIR).join("lock"));
    assert_eq!(after, foreign);
}

#[test]
fn a_newer_format_and_a_torn_identity_are_told_apart() {
    for (text, kind) in [
        ("version=2\n", ErrorKind::UnsupportedFormat),
        ("vers", ErrorKind::CorruptMessage),
        ("", ErrorKind::CorruptMessage),
    ] {
        let meta = Path::new(DIR).join("meta.properties");
        let (outcome, _) = meet(&Files::from([(meta.clone(), Some(text.into()))]));
        let error = outcome.unwrap_err();
        assert_eq!(
            (error.kind(), error.file()),
            (kind, Some(&*meta)),
            "{error}"
        );
    }
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let simulation = Simulation::new(11);
    let storage = storage_of(&Files::new());
    let (cluster, values) = simulation
        .block_on(async {
            let cluster = open(&simulation, Arc::clone(&storage)).await.unwrap();
            let values = fill(&simulation, &cluster).await;
            (cluster, values)
        })
        .unwrap();
    let mut files = copy_of(&*storage);
    simulation.crash();
    drop(cluster);
    let dir = Path::new(DIR);
    let mut foreign = Files::new();
    for folder in ["do-not-delete", "one-0/00000000000000000099.log", "one-7"] {
        foreign.insert(dir.join(folder), None);
    }
    for file in [
        "notes.txt",
        "do-not-delete/x",
        "one-0/7.log",
        "one-0/x.index",
        "one-7/y",
    ] {
        foreign.insert(dir.join(file), Some(b"mine".to_vec()));
    }
    files.extend(foreign.clone());
    let simulation = Simulation::new(12);
    let storage = storage_of(&files);
    simulation
        .block_on(async {
            let cluster = open(&simulation, Arc::clone(&storage)).await.unwrap();
            for (partition, values) in &values {
                let found = read(&cluster, partition).await.unwrap();
                assert_eq!(found.as_ref(), Some(values));
            }
            cluster.close().await.unwrap();
        })
        .unwrap();
    let after = copy_of(&*storage);
    for (path, content) in foreign {
        assert_eq!(after.get(&path), Some(&content), "{}", path.display());
    }
}

#[test]
fn a_full_disk_refuses_writes_and_takes_them_again() {
    let simulation = Simulation::new(7);
    let disk = SimStorage::new(7);
    simulation
        .block_on(async {
            let cluster = open(&simulation, Arc::new(disk.clone())).await.unwrap();
            let topic = NewTopic::new("t").unwrap();
            let topic = topic.config("retention.ms", "-1");
            cluster.admin().create(topic).await.unwrap();
            disk.set_faults(Faults {
                disk_bytes_max: Some(60_000),
                ..Faults::default()
            });
            let mut values = Vec::new();
            let partition = tp("t", 0);
            let error = loop {
                let value = format!("{} {}", values.len(), "x".repeat(900));
                let batch = batch(std::slice::from_ref(&value), 1_000, None);
                values.push(value);
                match produce(&cluster, partition.clone(), batch).await {
                    Ok(_) => assert!(values.len() < 200, "the disk is never full"),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::KafkaStorageError, "{error}");
            assert!(error.to_string().contains("full"), "{error}");
            assert_eq!(error.topic_partition(), Some(&partition));
            values.pop();
            // Reading goes on.
            let found = read(&cluster, &partition).await.unwrap().unwrap();
            assert!(found.len() >= values.len());
            assert_eq!(found[..values.len()], values);
            disk.set_faults(Faults {
                disk_bytes_max: Some(1),
                ..Faults::default()
            });
            let refused = cluster.admin().create_topic("other", 1).await;
            assert!(refused.is_err_and(|error| error.file().is_some()));
            // There is space again: nothing has to be opened anew.
            disk.set_faults(Faults::default());
            simulation.clock().advance(Duration::from_secs(1));
            for _ in 0..100 {
                headwater::env::yield_now().await;
            }
            let more = batch(&["more".to_owned()], 1_000, None);
            produce(&cluster, partition.clone(), more).await.unwrap();
            cluster.admin().create_topic("other", 1).await.unwrap();
            cluster.close().await.unwrap();
            let cluster = open(&simulation, Arc::new(disk.clone())).await.unwrap();
            let found = read(&cluster, &partition).await.unwrap().unwrap();
            assert_eq!(found[..values.len()], values);
            assert_eq!(found.last().unwrap(), "more");
        })
        .unwrap();
}

/// A disk that is mounted read-only.
#[derive(Debug)]
struct ReadOnly(Arc<dyn Storage>);

fn denied<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Storage for ReadOnly {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        match mode {
            OpenMode::Read => self.0.open(path, mode),
            OpenMode::Write | OpenMode::CreateNew | OpenMode::CreateOrOpen => denied(),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.0.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.list(dir).map(drop).or_else(|_| denied())
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        denied()
    }

    fn remove_file(&self, _path: &Path) -> io::Result<()> {
        denied()
    }

    fn remove_dir_all(&self, _dir: &Path) -> io::Result<()> {
        denied()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }

    fn lock(&self, _path: &Path) -> Result<Box<dyn Lock>, LockError> {
        denied().map_err(LockError::Io)
    }
}

#[test]
fn a_read_only_folder_is_told() {
    for folder in [Files::new(), meet(&Files::new()).1] {
        let simulation = Simulation::new(9);
        let storage = Arc::new(ReadOnly(storage_of(&folder)));
        let error = simulation
            .block_on(open(&simulation, storage))
            .unwrap()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(
            error.file().is_some_and(|file| file.starts_with(DIR)),
            "{error}"
        );
    }
}
