//! Whole batches: round trips, every kind of damage, bombs.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::batch::seal;
use super::*;
use crate::error::{ErrorKind, Result};
use crate::types::{Epoch, LeaderEpoch, Offset, ProducerId, Sequence, Timestamp};

type OwnedHeaders = Vec<(Vec<u8>, Option<Vec<u8>>)>;
type Owned = (i64, Option<Vec<u8>>, Option<Vec<u8>>, OwnedHeaders);

fn build(options: BatchOptions, records: &[Owned]) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for (timestamp, key, value, headers) in records {
        let mut buf = HeadersBuf::new();
        for (name, value) in headers {
            buf.push(name, value.as_deref());
        }
        builder
            .append(
                Timestamp(*timestamp),
                key.as_deref(),
                value.as_deref(),
                buf.as_headers(),
            )
            .unwrap();
    }
    assert!(builder.len() >= BatchHeader::LEN + records.len());
    builder.finish().unwrap()
}

fn read(bytes: &[u8], scratch: &mut Scratch) -> Result<Vec<(Offset, Owned)>> {
    let batch = Batch::parse(bytes)?;
    batch
        .records(scratch)?
        .map(|record| {
            let record = record?;
            let headers = record
                .headers
                .iter()
                .map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec)))
                .collect();
            let (key, value) = (record.key, record.value);
            Ok((
                record.offset,
                (
                    record.timestamp.0,
                    key.map(<[u8]>::to_vec),
                    value.map(<[u8]>::to_vec),
                    headers,
                ),
            ))
        })
        .collect()
}

fn owned() -> impl Strategy<Value = Owned> {
    let bytes = |len| option::of(vec(any::<u8>(), 0..len));
    (
        prop_oneof![
            -1..100_i64,
            any::<u64>().prop_map(|t| (t >> 1).cast_signed())
        ],
        bytes(90),
        bytes(300),
        vec((vec(any::<u8>(), 0..4), bytes(4)), 0..4),
    )
}

fn codec() -> impl Strategy<Value = Compression> {
    proptest::sample::select(&Compression::ALL)
}

/// Two records that use every field.
fn small(compression: Compression) -> Bytes {
    let header = |name: &[u8], value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
    build(
        BatchOptions {
            compression: compression.into(),
            producer_id: ProducerId(1 << 33),
            producer_epoch: Epoch(3),
            base_sequence: Sequence(70_000),
            transactional: true,
            ..BatchOptions::default()
        },
        &[
            (
                1_700_000_000_000,
                Some(b"key".to_vec()),
                Some(b"value".repeat(30)),
                vec![header(b"h", Some(b"1")), header(b"h", None)],
            ),
            (1_700_000_000_100, None, None, vec![]),
        ],
    )
}

proptest! {
    #[test]
    fn batches_round_trip(
        records in vec(owned(), 1..30),
        compression in codec(),
        base in 0..i64::MAX / 2,
    ) {
        let options = BatchOptions { compression: compression.into(), ..BatchOptions::default() };
        let mut bytes = Vec::from(build(options, &records));
        let header = validate(&bytes, &Limits::default()).unwrap();
        let largest = records.iter().map(|record| record.0).max().unwrap();
        prop_assert_eq!(header.max_timestamp, largest);
        prop_assert_eq!(header.base_timestamp, records[0].0);

        let placed = assign(&mut bytes, &header, Offset(base), LeaderEpoch(4), None);
        prop_assert_eq!(check_crc(&bytes).unwrap(), placed);
        prop_assert_eq!(placed.crc, header.crc, "offset and epoch lie outside the checksum");
        let read = read(&bytes, &mut Scratch::new()).unwrap();
        let offsets: Vec<_> = read.iter().map(|(offset, _)| *offset).collect();
        prop_assert_eq!(offsets.first(), Some(&placed.base_offset));
        prop_assert_eq!(offsets.last(), Some(&placed.last_offset()));
        prop_assert!(read.into_iter().map(|(_, record)| record).eq(records));
    }

    /// A client can send anything under a checksum that is right.
    #[test]
    fn sealed_nonsense_is_an_error_and_never_a_panic(
        compression in codec(),
        body in vec(any::<u8>(), 0..200),
        claims in any::<[u8; 40]>(),
        keep_header: bool,
    ) {
        let mut bytes = Vec::from(small(compression));
        bytes.truncate(BatchHeader::LEN);
        bytes.extend_from_slice(&body);
        if !keep_header {
            bytes[21..61].copy_from_slice(&claims);
        }
        let length = u32::try_from(bytes.len() - 12).unwrap();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        seal(&mut bytes);
        survive(&bytes);
    }
}

