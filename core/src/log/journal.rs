//! The journal: one write and one sync for every batch that waits, whatever its partition.
//!
//! One worker takes *everything* queued, writes it as a group behind the last one, syncs, moves the
//! high watermarks and answers. The partitions' files get the bytes later, in large runs
//! (`flush.rs`). Two files take turns: when one is full the other is begun, once the checkpoint
//! says that all in it is in the partitions' files. They grow, filled with zeros ahead of use, as
//! long as they fill up quickly: overwriting zeroed bytes costs half of extending a file.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use crate::error::{Error, ErrorKind, Result};
use crate::log::flush::{is_full, sync_failed};
use crate::log::journal_format::{EntryHead, encode_group, group_len};
use crate::log::partition_log::PartitionLog;
use crate::log::store::Shared;
use crate::storage::{File, OpenMode};
use crate::sync::lock;
use crate::types::Offset;

/// A group goes to the partitions' own files only if it touches no more of them than this.
const DIRECT_PARTITIONS_MAX: usize = 2;

/// A batch that waits to be durable.
#[derive(Debug)]
pub(crate) struct JournalItem {
    pub(crate) log: Arc<PartitionLog>,
    pub(crate) head: EntryHead,
    pub(crate) batch: Bytes,
    /// Whether bytes before it went around the journal and must be synced before it is answered.
    pub(crate) sync_first: bool,
    pub(crate) done: oneshot::Sender<Result<()>>,
}

/// What waits for the journal's worker, and what the other workers know of it.
#[derive(Debug)]
pub(crate) struct JournalQueue {
    waiting: Mutex<Waiting>,
    bell: Notify,
    /// The bell is rung when this many items wait.
    wanted: AtomicUsize,
    /// The last group that is durable and whose watermarks have moved.
    pub(crate) completed: AtomicU64,
    /// Every group up to this one is in the partitions' files, durably.
    pub(crate) retired: AtomicU64,
    pub(crate) retired_bell: Notify,
    /// How often a file was begun.
    pub(crate) generation: AtomicU64,
    /// Whether the files fill up fast and should grow.
    pub(crate) grow: AtomicBool,
    /// The bytes that each of the files has at least.
    pub(crate) bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    items: Vec<JournalItem>,
    closed: bool,
}

impl JournalQueue {
    pub(crate) fn new(sequence: u64, generation: u64) -> Self {
        Self {
            waiting: Mutex::default(),
            bell: Notify::new(),
            wanted: AtomicUsize::new(1),
            completed: AtomicU64::new(sequence),
            retired: AtomicU64::new(sequence),
            retired_bell: Notify::new(),
            generation: AtomicU64::new(generation),
            grow: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
        }
    }

    /// Queues a batch; called under its partition's lock, which keeps the partition's order.
    pub(crate) fn push(&self, item: JournalItem) {
        let mut waiting = lock(&self.waiting);
        if waiting.closed {
            drop(waiting);
            drop(item);
            return;
        }
        waiting.items.push(item);
        let count = waiting.items.len();
        drop(waiting);
        if count == self.wanted.load(Ordering::Relaxed) || count == 1 {
            self.bell.notify_one();
        }
    }

    /// Takes no more batches; the worker ends when it has served those that wait.
    pub(crate) fn close(&self) {
        lock(&self.waiting).closed = true;
        self.bell.notify_one();
    }

    /// Takes no more batches and gives up those that wait.
    pub(crate) fn abandon(&self) {
        let items = {
            let mut waiting = lock(&self.waiting);
            waiting.closed = true;
            std::mem::take(&mut waiting.items)
        };
        drop(items);
        self.bell.notify_one();
    }

    fn len(&self) -> usize {
        lock(&self.waiting).items.len()
    }
}

/// One of the two files.
#[derive(Debug)]
pub(crate) struct RingFile {
    pub(crate) file: Arc<dyn File>,
    /// Its zeroed length; grown by the checkpoint worker while the file is not in use.
    pub(crate) len: AtomicU64,
    /// The last group in it.
    pub(crate) last_sequence: AtomicU64,
}

