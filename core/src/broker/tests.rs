//! A broker in a simulation: callers that give up, closing, and how much a fetch reads.

use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::{Broker, BrokerConfig};
use crate::env::{Env, Simulation};
use crate::error::{ErrorKind, Result};
use crate::log::LogOptions;
use crate::record::{BatchBuilder, BatchOptions, Batches, Headers};
use crate::request::{
    Acks, FetchPartition, FetchRequest, Fetched, IsolationLevel, NewTopic, OffsetSpec,
    ProduceRequest, Produced,
};
use crate::storage::{Fault, Faults, MemoryStorage, OpenMode, SimStorage};
use crate::types::{Offset, Partition, TopicName, TopicPartition};

const SEEDS: u64 = 20;

fn tp(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(TopicName::new(topic).unwrap(), Partition(partition))
}

async fn open(env: &Env) -> Arc<Broker> {
    open_with(env, LogOptions::default()).await
}

async fn open_with(env: &Env, log: LogOptions) -> Arc<Broker> {
    let config = BrokerConfig {
        log,
        ..BrokerConfig::default()
    };
    Broker::open(env, Path::new("data"), config).await.unwrap()
}

async fn create(broker: &Broker, topic: &str, partitions: i32) {
    let new = NewTopic::new(topic).unwrap().partitions(partitions);
    let made = broker.create_topics(vec![new], false).await.unwrap();
    made.into_iter().for_each(|made| drop(made.unwrap()));
}

async fn produce(broker: &Broker, to: &TopicPartition, value: &[u8]) -> Result<Produced> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let now = broker.env.clock.now();
    builder
        .append(now, Some(b"k"), Some(value), Headers::EMPTY)
        .unwrap();
    let batch: Bytes = builder.finish().unwrap();
    let request = ProduceRequest {
        acks: Acks::All,
        batches: vec![(to.clone(), batch)],
    };
    broker.produce(request).await.unwrap().remove(0)
}

/// Begins `call` and gives it up when it waits for the first time; whether it waited.
async fn give_up<F: Future>(call: F) -> bool {
    let mut call = Box::pin(call);
    std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_pending())).await
}

fn names(broker: &Broker) -> Vec<(String, usize)> {
    let topics = broker.topics.all();
    let describe = topics
        .iter()
        .map(|t| (t.name.to_string(), t.partitions.len()));
    describe.collect()
}

#[test]
fn a_change_whose_caller_gives_up_is_whole_in_memory_and_on_disk() {
    for seed in 0..SEEDS {
        let simulation = Simulation::new(seed);
        let env = simulation.env(Arc::new(MemoryStorage::new()));
        let run = async {
            let broker = open(&env).await;
            create(&broker, "old", 1).await;
            let old = TopicName::new("old").unwrap();
            give_up(broker.delete_topics(std::slice::from_ref(&old))).await;
            let new = NewTopic::new("new").unwrap();
            give_up(broker.create_topics(vec![new], false)).await;
            create(&broker, "last", 1).await;
            give_up(broker.create_partitions(&TopicName::new("last").unwrap(), 3)).await;
            // What was acknowledged is there after the restart.
            let kept = produce(&broker, &tp("old", 0), b"v").await.is_ok();
            // Waits for the change that is under way.
            broker.close().await.unwrap();
            let seen = names(&broker);
            drop(broker);
            (kept, seen, names(&*open(&env).await))
        };
        let (kept, seen, stored) = simulation.block_on(run).unwrap();
        assert_eq!(seen, stored, "seed {seed}");
        assert_eq!(
            seen.iter().any(|(name, _)| name == "old"),
            kept,
            "seed {seed}"
        );
    }
}

