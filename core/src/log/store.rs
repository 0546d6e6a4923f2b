//! All partitions of one data folder, with the journal and the workers that serve them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::bounded::HashMap;
use crate::env::{Env, TaskHandle};
use crate::error::{Error, ErrorKind, Result};
use crate::log::checkpoint::{Checkpoint, PartitionCheckpoint};
use crate::log::checkpointer::Leftovers;
use crate::log::config::{LogConfig, LogOptions};
use crate::log::folder::DataFolder;
use crate::log::journal::{Journal, JournalQueue, Ring};
use crate::log::open_files::OpenFiles;
use crate::log::partition_log::PartitionLog;
use crate::log::{checkpointer, flush, recovery};
use crate::sync::lock;
use crate::types::{Offset, Partition, TopicId, TopicPartition};

/// The name of the file that says that the folder was closed whole.
pub(crate) const CLEAN: &str = "clean-shutdown";

/// A partition that the catalog knows.
#[derive(Clone, Debug)]
pub struct PartitionSpec {
    /// Its topic's identity.
    pub id: TopicId,
    /// Its name.
    pub partition: TopicPartition,
    /// Its settings.
    pub config: LogConfig,
}

/// The log of a data folder: its partitions, the journal, and who serves them.
#[derive(Debug)]
pub struct LogStore {
    shared: Arc<Shared>,
    workers: Mutex<Vec<TaskHandle>>,
}

/// What partitions and workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) env: Env,
    pub(crate) dir: PathBuf,
    pub(crate) options: LogOptions,
    pub(crate) journal: JournalQueue,
    pub(crate) flush: flush::FlushQueue,
    /// Bytes in tails.
    pub(crate) unflushed: AtomicUsize,
    /// Woken when tails got shorter, or never will.
    pub(crate) drained: Notify,
    pub(crate) disk_full: AtomicBool,
    /// Whether the store is being closed: nothing waits for a full disk then.
    pub(crate) closing: AtomicBool,
    /// Bytes in files that no sync covers and no journal holds.
    pub(crate) unsynced: AtomicUsize,
    pub(crate) checkpoints: checkpointer::Requests,
    /// Partitions that changed since the last checkpoint.
    pub(crate) dirty: Mutex<Vec<Arc<PartitionLog>>>,
    pub(crate) partitions: Mutex<HashMap<(TopicId, Partition), Arc<PartitionLog>>>,
    pub(crate) open_files: OpenFiles,
    serial: AtomicU64,
    failure: Mutex<Option<Error>>,
    /// Keeps other processes out until the last worker and the last handle are gone.
    folder: DataFolder,
}

