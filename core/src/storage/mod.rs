//! Files behind two small traits: real disk, memory, and a simulated disk that fails on demand.
//!
//! All I/O of the log goes through [`Storage`] and [`File`]. Calls block; whoever calls them from
//! an async thread keeps them short (a page-cache read or write) or moves them off it.

mod blocks;
#[cfg(test)]
mod conformance;
mod disk;
mod lock;
mod memory;
mod sim;
mod tree;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use disk::DiskStorage;
pub use lock::{Lock, LockError};
pub use memory::MemoryStorage;
pub use sim::{Counts, Fault, Faults, SimStorage, is_power_loss};

/// What a folder holds: one file or one folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name inside the folder.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// Its length in bytes (0 for a folder).
    pub len: u64,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist; it is not written.
    Read,
    /// It must exist.
    Write,
    /// It must not exist.
    CreateNew,
    /// It is made when it does not exist.
    CreateOrOpen,
}

/// A place where files live.
pub trait Storage: Send + Sync + fmt::Debug {
    /// Opens a file. A new file's name is durable only after [`Storage::sync_dir`] of its folder.
    ///
    /// # Errors
    /// As the operating system: `NotFound`, `AlreadyExists`, `PermissionDenied`, ...
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;

    /// How many files may well be open at once; more fail sooner or later. No bound by default.
    fn open_files_max(&self) -> usize {
        usize::MAX
    }

    /// What the folder holds, sorted by name.
    ///
    /// # Errors
    /// `NotFound` when there is no such folder, and as the operating system.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Makes a folder and the folders above it; fine when it exists.
    ///
    /// # Errors
    /// As the operating system.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Renames a file or folder, replacing a file at `to`; durable after `sync_dir` of both.
    ///
    /// # Errors
    /// As the operating system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; durable after `sync_dir`.
    ///
    /// # Errors
    /// As the operating system.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder and all in it; durable after `sync_dir` of the folder above.
    ///
    /// # Errors
    /// As the operating system.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable: files made, renamed and removed.
    ///
    /// # Errors
    /// As the operating system. After a failure what is durable is unknown.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the lock file `path` for this process until the value is dropped.
    ///
    /// # Errors
    /// [`LockError::Held`] with the holder's pid where it is known.
    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, LockError>;
}

/// An open file; shared by readers and one writer.
#[expect(
    clippy::len_without_is_empty,
    reason = "nobody asks a file whether it is empty"
)]
pub trait File: Send + Sync + fmt::Debug {
    /// Reads into all of `buf` from `position`, or less at the end of the file; returns the count.
    ///
    /// # Errors
    /// As the operating system.
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize>;

    /// Whether a read at `position` would be served from memory, so that it takes microseconds.
    /// A hint; `true` where nobody can tell.
    fn is_cached(&self, position: u64) -> bool {
        let _ = position;
        true
    }

    /// Writes all of `bufs`, one after the other, at `position`; extends the file.
    ///
    /// # Errors
    /// As the operating system; part of the bytes may have been written.
    fn write_at(&self, bufs: &[&[u8]], position: u64) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// As the operating system.
    fn len(&self) -> io::Result<u64>;

    /// Cuts or extends (with zeros) the file.
    ///
    /// # Errors
    /// As the operating system.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the written bytes and the length durable (`fdatasync`).
    ///
    /// # Errors
    /// As the operating system. After a failure the bytes must be taken as lost: never sync again
    /// and carry on.
    fn sync(&self) -> io::Result<()>;

    /// The path it was opened under, for messages.
    fn path(&self) -> &PathBuf;
}
