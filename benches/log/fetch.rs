//! Reading what is in the page cache: through the consumer, and batch-wise through the seam.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use headwater::prelude::*;
use headwater_core::record::{Batch, Scratch};
use headwater_core::request::{FetchPartition, FetchRequest};

use crate::measure::{Bench, Cost, Result, Start, median};
use crate::produce::fill;

const GROUP: &str = "fetch, one task";

/// How records are read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// `Consumer::next_batch`, values copied out.
    Vec,
    /// `Consumer::next_batch`, values as `Bytes`.
    Bytes,
    /// `ClusterBackend::fetch` and records where they lie.
    Seam,
}

/// The name of a case, which the targets refer to.
pub(crate) fn name(record: usize, way: Way) -> String {
    let way = match way {
        Way::Vec => "Consumer, values as Vec",
        Way::Bytes => "Consumer, values as Bytes",
        Way::Seam => "backend, records in place",
    };
    format!("records of {record} B, {way}")
}

pub(crate) async fn run(bench: &mut Bench) -> Result {
    for record in [100, 1024] {
        let bytes = bench.size().pick(1 << 20, 300 << 20, 1 << 30);
        let records = bytes / record;
        let folder = bench.folder()?;
        let cluster = Cluster::open(folder.path()).await?;
        let config = ProducerConfig {
            acks: Acks::Leader,
            ..ProducerConfig::default()
        };
        fill(&cluster, records, record, &config).await?;
        for way in [Way::Vec, Way::Bytes, Way::Seam] {
            let name = name(record, way);
            let case = async |_: &mut Bench| read(&cluster, records, way).await;
            let costs = bench.repeat(&format!("fetch {name}"), case).await?;
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
        cluster.close().await?;
    }
    Ok(())
}

async fn read(cluster: &Cluster, records: usize, way: Way) -> Result<Cost> {
    let cluster = cluster.clone();
    tokio::spawn(async move {
        let start = Start::now();
        let seen = match way {
            Way::Vec => consumed::<Vec<u8>>(&cluster, 1, records, Vec::len).await?,
            Way::Bytes => consumed::<Bytes>(&cluster, 1, records, Bytes::len).await?,
            Way::Seam => fetched(&cluster, Offset(0), records).await?,
        };
        assert!(seen >= records, "{seen} of {records} records were read");
        Ok(start.cost())
    })
    .await?
}

/// Reads the topic "t" from the beginning through a consumer.
pub(crate) async fn consumed<V: Data>(
    cluster: &Cluster,
    partitions: i32,
    records: usize,
    len: impl Fn(&V) -> usize,
) -> Result<usize>
where
    V::Serde: headwater::serdes::OwnedDeserializer<V>,
{
    let partitions: Result<Vec<_>> = (0..partitions).map(topic).collect();
    let mut consumer = cluster
        .consumer::<(), V>()
        .from_beginning()
        .assign(partitions?)
        .await?;
    let mut seen = 0;
    let mut bytes = 0;
    while seen < records {
        for record in consumer.next_batch().await?.unwrap_or_default() {
            bytes += len(&record.value);
            seen += 1;
        }
    }
    black_box(bytes);
    Ok(seen)
}

/// Reads partition 0 of the topic "t" batch-wise.
pub(crate) async fn fetched(cluster: &Cluster, from: Offset, records: usize) -> Result<usize> {
    let mut scratch = Scratch::new();
    let mut offset = from;
    let partition = topic(0)?;
    let (mut seen, mut bytes) = (0, 0);
    while seen < records {
        let request = FetchRequest {
            partitions: vec![FetchPartition {
                partition: partition.clone(),
                offset,
                max_bytes: 1 << 20,
            }],
            min_bytes: 1,
            max_bytes: 50 << 20,
            max_wait: Duration::from_secs(1),
            isolation: IsolationLevel::ReadUncommitted,
        };
        for fetched in cluster.backend().fetch(request).await? {
            for chunk in fetched?.chunks {
                let mut rest = &chunk[..];
                while !rest.is_empty() {
                    let batch = Batch::parse(rest)?;
                    for record in batch.records(&mut scratch)? {
                        bytes += record?.value.map_or(0, <[u8]>::len);
                        seen += 1;
                    }
                    offset = batch.header.next_offset();
                    rest = &rest[batch.bytes().len()..];
                }
            }
        }
    }
    black_box(bytes);
    Ok(seen)
}

fn topic(partition: i32) -> Result<TopicPartition> {
    Ok(TopicPartition::new(
        TopicName::new("t")?,
        Partition(partition),
    ))
}