impl LogStore {
    /// Opens a data folder's log. After a clean shutdown no partition's files are touched; else the
    /// journal is replayed and what the last checkpoint does not vouch for is read and checked.
    ///
    /// `known` are the partitions of the catalog; what the folder holds of others is left alone.
    ///
    /// # Errors
    /// [`ErrorKind::CorruptMessage`] naming file and position when data that was acknowledged is
    /// damaged: restore the file, or remove the partition; nothing was changed.
    /// [`ErrorKind::UnsupportedFormat`], [`ErrorKind::Io`].
    #[expect(
        clippy::unused_async,
        reason = "callers await it, so that recovery may come to wait for other threads"
    )]
    pub async fn open(
        folder: DataFolder,
        options: LogOptions,
        known: Vec<PartitionSpec>,
    ) -> Result<Self> {
        let (env, dir) = (folder.env.clone(), folder.dir.clone());
        let durable = options.durable;
        let recovered = if durable {
            recovery::recover(&env, &dir, folder.journal_id(), &known)?
        } else {
            recovery::Recovered::default()
        };
        let (sequence, generation) = (recovered.sequence, recovered.generation + 1);
        let shared = Arc::new(Shared {
            journal: JournalQueue::new(sequence, generation),
            flush: flush::FlushQueue::default(),
            unflushed: AtomicUsize::new(0),
            drained: Notify::new(),
            disk_full: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            unsynced: AtomicUsize::new(0),
            checkpoints: checkpointer::Requests::default(),
            dirty: Mutex::default(),
            partitions: Mutex::default(),
            open_files: OpenFiles::new(
                options
                    .open_files_max
                    .unwrap_or_else(|| env.storage.open_files_max()),
            ),
            serial: AtomicU64::new(0),
            failure: Mutex::default(),
            env,
            dir,
            options,
            folder,
        });
        let mut saved: HashMap<_, _> = recovered
            .partitions
            .into_iter()
            .map(|found| ((found.saved.id, found.saved.partition.partition), found))
            .collect();
        for spec in known {
            let found = saved.remove(&(spec.id, spec.partition.partition));
            shared.add(spec, found);
        }
        let store = Self {
            workers: Mutex::default(),
            shared,
        };
        if durable {
            store.start(recovered.clean)?;
        }
        Ok(store)
    }

    /// Starts the journal, the flush worker and the checkpoint worker.
    fn start(&self, clean: bool) -> Result<()> {
        let shared = &self.shared;
        let ring = Ring::open(&shared.dir, &shared.env, shared.options.journal_bytes_min)?;
        shared.journal.bytes.store(ring.bytes(), Ordering::Release);
        let ring = Arc::new(ring);
        if clean {
            recovery::remove_clean_mark(&shared.env, &shared.dir)?;
        } else {
            // What was replayed is in the files now, so the journal begins anew.
            checkpointer::write(shared, shared.journal.completed.load(Ordering::Acquire))?;
        }
        let journal = Journal::new(
            Arc::clone(shared),
            Arc::clone(&ring),
            shared.folder.journal_id(),
        );
        let spawner = &shared.env.spawner;
        *lock(&self.workers) = vec![
            spawner.spawn_dedicated("headwater-journal", Box::pin(journal.run())),
            spawner.spawn_dedicated("headwater-flush", Box::pin(flush::run(Arc::clone(shared)))),
            spawner.spawn_dedicated(
                "headwater-checkpoint",
                Box::pin(checkpointer::run(Arc::clone(shared), ring)),
            ),
        ];
        Ok(())
    }

    /// The data folder's path.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// The identity of the cluster whose data this is.
    #[must_use]
    pub fn cluster_id(&self) -> uuid::Uuid {
        self.shared.folder.cluster_id()
    }

    /// A partition's log, if it is open.
    #[must_use]
    pub fn partition(&self, id: TopicId, partition: Partition) -> Option<Arc<PartitionLog>> {
        lock(&self.shared.partitions).get(&(id, partition)).cloned()
    }

    /// Takes no writes any more, until the folder is opened again.
    pub(crate) fn fail(&self, error: &Error) {
        self.shared.fail(error);
    }

    /// Adds an empty partition; its folder is made when the first batch is written to it. The
    /// catalog is what makes a partition durable.
    #[must_use]
    pub fn create(&self, spec: PartitionSpec) -> Arc<PartitionLog> {
        self.shared.add(spec, None)
    }

    /// Removes a partition and its files, which must be out of the catalog already. The folder
    /// is renamed at once, so that a topic of the same name can be made; its files go in the
    /// background.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the folder cannot be renamed.
    pub fn delete(&self, id: TopicId, partition: Partition) -> Result<()> {
        let Some(log) = lock(&self.shared.partitions).remove(&(id, partition)) else {
            return Ok(());
        };
        log.fail(&log.gone("the partition was deleted"));
        let mut files = lock(&log.files);
        (files.deleted, files.names_unsynced) = (true, false);
        let dropped: usize = {
            let mut state = log.lock();
            let bytes = state.tail.iter().map(|batch| batch.bytes.len()).sum();
            state.tail.clear();
            bytes
        };
        self.shared.unflushed.fetch_sub(dropped, Ordering::Relaxed);
        self.shared.drained.notify_waiters();
        let storage = Arc::clone(&self.shared.env.storage);
        if !files.dir_made {
            return Ok(());
        }
        files.dir_made = false;
        drop(files);
        let aside = self
            .shared
            .dir
            .join(format!("{}.{}-delete", log.partition, id.0.simple()));
        let rename = storage
            .rename(&log.dir, &aside)
            .and_then(|()| storage.sync_dir(&self.shared.dir));
        rename.map_err(|error| Error::io("set the partition's folder aside", &log.dir, error))?;
        let remove = move || {
            if let Err(error) = storage.remove_dir_all(&aside) {
                tracing::warn!(dir = %aside.display(), %error, "a deleted partition's files stay");
            }
        };
        let task = self
            .shared
            .env
            .spawner
            .spawn_blocking("headwater-delete", Box::new(remove));
        lock(&self.workers).push(task);
        Ok(())
    }

    /// Makes everything durable, writes down that the folder is whole, and ends the workers.
    /// Appends fail from here on.
    ///
    /// # Errors
    /// The failure that kept something from being durable; the next open recovers what it can.
    pub async fn close(&self) -> Result<()> {
        let shared = &self.shared;
        let mut logs: Vec<_> = lock(&shared.partitions).values().cloned().collect();
        logs.sort_by_key(|log| log.serial);
        shared.closing.store(true, Ordering::Release);
        shared.journal.close();
        let mut workers = std::mem::take(&mut *lock(&self.workers)).into_iter();
        if !shared.options.durable {
            let closed = Error::new(ErrorKind::Closed, "the log was closed");
            logs.iter().for_each(|log| log.fail(&closed));
            shared.folder.release();
            return Ok(());
        }
        if let Some(journal) = workers.next() {
            journal.join().await;
        }
        shared.flush.close();
        shared.checkpoints.close();
        for worker in workers {
            worker.join().await;
        }
        let whole = match shared.failure() {
            Some(failure) => Err(failure),
            None => checkpointer::write_final(shared),
        };
        let closed = Error::new(ErrorKind::Closed, "the log was closed");
        logs.iter().for_each(|log| log.fail(&closed));
        shared.folder.release();
        whole
    }
}

