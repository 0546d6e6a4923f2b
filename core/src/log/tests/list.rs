//! The log against a plain list: whatever happens to it, it holds what the list holds.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use crate::env::{Clock, Env, Simulation};
use crate::error::{ErrorKind, Result};
use crate::log::*;
use crate::record::{Batch, BatchBuilder, BatchHeader, BatchOptions, Headers, Limits, Scratch};
use crate::storage::{MemoryStorage, OpenMode, Storage};
use crate::types::{Offset, Partition, Timestamp, TopicId, TopicName, TopicPartition};

const DIR: &str = "data";

/// A data folder and the process that has it open, if one does.
struct World {
    storage: Arc<dyn Storage>,
    options: LogOptions,
    config: LogConfig,
    seed: u64,
    life: Option<(Simulation, LogStore)>,
}

impl World {
    fn new(options: LogOptions, config: LogConfig) -> Self {
        let storage = Arc::new(MemoryStorage::new());
        let mut world = Self {
            storage,
            options,
            config,
            seed: 1,
            life: None,
        };
        world.open().unwrap();
        world
    }

    fn small() -> Self {
        let options = LogOptions {
            journal_bytes_min: 8 << 10,
            journal_bytes_max: 32 << 10,
            direct_bytes_min: 6 << 10,
            open_files_max: Some(3),
            ..LogOptions::default()
        };
        let config = LogConfig {
            segment_bytes: 2_000,
            index_interval_bytes: 200,
            retention_ms: None,
            ..LogConfig::default()
        };
        Self::new(options, config)
    }

    fn open(&mut self) -> Result<()> {
        self.seed += 1;
        let simulation = Simulation::new(self.seed);
        let env: Env = simulation.env(Arc::clone(&self.storage));
        let known = (0..2).map(|n| spec(n, self.config.clone())).collect();
        let options = self.options.clone();
        let store = simulation
            .block_on(async {
                let folder = DataFolder::open(&env, Path::new(DIR))?;
                LogStore::open(folder, options, known).await
            })
            .unwrap()?;
        self.life = Some((simulation, store));
        Ok(())
    }

    fn sim(&self) -> &Simulation {
        &self.life.as_ref().unwrap().0
    }

    fn log(&self, partition: i32) -> Arc<PartitionLog> {
        let store = &self.life.as_ref().unwrap().1;
        store.partition(topic_id(), Partition(partition)).unwrap()
    }

    fn close(&mut self) {
        let (simulation, store) = self.life.take().unwrap();
        simulation.block_on(store.close()).unwrap().unwrap();
    }

    /// The process is killed: what it wrote stays, what it had in memory is gone.
    fn kill(&mut self) {
        let (simulation, store) = self.life.take().unwrap();
        simulation.crash();
        drop(store);
    }

    fn append(&self, partition: i32, values: &[String], durability: Durability) -> Appended {
        let (bytes, header) = batch(values, self.sim());
        let log = self.log(partition);
        self.sim()
            .block_on(log.append(bytes, &header, durability))
            .unwrap()
            .unwrap()
    }
}

pub(super) fn topic_id() -> TopicId {
    TopicId(uuid::Uuid::from_u128(5))
}

pub(super) fn spec(partition: i32, config: LogConfig) -> PartitionSpec {
    let topic = TopicName::new("t").unwrap();
    PartitionSpec {
        id: topic_id(),
        partition: TopicPartition::new(topic, Partition(partition)),
        config,
    }
}

pub(super) fn batch(values: &[String], simulation: &Simulation) -> (Bytes, BatchHeader) {
    let now = simulation.clock().now();
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for value in values {
        builder
            .append(now, None, Some(value.as_bytes()), Headers::EMPTY)
            .unwrap();
    }
    let bytes = builder.finish().unwrap();
    let header = crate::record::validate(&bytes, &Limits::default()).unwrap();
    (bytes, header)
}

/// All values from `from` on, with their offsets.
pub(super) fn read_all(log: &PartitionLog, from: Offset, max_bytes: usize) -> Vec<(i64, String)> {
    let mut values = Vec::new();
    let mut offset = from;
    let mut scratch = Scratch::new();
    while offset < log.positions().high_watermark {
        let read = log
            .read(offset, max_bytes, ReadLimit::HighWatermark)
            .unwrap();
        assert!(
            !read.chunks.is_empty(),
            "nothing at {offset} of {:?}",
            log.positions()
        );
        for chunk in &read.chunks {
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                let batch = Batch::parse(rest).unwrap();
                batch.check_crc().unwrap();
                rest = &rest[batch.bytes().len()..];
                for record in batch.records(&mut scratch).unwrap() {
                    let record = record.unwrap();
                    if record.offset >= offset {
                        let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                        values.push((record.offset.0, value));
                    }
                }
                offset = batch.header.next_offset();
            }
        }
    }
    values
}

