//! Records, requests and settings that make no sense.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use headwater::client::{FetchPartition, FetchRequest};
use headwater::prelude::*;
use headwater::{Error, ErrorKind};

use super::world::{batch, produce, tp};

/// What a fetch of everything from `offset` on answers.
async fn fetch(cluster: &Cluster, partition: i32, offset: i64, bytes: usize) -> Option<Error> {
    let request = FetchRequest {
        partitions: vec![FetchPartition {
            partition: tp("t", partition),
            offset: Offset(offset),
            max_bytes: bytes,
        }],
        min_bytes: bytes,
        max_bytes: bytes,
        max_wait: Duration::from_millis(1),
        isolation: IsolationLevel::ReadUncommitted,
    };
    let mut answers = cluster.backend().fetch(request).await.unwrap();
    answers.remove(0).err()
}

#[tokio::test]
async fn hostile_batches_are_refused_and_leave_no_trace() {
    let cluster = Cluster::memory();
    cluster.admin().create_topic("t", 1).await.unwrap();
    let good = batch(&["a".to_owned(), "b".to_owned()], 1, None);
    for at in 0..good.len() {
        let cut = produce(&cluster, tp("t", 0), good[..at].to_vec()).await;
        assert!(cut.is_err(), "cut at {at}");
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        // The base offset and the leader's epoch are the log's to write.
        if !(0..8).contains(&at) && !(12..16).contains(&at) {
            let error = produce(&cluster, tp("t", 0), flipped).await.unwrap_err();
            assert_eq!(error.topic_partition(), Some(&tp("t", 0)), "{error}");
        }
    }
    let twice = [good.clone(), good.clone()].concat();
    assert!(produce(&cluster, tp("t", 0), twice).await.is_err());
    assert!(produce(&cluster, tp("t", 0), Vec::new()).await.is_err());
    for partition in [-1, 1, i32::MAX, i32::MIN] {
        let error = produce(&cluster, tp("t", partition), good.clone()).await;
        let kind = error.unwrap_err().kind();
        assert_eq!(kind, ErrorKind::UnknownTopicOrPartition);
        let error = fetch(&cluster, partition, 0, 1).await.unwrap();
        assert_eq!(error.kind(), ErrorKind::UnknownTopicOrPartition);
    }
    let first = produce(&cluster, tp("t", 0), good).await.unwrap();
    assert_eq!(first, Offset(0));
    for bytes in [0, 1, usize::MAX] {
        assert!(fetch(&cluster, 0, 0, bytes).await.is_none());
        for offset in [-1, 3, i64::MAX, i64::MIN] {
            let error = fetch(&cluster, 0, offset, bytes).await.unwrap();
            assert_eq!(error.kind(), ErrorKind::OffsetOutOfRange);
            assert_eq!(error.at_offset(), Some(Offset(offset)));
        }
    }
}

#[tokio::test]
async fn a_record_that_is_too_large_is_refused_alone() {
    let cluster = Cluster::memory();
    let small = NewTopic::new("t")
        .unwrap()
        .config("max.message.bytes", "500");
    cluster.admin().create(small).await.unwrap();
    let producer = cluster.producer::<str, str>("t").build().await.unwrap();
    for len in [600, 2 << 20] {
        let error = producer.send("k", &"x".repeat(len)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MessageTooLarge, "{error}");
        assert!(error.to_string().contains("max"), "{error}");
    }
    assert_eq!(producer.send("k", "v").await.unwrap().offset, Offset(0));
}

#[tokio::test]
async fn an_offset_out_of_range_follows_the_reset_policy() {
    let cluster = Cluster::memory();
    let producer = cluster.producer::<str, str>("t").build().await.unwrap();
    for n in 0..3 {
        producer.send("k", &n.to_string()).await.unwrap();
    }
    for (policy, expect) in [
        (AutoOffsetReset::Earliest, Some("0")),
        (AutoOffsetReset::Latest, None),
    ] {
        let builder = cluster
            .consumer::<String, String>()
            .auto_offset_reset(policy);
        let mut consumer = builder.assign_at([(tp("t", 0), Offset(99))]).await.unwrap();
        let records = consumer.poll(Duration::from_millis(20)).await.unwrap();
        assert_eq!(records.first().map(|record| &*record.value), expect);
    }
    let builder = cluster.consumer::<String, String>();
    let builder = builder.auto_offset_reset(AutoOffsetReset::None);
    let mut consumer = builder.assign_at([(tp("t", 0), Offset(-5))]).await.unwrap();
    let error = consumer.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OffsetOutOfRange);
    assert_eq!(error.topic_partition(), Some(&tp("t", 0)));
    assert_eq!(error.at_offset(), Some(Offset(-5)));
    consumer.seek(&tp("t", 0), Offset(2)).unwrap();
    assert_eq!(consumer.next().await.unwrap().unwrap().value, "2");
}

