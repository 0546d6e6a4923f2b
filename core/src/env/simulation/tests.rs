//! The simulation repeats, ends, and carries something of a broker's shape.

use super::*;
use crate::env::yield_now;
use crate::storage::{Faults, MemoryStorage, OpenMode, SimStorage, Storage, is_power_loss};
use tokio::sync::{Notify, mpsc};

fn env(simulation: &Simulation) -> Env {
    simulation.env(Arc::new(MemoryStorage::new()))
}

/// Four tasks that yield, sleep and draw; returns the order they sent in.
fn run(simulation: &Simulation) -> Vec<u64> {
    let env = env(simulation);
    let (sender, mut receiver) = mpsc::channel(2);
    for number in 0..4 {
        let (env, sender) = (env.clone(), sender.clone());
        let task = {
            let env = env.clone();
            async move {
                for step in 0..5 {
                    yield_now().await;
                    let pause = Duration::from_micros(env.random.below(50));
                    env.clock.sleep_until(env.clock.monotonic() + pause).await;
                    sender.send(number * 10 + step).await.unwrap();
                }
            }
        };
        drop(match number {
            0 => env.spawner.spawn_dedicated("dedicated", Box::pin(task)),
            _ => env.spawner.spawn("task", Box::pin(task)),
        });
    }
    drop(sender);
    let all = async {
        let mut all = Vec::new();
        while let Some(number) = receiver.recv().await {
            all.push(number);
        }
        all
    };
    simulation.block_on(all).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_another() {
    let trace = |seed| {
        let simulation = Simulation::new(seed);
        let order = run(&simulation);
        (
            order,
            simulation.trace_hash(),
            simulation.clock().monotonic(),
        )
    };
    assert_eq!(trace(1), trace(1));
    let orders: std::collections::BTreeSet<_> = (0..8).map(trace).collect();
    assert_eq!(orders.len(), 8);
}

#[test]
fn a_deadlock_names_who_waits() {
    let simulation = Simulation::new(1);
    let env = env(&simulation);
    let never = || Box::pin(async { Notify::new().notified().await });
    drop(env.spawner.spawn("flusher", never()));
    let stuck = simulation.block_on(Notify::new().notified()).unwrap_err();
    let waiting = vec!["flusher"];
    assert_eq!(stuck, Stuck::Deadlock { waiting });
    assert!(stuck.to_string().contains("flusher"));
}

#[test]
fn a_task_may_end_the_world_it_runs_in() {
    let simulation = Arc::new(Simulation::new(5));
    let env = env(&simulation);
    let inner = Arc::clone(&simulation);
    let ends = async move {
        inner.crash();
        drop(inner);
        yield_now().await;
        panic!("it ran after the crash");
    };
    let handle = env.spawner.spawn("ends", Box::pin(ends));
    simulation.block_on(handle.join()).unwrap();
    assert_eq!(simulation.tasks(), 0);
}

#[test]
fn a_crash_drops_the_tasks_and_resolves_their_handles() {
    let simulation = Simulation::new(3);
    let env = env(&simulation);
    let shared = Arc::new(());
    let ticker = {
        let (clock, shared) = (Arc::clone(&env.clock), Arc::clone(&shared));
        async move {
            loop {
                let next = clock.monotonic() + Duration::from_millis(1);
                clock.sleep_until(next).await;
                assert!(Arc::strong_count(&shared) > 1);
            }
        }
    };
    let handle = env.spawner.spawn("ticker", Box::pin(ticker));
    simulation.run_for(Duration::from_millis(20)).unwrap();
    assert_eq!((simulation.tasks(), Arc::strong_count(&shared)), (1, 2));
    simulation.crash();
    assert_eq!((simulation.tasks(), Arc::strong_count(&shared)), (0, 1));
    assert_eq!(simulation.clock().next_deadline(), None);
    simulation.block_on(handle.join()).unwrap();
}

/// The shape of a broker: writers hand records to one dedicated thread, which writes and
/// syncs what has gathered and answers, until the power goes. Returns the records that were
/// acknowledged, the disk and the hash of the run.
fn journal_until_the_power_goes(seed: u64) -> (Vec<u8>, SimStorage, u64) {
    let simulation = Simulation::new(seed);
    let disk = SimStorage::new(seed);
    let env = simulation.env(Arc::new(disk.clone()));
    let path = std::path::Path::new("journal");
    let file = disk.open(path, OpenMode::CreateNew).unwrap();
    disk.sync_dir(std::path::Path::new("")).unwrap();
    disk.set_faults(Faults {
        power_off_at: Some(1 + simulation.random().below(30)),
        ..Faults::default()
    });
    let (queue, mut queued) = mpsc::channel::<(u8, tokio::sync::oneshot::Sender<()>)>(4);
    let journal = async move {
        let (mut group, mut end) = (Vec::new(), 0);
        while queued.recv_many(&mut group, 4).await > 0 {
            let bytes: Vec<u8> = group.iter().map(|(record, _)| *record).collect();
            let written = file.write_at(&[&bytes], end).and_then(|()| file.sync());
            if let Err(error) = written {
                return assert!(is_power_loss(&error));
            }
            end += bytes.len() as u64;
            group
                .drain(..)
                .for_each(|(_, answer)| answer.send(()).unwrap_or_default());
        }
    };
    drop(env.spawner.spawn_dedicated("journal", Box::pin(journal)));
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let writers = (0..3_u8).map(|writer| {
        let (clock, acknowledged) = (Arc::clone(&env.clock), Arc::clone(&acknowledged));
        let queue = queue.clone();
        let write = async move {
            for number in 0..20 {
                let (answer, answered) = tokio::sync::oneshot::channel();
                let record = 1 + writer * 20 + number;
                if queue.send((record, answer)).await.is_err() || answered.await.is_err() {
                    return;
                }
                lock(&acknowledged).push(record);
                clock
                    .sleep_until(clock.monotonic() + Duration::from_micros(30))
                    .await;
            }
        };
        env.spawner.spawn("writer", Box::pin(write))
    });
    let writers: Vec<TaskHandle> = writers.collect();
    drop(queue);
    simulation
        .block_on(async {
            for writer in writers {
                writer.join().await;
            }
        })
        .unwrap();
    let acknowledged = lock(&acknowledged).clone();
    (acknowledged, disk, simulation.trace_hash())
}

#[test]
fn a_journal_keeps_what_it_acknowledged_and_a_seed_repeats_it() {
    for seed in 0..50 {
        let (acknowledged, disk, trace) = journal_until_the_power_goes(seed);
        let after = disk.after_power_loss(seed);
        let file = after.open(std::path::Path::new("journal"), OpenMode::Read);
        let mut bytes = [0; 80];
        let len = file.unwrap().read_at(&mut bytes, 0).unwrap();
        for record in &acknowledged {
            assert!(bytes[..len].contains(record), "seed {seed} lost {record}");
        }
        let (acknowledged_again, disk_again, trace_again) = journal_until_the_power_goes(seed);
        assert_eq!((acknowledged, trace), (acknowledged_again, trace_again));
        assert_eq!(disk.digest(), disk_again.digest());
    }
}
