//! [`Consumer`]: what users read records with.

use std::collections::VecDeque;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use futures_util::future::{self, Either};

use super::assignment::Place;
use super::decode::Decoder;
use super::reader::Reader;
use super::record::ConsumerRecord;
use crate::error::{Error, ErrorKind, Result};
use crate::request::{CommittedOffset, OffsetSpec};
use crate::types::{Offset, TopicPartition};

/// Reads records: as a [`Stream`] one by one, or in batches.
///
/// A record that its serde refuses is an error that names the place. It is never passed over in
/// silence: it comes again until [`Consumer::step_over`] (or a seek) says to go on behind it.
///
/// With a group, the position is committed every 5 seconds when records are asked for, and at
/// [`Consumer::close`]: all records that were returned before count as processed. A consumer that
/// is dropped leaves its group, but commits nothing.
pub struct Consumer<K, V> {
    pub(super) reader: Reader,
    pub(super) decoder: Decoder<K, V>,
    pub(super) ready: VecDeque<ConsumerRecord<K, V>>,
    pub(super) revocations: u64,
}

impl<K, V> Unpin for Consumer<K, V> {}

impl<K: 'static, V: 'static> Consumer<K, V> {
    pub(super) fn new(reader: Reader, decoder: Decoder<K, V>) -> Self {
        Self {
            reader,
            decoder,
            ready: VecDeque::new(),
            revocations: 0,
        }
    }

    /// The next record; `None` once the cluster is closed. Dropping the wait loses nothing.
    pub async fn next(&mut self) -> Option<Result<ConsumerRecord<K, V>>> {
        std::future::poll_fn(|context| self.poll_record(context)).await
    }

    /// The next records, at least one and at most `max_poll_records`; `None` once the cluster is
    /// closed. Dropping the wait loses nothing.
    ///
    /// # Errors
    /// What the cluster said, with topic, partition and offset; `Serialization` for a record that
    /// its serde refuses.
    pub async fn next_batch(&mut self) -> Result<Option<Vec<ConsumerRecord<K, V>>>> {
        std::future::poll_fn(|context| self.poll_ready(context)).await?;
        let batch = self.take_batch();
        Ok(Some(batch).filter(|batch| !batch.is_empty()))
    }

    /// As [`Consumer::next_batch`], but waits no longer than `timeout` and then returns nothing.
    ///
    /// # Errors
    /// As [`Consumer::next_batch`].
    pub async fn poll(&mut self, timeout: Duration) -> Result<Vec<ConsumerRecord<K, V>>> {
        let clock = Arc::clone(&self.reader.backend.env().clock);
        let filled = pin!(std::future::poll_fn(|context| self.poll_ready(context)));
        if timeout.is_zero() {
            // What is there now; the fetch that was begun goes on at the next poll.
            let now = pin!(async {});
            match future::select(filled, now).await {
                Either::Left((result, _)) => result?,
                Either::Right(_) => return Ok(Vec::new()),
            }
        } else {
            let timer = clock.sleep_until(clock.monotonic().saturating_add(timeout));
            match future::select(filled, timer).await {
                Either::Left((result, _)) => result?,
                Either::Right(_) => return Ok(Vec::new()),
            }
        }
        Ok(self.take_batch())
    }

    /// Commits the positions: every record returned so far counts as processed.
    ///
    /// # Errors
    /// `InvalidGroupId` without a group; `IllegalGeneration`, `UnknownMemberId` when the group gave
    /// the partitions to others.
    pub async fn commit(&mut self) -> Result<()> {
        let positions = self.reader.assignment.positions();
        self.commit_offsets(positions).await
    }

    /// Commits these offsets: the next ones to read.
    ///
    /// # Errors
    /// As [`Consumer::commit`].
    pub async fn commit_offsets(
        &mut self,
        offsets: Vec<(TopicPartition, CommittedOffset)>,
    ) -> Result<()> {
        let group = self.reader.group()?;
        let member = self.reader.member.as_ref();
        let membership = member.and_then(|member| member.membership());
        if member.is_some() && membership.is_none() {
            let message = "the member lost its place in the group; it joins again at the next poll";
            return Err(Error::new(ErrorKind::UnknownMemberId, message));
        }
        let backend = Arc::clone(&self.reader.backend);
        backend
            .commit_offsets(&group, membership.as_ref(), offsets)
            .await
    }

