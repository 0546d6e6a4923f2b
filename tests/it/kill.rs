//! A process that produces is killed again and again on one folder: what it said was acknowledged
//! is there, whole and in order.
//!
//! The test starts its own program as a child, which runs [`child`] and writes each
//! acknowledgement to a pipe; the parent kills it (SIGKILL, no warning) after a random number of
//! them, opens the folder itself and looks. `cargo xtask kill --rounds N` runs more rounds.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use headwater::client::producer::ProducerRecord;
use headwater::client::{Acks, Cluster, FetchPartition, FetchRequest, IsolationLevel, NewTopic};
use headwater::env::Random;
use headwater::record::{Batches, Compression, Scratch, check_crc};
use headwater::types::{Offset, Partition, TopicName, TopicPartition};

const TOPIC: &str = "kills";
const PARTITIONS: i32 = 3;
/// Each writes to one partition; the last ones ask for `acks=1`, which survives a kill too.
const TASKS: u64 = 6;
const TASKS_OF_ACKS_ALL: u64 = 4;
/// Where the child finds its folder; a run of all tests does not set it.
const DIR: &str = "HEADWATER_KILL_DIR";
const ROUND: &str = "HEADWATER_KILL_ROUND";

/// What was acknowledged, by partition and offset.
type Acknowledged = Vec<BTreeMap<i64, String>>;

#[test]
fn kill_after_kill_nothing_acknowledged_is_missing() {
    let rounds = std::env::var("HEADWATER_KILL_ROUNDS");
    let rounds: u64 = rounds.map_or(30, |rounds| rounds.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let seed = Random::from_system().next_u64();
    println!("kill: {rounds} rounds, seed {seed}");
    let dice = Random::seeded(seed);
    let mut acknowledged: Acknowledged = (0..PARTITIONS).map(|_| BTreeMap::new()).collect();
    let mut verified = vec![0; acknowledged.len()];
    for round in 0..rounds {
        kill_once(&data, round, &dice, &mut acknowledged);
        let whole = round + 1 == rounds;
        if !whole && dice.below(3) == 0 {
            // The next child finds the folder as this one left it.
            continue;
        }
        let from = if whole {
            vec![0; verified.len()]
        } else {
            verified
        };
        verified = check(&data, &from, &acknowledged);
    }
    let count: usize = acknowledged.iter().map(BTreeMap::len).sum();
    println!("kill: {count} records acknowledged in {rounds} rounds, all there; ends {verified:?}");
}

/// Starts a child, kills it at a random moment, and takes down what it said until then.
fn kill_once(data: &Path, round: u64, dice: &Random, acknowledged: &mut Acknowledged) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["kill::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, data)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // While it opens, when it has opened, or after so many acknowledgements.
    let moment = match dice.below(8) {
        0 => Moment::Line("opening"),
        1 => Moment::Line("opened"),
        _ => Moment::Acknowledgements(1 + dice.below(3000)),
    };
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let (mut seen, mut killed) = (0, false);
    let mut line = String::new();
    loop {
        line.clear();
        // A line without an end was cut off by the kill.
        if lines.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
            break;
        }
        let line = line.trim_end();
        if let Some(told) = line.strip_prefix("ack ") {
            let mut parts = told.splitn(3, ' ');
            let mut next = || parts.next().unwrap();
            let (partition, offset): (usize, i64) =
                (next().parse().unwrap(), next().parse().unwrap());
            let before = acknowledged[partition].insert(offset, next().to_owned());
            assert_eq!(before, None, "{partition}: offset {offset} was given twice");
            seen += 1;
        }
        let now = match moment {
            Moment::Line(wanted) => line == wanted,
            Moment::Acknowledgements(count) => seen == count,
        };
        if now && !killed {
            // What is in the pipe already is read on until its end.
            child.kill().unwrap();
            killed = true;
        }
    }
    let status = child.wait().unwrap();
    assert!(killed, "round {round}: the child ended by itself: {status}");
}

