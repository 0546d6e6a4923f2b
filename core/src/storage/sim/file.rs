//! An open file of the simulated disk.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::faults::{Kind, Verdict};
use super::names::Inode;
use super::storage::{SimStorage, State};
use crate::storage::memory::opened_for_reading;
use crate::storage::{File, OpenMode};
use crate::sync::lock;

pub(super) struct SimFile {
    storage: SimStorage,
    inode: Arc<Inode>,
    writable: bool,
    path: PathBuf,
}

impl SimFile {
    pub(super) fn new(storage: SimStorage, inode: Arc<Inode>, mode: OpenMode, path: &Path) -> Self {
        Self {
            storage,
            inode,
            writable: mode != OpenMode::Read,
            path: path.to_owned(),
        }
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(opened_for_reading())
        }
    }

    /// Writes what there is room for.
    fn write_part(&self, state: &mut State, bytes: &mut Vec<u8>, position: u64) -> io::Result<()> {
        let len = lock(&self.inode.content).current().len();
        let end = position + bytes.len() as u64;
        let (growth, room) = (end.saturating_sub(len), state.room());
        let full = growth > room;
        if full {
            let over = usize::try_from(growth - room).unwrap_or(usize::MAX);
            let fits = bytes.len().saturating_sub(over);
            bytes.truncate(draw_up_to(state, fits));
        }
        state.counts.bytes_written += bytes.len() as u64;
        lock(&self.inode.content).write(std::mem::take(bytes), position);
        if full {
            return Err(ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimFile({})", self.path.display())
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let mut state = self.storage.state()?;
        let verdict = state.begin(Kind::Read, &self.path);
        state.end(verdict, Kind::Read)?;
        let count = lock(&self.inode.content).current().read_at(buf, position);
        state.counts.bytes_read += count as u64;
        Ok(count)
    }

    fn write_at(&self, bufs: &[&[u8]], position: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut state = self.storage.state()?;
        let verdict = state.begin(Kind::Write, &self.path);
        let mut bytes = bufs.concat();
        if verdict == Verdict::Fail {
            bytes.truncate(draw_up_to(&state, bytes.len()));
        }
        let written = self.write_part(&mut state, &mut bytes, position);
        state.end(verdict, Kind::Write)?;
        written
    }

    fn len(&self) -> io::Result<u64> {
        drop(self.storage.state()?);
        Ok(lock(&self.inode.content).current().len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut state = self.storage.state()?;
        let verdict = state.begin(Kind::SetLen, &self.path);
        lock(&self.inode.content).set_len(len);
        state.end(verdict, Kind::SetLen)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.storage.state()?;
        let verdict = state.begin(Kind::Sync, &self.path);
        let mut content = lock(&self.inode.content);
        match verdict {
            Verdict::Succeed => content.sync(),
            Verdict::Fail => content.settle(&state.random),
            Verdict::PowerOff => {}
        }
        state.end(verdict, Kind::Sync)
    }

    fn path(&self) -> &PathBuf {
        &self.path
    }
}

/// A random count from 0 to `max`.
fn draw_up_to(state: &State, max: usize) -> usize {
    let drawn = state.random.below((max as u64).saturating_add(1));
    usize::try_from(drawn).unwrap_or(max)
}