    /// What the group has committed in a partition.
    ///
    /// # Errors
    /// `InvalidGroupId` without a group, or what reading the offsets gave.
    pub async fn committed(&mut self, partition: &TopicPartition) -> Result<Option<Offset>> {
        let group = self.reader.group()?;
        let backend = Arc::clone(&self.reader.backend);
        let partition = [partition.clone()];
        let found = backend.committed_offsets(&group, Some(&partition)).await?;
        let offset = found
            .into_iter()
            .next()
            .and_then(|(_, committed)| committed);
        Ok(offset.map(|committed| committed.offset))
    }

    /// The partitions that this consumer reads now.
    #[must_use]
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.reader.assignment.partitions().cloned().collect()
    }

    /// The offset of the next record; `None` when the partition is not assigned or its place is
    /// not looked up yet.
    #[must_use]
    pub fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        match self.reader.assignment.get(partition)?.place {
            Place::At(offset) => Some(offset),
            Place::Committed | Place::Policy | Place::Spec(_) => None,
        }
    }

    /// How many offsets lie between the position and the end of the partition.
    ///
    /// # Errors
    /// `InvalidRequest` when the partition is not assigned; what the cluster said.
    pub async fn lag(&mut self, partition: &TopicPartition) -> Result<i64> {
        self.reader.assignment.named(partition)?;
        std::future::poll_fn(|context| self.reader.poll_settled(context)).await?;
        let backend = Arc::clone(&self.reader.backend);
        let isolation = self.reader.config.isolation;
        let wanted = [(partition.clone(), OffsetSpec::Latest)];
        let end = backend
            .list_offsets(&wanted, isolation)
            .await?
            .into_iter()
            .next();
        let end = end.transpose()?.map_or(Offset(0), |listed| listed.offset);
        let position = self.position(partition).unwrap_or(end);
        Ok((end.value() - position.value()).max(0))
    }

    /// Goes on at `offset`.
    ///
    /// # Errors
    /// `InvalidRequest` when the partition is not assigned or the offset is negative.
    pub fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<()> {
        if offset.value() < 0 {
            let error = Error::new(ErrorKind::InvalidRequest, "a position cannot be negative");
            return Err(error.partition(partition).offset(offset));
        }
        self.move_to(partition, Place::At(offset))
    }

    /// Goes on at the first record held.
    ///
    /// # Errors
    /// As [`Consumer::seek`].
    pub fn seek_to_beginning(&mut self, partition: &TopicPartition) -> Result<()> {
        self.move_to(partition, Place::Spec(OffsetSpec::Earliest))
    }

    /// Goes on at the end, wherever it is when records are next asked for.
    ///
    /// # Errors
    /// As [`Consumer::seek`].
    pub fn seek_to_end(&mut self, partition: &TopicPartition) -> Result<()> {
        self.move_to(partition, Place::Spec(OffsetSpec::Latest))
    }

    /// Goes on behind the record that an error of this consumer names.
    ///
    /// # Errors
    /// `InvalidRequest` when the error names no offset, or a partition that is not assigned.
    pub fn step_over(&mut self, error: &Error) -> Result<()> {
        match (error.topic_partition(), error.at_offset()) {
            (Some(partition), Some(offset)) => self.seek(&partition.clone(), offset.next()),
            _ => Err(Error::new(
                ErrorKind::InvalidRequest,
                "the error names no record to step over",
            )),
        }
    }

    /// Returns no records of a partition until it is resumed.
    ///
    /// # Errors
    /// `InvalidRequest` when the partition is not assigned.
    pub fn pause(&mut self, partition: &TopicPartition) -> Result<()> {
        self.reader.assignment.named(partition)?.paused = true;
        self.discard(partition);
        Ok(())
    }

    /// Returns records of a partition again.
    ///
    /// # Errors
    /// `InvalidRequest` when the partition is not assigned.
    pub fn resume(&mut self, partition: &TopicPartition) -> Result<()> {
        self.reader.assignment.named(partition)?.paused = false;
        self.reader.interrupt();
        Ok(())
    }

    /// Commits (if it does so by itself) and leaves the group.
    ///
    /// # Errors
    /// What the commit or the leaving gave; the consumer is closed all the same.
    pub async fn close(mut self) -> Result<()> {
        let joined = self.reader.member.as_ref();
        let commits = self.reader.config.enable_auto_commit
            && self.reader.group.is_some()
            && joined.is_none_or(|member| member.membership().is_some());
        let positions = self.reader.assignment.positions();
        let committed = match commits && !positions.is_empty() {
            true => self.commit_offsets(positions).await,
            false => Ok(()),
        };
        let left = match self.reader.member.take() {
            Some(member) => member.leave().await,
            None => Ok(()),
        };
        committed.and(left)
    }

    fn poll_record(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<ConsumerRecord<K, V>>>> {
        // Records of a batch come one by one; most have nothing to wait for.
        let revoked = self.revocations != self.reader.revocations;
        let waits = self.ready.is_empty() || revoked || !self.reader.stands();
        if waits && let Err(error) = ready!(self.poll_ready(context)) {
            return Poll::Ready(Some(Err(error)));
        }
        Poll::Ready(self.take().map(Ok))
    }

    /// Waits until records are decoded, or the cluster ended.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            // Before anything is returned, so that a partition that moved away gives nothing more.
            ready!(self.reader.poll_settled(context))?;
            self.drop_revoked();
            if !self.ready.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if self.reader.chunks.is_empty() {
                ready!(self.reader.poll_fetched(context))?;
                self.drop_revoked();
                if self.reader.ended {
                    return Poll::Ready(Ok(()));
                }
            }
            let records_max = self.reader.config.max_poll_records;
            self.decoder
                .decode(&mut self.reader, &mut self.ready, records_max)?;
        }
    }

    fn take(&mut self) -> Option<ConsumerRecord<K, V>> {
        let record = self.ready.pop_front()?;
        let assignment = &mut self.reader.assignment;
        assignment.advance(&record.topic, record.partition, record.offset.next());
        Some(record)
    }

    fn take_batch(&mut self) -> Vec<ConsumerRecord<K, V>> {
        let count = self.ready.len().min(self.reader.config.max_poll_records);
        let mut batch = Vec::with_capacity(count);
        for _ in 0..count {
            batch.extend(self.ready.pop_front());
        }
        // One step for each run of a partition is enough.
        let mut records = batch.iter().peekable();
        while let Some(record) = records.next() {
            let ends = records.peek().is_none_or(|next| {
                next.partition != record.partition || next.topic != record.topic
            });
            if ends {
                let assignment = &mut self.reader.assignment;
                assignment.advance(&record.topic, record.partition, record.offset.next());
            }
        }
        batch
    }

    fn move_to(&mut self, partition: &TopicPartition, place: Place) -> Result<()> {
        self.reader.assignment.named(partition)?;
        self.discard(partition);
        self.reader.assignment.seek(partition, place);
        Ok(())
    }

    fn discard(&mut self, partition: &TopicPartition) {
        let of = |record: &ConsumerRecord<K, V>| {
            record.partition == partition.partition && record.topic == partition.topic
        };
        self.ready.retain(|record| !of(record));
        self.reader.discard(partition);
    }

    fn drop_revoked(&mut self) {
        if self.revocations == self.reader.revocations {
            return;
        }
        self.revocations = self.reader.revocations;
        let assignment = &self.reader.assignment;
        // A partition that was taken away and given back may have moved on meanwhile: only what
        // continues at the position is good.
        self.ready.retain(|record| {
            let known = assignment.get(&record.topic_partition());
            known.is_some_and(|known| {
                matches!(known.place, Place::At(at) if at <= record.offset)
                    && known.fetch_offset > record.offset
            })
        });
    }
}

impl<K: 'static, V: 'static> Stream for Consumer<K, V> {
    type Item = Result<ConsumerRecord<K, V>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_record(context)
    }
}

impl<K, V> Drop for Consumer<K, V> {
    fn drop(&mut self) {
        if let Some(member) = &self.reader.member {
            member.abandon();
        }
    }
}

impl<K, V> fmt::Debug for Consumer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Consumer").field(&self.reader).finish()
    }
}
