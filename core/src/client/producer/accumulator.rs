//! Records that wait to be sent: an open batch and a queue of full ones for each partition.
//!
//! Pure state behind one mutex of the producer: it encodes, counts and hands out; it neither
//! waits nor reads a clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::completion::Completion;
use super::config::ProducerConfig;
use super::partitioner::{Sticky, partition_for_key};
use crate::env::Random;
use crate::error::{Error, ErrorKind, Result};
use crate::record::{BatchBuilder, BatchOptions, Compressor, Headers};
use crate::types::{Partition, Timestamp};

/// All that waits in one producer.
#[derive(Debug)]
pub(super) struct Accumulator {
    config: ProducerConfig,
    random: Random,
    queues: Vec<Queue>,
    /// The partitions that have a batch, so that nobody looks through all of them.
    busy: Vec<usize>,
    sticky: Sticky,
    /// Bytes of records that are not answered yet.
    memory: usize,
    /// Batches that are not answered yet, oldest first; some in it may be.
    incomplete: VecDeque<Arc<Completion>>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Queue {
    open: Option<Batch>,
    full: VecDeque<Batch>,
    in_flight: usize,
    /// Whether a batch was answered. Until then one call at a time is under way, so that whatever
    /// the cluster does on first use cannot change the order.
    warm: bool,
    /// Whether the partition is in `busy`.
    listed: bool,
}

/// A batch on its way.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) partition: usize,
    pub(super) builder: BatchBuilder,
    pub(super) completion: Arc<Completion>,
    /// When it is sent at the latest.
    deadline: Duration,
    bytes: usize,
}

/// A record's bytes, lent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoded<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Headers<'a>,
    pub(super) timestamp: Timestamp,
    pub(super) partition: Option<Partition>,
}

/// A record's place in a batch.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) completion: Arc<Completion>,
    pub(super) partition: Partition,
    pub(super) index: i32,
    pub(super) timestamp: Timestamp,
}

/// What became of a record.
#[derive(Debug)]
pub(super) enum Pushed {
    /// It is in a batch; `wake` says that the sender has something new to look at.
    Placed { place: Place, wake: bool },
    /// There is no room for it now.
    Full,
}

impl Accumulator {
    pub(super) fn new(config: ProducerConfig, random: Random, partitions: usize) -> Self {
        let sticky = Sticky::new(&random, partitions, config.batch_size.max(1));
        let mut accumulator = Self {
            config,
            random,
            queues: Vec::new(),
            busy: Vec::new(),
            sticky,
            memory: 0,
            incomplete: VecDeque::new(),
            closed: false,
        };
        accumulator.grow(partitions);
        accumulator
    }

    /// Takes note of the topic's number of partitions, which never falls.
    pub(super) fn grow(&mut self, partitions: usize) {
        if partitions > self.queues.len() {
            self.queues.resize_with(partitions, Queue::default);
        }
    }

    /// Encodes a record into the open batch of its partition.
    pub(super) fn push(
        &mut self,
        record: Encoded<'_>,
        now: impl FnOnce() -> Duration,
    ) -> Result<Pushed> {
        if self.closed {
            return Err(Error::new(ErrorKind::Closed, "the producer is closed"));
        }
        let size = record_size(&record);
        if size > self.config.max_request_size {
            return Err(Error::new(
                ErrorKind::MessageTooLarge,
                format!(
                    "a record of {size} bytes, {} are allowed (max_request_size)",
                    self.config.max_request_size
                ),
            ));
        }
        if self.memory > 0 && self.memory + size > self.config.buffer_memory {
            return Ok(Pushed::Full);
        }
        let partition = self.choose(&record)?;
        let mut wake = self.make_room(partition, size);
        let queue = &mut self.queues[partition];
        if !queue.listed {
            queue.listed = true;
            self.busy.push(partition);
        }
        let batch = match &mut queue.open {
            Some(batch) => batch,
            open => {
                wake = true;
                let deadline = now().saturating_add(self.config.linger);
                let batch = open.insert(Batch::new(&self.config, partition, deadline));
                self.incomplete.push_back(Arc::clone(&batch.completion));
                batch
            }
        };
        let index = batch.builder.record_count();
        let before = batch.builder.len();
        let builder = &mut batch.builder;
        let appended = builder.append(record.timestamp, record.key, record.value, record.headers);
        if let Err(error) = appended {
            if builder.is_empty() {
                // It was opened for this record alone.
                queue.open = None;
                self.incomplete.pop_back();
            }
            return Err(error);
        }
        let added = builder.len() - before;
        batch.bytes += added;
        self.memory += added;
        let place = Place {
            completion: Arc::clone(&batch.completion),
            partition: Partition(i32::try_from(partition).unwrap_or(i32::MAX)),
            index,
            timestamp: record.timestamp,
        };
        if batch.builder.len() >= self.config.batch_size {
            wake = true;
            queue.close();
        }
        if record.key.is_none() && record.partition.is_none() {
            self.sticky.sent(added);
        }
        Ok(Pushed::Placed { place, wake })
    }