/// The two files.
#[derive(Debug)]
pub(crate) struct Ring {
    pub(crate) files: [RingFile; 2],
    /// Which of them takes groups; held while the other one grows, so that no sync of the one
    /// hides an error from the other.
    active: Mutex<usize>,
}

/// The paths of the two files in a data folder.
pub(crate) fn ring_files(dir: &Path) -> [PathBuf; 2] {
    ["a", "b"].map(|name| dir.join("journal").join(name))
}

impl Ring {
    /// Opens the two files, making them and filling them with zeros where need be.
    pub(crate) fn open(shared_dir: &Path, shared: &crate::env::Env, len_min: u64) -> Result<Self> {
        let storage = &*shared.storage;
        let dir = shared_dir.join("journal");
        let fault = |path: &Path, error| Error::io("open the journal", path, error);
        storage
            .create_dir_all(&dir)
            .map_err(|error| fault(&dir, error))?;
        let open = |path: PathBuf| -> Result<RingFile> {
            let file = storage
                .open(&path, OpenMode::CreateOrOpen)
                .map_err(|error| fault(&path, error))?;
            let len = file.len().map_err(|error| fault(&path, error))?;
            if len < len_min {
                fill(&*file, len, len_min)?;
            } else {
                // It may have been growing when the process was killed.
                file.sync().map_err(|error| fault(&path, error))?;
            }
            let len = AtomicU64::new(len.max(len_min));
            Ok(RingFile {
                file,
                len,
                last_sequence: AtomicU64::new(0),
            })
        };
        let [a, b] = ring_files(shared_dir);
        let files = [open(a)?, open(b)?];
        storage.sync_dir(&dir).map_err(|error| fault(&dir, error))?;
        storage
            .sync_dir(shared_dir)
            .map_err(|error| fault(shared_dir, error))?;
        Ok(Self {
            files,
            active: Mutex::new(0),
        })
    }

    /// The bytes that each of the files has at least.
    pub(crate) fn bytes(&self) -> u64 {
        let lens = self.files.iter().map(|file| &file.len);
        lens.map(|len| len.load(Ordering::Acquire))
            .min()
            .unwrap_or(0)
    }

    /// Doubles the file that is not in use, up to `max` bytes.
    pub(crate) fn grow(&self, max: u64) -> Result<()> {
        let active = lock(&self.active);
        let file = &self.files[1 - *active];
        let len = file.len.load(Ordering::Acquire);
        let longer = (len * 2).min(max);
        if longer > len {
            fill(&*file.file, len, longer)?;
            file.len.store(longer, Ordering::Release);
        }
        Ok(())
    }
}

/// Fills a file with zeros from `from` to `to` and makes them durable.
fn fill(file: &dyn File, from: u64, to: u64) -> Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut position = from;
    let write = |position: &mut u64| -> std::io::Result<()> {
        while *position < to {
            let len = usize::try_from(to - *position)
                .unwrap_or(ZEROS.len())
                .min(ZEROS.len());
            file.write_at(&[&ZEROS[..len]], *position)?;
            *position += len as u64;
        }
        file.sync()
    };
    write(&mut position).map_err(|error| {
        Error::io("fill the journal with zeros", file.path(), error).position(position)
    })
}

/// The journal's worker.
pub(crate) struct Journal {
    shared: Arc<Shared>,
    ring: Arc<Ring>,
    id: u64,
    active: usize,
    position: u64,
    sequence: u64,
    /// The moving average of the batches a group holds.
    usual: f64,
    begun: std::time::Duration,
    buffer: Vec<u8>,
}

impl Journal {
    pub(crate) fn new(shared: Arc<Shared>, ring: Arc<Ring>, id: u64) -> Self {
        let sequence = shared.journal.completed.load(Ordering::Acquire);
        let begun = shared.env.clock.monotonic();
        Self {
            shared,
            ring,
            id,
            active: 0,
            position: 0,
            sequence,
            usual: 1.0,
            begun,
            buffer: Vec::new(),
        }
    }

