//! Letting go of old records: by age, by size, by request; and cutting off the end.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::error::{Error, ErrorKind, Result};
use crate::log::checkpointer::Leftovers;
use crate::log::partition_log::{PartitionLog, State};
use crate::log::producer_state::ProducerStates;
use crate::log::read::ReadLimit;
use crate::log::segment::Segment;
use crate::record::Batches;
use crate::storage::File;
use crate::types::{Offset, Timestamp};

impl PartitionLog {
    /// Removes whole segments from the front of the log that are too old or too much; an active
    /// segment whose records are all too old is closed first. Returns how many went.
    ///
    /// Their files go with the next checkpoint.
    #[must_use]
    pub fn retain(self: &Arc<Self>, now: Timestamp) -> usize {
        let mut state = self.lock();
        if !state.config.delete || state.failure.is_some() {
            return 0;
        }
        let config = state.config.clone();
        let expired = |segment: &Segment| {
            config
                .retention_ms
                .is_some_and(|limit| now.0.saturating_sub(segment.max_timestamp.0) > limit)
        };
        if state
            .segments
            .iter()
            .all(|segment| expired(segment) && segment.size > 0)
        {
            let end = state.positions.log_end;
            state.segments.push(Segment::new(end));
        }
        let total: u64 = state.segments.iter().map(|segment| segment.size).sum();
        let mut excess = config
            .retention_bytes
            .map_or(0, |limit| total.saturating_sub(limit));
        let mut count = 0;
        for (at, segment) in state
            .segments
            .iter()
            .enumerate()
            .take(state.segments.len() - 1)
        {
            let end = state.segments[at + 1].base;
            let too_much = excess >= segment.size && excess > 0;
            let settled = end <= state.removable_end(self.shared.options.durable);
            if !settled || !(expired(segment) || too_much) {
                break;
            }
            excess = excess.saturating_sub(segment.size);
            count += 1;
        }
        if count > 0 {
            let start = state.segments[count].base;
            state.drop_before(start);
            drop(state);
            if self.shared.options.durable {
                self.mark_dirty();
                self.shared.request_checkpoint();
            } else {
                self.remove_at_once();
            }
        }
        count
    }

    /// Removes the files of segments that left the log, where no checkpoint vouches for files.
    fn remove_at_once(self: &Arc<Self>) {
        let segments = std::mem::take(&mut self.lock().removed);
        let log = Arc::clone(self);
        if let Err(error) = (Leftovers { log, segments }).remove() {
            tracing::warn!(%error, "an old segment's file stays");
        }
    }

    /// Moves the log start up to `before` (at most the high watermark): records before it are gone
    /// for good when this returns. Returns the new log start.
    ///
    /// # Errors
    /// [`ErrorKind::OffsetOutOfRange`] when `before` lies beyond the high watermark;
    /// [`ErrorKind::KafkaStorageError`] or [`ErrorKind::Io`] when the disk fails.
    ///
    /// # Panics
    /// When a checkpoint did not cover what it said it does, which is a bug.
    pub async fn delete_records(self: &Arc<Self>, before: Offset) -> Result<Offset> {
        let positions = self.positions();
        if before > positions.high_watermark || before.0 < 0 {
            let what = format!(
                "records can be deleted up to {}, the high watermark",
                positions.high_watermark
            );
            return Err(Error::new(ErrorKind::OffsetOutOfRange, what)
                .partition(&self.partition)
                .offset(before));
        }
        if before <= positions.log_start {
            if self.shared.options.durable {
                // Whoever moved it may not have made that durable yet.
                self.mark_dirty();
                self.shared.checkpoint_now().await?;
            }
            return Ok(positions.log_start);
        }
        if self.shared.options.durable {
            self.mark_dirty();
            self.shared.checkpoint_now().await?;
        }
        let start = {
            let mut state = self.lock();
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            let end = state.removable_end(self.shared.options.durable);
            assert!(before <= end, "a checkpoint vouches for all before it");
            state.drop_before(before);
            state.positions.log_start
        };
        if self.shared.options.durable {
            self.mark_dirty();
            self.shared.checkpoint_now().await?;
        } else {
            self.remove_at_once();
        }
        Ok(start)
    }

