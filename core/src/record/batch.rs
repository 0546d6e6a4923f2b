//! A record batch seen from outside: its header, its checksum, its place in the log.
//!
//! ```text
//!    0  base offset             i64  |
//!    8  batch length            i32  |  of what follows this field
//!   12  partition leader epoch  i32  |  outside the checksum
//!   16  magic                   i8   |  always 2
//!   17  crc                     u32  |  CRC-32C of all that follows this field
//!   21  attributes              i16     see `Attributes`
//!   23  last offset delta       i32
//!   27  base timestamp          i64     or the delete horizon, when its bit is set
//!   35  max timestamp           i64
//!   43  producer id             i64     -1: none
//!   51  producer epoch          i16     -1: none
//!   53  base sequence           i32     -1: none
//!   57  record count            i32
//!   61  records
//! ```
//!
//! All numbers are big-endian.

use super::compression::{Compression, Scratch};
use super::records::Records;
use crate::error::{Error, ErrorKind, Result};
use crate::types::{Epoch, LeaderEpoch, Offset, ProducerId, Sequence, Timestamp};

const BASE_OFFSET: usize = 0;
const BATCH_LENGTH: usize = BASE_OFFSET + 8;
const LEADER_EPOCH: usize = BATCH_LENGTH + 4;
const MAGIC: usize = LEADER_EPOCH + 4;
const CRC: usize = MAGIC + 1;
const ATTRIBUTES: usize = CRC + 4;
const LAST_OFFSET_DELTA: usize = ATTRIBUTES + 2;
const BASE_TIMESTAMP: usize = LAST_OFFSET_DELTA + 4;
const MAX_TIMESTAMP: usize = BASE_TIMESTAMP + 8;
const PRODUCER_ID: usize = MAX_TIMESTAMP + 8;
const PRODUCER_EPOCH: usize = PRODUCER_ID + 8;
const BASE_SEQUENCE: usize = PRODUCER_EPOCH + 2;
const RECORD_COUNT: usize = BASE_SEQUENCE + 4;
const RECORDS: usize = RECORD_COUNT + 4;

/// What the batch length does not count: the base offset and the length itself.
const LENGTH_FROM: usize = LEADER_EPOCH;
const MAGIC_V2: u8 = 2;

const _: () = assert!(RECORDS == 61);

/// Whose clock a batch's timestamps come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// The producer's, record by record.
    #[default]
    CreateTime,
    /// The log's, one for the whole batch.
    LogAppendTime,
}

/// The flags of a batch.
///
/// ```text
///   bits 0-2  compression       bit 4  transactional     bit 6  delete horizon
///   bit  3    log append time   bit 5  control
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes(u16);

impl Attributes {
    const COMPRESSION: u16 = 0b111;
    const LOG_APPEND_TIME: u16 = 1 << 3;
    const TRANSACTIONAL: u16 = 1 << 4;
    const CONTROL: u16 = 1 << 5;
    const DELETE_HORIZON: u16 = 1 << 6;

    pub(super) const fn new(compression: Compression) -> Self {
        Self(compression.id())
    }

    pub(super) const fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        match timestamp_type {
            TimestampType::CreateTime => Self(self.0 & !Self::LOG_APPEND_TIME),
            TimestampType::LogAppendTime => Self(self.0 | Self::LOG_APPEND_TIME),
        }
    }

    pub(super) const fn with_transactional(self) -> Self {
        Self(self.0 | Self::TRANSACTIONAL)
    }

    pub(super) const fn with_control(self) -> Self {
        Self(self.0 | Self::CONTROL)
    }

    /// How the records are compressed.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedCompressionType`] for a number that stands for no codec.
    pub fn compression(self) -> Result<Compression> {
        Compression::from_id(self.0 & Self::COMPRESSION)
    }

    /// Whose clock the timestamps come from.
    #[must_use]
    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub const fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether the batch is a marker of the broker's and not for applications.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is the time from which tombstones may go (KIP-534).
    #[must_use]
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }
}