    /// Serves the queue until it is closed and empty, or the disk fails.
    pub(crate) async fn run(mut self) {
        while let Some(items) = self.gather().await {
            let outcome = self.commit_when_possible(&items).await;
            self.answer(items, outcome);
        }
    }

    /// Commits a group; while the disk is full, those who wait for it wait on.
    async fn commit_when_possible(&mut self, items: &[JournalItem]) -> Result<()> {
        let mut full = false;
        loop {
            if let Some(failure) = self.shared.failure() {
                return Err(failure);
            }
            match self.commit(items).await {
                Err(error) if is_full(&error) && !self.shared.closing.load(Ordering::Acquire) => {
                    full = true;
                    self.shared.disk_full.store(true, Ordering::Relaxed);
                    self.shared.pause().await;
                }
                outcome => {
                    if full {
                        self.shared.disk_full.store(false, Ordering::Relaxed);
                    }
                    return outcome;
                }
            }
        }
    }

    /// Waits for batches, and a little longer when more usually come.
    async fn gather(&mut self) -> Option<Vec<JournalItem>> {
        let queue = &self.shared.journal;
        queue.wanted.store(1, Ordering::Relaxed);
        while queue.len() == 0 {
            if lock(&queue.waiting).closed {
                return None;
            }
            queue.bell.notified().await;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small count"
        )]
        let usual = self.usual as usize;
        if queue.len() < usual {
            queue.wanted.store(usual, Ordering::Relaxed);
            let clock = &self.shared.env.clock;
            let deadline = clock.monotonic() + self.shared.options.gather_max;
            while queue.len() < usual && clock.monotonic() < deadline {
                let bell = std::pin::pin!(queue.bell.notified());
                drop(futures_util::future::select(clock.sleep_until(deadline), bell).await);
            }
            queue.wanted.store(1, Ordering::Relaxed);
        }
        let items = std::mem::take(&mut lock(&queue.waiting).items);
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let count = items.len() as f64;
        self.usual = self.usual * 0.875 + count * 0.125;
        Some(items)
    }

    /// Makes a group durable, in the journal or in the partitions' own files.
    async fn commit(&mut self, items: &[JournalItem]) -> Result<()> {
        let len = group_len(items.iter().map(|item| item.batch.len())) as u64;
        let capacity = self.ring.files[self.active].len.load(Ordering::Acquire);
        let logs = distinct(items);
        let bytes: usize = items.iter().map(|item| item.batch.len()).sum();
        let big = bytes / logs.len() >= self.shared.options.direct_bytes_min;
        if (big && logs.len() <= DIRECT_PARTITIONS_MAX) || len > capacity {
            if len > capacity {
                self.want_room(len).await?;
            }
            return logs.iter().try_for_each(|log| log.write_and_sync());
        }
        for item in items.iter().filter(|item| item.sync_first) {
            item.log.write_and_sync()?;
        }
        if self.position + len > capacity {
            self.turn().await?;
        }
        self.write(items)
    }

    /// Sees to it that later groups as long as this one find room: in the other file if it is long
    /// enough, else once that one has grown.
    async fn want_room(&mut self, len: u64) -> Result<()> {
        let other = &self.ring.files[1 - self.active];
        if other.len.load(Ordering::Acquire) >= len {
            return self.turn().await;
        }
        self.shared.journal.grow.store(true, Ordering::Relaxed);
        self.shared.request_checkpoint();
        Ok(())
    }

    /// Writes and syncs one group.
    fn write(&mut self, items: &[JournalItem]) -> Result<()> {
        let sequence = self.sequence + 1;
        let generation = self.shared.journal.generation.load(Ordering::Acquire);
        let entries = items.iter().map(|item| (item.head, &item.batch[..]));
        encode_group(&mut self.buffer, self.id, generation, sequence, entries);
        let ring_file = &self.ring.files[self.active];
        let (file, position) = (&ring_file.file, self.position);
        file.write_at(&[&self.buffer], position).map_err(|error| {
            Error::io("write the journal", file.path(), error)
                .with_kind(ErrorKind::KafkaStorageError)
                .position(position)
        })?;
        file.sync()
            .map_err(|error| sync_failed(file.path(), error).position(position))?;
        self.position += self.buffer.len() as u64;
        self.sequence = sequence;
        ring_file.last_sequence.store(sequence, Ordering::Release);
        Ok(())
    }

    /// Goes on in the other file, once nothing in it is needed any more.
    async fn turn(&mut self) -> Result<()> {
        let queue = &self.shared.journal;
        let now = self.shared.env.clock.monotonic();
        // Filled within two seconds: a longer file means fewer checkpoints.
        let fast = now.saturating_sub(self.begun) < std::time::Duration::from_secs(2);
        queue.grow.store(fast, Ordering::Relaxed);
        let other = &self.ring.files[1 - self.active];
        let needed = other.last_sequence.load(Ordering::Acquire);
        if queue.retired.load(Ordering::Acquire) < needed {
            self.shared.request_checkpoint();
        }
        loop {
            let retired = queue.retired_bell.notified();
            if queue.retired.load(Ordering::Acquire) >= needed {
                break;
            }
            if let Some(failure) = self.shared.failure() {
                return Err(failure);
            }
            retired.await;
        }
        self.active = {
            let mut active = lock(&self.ring.active);
            *active = 1 - *active;
            *active
        };
        self.position = 0;
        self.begun = self.shared.env.clock.monotonic();
        queue.generation.fetch_add(1, Ordering::AcqRel);
        self.shared.request_checkpoint();
        Ok(())
    }

    /// Lets readers see the group and tells those who wait.
    fn answer(&self, items: Vec<JournalItem>, outcome: Result<()>) {
        let outcome = match outcome {
            Ok(()) => {
                for written in ends(&items) {
                    written.log.see(written.end, written.batches);
                    written.log.list_for_flush(written.bytes, false);
                }
                self.shared
                    .journal
                    .completed
                    .store(self.sequence, Ordering::Release);
                Ok(())
            }
            Err(error) => {
                self.shared.fail(&error);
                Err(error)
            }
        };
        for item in items {
            drop(item.done.send(outcome.clone()));
        }
    }
}

