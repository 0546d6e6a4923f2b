//! Producing under `acks=1` through the producer, as a program does it.

use headwater::prelude::*;

use crate::limits::noise;
use crate::measure::{Bench, Cost, Result, Start, median};

const GROUP: &str = "produce, acks=1, one task";

/// The name of a case, which the targets refer to.
pub(crate) fn name(record: usize, batch: usize) -> String {
    format!("records of {record} B, batches of {} KiB", batch >> 10)
}

pub(crate) async fn run(bench: &mut Bench) -> Result {
    for (record, batch) in [
        (100, 16 << 10),
        (100, 64 << 10),
        (1024, 16 << 10),
        (1024, 64 << 10),
    ] {
        let bytes = bench.size().pick(1 << 20, 300 << 20, 1 << 30);
        let records = bytes / record;
        let name = name(record, batch);
        let case = async |bench: &mut Bench| produced(bench, records, record, batch).await;
        let costs = bench.repeat(&format!("produce {name}"), case).await?;
        let units = records as f64;
        let of = |figure: &dyn Fn(&Cost) -> f64| median(costs.iter().map(figure).collect());
        let report = &mut bench.report;
        report.add(
            GROUP,
            &name,
            of(&|cost| cost.per_second(units)),
            "records/s",
        );
        report.add(
            GROUP,
            &name,
            of(&|cost| cost.cpu_us(units)),
            "us CPU/record",
        );
    }
    Ok(())
}

async fn produced(bench: &Bench, records: usize, record: usize, batch: usize) -> Result<Cost> {
    let folder = bench.folder()?;
    let cluster = Cluster::open(folder.path()).await?;
    let config = ProducerConfig {
        acks: Acks::Leader,
        batch_size: batch,
        ..ProducerConfig::default()
    };
    // The first records make the topic and its files.
    fill(&cluster, 100, record, &config).await?;
    let start = Start::now();
    fill(&cluster, records, record, &config).await?;
    let cost = start.cost();
    cluster.close().await?;
    Ok(cost)
}

/// Sends records to the topic "t" from one task and waits for all of them.
pub(crate) async fn fill(
    cluster: &Cluster,
    records: usize,
    record: usize,
    config: &ProducerConfig,
) -> Result {
    let producer = cluster.producer::<(), [u8]>("t").config(config.clone());
    let producer = producer.build().await?;
    let value = noise(record);
    let sends = async move {
        for _ in 0..records {
            drop(producer.send(&(), &value).queued().await?);
        }
        producer.close().await
    };
    tokio::spawn(sends).await??;
    Ok(())
}