    /// Takes what is to be sent now: full batches, and open ones whose time has come. Also says
    /// when the next open batch's time comes.
    pub(super) fn drain(&mut self, now: Duration) -> (Vec<Batch>, Option<Duration>) {
        let mut ready = Vec::new();
        let mut next: Option<Duration> = None;
        let queues = &mut self.queues;
        self.busy.retain(|partition| {
            let queue = &mut queues[*partition];
            if queue.in_flight > 0 && !queue.warm {
                return true;
            }
            match queue.open.as_ref().map(|batch| batch.deadline) {
                Some(deadline) if deadline <= now => queue.close(),
                Some(deadline) => {
                    next = Some(next.map_or(deadline, |next| next.min(deadline)));
                }
                None => {}
            }
            queue.in_flight += queue.full.len();
            ready.extend(queue.full.drain(..));
            queue.listed = queue.open.is_some();
            queue.listed
        });
        (ready, next)
    }

    /// Takes note that a batch was answered; its memory is free.
    pub(super) fn answered(&mut self, partition: usize, bytes: usize) {
        let queue = &mut self.queues[partition];
        assert!(queue.in_flight > 0, "only what was sent is answered");
        queue.in_flight -= 1;
        queue.warm = true;
        assert!(self.memory >= bytes, "only what was counted is freed");
        self.memory -= bytes;
        while self
            .incomplete
            .front()
            .is_some_and(|batch| batch.is_complete())
        {
            self.incomplete.pop_front();
        }
    }

    /// Makes every open batch ready, and tells which batches are not answered yet.
    pub(super) fn flush(&mut self) -> Vec<Arc<Completion>> {
        self.close_open();
        self.incomplete.iter().cloned().collect()
    }

    /// Takes no more records; what is there becomes ready.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.close_open();
    }

    /// Whether it is closed and everything was handed out.
    pub(super) fn is_done(&self) -> bool {
        self.closed && self.busy.is_empty()
    }

    fn close_open(&mut self) {
        for partition in &self.busy {
            self.queues[*partition].close();
        }
    }

    fn choose(&mut self, record: &Encoded<'_>) -> Result<usize> {
        let count = i32::try_from(self.queues.len()).unwrap_or(i32::MAX);
        let partition = match (record.partition, record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_for_key(key, count),
            (None, None) => {
                let queues = &self.queues;
                let queued = |partition: usize| queues[partition].full.len();
                return Ok(self.sticky.next(&self.random, queues.len(), queued));
            }
        };
        usize::try_from(partition.value())
            .ok()
            .filter(|index| *index < self.queues.len())
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::UnknownTopicOrPartition,
                    format!(
                        "the topic has partitions 0 to {}, not {partition}",
                        count - 1
                    ),
                )
            })
    }

    /// Closes the open batch if the record does not fit; returns whether it did.
    fn make_room(&mut self, partition: usize, size: usize) -> bool {
        let queue = &mut self.queues[partition];
        let full = queue
            .open
            .as_ref()
            .is_some_and(|batch| batch.builder.len() + size > self.config.batch_size);
        if full {
            queue.close();
        }
        full
    }
}

