//! Appending: give a batch its offsets, then its durability.
//!
//! ```text
//!   acks=all   tail (memory) + journal queue ... one sync for all that wait ... watermark, answer
//!   acks=1     straight into the file when the tail is empty, else behind the tail: answer then
//!   acks=0     like acks=1, answered at once
//! ```
//!
//! A recovered log is a prefix that holds every acknowledged record. So a batch under `acks=all` is
//! answered only when what was written before it without the journal is durable too, and a batch
//! under `acks=1` only when the operating system has all that comes before it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind, Result};
use crate::log::journal::JournalItem;
use crate::log::journal_format::EntryHead;
use crate::log::partition_log::{PartitionLog, State, TailBatch};
use crate::log::segment::Segment;
use crate::record::{self, BatchHeader};
use crate::types::{LeaderEpoch, Offset, Timestamp};

/// When an append counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// At once (`acks=0`).
    None,
    /// When the operating system has it (`acks=1`).
    Written,
    /// When it is on disk (`acks=all`).
    Synced,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The offset of its last record.
    pub last_offset: Offset,
    /// The time that the log stamped it with; none (-1) unless the topic asks for it.
    pub log_append_time: Timestamp,
    /// The first offset that the partition holds.
    pub log_start: Offset,
}

/// Hears when a batch is as durable as was asked for.
type Wait = oneshot::Receiver<Result<()>>;

/// An append that has its offsets and waits for its durability.
#[derive(Debug)]
pub struct Appending {
    appended: Appended,
    wait: Option<Wait>,
}

impl Appending {
    /// The offsets.
    #[must_use]
    pub fn appended(&self) -> Appended {
        self.appended
    }

    /// Waits for the durability asked for.
    ///
    /// # Errors
    /// [`ErrorKind::KafkaStorageError`] when the disk failed: whether the batch is in the log is
    /// known only after it is opened again.
    pub async fn done(self) -> Result<Appended> {
        if let Some(wait) = self.wait {
            wait.await.unwrap_or_else(|_| {
                let what = "the log was closed before the batch was durable";
                Err(Error::new(ErrorKind::Closed, what))
            })?;
        }
        Ok(self.appended)
    }
}

impl PartitionLog {
    /// Appends one record batch and waits for its durability; `header` is what
    /// [`record::validate`] returned for it.
    ///
    /// # Errors
    /// As [`PartitionLog::append_start`] and [`Appending::done`].
    pub async fn append(
        self: &Arc<Self>,
        batch: Bytes,
        header: &BatchHeader,
        durability: Durability,
    ) -> Result<Appended> {
        self.admit().await?;
        self.append_start(batch, header, durability)?.done().await
    }

    /// Waits while more bytes than `unflushed_bytes_max` are not yet in the partitions' files.
    ///
    /// # Errors
    /// The store's failure, once it has one.
    pub async fn admit(&self) -> Result<()> {
        self.shared.admit().await
    }

    /// Gives a batch its offsets and starts it on its way. Batches become durable and visible in
    /// the order of these calls. Bytes that nobody else holds are not copied.
    ///
    /// # Errors
    /// [`ErrorKind::KafkaStorageError`] when the partition takes no writes any more or the disk is
    /// full, [`ErrorKind::UnknownTopicOrPartition`] when the partition was deleted.
    ///
    /// # Panics
    /// When `header` is not the header of `batch`.
    pub fn append_start(
        self: &Arc<Self>,
        batch: Bytes,
        header: &BatchHeader,
        durability: Durability,
    ) -> Result<Appending> {
        let mut bytes = batch
            .try_into_mut()
            .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        let now = self.shared.env.clock.now();
        let mut state = self.lock();
        self.check_writable(&state)?;
        let stamp = state.config.log_append_time.then_some(now);
        let epoch = state.epochs.latest().unwrap_or(LeaderEpoch(0));
        let header = record::assign(&mut bytes, header, state.positions.log_end, epoch, stamp);
        self.make_room(&mut state, &header)?;
        let appended = Appended {
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            log_append_time: stamp.unwrap_or(Timestamp::NONE),
            log_start: state.positions.log_start,
        };
        self.mark_dirty();
        let journaled = durability == Durability::Synced && self.shared.options.durable;
        let wait = if journaled {
            Some(self.enqueue(&mut state, &header, bytes.freeze()))
        } else {
            let wants_answer = durability != Durability::None;
            let through = self.write_through(&mut state, &header, bytes.freeze(), wants_answer);
            drop(state);
            let (wait, written) = through.map_err(|refused| {
                if refused.is_final {
                    self.shared.fail(&refused.error);
                }
                refused.error
            })?;
            match written {
                Route::File => self.wake_watchers(),
                Route::Tail if self.shared.options.durable => self.list_for_flush(0, true),
                Route::Tail => self.flush_tail()?,
            }
            return Ok(Appending { appended, wait });
        };
        Ok(Appending { appended, wait })
    }

