//! Producers, consumers and groups as a program uses them.

use std::collections::BTreeSet;
use std::time::Duration;

use headwater::prelude::*;
use headwater::record::Compression;

#[tokio::test]
async fn every_codec_carries_records_headers_and_nulls() {
    let cluster = Cluster::memory();
    for compression in [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let topic = format!("t-{compression:?}");
        let producer = cluster
            .producer::<str, str>(&topic)
            .compression(compression)
            .build()
            .await
            .unwrap();
        let full = ProducerRecord::new("k", "v")
            .timestamp(Timestamp(5))
            .header("trace", b"1")
            .header("trace", b"2");
        producer.send_record(full).await.unwrap();
        producer
            .send_record(ProducerRecord::tombstone("k"))
            .await
            .unwrap();
        producer
            .send_record(ProducerRecord::keyless("v"))
            .await
            .unwrap();
        let mut consumer = cluster
            .consumer::<Option<String>, Option<String>>()
            .from_beginning()
            .assign([TopicPartition::new(
                TopicName::new(&topic).unwrap(),
                Partition(0),
            )])
            .await
            .unwrap();
        let mut records = Vec::new();
        while records.len() < 3 {
            records.extend(consumer.next_batch().await.unwrap().unwrap());
        }
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(records[0].timestamp, Timestamp(5));
        let headers: Vec<_> = records[0].headers.as_headers().iter().collect();
        assert_eq!(headers.len(), 2);
        assert_eq!(headers[1].value, Some(&b"2"[..]));
        let pairs: Vec<_> = records.into_iter().map(|r| (r.key, r.value)).collect();
        let expect = [(text("k"), text("v")), (text("k"), None), (None, text("v"))];
        assert_eq!(pairs, expect);
    }
}

/// Members come and go while records are written; every record is read, and each partition in
/// order by whoever has it.
#[tokio::test]
async fn a_group_reads_everything_while_members_come_and_go() {
    let cluster = Cluster::memory();
    cluster.admin().create_topic("work", 6).await.unwrap();
    let producer = cluster.producer::<str, i64>("work").build().await.unwrap();
    let config = ConsumerConfig {
        heartbeat_interval: Duration::from_millis(2),
        auto_offset_reset: AutoOffsetReset::Earliest,
        ..ConsumerConfig::default()
    };
    let join = async || {
        let builder = cluster.consumer::<String, i64>().group("workers");
        builder
            .config(config.clone())
            .subscribe(["work"])
            .await
            .unwrap()
    };
    let mut seen = BTreeSet::new();
    let mut members = vec![join().await];
    for round in 0..12_i64 {
        let keys: Vec<_> = (0..50).map(|key| format!("key-{key}")).collect();
        let records: Vec<_> = (0..)
            .zip(&keys)
            .map(|(n, key)| (key, round * 50 + n))
            .collect();
        let lent = records.iter().map(|(key, number)| (key.as_str(), number));
        producer.send_batch(lent).await.unwrap();
        match round {
            2 | 4 => members.push(join().await),
            6 => members.remove(0).close().await.unwrap(),
            8 => drop(members.remove(0)),
            _ => {}
        }
        for member in &mut members {
            for record in member.poll(Duration::from_millis(4)).await.unwrap() {
                seen.insert(record.value);
            }
        }
    }
    // What is left comes within the time of a few heartbeats.
    for _ in 0..500 {
        if seen.len() == 600 {
            break;
        }
        for member in &mut members {
            for record in member.poll(Duration::from_millis(4)).await.unwrap() {
                seen.insert(record.value);
            }
        }
    }
    assert_eq!(seen.len(), 600);
    assert_eq!(members.len(), 1);
    assert_eq!(members[0].assignment().len(), 6);
}

#[tokio::test]
async fn a_long_poll_wakes_when_something_is_written() {
    let cluster = Cluster::memory();
    cluster.admin().create_topic("t", 1).await.unwrap();
    let config = ConsumerConfig {
        // Far longer than the test may take: only the wake-up can end the wait.
        fetch_max_wait: Duration::from_secs(600),
        ..ConsumerConfig::default()
    };
    let partition = TopicPartition::new(TopicName::new("t").unwrap(), Partition(0));
    let builder = cluster.consumer::<(), i64>().config(config);
    let mut consumer = builder.assign([partition]).await.unwrap();
    let producer = cluster.producer::<(), i64>("t").build().await.unwrap();
    let reader = tokio::spawn(async move { consumer.next().await.unwrap().unwrap().value });
    tokio::task::yield_now().await;
    producer.send(&(), &42).await.unwrap();
    assert_eq!(reader.await.unwrap(), 42);
}

#[tokio::test]
async fn a_folder_survives_and_belongs_to_one() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(dir.path()).await.unwrap();
    let producer = cluster.producer::<str, str>("t").build().await.unwrap();
    for number in 0..100 {
        let sending = producer
            .send("k", &format!("v{number}"))
            .queued()
            .await
            .unwrap();
        drop(sending);
    }
    producer.close().await.unwrap();
    let second = Cluster::open(dir.path()).await.unwrap_err();
    assert_eq!(second.kind(), headwater::ErrorKind::DataFolderLocked);
    assert!(
        second.to_string().contains(&std::process::id().to_string()),
        "{second}"
    );
    cluster.close().await.unwrap();
    let text = format!("headwater:{}", dir.path().display());
    let cluster = Cluster::open_text(&text).await.unwrap();
    let end = cluster
        .admin()
        .list_offset(
            &TopicPartition::new(TopicName::new("t").unwrap(), Partition(0)),
            OffsetSpec::Latest,
        )
        .await
        .unwrap();
    assert_eq!(end.offset, Offset(100));
    let remote = Cluster::open_text("kafka:localhost:9092")
        .await
        .unwrap_err();
    assert_eq!(remote.kind(), headwater::ErrorKind::InvalidConfig);
}