/// The header of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The offset of the first record that the batch was written with.
    pub base_offset: Offset,
    pub(super) batch_length: u32,
    /// The epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
    /// The checksum as stored.
    pub crc: u32,
    /// The flags.
    pub attributes: Attributes,
    /// The distance from the base offset to the last; never negative.
    pub last_offset_delta: i32,
    /// The timestamp that the records' deltas count from.
    pub base_timestamp: Timestamp,
    /// The largest timestamp of a record.
    pub max_timestamp: Timestamp,
    /// The producer, or none.
    pub producer_id: ProducerId,
    /// The producer's epoch, or none.
    pub producer_epoch: Epoch,
    /// The first record's place in the producer's sequence, or none.
    pub base_sequence: Sequence,
    /// The number of records; compaction can leave fewer than the offsets span, even none.
    pub record_count: i32,
}

impl BatchHeader {
    /// The size of a header in bytes.
    pub const LEN: usize = RECORDS;

    /// The largest batch that is believed, in bytes; `max.message.bytes` is far below.
    pub const SIZE_MAX: usize = 1 << 30;

    /// Reads the header at the front of `bytes`, which need not hold the whole batch.
    ///
    /// Only what makes the length believable is checked: a caller that reads on must compare
    /// [`size`](Self::size) with what it has.
    ///
    /// # Errors
    /// [`ErrorKind::CorruptMessage`] when this is no header of a v2 batch.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let Some(head) = bytes.first_chunk::<{ Self::LEN }>() else {
            return Err(corrupt(&format!(
                "a batch header has {} bytes, {} are there",
                Self::LEN,
                bytes.len()
            )));
        };
        let header = Self {
            base_offset: Offset(i64::from_be_bytes(field::<BASE_OFFSET, 8>(head))),
            batch_length: u32::from_be_bytes(field::<BATCH_LENGTH, 4>(head)),
            leader_epoch: LeaderEpoch(i32::from_be_bytes(field::<LEADER_EPOCH, 4>(head))),
            crc: u32::from_be_bytes(field::<CRC, 4>(head)),
            attributes: Attributes(u16::from_be_bytes(field::<ATTRIBUTES, 2>(head))),
            last_offset_delta: i32::from_be_bytes(field::<LAST_OFFSET_DELTA, 4>(head)),
            base_timestamp: Timestamp(i64::from_be_bytes(field::<BASE_TIMESTAMP, 8>(head))),
            max_timestamp: Timestamp(i64::from_be_bytes(field::<MAX_TIMESTAMP, 8>(head))),
            producer_id: ProducerId(i64::from_be_bytes(field::<PRODUCER_ID, 8>(head))),
            producer_epoch: Epoch(i16::from_be_bytes(field::<PRODUCER_EPOCH, 2>(head))),
            base_sequence: Sequence(i32::from_be_bytes(field::<BASE_SEQUENCE, 4>(head))),
            record_count: i32::from_be_bytes(field::<RECORD_COUNT, 4>(head)),
        };
        let [magic] = field::<MAGIC, 1>(head);
        header.check(magic)?;
        Ok(header)
    }

    /// The size of the whole batch in bytes.
    #[must_use]
    pub const fn size(&self) -> usize {
        LENGTH_FROM + self.batch_length as usize
    }

    /// The offset of the last record that the batch was written with.
    #[must_use]
    pub const fn last_offset(&self) -> Offset {
        Offset(
            self.base_offset
                .0
                .saturating_add(self.last_offset_delta as i64),
        )
    }

    /// The offset after the last.
    #[must_use]
    pub const fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }

    /// The last record's place in the producer's sequence, which begins anew after `i32::MAX`.
    #[must_use]
    pub const fn last_sequence(&self) -> Sequence {
        if self.base_sequence.0 < 0 {
            return Sequence::NONE;
        }
        let sum = self.base_sequence.0.wrapping_add(self.last_offset_delta);
        Sequence(sum & i32::MAX)
    }

    /// The time from which the batch's tombstones may be removed, once compaction has set one.
    #[must_use]
    pub fn delete_horizon(&self) -> Option<Timestamp> {
        self.attributes
            .has_delete_horizon()
            .then_some(self.base_timestamp)
    }

    fn check(&self, magic: u8) -> Result<()> {
        let fault = if magic != MAGIC_V2 {
            format!("the magic byte is {magic}, only {MAGIC_V2} is supported")
        } else if self.size() < Self::LEN || self.size() > Self::SIZE_MAX {
            format!(
                "the batch length is {}, at least {} is needed",
                self.batch_length.cast_signed(),
                Self::LEN - LENGTH_FROM
            )
        } else if self.last_offset_delta < 0 || self.record_count < 0 {
            format!(
                "the last offset delta is {} and the record count {}",
                self.last_offset_delta, self.record_count
            )
        } else {
            return Ok(());
        };
        Err(corrupt(&fault).offset(self.base_offset))
    }
}