#[test]
fn one_topic_that_is_refused_leaves_the_others_alone() {
    let simulation = Simulation::new(1);
    let env = simulation.env(Arc::new(MemoryStorage::new()));
    let run = async {
        let broker = open(&env).await;
        let new = |name| NewTopic::new(name).unwrap();
        let wanted = vec![new("a"), new("__consumer_offsets"), new("a"), new("b")];
        let made = broker.create_topics(wanted, false).await.unwrap();
        let kinds: Vec<_> = made
            .iter()
            .map(|made| made.as_ref().err().map(|e| e.kind()))
            .collect();
        let (internal, twice) = (ErrorKind::InvalidTopic, ErrorKind::TopicAlreadyExists);
        assert_eq!(kinds, [None, Some(internal), Some(twice), None]);
        assert_eq!(names(&broker), [("a".to_owned(), 1), ("b".to_owned(), 1)]);
    };
    simulation.block_on(run).unwrap();
}

#[test]
fn what_a_crash_left_of_a_deleted_topic_does_not_come_back() {
    let simulation = Simulation::new(1);
    let env = simulation.env(Arc::new(MemoryStorage::new()));
    let run = async {
        let broker = open(&env).await;
        let stray = Path::new("data/t-0");
        env.storage.create_dir_all(stray).unwrap();
        let file = stray.join("00000000000000000000.log");
        let file = env.storage.open(&file, OpenMode::CreateNew).unwrap();
        file.write_at(&[&[1; 500]], 0).unwrap();
        create(&broker, "t", 1).await;
        let produced = produce(&broker, &tp("t", 0), b"v").await.unwrap();
        assert_eq!(produced.base_offset, Offset(0));
        broker.close().await.unwrap();
        let names = env.storage.list(Path::new("data")).unwrap();
        let strays = names.iter().filter(|entry| entry.name.ends_with("-stray"));
        assert_eq!(strays.count(), 1);
        let files = env.storage.list(stray).unwrap();
        let log = files.iter().find(|entry| entry.name.ends_with(".log"));
        assert!(log.unwrap().len < 500, "{files:?}");
    };
    simulation.block_on(run).unwrap();
}

#[test]
fn a_second_close_waits_for_the_first_and_fails_as_it_does() {
    for seed in 0..SEEDS {
        let simulation = Simulation::new(seed);
        let env = simulation.env(Arc::new(MemoryStorage::new()));
        let run = async {
            let broker = open(&env).await;
            assert!(give_up(broker.close()).await);
            broker.close().await.unwrap();
            // The folder is free.
            open(&env).await.close().await.unwrap();
        };
        simulation.block_on(run).unwrap();
        let storage = SimStorage::new(seed);
        let env = simulation.env(Arc::new(storage.clone()));
        let run = async {
            let broker = open(&env).await;
            create(&broker, "t", 1).await;
            produce(&broker, &tp("t", 0), b"v").await.unwrap();
            storage.power_off();
            let (first, second) = (broker.close().await, broker.close().await);
            assert_eq!(first.unwrap_err().kind(), second.unwrap_err().kind());
        };
        simulation.block_on(run).unwrap();
    }
}

#[test]
fn what_was_acknowledged_is_answered_when_the_log_fails_behind_it() {
    let simulation = Simulation::new(1);
    let storage = SimStorage::new(1);
    let env = simulation.env(Arc::new(storage.clone()));
    let run = async {
        let tight = LogOptions {
            unflushed_bytes_max: 1,
            ..LogOptions::default()
        };
        let broker = open_with(&env, tight).await;
        create(&broker, "t", 1).await;
        storage.set_faults(Faults {
            write: Fault::OneIn(1),
            only: Some(".log".to_owned()),
            ..Faults::default()
        });
        let first = produce(&broker, &tp("t", 0), b"v").await;
        assert_eq!(first.unwrap().base_offset, Offset(0));
        let second = produce(&broker, &tp("t", 0), b"v").await;
        assert_eq!(second.unwrap_err().kind(), ErrorKind::KafkaStorageError);
    };
    simulation.block_on(run).unwrap();
}

