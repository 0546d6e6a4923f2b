//! One partition: its segments, the end that is still in memory, and who waits for more.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use crate::error::{Error, ErrorKind, Result};
use crate::log::checkpoint::{PartitionCheckpoint, SegmentCheckpoint};
use crate::log::config::LogConfig;
use crate::log::leader_epoch::LeaderEpochs;
use crate::log::positions::Positions;
use crate::log::producer_state::ProducerStates;
use crate::log::segment::Segment;
use crate::log::store::Shared;
use crate::sync::lock;
use crate::types::{LeaderEpoch, Offset, TopicId, TopicPartition};

/// A partition's log; made and opened by [`LogStore`](crate::log::LogStore).
#[derive(Debug)]
pub struct PartitionLog {
    pub(crate) id: TopicId,
    pub(crate) partition: TopicPartition,
    /// Its place in the order in which the store opened partitions.
    pub(crate) serial: u64,
    pub(crate) dir: PathBuf,
    pub(crate) shared: Arc<Shared>,
    /// Taken by whoever writes the tail to files or syncs them, before `state`.
    pub(crate) files: Mutex<Files>,
    /// Held while the segments' files are synced.
    pub(crate) syncing: Mutex<()>,
    /// Everything that appends and reads look at; held for short sections only.
    pub(crate) state: Mutex<State>,
    /// Whether the flush worker has this partition on its list.
    pub(crate) listed_for_flush: AtomicBool,
    /// Whether a checkpoint has to look at this partition.
    pub(crate) dirty: AtomicBool,
    watchers: Mutex<Vec<Arc<Notify>>>,
    watcher_count: AtomicUsize,
}

/// What is known of the names on disk.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// Whether the partition's folder is there.
    pub(crate) dir_made: bool,
    /// Whether names were made that no folder sync covers yet.
    pub(crate) names_unsynced: bool,
    /// Whether the partition was deleted: its files are nobody's business any more.
    pub(crate) deleted: bool,
}

/// The partition's state.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: LogConfig,
    pub(crate) positions: Positions,
    /// In offset order, never empty; the last one is active.
    pub(crate) segments: Vec<Segment>,
    /// Batches that are not in the files yet, in offset order.
    pub(crate) tail: VecDeque<TailBatch>,
    /// All before it is in the files.
    pub(crate) written_end: Offset,
    /// All before it is durable in the files.
    pub(crate) synced_end: Offset,
    /// The end of the last batch that did not go through the journal.
    pub(crate) unjournaled_end: Offset,
    /// Where the last reads ended: (next offset, segment, position), so that a reader that goes on
    /// needs no index.
    pub(crate) read_ends: VecDeque<(Offset, Offset, u64)>,
    pub(crate) producers: ProducerStates,
    /// What the next checkpoint says of this partition: all of it is durable.
    pub(crate) vouched: Vouched,
    pub(crate) epochs: LeaderEpochs,
    /// Batches that the journal's worker has not answered.
    pub(crate) in_flight: usize,
    /// How often the end was cut off.
    pub(crate) cuts: u64,
    /// Why nothing may be written any more.
    pub(crate) failure: Option<Error>,
    /// Segments that left the log and whose files are to be removed after the next checkpoint.
    pub(crate) removed: Vec<Offset>,
}

/// The part of a partition that recovery need not read.
#[derive(Clone, Debug)]
pub(crate) struct Vouched {
    /// All before it is durable in the segments.
    pub(crate) end: Offset,
    /// The segments as they were when the log ended there.
    pub(crate) segments: Vec<SegmentCheckpoint>,
    /// Whether a snapshot of the producers at `end` is durable.
    pub(crate) has_producers: bool,
}

/// A batch that waits to be written to its file.
#[derive(Debug)]
pub(crate) struct TailBatch {
    pub(crate) bytes: Bytes,
    pub(crate) base: Offset,
    pub(crate) next: Offset,
    pub(crate) segment: Offset,
    pub(crate) position: u64,
    /// Answered when the operating system has the batch (`acks=1`).
    pub(crate) written: Option<oneshot::Sender<Result<()>>>,
    /// Whether writing it moves the high watermark (`acks` 0 and 1).
    pub(crate) visible_when_written: bool,
}

