//! One seed: several lives of a broker's process on one simulated disk, each with its clients, its
//! troubles and its end; after each the folder is opened again and held to the model.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{self, Either};
use headwater_core::client::consumer::AutoOffsetReset;
use headwater_core::client::{Acks, Cluster, OffsetSpec};
use headwater_core::env::{Clock, Env, Simulation, TaskHandle};
use headwater_core::storage::{Faults, SimStorage, is_power_loss};
use headwater_core::types::Offset;
use headwater_core::{Error, ErrorKind};

use crate::actors::{self, Life, partition};
use crate::dice::Dice;
use crate::invariants::{
    Recovered, acknowledged, groups, log_start, order, prefix, topics as topics_invariant,
};
use crate::model::Model;
use crate::plan::{self, Ending, LifePlan, Trouble};

/// How long clients may take to end once nothing is wrong any more, in simulated time.
const PATIENCE: Duration = Duration::from_secs(600);

const GROUPS: [&str; 2] = ["billing", "shipping"];

/// What a seed came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) trace: u64,
    pub(crate) time: Duration,
    pub(crate) digest: u64,
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

/// Runs a seed, and tells of each life if asked to.
///
/// # Panics
/// When an invariant does not hold.
pub(crate) fn run(seed: u64, tell: bool) -> Outcome {
    let dice = Dice::new(seed);
    let troubles = plan::troubles(&dice);
    let mut world = World {
        simulation: Simulation::new(dice.seed()),
        storage: SimStorage::new(dice.seed()),
        model: Arc::default(),
        dice,
        tell,
    };
    for _ in 0..world.dice.between(1, 5) {
        let plan = LifePlan::draw(&world.dice, &troubles);
        world.live(&plan);
    }
    world.live(&LifePlan::calm(&world.dice));
    // All that was told is still so after a clean close.
    world.live(&LifePlan {
        producers: 0,
        readers: 0,
        groups: 0,
        ..LifePlan::calm(&world.dice)
    });
    let counts = world.model.lock().unwrap().counts.clone();
    Outcome {
        seed,
        trace: world.simulation.trace_hash(),
        time: world.simulation.clock().monotonic(),
        digest: world.storage.digest(),
        counts,
    }
}

struct World {
    simulation: Simulation,
    storage: SimStorage,
    model: Arc<Mutex<Model>>,
    dice: Dice,
    tell: bool,
}

impl World {
    /// One life: opens the folder, checks it, lets clients use it, ends.
    fn live(&mut self, plan: &LifePlan) {
        self.count("lives");
        self.tell(|| format!("{plan:?}"));
        let env = self.simulation.env(Arc::new(self.storage.clone()));
        if let Some(cluster) = self.open(plan, &env) {
            let life = Life {
                cluster,
                model: Arc::clone(&self.model),
                calm: plan.trouble == Trouble::Nothing,
            };
            self.use_cluster(plan, &life);
            if matches!(plan.ending, Ending::Close | Ending::CloseAndPowerLoss) {
                self.close(plan, &life.cluster);
            }
        }
        self.end(plan);
    }

    /// Opens the folder and holds it to the model.
    fn open(&self, plan: &LifePlan, env: &Env) -> Option<Cluster> {
        let faults = match plan.at_open {
            true => plan.faults(&self.dice, self.storage.bytes()),
            false => Faults::default(),
        };
        self.storage.set_faults(faults);
        let config = plan::broker(&self.dice);
        let opening = Cluster::builder().env(env.clone()).broker(config);
        match self.block_on(opening.open("data")) {
            Ok(cluster) => {
                self.storage.set_faults(Faults::default());
                self.block_on(self.audit(&cluster));
                Some(cluster)
            }
            Err(error) => {
                let troubled = plan.at_open && plan.trouble != Trouble::Nothing;
                let kind = matches!(error.kind(), ErrorKind::Io | ErrorKind::KafkaStorageError);
                assert!(
                    troubled && (kind || is_power_loss(&error)),
                    "the folder does not open: {error}"
                );
                self.count("openings failed");
                self.tell(|| format!("not opened: {error}"));
                None
            }
        }
    }

