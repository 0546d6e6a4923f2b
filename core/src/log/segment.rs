//! One segment of a partition: a file of batches, its two indexes, and how far it is written.
//!
//! ```text
//!   0              synced           written            size
//!   |--- on disk ---|--- in the OS ---|--- in memory ---|
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::log::checkpoint::{SegmentCheckpoint, read_whole};
use crate::log::offset_index::OffsetIndex;
use crate::log::time_index::TimeIndex;
use crate::record::BatchHeader;
use crate::storage::{File, OpenMode, Storage};
use crate::types::{Offset, Timestamp};

/// A segment; guarded by its partition's lock.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base: Offset,
    /// The `.log` file, once somebody opened it.
    pub(crate) file: Option<Arc<dyn File>>,
    /// Where the next batch goes.
    pub(crate) size: u64,
    /// What the operating system has.
    pub(crate) written: u64,
    /// What survives the machine.
    pub(crate) synced: u64,
    /// The largest timestamp of the first batch: `segment.ms` counts from it.
    pub(crate) first_timestamp: Timestamp,
    pub(crate) max_timestamp: Timestamp,
    pub(crate) max_timestamp_offset: Offset,
    /// `None` until somebody reads or appends, for a segment that was there at open.
    pub(crate) indexes: Option<Indexes>,
}

/// The indexes of a segment in memory, and how much of them the files have.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    pub(crate) offsets: OffsetIndex,
    pub(crate) times: TimeIndex,
    saved_offsets: usize,
    saved_times: usize,
    /// Bytes appended since the last entry.
    since_entry: u64,
    /// Whether the files hold entries that memory no longer has.
    cut: bool,
}

impl Segment {
    /// An empty segment whose file does not exist yet.
    pub(crate) fn new(base: Offset) -> Self {
        Self {
            base,
            file: None,
            size: 0,
            written: 0,
            synced: 0,
            first_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
            max_timestamp_offset: Offset(-1),
            indexes: Some(Indexes::default()),
        }
    }

    /// A segment as a checkpoint tells it, nothing opened.
    pub(crate) fn from_checkpoint(saved: &SegmentCheckpoint) -> Self {
        Self {
            size: saved.len,
            written: saved.len,
            synced: saved.len,
            first_timestamp: saved.first_timestamp,
            max_timestamp: saved.max_timestamp,
            max_timestamp_offset: saved.max_timestamp_offset,
            indexes: (saved.len == 0).then(Indexes::default),
            ..Self::new(saved.base)
        }
    }

    /// What a checkpoint says of this segment.
    pub(crate) fn to_checkpoint(&self) -> SegmentCheckpoint {
        SegmentCheckpoint {
            base: self.base,
            len: self.size,
            first_timestamp: self.first_timestamp,
            max_timestamp: self.max_timestamp,
            max_timestamp_offset: self.max_timestamp_offset,
        }
    }

    /// Takes in a batch of `len` bytes at the end: timestamps, index entries, size.
    pub(crate) fn admit(&mut self, header: &BatchHeader, len: u64, index_interval: u64) {
        if self.size == 0 {
            self.first_timestamp = header.max_timestamp;
        }
        if header.max_timestamp > self.max_timestamp {
            self.max_timestamp = header.max_timestamp;
            self.max_timestamp_offset = header.last_offset();
        }
        if let Some(indexes) = &mut self.indexes {
            if indexes.since_entry > index_interval {
                indexes
                    .offsets
                    .push(self.base, header.last_offset(), self.size);
                indexes
                    .times
                    .push(self.base, self.max_timestamp, self.max_timestamp_offset);
                indexes.since_entry = 0;
            }
            indexes.since_entry += len;
        }
        self.size += len;
    }

    /// Whether a batch of `len` bytes with these header fields must begin a new segment.
    pub(crate) fn must_roll(&self, header: &BatchHeader, len: u64, max: u64, max_ms: i64) -> bool {
        if self.size == 0 {
            return false;
        }
        let too_long = self.size + len > max;
        let too_old = self.first_timestamp.0 >= 0
            && header
                .max_timestamp
                .0
                .saturating_sub(self.first_timestamp.0)
                > max_ms;
        let out_of_index = header.last_offset().0 - self.base.0 > i64::from(i32::MAX);
        too_long || too_old || out_of_index
    }

    /// The segment's open file.
    pub(crate) fn open(&mut self, storage: &dyn Storage, dir: &Path) -> Result<Arc<dyn File>> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let path = log_file(dir, self.base);
        let file = storage
            .open(&path, OpenMode::Write)
            .map_err(|error| Error::io("open the segment", &path, error))?;
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Loads the indexes from their files, or builds them anew where those do not fit.
    pub(crate) fn load_indexes(
        &mut self,
        storage: &dyn Storage,
        dir: &Path,
        index_interval: u64,
    ) -> Result<&mut Indexes> {
        if self.indexes.is_none() {
            self.check_len(storage, dir)?;
            let loaded = match self.read_index_files(storage, dir)? {
                Some(indexes) => indexes,
                None => self.rebuild_indexes(storage, dir, index_interval)?,
            };
            self.indexes = Some(loaded);
        }
        Ok(self.indexes.get_or_insert_default())
    }

    /// A file that became shorter must not be read as a short log, nor written on.
    fn check_len(&mut self, storage: &dyn Storage, dir: &Path) -> Result<()> {
        let file = self.open(storage, dir)?;
        let len = file
            .len()
            .map_err(|error| Error::io("measure the segment", file.path(), error))?;
        if len < self.written {
            let what = format!(
                "the segment has {len} bytes, {} were written: restore the file from a copy",
                self.written
            );
            return Err(Error::new(ErrorKind::CorruptMessage, what)
                .path(file.path())
                .position(len));
        }
        Ok(())
    }

