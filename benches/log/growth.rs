//! Whether a record costs the same however many partitions and however large a log there are.

use std::time::Duration;

use headwater::prelude::*;

use crate::fetch::{consumed, fetched};
use crate::limits::noise;
use crate::measure::{Bench, Cost, Result, Start, median};
use crate::produce::fill;

const GROUP: &str = "growth, records of 100 B";
const RECORD: usize = 100;

/// What is counted in a row: producing and reading.
type Row = (&'static str, Vec<f64>);

/// The names that targets refer to.
pub(crate) const PARTITIONS: &str = "cost of a record against 1 partition, at most";
pub(crate) const SIZES: &str = "cost of a record against the smallest log, at most";

pub(crate) async fn run(bench: &mut Bench) -> Result {
    let counts: &[i32] = bench
        .size()
        .pick(&[1, 10], &[1, 100, 1000], &[1, 100, 1000]);
    let mut rows: [Row; 3] = [
        ("produce, acks=1", Vec::new()),
        ("produce, acks=all", Vec::new()),
        ("fetch", Vec::new()),
    ];
    for count in counts {
        let rounds = bench
            .repeat(&format!("{count} partitions"), async |bench| {
                over_partitions(bench, *count).await
            })
            .await?;
        for (at, (what, costs)) in rows.iter_mut().enumerate() {
            let cost = median(rounds.iter().map(|round| round[at]).collect());
            let name = format!("{what}, {count} partitions");
            bench.report.add(GROUP, name, cost, "us CPU/record");
            costs.push(cost);
        }
    }
    spread(bench, PARTITIONS, &rows);
    over_size(bench).await
}

/// How far the costs of a row rise over the first.
fn spread(bench: &mut Bench, name: &str, rows: &[Row]) {
    for (what, costs) in rows {
        let most = costs.iter().copied().fold(0.0, f64::max);
        let first = costs.first().copied().unwrap_or(f64::NAN);
        bench
            .report
            .add(GROUP, format!("{name}, {what}"), most / first, "times");
    }
}

/// Microseconds a record: acks=1, acks=all, fetch.
async fn over_partitions(bench: &Bench, partitions: i32) -> Result<[f64; 3]> {
    let bytes = bench.size().pick(1 << 20, 128 << 20, 512 << 20);
    let records = bytes / RECORD;
    let folder = bench.folder()?;
    let cluster = Cluster::open(folder.path()).await?;
    cluster.admin().create_topic("t", partitions).await?;
    first_records(&cluster, partitions).await?;
    let mut costs = [0.0; 3];
    for (at, acks) in [Acks::Leader, Acks::All].into_iter().enumerate() {
        let start = Start::now();
        fill(&cluster, records, RECORD, &config(acks)).await?;
        costs[at] = start.cost().cpu_us(records as f64);
    }
    let all = records * 2 + usize::try_from(partitions)?;
    let start = Start::now();
    consumed::<Vec<u8>>(&cluster, partitions, all, Vec::len).await?;
    costs[2] = start.cost().cpu_us(all as f64);
    cluster.close().await?;
    Ok(costs)
}

/// One record for each partition: its folder and files are made.
async fn first_records(cluster: &Cluster, partitions: i32) -> Result {
    let producer = cluster.producer::<(), [u8]>("t").acks(Acks::Leader);
    let producer = producer.build().await?;
    let value = noise(RECORD);
    for partition in 0..partitions {
        let record = ProducerRecord::keyless(&value[..]).partition(Partition(partition));
        drop(producer.send_record(record).queued().await?);
    }
    producer.close().await?;
    Ok(())
}

fn config(acks: Acks) -> ProducerConfig {
    ProducerConfig {
        acks,
        linger: Duration::from_millis(20),
        ..ProducerConfig::default()
    }
}

/// The cost of a record at the end of a log that grows.
async fn over_size(bench: &mut Bench) -> Result {
    let sizes: &[usize] = bench
        .size()
        .pick(&[2, 4], &[256, 1024, 4096], &[1024, 5120, 20_480]);
    let stretch = bench.size().pick(1 << 20, 128 << 20, 256 << 20) / RECORD;
    let folder = bench.folder()?;
    let cluster = Cluster::open(folder.path()).await?;
    cluster.admin().create_topic("t", 1).await?;
    first_records(&cluster, 1).await?;
    let mut rows: [Row; 2] = [("produce, acks=1", Vec::new()), ("fetch", Vec::new())];
    let mut written = 1;
    for mib in sizes {
        // What is measured is written too.
        let target = (mib << 20) / RECORD;
        let ahead = target.saturating_sub(written + stretch * bench.args.repeat);
        crate::measure::progress(&format!("growth, a log of {mib} MiB"));
        fill(&cluster, ahead, RECORD, &config(Acks::Leader)).await?;
        written += ahead;
        let rounds = bench
            .repeat(&format!("log of {mib} MiB"), async |_| {
                let start = Start::now();
                fill(&cluster, stretch, RECORD, &config(Acks::Leader)).await?;
                let produced = start.cost();
                let from = Offset(i64::try_from(written)?);
                written += stretch;
                let start = Start::now();
                fetched(&cluster, from, stretch).await?;
                Ok([produced, start.cost()])
            })
            .await?;
        for (at, (what, costs)) in rows.iter_mut().enumerate() {
            let of = |round: &[Cost; 2]| round[at].cpu_us(stretch as f64);
            let cost = median(rounds.iter().map(of).collect());
            let name = format!("{what}, log of {mib} MiB");
            bench.report.add(GROUP, name, cost, "us CPU/record");
            costs.push(cost);
        }
    }
    spread(bench, SIZES, &rows);
    cluster.close().await?;
    Ok(())
}
