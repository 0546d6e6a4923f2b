//! The settings of a producer.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::record::Compression;
use crate::request::Acks;

/// How a producer gathers and sends records; the defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerConfig {
    /// What a record's future waits for; `acks`, default all: the bytes are on disk.
    pub acks: Acks,
    /// A batch is sent when it has this many bytes; `batch.size`, default 16384.
    pub batch_size: usize,
    /// A batch is sent this long after its first record even if it is not full; `linger.ms`,
    /// default 5 ms.
    pub linger: Duration,
    /// How batches are compressed; `compression.type`, default none.
    pub compression: Compression,
    /// The largest record, before compression; `max.request.size`, default 1 MiB.
    pub max_request_size: usize,
    /// Records wait in batches up to this many bytes; then sending waits; `buffer.memory`,
    /// default 32 MiB.
    pub buffer_memory: usize,
    /// How long a record waits for room in the buffer; `max.block.ms`, default 60 s.
    pub max_block: Duration,
    /// How many calls may be under way at once; `max.in.flight.requests.per.connection`,
    /// default 5. Order within a partition is kept.
    pub max_in_flight: usize,
    /// How often the number of the topic's partitions is looked up; `metadata.max.age.ms`,
    /// default 5 minutes.
    pub metadata_max_age: Duration,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            batch_size: 16_384,
            linger: Duration::from_millis(5),
            compression: Compression::None,
            max_request_size: 1 << 20,
            buffer_memory: 32 << 20,
            max_block: Duration::from_secs(60),
            max_in_flight: 5,
            metadata_max_age: Duration::from_secs(300),
        }
    }
}

impl ProducerConfig {
    /// Checks that the settings fit together.
    ///
    /// # Errors
    /// `InvalidConfig`, with what would be right.
    pub fn validate(&self) -> Result<()> {
        let fault = if self.max_in_flight == 0 {
            "max_in_flight must be at least 1"
        } else if self.metadata_max_age.is_zero() {
            "metadata_max_age must be more than 0"
        } else if self.max_request_size > self.buffer_memory {
            "buffer_memory must be at least max_request_size"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::InvalidConfig, fault))
    }
}