impl PartitionLog {
    /// A partition as a checkpoint (or nothing, for a new one) tells it.
    pub(crate) fn new(
        shared: Arc<Shared>,
        saved: &PartitionCheckpoint,
        config: LogConfig,
        dir_made: bool,
        serial: u64,
    ) -> Self {
        let mut segments: Vec<_> = saved
            .segments
            .iter()
            .map(Segment::from_checkpoint)
            .collect();
        if segments.is_empty() {
            segments.push(Segment::new(saved.recovery_point));
        }
        let end = saved.recovery_point;
        let mut epochs = LeaderEpochs::default();
        epochs.assign(LeaderEpoch(0), saved.log_start);
        let state = State {
            config,
            positions: Positions::new(saved.log_start, end),
            segments,
            tail: VecDeque::new(),
            written_end: end,
            synced_end: end,
            unjournaled_end: saved.log_start,
            read_ends: VecDeque::new(),
            producers: ProducerStates::default(),
            vouched: Vouched {
                end,
                segments: saved.segments.clone(),
                has_producers: saved.has_producers,
            },
            epochs,
            in_flight: 0,
            cuts: 0,
            failure: None,
            removed: Vec::new(),
        };
        Self {
            id: saved.id,
            partition: saved.partition.clone(),
            serial,
            dir: shared.dir.join(saved.partition.to_string()),
            shared,
            files: Mutex::new(Files {
                dir_made,
                ..Files::default()
            }),
            syncing: Mutex::new(()),
            state: Mutex::new(state),
            listed_for_flush: AtomicBool::new(false),
            dirty: AtomicBool::new(false),
            watchers: Mutex::new(Vec::new()),
            watcher_count: AtomicUsize::new(0),
        }
    }

    /// Which partition this is.
    #[must_use]
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Its topic's identity.
    #[must_use]
    pub fn topic_id(&self) -> TopicId {
        self.id
    }

    /// The folder of its files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its offsets now.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.lock().positions
    }

    /// The bytes of its batches.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.lock()
            .segments
            .iter()
            .map(|segment| segment.size)
            .sum()
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> LogConfig {
        self.lock().config.clone()
    }

    /// Changes its settings from the next append on.
    pub fn set_config(&self, config: LogConfig) {
        self.lock().config = config;
    }

    /// Has `notify` woken whenever readers can see more (or the partition ends), until the guard
    /// is dropped. Register first, then look at [`PartitionLog::positions`], then wait.
    #[must_use]
    pub fn watch(self: &Arc<Self>, notify: &Arc<Notify>) -> Watch {
        let mut watchers = lock(&self.watchers);
        watchers.push(Arc::clone(notify));
        self.watcher_count.store(watchers.len(), Ordering::SeqCst);
        Watch {
            log: Arc::clone(self),
            notify: Arc::clone(notify),
        }
    }

    pub(crate) fn wake_watchers(&self) {
        if self.watcher_count.load(Ordering::SeqCst) > 0 {
            lock(&self.watchers)
                .iter()
                .for_each(|watcher| watcher.notify_one());
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Refuses all further writes; everybody who waits is told.
    pub(crate) fn fail(&self, error: &Error) {
        let mut state = self.lock();
        if state.failure.is_none() {
            state.failure = Some(error.clone());
        }
        for batch in &mut state.tail {
            if let Some(written) = batch.written.take() {
                drop(written.send(Err(error.clone())));
            }
        }
        drop(state);
        self.wake_watchers();
    }

    /// The error that a closed or deleted partition gives.
    pub(crate) fn gone(&self, what: &str) -> Error {
        Error::new(ErrorKind::UnknownTopicOrPartition, what).partition(&self.partition)
    }
}

impl State {
    /// The log as it is now, to be vouched for once it is durable.
    pub(crate) fn to_be_vouched(&self) -> Vouched {
        let held = self.segments.iter().filter(|segment| segment.size > 0);
        Vouched {
            end: self.positions.log_end,
            segments: held.map(Segment::to_checkpoint).collect(),
            has_producers: !self.producers.is_empty(),
        }
    }

    /// The segment that takes appends.
    pub(crate) fn active(&mut self) -> &mut Segment {
        let last = self.segments.len() - 1;
        &mut self.segments[last]
    }

    /// The place in `segments` of the one that holds `offset` (or would).
    pub(crate) fn segment_at(&self, offset: Offset) -> usize {
        self.segments
            .partition_point(|segment| segment.base <= offset)
            .saturating_sub(1)
    }

    /// The segment with this base offset, while it is part of the log.
    pub(crate) fn segment_mut(&mut self, base: Offset) -> Option<&mut Segment> {
        let at = self
            .segments
            .binary_search_by_key(&base, |segment| segment.base)
            .ok()?;
        self.segments.get_mut(at)
    }

    /// Lets readers see up to `end`; returns whether that is more than before.
    pub(crate) fn raise_watermark(&mut self, end: Offset) -> bool {
        if end <= self.positions.high_watermark {
            return false;
        }
        let first_open = self.producers.first_open_transaction();
        self.positions.update(|positions| {
            positions.high_watermark = end;
            let stable = first_open.map_or(end, |open| open.min(end));
            positions.last_stable = stable.max(positions.last_stable);
        });
        true
    }
}

/// A registration of [`PartitionLog::watch`].
#[derive(Debug)]
pub struct Watch {
    log: Arc<PartitionLog>,
    notify: Arc<Notify>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watchers = lock(&self.log.watchers);
        if let Some(at) = watchers
            .iter()
            .position(|other| Arc::ptr_eq(other, &self.notify))
        {
            watchers.swap_remove(at);
        }
        self.log
            .watcher_count
            .store(watchers.len(), Ordering::SeqCst);
    }
}
