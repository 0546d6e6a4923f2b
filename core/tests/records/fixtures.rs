//! Segments written by a real Apache Kafka for stock clients: `fixtures/README.md`.

use std::fs;
use std::path::Path;

use headwater_core::ErrorKind;
use headwater_core::record::control::{EndTxnMarker, TxnResult};
use headwater_core::record::{
    Batch, BatchBuilder, BatchHeader, BatchOptions, Batches, Compression, Header, HeadersBuf,
    Limits, Record, Scratch, TimestampType, assign, check_crc, validate,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    batches: Vec<ExpectedBatch>,
    records: Vec<ExpectedRecord>,
}

/// What `kafka-dump-log` says of a batch.
#[derive(Deserialize)]
struct ExpectedBatch {
    base_offset: i64,
    last_offset: i64,
    count: i32,
    base_sequence: i32,
    last_sequence: i32,
    producer_id: i64,
    producer_epoch: i16,
    leader_epoch: i32,
    transactional: bool,
    control: bool,
    max_timestamp: i64,
    log_append_time: bool,
    size: usize,
    compression: String,
    crc: u32,
    delete_horizon: Option<i64>,
    marker: Option<String>,
    coordinator_epoch: Option<i32>,
}

/// What a stock consumer says of a record.
#[derive(Deserialize)]
struct ExpectedRecord {
    offset: i64,
    timestamp: i64,
    key: Option<ExpectedBytes>,
    value: Option<ExpectedBytes>,
    headers: Vec<(String, Option<ExpectedBytes>)>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ExpectedBytes {
    Hex(String),
    Pattern { pattern: usize },
}

impl ExpectedBytes {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Hex(hex) => (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect(),
            Self::Pattern { pattern } => (0..=250).cycle().take(*pattern).collect(),
        }
    }
}

fn bytes(expected: Option<&ExpectedBytes>) -> Option<Vec<u8>> {
    expected.map(ExpectedBytes::bytes)
}

/// Calls `check` with the name, the segment and the expectation of each fixture.
#[expect(clippy::disallowed_methods, reason = "fixtures are plain files")]
fn each_fixture(check: impl Fn(&str, &[u8], &Expected)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records/fixtures");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let json = entry.unwrap().path();
        if json.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let expected = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
        let segment = fs::read(json.with_extension("log")).unwrap();
        check(
            &json.file_stem().unwrap().to_string_lossy(),
            &segment,
            &expected,
        );
        seen += 1;
    }
    assert_eq!(seen, 21);
}

#[test]
fn every_batch_and_record_is_read_as_kafka_reads_it() {
    each_fixture(|name, segment, expected| {
        let mut scratch = Scratch::new();
        let mut records = expected.records.iter();
        let mut batches = Batches::new(segment);
        for wanted in &expected.batches {
            let batch = batches.next().unwrap().unwrap();
            check_batch(name, &batch, wanted);
            for record in batch.records(&mut scratch).unwrap() {
                let record = record.unwrap();
                if wanted.control {
                    check_marker(&record, wanted);
                } else {
                    check_record(name, &record, records.next().unwrap());
                }
            }
        }
        assert!(batches.next().is_none(), "{name}");
        assert!(records.next().is_none(), "{name}");
    });
}

fn check_batch(name: &str, batch: &Batch<'_>, wanted: &ExpectedBatch) {
    let header = check_crc(batch.bytes()).unwrap();
    assert_eq!(header, batch.header, "{name}");
    assert_eq!(header.base_offset, wanted.base_offset, "{name}");
    assert_eq!(header.last_offset(), wanted.last_offset, "{name}");
    assert_eq!(header.record_count, wanted.count, "{name}");
    assert_eq!(header.base_sequence, wanted.base_sequence, "{name}");
    assert_eq!(header.last_sequence(), wanted.last_sequence, "{name}");
    assert_eq!(header.producer_id, wanted.producer_id, "{name}");
    assert_eq!(header.producer_epoch, wanted.producer_epoch, "{name}");
    assert_eq!(header.leader_epoch, wanted.leader_epoch, "{name}");
    assert_eq!(header.max_timestamp, wanted.max_timestamp, "{name}");
    assert_eq!(header.size(), wanted.size, "{name}");
    assert_eq!(header.crc, wanted.crc, "{name}");
    let horizon = header.delete_horizon().map(i64::from);
    assert_eq!(horizon, wanted.delete_horizon, "{name}");

    let attributes = header.attributes;
    assert_eq!(attributes.is_transactional(), wanted.transactional);
    assert_eq!(attributes.is_control(), wanted.control, "{name}");
    assert_eq!(
        attributes.timestamp_type() == TimestampType::LogAppendTime,
        wanted.log_append_time,
        "{name}"
    );
    let compression: Compression = wanted.compression.parse().unwrap();
    assert_eq!(attributes.compression().unwrap(), compression, "{name}");
}

