//! A data folder in memory that can be copied, damaged and opened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use headwater::client::{BrokerConfig, ProduceRequest};
use headwater::env::Simulation;
use headwater::prelude::*;
use headwater::record::{BatchBuilder, BatchOptions, Headers};
use headwater::storage::{MemoryStorage, OpenMode, Storage};
use headwater::types::{Epoch, ProducerId, Sequence};

pub(super) const DIR: &str = "data";

/// All files of a folder, by path; a folder is a path without content.
pub(super) type Files = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// The values of each partition, in order: what was acknowledged.
pub(super) type Values = BTreeMap<TopicPartition, Vec<String>>;

pub(super) fn tp(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(TopicName::new(topic).unwrap(), Partition(partition))
}

/// The bytes of one batch with these values; with a producer it is an idempotent one's.
pub(super) fn batch(values: &[String], time: i64, producer: Option<i32>) -> Vec<u8> {
    let mut options = BatchOptions::default();
    if let Some(sequence) = producer {
        options.producer_id = ProducerId(7);
        options.producer_epoch = Epoch(0);
        options.base_sequence = Sequence(sequence);
    }
    let mut builder = BatchBuilder::new(options);
    for value in values {
        builder
            .append(
                Timestamp(time),
                None,
                Some(value.as_bytes()),
                Headers::EMPTY,
            )
            .unwrap();
    }
    builder.finish().unwrap().to_vec()
}

/// Small everything, so that a few records touch every kind of file.
pub(super) fn settings() -> BrokerConfig {
    let mut config = BrokerConfig::default();
    config.log.journal_bytes_min = 8 << 10;
    config.log.journal_bytes_max = 16 << 10;
    config
}

pub(super) async fn open(
    simulation: &Simulation,
    storage: Arc<dyn Storage>,
) -> headwater::Result<Cluster> {
    let builder = Cluster::builder().env(simulation.env(storage));
    builder.broker(settings()).open(DIR).await
}

/// Writes to two topics until every kind of file is there.
pub(super) async fn fill(simulation: &Simulation, cluster: &Cluster) -> Values {
    let mut values = Values::new();
    for (topic, partitions) in [("one", 1), ("two", 2)] {
        let topic = NewTopic::new(topic)
            .unwrap()
            .partitions(partitions)
            .config("internal.segment.bytes", "900")
            .config("retention.ms", "-1")
            .config("index.interval.bytes", "100");
        cluster.admin().create(topic).await.unwrap();
    }
    let mut sequence = 0;
    for round in 0..24_i64 {
        simulation.clock().advance(Duration::from_millis(3));
        for (topic, partition) in [("one", 0), ("two", 0), ("two", 1)] {
            if round % 3 != 0 && topic == "two" && partition == 1 {
                continue;
            }
            let partition = tp(topic, partition);
            let known = values.entry(partition.clone()).or_default();
            let new: Vec<_> = (0..1 + round % 3)
                .map(|n| format!("{partition} {round}.{n} {}", "x".repeat(20)))
                .collect();
            let idempotent = (topic == "one").then_some(sequence);
            let bytes = batch(&new, 1_000 + round * 10, idempotent);
            produce(cluster, partition, bytes).await.unwrap();
            if topic == "one" {
                sequence += i32::try_from(new.len()).unwrap();
            }
            known.extend(new);
        }
    }
    // The end of the journal, whose damage cannot be told from a write that was never finished.
    produce(
        cluster,
        tp("two", 0),
        batch(&[LAST.to_owned()], 2_000, None),
    )
    .await
    .unwrap();
    values
}

/// A record that may be there or not.
pub(super) const LAST: &str = "the last one";

pub(super) async fn produce(
    cluster: &Cluster,
    partition: TopicPartition,
    batch: Vec<u8>,
) -> headwater::Result<Offset> {
    let request = ProduceRequest {
        acks: Acks::All,
        batches: vec![(partition, batch.into())],
    };
    let answer = cluster.backend().produce(request).await?.remove(0);
    answer.map(|produced| produced.base_offset)
}

/// Reads a partition to the end: the values, or the error that ended it. A reader that gets
/// nothing more although the partition says that there is more is a `None`.
pub(super) async fn read(
    cluster: &Cluster,
    partition: &TopicPartition,
) -> headwater::Result<Option<Vec<String>>> {
    let end = cluster
        .admin()
        .list_offset(partition, OffsetSpec::Latest)
        .await?;
    let mut consumer = cluster
        .consumer::<Option<String>, String>()
        .from_beginning()
        .assign([partition.clone()])
        .await?;
    let mut values = Vec::new();
    while consumer.position(partition) < Some(end.offset) {
        let records = consumer.poll(Duration::from_secs(2)).await?;
        if records.is_empty() {
            return Ok(None);
        }
        for record in records {
            assert_eq!(record.offset.value(), i64::try_from(values.len()).unwrap());
            values.push(record.value);
        }
    }
    values.retain(|value| value != LAST);
    Ok(Some(values))
}

/// Reads the one record at an offset, as a reader that begins there.
pub(super) async fn read_at(
    cluster: &Cluster,
    partition: &TopicPartition,
    at: usize,
) -> headwater::Result<Option<String>> {
    let offset = Offset(i64::try_from(at).unwrap());
    let mut consumer = cluster
        .consumer::<Option<String>, String>()
        .max_poll_records(1)
        .assign_at([(partition.clone(), offset)])
        .await?;
    let records = consumer.poll(Duration::from_secs(2)).await?;
    let record = records.into_iter().next();
    Ok(record
        .filter(|record| record.offset == offset)
        .map(|record| record.value))
}

/// A copy of all files.
pub(super) fn copy_of(storage: &dyn Storage) -> Files {
    let mut files = Files::new();
    let mut folders = vec![PathBuf::from(DIR)];
    while let Some(folder) = folders.pop() {
        for entry in storage.list(&folder).unwrap() {
            let path = folder.join(&entry.name);
            if entry.is_dir {
                files.insert(path.clone(), None);
                folders.push(path);
            } else {
                let file = storage.open(&path, OpenMode::Read).unwrap();
                let mut bytes = vec![0; usize::try_from(entry.len).unwrap()];
                file.read_at(&mut bytes, 0).unwrap();
                files.insert(path, Some(bytes));
            }
        }
    }
    files
}

/// A storage with these files.
pub(super) fn storage_of(files: &Files) -> Arc<dyn Storage> {
    let storage = MemoryStorage::new();
    storage.create_dir_all(Path::new(DIR)).unwrap();
    for (path, bytes) in files {
        match bytes {
            None => storage.create_dir_all(path).unwrap(),
            Some(bytes) => storage
                .open(path, OpenMode::CreateNew)
                .unwrap()
                .write_at(&[bytes], 0)
                .unwrap(),
        }
    }
    Arc::new(storage)
}
