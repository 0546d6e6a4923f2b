//! Compares the operators with recorded answers of Kafka Streams, record by record.
//!
//! Each file under `oracle/` holds a topology in words, Kafka's text of it, and runs: what went
//! in, what came out at each step, what the stores held at the end.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at what it did not foresee"
)]

use std::collections::BTreeMap;

use headwater_streams::testing::TestRecord;
use headwater_streams::{Grouped, KTable, StreamsBuilder, Topology, TopologyTestDriver};
use serde_json::Value;

/// A text that may be null, as the recorded topics hold.
type Text = Option<String>;

/// Compares the topology with the recorded case of this name.
macro_rules! check {
    ($case:literal, $declare:expr) => {
        check(
            $case,
            include_str!(concat!("oracle/", $case, ".json")),
            $declare,
        )
    };
}

#[test]
fn word_count() {
    check!("word-count", |b| {
        let pieces = b.stream::<str, str>("in").flat_map_values(|value, out| {
            value.split_inclusive('a').for_each(|piece| out.emit(piece));
        });
        emitted(
            &pieces
                .group_by_ref_with("words", |_, piece| piece)
                .count("s"),
        );
    });
}

#[test]
fn count_by_key() {
    check!("count-by-key", |b| {
        emitted(&b.stream::<str, str>("in").group_by_key().count("s"));
    });
}

#[test]
fn headers_aggregate() {
    check!("headers-aggregate", |b| {
        emitted(&b.stream::<str, str>("in").group_by_key().count("s"));
    });
}

#[test]
fn group_by_null() {
    check!("group-by-null", |b| {
        let groups = b
            .stream::<str, Text>("in")
            .group_by_with(Grouped::from("again"), |_, value: &Text| {
                value.clone().filter(|text| text.len() >= 4)
            });
        emitted(&groups.count("s"));
    });
}

#[test]
fn filter_map_values() {
    check!("filter-map-values", |b| {
        b.stream::<str, str>("in")
            .filter(|_, value| value.len() > 3)
            .map_values(|value| value.to_uppercase())
            .to("out");
    });
}

#[test]
fn filter_not_select_key() {
    check!("filter-not-select-key", |b| {
        b.stream::<str, Text>("in")
            .filter_not(|_, value| value.as_ref().is_none_or(|text| text.starts_with('a')))
            .select_key(|_, value| value.as_ref().map(|text| text[..1].to_owned()))
            .to("out");
    });
}

#[test]
fn map() {
    check!("map", |b| {
        b.stream::<Text, Text>("in")
            .map(|key, value| (value.clone(), key.cloned().flatten()))
            .to("out");
    });
}

#[test]
fn map_values_with_key() {
    check!("map-values-with-key", |b| {
        b.stream::<Text, Text>("in")
            .map_values_with_key(|key, value| {
                let text = |text: Option<&Text>| text.cloned().flatten().unwrap_or("null".into());
                format!("{}/{}", text(key), text(Some(value)))
            })
            .to("out");
    });
}

#[test]
fn flat_map_values() {
    check!("flat-map-values", |b| {
        b.stream::<str, str>("in")
            .flat_map_values(|value, out| {
                let pieces: Vec<&str> = value.split('a').collect();
                let kept = pieces.iter().rposition(|piece| !piece.is_empty());
                let kept = kept.map_or(0, |last| last + 1);
                pieces[..kept].iter().for_each(|piece| out.emit(*piece));
            })
            .to("out");
    });
}

#[test]
fn flat_map_values_empty() {
    check!("flat-map-values-empty", |b| {
        b.stream::<str, str>("in")
            .flat_map_values(|value, out| (0..value.len() % 3).for_each(|_| out.emit(value)))
            .to("out");
    });
}

#[test]
fn peek_foreach() {
    check!("peek-foreach", |b| {
        let stream = b.stream::<str, str>("in");
        stream.peek(|_, _| ()).filter(|_, _| true).to("out");
        stream.for_each(|_, _| ());
    });
}

#[test]
fn merge_two_topics() {
    check!("merge-two-topics", |b| {
        let left = b.stream::<str, str>("left");
        left.merge(&b.stream("right")).to("out");
    });
}

#[test]
fn merge_marked() {
    check!("merge-marked", |b| {
        let left = b.stream::<Text, Text>("left");
        let left = left.select_key(|_, value| value.as_ref().map(|text| text[..1].to_owned()));
        let merged = left.merge(&b.stream("right"));
        emitted(&merged.group_by_key_with("again").count("s"));
    });
}

