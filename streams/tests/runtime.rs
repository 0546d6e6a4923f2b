//! Applications on a cluster in memory: results, commits, restarts, failures.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at what it did not foresee"
)]

use std::collections::BTreeMap;

use headwater_core::ErrorKind;
use headwater_core::client::producer::ProducerRecord;
use headwater_core::client::{Cluster, OffsetSpec};
use headwater_core::types::{Partition, TopicName, TopicPartition};
use headwater_streams::{Streams, StreamsBuilder, StreamsConfig, StreamsHandle, Topology, map};

fn word_count() -> Topology {
    let builder = StreamsBuilder::new();
    builder
        .stream::<(), str>("text")
        .flat_map_values(|line, out| line.split_whitespace().for_each(|word| out.emit(word)))
        .group_by_ref(|_, word| word)
        .count("word-counts")
        .to_stream()
        .to("counts");
    builder.build().unwrap()
}

async fn say(cluster: &Cluster, lines: &[&str]) {
    let producer = cluster.producer::<(), str>("text").build().await.unwrap();
    for line in lines {
        drop(producer.send_record(ProducerRecord::keyless(*line)));
    }
    producer.close().await.unwrap();
}

async fn counts(app: &StreamsHandle) -> BTreeMap<String, u64> {
    let store = app.store::<str, u64>("word-counts").unwrap();
    let all = store.all().await.unwrap();
    all.into_iter()
        .map(|(word, count, _)| (word, count))
        .collect()
}

/// What a reader of the topic sees: the latest value of each key, and the number of records.
async fn read(cluster: &Cluster, topic: &str) -> (BTreeMap<String, u64>, usize) {
    let partitions = cluster
        .admin()
        .describe_topic(topic)
        .await
        .unwrap()
        .partitions;
    let topic = TopicName::new(topic).unwrap();
    let mut map = BTreeMap::new();
    let mut records = 0;
    for partition in (0..partitions).map(Partition) {
        let partition = TopicPartition::new(topic.clone(), partition);
        let end = cluster
            .admin()
            .list_offset(&partition, OffsetSpec::Latest)
            .await
            .unwrap();
        let consumer = cluster.consumer::<String, u64>();
        let mut consumer = consumer.from_beginning().assign([partition]).await.unwrap();
        for _ in 0..end.offset.0 {
            let record = consumer.next().await.unwrap().unwrap();
            map.insert(record.key, record.value);
            records += 1;
        }
    }
    (map, records)
}

#[tokio::test]
async fn words_are_counted_and_a_restart_goes_on() {
    let cluster = Cluster::memory();
    say(&cluster, &["to be or", "not to be"]).await;
    let app = Streams::new("wc", word_count())
        .start(&cluster)
        .await
        .unwrap();
    app.caught_up().await.unwrap();
    let expected = map! { "be" => 2, "not" => 1, "or" => 1, "to" => 2 };
    assert_eq!(counts(&app).await, expected);
    let store = app.store::<str, u64>("word-counts").unwrap();
    assert_eq!(store.get("to").await.unwrap(), Some(2));
    assert_eq!(store.get("whale").await.unwrap(), None);
    // The changes waited for the commit: one record a word.
    assert_eq!(read(&cluster, "counts").await, (expected.clone(), 4));
    app.close().await.unwrap();

    say(&cluster, &["to whom"]).await;
    let app = Streams::new("wc", word_count())
        .start(&cluster)
        .await
        .unwrap();
    app.caught_up().await.unwrap();
    let expected = map! { "be" => 2, "not" => 1, "or" => 1, "to" => 3, "whom" => 1 };
    assert_eq!(counts(&app).await, expected);
    assert_eq!(read(&cluster, "counts").await, (expected, 6));
    // One line of the text, and its two words from the repartition topic.
    assert_eq!(app.records_processed(), 3);
    app.close().await.unwrap();
}

#[tokio::test]
async fn without_a_cache_each_change_is_handed_on() {
    let cluster = Cluster::memory();
    say(&cluster, &["a b a a"]).await;
    let config = StreamsConfig {
        cache_bytes_max: 0,
        batch_bytes_max: 100,
        produce_bytes_max: 200,
        ..StreamsConfig::default()
    };
    let app = Streams::new("wc", word_count()).with_config(config);
    let app = app.start(&cluster).await.unwrap();
    app.caught_up().await.unwrap();
    assert_eq!(
        read(&cluster, "counts").await,
        (map! { "a" => 3, "b" => 1 }, 4)
    );
    app.close().await.unwrap();
}