impl Queue {
    fn close(&mut self) {
        self.full.extend(self.open.take());
    }
}

impl Batch {
    fn new(config: &ProducerConfig, partition: usize, deadline: Duration) -> Self {
        let builder = BatchBuilder::new(BatchOptions {
            compression: Compressor::new(config.compression),
            ..BatchOptions::default()
        });
        Self {
            partition,
            builder,
            completion: Arc::default(),
            deadline,
            bytes: 0,
        }
    }

    /// What it counts for in the buffer.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn record_size(record: &Encoded<'_>) -> usize {
    let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    BatchBuilder::record_size_max(length(record.key), length(record.value), record.headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accumulator(config: ProducerConfig) -> Accumulator {
        Accumulator::new(config, Random::seeded(1), 3)
    }

    fn record(value: &[u8]) -> Encoded<'_> {
        Encoded {
            key: None,
            value: Some(value),
            headers: Headers::EMPTY,
            timestamp: Timestamp(1),
            partition: Some(Partition(1)),
        }
    }

    fn push(accumulator: &mut Accumulator, value: &[u8]) -> Result<Pushed> {
        accumulator.push(record(value), || Duration::ZERO)
    }

    #[test]
    fn a_batch_is_ready_when_it_is_full_or_its_time_has_come() {
        let mut full = accumulator(ProducerConfig {
            batch_size: 200,
            ..ProducerConfig::default()
        });
        for _ in 0..10 {
            push(&mut full, &[0; 40]).unwrap();
        }
        let (ready, next) = full.drain(Duration::ZERO);
        assert!(ready.len() >= 4 && ready.iter().all(|batch| batch.builder.len() <= 200));
        assert_eq!(next, Some(Duration::from_millis(5)));
        // Nothing more goes out before the first answer of the partition.
        assert!(full.drain(Duration::from_secs(1)).0.is_empty());
        for batch in &ready {
            full.answered(1, batch.bytes());
        }
        let (rest, next) = full.drain(Duration::from_millis(5));
        assert_eq!((rest.len(), next), (1, None));
    }

    #[test]
    fn memory_is_bounded_and_comes_back() {
        let mut small = accumulator(ProducerConfig {
            max_request_size: 1000,
            buffer_memory: 1000,
            ..ProducerConfig::default()
        });
        push(&mut small, &[0; 600]).unwrap();
        assert!(matches!(push(&mut small, &[0; 600]).unwrap(), Pushed::Full));
        let too_large = push(&mut small, &[0; 2000]).unwrap_err();
        assert_eq!(too_large.kind(), ErrorKind::MessageTooLarge);
        let (ready, _) = small.drain(Duration::from_secs(1));
        small.answered(1, ready[0].bytes());
        assert!(matches!(
            push(&mut small, &[0; 600]).unwrap(),
            Pushed::Placed { .. }
        ));
        assert_eq!(small.flush().len(), 2);
        small.close();
        assert_eq!(push(&mut small, b"").unwrap_err().kind(), ErrorKind::Closed);
        assert!(!small.is_done());
    }

    #[test]
    fn a_record_that_cannot_be_encoded_leaves_no_batch_behind() {
        let mut fresh = accumulator(ProducerConfig::default());
        let wrong = Encoded {
            timestamp: Timestamp(-5),
            ..record(b"x")
        };
        assert!(fresh.push(wrong, || Duration::ZERO).is_err());
        assert!(fresh.flush().is_empty());
        assert!(fresh.drain(Duration::from_secs(1)).0.is_empty());
    }

    #[test]
    fn a_partition_that_is_not_there_is_refused() {
        let mut three = accumulator(ProducerConfig::default());
        let wrong = Encoded {
            partition: Some(Partition(3)),
            ..record(b"x")
        };
        let error = three.push(wrong, || Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownTopicOrPartition);
        three.grow(4);
        three.push(wrong, || Duration::ZERO).unwrap();
    }
}