#[test]
fn stream_two_topics() {
    check!("stream-two-topics", |b| {
        b.stream::<str, str>(["left", "right"])
            .map_values(|value| value.to_uppercase())
            .to("out");
    });
}

/// The updates of a table, their values as text.
fn emitted(table: &KTable<impl headwater_core::serdes::Data + ?Sized, u64>) {
    table
        .to_stream()
        .map_values(|count| count.to_string())
        .to("out");
}

fn check(case: &str, golden: &str, declare: impl Fn(&StreamsBuilder)) {
    let golden: Value = serde_json::from_str(golden).unwrap();
    let builder = StreamsBuilder::new();
    declare(&builder);
    let topology = builder.build().unwrap();
    let lines = golden["topology"].as_array().unwrap().iter();
    let lines: Vec<&str> = lines.map(|line| line.as_str().unwrap()).collect();
    assert_eq!(topology.describe().trim_end(), lines.join("\n").trim_end());
    for run in golden["runs"].as_array().unwrap() {
        let mut driver = TopologyTestDriver::new(topology.clone());
        for (number, step) in run["steps"].as_array().unwrap().iter().enumerate() {
            let [topic, key, value, timestamp, ..] = &step["in"].as_array().unwrap()[..] else {
                panic!("{step} is no record");
            };
            let mut sending = driver
                .input(topic.as_str().unwrap())
                .send(key.as_str(), value.as_str());
            for header in step["in"][4].as_array().into_iter().flatten() {
                let value = header[1].as_str().map(str::as_bytes);
                sending = sending.header(header[0].as_str().unwrap(), value);
            }
            sending.at(timestamp.as_i64().unwrap());
            let out = driver.output::<str, str>("out").list();
            let out: Vec<Value> = out.iter().map(|record| as_json("out", record)).collect();
            assert_eq!(
                Value::from(out),
                step["out"],
                "{case}, step {number}: {step}"
            );
        }
        check_end(case, run, &driver);
        check_with_cache(case, run, &topology);
    }
}

/// With a cache fewer changes come, but the last of each key and the stores are the same.
fn check_with_cache(case: &str, run: &Value, topology: &Topology) {
    let mut driver = TopologyTestDriver::new(topology.clone()).with_cache();
    let mut expected = BTreeMap::new();
    for step in run["steps"].as_array().unwrap() {
        let [topic, key, value, timestamp, ..] = &step["in"].as_array().unwrap()[..] else {
            panic!("{step} is no record");
        };
        let input = driver.input(topic.as_str().unwrap());
        let sending = input.send(key.as_str(), value.as_str());
        sending.at(timestamp.as_i64().unwrap());
        for record in step["out"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            expected.insert(text(&record[1]), text(&record[2]));
        }
    }
    let out = driver.output::<str, str>("out").list().into_iter();
    let latest: BTreeMap<_, _> = out.map(|record| (record.key, record.value)).collect();
    assert_eq!(latest, expected, "{case}, with a cache");
    check_end(case, run, &driver);
}

/// Compares the stores and the number of dropped records.
fn check_end(case: &str, run: &Value, driver: &TopologyTestDriver) {
    for (name, store) in run["stores"].as_object().unwrap() {
        let entries: Vec<Value> = match case {
            "group-by-null" | "merge-marked" => {
                let entries = driver.store::<Text, u64>(name).entries().into_iter();
                entries
                    .map(|(key, n, time)| entry(key.unwrap(), n, time.0))
                    .collect()
            }
            _ => {
                let entries = driver.store::<str, u64>(name).entries().into_iter();
                entries
                    .map(|(key, n, time)| entry(key, n, time.0))
                    .collect()
            }
        };
        assert_eq!(
            Value::from(entries),
            store["entries"],
            "{case}, store {name}"
        );
    }
    let dropped = run["dropped_records"].as_u64().unwrap();
    assert_eq!(driver.dropped_records(), dropped, "{case}");
}

fn entry(key: String, count: u64, timestamp: i64) -> Value {
    Value::from(vec![
        key.into(),
        count.to_string().into(),
        Value::from(timestamp),
    ])
}

fn as_json(topic: &str, record: &TestRecord<String, String>) -> Value {
    let mut fields: Vec<Value> = vec![
        topic.into(),
        record.key.clone().into(),
        record.value.clone().into(),
        record.timestamp.0.into(),
    ];
    let headers = record.headers.as_headers();
    if !headers.is_empty() {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let headers = headers.iter().map(|header| {
            Value::from(vec![
                Value::from(text(header.key)),
                header.value.map(text).into(),
            ])
        });
        fields.push(headers.collect());
    }
    Value::from(fields)
}
