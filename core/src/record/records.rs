//! Records inside a batch, read in place.
//!
//! ```text
//!   length            varint   of what follows
//!   attributes        i8       unused
//!   timestamp delta   varlong  from the batch's base timestamp
//!   offset delta      varint   from the batch's base offset
//!   key length        varint   -1 is null
//!   key
//!   value length      varint   -1 is null
//!   value
//!   header count      varint
//!   headers
//! ```

use super::batch::{BatchHeader, TimestampType};
use super::headers::{Headers, take_bytes};
use super::varint;
use crate::error::{Error, ErrorKind, Result};
use crate::types::{Offset, Timestamp};

/// One record, pointing into its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its offset.
    pub offset: Offset,
    /// Its time: the producer's, or the log's under `LogAppendTime`.
    pub timestamp: Timestamp,
    /// The key; `None` is Kafka's null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is Kafka's null, a tombstone on a compacted topic.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: Headers<'a>,
}

/// Iterates over the records of one batch.
///
/// A malformed record ends it with an error; so do bytes after the last record.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    input: &'a [u8],
    remaining: i32,
    base_offset: Offset,
    base_timestamp: Timestamp,
    append_time: Option<Timestamp>,
}

impl<'a> Records<'a> {
    /// Reads the uncompressed `input` as the records of the batch with this header.
    pub(super) fn new(header: &BatchHeader, input: &'a [u8]) -> Self {
        let append_time = match header.attributes.timestamp_type() {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(header.max_timestamp),
        };
        Self {
            input,
            remaining: header.record_count,
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            append_time,
        }
    }

    #[inline]
    fn read(&mut self) -> Result<Record<'a>, &'static str> {
        let raw = take_record(&mut self.input)?;
        let timestamp = match self.append_time {
            Some(time) => time,
            None => Timestamp(
                self.base_timestamp
                    .0
                    .checked_add(raw.timestamp_delta)
                    .ok_or("its timestamp is out of range")?,
            ),
        };
        let offset = self.base_offset.0.checked_add(raw.offset_delta.into());
        Ok(Record {
            offset: Offset(offset.ok_or("its offset is out of range")?),
            timestamp,
            key: raw.key,
            value: raw.value,
            headers: raw.headers,
        })
    }

    #[cold]
    fn fail(&mut self, fault: &str) -> Error {
        self.remaining = 0;
        self.input = &[];
        Error::new(
            ErrorKind::CorruptMessage,
            format!("a record in the batch cannot be read: {fault}"),
        )
        .offset(self.base_offset)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining <= 0 {
            if self.input.is_empty() {
                return None;
            }
            return Some(Err(self.fail("bytes are left over after the last one")));
        }
        self.remaining -= 1;
        match self.read() {
            Ok(record) => Some(Ok(record)),
            Err(fault) => Some(Err(self.fail(fault))),
        }
    }
}

/// A record as it is written, its deltas not yet resolved.
pub(super) struct RawRecord<'a> {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Headers<'a>,
}

/// Takes one record off the front of `input`, or says what is wrong with it.
#[inline]
pub(super) fn take_record<'a>(input: &mut &'a [u8]) -> Result<RawRecord<'a>, &'static str> {
    let length = varint::take_i32(input).ok_or("its length is cut off")?;
    let length = usize::try_from(length)
        .ok()
        .ok_or("its length is negative")?;
    let (mut body, rest) = input
        .split_at_checked(length)
        .ok_or("it reaches beyond the batch")?;
    *input = rest;
    take_body(&mut body).ok_or("its fields do not fill its length")
}

#[inline]
fn take_body<'a>(body: &mut &'a [u8]) -> Option<RawRecord<'a>> {
    let (_attributes, rest) = body.split_first()?;
    *body = rest;
    let timestamp_delta = varint::take_i64(body)?;
    let offset_delta = varint::take_i32(body)?;
    let key = take_bytes(body)?;
    let value = take_bytes(body)?;
    let header_count = usize::try_from(varint::take_i32(body)?).ok()?;
    let headers = Headers::parse(header_count, body)?;
    Some(RawRecord {
        timestamp_delta,
        offset_delta,
        key,
        value,
        headers,
    })
}
