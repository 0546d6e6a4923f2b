//! Files in memory, for tests and for a cluster that keeps nothing.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use super::blocks::Blocks;
use super::tree::Tree;
use super::{Entry, File, Lock, LockError, OpenMode, Storage};
use crate::sync::{lock, read, write};

/// Files that live as long as this value; a sync costs nothing.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    tree: Mutex<Tree<Arc<RwLock<Blocks>>>>,
    locked: Locked,
}

impl MemoryStorage {
    /// An empty storage.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Storage for MemoryStorage {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let (content, _) = lock(&self.tree).open(path, mode, Arc::default)?;
        Ok(Arc::new(MemoryFile {
            content,
            writable: mode != OpenMode::Read,
            path: path.to_owned(),
        }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        lock(&self.tree).list(dir, |content| read(content).len())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        lock(&self.tree).create_dir_all(dir).map(drop)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        lock(&self.tree).rename(from, to).map(drop)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        lock(&self.tree).remove_file(path).map(drop)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        lock(&self.tree).remove_dir_all(dir).map(drop)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        lock(&self.tree).dir(dir).map(drop)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, LockError> {
        let (_, _) = lock(&self.tree)
            .open(path, OpenMode::CreateOrOpen, Arc::default)
            .map_err(LockError::Io)?;
        self.locked.take(path, std::process::id())
    }
}

#[derive(Debug)]
struct MemoryFile {
    content: Arc<RwLock<Blocks>>,
    writable: bool,
    path: PathBuf,
}

impl MemoryFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(opened_for_reading())
        }
    }
}

impl File for MemoryFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        Ok(read(&self.content).read_at(buf, position))
    }

    fn write_at(&self, bufs: &[&[u8]], mut position: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut content = write(&self.content);
        for buf in bufs {
            content.write_at(buf, position);
            position += buf.len() as u64;
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(read(&self.content).len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        write(&self.content).set_len(len);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn path(&self) -> &PathBuf {
        &self.path
    }
}

/// What a write to a file that was opened with [`OpenMode::Read`] fails with.
pub(super) fn opened_for_reading() -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        "the file was opened for reading",
    )
}

/// The lock files that are held.
#[derive(Clone, Debug, Default)]
pub(super) struct Locked(Arc<Mutex<BTreeSet<PathBuf>>>);

impl Locked {
    /// Takes the lock `path`, which stays taken until the value is dropped.
    pub(super) fn take(&self, path: &Path, pid: u32) -> Result<Box<dyn Lock>, LockError> {
        if lock(&self.0).insert(path.to_owned()) {
            return Ok(Box::new(MemoryLock {
                locked: self.clone(),
                path: path.to_owned(),
            }));
        }
        Err(LockError::Held { pid: Some(pid) })
    }
}

#[derive(Debug)]
struct MemoryLock {
    locked: Locked,
    path: PathBuf,
}

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        lock(&self.locked.0).remove(&self.path);
    }
}
