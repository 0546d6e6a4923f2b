//! [`TopologyTestDriver`]: pipes one record after the other through a topology.

use std::any::{TypeId, type_name};
use std::collections::{BTreeMap, VecDeque};
use std::marker::PhantomData;
use std::time::Duration;

use headwater_core::record::{
    BatchBuilder, BatchHeader, BatchOptions, Batches, HeadersBuf, Scratch, assign,
};
use headwater_core::serdes::Data;
use headwater_core::types::{LeaderEpoch, Partition, Timestamp, TopicName, TopicPartition};
use headwater_core::{Error, ErrorKind, Result};

use super::input_topic::InputTopic;
use super::output_topic::{OutputTopic, RawRecord};
use crate::runtime::{Collector, Input, Sealed, Task, TaskId};
use crate::serdes::Serde;
use crate::store::{Entries, StoreId};
use crate::topology::{Kind, OutKind, Topology};

/// Runs a topology in the test itself: a record goes in, its results are there.
///
/// Every topic has one partition. Each record is followed by a commit; table changes come at once,
/// as with a cache of size 0 ([`TopologyTestDriver::with_cache`] says otherwise); what goes through
/// a repartition topic comes out of it before the call returns. The clock stands at 0 until
/// [`TopologyTestDriver::advance`] moves it.
#[derive(Debug)]
pub struct TopologyTestDriver {
    topology: Topology,
    tasks: Vec<Task>,
    collector: Collector,
    outputs: BTreeMap<String, VecDeque<RawRecord>>,
    clock: Timestamp,
    write_back: bool,
}

impl TopologyTestDriver {
    /// Makes one task for each sub-topology.
    ///
    /// # Panics
    /// When the topology has an invalid topic name, which `build` refuses.
    #[must_use]
    pub fn new(topology: Topology) -> Self {
        let name = |name: &str| TopicName::new(name).unwrap_or_else(|error| panic!("{error}"));
        let subs = 0..topology.subs.len();
        let tasks = subs.map(|sub| {
            let mut inputs = Vec::new();
            for (source, id) in topology.subs[sub].sources.iter().enumerate() {
                if let Kind::Source {
                    topics,
                    repartition,
                } = &topology.graph.node(*id).kind
                {
                    inputs.extend(topics.iter().map(|topic| {
                        let partition = TopicPartition::new(name(topic), Partition(0));
                        Input::new(partition, source, *repartition)
                    }));
                }
            }
            let partition = Partition(0);
            Task::new(&topology, TaskId { sub, partition }, inputs)
        });
        let tasks = tasks.collect();
        let outs = topology.graph.outs.iter().map(|out| (name(&out.topic), 1));
        Self {
            tasks,
            collector: Collector::new(outs.collect(), usize::MAX, usize::MAX),
            outputs: BTreeMap::new(),
            clock: Timestamp(0),
            write_back: false,
            topology,
        }
    }

    /// Holds table changes back until the commit after each record, as applications with a cache
    /// do: of several changes of a key that one record makes, the last one comes.
    #[must_use]
    pub fn with_cache(mut self) -> Self {
        self.write_back = true;
        self
    }

