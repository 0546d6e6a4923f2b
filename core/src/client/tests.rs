//! Producer, consumer and admin together, on a cluster in memory.

#![expect(
    clippy::disallowed_methods,
    reason = "users of a cluster have tasks of their own"
)]

use std::sync::Arc;
use std::time::Duration;

use super::consumer::AutoOffsetReset;
use super::producer::{ProducerConfig, ProducerRecord};
use super::{Acks, BrokerConfig, Cluster, NewTopic, OffsetSpec};
use crate::env::{Env, ManualClock};
use crate::error::ErrorKind;
use crate::types::{Offset, Partition, Timestamp, TopicName, TopicPartition};

fn tp(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(TopicName::new(topic).unwrap(), Partition(partition))
}

/// A cluster whose time stands still until it is moved.
fn by_hand() -> (Cluster, ManualClock) {
    let clock = ManualClock::new();
    let env = Env {
        clock: Arc::new(clock.clone()),
        ..Env::memory()
    };
    (Cluster::builder().env(env).memory(), clock)
}

/// Lets everything that can run do so.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_sent_is_read() {
    let cluster = Cluster::memory();
    cluster.admin().create_topic("words", 3).await.unwrap();
    let producer = cluster.producer::<str, str>("words").build().await.unwrap();
    let first = producer.send("ada", "one");
    let second = producer.send("ada", "two");
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!(first.partition, second.partition);
    assert_eq!((first.offset, second.offset), (Offset(0), Offset(1)));
    let mut consumer = cluster
        .consumer::<String, String>()
        .group("g")
        .from_beginning()
        .subscribe(["words"])
        .await
        .unwrap();
    let record = consumer.next().await.unwrap().unwrap();
    assert_eq!((record.key.as_str(), record.value.as_str()), ("ada", "one"));
    assert_eq!(record.timestamp, first.timestamp);
    let batch = consumer.next_batch().await.unwrap().unwrap();
    assert_eq!(batch.len(), 1);
    assert_eq!(
        consumer.position(&batch[0].topic_partition()),
        Some(Offset(2))
    );
    consumer.close().await.unwrap();
    producer.close().await.unwrap();
    // The group goes on behind what was committed at the close.
    let mut again = cluster
        .consumer::<String, String>()
        .group("g")
        .from_beginning()
        .subscribe(["words"])
        .await
        .unwrap();
    let nothing = again.poll(Duration::from_millis(5)).await.unwrap();
    assert!(nothing.is_empty());
    cluster.close().await.unwrap();
    assert!(again.next().await.is_none());
    let closed = cluster.admin().list_topics().await.unwrap_err();
    assert_eq!(closed.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_batch_leaves_when_it_lingered() {
    let (cluster, clock) = by_hand();
    let producer = cluster.producer::<str, str>("t").build().await.unwrap();
    let mut sending = tokio::task::spawn(producer.send("k", "v"));
    settle().await;
    assert!(!sending.is_finished());
    clock.advance(Duration::from_millis(5));
    let ack = (&mut sending).await.unwrap().unwrap();
    assert_eq!(ack.offset, Offset(0));
}

#[tokio::test]
async fn order_is_kept_over_many_batches_in_flight() {
    let cluster = Cluster::memory();
    let producer = cluster
        .producer::<str, [u8]>("t")
        .config(ProducerConfig {
            batch_size: 200,
            acks: Acks::Leader,
            ..ProducerConfig::default()
        })
        .build()
        .await
        .unwrap();
    let mut sendings = Vec::new();
    for number in 0..2000_u32 {
        let sending = producer.send("k", &number.to_be_bytes());
        sendings.push(sending.queued().await.unwrap());
    }
    producer.flush().await.unwrap();
    for (number, sending) in (0..).zip(sendings) {
        assert_eq!(sending.await.unwrap().offset, Offset(number));
    }
    let mut consumer = cluster
        .consumer::<String, Vec<u8>>()
        .from_beginning()
        .assign([tp("t", 0)])
        .await
        .unwrap();
    let mut expected = 0_u32;
    while expected < 2000 {
        for record in consumer.next_batch().await.unwrap().unwrap() {
            assert_eq!(record.value, expected.to_be_bytes());
            expected += 1;
        }
    }
}

#[tokio::test]
async fn a_full_buffer_makes_senders_wait_and_then_fail() {
    let (cluster, clock) = by_hand();
    let producer = cluster
        .producer::<str, [u8]>("t")
        .config(ProducerConfig {
            buffer_memory: 1000,
            max_request_size: 1000,
            linger: Duration::from_secs(3600),
            ..ProducerConfig::default()
        })
        .build()
        .await
        .unwrap();
    let first = producer.send("k", &[0; 600]);
    let second = producer.send("k", &[0; 600]);
    let waiting = tokio::task::spawn(second.queued());
    settle().await;
    assert!(!waiting.is_finished());
    clock.advance(Duration::from_secs(61));
    let full = waiting.await.unwrap().unwrap_err();
    assert_eq!(full.kind(), ErrorKind::BufferExhausted);
    let third = tokio::task::spawn(producer.send("k", &[1; 600]));
    settle().await;
    producer.flush().await.unwrap();
    assert_eq!(first.await.unwrap().offset, Offset(0));
    settle().await;
    producer.flush().await.unwrap();
    assert_eq!(third.await.unwrap().unwrap().offset, Offset(1));
}

#[tokio::test]
async fn errors_reach_the_record_they_concern() {
    let cluster = Cluster::memory();
    let compacted = NewTopic::new("c")
        .unwrap()
        .config("cleanup.policy", "compact");
    cluster.admin().create(compacted).await.unwrap();
    let producer = cluster.producer::<str, str>("c").build().await.unwrap();
    let keyless = producer.send_record(ProducerRecord::keyless("v"));
    let error = keyless.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRecord);
    assert_eq!(error.topic_partition(), Some(&tp("c", 0)));
    let nowhere = ProducerRecord::new("k", "v").partition(Partition(7));
    let error = producer.send_record(nowhere).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownTopicOrPartition);
    let late = ProducerRecord::new("k", "v").timestamp(Timestamp(i64::MAX));
    let error = producer.send_record(late).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidTimestamp);
    assert_eq!(producer.send("k", "v").await.unwrap().offset, Offset(0));
}

