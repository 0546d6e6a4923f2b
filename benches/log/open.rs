//! Opening a data folder: after a clean shutdown, and after its process was killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use headwater::prelude::*;

use crate::limits::noise;
use crate::measure::{Bench, Result, Start, median};
use crate::produce::fill;

const GROUP: &str = "open";

/// The first argument of a process that fills a folder until it is killed.
pub(crate) const CHILD: &str = "--fill-until-killed";

/// What a child says when all is acknowledged.
const FILLED: &str = "filled";

/// The names that targets refer to.
pub(crate) const CLEAN: &str = "1,000 partitions after a clean shutdown";

/// What a folder is filled with.
#[derive(Clone, Copy)]
struct Content {
    partitions: i32,
    mib: usize,
    acks: Acks,
}

pub(crate) async fn run(bench: &mut Bench) -> Result {
    let partitions = bench.size().pick(50, 1000, 1000);
    let content = Content {
        partitions,
        mib: 0,
        acks: Acks::All,
    };
    let folder = bench.folder()?;
    let cluster = Cluster::open(folder.path()).await?;
    content.write(&cluster).await?;
    cluster.close().await?;
    // Opening is short: more rounds cost nothing.
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..bench.args.repeat * 3 {
        let (wall_ms, cpu_ms) = opened(folder.path()).await?;
        wall.push(wall_ms);
        cpu.push(cpu_ms);
    }
    bench.report.add(GROUP, CLEAN, median(wall), "ms");
    bench.report.add(GROUP, CLEAN, median(cpu), "ms CPU");
    after_kill(bench, "1,000 partitions after a kill", content).await
}

/// Opening after a kill, against the size of the log.
pub(crate) async fn recovery(bench: &mut Bench) -> Result {
    let sizes: &[usize] = bench
        .size()
        .pick(&[4], &[64, 256, 1024], &[64, 1024, 4096, 20_480]);
    for (acks, level) in [(Acks::Leader, "1"), (Acks::All, "all")] {
        for mib in sizes {
            let name = format!("log of {mib} MiB, acks={level}, after a kill");
            let content = Content {
                partitions: 1,
                mib: *mib,
                acks,
            };
            after_kill(bench, &name, content).await?;
        }
    }
    Ok(())
}

async fn after_kill(bench: &mut Bench, name: &str, content: Content) -> Result {
    let rounds = bench
        .repeat(&format!("open, {name}"), async |bench| {
            let folder = bench.folder()?;
            kill_child(folder.path(), content)?;
            opened(folder.path()).await
        })
        .await?;
    let wall = median(rounds.iter().map(|round| round.0).collect());
    let cpu = median(rounds.iter().map(|round| round.1).collect());
    bench.report.add(GROUP, name, wall, "ms");
    bench.report.add(GROUP, name, cpu, "ms CPU");
    Ok(())
}

/// Milliseconds that opening takes: wall clock and processor.
async fn opened(dir: &Path) -> Result<(f64, f64)> {
    let start = Start::now();
    let cluster = Cluster::open(dir).await?;
    let cost = start.cost();
    cluster.close().await?;
    Ok((cost.wall.as_secs_f64() * 1e3, cost.cpu.as_secs_f64() * 1e3))
}

impl Content {
    async fn write(self, cluster: &Cluster) -> Result {
        cluster.admin().create_topic("t", self.partitions).await?;
        let config = ProducerConfig {
            acks: self.acks,
            batch_size: 64 << 10,
            ..ProducerConfig::default()
        };
        if self.mib > 0 {
            return fill(cluster, self.mib * 1024, 1024, &config).await;
        }
        let producer = cluster.producer::<(), [u8]>("t").config(config);
        let producer = producer.build().await?;
        let value = noise(1024);
        for partition in 0..self.partitions {
            let record = ProducerRecord::keyless(&value[..]).partition(Partition(partition));
            drop(producer.send_record(record).queued().await?);
        }
        producer.close().await?;
        Ok(())
    }
}

/// Has a process of its own fill a folder, and kills it.
fn kill_child(dir: &Path, content: Content) -> Result {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(CHILD)
        .arg(dir)
        .args([content.partitions.to_string(), content.mib.to_string()])
        .arg(if content.acks == Acks::All {
            "all"
        } else {
            "1"
        })
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut said)?;
    }
    child.kill()?;
    child.wait()?;
    match said.trim() {
        FILLED => Ok(()),
        _ => Err("the process that fills a folder failed".into()),
    }
}

/// The child: fills a folder, says so, and waits to be killed.
pub(crate) async fn child(args: &[String]) -> Result {
    let [dir, partitions, mib, acks] = args else {
        return Err("it needs a folder, partitions, MiB and acks".into());
    };
    let content = Content {
        partitions: partitions.parse()?,
        mib: mib.parse()?,
        acks: match acks.as_str() {
            "all" => Acks::All,
            _ => Acks::Leader,
        },
    };
    let cluster = Cluster::open(dir).await?;
    content.write(&cluster).await?;
    let mut output = std::io::stdout();
    writeln!(output, "{FILLED}")?;
    output.flush()?;
    // The end of the input is the parent's end.
    std::io::stdin().read_line(&mut String::new())?;
    Err("nobody killed it".into())
}
