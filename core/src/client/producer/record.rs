//! [`ProducerRecord`]: a record to be sent, with all that it may carry.

use crate::record::HeadersBuf;
use crate::types::{Partition, Timestamp};

/// A record to be sent. For a plain key and value, `Producer::send` is enough.
///
/// ```
/// use headwater_core::client::producer::ProducerRecord;
/// use headwater_core::types::{Partition, Timestamp};
///
/// let record = ProducerRecord::new("ada", "paid")
///     .partition(Partition(2))
///     .timestamp(Timestamp(1_700_000_000_000))
///     .header("trace", b"17");
/// # let _ = record;
/// ```
#[derive(Clone, Debug)]
pub struct ProducerRecord<'a, K: ?Sized, V: ?Sized> {
    pub(super) key: Option<&'a K>,
    pub(super) value: Option<&'a V>,
    pub(super) partition: Option<Partition>,
    pub(super) timestamp: Option<Timestamp>,
    pub(super) headers: HeadersBuf,
}

impl<'a, K: ?Sized, V: ?Sized> ProducerRecord<'a, K, V> {
    /// A record with a key and a value.
    #[must_use]
    pub fn new(key: &'a K, value: &'a V) -> Self {
        Self::of(Some(key), Some(value))
    }

    /// A record without a key: it goes to whatever partition is convenient.
    #[must_use]
    pub fn keyless(value: &'a V) -> Self {
        Self::of(None, Some(value))
    }

    /// A record without a value: on a compacted topic, the key is deleted.
    #[must_use]
    pub fn tombstone(key: &'a K) -> Self {
        Self::of(Some(key), None)
    }

    /// To this partition, whatever the key.
    #[must_use]
    pub fn partition(mut self, partition: Partition) -> Self {
        self.partition = Some(partition);
        self
    }

    /// With this time instead of now.
    #[must_use]
    pub fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.push(name, Some(value));
        self
    }

    /// With these headers instead of those it has.
    #[must_use]
    pub fn headers(mut self, headers: HeadersBuf) -> Self {
        self.headers = headers;
        self
    }

    fn of(key: Option<&'a K>, value: Option<&'a V>) -> Self {
        Self {
            key,
            value,
            partition: None,
            timestamp: None,
            headers: HeadersBuf::new(),
        }
    }
}