#[tokio::test]
async fn a_reader_goes_past_what_its_serde_refuses() {
    let cluster = Cluster::memory();
    let producer = cluster.producer::<str, [u8]>("t").build().await.unwrap();
    for value in [b"a".as_slice(), b"\xff", b"\xfe", b"b"] {
        producer.send("k", value).await.unwrap();
    }
    let builder = cluster.consumer::<String, String>().from_beginning();
    let mut consumer = builder.assign([tp("t", 0)]).await.unwrap();
    let mut values = Vec::new();
    let mut refused = Vec::new();
    while values.len() < 2 {
        match consumer.next().await.unwrap() {
            Ok(record) => values.push(record.value),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Serialization);
                assert_eq!(error.topic_partition(), Some(&tp("t", 0)));
                refused.push(error.at_offset().unwrap());
                consumer.step_over(&error).unwrap();
            }
        }
    }
    assert_eq!(values, ["a", "b"]);
    assert_eq!(refused, [Offset(1), Offset(2)]);
}

#[tokio::test]
async fn times_without_end_and_senseless_settings() {
    let cluster = Cluster::memory();
    let long = Duration::MAX;
    let producer = ProducerConfig {
        max_block: long,
        metadata_max_age: long,
        ..ProducerConfig::default()
    };
    let producer = cluster.producer::<str, str>("t").config(producer);
    let producer = producer.build().await.unwrap();
    producer.send("k", "v").await.unwrap();
    let endless = ConsumerConfig {
        auto_commit_interval: long,
        max_poll_interval: long,
        session_timeout: long,
        heartbeat_interval: Duration::from_secs(1),
        fetch_max_wait: long,
        fetch_max_bytes: usize::MAX,
        max_partition_fetch_bytes: usize::MAX,
        auto_offset_reset: AutoOffsetReset::Earliest,
        ..ConsumerConfig::default()
    };
    let builder = cluster.consumer::<String, String>().group("g");
    let mut consumer = builder.config(endless).subscribe(["t"]).await.unwrap();
    assert_eq!(consumer.poll(long).await.unwrap().len(), 1);
    consumer.close().await.unwrap();
    let senseless: [fn(&mut ConsumerConfig); 5] = [
        |config| config.max_poll_records = 0,
        |config| config.fetch_min_bytes = 0,
        |config| config.fetch_max_bytes = 0,
        |config| config.fetch_max_wait = Duration::ZERO,
        |config| config.heartbeat_interval = config.session_timeout,
    ];
    for change in senseless {
        let mut config = ConsumerConfig::default();
        change(&mut config);
        let builder = cluster.consumer::<String, String>().config(config);
        let error = builder.assign([tp("t", 0)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
    }
}

#[tokio::test]
async fn every_topic_setting_refuses_nonsense() {
    let admin = Cluster::memory().admin();
    admin.create_topic("t", 1).await.unwrap();
    for entry in admin.describe_configs("t").await.unwrap() {
        for value in [
            "",
            " ",
            "-2",
            "1e3",
            "yes",
            "99999999999999999999",
            "\u{1F600}",
        ] {
            if entry.name == "cleanup.policy" && value.trim().is_empty() {
                continue;
            }
            let changes = [(entry.name.as_str(), Some(value))];
            let error = admin.alter_configs("t", changes).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
            assert!(error.to_string().contains(&entry.name), "{error}");
        }
    }
    let unknown = admin
        .alter_configs("t", [("retention.hours", Some("1"))])
        .await;
    assert!(unknown.unwrap_err().to_string().contains("retention.ms"));
    for (name, partitions, kind) in [
        ("u", 0, ErrorKind::InvalidPartitions),
        ("u", -1, ErrorKind::InvalidPartitions),
        ("u", i32::MAX, ErrorKind::InvalidPartitions),
        ("", 1, ErrorKind::InvalidTopic),
        ("a/b", 1, ErrorKind::InvalidTopic),
        ("t", 1, ErrorKind::TopicAlreadyExists),
        ("__consumer_offsets", 1, ErrorKind::InvalidTopic),
    ] {
        let error = admin.create_topic(name, partitions).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{name:?} {partitions}");
    }
}

#[tokio::test]
async fn groups_are_told_what_they_may_not_be() {
    let cluster = Cluster::memory();
    cluster.admin().create_topic("t", 1).await.unwrap();
    let long = "x".repeat(40_000);
    for group in ["", long.as_str()] {
        let builder = cluster.consumer::<String, String>().group(group);
        let error = builder.subscribe(["t"]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidGroupId);
    }
    let none = cluster.consumer::<String, String>().subscribe(["t"]).await;
    assert_eq!(none.unwrap_err().kind(), ErrorKind::InvalidGroupId);
    let alter = |partition, offset| {
        let admin = cluster.admin();
        async move {
            admin
                .alter_group_offsets("g", [(partition, Offset(offset))])
                .await
        }
    };
    let negative = alter(tp("t", 0), -1).await.unwrap_err();
    assert_eq!(negative.kind(), ErrorKind::InvalidRequest);
    let unknown = alter(tp("t", 9), 1).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::UnknownTopicOrPartition);
}

#[tokio::test]
async fn what_was_closed_says_so() {
    let cluster = Cluster::memory();
    let producer = cluster.producer::<str, str>("t").build().await.unwrap();
    producer.send("k", "v").await.unwrap();
    let builder = cluster.consumer::<String, String>().group("g");
    let mut consumer = builder.subscribe(["t"]).await.unwrap();
    cluster.close().await.unwrap();
    let closed = |error: Error| assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    closed(producer.send("k", "v").await.unwrap_err());
    closed(consumer.commit().await.unwrap_err());
    closed(cluster.admin().create_topic("u", 1).await.unwrap_err());
    closed(cluster.producer::<str, str>("t").build().await.unwrap_err());
    assert!(consumer.next().await.is_none());
    cluster.close().await.unwrap();
}

/// Begins a call and gives it up.
fn begin_and_drop(call: impl Future) {
    let mut call = std::pin::pin!(call);
    drop(call.as_mut().poll(&mut Context::from_waker(Waker::noop())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_given_up_disturb_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path()).await.unwrap();
    let admin = cluster.admin();
    for n in 0..20 {
        begin_and_drop(admin.create_topic(&format!("dropped-{n}"), 1));
        admin.create_topic(&format!("kept-{n}"), 1).await.unwrap();
        begin_and_drop(produce(
            &cluster,
            tp("kept-0", 0),
            batch(&[n.to_string()], 1, None),
        ));
    }
    let before = admin.list_topics().await.unwrap();
    assert_eq!(before.len(), 40, "a change that has begun is made");
    cluster.close().await.unwrap();
    let again = Cluster::open(dir.path()).await.unwrap();
    assert_eq!(again.admin().list_topics().await.unwrap(), before);
    let (admin, partition) = (again.admin(), tp("kept-0", 0));
    let end = admin.list_offset(&partition, OffsetSpec::Latest).await;
    assert_eq!(end.unwrap().offset, Offset(20));
    again.close().await.unwrap();
}

#[tokio::test]
async fn thousands_wait_for_one_record() {
    let cluster = Cluster::memory();
    let producer = cluster.producer::<str, str>("t").build().await.unwrap();
    let cluster = Arc::new(cluster);
    let waiters: Vec<_> = (0..3_000)
        .map(|_| {
            let cluster = Arc::clone(&cluster);
            tokio::spawn(async move {
                let builder = cluster.consumer::<String, String>().from_beginning();
                let mut consumer = builder.assign([tp("t", 0)]).await.unwrap();
                consumer.next().await.unwrap().unwrap().value
            })
        })
        .collect();
    tokio::task::yield_now().await;
    producer.send("k", "v").await.unwrap();
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), "v");
    }
}
