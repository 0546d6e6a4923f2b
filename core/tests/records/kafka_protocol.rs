//! Batches exchanged with the crate `kafka-protocol`, in both directions.
//!
//! Its known differences are kept out of the records generated: headers of one name become one,
//! header names are UTF-8, and records without a sequence become a batch each.

use bytes::{Bytes, BytesMut};
use headwater_core::record::{
    Batch, BatchBuilder, BatchOptions, Compression, HeadersBuf, Limits, Scratch, validate,
};
use headwater_core::types::{Epoch, ProducerId, Sequence, Timestamp};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records as theirs;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Generated {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn generated() -> impl Strategy<Value = Generated> {
    let bytes = |len| option::of(vec(any::<u8>(), 0..len));
    (
        prop_oneof![0..100_i64, 0..i64::MAX / 2],
        bytes(80),
        bytes(300),
        btree_map("[a-z]{0,3}", bytes(5), 0..4),
    )
        .prop_map(|(timestamp, key, value, headers)| Generated {
            timestamp,
            key,
            value,
            headers: headers.into_iter().collect(),
        })
}

fn codec() -> impl Strategy<Value = Compression> {
    proptest::sample::select(&Compression::ALL)
}

const PRODUCER: i64 = 7;
const EPOCH: i16 = 2;

fn written_by_us(records: &[Generated], compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions {
        compression: compression.into(),
        producer_id: ProducerId(PRODUCER),
        producer_epoch: Epoch(EPOCH),
        base_sequence: Sequence(0),
        transactional: true,
        ..BatchOptions::default()
    });
    for record in records {
        let mut headers = HeadersBuf::new();
        for (name, value) in &record.headers {
            headers.push(name, value.as_deref());
        }
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        builder
            .append(
                Timestamp(record.timestamp),
                key,
                value,
                headers.as_headers(),
            )
            .unwrap();
    }
    builder.finish().unwrap()
}

fn written_by_them(records: &[Generated], compression: Compression) -> BytesMut {
    let records: Vec<_> = (0..)
        .zip(records)
        .map(|(offset, record)| theirs::Record {
            transactional: true,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: PRODUCER,
            producer_epoch: EPOCH,
            timestamp_type: theirs::TimestampType::Creation,
            offset,
            sequence: i32::try_from(offset).unwrap(),
            timestamp: record.timestamp,
            key: record.key.clone().map(Bytes::from),
            value: record.value.clone().map(Bytes::from),
            headers: record
                .headers
                .iter()
                .map(|(name, value)| {
                    let name = StrBytes::from_string(name.clone());
                    (name, value.clone().map(Bytes::from))
                })
                .collect(),
        })
        .collect();
    let options = theirs::RecordEncodeOptions {
        version: 2,
        compression: match compression {
            Compression::None => theirs::Compression::None,
            Compression::Gzip => theirs::Compression::Gzip,
            Compression::Snappy => theirs::Compression::Snappy,
            Compression::Lz4 => theirs::Compression::Lz4,
            Compression::Zstd => theirs::Compression::Zstd,
        },
    };
    let mut out = BytesMut::new();
    theirs::RecordBatchEncoder::encode(&mut out, &records, &options).unwrap();
    out
}

proptest! {
    #[test]
    fn they_read_what_we_write(records in vec(generated(), 1..20), codec in codec()) {
        let mut bytes = written_by_us(&records, codec);
        let read = theirs::RecordBatchDecoder::decode(&mut bytes).unwrap().records;
        prop_assert_eq!(read.len(), records.len());
        for (offset, (read, record)) in (0..).zip(read.iter().zip(&records)) {
            prop_assert_eq!(read.offset, offset);
            prop_assert_eq!(i64::from(read.sequence), offset);
            prop_assert_eq!(read.producer_id, PRODUCER);
            prop_assert_eq!(read.producer_epoch, EPOCH);
            prop_assert!(read.transactional && !read.control);
            prop_assert_eq!(read.timestamp, record.timestamp);
            prop_assert_eq!(read.key.as_deref(), record.key.as_deref());
            prop_assert_eq!(read.value.as_deref(), record.value.as_deref());
            let headers: Vec<_> = read
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.as_ref().map(|v| v.to_vec())))
                .collect();
            prop_assert_eq!(&headers, &record.headers);
        }
    }

    #[test]
    fn we_read_what_they_write(records in vec(generated(), 1..20), codec in codec()) {
        let bytes = written_by_them(&records, codec);
        let header = validate(&bytes, &Limits::default()).unwrap();
        prop_assert_eq!(header.producer_id, PRODUCER);
        prop_assert_eq!(header.producer_epoch, EPOCH);
        prop_assert_eq!(header.base_sequence, 0);
        let mut scratch = Scratch::new();
        let read: Vec<_> = Batch::parse(&bytes)
            .unwrap()
            .records(&mut scratch)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        prop_assert_eq!(read.len(), records.len());
        for (offset, (read, record)) in (0..).zip(read.iter().zip(&records)) {
            prop_assert_eq!(read.offset.0, offset);
            prop_assert_eq!(read.timestamp, record.timestamp);
            prop_assert_eq!(read.key, record.key.as_deref());
            prop_assert_eq!(read.value, record.value.as_deref());
            let headers: Vec<_> = read
                .headers
                .iter()
                .map(|h| (h.name().into_owned(), h.value.map(<[u8]>::to_vec)))
                .collect();
            prop_assert_eq!(&headers, &record.headers);
        }
    }

    /// They count timestamps from the smallest, we as Kafka does from the first.
    #[test]
    fn both_write_the_same_bytes(mut records in vec(generated(), 1..20)) {
        records.sort_by_key(|record| record.timestamp);
        let (ours, other) = (
            written_by_us(&records, Compression::None),
            written_by_them(&records, Compression::None),
        );
        prop_assert_eq!(&ours[..], &other[..]);
    }
}