fn check_record(name: &str, record: &Record<'_>, wanted: &ExpectedRecord) {
    assert_eq!(record.offset, wanted.offset, "{name}");
    assert_eq!(record.timestamp, wanted.timestamp, "{name}");
    assert_eq!(record.key, bytes(wanted.key.as_ref()).as_deref(), "{name}");
    let value = bytes(wanted.value.as_ref());
    assert_eq!(record.value, value.as_deref(), "{name}");
    let headers: Vec<_> = record
        .headers
        .iter()
        .map(|Header { key, value }| (key.to_owned(), value.map(<[u8]>::to_vec)))
        .collect();
    let wanted: Vec<_> = wanted
        .headers
        .iter()
        .map(|(name, value)| (name.as_bytes().to_owned(), bytes(value.as_ref())))
        .collect();
    assert_eq!(headers, wanted, "{name}");
}

fn check_marker(record: &Record<'_>, wanted: &ExpectedBatch) {
    let marker = EndTxnMarker::from_record(record).unwrap().unwrap();
    let result = match wanted.marker.as_deref() {
        Some("commit") => TxnResult::Commit,
        Some("abort") => TxnResult::Abort,
        other => panic!("{other:?}"),
    };
    assert_eq!(marker.result, result);
    assert_eq!(Some(marker.coordinator_epoch), wanted.coordinator_epoch);
}

#[test]
fn what_stock_clients_send_is_valid() {
    each_fixture(|name, segment, _| {
        for batch in Batches::new(segment) {
            let batch = batch.unwrap();
            let limits = Limits {
                control_allowed: true,
                ..Limits::default()
            };
            let result = validate(batch.bytes(), &limits);
            let attributes = batch.header.attributes;
            if attributes.timestamp_type() == TimestampType::LogAppendTime {
                // The log stamped it: no client could send it so.
                assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidTimestamp);
            } else if name != "librdkafka-compacted" {
                assert_eq!(result.unwrap(), batch.header, "{name}");
            }
            if attributes.is_control() {
                let refused = validate(batch.bytes(), &Limits::default());
                assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidRecord);
            }
        }
    });
}

#[test]
fn what_is_written_equals_what_kafka_wrote() {
    each_fixture(|name, segment, _| {
        for batch in Batches::new(segment) {
            let batch = batch.unwrap();
            let header = batch.header;
            let plain = header.attributes.compression().unwrap() == Compression::None;
            if plain && name != "librdkafka-compacted" {
                assert_eq!(rebuilt(&batch), batch.bytes(), "{name}");
            }
        }
    });
}

/// The batch made again from its records, as a producer makes it and a log appends it.
fn rebuilt(batch: &Batch<'_>) -> Vec<u8> {
    let header = batch.header;
    let attributes = header.attributes;
    let mut scratch = Scratch::new();
    let records: Vec<_> = batch
        .records(&mut scratch)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut built = if attributes.is_control() {
        let marker = EndTxnMarker::from_record(&records[0]).unwrap().unwrap();
        let (id, epoch) = (header.producer_id, header.producer_epoch);
        let built = marker.to_batch(id, epoch, header.max_timestamp).unwrap();
        Vec::from(built)
    } else {
        let mut builder = BatchBuilder::new(BatchOptions {
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            transactional: attributes.is_transactional(),
            ..BatchOptions::default()
        });
        for (index, record) in records.iter().enumerate() {
            let headers = HeadersBuf::from(record.headers);
            let timestamp = match attributes.timestamp_type() {
                TimestampType::CreateTime => record.timestamp,
                TimestampType::LogAppendTime if records.len() == 1 => CREATED_ALONE.into(),
                TimestampType::LogAppendTime => CREATED[index].into(),
            };
            builder
                .append(timestamp, record.key, record.value, headers.as_headers())
                .unwrap();
        }
        Vec::from(builder.finish().unwrap())
    };
    let append_time = (attributes.timestamp_type() == TimestampType::LogAppendTime)
        .then_some(header.max_timestamp);
    let validated = BatchHeader::parse(&built).unwrap();
    let assigned = assign(
        &mut built,
        &validated,
        header.base_offset,
        header.leader_epoch,
        append_time,
    );
    assert_eq!(assigned, header);
    built
}

/// The producer's timestamps under the log's, which hides them from readers.
const CREATED: [i64; 6] = [
    1_700_000_000_000,
    1_700_000_000_005,
    1_699_999_999_997,
    1_700_000_070_000,
    1_700_000_000_001,
    1_700_000_000_002,
];
const CREATED_ALONE: i64 = 1_700_000_080_000;
