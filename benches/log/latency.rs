//! How long a record takes from `send` in one task to a consumer in another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use headwater::prelude::*;

use crate::measure::{Bench, Result, percentile};

const GROUP: &str = "producer to consumer, records of 100 B, paced";

pub(crate) async fn run(bench: &mut Bench) -> Result {
    let millis = bench.size().pick(200, 4_000, 10_000);
    for (acks, level) in [(Acks::Leader, "1"), (Acks::All, "all")] {
        for rate in [1_000, 10_000] {
            let name = format!("acks={level}, {rate} records/s");
            let mut rounds = bench
                .repeat(&format!("latency, {name}"), async |bench| {
                    measured(bench, acks, rate, millis).await
                })
                .await?;
            // The median of the rounds' medians has a round, whose other figures belong to it.
            rounds.sort_by(|a, b| percentile(a, 0.5).total_cmp(&percentile(b, 0.5)));
            let Some(round) = rounds.get(rounds.len() / 2) else {
                continue;
            };
            for (part, unit) in [(0.5, "us p50"), (0.99, "us p99"), (0.999, "us p99.9")] {
                bench
                    .report
                    .add(GROUP, &name, percentile(round, part), unit);
            }
        }
    }
    Ok(())
}

/// Latencies in microseconds, sorted.
async fn measured(bench: &Bench, acks: Acks, rate: u32, millis: u32) -> Result<Vec<u64>> {
    let folder = bench.folder()?;
    let cluster = Cluster::open(folder.path()).await?;
    let producer = cluster.producer::<(), [u8]>("t").acks(acks);
    let producer = Arc::new(producer.linger(Duration::ZERO).build().await?);
    let partition = TopicPartition::new(TopicName::new("t")?, Partition(0));
    producer.send(&(), &[0; 100]).await?;
    let mut consumer = cluster
        .consumer::<(), Vec<u8>>()
        .assign_at([(partition, Offset(1))])
        .await?;
    let count = rate / 1000 * millis;
    let count = usize::try_from(count)?;
    let begin = Instant::now();
    let reader = tokio::spawn(async move {
        let mut latencies = Vec::with_capacity(count);
        while latencies.len() < count {
            for record in consumer.next_batch().await?.unwrap_or_default() {
                let sent = record.value.first_chunk().copied().unwrap_or_default();
                let now = nanos(begin);
                latencies.push(now.saturating_sub(u64::from_be_bytes(sent)) / 1000);
            }
        }
        Ok::<_, headwater::Error>(latencies)
    });
    // A thread of its own: the runtime's timers are a millisecond wide. Sending does not wait.
    let sender = Arc::clone(&producer);
    let pacer = std::thread::spawn(move || {
        let mut value = [0; 100];
        for number in 0..count {
            let due = begin + Duration::from_secs(1) / rate * u32::try_from(number).unwrap_or(0);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let now = nanos(begin);
            value[..8].copy_from_slice(&now.to_be_bytes());
            drop(sender.send(&(), &value));
        }
    });
    let mut latencies = reader.await??;
    pacer
        .join()
        .map_err(|_panic| "the sending thread panicked")?;
    cluster.close().await?;
    latencies.sort_unstable();
    Ok(latencies)
}

fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
