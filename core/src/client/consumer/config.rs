//! The settings of a consumer.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::request::IsolationLevel;

/// Where to begin in a partition without a committed offset, or whose offset is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AutoOffsetReset {
    /// At the first record held.
    Earliest,
    /// At the end: what is written from now on; Kafka's default.
    #[default]
    Latest,
    /// Nowhere: it is an error (`NoOffsetForPartition`, `OffsetOutOfRange`).
    None,
}

/// How a consumer reads; the defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// Where to begin without a committed offset; `auto.offset.reset`, default latest.
    pub auto_offset_reset: AutoOffsetReset,
    /// Which records are seen; `isolation.level`, default read uncommitted.
    pub isolation: IsolationLevel,
    /// Whether the position is committed from time to time; `enable.auto.commit`, default true.
    pub enable_auto_commit: bool,
    /// How often, when records are asked for; `auto.commit.interval.ms`, default 5 s.
    pub auto_commit_interval: Duration,
    /// The most records of one poll; `max.poll.records`, default 500.
    pub max_poll_records: usize,
    /// A member that does not ask for records for this long leaves its group;
    /// `max.poll.interval.ms`, default 5 minutes.
    pub max_poll_interval: Duration,
    /// A member that is silent for this long is taken for dead; `session.timeout.ms`,
    /// default 45 s.
    pub session_timeout: Duration,
    /// How often a member shows that it lives; `heartbeat.interval.ms`, default 3 s.
    pub heartbeat_interval: Duration,
    /// A fetch waits for this many bytes; `fetch.min.bytes`, default 1.
    pub fetch_min_bytes: usize,
    /// A fetch returns about this much; `fetch.max.bytes`, default 50 MiB.
    pub fetch_max_bytes: usize,
    /// A fetch returns about this much of one partition; `max.partition.fetch.bytes`,
    /// default 1 MiB.
    pub max_partition_fetch_bytes: usize,
    /// A fetch waits this long; `fetch.max.wait.ms`, default 500 ms.
    pub fetch_max_wait: Duration,
    /// Whether a topic that is subscribed to may be made; `allow.auto.create.topics`,
    /// default true.
    pub allow_auto_create_topics: bool,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            auto_offset_reset: AutoOffsetReset::Latest,
            isolation: IsolationLevel::ReadUncommitted,
            enable_auto_commit: true,
            auto_commit_interval: Duration::from_secs(5),
            max_poll_records: 500,
            max_poll_interval: Duration::from_secs(300),
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            fetch_min_bytes: 1,
            fetch_max_bytes: 50 << 20,
            max_partition_fetch_bytes: 1 << 20,
            fetch_max_wait: Duration::from_millis(500),
            allow_auto_create_topics: true,
        }
    }
}

impl ConsumerConfig {
    /// Checks that the settings fit together.
    ///
    /// # Errors
    /// `InvalidConfig`, with what would be right.
    pub fn validate(&self) -> Result<()> {
        let fault = if self.max_poll_records == 0 {
            "max_poll_records must be at least 1"
        } else if self.fetch_min_bytes == 0 || self.fetch_max_bytes == 0 {
            "fetch_min_bytes and fetch_max_bytes must be at least 1"
        } else if self.fetch_max_wait.is_zero() {
            "fetch_max_wait must be more than 0, or a reader without records never rests"
        } else if self.heartbeat_interval.is_zero() {
            "heartbeat_interval must be more than 0"
        } else if self.heartbeat_interval >= self.session_timeout {
            "heartbeat_interval must be less than session_timeout (a third of it is usual)"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::InvalidConfig, fault))
    }
}
