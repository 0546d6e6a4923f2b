//! Opening a data folder: after a clean shutdown from the checkpoint alone, after a crash by
//! replaying the journal and reading what the checkpoint does not vouch for.
//!
//! ```text
//!   segment N-1          segment N (the last that has bytes)
//!   |--- vouched ------|--- vouched ---|--- read and checked ---|x torn: cut off
//!                                      recovery point
//! ```
//!
//! A bad batch is cut off only at the end of the last segment, and only if the journal does not
//! prove that something behind it was acknowledged. Anywhere else opening fails, naming the place.

use std::path::Path;
use std::sync::Arc;

use crate::bounded::HashMap;
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::log::checkpoint::{Checkpoint, PartitionCheckpoint, read_whole};
use crate::log::flush::{make_partition_dir, metadata_text, snapshot_file};
use crate::log::partition_log::PartitionLog;
use crate::log::producer_state::ProducerStates;
use crate::log::replay::{ReplayStart, Replayed, replay};
use crate::log::segment::{Segment, base_of, index_file, log_file, time_index_file};
use crate::log::store::{CLEAN, PartitionSpec};
use crate::record::{self, BatchHeader};
use crate::storage::{File, OpenMode, Storage};
use crate::types::{Offset, Partition, TopicId};

/// What opening found.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// The journal's last group; all up to it is in the files.
    pub(crate) sequence: u64,
    pub(crate) generation: u64,
    /// Whether the folder was closed whole.
    pub(crate) clean: bool,
    pub(crate) partitions: Vec<Found>,
}

/// One partition as it was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) saved: PartitionCheckpoint,
    producers: ProducerStates,
    /// The segments that were read, with their indexes.
    scanned: Vec<Segment>,
}

impl Found {
    /// Whether some of it was read, because no checkpoint vouched for it.
    pub(crate) fn was_read(&self) -> bool {
        !self.scanned.is_empty()
    }

    /// Puts what was read into a partition made from `saved`.
    pub(crate) fn install(self, log: &PartitionLog) {
        let mut state = log.lock();
        state.producers = self.producers;
        for segment in self.scanned {
            if let Some(place) = state.segment_mut(segment.base) {
                *place = segment;
            }
        }
    }
}

/// Reads the folder; see the head of this file.
pub(crate) fn recover(
    env: &Env,
    dir: &Path,
    journal: u64,
    known: &[PartitionSpec],
) -> Result<Recovered> {
    let storage = &*env.storage;
    let checkpoint = Checkpoint::load(storage, dir)?;
    let clean = read_whole(storage, &dir.join(CLEAN))?.is_some();
    let known_retired = checkpoint.as_ref().map(|found| found.journal_retired);
    let checkpoint = match (checkpoint, clean) {
        (Some(checkpoint), _) => checkpoint,
        (None, false) => Checkpoint::default(),
        (None, true) => {
            let what = "the folder was closed whole but its checkpoint is gone: restore it, or \
                        remove the file clean-shutdown and the folder journal to have everything \
                        read again";
            return Err(Error::new(ErrorKind::CorruptMessage, what)
                .path(&crate::log::checkpoint::file(dir)));
        }
    };
    let mut recovered = Recovered {
        sequence: checkpoint.journal_retired,
        generation: checkpoint.journal_generation,
        clean,
        partitions: Vec::new(),
    };
    let mut saved: HashMap<_, _> = checkpoint
        .partitions
        .into_iter()
        .map(|saved| ((saved.id, saved.partition.partition), saved))
        .collect();
    if clean {
        for spec in known {
            if let Some(saved) = saved.remove(&(spec.id, spec.partition.partition)) {
                recovered.partitions.push(open_clean(storage, dir, saved)?);
            }
        }
        return Ok(recovered);
    }
    remove_deleted(storage, dir)?;
    for spec in known {
        let vouched = saved.get(&(spec.id, spec.partition.partition));
        let vouched = vouched.is_some_and(|saved| !saved.segments.is_empty());
        claim_dir(env, dir, spec, vouched)?;
    }
    let start = ReplayStart {
        journal,
        retired: known_retired,
        bytes: checkpoint.journal_bytes,
    };
    let replayed = replay(storage, dir, &start, known, &saved)?;
    recovered.sequence = replayed.sequence;
    recovered.generation = recovered.generation.max(replayed.generation);
    for spec in known {
        let saved = saved.remove(&(spec.id, spec.partition.partition));
        let scan = Scan {
            storage,
            dir: dir.join(spec.partition.to_string()),
            spec,
        };
        recovered
            .partitions
            .extend(scan.partition(saved, &replayed)?);
    }
    Ok(recovered)
}