    /// Clients use the cluster until its time is over.
    fn use_cluster(&self, plan: &LifePlan, life: &Life) {
        let writes_fail = matches!(plan.trouble, Trouble::Full | Trouble::Write | Trouble::Read);
        life.model().writes_fail = writes_fail;
        let faults = plan.faults(&self.dice, self.storage.bytes());
        self.tell(|| format!("{faults:?}"));
        self.storage.set_faults(faults);
        let mut actors = future::join_all(self.spawn(plan, life));
        let calm = plan.millis == u64::MAX;
        let time = if calm {
            PATIENCE
        } else {
            Duration::from_millis(plan.millis)
        };
        let clock = self.simulation.clock();
        let timer = clock.sleep_until(clock.monotonic() + time);
        let ended = self.block_on(async {
            matches!(future::select(&mut actors, timer).await, Either::Left(_))
        });
        assert!(
            ended || !calm,
            "clients do not end although nothing is wrong"
        );
        if matches!(plan.trouble, Trouble::Full | Trouble::Read) {
            self.storage.set_faults(Faults::default());
            if !ended {
                let timer = clock.sleep_until(clock.monotonic() + PATIENCE);
                let ended = self.block_on(async {
                    matches!(future::select(&mut actors, timer).await, Either::Left(_))
                });
                assert!(
                    ended,
                    "clients do not end although {:?} is over",
                    plan.trouble
                );
            }
            self.block_on(takes_writes(life));
        }
    }

    fn spawn(&self, plan: &LifePlan, life: &Life) -> Vec<impl Future<Output = ()> + use<>> {
        let spawner = &life.cluster.env().spawner;
        let mut handles: Vec<TaskHandle> = Vec::new();
        let dice = || self.dice.fork();
        for _ in 0..plan.producers {
            let actor = actors::produce(life.clone(), dice());
            handles.push(spawner.spawn("producing actor", Box::pin(actor)));
        }
        for _ in 0..plan.readers {
            let actor = actors::read(life.clone(), dice());
            handles.push(spawner.spawn("reading actor", Box::pin(actor)));
        }
        for group in GROUPS.iter().take(plan.groups) {
            let actor = actors::follow(life.clone(), dice(), (*group).to_owned());
            handles.push(spawner.spawn("group actor", Box::pin(actor)));
        }
        let admin = actors::administer(life.clone(), dice());
        handles.push(spawner.spawn("admin actor", Box::pin(admin)));
        handles.into_iter().map(TaskHandle::join).collect()
    }

    fn close(&self, plan: &LifePlan, cluster: &Cluster) {
        match self.block_on(cluster.close()) {
            Ok(()) => self.count("closed in order"),
            Err(error) => {
                let troubled = !matches!(plan.trouble, Trouble::Nothing | Trouble::Full);
                assert!(troubled, "the cluster does not close: {error}");
                self.tell(|| format!("not closed: {error}"));
            }
        }
    }

    /// Ends the process, and perhaps the machine.
    fn end(&mut self, plan: &LifePlan) {
        let closed = plan.ending == Ending::CloseAndPowerLoss;
        let dark = !self.storage.is_powered() || plan.ending == Ending::PowerLoss || closed;
        let next = if dark {
            self.count("power losses");
            self.model.lock().unwrap().power_lost = true;
            self.storage.after_power_loss(self.dice.seed())
        } else {
            self.count("kills");
            self.storage.after_kill()
        };
        self.simulation.crash();
        self.storage = next;
    }

