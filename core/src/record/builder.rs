//! Writes record batches.

use bytes::Bytes;

use super::batch::{Attributes, BatchHeader, NewHeader, TimestampType, write_header};
use super::compression::{Compression, Compressor};
use super::headers::{Headers, len_as_i64, put_bytes};
use super::varint;
use crate::error::{Error, ErrorKind, Result};
use crate::types::{Epoch, ProducerId, Sequence, Timestamp};

/// What a batch is, apart from its records.
#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    /// The codec and its level; none by default.
    pub compression: Compressor,
    /// Whose clock the timestamps come from; the producer's by default.
    pub timestamp_type: TimestampType,
    /// The producer; none by default.
    pub producer_id: ProducerId,
    /// The producer's epoch; none by default.
    pub producer_epoch: Epoch,
    /// The first record's place in the producer's sequence; none by default.
    pub base_sequence: Sequence,
    /// Whether the batch belongs to a transaction.
    pub transactional: bool,
    /// Whether the batch is a marker; only the broker writes those.
    pub control: bool,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            compression: Compressor::new(Compression::None),
            timestamp_type: TimestampType::CreateTime,
            producer_id: ProducerId::NONE,
            producer_epoch: Epoch::NONE,
            base_sequence: Sequence::NONE,
            transactional: false,
            control: false,
        }
    }
}

/// Builds batches, one after the other, in memory that is used again.
///
/// ```
/// use headwater_core::record::{Batch, BatchBuilder, BatchOptions, Headers, Scratch};
/// use headwater_core::types::Timestamp;
/// # fn main() -> headwater_core::Result<()> {
/// let mut builder = BatchBuilder::new(BatchOptions::default());
/// builder.append(Timestamp(1_000), Some(b"key"), Some(b"value"), Headers::EMPTY)?;
/// let bytes = builder.finish()?;
///
/// let mut scratch = Scratch::new();
/// for record in Batch::parse(&bytes)?.records(&mut scratch)? {
///     assert_eq!(record?.value, Some(&b"value"[..]));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BatchBuilder {
    options: BatchOptions,
    /// Room for the header, then the records, uncompressed.
    buffer: Vec<u8>,
    /// Memory for the next buffer.
    spare: Vec<u8>,
    record_count: i32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
}

impl BatchBuilder {
    /// An empty batch.
    #[must_use]
    pub fn new(options: BatchOptions) -> Self {
        Self {
            options,
            buffer: Vec::new(),
            spare: Vec::new(),
            record_count: 0,
            base_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
        }
    }

    /// Appends a record; `None` is Kafka's null.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidTimestamp`] for a negative timestamp other than -1,
    /// [`ErrorKind::MessageTooLarge`] when the batch would outgrow the format. The batch is as
    /// it was then.
    #[inline]
    pub fn append(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Headers<'_>,
    ) -> Result<()> {
        let key_len = key.map_or(0, <[u8]>::len);
        let value_len = value.map_or(0, <[u8]>::len);
        self.begin(timestamp, key_len, value_len, headers)?;
        let timestamp_delta = timestamp.0 - self.base_timestamp.0;
        let body = 1
            + varint::len(timestamp_delta)
            + varint::len(self.record_count.into())
            + bytes_len(key)
            + bytes_len(value)
            + varint::len(len_as_i64(headers.len()))
            + headers.raw().len();
        let out = &mut self.buffer;
        varint::put(len_as_i64(body), out);
        out.push(0);
        varint::put(timestamp_delta, out);
        varint::put(self.record_count.into(), out);
        put_bytes(key, out);
        put_bytes(value, out);
        varint::put(len_as_i64(headers.len()), out);
        out.extend_from_slice(headers.raw());
        self.record_count += 1;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        Ok(())
    }

    /// The size of the batch so far in bytes, uncompressed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len().max(BatchHeader::LEN)
    }

    /// Whether it has no records yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// The number of records so far.
    #[must_use]
    pub const fn record_count(&self) -> i32 {
        self.record_count
    }

    /// The most bytes that a record can add to a batch, before compression.
    #[must_use]
    pub fn record_size_max(key_len: usize, value_len: usize, headers: Headers<'_>) -> usize {
        RECORD_OVERHEAD_MAX
            .saturating_add(key_len)
            .saturating_add(value_len)
            .saturating_add(headers.raw().len())
    }

    /// Sets who produces the batch, which is known only when it is sent.
    pub fn set_producer(&mut self, id: ProducerId, epoch: Epoch, base_sequence: Sequence) {
        self.options.producer_id = id;
        self.options.producer_epoch = epoch;
        self.options.base_sequence = base_sequence;
    }

    /// Compresses and seals the batch, with base offset 0, and begins the next one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRecord`] when there is no record; whatever the codec says.
    pub fn finish(&mut self) -> Result<Bytes> {
        if self.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidRecord,
                "a batch without records cannot be finished",
            ));
        }
        let mut batch = std::mem::take(&mut self.spare);
        let compressor = self.options.compression;
        if compressor.compression() == Compression::None {
            std::mem::swap(&mut batch, &mut self.buffer);
        } else {
            batch.clear();
            batch.resize(BatchHeader::LEN, 0);
            let records = self.buffer.get(BatchHeader::LEN..).unwrap_or_default();
            compressor.compress(records, &mut batch)?;
        }
        write_header(&mut batch, &self.header());
        self.clear();
        Ok(Bytes::from(batch))
    }

    /// Takes back the memory of a batch that nobody else holds any more.
    pub fn recycle(&mut self, batch: Bytes) {
        if batch.is_unique() {
            self.spare = Vec::from(batch);
            self.spare.clear();
        }
    }

    /// Drops all records appended since the last batch.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.record_count = 0;
        self.base_timestamp = Timestamp::NONE;
        self.max_timestamp = Timestamp::NONE;
    }

    /// Checks that the record fits, and makes room for it.
    #[inline]
    fn begin(
        &mut self,
        timestamp: Timestamp,
        key_len: usize,
        value_len: usize,
        headers: Headers<'_>,
    ) -> Result<()> {
        if timestamp < Timestamp::NONE {
            return Err(negative_timestamp(timestamp));
        }
        let size = Self::record_size_max(key_len, value_len, headers);
        if size > BatchHeader::SIZE_MAX - self.len() {
            return Err(too_large(size, self.len()));
        }
        if self.record_count == 0 {
            self.buffer.clear();
            self.buffer.resize(BatchHeader::LEN, 0);
            self.base_timestamp = timestamp;
        }
        self.buffer.reserve(size);
        Ok(())
    }

    fn header(&self) -> NewHeader {
        let options = &self.options;
        let mut attributes = Attributes::new(options.compression.compression())
            .with_timestamp_type(options.timestamp_type);
        if options.transactional {
            attributes = attributes.with_transactional();
        }
        if options.control {
            attributes = attributes.with_control();
        }
        NewHeader {
            attributes,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: options.producer_id,
            producer_epoch: options.producer_epoch,
            base_sequence: options.base_sequence,
            record_count: self.record_count,
        }
    }
}

