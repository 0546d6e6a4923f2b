//! What a broker asks of a batch once, before it goes into the log.
//!
//! The rules are those of Kafka's `LogValidator` and its callers, and two more: offset deltas
//! count up by one, and nothing is left over after the last record.

use super::batch::{Batch, BatchHeader, TimestampType};
use super::compression::{DECOMPRESSED_BYTES_MAX, Scratch};
use super::records::{RawRecord, take_record};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Timestamp;

/// What a topic takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest batch in bytes, as it comes (`max.message.bytes`).
    pub batch_bytes_max: usize,
    /// The most bytes that its records may decompress to.
    pub decompressed_bytes_max: usize,
    /// Whether every record must have a key (`cleanup.policy` has `compact`).
    pub key_required: bool,
    /// Whether control batches are taken: from the transaction coordinator, never from clients.
    pub control_allowed: bool,
    /// The earliest timestamp taken (now - `message.timestamp.before.max.ms`).
    pub timestamp_min: Timestamp,
    /// The latest timestamp taken (now + `message.timestamp.after.max.ms`).
    pub timestamp_max: Timestamp,
}

impl Default for Limits {
    /// Kafka's defaults for a topic: 1 MiB and the 12 bytes before the length, any time.
    fn default() -> Self {
        Self {
            batch_bytes_max: (1 << 20) + 12,
            decompressed_bytes_max: DECOMPRESSED_BYTES_MAX,
            key_required: false,
            control_allowed: false,
            timestamp_min: Timestamp(i64::MIN),
            timestamp_max: Timestamp(i64::MAX),
        }
    }
}

/// Checks the one batch that `bytes` are, all of it, record by record.
///
/// The header returned has the true largest timestamp, whatever the client wrote there: hand it
/// to [`assign`](super::assign), which corrects the batch.
///
/// # Errors
/// [`ErrorKind::MessageTooLarge`], [`ErrorKind::CorruptMessage`],
/// [`ErrorKind::UnsupportedCompressionType`], [`ErrorKind::InvalidRecord`] or
/// [`ErrorKind::InvalidTimestamp`].
pub fn validate(bytes: &[u8], limits: &Limits) -> Result<BatchHeader> {
    validate_with(bytes, limits, &mut Scratch::new())
}

/// [`validate`] with memory for compressed batches that is used again.
///
/// # Errors
/// As [`validate`].
pub fn validate_with(bytes: &[u8], limits: &Limits, scratch: &mut Scratch) -> Result<BatchHeader> {
    if bytes.len() > limits.batch_bytes_max {
        return Err(Error::new(
            ErrorKind::MessageTooLarge,
            format!(
                "the batch has {} bytes, the topic takes {} (max.message.bytes)",
                bytes.len(),
                limits.batch_bytes_max
            ),
        ));
    }
    let batch = Batch::exactly(bytes)?;
    batch.check_crc()?;
    let mut header = batch.header;
    check_header(&header, limits)?;
    let compression = header.attributes.compression()?;
    scratch.bytes_max = limits.decompressed_bytes_max;
    let records = scratch.decompress(compression, batch.body())?;
    header.max_timestamp = walk(&header, records, limits)?;
    Ok(header)
}

fn check_header(header: &BatchHeader, limits: &Limits) -> Result<()> {
    let attributes = header.attributes;
    let fault = if header.record_count == 0 {
        "the batch has no records".to_owned()
    } else if header.last_offset_delta != header.record_count - 1 {
        format!(
            "the batch has {} records, its last offset delta is {}",
            header.record_count, header.last_offset_delta
        )
    } else if attributes.is_control() && !limits.control_allowed {
        "clients may not write control batches".to_owned()
    } else if attributes.has_delete_horizon() {
        "only compaction may set a delete horizon".to_owned()
    } else if header.producer_id.0 >= 0
        && !attributes.is_control()
        && (header.base_sequence.0 < 0 || header.producer_epoch.0 < 0)
    {
        format!(
            "producer {} has epoch {} and sequence {}",
            header.producer_id, header.producer_epoch, header.base_sequence
        )
    } else if attributes.is_transactional() && header.producer_id.0 < 0 {
        "a transactional batch needs a producer id".to_owned()
    } else if attributes.timestamp_type() == TimestampType::LogAppendTime {
        return Err(Error::new(
            ErrorKind::InvalidTimestamp,
            "producers may not set the timestamp type to LogAppendTime",
        ));
    } else {
        return Ok(());
    };
    Err(invalid(&fault))
}

/// Reads every record and returns the largest timestamp.
fn walk(header: &BatchHeader, mut records: &[u8], limits: &Limits) -> Result<Timestamp> {
    let mut max_timestamp = Timestamp::NONE;
    for index in 0..header.record_count {
        let record = match take_record(&mut records) {
            Ok(record) => record,
            Err(fault) => return Err(invalid_at(index, fault)),
        };
        let timestamp = check_record(header, &record, index, limits)?;
        max_timestamp = max_timestamp.max(timestamp);
    }
    if records.is_empty() {
        return Ok(max_timestamp);
    }
    Err(invalid(&format!(
        "{} bytes are left over after the last record",
        records.len()
    )))
}