/// Checks the header and the checksum of the one batch that `bytes` are.
///
/// The base offset and the leader epoch lie outside the checksum: who reads a log back compares
/// them with what must come next.
///
/// # Errors
/// [`ErrorKind::CorruptMessage`] when it is no batch, or more or less than one, or damaged.
pub fn check_crc(bytes: &[u8]) -> Result<BatchHeader> {
    let batch = Batch::exactly(bytes)?;
    batch.check_crc()?;
    Ok(batch.header)
}

/// Gives a batch its place in the log, and returns its new header.
///
/// `header` is what [`validate`](super::validate) returned for `bytes`, or
/// [`BatchHeader::parse`] for a batch of the broker's own. The offset and the epoch lie outside
/// the checksum; it is computed again only under `LogAppendTime`, or where the client's largest
/// timestamp was wrong.
///
/// # Panics
/// When `bytes` are not the batch with that header.
pub fn assign(
    bytes: &mut [u8],
    header: &BatchHeader,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    log_append_time: Option<Timestamp>,
) -> BatchHeader {
    assert_eq!(bytes.len(), header.size(), "one whole batch is assigned");
    let mut header = BatchHeader {
        base_offset,
        leader_epoch,
        ..*header
    };
    if let Some(time) = log_append_time {
        header.max_timestamp = time;
        header.attributes = header
            .attributes
            .with_timestamp_type(TimestampType::LogAppendTime);
    }
    put::<BASE_OFFSET, 8>(bytes, base_offset.0.to_be_bytes());
    put::<LEADER_EPOCH, 4>(bytes, leader_epoch.0.to_be_bytes());
    let changed = put::<ATTRIBUTES, 2>(bytes, header.attributes.0.to_be_bytes())
        | put::<MAX_TIMESTAMP, 8>(bytes, header.max_timestamp.0.to_be_bytes());
    if changed {
        header.crc = seal(bytes);
    }
    header
}

/// Writes another producer's identity and sequence into a batch that was not yet appended.
///
/// # Panics
/// When `bytes` are shorter than a header.
pub fn set_producer(bytes: &mut [u8], id: ProducerId, epoch: Epoch, base_sequence: Sequence) {
    let changed = put::<PRODUCER_ID, 8>(bytes, id.0.to_be_bytes())
        | put::<PRODUCER_EPOCH, 2>(bytes, epoch.0.to_be_bytes())
        | put::<BASE_SEQUENCE, 4>(bytes, base_sequence.0.to_be_bytes());
    if changed {
        seal(bytes);
    }
}

/// One batch, pointing into its chunk.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Its header.
    pub header: BatchHeader,
    bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The batch at the front of `bytes`.
    ///
    /// # Errors
    /// [`ErrorKind::CorruptMessage`] when there is none, or it is cut off.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let header = BatchHeader::parse(bytes)?;
        match bytes.get(..header.size()) {
            Some(bytes) => Ok(Self { header, bytes }),
            None => Err(corrupt(&format!(
                "the batch has {} bytes, {} are there",
                header.size(),
                bytes.len()
            ))
            .offset(header.base_offset)),
        }
    }

    /// The one batch that `bytes` are.
    pub(super) fn exactly(bytes: &'a [u8]) -> Result<Self> {
        let batch = Self::parse(bytes)?;
        if batch.bytes.len() == bytes.len() {
            return Ok(batch);
        }
        Err(corrupt(&format!(
            "one batch is expected, {} bytes follow its {}",
            bytes.len() - batch.bytes.len(),
            batch.bytes.len()
        ))
        .offset(batch.header.base_offset))
    }

    /// The bytes of the batch, header and all.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Compares the checksum.
    ///
    /// # Errors
    /// [`ErrorKind::CorruptMessage`] when it is another.
    pub fn check_crc(&self) -> Result<()> {
        let found = checksum(self.bytes);
        if found == self.header.crc {
            return Ok(());
        }
        Err(corrupt(&format!(
            "the batch's checksum is {found:08x}, {:08x} is stored",
            self.header.crc
        ))
        .offset(self.header.base_offset))
    }

    /// The records, decompressed into `scratch` where they need to be.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedCompressionType`], or [`ErrorKind::CorruptMessage`] when the
    /// records do not decompress or exceed the scratch's bound.
    pub fn records<'s>(&self, scratch: &'s mut Scratch) -> Result<Records<'s>>
    where
        'a: 's,
    {
        let compression = match self.header.record_count {
            // Compaction leaves the header of a batch that has lost all records, and no frame.
            0 => Compression::None,
            _ => self.header.attributes.compression()?,
        };
        let records = scratch
            .decompress(compression, self.body())
            .map_err(|error| error.offset(self.header.base_offset))?;
        Ok(Records::new(&self.header, records))
    }

    /// What follows the header.
    pub(super) fn body(&self) -> &'a [u8] {
        self.bytes.get(RECORDS..).unwrap_or_default()
    }
}