/// Reads bytes in every way; what they are does not matter.
fn survive(bytes: &[u8]) {
    const LIMIT: usize = 1 << 20;
    let mut scratch = Scratch::with_limit(LIMIT);
    let limits = Limits {
        decompressed_bytes_max: LIMIT,
        control_allowed: true,
        ..Limits::default()
    };
    let _ignored = BatchHeader::parse(bytes).map(|header| {
        (
            header.last_offset(),
            header.next_offset(),
            header.last_sequence(),
            header.delete_horizon(),
        )
    });
    let _ignored = check_crc(bytes);
    let valid = validate_with(bytes, &limits, &mut scratch);
    let readable = read(bytes, &mut scratch);
    assert!(valid.is_err() || readable.is_ok(), "valid means readable");
    assert!(scratch.capacity() <= 2 * LIMIT + 2);
    for batch in Batches::new(bytes) {
        let _ignored = batch.map(|batch| batch.header.size());
    }
}

#[test]
fn every_truncation_is_detected() {
    for compression in Compression::ALL {
        let bytes = small(compression);
        for cut in 0..bytes.len() {
            let bytes = &bytes[..cut];
            let kind = ErrorKind::CorruptMessage;
            assert_eq!(check_crc(bytes).unwrap_err().kind(), kind);
            let error = validate(bytes, &Limits::default()).unwrap_err();
            assert_eq!(error.kind(), kind, "{compression} {cut}");
            let batches: Vec<_> = Batches::new(bytes).collect();
            match cut {
                0 => assert!(batches.is_empty()),
                _ => assert_eq!(batches[0].as_ref().unwrap_err().kind(), kind),
            }
        }
    }
}

#[test]
fn a_cut_in_a_later_batch_spares_the_ones_before() {
    let one = small(Compression::Lz4);
    let chunk = [&one[..], &one[..], &one[..one.len() - 1]].concat();
    let batches: Vec<_> = Batches::new(&chunk).collect();
    assert_eq!(batches.len(), 3);
    assert!(batches[0].is_ok() && batches[1].is_ok() && batches[2].is_err());
    let two = &chunk[..2 * one.len()];
    assert!(check_crc(two).is_err(), "one batch is meant");
    assert!(validate(two, &Limits::default()).is_err());
}

/// The base offset (bytes 0 to 7) and the leader epoch (bytes 12 to 15) lie outside the checksum:
/// the log knows what they must be. Any other bit is covered.
#[test]
fn every_flipped_bit_is_detected() {
    for compression in Compression::ALL {
        let good = small(compression);
        let header = check_crc(&good).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            match (bit / 8, check_crc(&bad)) {
                (0..8, Ok(found)) => {
                    assert_ne!(found.base_offset, header.base_offset);
                    let base_offset = header.base_offset;
                    assert_eq!(
                        BatchHeader {
                            base_offset,
                            ..found
                        },
                        header
                    );
                }
                (12..16, Ok(found)) => {
                    assert_ne!(found.leader_epoch, header.leader_epoch);
                    let leader_epoch = header.leader_epoch;
                    assert_eq!(
                        BatchHeader {
                            leader_epoch,
                            ..found
                        },
                        header
                    );
                }
                (at, found) => {
                    let kind = found.unwrap_err().kind();
                    assert_eq!(kind, ErrorKind::CorruptMessage, "{compression} byte {at}");
                    assert!(validate(&bad, &Limits::default()).is_err());
                }
            }
        }
    }
}

