//! The error of core: what happened (Kafka's name for it), where, and what to do.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::types::{Offset, TopicPartition};

/// The result of everything in core that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, under Kafka's own name where Kafka has one
/// (`org.apache.kafka.common.protocol.Errors`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The offset lies outside what the partition holds.
    OffsetOutOfRange,
    /// Bytes that fail their checksum or break the format.
    CorruptMessage,
    /// No such topic or partition.
    UnknownTopicOrPartition,
    /// No topic has this id.
    UnknownTopicId,
    /// A batch larger than `max.message.bytes`.
    MessageTooLarge,
    /// A request larger than the log's bounds allow.
    RecordListTooLarge,
    /// The operation took longer than it may; whether it took effect is unknown.
    RequestTimedOut,
    /// A topic name that breaks the rules.
    InvalidTopic,
    /// The topic exists.
    TopicAlreadyExists,
    /// A partition count that cannot be.
    InvalidPartitions,
    /// A replication factor that this cluster cannot give.
    InvalidReplicationFactor,
    /// A setting that is unknown, malformed or unsupported.
    InvalidConfig,
    /// A request that makes no sense.
    InvalidRequest,
    /// A record that its topic does not take (no key on a compacted topic and such).
    InvalidRecord,
    /// A timestamp outside of what the topic allows.
    InvalidTimestamp,
    /// A value for `acks` that is not 0, 1 or all.
    InvalidRequiredAcks,
    /// A codec that is unknown.
    UnsupportedCompressionType,
    /// The disk failed: the partition takes no writes until the folder is opened again.
    KafkaStorageError,
    /// A group id that is empty or malformed.
    InvalidGroupId,
    /// The group has no such member.
    UnknownMemberId,
    /// The member's generation is over; it must join again.
    IllegalGeneration,
    /// The group is rebalancing; the member must join again.
    RebalanceInProgress,
    /// No such group.
    GroupIdNotFound,
    /// The group still has members.
    NonEmptyGroup,
    /// A commit's metadata is longer than `offset.metadata.max.bytes`.
    OffsetMetadataTooLarge,
    /// A sequence number that does not follow the producer's last one.
    OutOfOrderSequenceNumber,
    /// A producer whose epoch is over.
    InvalidProducerEpoch,
    /// The topic may not be changed by clients, or the policy forbids it.
    PolicyViolation,
    /// Another process holds the data folder.
    DataFolderLocked,
    /// The data folder was written by a newer or foreign program.
    UnsupportedFormat,
    /// The thing was closed, or is closing.
    Closed,
    /// No committed offset and no reset policy (`auto.offset.reset=none`).
    NoOffsetForPartition,
    /// A key or value that its serde refuses.
    Serialization,
    /// A queue, cache or buffer is at its bound and did not empty in time.
    BufferExhausted,
    /// A topology that cannot be built or run.
    InvalidTopology,
    /// An operator of a topology refused a record.
    ProcessingFailed,
    /// The operating system refused an operation on a file.
    Io,
}

impl ErrorKind {
    /// Whether the same call may succeed later with nothing changed by the caller.
    #[must_use]
    pub const fn retriable(self) -> bool {
        matches!(
            self,
            Self::RequestTimedOut
                | Self::UnknownTopicOrPartition
                | Self::UnknownTopicId
                | Self::CorruptMessage
                | Self::BufferExhausted
        )
    }
}

/// An error with its place and its cause.
///
/// ```
/// use headwater_core::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::InvalidConfig, "linger: 5 parsecs is not a duration");
/// assert_eq!(error.kind(), ErrorKind::InvalidConfig);
/// assert!(error.to_string().contains("parsecs"));
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    partition: Option<TopicPartition>,
    offset: Option<Offset>,
    path: Option<PathBuf>,
    position: Option<u64>,
    source: Option<std::sync::Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `message` says what was expected, what was found, what to do.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            partition: None,
            offset: None,
            path: None,
            position: None,
            source: None,
        }))
    }

    /// A failed file operation: `doing` is what was tried, as in "sync the journal".
    #[must_use]
    pub fn io(doing: &str, path: &Path, source: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, doing).path(path).source(source)
    }

    /// Names the partition.
    #[must_use]
    pub fn partition(mut self, partition: &TopicPartition) -> Self {
        self.0.partition = Some(partition.clone());
        self
    }

    /// Names the offset.
    #[must_use]
    pub fn offset(mut self, offset: Offset) -> Self {
        self.0.offset = Some(offset);
        self
    }

    /// Names the file.
    #[must_use]
    pub fn path(mut self, path: &Path) -> Self {
        self.0.path = Some(path.to_owned());
        self
    }

    /// Names the position in the file, in bytes.
    #[must_use]
    pub fn position(mut self, position: u64) -> Self {
        self.0.position = Some(position);
        self
    }

    /// Attaches the cause.
    #[must_use]
    pub fn source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(std::sync::Arc::new(source));
        self
    }

    /// The same error under another kind, for a caller that knows better what it means.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The partition it concerns, where one is known.
    #[must_use]
    pub fn topic_partition(&self) -> Option<&TopicPartition> {
        self.0.partition.as_ref()
    }

    /// The offset it concerns, where one is known.
    #[must_use]
    pub fn at_offset(&self) -> Option<Offset> {
        self.0.offset
    }

    /// The file it concerns, where one is known.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The position in the file, where one is known.
    #[must_use]
    pub fn file_position(&self) -> Option<u64> {
        self.0.position
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn retriable(&self) -> bool {
        self.0.kind.retriable()
    }
}

/// A copy with the same kind, place and cause: one failed sync answers many waiters.
impl Clone for Error {
    fn clone(&self) -> Self {
        Self(Box::new(Inner {
            kind: self.0.kind,
            message: self.0.message.clone(),
            partition: self.0.partition.clone(),
            offset: self.0.offset,
            path: self.0.path.clone(),
            position: self.0.position,
            source: self.0.source.clone(),
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        write!(f, "{:?}: {}", inner.kind, inner.message)?;
        if let Some(partition) = &inner.partition {
            write!(f, "; partition {partition}")?;
        }
        if let Some(offset) = inner.offset {
            write!(f, "; offset {offset}")?;
        }
        if let Some(path) = &inner.path {
            write!(f, "; file {}", path.display())?;
        }
        if let Some(position) = inner.position {
            write!(f, "; at byte {position}")?;
        }
        if let Some(source) = &inner.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| {
            let source: &(dyn std::error::Error + 'static) = source;
            source
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Partition, TopicName};

    #[test]
    fn an_error_says_where_it_happened() {
        let tp = TopicPartition::new(TopicName::new("orders").unwrap(), Partition(1));
        let error = Error::io(
            "read a batch",
            Path::new("x/0.log"),
            std::io::Error::other("boom"),
        )
        .partition(&tp)
        .offset(Offset(7))
        .position(61);
        assert_eq!(
            error.to_string(),
            "Io: read a batch; partition orders-1; offset 7; file x/0.log; at byte 61: boom"
        );
    }
}