#[tokio::test]
async fn a_record_that_does_not_decode_is_named_and_can_be_stepped_over() {
    let cluster = Cluster::memory();
    let producer = cluster.producer::<str, [u8]>("n").build().await.unwrap();
    let good = 7_i64.to_be_bytes();
    for value in [&good[..], b"not a number", &good[..]] {
        producer.send("k", value).await.unwrap();
    }
    let mut consumer = cluster
        .consumer::<String, i64>()
        .from_beginning()
        .assign([tp("n", 0)])
        .await
        .unwrap();
    assert_eq!(consumer.next().await.unwrap().unwrap().value, 7);
    for _ in 0..4 {
        let error = consumer.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Serialization);
        assert_eq!(error.topic_partition(), Some(&tp("n", 0)));
        assert_eq!(error.at_offset(), Some(Offset(1)));
    }
    let error = consumer.next_batch().await.unwrap_err();
    consumer.step_over(&error).unwrap();
    assert_eq!(consumer.next().await.unwrap().unwrap().offset, Offset(2));
}

#[tokio::test]
async fn seek_pause_and_lag() {
    let cluster = Cluster::memory();
    cluster.admin().create_topic("t", 2).await.unwrap();
    let producer = cluster.producer::<(), i64>("t").build().await.unwrap();
    for partition in [0, 1] {
        for number in 0..5 {
            let record = ProducerRecord::new(&(), &number).partition(Partition(partition));
            producer.send_record(record).await.unwrap();
        }
    }
    let both = [tp("t", 0), tp("t", 1)];
    let mut consumer = cluster
        .consumer::<(), i64>()
        .assign(both.clone())
        .await
        .unwrap();
    // Latest is the default: nothing until we seek.
    assert_eq!(consumer.position(&both[0]), Some(Offset(5)));
    assert!(consumer.poll(Duration::ZERO).await.unwrap().is_empty());
    consumer.seek(&both[0], Offset(3)).unwrap();
    consumer.seek_to_beginning(&both[1]).unwrap();
    consumer.pause(&both[1]).unwrap();
    assert_eq!(consumer.lag(&both[0]).await.unwrap(), 2);
    let batch = consumer.next_batch().await.unwrap().unwrap();
    let offsets: Vec<_> = batch.iter().map(|record| record.offset.value()).collect();
    assert_eq!(offsets, [3, 4]);
    consumer.resume(&both[1]).unwrap();
    assert_eq!(consumer.next_batch().await.unwrap().unwrap().len(), 5);
    consumer.seek_to_end(&both[1]).unwrap();
    assert_eq!(consumer.lag(&both[1]).await.unwrap(), 0);
    let other = consumer.seek(&tp("t", 9), Offset(0)).unwrap_err();
    assert_eq!(other.kind(), ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn an_offset_that_is_gone_resets_or_is_an_error() {
    let cluster = Cluster::memory();
    let producer = cluster.producer::<(), i64>("t").build().await.unwrap();
    let numbers: Vec<_> = (0..10).collect();
    producer
        .send_batch(numbers.iter().map(|n| (&(), n)))
        .await
        .unwrap();
    let admin = cluster.admin();
    assert_eq!(
        admin.delete_records(&tp("t", 0), Offset(4)).await.unwrap(),
        4
    );
    for (policy, expect) in [
        (AutoOffsetReset::Earliest, Ok(4)),
        (AutoOffsetReset::None, Err(ErrorKind::OffsetOutOfRange)),
    ] {
        let consumer = cluster.consumer::<(), i64>().auto_offset_reset(policy);
        let mut consumer = consumer.assign_at([(tp("t", 0), Offset(1))]).await.unwrap();
        let record = consumer.next().await.unwrap();
        let got = record.map(|r| r.offset.value()).map_err(|e| e.kind());
        assert_eq!(got, expect);
    }
    let none = cluster
        .consumer::<(), i64>()
        .auto_offset_reset(AutoOffsetReset::None);
    let error = none.assign([tp("t", 0)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoOffsetForPartition);
}

#[tokio::test]
async fn members_share_partitions_and_take_over() {
    let (cluster, clock) = by_hand();
    cluster.admin().create_topic("t", 4).await.unwrap();
    // The offsets topic is made on another thread: before the time is moved by hand.
    let start = [(tp("t", 0), Offset(0))];
    cluster
        .admin()
        .alter_group_offsets("g", start)
        .await
        .unwrap();
    let subscribe = || async {
        let builder = cluster.consumer::<(), i64>().group("g").from_beginning();
        builder.subscribe(["t"]).await.unwrap()
    };
    let mut a = subscribe().await;
    assert_eq!(a.assignment().len(), 4);
    let mut b = subscribe().await;
    assert_eq!(b.assignment().len(), 0);
    for _ in 0..4 {
        clock.advance(Duration::from_secs(3));
        settle().await;
        a.poll(Duration::ZERO).await.unwrap();
        b.poll(Duration::ZERO).await.unwrap();
        settle().await;
        a.poll(Duration::ZERO).await.unwrap();
        b.poll(Duration::ZERO).await.unwrap();
        settle().await;
    }
    assert_eq!((a.assignment().len(), b.assignment().len()), (2, 2));
    drop(a);
    settle().await;
    for _ in 0..4 {
        clock.advance(Duration::from_secs(3));
        settle().await;
        b.poll(Duration::ZERO).await.unwrap();
        settle().await;
        b.poll(Duration::ZERO).await.unwrap();
    }
    assert_eq!(b.assignment().len(), 4);
}

#[tokio::test]
async fn admin_does_what_it_says() {
    let cluster = Cluster::memory();
    let admin = cluster.admin();
    let made = admin.create_topic("a.b", 2).await.unwrap();
    assert_eq!(admin.describe_topic("a.b").await.unwrap(), made);
    for (topic, kind) in [
        (NewTopic::new("a.b").unwrap(), ErrorKind::TopicAlreadyExists),
        (NewTopic::new("a_b").unwrap(), ErrorKind::InvalidTopic),
        (
            NewTopic::new("c").unwrap().partitions(0),
            ErrorKind::InvalidPartitions,
        ),
        (
            NewTopic::new("c").unwrap().config("x", "y"),
            ErrorKind::InvalidConfig,
        ),
        (
            NewTopic::new("__consumer_offsets").unwrap(),
            ErrorKind::InvalidTopic,
        ),
    ] {
        assert_eq!(admin.create(topic).await.unwrap_err().kind(), kind);
    }
    admin.validate(NewTopic::new("d").unwrap()).await.unwrap();
    assert_eq!(admin.list_topics().await.unwrap().len(), 1);
    admin.create_partitions("a.b", 3).await.unwrap();
    let fewer = admin.create_partitions("a.b", 3).await.unwrap_err();
    assert_eq!(fewer.kind(), ErrorKind::InvalidPartitions);
    admin
        .alter_configs("a.b", [("retention.ms", Some("5"))])
        .await
        .unwrap();
    let configs = admin.describe_configs("a.b").await.unwrap();
    let set = configs
        .iter()
        .find(|entry| entry.name == "retention.ms")
        .unwrap();
    assert_eq!((set.value.as_str(), set.is_default), ("5", false));
    // A topic made anew is another one: nothing of the old one shows.
    let offset = [(tp("a.b", 0), Offset(3))];
    admin.alter_group_offsets("g", offset).await.unwrap();
    assert_eq!(admin.group_offsets("g").await.unwrap().len(), 1);
    admin.delete_topic("a.b").await.unwrap();
    let gone = admin.describe_topic("a.b").await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::UnknownTopicOrPartition);
    let anew = admin.create_topic("a.b", 1).await.unwrap();
    assert_ne!(anew.id, made.id);
    assert!(admin.group_offsets("g").await.unwrap().is_empty());
}

#[tokio::test]
async fn offsets_are_found_by_meaning() {
    let cluster = Cluster::memory();
    let producer = cluster.producer::<(), i64>("t").build().await.unwrap();
    for timestamp in [10, 30, 20] {
        let record = ProducerRecord::new(&(), &1).timestamp(Timestamp(timestamp));
        producer.send_record(record).await.unwrap();
    }
    let admin = cluster.admin();
    for (spec, offset, timestamp) in [
        (OffsetSpec::Earliest, 0, -1),
        (OffsetSpec::Latest, 3, -1),
        (OffsetSpec::Timestamp(Timestamp(11)), 1, 30),
        (OffsetSpec::Timestamp(Timestamp(31)), -1, -1),
        (OffsetSpec::MaxTimestamp, 1, 30),
    ] {
        let found = admin.list_offset(&tp("t", 0), spec).await.unwrap();
        assert_eq!(
            (found.offset.value(), found.timestamp.value()),
            (offset, timestamp)
        );
    }
}

#[tokio::test]
async fn what_was_closed_opens_again() {
    let env = Env::memory();
    let open = || {
        let builder = Cluster::builder()
            .env(env.clone())
            .broker(BrokerConfig::default());
        builder.open("data")
    };
    let cluster = open().await.unwrap();
    let admin = cluster.admin();
    let topic = NewTopic::new("t")
        .unwrap()
        .partitions(2)
        .config("retention.ms", "-1");
    let made = admin.create(topic).await.unwrap();
    let producer = cluster.producer::<str, str>("t").build().await.unwrap();
    let ack = producer.send("k", "v").await.unwrap();
    let place = tp("t", ack.partition.value());
    let held = open().await.unwrap_err();
    assert_eq!(held.kind(), ErrorKind::DataFolderLocked);
    admin
        .alter_group_offsets("g", [(place.clone(), Offset(1))])
        .await
        .unwrap();
    producer.close().await.unwrap();
    cluster.close().await.unwrap();
    // Closed is closed, whoever still holds a handle.
    let cluster = open().await.unwrap();
    let admin = cluster.admin();
    assert_eq!(admin.describe_topic("t").await.unwrap(), made);
    let committed = admin.group_offsets("g").await.unwrap();
    assert_eq!(committed[0].0, place);
    let end = admin.list_offset(&place, OffsetSpec::Latest).await.unwrap();
    assert_eq!(end.offset, Offset(1));
    cluster.close().await.unwrap();
}