    /// The way into a topic that the topology reads.
    pub fn input(&mut self, topic: &str) -> InputTopic<'_> {
        InputTopic::new(self, topic)
    }

    /// What the topology wrote to a topic and nobody has read yet.
    ///
    /// # Panics
    /// When the topology does not write the topic.
    pub fn output<K: ?Sized + Data, V: ?Sized + Data>(
        &mut self,
        topic: &str,
    ) -> OutputTopic<'_, K, V> {
        let written = self.written_topics();
        assert!(
            written.iter().any(|known| known == topic),
            "the topology writes {written:?}, not {topic}"
        );
        OutputTopic::new(self.outputs.entry(topic.to_owned()).or_default())
    }

    /// The topics of the user that the topology writes.
    #[must_use]
    pub fn written_topics(&self) -> Vec<String> {
        let outs = self.topology.graph.outs.iter();
        let of_user = outs.filter(|out| out.kind == OutKind::User);
        of_user.map(|out| out.topic.clone()).collect()
    }

    /// A state store.
    ///
    /// # Panics
    /// When there is no such store, or it has other types; the message says which there are.
    #[must_use]
    pub fn store<K: ?Sized + Data, V: Data + Clone>(&self, name: &str) -> StoreView<'_, K, V> {
        let stores = &self.topology.graph.stores;
        let Some(number) = stores.iter().position(|spec| spec.name == name) else {
            let names: Vec<&str> = stores.iter().map(|spec| spec.name.as_str()).collect();
            panic!("there is no store {name}; there are {names:?}");
        };
        let spec = &stores[number];
        assert!(
            spec.key_type.0 == TypeId::of::<K>() && spec.value_type.0 == TypeId::of::<V>(),
            "store {name} is a <{}, {}>, not a <{}, {}>",
            spec.key_type.1,
            spec.value_type.1,
            type_name::<K>(),
            type_name::<V>()
        );
        StoreView {
            driver: self,
            id: StoreId(number),
            types: PhantomData,
        }
    }

    /// Moves the clock, which gives [`Sending::now`](super::Sending::now) its time.
    pub fn advance(&mut self, duration: Duration) {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        self.clock = Timestamp(self.clock.0.saturating_add(millis));
    }

    /// The time of the clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock
    }

    /// How many records operators dropped because they could not use them.
    #[must_use]
    pub fn dropped_records(&self) -> u64 {
        self.tasks.iter().map(Task::dropped).sum()
    }

    /// Pipes one record in and everything that follows from it through.
    pub(super) fn pipe(
        &mut self,
        topic: &str,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &HeadersBuf,
    ) -> Result<()> {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder.append(timestamp, key, value, headers.as_headers())?;
        let batch = builder.finish()?;
        if !self.deliver(topic, &batch)? {
            let inputs = self.tasks.iter().flat_map(|task| &task.inputs);
            let read = inputs.map(|input| input.partition.topic.as_str());
            let message = format!(
                "the topology does not read topic {topic}; it reads {:?}",
                read.collect::<Vec<_>>()
            );
            return Err(Error::new(ErrorKind::UnknownTopicOrPartition, message));
        }
        // A repartition topic leads to a later task at last: the graph has no cycles.
        while self.run_tasks()? {}
        Ok(())
    }

    /// Puts a batch behind what its topic holds; false when no task reads the topic.
    fn deliver(&mut self, topic: &str, batch: &[u8]) -> Result<bool> {
        let inputs = self.tasks.iter_mut().flat_map(|task| &mut task.inputs);
        let mut delivered = false;
        for input in inputs.filter(|input| input.partition.topic.as_str() == topic) {
            let mut bytes = batch.to_vec();
            let header = BatchHeader::parse(&bytes)?;
            assign(
                &mut bytes,
                &header,
                input.fetch_from(),
                LeaderEpoch(0),
                None,
            );
            input.push(bytes.into())?;
            delivered = true;
        }
        Ok(delivered)
    }

    /// Lets every task work once; whether that wrote to a repartition topic.
    fn run_tasks(&mut self) -> Result<bool> {
        for task in &mut self.tasks {
            task.process(&mut self.collector, self.write_back)?;
            task.flush(&mut self.collector, self.write_back)?;
        }
        self.collector.seal_all()?;
        let mut again = false;
        for sealed in self.collector.take_sealed() {
            match self.topology.graph.outs[sealed.out.0].kind {
                OutKind::User => self.keep(&sealed)?,
                OutKind::Repartition => {
                    let topic = sealed.partition.topic.as_str();
                    again |= self.deliver(topic, &sealed.batch)?;
                }
                OutKind::Changelog => {}
            }
        }
        Ok(again)
    }

    /// Keeps what a sink wrote until the test reads it.
    fn keep(&mut self, sealed: &Sealed) -> Result<()> {
        let topic = sealed.partition.topic.as_str().to_owned();
        let queue = self.outputs.entry(topic).or_default();
        for batch in Batches::new(&sealed.batch) {
            let mut scratch = Scratch::new();
            for record in batch?.records(&mut scratch)? {
                queue.push_back(RawRecord::of(&record?));
            }
        }
        Ok(())
    }
}

/// A look into a store.
#[derive(Debug)]
pub struct StoreView<'a, K: ?Sized, V> {
    driver: &'a TopologyTestDriver,
    id: StoreId,
    types: PhantomData<fn(&K, &V)>,
}

impl<K: ?Sized + Data, V: Data + Clone + Send> StoreView<'_, K, V> {
    /// The value of a key.
    ///
    /// # Panics
    /// When the key's serde refuses the key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<V> {
        let mut bytes = Vec::new();
        let written = Serde::<K>::of().write(key, &mut bytes);
        written.unwrap_or_else(|error| panic!("the serde refuses the key: {error}"));
        let mut stores = self
            .driver
            .tasks
            .iter()
            .filter_map(|task| task.store(self.id));
        let found = stores.next()?.get(&bytes).downcast::<Option<V>>().ok()?;
        *found
    }

    /// All entries with their timestamps, in the order of their keys' bytes.
    ///
    /// # Panics
    /// When the key's serde refuses the bytes of a key.
    #[must_use]
    pub fn entries(&self) -> Vec<(K::Owned, V, Timestamp)>
    where
        K: ToOwned,
    {
        let mut reader = Serde::<K>::of().reader();
        let mut stores = self
            .driver
            .tasks
            .iter()
            .filter_map(|task| task.store(self.id));
        let entries = stores
            .next()
            .map(|store| store.entries().downcast::<Entries<V>>());
        let Some(Ok(entries)) = entries else {
            return Vec::new();
        };
        let decode = |(key, value, timestamp): (Box<[u8]>, V, Timestamp)| {
            let key = reader.read(&key).map(ToOwned::to_owned);
            let key = key.unwrap_or_else(|error| panic!("the serde refuses a key: {error}"));
            (key, value, timestamp)
        };
        entries.into_iter().map(decode).collect()
    }
}
