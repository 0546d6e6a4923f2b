//! Numbers and names that mean something: offsets, partitions, topics, timestamps.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl $name {
            /// The plain number.
            #[must_use]
            pub const fn value(self) -> $int {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl From<$int> for $name {
            fn from(value: $int) -> Self {
                Self(value)
            }
        }

        impl From<$name> for $int {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl PartialEq<$int> for $name {
            fn eq(&self, other: &$int) -> bool {
                self.0 == *other
            }
        }
    };
}

number! {
    /// A record's place in its partition: the first record has offset 0.
    Offset(i64)
}
number! {
    /// The number of a partition in its topic, from 0.
    Partition(i32)
}
number! {
    /// The identity of an idempotent or transactional producer; -1 means none.
    ProducerId(i64)
}
number! {
    /// A generation that fences older ones (producer epoch); -1 means none.
    Epoch(i16)
}
number! {
    /// The epoch of a partition's leader; 0 on a single node, -1 unknown.
    LeaderEpoch(i32)
}
number! {
    /// The place of a record in its producer's sequence; -1 means none.
    Sequence(i32)
}
number! {
    /// Milliseconds since 1970-01-01 UTC; -1 means none.
    Timestamp(i64)
}

impl Offset {
    /// The offset `count` records later.
    #[must_use]
    pub const fn plus(self, count: i64) -> Self {
        Self(self.0 + count)
    }

    /// The offset of the next record.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl ProducerId {
    /// No producer id: a batch of a plain producer.
    pub const NONE: Self = Self(-1);
}

impl Epoch {
    /// No producer epoch.
    pub const NONE: Self = Self(-1);
}

impl Sequence {
    /// No sequence number.
    pub const NONE: Self = Self(-1);
}

impl Timestamp {
    /// No timestamp.
    pub const NONE: Self = Self(-1);
}

/// A valid topic name: 1 to 249 characters of `[a-zA-Z0-9._-]`, neither `.` nor `..`
/// (`org.apache.kafka.common.internals.Topic`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// The longest topic name, in characters.
    pub const LENGTH_MAX: usize = 249;

    /// Checks `name` and makes it a topic name.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTopic`] when the name breaks a rule; the message says which.
    pub fn new(name: &str) -> Result<Self> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let fault = if name.is_empty() {
            "it is empty".to_owned()
        } else if name == "." || name == ".." {
            "it is a folder's own name".to_owned()
        } else if name.len() > Self::LENGTH_MAX {
            format!(
                "it has {} characters, {} are allowed",
                name.len(),
                Self::LENGTH_MAX
            )
        } else if let Some(c) = name.chars().find(|c| !legal(*c)) {
            format!("{c:?} is not one of [a-zA-Z0-9._-]")
        } else {
            return Ok(Self(name.into()));
        };
        Err(Error::new(
            ErrorKind::InvalidTopic,
            format!("topic name {name:?}: {fault}"),
        ))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the broker keeps its own state in this topic (`__consumer_offsets` and such).
    #[must_use]
    pub fn is_internal(&self) -> bool {
        matches!(&*self.0, "__consumer_offsets" | "__transaction_state")
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl AsRef<str> for TopicName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// One partition of one topic; printed as Kafka prints it, `topic-0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition in it.
    pub partition: Partition,
}

impl TopicPartition {
    /// The partition `partition` of `topic`.
    #[must_use]
    pub const fn new(topic: TopicName, partition: Partition) -> Self {
        Self { topic, partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// The identity of a topic: a topic made anew under an old name has another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub uuid::Uuid);

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The name of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(Arc<str>);

impl GroupId {
    /// Checks `id` and makes it a group id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidGroupId`] when it is empty.
    pub fn new(id: &str) -> Result<Self> {
        if id.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidGroupId,
                "a group id cannot be empty",
            ));
        }
        Ok(Self(id.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name that the coordinator gave a member of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub Arc<str>);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_names_follow_kafkas_rules() {
        for good in [
            "a",
            "a.b_c-D9",
            &"x".repeat(249),
            "__consumer_offsets",
            "...",
        ] {
            assert_eq!(TopicName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a b", "a/b", "\u{e4}", &"x".repeat(250)] {
            assert_eq!(
                TopicName::new(bad).unwrap_err().kind(),
                ErrorKind::InvalidTopic,
                "{bad}"
            );
        }
    }

    #[test]
    fn a_partition_prints_as_kafka_prints_it() {
        let tp = TopicPartition::new(TopicName::new("orders").unwrap(), Partition(3));
        assert_eq!(tp.to_string(), "orders-3");
    }
}