#[tokio::test]
async fn equal_keys_meet_in_one_of_many_tasks() {
    let cluster = Cluster::memory();
    cluster.admin().create_topic("text", 3).await.unwrap();
    let lines: Vec<String> = (0..300)
        .map(|n| format!("w{} x{}", n % 7, n % 11))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut expected = BTreeMap::new();
    for word in lines.iter().flat_map(|line| line.split(' ')) {
        *expected.entry(word.to_owned()).or_insert(0) += 1;
    }
    for part in lines.chunks(100) {
        say(&cluster, part).await;
    }
    let config = StreamsConfig {
        batch_bytes_max: 200,
        produce_bytes_max: 1000,
        fetch_bytes_max: 300,
        ..StreamsConfig::default()
    };
    let app = Streams::new("wc", word_count()).with_config(config.clone());
    let app = app.start(&cluster).await.unwrap();
    app.caught_up().await.unwrap();
    assert_eq!(counts(&app).await, expected);
    let store = app.store::<str, u64>("word-counts").unwrap();
    for (word, count) in &expected {
        assert_eq!(store.get(word).await.unwrap(), Some(*count), "{word}");
    }
    app.close().await.unwrap();
    let app = Streams::new("wc", word_count()).with_config(config);
    let app = app.start(&cluster).await.unwrap();
    assert_eq!(
        counts(&app).await,
        expected,
        "restored from three changelogs"
    );
    app.close().await.unwrap();
    assert_eq!(read(&cluster, "counts").await.0, expected);
}

#[tokio::test]
async fn run_ends_when_it_is_told_to() {
    let cluster = Cluster::memory();
    say(&cluster, &["a"]).await;
    cluster.admin().create_topic("counts", 1).await.unwrap();
    let app = Streams::new("wc", word_count());
    // The end is asked for when the result is there: what was processed is committed at the end.
    let (first, ready) = tokio::sync::oneshot::channel();
    let shutdown = async {
        let consumer = cluster.consumer::<String, u64>();
        let counts = TopicPartition::new(TopicName::new("counts").unwrap(), Partition(0));
        let mut consumer = consumer.from_beginning().assign([counts]).await.unwrap();
        first.send(consumer.next().await.unwrap().unwrap()).unwrap();
    };
    app.run(&cluster, shutdown).await.unwrap();
    let record = ready.await.unwrap();
    assert_eq!((record.key.as_str(), record.value), ("a", 1));
    let app = Streams::new("wc", word_count()).start(&cluster).await;
    let app = app.unwrap();
    assert_eq!(counts(&app).await, map! { "a" => 1 });
    app.caught_up().await.unwrap();
    assert_eq!(app.records_processed(), 0, "everything was committed");
    app.close().await.unwrap();
}

#[tokio::test]
async fn a_failure_says_where_it_was() {
    let cluster = Cluster::memory();
    say(&cluster, &["1", "2", "x", "4"]).await;
    let builder = StreamsBuilder::new();
    builder
        .stream::<(), str>("text")
        .try_map_values(|text| text.parse::<u64>())
        .to("numbers");
    let app = Streams::new("numbers", builder.build().unwrap());
    let error = app
        .run(&cluster, std::future::pending::<()>())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ProcessingFailed);
    assert_eq!(error.topic_partition().unwrap().to_string(), "text-0");
    assert_eq!(error.at_offset().unwrap(), 2);
    let text = error.to_string();
    assert!(text.contains("KSTREAM-MAPVALUES-0000000001"), "{text}");
    assert!(text.contains("invalid digit"), "{text}");
}

#[tokio::test]
async fn a_panic_of_a_closure_ends_the_application_with_an_error() {
    let cluster = Cluster::memory();
    say(&cluster, &["1"]).await;
    let builder = StreamsBuilder::new();
    builder.stream::<(), str>("text").for_each(|_, _| {
        assert!(std::hint::black_box(false), "a closure that panics");
    });
    let app = Streams::new("numbers", builder.build().unwrap())
        .start(&cluster)
        .await
        .unwrap();
    let error = app.caught_up().await.unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
    assert!(app.close().await.is_err());
}