/// Iterates over the batches of a chunk, which holds whole batches.
///
/// A batch that is malformed or cut off ends it with an error.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Batches<'a> {
    /// The batches in `chunk`.
    #[must_use]
    pub const fn new(chunk: &'a [u8]) -> Self {
        Self { rest: chunk }
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = Batch::parse(self.rest);
        self.rest = match &batch {
            Ok(batch) => self.rest.get(batch.bytes.len()..).unwrap_or_default(),
            Err(_) => &[],
        };
        Some(batch)
    }
}

/// Writes `header` over the first bytes of a finished batch, length and checksum included.
pub(super) fn write_header(bytes: &mut [u8], header: &NewHeader) {
    let length = bytes.len() - LENGTH_FROM;
    assert!(
        bytes.len() <= BatchHeader::SIZE_MAX,
        "the builder is bounded"
    );
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    put::<BASE_OFFSET, 8>(bytes, 0_i64.to_be_bytes());
    put::<BATCH_LENGTH, 4>(bytes, length.to_be_bytes());
    put::<LEADER_EPOCH, 4>(bytes, (-1_i32).to_be_bytes());
    put::<MAGIC, 1>(bytes, [MAGIC_V2]);
    put::<ATTRIBUTES, 2>(bytes, header.attributes.0.to_be_bytes());
    put::<LAST_OFFSET_DELTA, 4>(bytes, (header.record_count - 1).to_be_bytes());
    put::<BASE_TIMESTAMP, 8>(bytes, header.base_timestamp.0.to_be_bytes());
    put::<MAX_TIMESTAMP, 8>(bytes, header.max_timestamp.0.to_be_bytes());
    put::<PRODUCER_ID, 8>(bytes, header.producer_id.0.to_be_bytes());
    put::<PRODUCER_EPOCH, 2>(bytes, header.producer_epoch.0.to_be_bytes());
    put::<BASE_SEQUENCE, 4>(bytes, header.base_sequence.0.to_be_bytes());
    put::<RECORD_COUNT, 4>(bytes, header.record_count.to_be_bytes());
    seal(bytes);
}

/// What a builder knows of the header it writes.
pub(super) struct NewHeader {
    pub(super) attributes: Attributes,
    pub(super) base_timestamp: Timestamp,
    pub(super) max_timestamp: Timestamp,
    pub(super) producer_id: ProducerId,
    pub(super) producer_epoch: Epoch,
    pub(super) base_sequence: Sequence,
    pub(super) record_count: i32,
}

/// Computes the checksum and stores it.
pub(super) fn seal(bytes: &mut [u8]) -> u32 {
    let crc = checksum(bytes);
    put::<CRC, 4>(bytes, crc.to_be_bytes());
    crc
}

fn checksum(batch: &[u8]) -> u32 {
    crc32c::crc32c(batch.get(ATTRIBUTES..).unwrap_or_default())
}

fn field<const AT: usize, const N: usize>(head: &[u8; RECORDS]) -> [u8; N] {
    const { assert!(AT + N <= RECORDS) };
    let mut value = [0; N];
    value.copy_from_slice(&head[AT..AT + N]);
    value
}