#[test]
fn a_flipped_bit_under_a_right_checksum_is_survived() {
    for compression in Compression::ALL {
        let good = small(compression);
        for bit in 21 * 8..good.len() * 8 {
            let mut bad = good.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            seal(&mut bad);
            survive(&bad);
        }
    }
}

#[test]
fn hostile_lengths_and_counts_are_refused() {
    let good = small(Compression::None).to_vec();
    let with = |at: usize, value: i32| {
        let mut bad = good.clone();
        bad[at..at + 4].copy_from_slice(&value.to_be_bytes());
        seal(&mut bad);
        bad
    };
    for length in [i32::MAX, i32::MIN, -1, 0, 48, 1 << 30] {
        let error = BatchHeader::parse(&with(8, length)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CorruptMessage, "{length}");
    }
    assert_eq!(BatchHeader::parse(&with(8, 49)).unwrap().size(), 61);
    for count in [i32::MAX, i32::MIN, -1, 0, 1, 3] {
        let bad = with(57, count);
        assert!(validate(&bad, &Limits::default()).is_err(), "{count}");
        assert!(read(&bad, &mut Scratch::new()).is_err(), "{count}");
    }
    for delta in [i32::MAX, i32::MIN, -1, 0, 2] {
        assert!(validate(&with(23, delta), &Limits::default()).is_err());
    }
}

/// A record of one null key, one null value and no headers, one of its lengths replaced.
#[test]
fn hostile_lengths_inside_a_record_are_refused() {
    let too_long = i64::from(i32::MAX) + 1;
    for length in [
        -2,
        1,
        5,
        1 << 20,
        i32::MAX.into(),
        i32::MIN.into(),
        too_long,
    ] {
        for field in 0..4 {
            let mut lengths = [6, -1, -1, 0];
            lengths[field] = length;
            let mut bytes = Vec::from(small(Compression::None));
            bytes.truncate(BatchHeader::LEN);
            varint::put(lengths[0], &mut bytes);
            bytes.extend_from_slice(&[0, 0, 0]);
            for length in &lengths[1..] {
                varint::put(*length, &mut bytes);
            }
            let size = u32::try_from(bytes.len() - 12).unwrap();
            bytes[8..12].copy_from_slice(&size.to_be_bytes());
            bytes[23..27].copy_from_slice(&[0; 4]);
            bytes[57..61].copy_from_slice(&[0, 0, 0, 1]);
            seal(&mut bytes);
            let error = validate(&bytes, &Limits::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRecord, "{field} {length}");
            let error = read(&bytes, &mut Scratch::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CorruptMessage, "{field} {length}");
        }
    }
}

#[test]
fn a_bomb_is_an_error_and_no_memory() {
    const LIMIT: usize = 1 << 20;
    let records = [(0, None, Some(vec![0; 16 * LIMIT]), vec![])];
    for compression in &Compression::ALL[1..] {
        let options = BatchOptions {
            compression: (*compression).into(),
            ..BatchOptions::default()
        };
        let bytes = build(options, &records);
        assert!(bytes.len() < 2 * LIMIT, "{compression}");
        let limits = Limits {
            batch_bytes_max: usize::MAX,
            decompressed_bytes_max: LIMIT,
            ..Limits::default()
        };
        let mut scratch = Scratch::with_limit(LIMIT);
        let error = validate_with(&bytes, &limits, &mut scratch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CorruptMessage);
        assert!(error.to_string().contains("1048576"), "{error}");
        assert_eq!(scratch.capacity(), 0, "what it grew is given back");
        assert!(read(&bytes, &mut scratch).is_err());
        scratch = Scratch::with_limit(17 * LIMIT);
        assert!(read(&bytes, &mut scratch).is_ok(), "{compression}");
    }
}
