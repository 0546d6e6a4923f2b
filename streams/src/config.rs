//! The settings of an application.

use std::time::Duration;

/// The settings of a [`Streams`](crate::Streams) application; plain data with defaults.
///
/// ```
/// use headwater_streams::StreamsConfig;
/// use std::time::Duration;
/// let config = StreamsConfig {
///     commit_interval: Duration::from_secs(1),
///     ..StreamsConfig::default()
/// };
/// # let _ = config;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamsConfig {
    /// How long results and progress may wait for their commit (`commit.interval.ms`). Default
    /// 100 ms: a commit costs tens of microseconds, and this long a reader waits for results.
    pub commit_interval: Duration,
    /// How many bytes of changed store entries may wait for the commit
    /// (`statestore.cache.max.bytes`), over all stores; when more have changed, they are handed
    /// on and written early. 0 hands on each change at once. Default 10 MiB, as Kafka Streams.
    pub cache_bytes_max: usize,
    /// The size at which a batch of results is sealed. Default 256 KiB; a topic's
    /// `max.message.bytes` must allow it.
    pub batch_bytes_max: usize,
    /// How many bytes of sealed batches are gathered for one produce call. Default 1 MiB.
    pub produce_bytes_max: usize,
    /// How many bytes one fetch asks for, over all partitions. Default 1 MiB.
    pub fetch_bytes_max: usize,
    /// How many fetched bytes of one partition may wait while the task waits for another one.
    /// Default 4 MiB.
    pub buffered_bytes_max: usize,
    /// How often processed records are deleted from repartition topics
    /// (`repartition.purge.interval.ms`). Default 30 s.
    pub purge_interval: Duration,
}

impl Default for StreamsConfig {
    fn default() -> Self {
        Self {
            commit_interval: Duration::from_millis(100),
            cache_bytes_max: 10 << 20,
            batch_bytes_max: 256 << 10,
            produce_bytes_max: 1 << 20,
            fetch_bytes_max: 1 << 20,
            buffered_bytes_max: 4 << 20,
            purge_interval: Duration::from_secs(30),
        }
    }
}