    fn check_writable(&self, state: &State) -> Result<()> {
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        if self.shared.disk_full.load(Ordering::Relaxed) {
            let what = "the disk is full, or the process may open no more files (ulimit -n): the \
                        partition takes writes again once that has passed; nothing that was \
                        acknowledged is lost";
            return Err(Error::new(ErrorKind::KafkaStorageError, what)
                .partition(&self.partition)
                .path(&self.dir));
        }
        Ok(())
    }

    /// Closes the active segment when the batch must not go into it, and has its indexes ready.
    fn make_room(&self, state: &mut State, header: &BatchHeader) -> Result<()> {
        let len = header.size() as u64;
        let (max, max_ms) = (state.config.segment_bytes, state.config.segment_ms);
        if state.active().must_roll(header, len, max, max_ms) {
            state.segments.push(Segment::new(header.base_offset));
        }
        let interval = state.config.index_interval_bytes;
        let storage = &*self.shared.env.storage;
        state
            .active()
            .load_indexes(storage, &self.dir, interval)
            .map_err(|error| error.partition(&self.partition))?;
        Ok(())
    }

    /// Puts a batch into the tail and the journal's queue; the receiver hears when it is durable.
    fn enqueue(self: &Arc<Self>, state: &mut State, header: &BatchHeader, bytes: Bytes) -> Wait {
        let (done, wait) = oneshot::channel();
        let (segment, position) = (state.active().base, state.active().size);
        let next = header.next_offset();
        let item = JournalItem {
            log: Arc::clone(self),
            head: EntryHead {
                id: self.id,
                partition: self.partition.partition,
                segment,
                position,
                next_offset: next,
            },
            batch: bytes.clone(),
            sync_first: state.unjournaled_end > state.synced_end,
            done,
        };
        state.push_tail(header, bytes, None, false);
        state.in_flight += 1;
        self.shared
            .unflushed
            .fetch_add(item.batch.len(), Ordering::Relaxed);
        self.shared.journal.push(item);
        wait
    }

    /// Writes a batch to its file at once, or puts it behind the batches that wait for that.
    fn write_through(
        &self,
        state: &mut State,
        header: &BatchHeader,
        bytes: Bytes,
        wants_answer: bool,
    ) -> Result<(Option<Wait>, Route), Refused> {
        let next = header.next_offset();
        // A large batch takes too long for an async thread: the flush worker writes it.
        let small = bytes.len() < self.shared.options.direct_bytes_min;
        let file = (small && state.tail.is_empty())
            .then(|| state.active().file.clone())
            .flatten();
        let Some(file) = file else {
            let (written, wait) = oneshot::channel();
            self.shared
                .unflushed
                .fetch_add(bytes.len(), Ordering::Relaxed);
            state.push_tail(header, bytes, wants_answer.then_some(written), true);
            state.unjournaled_end = next;
            return Ok((wants_answer.then_some(wait), Route::Tail));
        };
        let position = state.active().size;
        if let Err(error) = file.write_at(&[&bytes], position) {
            // Part of it may be there, or all. The next batch may begin a new segment, so that
            // nothing would overwrite it, and it would stand before what was acknowledged later.
            let cut = file.set_len(position).and_then(|()| file.sync());
            let is_final = cut.is_err();
            let error = Error::io("append to the segment", file.path(), error)
                .with_kind(ErrorKind::KafkaStorageError)
                .partition(&self.partition);
            return Err(Refused { error, is_final });
        }
        let interval = state.config.index_interval_bytes;
        let len = bytes.len() as u64;
        state.active().admit(header, len, interval);
        state.active().written += len;
        state.producers.observe(header);
        state.positions.update(|positions| positions.log_end = next);
        (state.written_end, state.unjournaled_end) = (next, next);
        state.raise_watermark(next);
        self.shared.count_unsynced(bytes.len());
        Ok((None, Route::File))
    }
}

/// A batch that could not be written.
struct Refused {
    error: Error,
    /// Whether what it left in the file could not be removed: nothing may be written then.
    is_final: bool,
}

/// Which way a batch without the journal went.
enum Route {
    File,
    Tail,
}

impl State {
    /// Puts a batch at the end of the log, in memory.
    fn push_tail(
        &mut self,
        header: &BatchHeader,
        bytes: Bytes,
        written: Option<oneshot::Sender<Result<()>>>,
        visible_when_written: bool,
    ) {
        let interval = self.config.index_interval_bytes;
        let (segment, position) = (self.active().base, self.active().size);
        self.active().admit(header, bytes.len() as u64, interval);
        self.producers.observe(header);
        let (base, next) = (header.base_offset, header.next_offset());
        self.positions.update(|positions| positions.log_end = next);
        self.tail.push_back(TailBatch {
            bytes,
            base,
            next,
            segment,
            position,
            written,
            visible_when_written,
        });
    }
}
