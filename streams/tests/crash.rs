//! Applications that die at any moment, in a world that a seed decides: nothing is lost, and what
//! the log holds afterwards agrees with the state.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at what it did not foresee"
)]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::client::producer::ProducerRecord;
use headwater_core::client::{Cluster, OffsetSpec};
use headwater_core::env::Simulation;
use headwater_core::storage::SimStorage;
use headwater_core::types::{Partition, TopicName, TopicPartition};
use headwater_streams::{Streams, StreamsBuilder, StreamsConfig, StreamsHandle, Topology};

const LINES: u64 = 200;

fn topology() -> Topology {
    let builder = StreamsBuilder::new();
    builder
        .stream::<(), str>("text")
        .flat_map_values(|line, out| line.split(' ').for_each(|word| out.emit(word)))
        .group_by_ref(|_, word| word)
        .count("word-counts")
        .to_stream()
        .to("counts");
    builder.build().unwrap()
}

fn line(n: u64) -> String {
    format!("a{} b{} c{}", n % 3, n % 7, n % 50)
}

fn truth() -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for n in 0..LINES {
        for word in line(n).split(' ') {
            *counts.entry(word.to_owned()).or_default() += 1;
        }
    }
    counts
}

async fn open(simulation: &Simulation, storage: &SimStorage) -> Cluster {
    let builder = Cluster::builder().env(simulation.env(Arc::new(storage.clone())));
    builder.open("data").await.unwrap()
}

async fn start(cluster: &Cluster) -> StreamsHandle {
    start_with(cluster, Duration::from_millis(2)).await
}

async fn start_with(cluster: &Cluster, commit_interval: Duration) -> StreamsHandle {
    let config = StreamsConfig {
        commit_interval,
        batch_bytes_max: 300,
        produce_bytes_max: 900,
        fetch_bytes_max: 500,
        ..StreamsConfig::default()
    };
    let app = Streams::new("wc", topology()).with_config(config);
    app.start(cluster).await.unwrap()
}

async fn produce(cluster: &Cluster, lines: Range<u64>) {
    let producer = cluster.producer::<(), str>("text").build().await.unwrap();
    for n in lines {
        drop(producer.send_record(ProducerRecord::keyless(&line(n))));
    }
    producer.close().await.unwrap();
}

/// The latest value of each key in the topic that the application writes.
async fn written(cluster: &Cluster) -> BTreeMap<String, u64> {
    let partition = TopicPartition::new(TopicName::new("counts").unwrap(), Partition(0));
    let end = cluster
        .admin()
        .list_offset(&partition, OffsetSpec::Latest)
        .await
        .unwrap();
    let consumer = cluster.consumer::<String, u64>();
    let mut consumer = consumer.from_beginning().assign([partition]).await.unwrap();
    let mut latest = BTreeMap::new();
    for _ in 0..end.offset.0 {
        let record = consumer.next().await.unwrap().unwrap();
        latest.insert(record.key, record.value);
    }
    latest
}

/// Runs an application that dies twice, by kills or losses of power, and returns its counts and the
/// world's trace.
fn run(seed: u64) -> (BTreeMap<String, u64>, u64) {
    let mut storage = SimStorage::new(seed);
    for life in 0..2 {
        let simulation = Simulation::new(seed * 10 + life);
        let (cluster, app) = simulation
            .block_on(async {
                let cluster = open(&simulation, &storage).await;
                if life == 0 {
                    produce(&cluster, 0..LINES).await;
                }
                let app = start(&cluster).await;
                (cluster, app)
            })
            .unwrap();
        let micros = simulation.random().below(30_000);
        simulation.run_for(Duration::from_micros(micros)).unwrap();
        let after = if simulation.random().below(2) == 0 {
            storage.after_kill()
        } else {
            storage.after_power_loss(seed)
        };
        simulation.crash();
        drop((app, cluster));
        storage = after;
    }
    let simulation = Simulation::new(seed * 10 + 9);
    let counts = simulation.block_on(async {
        let cluster = open(&simulation, &storage).await;
        let app = start(&cluster).await;
        app.caught_up().await.unwrap();
        let store = app.store::<str, u64>("word-counts").unwrap();
        let all = store.all().await.unwrap();
        let counts = all
            .into_iter()
            .map(|(word, count, _)| (word, count))
            .collect();
        app.close().await.unwrap();
        assert_eq!(
            counts,
            written(&cluster).await,
            "seed {seed}: the topic is as the store"
        );
        cluster.close().await.unwrap();
        counts
    });
    (counts.unwrap(), simulation.trace_hash())
}

#[test]
fn after_any_crash_every_record_is_counted_at_least_once() {
    let truth = truth();
    let mut exact = 0;
    for seed in 0..60 {
        let (counts, _) = run(seed);
        assert!(counts.keys().eq(truth.keys()), "seed {seed}");
        for (word, count) in &truth {
            assert!(
                counts[word] >= *count,
                "seed {seed}: {word} is {}",
                counts[word]
            );
        }
        exact += usize::from(counts == truth);
    }
    assert!(
        exact > 0,
        "most crashes fall between commits and count nothing twice"
    );
}

/// A crash between two commits leaves words in the repartition topic whose lines are read again.
#[test]
fn a_crash_between_commits_counts_nothing_twice() {
    const AN_HOUR: Duration = Duration::from_secs(3600);
    for seed in 0..5 {
        let storage = SimStorage::new(seed);
        let simulation = Simulation::new(seed);
        let started = simulation.block_on(async {
            let cluster = open(&simulation, &storage).await;
            produce(&cluster, 0..LINES / 2).await;
            let app = start_with(&cluster, AN_HOUR).await;
            // The even ones die before their first commit.
            if seed % 2 == 1 {
                app.caught_up().await.unwrap();
            }
            let committed = app.records_processed();
            produce(&cluster, LINES / 2..LINES).await;
            (cluster, app, committed)
        });
        let (cluster, app, committed) = started.unwrap();
        simulation.run_for(Duration::from_secs(1)).unwrap();
        assert!(
            app.records_processed() > committed + LINES / 2,
            "words came back"
        );
        let storage = storage.after_power_loss(seed);
        simulation.crash();
        drop((app, cluster));

        let simulation = Simulation::new(seed + 100);
        let counted = simulation.block_on(async {
            let cluster = open(&simulation, &storage).await;
            let app = start(&cluster).await;
            app.caught_up().await.unwrap();
            app.close().await.unwrap();
            assert_eq!(written(&cluster).await, truth(), "seed {seed}");
            cluster.close().await.unwrap();
        });
        counted.unwrap();
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(run(7), run(7));
}