/// Without [`LogStore::close`] what waits is given up, as in a crash: nothing acknowledged.
impl Drop for LogStore {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.closing.store(true, Ordering::Release);
        shared.journal.abandon();
        shared.flush.abandon();
        shared.checkpoints.close();
        let closed = Error::new(ErrorKind::Closed, "the log was dropped");
        lock(&shared.failure).get_or_insert_with(|| closed.clone());
        // Partitions and what they share hold each other: whoever drops the store parts them.
        let logs = std::mem::take(&mut *lock(&shared.partitions));
        logs.values().for_each(|log| log.fail(&closed));
        drop(std::mem::take(&mut *lock(&shared.dirty)));
        shared.drained.notify_waiters();
        shared.journal.retired_bell.notify_waiters();
    }
}

impl Shared {
    /// Opens a partition as recovery found it, or an empty one.
    fn add(
        self: &Arc<Self>,
        spec: PartitionSpec,
        found: Option<recovery::Found>,
    ) -> Arc<PartitionLog> {
        let key = (spec.id, spec.partition.partition);
        let mut partitions = lock(&self.partitions);
        if let Some(open) = partitions.get(&key) {
            return Arc::clone(open);
        }
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(self);
        let mut was_read = false;
        let log = match found {
            Some(found) => {
                was_read = found.was_read();
                let dir_made = !found.saved.segments.is_empty();
                let log = PartitionLog::new(shared, &found.saved, spec.config, dir_made, serial);
                found.install(&log);
                log
            }
            None => {
                let empty = PartitionCheckpoint {
                    id: spec.id,
                    partition: spec.partition,
                    log_start: Offset(0),
                    recovery_point: Offset(0),
                    has_producers: false,
                    segments: Vec::new(),
                };
                PartitionLog::new(shared, &empty, spec.config, false, serial)
            }
        };
        let log = Arc::new(log);
        if was_read {
            // The first checkpoint takes a snapshot of the producers that were found.
            log.mark_dirty();
        }
        partitions.insert(key, Arc::clone(&log));
        if let Some(failure) = self.failure() {
            log.fail(&failure);
        }
        log
    }