/// Removes the mark of a clean shutdown, before anything is written.
pub(crate) fn remove_clean_mark(env: &Env, dir: &Path) -> Result<()> {
    let path = dir.join(CLEAN);
    let remove = env
        .storage
        .remove_file(&path)
        .and_then(|()| env.storage.sync_dir(dir));
    remove.map_err(|error| Error::io("remove the mark of a clean shutdown", &path, error))
}

/// A partition of a folder that was closed whole: nothing is read but what producers there were.
fn open_clean(storage: &dyn Storage, dir: &Path, saved: PartitionCheckpoint) -> Result<Found> {
    let dir = dir.join(saved.partition.to_string());
    let producers = load_producers(storage, &dir, &saved)?.ok_or_else(|| {
        let what = "the snapshot of the partition's producers is gone or damaged: remove the file \
                    clean-shutdown to have it built anew";
        Error::new(ErrorKind::CorruptMessage, what)
            .partition(&saved.partition)
            .path(&dir)
    })?;
    Ok(Found {
        saved,
        producers,
        scanned: Vec::new(),
    })
}

/// The producers at the recovery point; `None` when there should be a snapshot and is not.
fn load_producers(
    storage: &dyn Storage,
    dir: &Path,
    saved: &PartitionCheckpoint,
) -> Result<Option<ProducerStates>> {
    if !saved.has_producers {
        return Ok(Some(ProducerStates::default()));
    }
    let path = dir.join(snapshot_file(saved.recovery_point));
    Ok(read_whole(storage, &path)?.and_then(|bytes| ProducerStates::decode(&bytes)))
}

/// Removes the folders of partitions whose deletion was under way.
fn remove_deleted(storage: &dyn Storage, dir: &Path) -> Result<()> {
    let fault = |error| Error::io("remove a deleted partition's folder", dir, error);
    for entry in storage.list(dir).map_err(fault)? {
        if entry.is_dir && is_deleted(&entry.name) {
            storage
                .remove_dir_all(&dir.join(&entry.name))
                .map_err(fault)?;
        }
    }
    Ok(())
}

/// Whether a folder's name is one that [`LogStore::delete`](crate::log::LogStore::delete) gives.
fn is_deleted(name: &str) -> bool {
    let mark = name
        .strip_suffix("-delete")
        .and_then(|name| name.rsplit_once('.'));
    mark.is_some_and(|(_, id)| id.len() == 32 && uuid::Uuid::parse_str(id).is_ok())
}

/// Sets aside a folder that bears the partition's name but belongs to an older topic of that name.
/// If the checkpoint vouches for the partition's files, then it is no other topic's.
fn claim_dir(env: &Env, root: &Path, spec: &PartitionSpec, vouched: bool) -> Result<()> {
    let dir = root.join(spec.partition.to_string());
    let path = dir.join("partition.metadata");
    let Some(metadata) = read_whole(&*env.storage, &path)? else {
        return Ok(());
    };
    let own = metadata_text(spec.id);
    if metadata == own.as_bytes() {
        return Ok(());
    }
    if vouched || metadata.len() != own.len() {
        let what = "the file does not name this topic: it is damaged. Restore it from a copy, or \
                    remove it if the folder is this topic's";
        return Err(Error::new(ErrorKind::CorruptMessage, what)
            .partition(&spec.partition)
            .path(&path));
    }
    let mark = env.random.uuid();
    let stray = root.join(format!("{}.{}-stray", spec.partition, mark.simple()));
    tracing::warn!(dir = %stray.display(), "the folder belongs to a deleted topic: set aside");
    env.storage
        .rename(&dir, &stray)
        .and_then(|()| env.storage.sync_dir(root))
        .map_err(|error| Error::io("set a deleted partition's folder aside", &dir, error))
}

