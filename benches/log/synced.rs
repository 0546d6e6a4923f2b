//! Producing under `acks=all`: every answer follows a sync. Each round measures the disk beside it.

use headwater::prelude::*;

use crate::limits::{noise, sequential};
use crate::measure::{Bench, Cost, Result, Start, median};

const GROUP: &str = "produce, acks=all";
const MIB: usize = 1 << 20;

/// The names that targets refer to.
pub(crate) const STREAM: &str = "batches of 1 MiB from 1 producer";
pub(crate) const MANY: &str = "batches of 16 KiB from 16 producers, 1 partition";

/// Producers that run at once.
struct Case {
    name: &'static str,
    producers: usize,
    partitions: i32,
    batch: usize,
    mib: usize,
}

pub(crate) async fn run(bench: &mut Bench) -> Result {
    let mib = bench.size().pick(8, 512, 2048);
    let case = |name, producers, partitions, batch, mib| Case {
        name,
        producers,
        partitions,
        batch,
        mib,
    };
    let cases = [
        case(STREAM, 1, 1, MIB, mib),
        case(MANY, 16, 1, 16 << 10, mib),
        case(
            "batches of 16 KiB from 16 producers, 16 partitions",
            16,
            16,
            16 << 10,
            mib,
        ),
        case("batches of 16 KiB from 1 producer", 1, 1, 16 << 10, mib / 4),
    ];
    for case in cases {
        let rounds = bench
            .repeat(&format!("acks=all, {}", case.name), async |bench| {
                let folder = bench.folder()?;
                let disk = sequential(&folder.path().join("file"), case.mib, false)?;
                Ok((disk, produced(bench, &case).await?))
            })
            .await?;
        let mb = (case.mib * MIB) as f64 / 1e6;
        let of = |figure: &dyn Fn(f64, &Cost) -> f64| {
            let figures = rounds.iter().map(|(disk, cost)| figure(*disk, cost));
            median(figures.collect())
        };
        let share = of(&|disk, cost| cost.per_second(mb) / disk * 100.0);
        let report = &mut bench.report;
        report.add(GROUP, case.name, of(&|_, cost| cost.per_second(mb)), "MB/s");
        report.add(
            GROUP,
            case.name,
            of(&|_, cost| cost.cpu_us(mb / 1e3) / 1e6),
            "s CPU/GB",
        );
        report.add(GROUP, case.name, share, "% of seq. write");
    }
    Ok(())
}

async fn produced(bench: &Bench, case: &Case) -> Result<Cost> {
    let folder = bench.folder()?;
    let cluster = Cluster::open(folder.path()).await?;
    cluster.admin().create_topic("t", case.partitions).await?;
    let mut producers = Vec::new();
    for number in 0..case.producers {
        let producer = cluster.producer::<(), [u8]>("t").batch_size(case.batch);
        let producer = producer.build().await?;
        let partition = i32::try_from(number)? % case.partitions;
        let warm = ProducerRecord::keyless(&b"warm"[..]).partition(Partition(partition));
        producer.send_record(warm).await?;
        producers.push((producer, Partition(partition)));
    }
    let records = case.mib * 1024 / case.producers;
    let start = Start::now();
    let mut tasks = Vec::new();
    for (producer, partition) in producers {
        let value = noise(1024);
        tasks.push(tokio::spawn(async move {
            for _ in 0..records {
                let record = ProducerRecord::keyless(&value[..]).partition(partition);
                drop(producer.send_record(record).queued().await?);
            }
            producer.close().await
        }));
    }
    for task in tasks {
        task.await??;
    }
    let cost = start.cost();
    cluster.close().await?;
    Ok(cost)
}