    /// Cuts off the end of the log: `end` is its new end. For a replica that wrote what the leader
    /// does not have; nothing may be appended meanwhile.
    ///
    /// # Errors
    /// [`ErrorKind::OffsetOutOfRange`] when `end` lies outside the log or in the middle of a batch;
    /// [`ErrorKind::KafkaStorageError`] or [`ErrorKind::Io`] when the disk fails.
    pub async fn truncate_to(self: &Arc<Self>, end: Offset) -> Result<()> {
        if self.shared.options.durable {
            self.settle().await?;
            // Nothing of this partition is in the journal then, so no replay brings it back.
            self.mark_dirty();
            self.shared.checkpoint_now().await?;
        }
        let (file, position) = self
            .cut(end)
            .map_err(|error| error.partition(&self.partition).offset(end))?;
        if self.shared.options.durable {
            // The checkpoint first: it must never vouch for bytes that are gone.
            self.mark_dirty();
            self.shared.checkpoint_now().await?;
        } else {
            self.remove_at_once();
        }
        if let Some(file) = file {
            let cut = file.set_len(position).and_then(|()| file.sync());
            cut.map_err(|error| {
                Error::io("cut the segment", file.path(), error).partition(&self.partition)
            })?;
        }
        let producers = self.read_producers()?;
        self.lock().producers = producers;
        Ok(())
    }

    /// The producers as the batches tell them.
    fn read_producers(&self) -> Result<ProducerStates> {
        let mut producers = ProducerStates::default();
        let mut offset = self.positions().log_start;
        while offset < self.positions().log_end {
            let read = self.read(offset, 1 << 20, ReadLimit::LogEnd)?;
            for batch in read.chunks.iter().flat_map(|chunk| Batches::new(chunk)) {
                let header = batch?.header;
                producers.observe(&header);
                offset = header.next_offset();
            }
        }
        Ok(producers)
    }

    /// Waits until the journal has answered all that was appended.
    async fn settle(self: &Arc<Self>) -> Result<()> {
        let notify = Arc::new(Notify::new());
        let watch = self.watch(&notify);
        loop {
            let settled = {
                let state = self.lock();
                if let Some(failure) = &state.failure {
                    return Err(failure.clone());
                }
                state.in_flight == 0
            };
            if settled {
                drop(watch);
                return Ok(());
            }
            notify.notified().await;
        }
    }

    /// Forgets all from `end` on; returns the file to be cut, and where.
    fn cut(&self, end: Offset) -> Result<(Option<Arc<dyn File>>, u64)> {
        let position = self.position_of(end)?;
        let storage = &*self.shared.env.storage;
        let mut state = self.lock();
        let keep = state.segment_at(end);
        let dropped: Vec<_> = state
            .segments
            .drain(keep + 1..)
            .map(|segment| segment.base)
            .collect();
        state.removed.extend(dropped);
        state.cuts += 1;
        let written = state.active().written > 0;
        let file = if written {
            Some(state.active().open(storage, &self.dir)?)
        } else {
            None
        };
        let segment = state.active();
        segment.truncate_indexes(position, end);
        (segment.size, segment.written, segment.synced) = (position, position, position);
        state.read_ends.clear();
        state.epochs.truncate_end(end);
        (state.written_end, state.synced_end) = (end, end);
        state.unjournaled_end = state.unjournaled_end.min(end);
        state.positions.update(|positions| {
            positions.log_end = end;
            positions.high_watermark = positions.high_watermark.min(end);
            positions.last_stable = positions.last_stable.min(end);
            positions.log_start = positions.log_start.min(end);
        });
        Ok((file, position))
    }
}

impl State {
    /// Up to where segments may go: what a checkpoint does not vouch for yet stays.
    fn removable_end(&self, durable: bool) -> Offset {
        let visible = self.positions.last_stable;
        if durable {
            visible.min(self.vouched.end)
        } else {
            visible.min(self.written_end)
        }
    }

    /// Lets go of all before `start`: whole segments at once, the rest by the log start alone.
    fn drop_before(&mut self, start: Offset) {
        if start <= self.positions.log_start {
            // Retention was faster than a request, or the other way round.
            return;
        }
        let whole = self.segment_at(start);
        let dropped: Vec<_> = self
            .segments
            .drain(..whole)
            .map(|segment| segment.base)
            .collect();
        self.removed.extend(dropped);
        self.read_ends.clear();
        self.epochs.truncate_start(start);
        self.positions.update(|positions| {
            positions.log_start = start;
            positions.last_stable = positions.last_stable.max(start);
            positions.high_watermark = positions.high_watermark.max(start);
        });
    }
}
