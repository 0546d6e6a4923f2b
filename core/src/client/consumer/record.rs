//! [`ConsumerRecord`]: a record as it was read.

use crate::record::HeadersBuf;
use crate::types::{Offset, Partition, Timestamp, TopicName, TopicPartition};

/// A record as it was read, with keys and values of the user's types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRecord<K, V> {
    /// Its topic.
    pub topic: TopicName,
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: Offset,
    /// Its time: the producer's, or the log's under `LogAppendTime`.
    pub timestamp: Timestamp,
    /// The key. Read a key that may be null as `Option<K>`, or as `()` where it does not matter.
    pub key: K,
    /// The value. Read a value that may be null as `Option<V>`.
    pub value: V,
    /// The headers.
    pub headers: HeadersBuf,
}

impl<K, V> ConsumerRecord<K, V> {
    /// The partition with its topic.
    #[must_use]
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition::new(self.topic.clone(), self.partition)
    }
}
