//! The settings of a broker.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::log::LogOptions;

/// How a broker behaves; the defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerConfig {
    /// The partitions of a topic that does not say; `num.partitions`, default 1.
    pub num_partitions: i32,
    /// Whether a topic is made when it is first asked for; `auto.create.topics.enable`,
    /// default true.
    pub auto_create_topics: bool,
    /// How often old segments are looked for; `log.retention.check.interval.ms`,
    /// default 5 minutes.
    pub retention_check_interval: Duration,
    /// The partitions of `__consumer_offsets` when it is made; `offsets.topic.num.partitions`,
    /// default 50.
    pub offsets_topic_partitions: i32,
    /// The log's machinery.
    pub log: LogOptions,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            num_partitions: 1,
            auto_create_topics: true,
            retention_check_interval: Duration::from_secs(300),
            offsets_topic_partitions: 50,
            log: LogOptions::default(),
        }
    }
}

impl BrokerConfig {
    /// For a broker whose data ends with the process.
    #[must_use]
    pub fn memory() -> Self {
        Self {
            log: LogOptions {
                durable: false,
                ..LogOptions::default()
            },
            ..Self::default()
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// `InvalidConfig`, with what would be right.
    pub fn validate(&self) -> Result<()> {
        let fault = if self.num_partitions < 1 {
            "num_partitions must be at least 1"
        } else if self.offsets_topic_partitions < 1 {
            "offsets_topic_partitions must be at least 1"
        } else if self.retention_check_interval.is_zero() {
            "retention_check_interval must be more than 0"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::InvalidConfig, fault))
    }
}