#[tokio::test]
async fn a_changed_number_of_partitions_is_refused_with_the_cure() {
    let cluster = Cluster::memory();
    say(&cluster, &["a"]).await;
    let app = Streams::new("wc", word_count())
        .start(&cluster)
        .await
        .unwrap();
    app.close().await.unwrap();
    cluster.admin().create_partitions("text", 2).await.unwrap();
    let error = Streams::new("wc", word_count())
        .start(&cluster)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidTopology);
    assert!(
        error
            .to_string()
            .contains("has 1 partitions, the topology needs 2"),
        "{error}"
    );
}

#[tokio::test]
async fn a_store_is_asked_by_its_name_and_types() {
    let cluster = Cluster::memory();
    let app = Streams::new("wc", word_count())
        .start(&cluster)
        .await
        .unwrap();
    let error = app.store::<str, u64>("words").unwrap_err();
    assert!(error.to_string().contains("word-counts"), "{error}");
    let error = app.store::<str, i32>("word-counts").unwrap_err();
    assert!(error.to_string().contains("<str, u64>"), "{error}");
    app.close().await.unwrap();
}

#[tokio::test]
async fn a_commit_hands_each_change_on_once_below_a_merge() {
    let cluster = Cluster::memory();
    cluster.admin().create_topic("other", 1).await.unwrap();
    let builder = StreamsBuilder::new();
    let left = builder.stream::<str, str>("text");
    let left = left.merge(&builder.stream("other"));
    let lines = left.group_by_key().count("lines").to_stream();
    lines.to("counts");
    lines.group_by_key().count("updates");
    let topology = builder.build().unwrap();
    let producer = cluster.producer::<str, str>("text").build().await.unwrap();
    for (key, value) in [("a", "1"), ("b", "2"), ("a", "3")] {
        drop(producer.send_record(ProducerRecord::new(key, value)));
    }
    producer.close().await.unwrap();

    let app = Streams::new("merged", topology).start(&cluster).await;
    let app = app.unwrap();
    app.caught_up().await.unwrap();
    assert_eq!(
        read(&cluster, "counts").await,
        (map! { "a" => 2, "b" => 1 }, 2)
    );
    let updates = app.store::<str, u64>("updates").unwrap();
    assert_eq!(updates.get("a").await.unwrap(), Some(1));
    app.close().await.unwrap();
}

#[tokio::test]
async fn an_application_runs_once_a_cluster() {
    let cluster = Cluster::memory();
    say(&cluster, &["a"]).await;
    let start = || Streams::new("wc", word_count()).start(&cluster);
    let app = start().await.unwrap();
    let error = start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NonEmptyGroup);
    assert!(error.to_string().contains("application wc runs"), "{error}");
    let other = Streams::new("other", word_count()).start(&cluster).await;
    other.unwrap().close().await.unwrap();
    let elsewhere = Cluster::memory();
    say(&elsewhere, &["a"]).await;
    let second = Streams::new("wc", word_count()).start(&elsewhere).await;
    second.unwrap().close().await.unwrap();

    app.caught_up().await.unwrap();
    app.close().await.unwrap();
    let app = start().await.unwrap();
    assert_eq!(counts(&app).await, map! { "a" => 1 });
    app.close().await.unwrap();
}

#[tokio::test]
async fn two_tables_of_a_named_grouping_share_its_topic() {
    let cluster = Cluster::memory();
    say(&cluster, &["a", "b", "a"]).await;
    let builder = StreamsBuilder::new();
    let lines = builder.stream::<(), str>("text");
    let grouped = lines.group_by_ref_with("letters", |_, letter| letter);
    grouped.count("one");
    grouped.count("two").to_stream().to("counts");
    let topology = builder.build().unwrap();
    let text = topology.describe();
    assert_eq!(text.matches("topics: [letters-repartition]").count(), 1);

    let app = Streams::new("shared", topology).start(&cluster).await;
    let app = app.unwrap();
    app.caught_up().await.unwrap();
    for store in ["one", "two"] {
        let store = app.store::<str, u64>(store).unwrap();
        assert_eq!(store.get("a").await.unwrap(), Some(2));
        assert_eq!(store.get("b").await.unwrap(), Some(1));
    }
    app.close().await.unwrap();
}