#[derive(Clone, Debug)]
enum Step {
    Append {
        partition: i32,
        count: usize,
        len: usize,
        durability: Durability,
    },
    Start {
        partition: i32,
        count: usize,
        len: usize,
        durability: Durability,
    },
    Wait {
        millis: u64,
    },
    Read {
        partition: i32,
        at: usize,
        max_bytes: usize,
    },
    DeleteBefore {
        partition: i32,
        at: usize,
    },
    Truncate {
        partition: i32,
        at: usize,
    },
    Reopen,
    Kill,
}

fn durability() -> impl Strategy<Value = Durability> {
    prop_oneof![
        Just(Durability::None),
        Just(Durability::Written),
        Just(Durability::Synced)
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let partition = 0..2_i32;
    prop_oneof![
        6 => (partition.clone(), 1..5_usize, 0..400_usize, durability()).prop_map(
            |(partition, count, len, durability)| {
                Step::Append { partition, count, len, durability }
            }),
        3 => (partition.clone(), 1..5_usize, 0..4000_usize, durability()).prop_map(
            |(partition, count, len, durability)| {
                Step::Start { partition, count, len, durability }
            }),
        1 => (0..20_u64).prop_map(|millis| Step::Wait { millis }),
        3 => (partition.clone(), any::<usize>(), 1..3000_usize).prop_map(
            |(partition, at, max_bytes)| Step::Read { partition, at, max_bytes }),
        1 => (partition.clone(), any::<usize>()).prop_map(
            |(partition, at)| Step::DeleteBefore { partition, at }),
        1 => (partition, any::<usize>()).prop_map(
            |(partition, at)| Step::Truncate { partition, at }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

/// What a partition should hold.
#[derive(Default)]
struct Model {
    start: usize,
    values: Vec<String>,
    /// The offsets where batches begin.
    bases: Vec<usize>,
    /// All before it was acknowledged.
    acknowledged: usize,
}

impl Model {
    fn push(&mut self, count: usize, len: usize) -> Vec<String> {
        self.bases.push(self.values.len());
        let from = self.values.len();
        for n in from..from + count {
            self.values.push(format!("{n}-{}", "x".repeat(len)));
        }
        self.values[from..].to_vec()
    }

    fn check(&mut self, log: &PartitionLog, max_bytes: usize) {
        let positions = log.positions();
        assert_eq!(positions.log_start, Offset(self.start as i64));
        let found = read_all(log, positions.log_start, max_bytes);
        assert!(
            self.start + found.len() >= self.acknowledged,
            "an acknowledged record is missing"
        );
        for (at, (offset, value)) in found.iter().enumerate() {
            assert_eq!(*offset, (self.start + at) as i64);
            assert_eq!(value, &self.values[self.start + at]);
        }
    }
}

#[expect(clippy::too_many_lines, reason = "an arm for each kind of step")]
fn run(steps: Vec<Step>) {
    let mut world = World::small();
    let mut models = [Model::default(), Model::default()];
    for step in steps {
        match step {
            Step::Append {
                partition,
                count,
                len,
                durability,
            } => {
                let model = &mut models[partition as usize];
                let values = model.push(count, len);
                let appended = world.append(partition, &values, durability);
                assert_eq!(appended.last_offset, Offset(model.values.len() as i64 - 1));
                if durability != Durability::None {
                    model.acknowledged = model.values.len();
                }
            }
            Step::Start {
                partition,
                count,
                len,
                durability,
            } => {
                let values = models[partition as usize].push(count, len);
                let (bytes, header) = batch(&values, world.sim());
                let log = world.log(partition);
                drop(log.append_start(bytes, &header, durability).unwrap());
            }
            Step::Wait { millis } => {
                world
                    .sim()
                    .run_for(std::time::Duration::from_millis(millis))
                    .unwrap();
            }
            Step::Read {
                partition,
                at,
                max_bytes,
            } => {
                let (log, model) = (world.log(partition), &models[partition as usize]);
                let end = log.positions().high_watermark.0 as usize;
                let from = model.start + at % (end - model.start + 1);
                let found = read_all(&log, Offset(from as i64), max_bytes);
                let values = found.into_iter().map(|found| found.1);
                assert!(values.eq(model.values[from..end].iter().cloned()));
            }
            Step::DeleteBefore { partition, at } => {
                let (log, model) = (world.log(partition), &mut models[partition as usize]);
                let end = log.positions().high_watermark.0 as usize;
                let before = model.start + at % (end - model.start + 1);
                let deleted = world
                    .sim()
                    .block_on(log.delete_records(Offset(before as i64)));
                assert_eq!(deleted.unwrap().unwrap(), Offset(before as i64));
                model.start = before;
                model.acknowledged = model.acknowledged.max(before);
            }
            Step::Truncate { partition, at } => {
                let (log, model) = (world.log(partition), &mut models[partition as usize]);
                let bases: Vec<_> = model.bases.iter().filter(|b| **b >= model.start).collect();
                let Some(end) = bases.get(at % (bases.len() + 1)).map(|end| **end) else {
                    continue;
                };
                let outcome = world
                    .sim()
                    .block_on(log.truncate_to(Offset(end as i64)))
                    .unwrap();
                outcome.unwrap();
                model.values.truncate(end);
                model.bases.retain(|base| *base < end);
                model.acknowledged = model.acknowledged.min(end);
            }
            Step::Reopen => {
                world.close();
                world.open().unwrap();
                for (partition, model) in models.iter_mut().enumerate() {
                    let log = world.log(partition as i32);
                    assert_eq!(log.positions().log_end, Offset(model.values.len() as i64));
                    model.acknowledged = model.values.len();
                    model.check(&log, 700);
                }
            }
            Step::Kill => {
                world.kill();
                world.open().unwrap();
                for (partition, model) in models.iter_mut().enumerate() {
                    let log = world.log(partition as i32);
                    model.check(&log, 700);
                    let end = log.positions().log_end.0 as usize;
                    model.values.truncate(end);
                    model.bases.retain(|base| *base < end);
                }
            }
        }
    }
    world.close();
    world.open().unwrap();
    for (partition, model) in models.iter_mut().enumerate() {
        model.check(&world.log(partition as i32), 1 << 20);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn a_log_is_a_list(steps in prop::collection::vec(step(), 1..40)) {
        run(steps);
    }
}

#[test]
fn a_damaged_batch_in_the_middle_refuses_to_open() {
    let mut world = World::small();
    for _ in 0..20 {
        world.append(0, &["y".repeat(300)], Durability::Written);
    }
    world.kill();
    let path = Path::new(DIR).join("t-0/00000000000000000000.log");
    let file = world.storage.open(&path, OpenMode::Write).unwrap();
    file.write_at(&[b"?"], 200).unwrap();
    let error = world.open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CorruptMessage);
    assert_eq!(
        (error.file(), error.file_position()),
        (Some(&*path), Some(0))
    );
}

#[test]
fn a_torn_batch_at_the_end_is_cut_off() {
    let mut world = World::small();
    for _ in 0..3 {
        world.append(0, &["y".repeat(300)], Durability::Written);
    }
    world.kill();
    let path = Path::new(DIR).join("t-0/00000000000000000000.log");
    let file = world.storage.open(&path, OpenMode::Write).unwrap();
    let len = file.len().unwrap();
    file.set_len(len - 5).unwrap();
    world.open().unwrap();
    assert_eq!(world.log(0).positions().log_end, Offset(2));
    assert_eq!(file.len().unwrap(), len / 3 * 2);
}

#[test]
fn a_damaged_journal_group_refuses_to_open() {
    let mut world = World::small();
    for _ in 0..3 {
        world.append(0, &["y".repeat(300)], Durability::Synced);
    }
    world.kill();
    let path = Path::new(DIR).join("journal/a");
    let file = world.storage.open(&path, OpenMode::Write).unwrap();
    file.write_at(&[b"?"], 600).unwrap();
    let error = world.open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CorruptMessage, "{error}");
    assert_eq!(error.file(), Some(&*path));
    assert!(error.to_string().contains("group"), "{error}");
}

#[test]
fn old_segments_go_by_age_and_by_size() {
    let mut world = World::small();
    for _ in 0..30 {
        world.append(0, &["y".repeat(300)], Durability::Synced);
    }
    let log = world.log(0);
    world
        .sim()
        .run_for(std::time::Duration::from_millis(50))
        .unwrap();
    let config = LogConfig {
        retention_bytes: Some(5_000),
        ..world.config.clone()
    };
    log.set_config(config);
    assert!(log.retain(world.sim().clock().now()) > 0);
    assert!((5_000..7_000).contains(&log.size()), "{}", log.size());
    let start = log.positions().log_start;
    assert!(start > Offset(0));
    let config = LogConfig {
        retention_ms: Some(1_000),
        ..world.config.clone()
    };
    log.set_config(config);
    assert_eq!(log.retain(world.sim().clock().now()), 0);
    world
        .sim()
        .run_for(std::time::Duration::from_secs(2))
        .unwrap();
    // A checkpoint makes the active segment settled, so that it can be closed and go.
    world
        .sim()
        .block_on(log.delete_records(start.next()))
        .unwrap()
        .unwrap();
    assert!(log.retain(world.sim().clock().now()) > 0);
    assert_eq!(log.positions().log_start, log.positions().log_end);
    world
        .sim()
        .run_for(std::time::Duration::from_secs(1))
        .unwrap();
    let left = world.storage.list(&Path::new(DIR).join("t-0")).unwrap();
    assert!(
        left.iter().all(|entry| !entry.name.ends_with(".log")),
        "{left:?}"
    );
    drop(log);
    world.kill();
    world.open().unwrap();
    assert_eq!(world.log(0).positions().log_start, Offset(30));
    assert_eq!(
        world
            .append(0, &["z".to_owned()], Durability::Synced)
            .base_offset,
        Offset(30)
    );
}

#[test]
fn a_time_finds_its_record() {
    let mut world = World::small();
    let start = { world.sim().clock().now() };
    for _ in 0..40 {
        world
            .sim()
            .run_for(std::time::Duration::from_secs(10))
            .unwrap();
        world.append(0, &["a".repeat(100), "b".repeat(100)], Durability::Synced);
    }
    for reopened in [false, true] {
        if reopened {
            world.close();
            world.open().unwrap();
        }
        let log = world.log(0);
        let (last, newest) = log.max_timestamp().unwrap().unwrap();
        assert_eq!(last, Offset(78));
        assert_eq!(log.offset_for_time(newest).unwrap(), Some((last, newest)));
        assert_eq!(log.offset_for_time(Timestamp(newest.0 + 1)).unwrap(), None);
        assert_eq!(
            log.offset_for_time(Timestamp(0)).unwrap().unwrap().0,
            Offset(0)
        );
        let middle = Timestamp(start.0 + 200_000);
        let (offset, found) = log.offset_for_time(middle).unwrap().unwrap();
        assert!(found >= middle && offset.0 % 2 == 0, "{offset} {found}");
        assert!((36..=40).contains(&offset.0), "{offset}");
    }
}

#[test]
fn files_that_nobody_needs_are_closed() {
    let world = World::small();
    for n in 0..100 {
        let durability = if n % 2 == 0 {
            Durability::Synced
        } else {
            Durability::Written
        };
        world.append(n % 2, &["y".repeat(600)], durability);
    }
    for partition in 0..2 {
        let log = world.log(partition);
        assert_eq!(read_all(&log, Offset(0), 700).len(), 50);
        let state = log.lock();
        let open = state
            .segments
            .iter()
            .filter(|segment| segment.file.is_some());
        // The bound is 3 for both; what one read opened last may come on top.
        assert!(state.segments.len() > 10 && open.count() <= 4);
    }
}

/// A segment's file that got nothing lay in the way once the log had gone on before it.
#[test]
fn an_empty_segment_file_is_no_hole() {
    let mut world = World::small();
    world.append(0, &["a".to_owned()], Durability::Synced);
    world.append(0, &["b".repeat(1_950)], Durability::Synced);
    let log = world.log(0);
    world
        .sim()
        .block_on(log.truncate_to(Offset(1)))
        .unwrap()
        .unwrap();
    drop(log);
    world.close();
    let empty = Path::new(DIR).join("t-0/00000000000000000001.log");
    assert!(world.storage.open(&empty, OpenMode::Read).is_ok());
    world.open().unwrap();
    for _ in 0..3 {
        world.append(0, &["c".to_owned()], Durability::Written);
    }
    world
        .sim()
        .block_on(world.log(0).delete_records(Offset(1)))
        .unwrap()
        .unwrap();
    world.kill();
    world.open().unwrap();
    assert_eq!(world.log(0).positions().log_end, Offset(4));
}
