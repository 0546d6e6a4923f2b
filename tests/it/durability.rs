//! The table of the README: what each level of acknowledgement survives.

use std::path::Path;
use std::sync::Arc;

use headwater::client::{Acks, Cluster};
use headwater::env::{Env, Simulation};
use headwater::storage::SimStorage;
use headwater::types::{Offset, Partition, TopicName, TopicPartition};

/// Runs that end in each way; enough that what may be lost is lost in one of them.
const RUNS: u64 = 60;

#[derive(Clone, Copy)]
enum End {
    Kill,
    PowerLoss,
}

/// Produces a few records under `acks`, ends the process or the machine right behind the last
/// acknowledgement, and says whether all are there when the folder is opened again.
fn survives(acks: Acks, end: End, seed: u64) -> bool {
    let storage = SimStorage::new(seed);
    let simulation = Simulation::new(seed);
    let sent = 1 + i64::try_from(seed % 4).unwrap();
    let env = simulation.env(Arc::new(storage.clone()));
    simulation.block_on(produce(env, acks, sent)).unwrap();
    let after = match end {
        End::Kill => storage.after_kill(),
        End::PowerLoss => storage.after_power_loss(seed),
    };
    simulation.crash();
    let env = simulation.env(Arc::new(after));
    let found = simulation.block_on(count(env)).unwrap();
    assert!(found <= sent);
    found == sent
}

async fn open(env: Env) -> Cluster {
    let opening = Cluster::builder().env(env).open(Path::new("data"));
    opening.await.unwrap()
}

async fn produce(env: Env, acks: Acks, count: i64) {
    let cluster = open(env).await;
    cluster.admin().create_topic("t", 1).await.unwrap();
    let producer = cluster.producer::<str, str>("t").acks(acks);
    let producer = producer.build().await.unwrap();
    for _ in 0..count {
        producer.send("key", "value").await.unwrap();
    }
}

/// How many records are there, none of them damaged.
async fn count(env: Env) -> i64 {
    let cluster = open(env).await;
    let at = TopicPartition::new(TopicName::new("t").unwrap(), Partition(0));
    let latest = headwater::client::OffsetSpec::Latest;
    let end = cluster.admin().list_offset(&at, latest).await.unwrap();
    let consumer = cluster.consumer::<String, String>().from_beginning();
    let mut consumer = consumer.assign([at.clone()]).await.unwrap();
    while consumer.position(&at) < Some(end.offset) {
        for record in consumer.next_batch().await.unwrap().unwrap() {
            assert_eq!((&*record.key, &*record.value), ("key", "value"));
        }
    }
    assert_eq!(consumer.position(&at).unwrap_or(Offset(0)), end.offset);
    end.offset.value()
}

#[test]
fn each_row_of_the_readmes_table_is_true() {
    let readme = include_str!("../../README.md");
    for (acks, name) in [
        (Acks::All, "`all` (default)"),
        (Acks::Leader, "`1`"),
        (Acks::None, "`0`"),
    ] {
        let cell = |end| match (0..RUNS).all(|seed| survives(acks, end, seed)) {
            true => "survives",
            false => "may be lost",
        };
        let measured = format!("| {} | {} |", cell(End::Kill), cell(End::PowerLoss));
        let row = readme
            .lines()
            .find(|line| line.starts_with(&format!("| {name} |")));
        let row = row.unwrap_or_else(|| panic!("the README has no row for acks {name}"));
        assert!(
            row.ends_with(&measured),
            "{row:?} should end with {measured:?}"
        );
    }
}