#[inline]
fn check_record(
    header: &BatchHeader,
    record: &RawRecord<'_>,
    index: i32,
    limits: &Limits,
) -> Result<Timestamp> {
    if record.offset_delta != index {
        return Err(invalid_at(index, "its offset delta is not its place"));
    }
    if limits.key_required && record.key.is_none() {
        return Err(invalid_at(index, "a compacted topic needs a key"));
    }
    let timestamp = header.base_timestamp.0.checked_add(record.timestamp_delta);
    match timestamp.map(Timestamp) {
        Some(time)
            if time == Timestamp::NONE
                || (time >= limits.timestamp_min && time <= limits.timestamp_max) =>
        {
            Ok(time)
        }
        time => Err(bad_timestamp(index, time, limits)),
    }
}

#[cold]
fn invalid(fault: &str) -> Error {
    Error::new(ErrorKind::InvalidRecord, fault)
}

#[cold]
fn invalid_at(index: i32, fault: &str) -> Error {
    invalid(&format!("record {index} of the batch: {fault}"))
}

#[cold]
fn bad_timestamp(index: i32, time: Option<Timestamp>, limits: &Limits) -> Error {
    let time = time.map_or("out of range".to_owned(), |time| time.to_string());
    Error::new(
        ErrorKind::InvalidTimestamp,
        format!(
            "record {index} of the batch: its timestamp is {time}, the topic takes {} to {} \
             (message.timestamp.before.max.ms and message.timestamp.after.max.ms)",
            limits.timestamp_min, limits.timestamp_max
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, BatchOptions, Compression, Headers};
    use crate::types::{Epoch, ProducerId, Sequence};

    fn refusal(options: BatchOptions, key: Option<&[u8]>, limits: &Limits) -> Option<ErrorKind> {
        let mut builder = BatchBuilder::new(options);
        for time in [1_000, -1, 2_000] {
            builder
                .append(Timestamp(time), key, Some(b"value"), Headers::EMPTY)
                .unwrap();
        }
        let bytes = builder.finish().unwrap();
        validate(&bytes, limits).err().map(|error| error.kind())
    }

    fn plain() -> BatchOptions {
        BatchOptions::default()
    }

    #[test]
    fn what_the_topic_says_is_asked_of_every_record() {
        let key = Some(&b"k"[..]);
        for compression in Compression::ALL {
            let options = BatchOptions {
                compression: compression.into(),
                ..plain()
            };
            let limits = Limits::default();
            assert_eq!(refusal(options, None, &limits), None);

            let compacted = Limits {
                key_required: true,
                ..limits
            };
            assert_eq!(refusal(options, key, &compacted), None);
            let kind = Some(ErrorKind::InvalidRecord);
            assert_eq!(refusal(options, None, &compacted), kind);

            let times = |from, to| Limits {
                timestamp_min: Timestamp(from),
                timestamp_max: Timestamp(to),
                ..limits
            };
            assert_eq!(refusal(options, key, &times(1_000, 2_000)), None);
            let kind = Some(ErrorKind::InvalidTimestamp);
            assert_eq!(refusal(options, key, &times(1_001, 2_000)), kind);
            assert_eq!(refusal(options, key, &times(1_000, 1_999)), kind);
        }
        let small = Limits {
            batch_bytes_max: 80,
            ..Limits::default()
        };
        let kind = Some(ErrorKind::MessageTooLarge);
        assert_eq!(refusal(plain(), key, &small), kind);
    }

    #[test]
    fn what_clients_may_not_write_is_refused() {
        let limits = Limits::default();
        let idempotent = BatchOptions {
            producer_id: ProducerId(1),
            producer_epoch: Epoch(0),
            base_sequence: Sequence(0),
            ..plain()
        };
        assert_eq!(refusal(idempotent, None, &limits), None);
        let invalid = Some(ErrorKind::InvalidRecord);
        for options in [
            BatchOptions {
                base_sequence: Sequence::NONE,
                ..idempotent
            },
            BatchOptions {
                producer_epoch: Epoch::NONE,
                ..idempotent
            },
            BatchOptions {
                transactional: true,
                ..plain()
            },
            BatchOptions {
                control: true,
                ..idempotent
            },
        ] {
            assert_eq!(refusal(options, None, &limits), invalid, "{options:?}");
        }
        let stamped = BatchOptions {
            timestamp_type: TimestampType::LogAppendTime,
            ..plain()
        };
        let kind = Some(ErrorKind::InvalidTimestamp);
        assert_eq!(refusal(stamped, None, &limits), kind);
        let coordinator = Limits {
            control_allowed: true,
            ..limits
        };
        let marker = BatchOptions {
            control: true,
            transactional: true,
            base_sequence: Sequence::NONE,
            ..idempotent
        };
        assert_eq!(refusal(marker, None, &coordinator), None);
    }
}