/// A record's length, attributes, timestamp and offset deltas, key and value lengths, header
/// count, at their longest.
const RECORD_OVERHEAD_MAX: usize = 5 * varint::I32_LEN_MAX + 1 + varint::I64_LEN_MAX;

#[inline]
fn bytes_len(bytes: Option<&[u8]>) -> usize {
    match bytes {
        None => 1,
        Some(bytes) => varint::len(len_as_i64(bytes.len())) + bytes.len(),
    }
}

#[cold]
fn negative_timestamp(timestamp: Timestamp) -> Error {
    Error::new(
        ErrorKind::InvalidTimestamp,
        format!("a record's timestamp is milliseconds since 1970, {timestamp} is negative"),
    )
}

#[cold]
fn too_large(record: usize, batch: usize) -> Error {
    Error::new(
        ErrorKind::MessageTooLarge,
        format!(
            "a record of up to {record} bytes does not fit a batch that has {batch}; a batch \
             holds {} at most",
            BatchHeader::SIZE_MAX
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Batch, Scratch};

    #[test]
    fn a_refused_record_changes_nothing() {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        assert_eq!(builder.len(), BatchHeader::LEN);
        let error = builder.finish().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRecord);
        let bad = builder.append(Timestamp(-2), None, None, Headers::EMPTY);
        assert_eq!(bad.unwrap_err().kind(), ErrorKind::InvalidTimestamp);
        assert!(builder.is_empty());
        builder
            .append(Timestamp::NONE, None, None, Headers::EMPTY)
            .unwrap();
        let len = builder.len();
        let bad = builder.append(Timestamp(i64::MIN), None, None, Headers::EMPTY);
        assert!(bad.is_err());
        assert_eq!((builder.len(), builder.record_count()), (len, 1));
        assert_eq!(builder.finish().unwrap().len(), len);
    }

    #[test]
    fn memory_and_options_carry_over_to_the_next_batch() {
        for compression in Compression::ALL {
            let mut builder = BatchBuilder::new(BatchOptions {
                compression: compression.into(),
                ..BatchOptions::default()
            });
            for round in 0..3 {
                let value = vec![b'v'; 1000];
                builder.set_producer(ProducerId(9), Epoch(1), Sequence(round));
                for time in 0..=round {
                    let time = Timestamp(time.into());
                    builder
                        .append(time, None, Some(&value), Headers::EMPTY)
                        .unwrap();
                }
                let bytes = builder.finish().unwrap();
                assert!(builder.is_empty());
                let batch = Batch::parse(&bytes).unwrap();
                assert_eq!(batch.header.base_sequence, round);
                assert_eq!(batch.header.record_count, round + 1);
                assert_eq!(batch.header.max_timestamp, i64::from(round));
                let mut scratch = Scratch::new();
                let values = batch.records(&mut scratch).unwrap();
                assert!(
                    values
                        .map(|record| record.unwrap())
                        .all(|record| record.value == Some(&value))
                );
                builder.recycle(bytes.clone());
                assert_eq!(builder.spare.capacity(), 0, "it is still held");
                let address = bytes.as_ptr();
                builder.recycle(bytes);
                assert_eq!(builder.spare.as_ptr(), address);
                builder.spare = Vec::new();
            }
        }
    }

    #[test]
    fn the_size_estimate_holds() {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        for len in [0, 1, 63, 64, 8191, 8192, 1 << 20] {
            let before = builder.len();
            let bytes = vec![7; len];
            builder
                .append(
                    Timestamp(i64::MAX >> (len % 60)),
                    Some(&bytes),
                    Some(&bytes),
                    Headers::EMPTY,
                )
                .unwrap();
            let most = BatchBuilder::record_size_max(len, len, Headers::EMPTY);
            assert!(builder.len() - before <= most);
        }
    }
}