/// Writes a field and tells whether it was another before.
fn put<const AT: usize, const N: usize>(bytes: &mut [u8], value: [u8; N]) -> bool {
    let field = &mut bytes[AT..AT + N];
    let changed = *field != value;
    field.copy_from_slice(&value);
    changed
}

#[cold]
pub(super) fn corrupt(message: &str) -> Error {
    Error::new(ErrorKind::CorruptMessage, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, BatchOptions, Headers};

    fn built() -> Vec<u8> {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        for time in [10, 30, 20] {
            builder
                .append(Timestamp(time), None, Some(b"v"), Headers::EMPTY)
                .unwrap();
        }
        Vec::from(builder.finish().unwrap())
    }

    #[test]
    fn the_header_lies_where_kafka_has_it() {
        let bytes = built();
        let header = BatchHeader::parse(&bytes).unwrap();
        assert_eq!(header.size(), bytes.len());
        assert_eq!(header.leader_epoch, -1);
        assert_eq!(header.last_offset_delta, 2);
        assert_eq!(header.record_count, 3);
        assert_eq!(bytes[16], 2);
        assert_eq!(bytes[17..21], header.crc.to_be_bytes());
        assert_eq!(bytes[27..35], 10_i64.to_be_bytes());
        assert_eq!(bytes[35..43], 30_i64.to_be_bytes());
        assert_eq!(bytes[43..57], [0xff; 14], "no producer");
    }

    #[test]
    fn log_append_time_stamps_all_records() {
        let mut bytes = built();
        let before = check_crc(&bytes).unwrap();
        let time = Timestamp(1_000);
        let after = assign(&mut bytes, &before, Offset(7), LeaderEpoch(0), Some(time));
        assert_eq!(check_crc(&bytes).unwrap(), after);
        assert_ne!(after.crc, before.crc);
        assert_eq!(
            after.attributes.timestamp_type(),
            TimestampType::LogAppendTime
        );
        let mut scratch = Scratch::new();
        let batch = Batch::parse(&bytes).unwrap();
        for (offset, record) in (7..).zip(batch.records(&mut scratch).unwrap()) {
            let record = record.unwrap();
            assert_eq!((record.offset, record.timestamp), (Offset(offset), time));
        }
    }

    #[test]
    fn a_wrong_largest_timestamp_is_corrected() {
        let mut bytes = built();
        put::<MAX_TIMESTAMP, 8>(&mut bytes, 5_i64.to_be_bytes());
        seal(&mut bytes);
        let header = crate::record::validate(&bytes, &crate::record::Limits::default()).unwrap();
        assert_eq!(header.max_timestamp, 30);
        let placed = assign(&mut bytes, &header, Offset(0), LeaderEpoch(0), None);
        assert_eq!(check_crc(&bytes).unwrap(), placed);
        assert_eq!(placed.max_timestamp, 30);
    }

    #[test]
    fn the_producer_can_be_set_late() {
        let mut bytes = built();
        set_producer(&mut bytes, ProducerId(5), Epoch(6), Sequence(i32::MAX - 1));
        let header = check_crc(&bytes).unwrap();
        assert_eq!(header.producer_id, 5);
        assert_eq!(header.producer_epoch, 6);
        assert_eq!(header.last_sequence(), 0, "it begins anew");
    }

    #[test]
    fn a_batch_that_compaction_emptied_has_no_frame() {
        for compression in Compression::ALL {
            let mut bytes = built();
            bytes.truncate(RECORDS);
            let length = u32::try_from(RECORDS - LENGTH_FROM).unwrap();
            put::<BATCH_LENGTH, 4>(&mut bytes, length.to_be_bytes());
            put::<ATTRIBUTES, 2>(&mut bytes, compression.id().to_be_bytes());
            put::<RECORD_COUNT, 4>(&mut bytes, [0; 4]);
            seal(&mut bytes);
            let header = check_crc(&bytes).unwrap();
            assert_eq!(header.next_offset(), 3);
            let mut scratch = Scratch::new();
            let batch = Batch::parse(&bytes).unwrap();
            assert!(batch.records(&mut scratch).unwrap().next().is_none());
        }
    }

    #[test]
    fn an_old_magic_is_named() {
        let mut bytes = built();
        bytes[MAGIC] = 1;
        let error = BatchHeader::parse(&bytes).unwrap_err();
        assert!(error.to_string().contains("magic byte is 1"), "{error}");
    }
}
