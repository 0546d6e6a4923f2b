//! The real disk: the one file of core that touches `std::fs`.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "all other files reach the disk through this one"
)]

use std::fs::{self, File as OsFile, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Entry, File, Lock, LockError, OpenMode, Storage};

/// Files of the operating system.
///
/// ```
/// use headwater_core::storage::{DiskStorage, OpenMode, Storage};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("notes");
/// let file = DiskStorage.open(&path, OpenMode::CreateNew)?;
/// file.write_at(&[b"one ", b"two"], 0)?;
/// file.sync()?;
/// DiskStorage.sync_dir(dir.path())?;
/// assert_eq!(file.len()?, 7);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskStorage;

impl Storage for DiskStorage {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::Write => {
                options.write(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
            }
            OpenMode::CreateOrOpen => {
                options.write(true).create(true);
            }
        }
        let file = options.open(path)?;
        // Opening a folder for reading succeeds on Unix and fails only at the first read.
        if mode == OpenMode::Read && file.metadata()?.is_dir() {
            return Err(io::Error::from(ErrorKind::IsADirectory));
        }
        Ok(Arc::new(DiskFile {
            file,
            path: path.to_owned(),
        }))
    }

    /// Half of what the process may open (`ulimit -n`): the rest is the application's.
    fn open_files_max(&self) -> usize {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let limit = limit.current.and_then(|limit| usize::try_from(limit).ok());
        limit.map_or(usize::MAX, |limit| limit / 2)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            // A file may vanish between the listing and this look at it.
            let metadata = match fs::metadata(entry.path()) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let is_dir = metadata.is_dir();
            entries.push(Entry {
                name: entry.file_name().to_string_lossy().into_owned(),
                is_dir,
                len: if is_dir { 0 } else { metadata.len() },
            });
        }
        entries.sort();
        Ok(entries)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        OsFile::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, LockError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    pid: holder(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
        }
        let pid = std::process::id();
        file.set_len(0)
            .and_then(|()| write!(file, "{pid}"))
            .map_err(LockError::Io)?;
        Ok(Box::new(DiskLock { _file: file }))
    }
}

/// The pid that the holder wrote into its lock file, unless it was just about to.
fn holder(file: &mut OsFile) -> Option<u32> {
    let mut text = String::new();
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// The lock belongs to the open file: two opens inside one process conflict as two processes do,
/// and the operating system lets go of it however the process ends.
#[derive(Debug)]
struct DiskLock {
    _file: OsFile,
}

impl Lock for DiskLock {}

#[derive(Debug)]
struct DiskFile {
    file: OsFile,
    path: PathBuf,
}

impl File for DiskFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.file.read_at(&mut buf[done..], position + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Asks for one byte without waiting for the disk (Linux 4.14).
    #[cfg(target_os = "linux")]
    fn is_cached(&self, position: u64) -> bool {
        let mut byte = [0];
        let mut into = [io::IoSliceMut::new(&mut byte)];
        let flags = rustix::io::ReadWriteFlags::NOWAIT;
        let read = rustix::io::preadv2(&self.file, &mut into, position, flags);
        !matches!(read, Err(rustix::io::Errno::AGAIN))
    }

    fn write_at(&self, bufs: &[&[u8]], mut position: u64) -> io::Result<()> {
        if let [buf] = bufs {
            return self.file.write_all_at(buf, position);
        }
        let mut slices: Vec<IoSlice<'_>> = bufs.iter().map(|buf| IoSlice::new(buf)).collect();
        let mut rest = slices.as_mut_slice();
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            let some = &rest[..rest.len().min(SLICES_MAX)];
            match rustix::io::pwritev(&self.file, some, position) {
                Ok(0) => return Err(io::Error::from(ErrorKind::WriteZero)),
                Ok(count) => {
                    position += count as u64;
                    IoSlice::advance_slices(&mut rest, count);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn path(&self) -> &PathBuf {
        &self.path
    }
}

/// The most slices that one `pwritev` takes (`IOV_MAX` on Linux and macOS).
const SLICES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let lock = DiskStorage.lock(&path).unwrap();
        match DiskStorage.lock(&path) {
            Err(LockError::Held { pid }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("the lock was given twice: {other:?}"),
        }
        drop(lock);
        DiskStorage.lock(&path).unwrap();
    }

    #[test]
    fn more_slices_than_one_call_takes_are_all_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("many");
        let file = DiskStorage.open(&path, OpenMode::CreateNew).unwrap();
        let parts: Vec<[u8; 3]> = (0..=255).cycle().take(3000).map(|i: u8| [i; 3]).collect();
        let mut bufs: Vec<&[u8]> = parts.iter().map(<[u8; 3]>::as_slice).collect();
        bufs.insert(0, &[]);
        bufs.push(&[]);
        file.write_at(&bufs, 5).unwrap();
        let mut read = vec![1; 9010];
        assert_eq!(file.read_at(&mut read, 0).unwrap(), 9005);
        assert_eq!(read[..5], [0; 5]);
        assert_eq!(read[5..9005], parts.concat());
    }
}
