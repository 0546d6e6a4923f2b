//! What tasks write: one open batch a partition, sealed when full or at a commit.

use bytes::Bytes;
use headwater_core::client::producer::partitioner::partition_for_key;
use headwater_core::record::{BatchBuilder, BatchOptions, Headers};
use headwater_core::types::{Partition, Timestamp, TopicName, TopicPartition};
use headwater_core::{Error, ErrorKind, Result};

use crate::topology::OutId;

/// A batch that is ready to be produced.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) out: OutId,
    pub(crate) partition: TopicPartition,
    pub(crate) batch: Bytes,
    pub(crate) records: i64,
}

/// Gathers the records of all sinks and changelogs.
#[derive(Debug)]
pub(crate) struct Collector {
    outs: Vec<Out>,
    batch_bytes_max: usize,
    sealed_bytes_max: usize,
    sealed: Vec<Sealed>,
    sealed_bytes: usize,
}

#[derive(Debug)]
struct Out {
    topic: TopicName,
    open: Vec<BatchBuilder>,
    /// Where records without a key go: one partition until its batch is sealed, then the next.
    sticky: usize,
}

impl Collector {
    /// A collector for topics with these numbers of partitions, in the order of their [`OutId`]s.
    pub(crate) fn new(
        outs: Vec<(TopicName, i32)>,
        batch_bytes_max: usize,
        sealed_bytes_max: usize,
    ) -> Self {
        let outs = outs.into_iter().map(|(topic, partitions)| Out {
            topic,
            open: (0..partitions.max(1))
                .map(|_| BatchBuilder::new(BatchOptions::default()))
                .collect(),
            sticky: 0,
        });
        Self {
            outs: outs.collect(),
            batch_bytes_max,
            sealed_bytes_max,
            sealed: Vec::new(),
            sealed_bytes: 0,
        }
    }

    /// Appends a record: to the partition given, else to that of its key.
    #[inline]
    pub(crate) fn append(
        &mut self,
        out: OutId,
        partition: Option<Partition>,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Headers<'_>,
    ) -> Result<()> {
        let Some(to) = self.outs.get_mut(out.0) else {
            unreachable!("the collector knows every topic of its topology");
        };
        let index = match (partition, key) {
            (Some(partition), _) => usize::try_from(partition.0).unwrap_or(usize::MAX),
            (None, _) if to.open.len() == 1 => 0,
            (None, Some(key)) => partition_of(key, to.open.len()),
            (None, None) => to.sticky % to.open.len(),
        };
        let Some(open) = to.open.get_mut(index) else {
            return Err(Error::new(
                ErrorKind::UnknownTopicOrPartition,
                format!(
                    "topic {} has no partition {index}; it was changed while the \
                         application ran: restart it",
                    to.topic
                ),
            ));
        };
        let (key_len, value_len) = (key.map_or(0, <[u8]>::len), value.map_or(0, <[u8]>::len));
        let size = BatchBuilder::record_size_max(key_len, value_len, headers);
        if !open.is_empty() && open.len() + size > self.batch_bytes_max {
            let sealed = seal(out, &to.topic, index, open)?;
            self.sealed_bytes += sealed.batch.len();
            self.sealed.push(sealed);
            if key.is_none() {
                to.sticky = to.sticky.wrapping_add(1);
            }
        }
        open.append(timestamp, key, value, headers)
    }

    /// Seals every open batch.
    pub(crate) fn seal_all(&mut self) -> Result<()> {
        for (number, out) in self.outs.iter_mut().enumerate() {
            for (index, open) in out.open.iter_mut().enumerate() {
                if !open.is_empty() {
                    let sealed = seal(OutId(number), &out.topic, index, open)?;
                    self.sealed_bytes += sealed.batch.len();
                    self.sealed.push(sealed);
                }
            }
        }
        Ok(())
    }

    /// The topic that is written as `out`.
    pub(crate) fn topic(&self, out: OutId) -> &TopicName {
        &self.outs[out.0].topic
    }

    /// Whether enough is sealed to be produced, before more is processed.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.sealed_bytes >= self.sealed_bytes_max
    }

    /// Takes the sealed batches, in the order in which they must be produced.
    pub(crate) fn take_sealed(&mut self) -> Vec<Sealed> {
        self.sealed_bytes = 0;
        std::mem::take(&mut self.sealed)
    }
}

#[inline]
fn partition_of(key: &[u8], partitions: usize) -> usize {
    let count = i32::try_from(partitions).unwrap_or(i32::MAX);
    usize::try_from(partition_for_key(key, count).0).unwrap_or(0)
}

fn seal(out: OutId, topic: &TopicName, index: usize, open: &mut BatchBuilder) -> Result<Sealed> {
    let partition = Partition(i32::try_from(index).unwrap_or(i32::MAX));
    let records = i64::from(open.record_count());
    Ok(Sealed {
        out,
        partition: TopicPartition::new(topic.clone(), partition),
        batch: open.finish()?,
        records,
    })
}