    /// Why the store takes no writes any more, if so.
    pub(crate) fn failure(&self) -> Option<Error> {
        lock(&self.failure).clone()
    }

    /// Refuses all further writes: what a failed sync left on the disk is unknown.
    pub(crate) fn fail(&self, error: &Error) {
        let first = {
            let mut failure = lock(&self.failure);
            let first = failure.is_none();
            failure.get_or_insert_with(|| error.clone());
            first
        };
        if first {
            tracing::error!(dir = %self.dir.display(), %error, "the log takes no writes any more");
            let logs: Vec<_> = lock(&self.partitions).values().cloned().collect();
            logs.iter().for_each(|log| log.fail(error));
        }
        self.drained.notify_waiters();
        self.journal.retired_bell.notify_waiters();
    }

    /// Waits while too many bytes are in memory only.
    pub(crate) async fn admit(&self) -> Result<()> {
        loop {
            let drained = self.drained.notified();
            if self.unflushed.load(Ordering::Relaxed) < self.options.unflushed_bytes_max {
                return Ok(());
            }
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            drained.await;
        }
    }

    /// Counts bytes that only the operating system has; many of them call for a checkpoint.
    pub(crate) fn count_unsynced(&self, bytes: usize) {
        let before = self.unsynced.fetch_add(bytes, Ordering::Relaxed);
        let max = self.options.unsynced_bytes_max;
        if before < max && before + bytes >= max && self.options.durable {
            self.request_checkpoint();
        }
    }

    pub(crate) fn request_checkpoint(&self) {
        self.checkpoints.request();
    }

    /// What a checkpoint says now, and which files nobody needs once it is stored.
    pub(crate) fn checkpoint(&self, journal_retired: u64) -> (Checkpoint, Vec<Leftovers>) {
        let mut logs: Vec<_> = lock(&self.partitions).values().cloned().collect();
        logs.sort_by_key(|log| log.serial);
        let mut leftovers = Vec::new();
        let mut partitions = Vec::with_capacity(logs.len());
        for log in logs {
            let (partition, segments) = log.checkpoint();
            partitions.push(partition);
            if !segments.is_empty() {
                leftovers.push(Leftovers { log, segments });
            }
        }
        let checkpoint = Checkpoint {
            journal_retired,
            journal_generation: self.journal.generation.load(Ordering::Acquire),
            journal_bytes: self.journal.bytes.load(Ordering::Acquire),
            partitions,
        };
        (checkpoint, leftovers)
    }
}

impl PartitionLog {
    /// Has the next checkpoint look at this partition.
    pub(crate) fn mark_dirty(self: &Arc<Self>) {
        if !self.dirty.swap(true, Ordering::AcqRel) {
            lock(&self.shared.dirty).push(Arc::clone(self));
        }
    }

    /// What a checkpoint says of this partition, and the segments that left it.
    fn checkpoint(&self) -> (PartitionCheckpoint, Vec<Offset>) {
        let mut state = self.lock();
        let removed = std::mem::take(&mut state.removed);
        let first = state.segments.first().map_or(Offset(0), |first| first.base);
        let vouched = &state.vouched;
        let held = vouched
            .segments
            .iter()
            .filter(|segment| segment.base >= first);
        let partition = PartitionCheckpoint {
            id: self.id,
            partition: self.partition.clone(),
            log_start: state.positions.log_start,
            recovery_point: vouched.end,
            has_producers: vouched.has_producers,
            segments: held.copied().collect(),
        };
        (partition, removed)
    }
}