    fn read_index_files(&self, storage: &dyn Storage, dir: &Path) -> Result<Option<Indexes>> {
        let offsets = read_whole(storage, &index_file(dir, self.base))?;
        let times = read_whole(storage, &time_index_file(dir, self.base))?;
        let (Some(offsets), Some(times)) = (offsets, times) else {
            return Ok(None);
        };
        let decoded = OffsetIndex::decode(&offsets, self.size).zip(TimeIndex::decode(&times));
        Ok(decoded.map(|(offsets, times)| Indexes {
            saved_offsets: offsets.len(),
            saved_times: times.len(),
            // The bytes since the last entry, with that entry's own batch counted in.
            since_entry: self.size - offsets.last_position().unwrap_or(0),
            offsets,
            times,
            cut: false,
        }))
    }

    /// Builds the indexes from the segment's batch headers.
    pub(crate) fn rebuild_indexes(
        &mut self,
        storage: &dyn Storage,
        dir: &Path,
        index_interval: u64,
    ) -> Result<Indexes> {
        let file = self.open(storage, dir)?;
        let mut anew = Self::new(self.base);
        let mut next = self.base;
        while anew.size < self.written {
            let mut head = [0; BatchHeader::LEN];
            let path = file.path();
            file.read_at(&mut head, anew.size)
                .map_err(|error| Error::io("read a batch header", path, error))?;
            let header =
                BatchHeader::parse(&head).map_err(|error| error.path(path).position(anew.size))?;
            if header.base_offset != next {
                let what = format!(
                    "the batch begins at offset {}, {next} was written there: restore the file \
                     from a copy",
                    header.base_offset
                );
                return Err(Error::new(ErrorKind::CorruptMessage, what)
                    .path(path)
                    .position(anew.size));
            }
            next = header.next_offset();
            anew.admit(&header, header.size() as u64, index_interval);
        }
        Ok(anew.indexes.take().unwrap_or_default())
    }

    /// The index entries that the files do not have yet, taken as written from here on.
    pub(crate) fn unsaved_index_entries(&mut self, dir: &Path) -> Vec<IndexWrite> {
        let Some(indexes) = &mut self.indexes else {
            return Vec::new();
        };
        let mut writes = Vec::new();
        if indexes.cut || indexes.saved_offsets < indexes.offsets.len() {
            writes.push(IndexWrite {
                path: index_file(dir, self.base),
                position: (indexes.saved_offsets * OffsetIndex::ENTRY_LEN) as u64,
                entries: indexes.offsets.encode_from(indexes.saved_offsets),
            });
            indexes.saved_offsets = indexes.offsets.len();
        }
        if indexes.cut || indexes.saved_times < indexes.times.len() {
            writes.push(IndexWrite {
                path: time_index_file(dir, self.base),
                position: (indexes.saved_times * TimeIndex::ENTRY_LEN) as u64,
                entries: indexes.times.encode_from(indexes.saved_times),
            });
            indexes.saved_times = indexes.times.len();
        }
        indexes.cut = false;
        writes
    }

    /// Has all index entries written again, since a write failed.
    pub(crate) fn index_files_failed(&mut self) {
        if let Some(indexes) = &mut self.indexes {
            (indexes.saved_offsets, indexes.saved_times) = (0, 0);
            indexes.cut = true;
        }
    }

    /// Cuts the segment's bookkeeping at `position`, the end offset being `end`.
    pub(crate) fn truncate_indexes(&mut self, position: u64, end: Offset) {
        if let Some(indexes) = &mut self.indexes {
            indexes.offsets.truncate(position);
            indexes.times.truncate(self.base, end);
            indexes.saved_offsets = indexes.saved_offsets.min(indexes.offsets.len());
            indexes.saved_times = indexes.saved_times.min(indexes.times.len());
            indexes.cut = true;
            indexes.since_entry = position - indexes.offsets.last_position().unwrap_or(0);
        }
    }
}

/// Entries on their way to an index file, which ends behind them.
#[derive(Debug)]
pub(crate) struct IndexWrite {
    path: PathBuf,
    position: u64,
    entries: Vec<u8>,
}

impl IndexWrite {
    /// Writes them. They are not synced: an index that a power loss spoils is built anew.
    pub(crate) fn run(&self, storage: &dyn Storage) -> Result<()> {
        let write = || -> std::io::Result<()> {
            let file = storage.open(&self.path, OpenMode::CreateOrOpen)?;
            file.set_len(self.position)?;
            file.write_at(&[&self.entries], self.position)
        };
        write().map_err(|error| Error::io("write the index", &self.path, error))
    }
}

/// The name that a segment's files share: its base offset in 20 digits.
pub(crate) fn stem(base: Offset) -> String {
    format!("{:020}", base.0)
}

pub(crate) fn log_file(dir: &Path, base: Offset) -> PathBuf {
    dir.join(stem(base) + ".log")
}

pub(crate) fn index_file(dir: &Path, base: Offset) -> PathBuf {
    dir.join(stem(base) + ".index")
}

pub(crate) fn time_index_file(dir: &Path, base: Offset) -> PathBuf {
    dir.join(stem(base) + ".timeindex")
}

/// The base offset that a file name tells, if it is a segment's `.log`.
pub(crate) fn base_of(name: &str) -> Option<Offset> {
    let stem = name.strip_suffix(".log")?;
    let digits = stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| stem.parse().ok().map(Offset)).flatten()
}