#[test]
fn timestamps_are_looked_up_off_the_async_threads() {
    let simulation = Simulation::new(1);
    let env = simulation.env(Arc::new(MemoryStorage::new()));
    let run = async {
        let broker = open(&env).await;
        create(&broker, "t", 1).await;
        produce(&broker, &tp("t", 0), b"v").await.unwrap();
        let isolation = IsolationLevel::default();
        for (spec, waits) in [
            (OffsetSpec::Earliest, false),
            (OffsetSpec::Latest, false),
            (OffsetSpec::MaxTimestamp, true),
        ] {
            let wanted = [(tp("t", 0), spec)];
            let list = || broker.list_offsets(&wanted, isolation);
            assert_eq!(give_up(list()).await, waits, "{spec:?}");
            list().await.unwrap().remove(0).unwrap();
        }
    };
    simulation.block_on(run).unwrap();
}

fn fetch(partitions: &[TopicPartition], min_bytes: usize, max_bytes: usize) -> FetchRequest {
    let wanted = |partition: &TopicPartition| FetchPartition {
        partition: partition.clone(),
        offset: Offset(0),
        max_bytes: 1 << 20,
    };
    FetchRequest {
        partitions: partitions.iter().map(wanted).collect(),
        min_bytes,
        max_bytes,
        max_wait: Duration::from_secs(60),
        isolation: IsolationLevel::default(),
    }
}

fn bytes(fetched: &[Result<Fetched>]) -> Vec<usize> {
    let bytes = |fetched: &Result<Fetched>| {
        let chunks = &fetched.as_ref().unwrap().chunks;
        chunks.iter().map(Bytes::len).sum()
    };
    fetched.iter().map(bytes).collect()
}

#[test]
fn a_fetch_that_waits_reads_each_batch_once() {
    let simulation = Simulation::new(1);
    let storage = SimStorage::new(1);
    let env = simulation.env(Arc::new(storage.clone()));
    let run = async {
        let broker = open(&env).await;
        create(&broker, "t", 1).await;
        let feed = async {
            for _ in 0..100 {
                produce(&broker, &tp("t", 0), &[7; 1000]).await.unwrap();
                // The batch goes to its file; what is read comes from there.
                let later = env.clock.monotonic() + Duration::from_millis(10);
                env.clock.sleep_until(later).await;
            }
        };
        let before = storage.counts().bytes_read;
        let fetched = broker.fetch(fetch(&[tp("t", 0)], 100_000, 1 << 20));
        let (fetched, ()) = futures_util::future::join(fetched, feed).await;
        let fetched = fetched.unwrap();
        let bytes = bytes(&fetched)[0];
        assert!(bytes >= 100_000);
        let chunks = &fetched[0].as_ref().unwrap().chunks;
        let batches = chunks.iter().flat_map(|chunk| Batches::new(chunk));
        let offsets: Vec<_> = batches
            .map(|b| b.unwrap().header.base_offset.value())
            .collect();
        let count = i64::try_from(offsets.len()).unwrap();
        assert_eq!(offsets, (0..count).collect::<Vec<_>>());
        let read = storage.counts().bytes_read - before;
        assert!(read < 2 * 100_000, "read {read} bytes for {bytes}");
    };
    simulation.block_on(run).unwrap();
}

#[test]
fn a_full_answer_reads_nothing_more() {
    let simulation = Simulation::new(1);
    let storage = SimStorage::new(1);
    let env = simulation.env(Arc::new(storage.clone()));
    let run = async {
        let broker = open(&env).await;
        let all: Vec<_> = (0..10).map(|number| tp("t", number)).collect();
        create(&broker, "t", 10).await;
        for partition in &all {
            produce(&broker, partition, &[7; 1000]).await.unwrap();
        }
        broker.close().await.unwrap();
        let broker = open(&env).await;
        let before = storage.counts().bytes_read;
        let fetched = broker.fetch(fetch(&all, 1, 1)).await.unwrap();
        let (first, rest) = (bytes(&fetched)[0], &bytes(&fetched)[1..]);
        assert!(first > 1000);
        assert_eq!(rest, [0; 9]);
        let ends = fetched.iter().map(|f| f.as_ref().unwrap().high_watermark);
        assert_eq!(ends.collect::<Vec<_>>(), [Offset(1); 10]);
        let read = storage.counts().bytes_read - before;
        assert!(read < 2000, "read {read} bytes for {first}");
    };
    simulation.block_on(run).unwrap();
}
