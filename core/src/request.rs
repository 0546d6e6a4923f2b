//! What a cluster is asked and what it answers: plain data, shared by broker and clients.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::error::Result;
use crate::types::{
    GroupId, MemberId, Offset, ProducerId, Timestamp, TopicId, TopicName, TopicPartition,
};

/// What a producer waits for before a record counts as sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Acks {
    /// Nothing: the answer comes at once; what fails later is lost in silence.
    None,
    /// The operating system has the bytes: they survive the process, not the machine.
    Leader,
    /// The bytes are on disk: they survive the machine. Kafka's `all`, the default.
    #[default]
    All,
}

/// Which records a reader sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IsolationLevel {
    /// All up to the high watermark; Kafka's default.
    #[default]
    ReadUncommitted,
    /// None of an open or aborted transaction.
    ReadCommitted,
}

/// A topic as the cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Its name.
    pub name: TopicName,
    /// Its identity.
    pub id: TopicId,
    /// The number of its partitions.
    pub partitions: i32,
    /// Whether the broker keeps its own state in it.
    pub internal: bool,
}

/// A topic to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// The number of its partitions; `None` is the broker's default (`num.partitions`).
    pub partitions: Option<i32>,
    /// Its own settings, by Kafka's names (`retention.ms`, ...).
    pub configs: BTreeMap<String, String>,
}

impl NewTopic {
    /// A topic with the broker's default number of partitions and default settings.
    ///
    /// # Errors
    /// `InvalidTopic` when the name breaks a rule.
    pub fn new(name: &str) -> Result<Self> {
        Ok(Self {
            name: TopicName::new(name)?,
            partitions: None,
            configs: BTreeMap::new(),
        })
    }

    /// With this number of partitions.
    #[must_use]
    pub fn partitions(mut self, partitions: i32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// With this setting, by Kafka's name.
    #[must_use]
    pub fn config(mut self, name: &str, value: impl Into<String>) -> Self {
        self.configs.insert(name.to_owned(), value.into());
        self
    }
}

/// One setting of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Kafka's name for it.
    pub name: String,
    /// The value in force.
    pub value: String,
    /// Whether nobody set it.
    pub is_default: bool,
}

/// Batches to append: each is one record batch in Kafka's v2 layout.
#[derive(Clone, Debug)]
pub struct ProduceRequest {
    /// What to wait for.
    pub acks: Acks,
    /// At most one batch for each partition of the request is not required: they are appended in
    /// the order given.
    pub batches: Vec<(TopicPartition, Bytes)>,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    /// The offset of its first record; -1 under `acks=0`.
    pub base_offset: Offset,
    /// The time the log gave it, under `message.timestamp.type=LogAppendTime`; else none (-1).
    pub log_append_time: Timestamp,
    /// The first offset that the partition still holds.
    pub log_start: Offset,
}

/// What to read.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// The partitions, in the order in which they are served.
    pub partitions: Vec<FetchPartition>,
    /// Answer at once when this many bytes are there; 0 answers at once in any case.
    pub min_bytes: usize,
    /// Return about this many bytes at most, over all partitions; the first batch of the answer
    /// comes whole even if it is larger.
    pub max_bytes: usize,
    /// Wait this long at most for `min_bytes`.
    pub max_wait: Duration,
    /// Which records are seen.
    pub isolation: IsolationLevel,
}

/// One partition of a [`FetchRequest`].
#[derive(Clone, Debug)]
pub struct FetchPartition {
    /// The partition.
    pub partition: TopicPartition,
    /// The first offset wanted.
    pub offset: Offset,
    /// Return about this many bytes at most.
    pub max_bytes: usize,
}

/// What was read from one partition.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Whole record batches, one or more a chunk, in offset order. The first batch may begin
    /// before the offset that was asked for: skip its earlier records.
    pub chunks: Vec<Bytes>,
    /// The end of what readers may see.
    pub high_watermark: Offset,
    /// The end of what `read_committed` readers may see.
    pub last_stable: Offset,
    /// The first offset that the partition still holds.
    pub log_start: Offset,
    /// The aborted transactions in the range, under `read_committed`: (producer id, first offset).
    pub aborted: Vec<(ProducerId, Offset)>,
}

/// A place in a partition, by meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OffsetSpec {
    /// The first offset held.
    Earliest,
    /// The end: the high watermark, or the last stable offset under `read_committed`.
    Latest,
    /// The first record with this timestamp or a later one.
    Timestamp(Timestamp),
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
}

/// The answer to an [`OffsetSpec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; -1 when no record matches.
    pub offset: Offset,
    /// Its record's timestamp, for the two timestamp specs; else none (-1).
    pub timestamp: Timestamp,
}

/// A group's progress in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: Offset,
    /// The committer's own note, returned byte for byte; at most 4096 bytes.
    pub metadata: String,
}

impl CommittedOffset {
    /// Progress up to `offset`, without a note.
    #[must_use]
    pub fn at(offset: Offset) -> Self {
        Self {
            offset,
            metadata: String::new(),
        }
    }
}

/// A member's standing in its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: GroupId,
    /// The member.
    pub member: MemberId,
    /// The generation that its assignment belongs to.
    pub generation: i32,
    /// The partitions it reads.
    pub assignment: Vec<TopicPartition>,
}