    /// Holds an opened folder to the model, and takes over what was unknown.
    async fn audit(&self, cluster: &Cluster) {
        let admin = cluster.admin();
        let listed = admin.list_topics().await.unwrap();
        topics_invariant::check(&mut self.model.lock().unwrap(), &listed);
        let power_lost = self.model.lock().unwrap().power_lost;
        for topic in &listed {
            for number in 0..topic.partitions {
                let found = self.recovered(cluster, topic.name.as_str(), number).await;
                let mut model = self.model.lock().unwrap();
                acknowledged::check(&found, power_lost);
                order::check(&found);
                log_start::check(&found);
                prefix::check(&found, &model);
                model.count("partitions checked", 1);
                model.count("records checked", found.records.len() as u64);
                let known = model.topic_mut(topic.name.as_str()).unwrap();
                let log = known.log_mut(number);
                // What recovery found it has made durable.
                log.seen = found.records.into_iter().collect();
                (log.written_end, log.synced_end) = (found.end, found.end);
                log.starts = (found.start, log.starts.1.max(found.start));
            }
        }
        for group in GROUPS {
            let mut found = BTreeMap::new();
            for (at, committed) in admin.group_offsets(group).await.unwrap() {
                let key = (at.topic.as_str().to_owned(), at.partition.value());
                found.insert(key, committed.offset.value());
            }
            groups::check(&mut self.model.lock().unwrap(), group, &found);
        }
        self.model.lock().unwrap().power_lost = false;
    }

    /// Reads a whole partition; once more when retention was at work meanwhile.
    async fn recovered(&self, cluster: &Cluster, name: &str, number: i32) -> Recovered {
        loop {
            if let Some(recovered) = self.read_whole(cluster, name, number).await {
                return recovered;
            }
        }
    }

    async fn read_whole(&self, cluster: &Cluster, name: &str, number: i32) -> Option<Recovered> {
        let admin = cluster.admin();
        let at = partition(name, number);
        let start = admin.list_offset(&at, OffsetSpec::Earliest).await.unwrap();
        let end = admin.list_offset(&at, OffsetSpec::Latest).await.unwrap();
        let consumer = cluster.consumer::<String, String>();
        let consumer = consumer.auto_offset_reset(AutoOffsetReset::None);
        let from = [(at.clone(), start.offset)];
        let mut consumer = consumer.assign_at(from).await.unwrap();
        let mut records = Vec::new();
        while consumer.position(&at).unwrap_or_default() < end.offset {
            let batch = match consumer.poll(Duration::from_secs(10)).await {
                Ok(batch) => batch,
                Err(error) if error.kind() == ErrorKind::OffsetOutOfRange => return None,
                Err(error) => panic!("{at} cannot be read: {error}"),
            };
            let position = consumer.position(&at).unwrap_or(Offset(-1));
            assert!(
                !batch.is_empty(),
                "{at} gives nothing at {position} of {end:?}"
            );
            let model = self.model.lock().unwrap();
            for record in batch {
                let id = model.identify(name, number, &record.value);
                records.push((record.offset.value(), id));
            }
        }
        let model = self.model.lock().unwrap();
        let topic = model.topic(name).unwrap();
        Some(Recovered {
            name: name.to_owned(),
            partition: number,
            incarnation: topic.incarnation,
            retained: topic.retained,
            told: topic.log(number),
            start: start.offset.value(),
            end: end.offset.value(),
            records,
        })
    }

    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self.simulation.block_on(future) {
            Ok(output) => output,
            Err(stuck) => panic!("the simulation is stuck: {stuck}"),
        }
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.tell {
            let time = self.simulation.clock().monotonic();
            println!("sim: at {time:?}: {}", what());
        }
    }

    fn count(&self, what: &'static str) {
        self.model.lock().unwrap().count(what, 1);
    }
}

/// Once a full disk has space again, a partition takes writes again.
async fn takes_writes(life: &Life) {
    let Some(name) = life.model().existing().first().cloned() else {
        return;
    };
    let mut refused: Option<Error> = None;
    for _ in 0..20 {
        let producer = life.cluster.producer::<str, str>(&name).acks(Acks::All);
        let producer = producer.build().await.unwrap();
        let id = actors::probe(life, &name);
        let record = crate::model::value(id, 10);
        match producer.send("probe", &record).await {
            Ok(ack) => {
                life.model().acknowledged(id, &ack);
                return;
            }
            Err(error) => {
                life.model().failed(id);
                refused = Some(error);
            }
        }
        life.sleep(Duration::from_millis(200)).await;
    }
    panic!("no write is taken although nothing is wrong any more: {refused:?}");
}