/// Reading one partition's files.
struct Scan<'a> {
    storage: &'a dyn Storage,
    dir: std::path::PathBuf,
    spec: &'a PartitionSpec,
}

/// The state of a scan between two batches.
struct Progress {
    next: Offset,
    producers: ProducerStates,
}

impl Scan<'_> {
    fn partition(
        &self,
        saved: Option<PartitionCheckpoint>,
        replayed: &Replayed,
    ) -> Result<Option<Found>> {
        let files = self.segment_files()?;
        let key = (self.spec.id, self.spec.partition.partition);
        let proven = replayed.ends.get(&key).copied();
        let saved = saved.unwrap_or_else(|| self.unsaved(&files));
        let files = self.remove_expired(files, &saved)?;
        self.check_vouched(&files, &saved)?;
        if files.is_empty() && saved.recovery_point == Offset(0) {
            return Ok(None);
        }
        let found = self.read(&files, saved)?;
        match proven.filter(|proven| *proven > found.saved.recovery_point) {
            None => Ok(Some(found)),
            Some(proven) => Err(self
                .refuse("records that were acknowledged are not there")
                .offset(found.saved.recovery_point)
                .source(std::io::Error::other(format!(
                    "the journal proves offsets up to {proven}"
                )))),
        }
    }

    /// The segments' files with their lengths, by base offset.
    fn segment_files(&self) -> Result<Vec<(Offset, u64)>> {
        let entries = match self.storage.list(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::io("list the partition's folder", &self.dir, error)),
        };
        Ok(entries
            .iter()
            .filter(|entry| !entry.is_dir)
            .filter_map(|entry| Some((base_of(&entry.name)?, entry.len)))
            .collect())
    }

    /// What stands for a checkpoint where there is none: nothing is vouched for.
    fn unsaved(&self, files: &[(Offset, u64)]) -> PartitionCheckpoint {
        let start = files.first().map_or(Offset(0), |first| first.0);
        PartitionCheckpoint {
            id: self.spec.id,
            partition: self.spec.partition.clone(),
            log_start: start,
            recovery_point: start,
            has_producers: false,
            segments: Vec::new(),
        }
    }

    /// Removes what retention removed from the log, and empty files, wherever they are: what comes
    /// after a segment that got nothing may have gone into the one before it.
    fn remove_expired(
        &self,
        files: Vec<(Offset, u64)>,
        saved: &PartitionCheckpoint,
    ) -> Result<Vec<(Offset, u64)>> {
        let first = saved
            .segments
            .first()
            .map_or(saved.recovery_point, |first| first.base);
        let mut kept = Vec::new();
        for (base, len) in files {
            let vouched = saved.segments.iter().any(|segment| segment.base == base);
            if base < first || (len == 0 && !vouched) {
                for path in [
                    log_file(&self.dir, base),
                    index_file(&self.dir, base),
                    time_index_file(&self.dir, base),
                ] {
                    remove_if_there(self.storage, &path)?;
                }
            } else {
                kept.push((base, len));
            }
        }
        Ok(kept)
    }

    /// Every segment that the checkpoint vouches for must be there, long enough.
    fn check_vouched(&self, files: &[(Offset, u64)], saved: &PartitionCheckpoint) -> Result<()> {
        for vouched in saved.segments.iter().filter(|segment| segment.len > 0) {
            let len = files
                .iter()
                .find(|file| file.0 == vouched.base)
                .map_or(0, |file| file.1);
            if len < vouched.len {
                let what = format!("the file has {len} bytes, {} were durable", vouched.len);
                let path = log_file(&self.dir, vouched.base);
                return Err(self.refuse(&what).path(&path).position(len));
            }
        }
        Ok(())
    }

    /// Reads what the checkpoint does not vouch for.
    fn read(&self, files: &[(Offset, u64)], mut saved: PartitionCheckpoint) -> Result<Found> {
        let durable = saved.segments.clone();
        let durable_len = |base| {
            let found = durable.iter().find(|segment| segment.base == base);
            found.map_or(0, |segment| segment.len)
        };
        let mut progress = match load_producers(self.storage, &self.dir, &saved)? {
            Some(producers) => Progress {
                next: saved.recovery_point,
                producers,
            },
            None => {
                // Without the snapshot the producers are known only from the whole log.
                saved.recovery_point = saved.segments.first().map_or(saved.log_start, |s| s.base);
                saved.segments.clear();
                Progress {
                    next: saved.recovery_point,
                    producers: ProducerStates::default(),
                }
            }
        };
        let from = saved.segments.last().map_or(Offset(0), |last| last.base);
        let unread: Vec<_> = files.iter().filter(|file| file.0 >= from).collect();
        let mut scanned = Vec::new();
        for (at, (base, len)) in unread.iter().enumerate() {
            let vouched = saved.segments.pop_if(|last| last.base == *base);
            let end = saved.recovery_point;
            let mut segment = self.resume(*base, vouched.as_ref(), end, &mut progress)?;
            let path = log_file(&self.dir, *base);
            let file = segment.open(self.storage, &self.dir)?;
            segment.indexes.get_or_insert_default();
            let broken = self.scan(&*file, &mut segment, *len, &mut progress)?;
            if let Some(reason) = broken {
                let last = unread[at + 1..].iter().all(|later| later.1 == 0);
                if !last || segment.size < durable_len(*base) {
                    return Err(self
                        .refuse("a batch in the middle of the log is damaged")
                        .path(&path)
                        .position(segment.size)
                        .source(reason));
                }
                tracing::warn!(file = %path.display(), position = segment.size, %reason,
                    "the torn end of the log is cut off");
                segment.truncate_indexes(segment.size, progress.next);
                file.set_len(segment.size)
                    .map_err(|error| Error::io("cut the segment", &path, error))?;
            }
            self.write_again(&*file, durable_len(*base), segment.size)?;
            file.sync()
                .map_err(|error| Error::io("sync the segment", &path, error))?;
            if segment.size == 0 {
                // Nothing of it is left; the next append makes a segment of its own accord.
                remove_if_there(self.storage, &path)?;
                continue;
            }
            (segment.written, segment.synced) = (segment.size, segment.size);
            saved.segments.push(segment.to_checkpoint());
            scanned.push(segment);
        }
        if !scanned.is_empty() {
            let sync = self.storage.sync_dir(&self.dir);
            sync.map_err(|error| Error::io("sync the folder", &self.dir, error))?;
        }
        // A snapshot at another offset than the end is of no use; the first checkpoint makes one.
        saved.has_producers &= saved.recovery_point == progress.next;
        saved.recovery_point = progress.next;
        Ok(Found {
            saved,
            producers: progress.producers,
            scanned,
        })
    }

    /// Writes what nobody vouches for once more. A sync may have failed before the process ended:
    /// the system then takes the bytes for written, so that a sync alone would not write them.
    fn write_again(&self, file: &dyn File, from: u64, to: u64) -> Result<()> {
        let mut bytes = vec![0; Window::LEN];
        let mut position = from;
        let mut copy = || -> std::io::Result<()> {
            while position < to {
                let left = usize::try_from(to - position).unwrap_or(usize::MAX);
                let len = left.min(bytes.len());
                let read = file.read_at(&mut bytes[..len], position)?;
                file.write_at(&[&bytes[..read]], position)?;
                if read == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                position += read as u64;
            }
            Ok(())
        };
        copy().map_err(|error| Error::io("write the segment again", file.path(), error))
    }

    /// A segment as far as it is vouched for, ready to take in the rest.
    fn resume(
        &self,
        base: Offset,
        vouched: Option<&crate::log::checkpoint::SegmentCheckpoint>,
        recovery_point: Offset,
        progress: &mut Progress,
    ) -> Result<Segment> {
        let Some(vouched) = vouched.filter(|vouched| vouched.len > 0) else {
            if base != progress.next {
                let path = log_file(&self.dir, base);
                let what = format!(
                    "the segment begins at {base}, {} is expected",
                    progress.next
                );
                return Err(self.refuse(&what).path(&path));
            }
            return Ok(Segment::new(base));
        };
        let mut segment = Segment::from_checkpoint(vouched);
        let interval = self.spec.config.index_interval_bytes;
        segment.load_indexes(self.storage, &self.dir, interval)?;
        segment.truncate_indexes(vouched.len, recovery_point);
        Ok(segment)
    }

    /// Takes in batches from the segment's size on; returns why it stopped before `len`, if so.
    fn scan(
        &self,
        file: &dyn File,
        segment: &mut Segment,
        len: u64,
        progress: &mut Progress,
    ) -> Result<Option<Error>> {
        let path = log_file(&self.dir, segment.base);
        let interval = self.spec.config.index_interval_bytes;
        let mut window = Window {
            file,
            path: &path,
            from: 0,
            bytes: Vec::new(),
        };
        while segment.size < len {
            let header = match window.batch(segment.size, len)? {
                // Every batch begins where the one before it ended.
                Ok(header) if header.base_offset == progress.next => header,
                Ok(header) => {
                    let what = format!("offset {} after {}", header.base_offset, progress.next);
                    return Ok(Some(Error::new(ErrorKind::CorruptMessage, what)));
                }
                Err(reason) => return Ok(Some(reason)),
            };
            segment.admit(&header, header.size() as u64, interval);
            progress.producers.observe(&header);
            progress.next = header.next_offset();
        }
        Ok(None)
    }

    fn refuse(&self, what: &str) -> Error {
        let what = format!(
            "{what}: the log does not open, so that nothing is lost in silence. Restore the file \
             from a copy, or delete the topic's folder to give its data up"
        );
        Error::new(ErrorKind::CorruptMessage, what).partition(&self.spec.partition)
    }
}