/// When a child is killed.
#[derive(Clone, Copy)]
enum Moment {
    Line(&'static str),
    Acknowledgements(u64),
}

/// Opens the folder and reads each partition from an offset on; returns where they end.
#[tokio::main]
async fn check(data: &Path, from: &[i64], acknowledged: &Acknowledged) -> Vec<i64> {
    let cluster = Cluster::open(data).await.unwrap();
    let mut ends = Vec::new();
    for ((partition, from), acknowledged) in (0..).zip(from).zip(acknowledged) {
        let found = match cluster.admin().describe_topic(TOPIC).await {
            Ok(_) => read(&cluster, partition, *from).await,
            Err(_) => BTreeMap::new(),
        };
        for (offset, value) in acknowledged.range(from..) {
            let there = found.get(offset).map(String::as_str);
            assert_eq!(there, Some(value.as_str()), "{partition}: offset {offset}");
        }
        check_order(partition, *from, &found);
        ends.push(from + i64::try_from(found.len()).unwrap());
    }
    cluster.close().await.unwrap();
    ends
}

/// Each task numbers its records from 0, so that a missing one shows.
fn check_order(partition: i32, from: i64, found: &BTreeMap<i64, String>) {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for (offset, value) in found {
        let (task, number) = value.rsplit_once('/').unwrap();
        let number: u64 = number.parse().unwrap();
        let before = last.insert(task, number);
        let expect = match before {
            Some(before) => before + 1,
            // Its first ones may lie before what was read.
            None if from > 0 => number,
            None => 0,
        };
        assert_eq!(number, expect, "{partition}: {task} at offset {offset}");
    }
}

/// Reads a partition as it is stored: every checksum holds, and the offsets have no gaps.
async fn read(cluster: &Cluster, partition: i32, from: i64) -> BTreeMap<i64, String> {
    let name = TopicName::new(TOPIC).unwrap();
    let mut found = BTreeMap::new();
    let mut next = from;
    let mut scratch = Scratch::new();
    loop {
        let wanted = FetchPartition {
            partition: TopicPartition::new(name.clone(), Partition(partition)),
            offset: Offset(next),
            max_bytes: 1 << 20,
        };
        let request = FetchRequest {
            partitions: vec![wanted],
            min_bytes: 0,
            max_bytes: 1 << 20,
            max_wait: std::time::Duration::ZERO,
            isolation: IsolationLevel::ReadUncommitted,
        };
        let mut answers = cluster.backend().fetch(request).await.unwrap();
        let fetched = answers.remove(0).unwrap();
        if fetched.chunks.is_empty() {
            assert_eq!(fetched.high_watermark, Offset(next));
            return found;
        }
        for chunk in &fetched.chunks {
            let mut rest = &chunk[..];
            for batch in Batches::new(chunk) {
                let batch = batch.unwrap();
                let (bytes, later) = rest.split_at(batch.header.size());
                check_crc(bytes).unwrap();
                rest = later;
                for record in batch.records(&mut scratch).unwrap() {
                    let record = record.unwrap();
                    if record.offset.value() < next {
                        continue;
                    }
                    assert_eq!(record.offset, Offset(next), "{partition} has a gap");
                    let value = std::str::from_utf8(record.value.unwrap()).unwrap();
                    let (told, padding) = value.split_once(':').unwrap();
                    assert!(padding.bytes().all(|byte| byte == b'.'), "{told} is torn");
                    found.insert(next, told.to_owned());
                    next += 1;
                }
            }
            assert!(rest.is_empty());
        }
    }
}

/// What the child does: it produces until it is killed. Without a folder this is not the child.
#[test]
fn child() {
    let Some(data) = std::env::var_os(DIR) else {
        return;
    };
    let round = std::env::var(ROUND).unwrap();
    // The harness may have begun a line of its own.
    tell("\nopening").unwrap();
    produce(&PathBuf::from(data), &round);
}

#[tokio::main]
async fn produce(data: &Path, round: &str) {
    let cluster = Cluster::open(data).await.unwrap();
    tell("opened").unwrap();
    let topic = NewTopic::new(TOPIC).unwrap().partitions(PARTITIONS);
    let topic = topic.config("internal.segment.bytes", "100000");
    // From the second round on it exists.
    drop(cluster.admin().create(topic).await);
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let (cluster, name) = (cluster.clone(), format!("{round}/{task}"));
        tasks.push(tokio::spawn(
            async move { send(&cluster, task, &name).await },
        ));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// Sends in bursts and tells of each acknowledgement.
async fn send(cluster: &Cluster, task: u64, name: &str) {
    let dice = Random::from_system();
    let codecs = [Compression::None, Compression::Lz4, Compression::Zstd];
    let codec = codecs[usize::try_from(dice.below(3)).unwrap()];
    let acks = if task < TASKS_OF_ACKS_ALL {
        Acks::All
    } else {
        Acks::Leader
    };
    let producer = cluster.producer::<str, str>(TOPIC).acks(acks);
    let producer = producer.compression(codec).build().await.unwrap();
    let partition = i32::try_from(task).unwrap() % PARTITIONS;
    let mut number = 0;
    loop {
        let mut sendings = Vec::new();
        for _ in 0..1 + dice.below(20) {
            let told = format!("{name}/{number}");
            let padding = ".".repeat(usize::try_from(dice.below(300)).unwrap());
            let value = format!("{told}:{padding}");
            let record = ProducerRecord::new(name, value.as_str());
            let record = record.partition(Partition(partition));
            sendings.push((told, producer.send_record(record)));
            number += 1;
        }
        for (told, sending) in sendings {
            let ack = sending.await.unwrap();
            if tell(&format!("ack {} {} {told}", ack.partition, ack.offset)).is_err() {
                // There is no parent any more, and nobody to work for.
                return;
            }
        }
    }
}

/// Writes a line to the parent.
fn tell(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush())
}