impl PartitionLog {
    /// Makes the tail, as it is now, durable in the partition's own files.
    fn write_and_sync(&self) -> Result<()> {
        self.unless_deleted(self.flush_tail().and_then(|()| self.sync_files()))
    }

    /// Lets readers see all before `end`, now that `batches` of those in flight are durable.
    fn see(&self, end: Offset, batches: usize) {
        let mut state = self.lock();
        state.in_flight -= batches;
        let raised = state.raise_watermark(end);
        let settled = state.in_flight == 0;
        drop(state);
        if raised || settled {
            self.wake_watchers();
        }
    }
}

/// The partitions of a group, once each.
fn distinct(items: &[JournalItem]) -> Vec<&Arc<PartitionLog>> {
    let mut logs: Vec<_> = items.iter().map(|item| &item.log).collect();
    logs.sort_by_key(|log| log.serial);
    logs.dedup_by_key(|log| log.serial);
    logs
}

/// What a group brought one partition.
struct Written<'a> {
    log: &'a Arc<PartitionLog>,
    end: Offset,
    batches: usize,
    bytes: usize,
}

/// The partitions of a group, each with what it got.
fn ends(items: &[JournalItem]) -> Vec<Written<'_>> {
    let mut sorted: Vec<_> = items.iter().collect();
    sorted.sort_by_key(|item| item.log.serial);
    let mut ends: Vec<Written<'_>> = Vec::new();
    for item in sorted {
        let (end, bytes) = (item.head.next_offset, item.batch.len());
        match ends
            .last_mut()
            .filter(|last| last.log.serial == item.log.serial)
        {
            Some(last) => {
                last.end = end;
                last.batches += 1;
                last.bytes += bytes;
            }
            None => ends.push(Written {
                log: &item.log,
                end,
                batches: 1,
                bytes,
            }),
        }
    }
    ends
}