/// A part of a file in memory, moved along as it is read.
struct Window<'a> {
    file: &'a dyn File,
    path: &'a Path,
    from: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    const LEN: usize = 1 << 20;

    /// The batch at `position`, checked; the inner error says what is wrong with it.
    fn batch(&mut self, position: u64, len: u64) -> Result<Result<BatchHeader>> {
        let left = usize::try_from(len - position).unwrap_or(usize::MAX);
        let head = match BatchHeader::parse(self.at(position, BatchHeader::LEN.min(left))?) {
            Ok(header) => header,
            Err(reason) => return Ok(Err(reason)),
        };
        if head.size() > left {
            let what = format!(
                "a batch of {} bytes with {left} left in the file",
                head.size()
            );
            return Ok(Err(Error::new(ErrorKind::CorruptMessage, what)));
        }
        Ok(record::check_crc(self.at(position, head.size())?))
    }

    fn at(&mut self, position: u64, len: usize) -> Result<&[u8]> {
        let inside =
            position >= self.from && position + len as u64 <= self.from + self.bytes.len() as u64;
        if !inside {
            self.bytes.resize(len.max(Self::LEN), 0);
            let read = self
                .file
                .read_at(&mut self.bytes, position)
                .map_err(|error| {
                    Error::io("read the segment", self.path, error).position(position)
                })?;
            self.bytes.truncate(read);
            self.from = position;
        }
        let at = usize::try_from(position - self.from).unwrap_or(usize::MAX);
        Ok(self.bytes.get(at..at + len).unwrap_or_default())
    }
}

fn remove_if_there(storage: &dyn Storage, path: &Path) -> Result<()> {
    match storage.remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("remove the file", path, error)),
    }
}

/// Opens (or makes) a segment's file for the replay.
pub(crate) fn open_for_replay(
    storage: &dyn Storage,
    dir: &Path,
    id: TopicId,
    base: Offset,
) -> Result<Arc<dyn File>> {
    let path = log_file(dir, base);
    let fault = |error| Error::io("open the segment", &path, error);
    match storage.open(&path, OpenMode::Write) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        opened => return opened.map_err(fault),
    }
    make_partition_dir(storage, dir, id)?;
    storage.open(&path, OpenMode::CreateOrOpen).map_err(fault)
}

/// How partitions are told apart.
pub(crate) type Key = (TopicId, Partition);
