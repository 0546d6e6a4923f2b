//! [`KStream`]: an unending stream of records, and its verbs.

use std::fmt;
use std::marker::PhantomData;

use headwater_core::serdes::Data;

use super::builder::Declared;
use super::grouped::KGroupedStream;
use super::options::{Grouped, Produced};
use crate::error::{BoxError, Outcome, invalid_topology};
use crate::operator::flat_map::Emit;
use crate::operator::{filter, flat_map, map, merge, peek, sink};
use crate::topology::{Kind, NodeId, OutKind};

/// A stream of records with keys `K` and values `V`, which may be unsized (`str`, `[u8]`).
///
/// A handle on a place in the program: use it twice, and both uses get every record.
pub struct KStream<K: ?Sized, V: ?Sized> {
    declared: Declared,
    node: NodeId,
    /// Whether keys may have changed since the records were partitioned, so that grouping by key
    /// needs a repartition topic.
    rekeyed: bool,
    types: PhantomData<fn(&K, &V)>,
}

impl<K: ?Sized + 'static, V: ?Sized + 'static> KStream<K, V> {
    pub(crate) fn new(declared: Declared, node: NodeId, rekeyed: bool) -> Self {
        Self {
            declared,
            node,
            rekeyed,
            types: PhantomData,
        }
    }

    /// Keeps the records that the predicate accepts. A record without a value is dropped.
    ///
    /// ```
    /// # let builder = headwater_streams::StreamsBuilder::new();
    /// # let words = builder.stream::<(), str>("words");
    /// words.filter(|_, word| word.len() > 3).to("long-words");
    /// # builder.build().unwrap();
    /// ```
    pub fn filter<O: Outcome<bool>>(
        &self,
        predicate: impl Fn(Option<&K>, &V) -> O + Send + Sync + 'static,
    ) -> Self {
        let factory = filter::factory(predicate, true);
        let node = self.declared.add("KSTREAM-FILTER-", self.node, factory);
        Self::new(self.declared.clone(), node, self.rekeyed)
    }

    /// Drops the records that the predicate accepts. A record without a value is kept.
    ///
    /// ```
    /// # let builder = headwater_streams::StreamsBuilder::new();
    /// # let words = builder.stream::<(), str>("words");
    /// words.filter_not(|_, word| word.is_empty()).to("words-without-gaps");
    /// # builder.build().unwrap();
    /// ```
    pub fn filter_not<O: Outcome<bool>>(
        &self,
        predicate: impl Fn(Option<&K>, &V) -> O + Send + Sync + 'static,
    ) -> Self {
        let factory = filter::factory(predicate, false);
        let node = self.declared.add("KSTREAM-FILTER-", self.node, factory);
        Self::new(self.declared.clone(), node, self.rekeyed)
    }

    /// Makes a new key and a new value of each record. A record without a value is dropped and
    /// counted.
    ///
    /// ```
    /// # let builder = headwater_streams::StreamsBuilder::new();
    /// # let words = builder.stream::<(), str>("words");
    /// let lengths = words.map(|_, word| (word.len() as u64, word.to_owned()));
    /// lengths.to("words-by-length");
    /// # builder.build().unwrap();
    /// ```
    pub fn map<K2: 'static, V2: 'static>(
        &self,
        mapper: impl Fn(Option<&K>, &V) -> (K2, V2) + Send + Sync + 'static,
    ) -> KStream<K2, V2> {
        let factory = map::map(move |key: Option<&K>, value: &V| Ok(mapper(key, value)));
        let node = self.declared.add("KSTREAM-MAP-", self.node, factory);
        KStream::new(self.declared.clone(), node, true)
    }

    /// [`KStream::map`] with a closure that may fail.
    pub fn try_map<K2: 'static, V2: 'static, E: Into<BoxError>>(
        &self,
        mapper: impl Fn(Option<&K>, &V) -> Result<(K2, V2), E> + Send + Sync + 'static,
    ) -> KStream<K2, V2> {
        let factory =
            map::map(move |key: Option<&K>, value: &V| mapper(key, value).map_err(Into::into));
        let node = self.declared.add("KSTREAM-MAP-", self.node, factory);
        KStream::new(self.declared.clone(), node, true)
    }

    /// Makes a new value of each value. A record without a value passes as it is.
    ///
    /// ```
    /// # let builder = headwater_streams::StreamsBuilder::new();
    /// # let words = builder.stream::<(), str>("words");
    /// words.map_values(|word| word.to_uppercase()).to("loud-words");
    /// # builder.build().unwrap();
    /// ```
    pub fn map_values<V2: 'static>(
        &self,
        mapper: impl Fn(&V) -> V2 + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        self.mapped(map::map_values(move |_: Option<&K>, value: &V| {
            Ok(mapper(value))
        }))
    }

    /// [`KStream::map_values`] with a closure that may fail.
    pub fn try_map_values<V2: 'static, E: Into<BoxError>>(
        &self,
        mapper: impl Fn(&V) -> Result<V2, E> + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        self.mapped(map::map_values(move |_: Option<&K>, value: &V| {
            mapper(value).map_err(Into::into)
        }))
    }

    /// [`KStream::map_values`] with a closure that sees the key as well.
    ///
    /// ```
    /// # let builder = headwater_streams::StreamsBuilder::new();
    /// # let words = builder.stream::<str, str>("words");
    /// let pairs = words.map_values_with_key(|key, word| format!("{}={word}", key.unwrap_or("?")));
    /// pairs.to("pairs");
    /// # builder.build().unwrap();
    /// ```
    pub fn map_values_with_key<V2: 'static>(
        &self,
        mapper: impl Fn(Option<&K>, &V) -> V2 + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        self.mapped(map::map_values(move |key: Option<&K>, value: &V| {
            Ok(mapper(key, value))
        }))
    }

    /// [`KStream::map_values`] with a closure that lends a part of the value, as in
    /// `|line| line.trim()`: nothing is copied.
    pub fn map_values_ref<V2: ?Sized + 'static>(
        &self,
        mapper: impl for<'a> Fn(&'a V) -> &'a V2 + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        self.mapped(map::map_values_ref::<K, V, V2>(mapper))
    }

    fn mapped<V2: ?Sized + 'static>(
        &self,
        factory: std::sync::Arc<dyn std::any::Any + Send + Sync>,
    ) -> KStream<K, V2> {
        let node = self.declared.add("KSTREAM-MAPVALUES-", self.node, factory);
        KStream::new(self.declared.clone(), node, self.rekeyed)
    }

    /// Makes any number of values of each value: the closure emits them one by one, and lends
    /// them. A record without a value gives nothing.
    ///
    /// ```
    /// # let builder = headwater_streams::StreamsBuilder::new();
    /// # let lines = builder.stream::<(), str>("lines");
    /// let words = lines.flat_map_values(|line, out| {
    ///     line.split(' ').for_each(|word| out.emit(word));
    /// });
    /// # words.to("words");
    /// ```
    pub fn flat_map_values<V2: ?Sized + 'static, O: Outcome<()>>(
        &self,
        mapper: impl Fn(&V, &mut Emit<'_, V2>) -> O + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        let factory = flat_map::values::<K, V, V2, O>(mapper);
        let node = self
            .declared
            .add("KSTREAM-FLATMAPVALUES-", self.node, factory);
        KStream::new(self.declared.clone(), node, self.rekeyed)
    }

    /// Gives each record a new key. A record without a value is dropped and counted.
    ///
    /// ```
    /// # let builder = headwater_streams::StreamsBuilder::new();
    /// # let words = builder.stream::<(), str>("words");
    /// words.select_key(|_, word| word.len() as u64).to("words-by-length");
    /// # builder.build().unwrap();
    /// ```
    pub fn select_key<K2: 'static>(
        &self,
        selector: impl Fn(Option<&K>, &V) -> K2 + Send + Sync + 'static,
    ) -> KStream<K2, V> {
        let factory = map::select_key(selector);
        let node = self.declared.add("KSTREAM-KEY-SELECT-", self.node, factory);
        KStream::new(self.declared.clone(), node, true)
    }

    /// Groups by a new key. The records go through a repartition topic, so that equal keys meet
    /// in one task. A record without a value is dropped and counted.
    ///
    /// ```
    /// # let builder = headwater_streams::StreamsBuilder::new();
    /// # let words = builder.stream::<(), str>("words");
    /// words.group_by(|_, word| word.len() as u64).count("lengths");
    /// # builder.build().unwrap();
    /// ```
    pub fn group_by<K2: Data>(
        &self,
        selector: impl Fn(Option<&K>, &V) -> K2 + Send + Sync + 'static,
    ) -> KGroupedStream<K2, V>
    where
        V: Data,
    {
        self.group_by_with(Grouped::unnamed(), selector)
    }

    /// [`KStream::group_by`] with a name or serdes.
    pub fn group_by_with<K2: 'static>(
        &self,
        grouped: impl Into<Grouped<K2, V>>,
        selector: impl Fn(Option<&K>, &V) -> K2 + Send + Sync + 'static,
    ) -> KGroupedStream<K2, V> {
        self.grouped(grouped.into(), map::select_key(selector))
    }

    /// [`KStream::group_by`] with a key lent from the record, as in `|_, word| word`.
    ///
    /// ```
    /// # let builder = headwater_streams::StreamsBuilder::new();
    /// # let words = builder.stream::<(), str>("words");
    /// words.group_by_ref(|_, word| word).count("word-counts");
    /// # builder.build().unwrap();
    /// ```
    pub fn group_by_ref<K2: ?Sized + Data>(
        &self,
        selector: impl for<'a> Fn(Option<&'a K>, &'a V) -> &'a K2 + Send + Sync + 'static,
    ) -> KGroupedStream<K2, V>
    where
        V: Data,
    {
        self.group_by_ref_with(Grouped::unnamed(), selector)
    }

    /// [`KStream::group_by_ref`] with a name or serdes.
    pub fn group_by_ref_with<K2: ?Sized + 'static>(
        &self,
        grouped: impl Into<Grouped<K2, V>>,
        selector: impl for<'a> Fn(Option<&'a K>, &'a V) -> &'a K2 + Send + Sync + 'static,
    ) -> KGroupedStream<K2, V> {
        self.grouped(grouped.into(), map::select_key_ref::<K, V, K2>(selector))
    }

    /// Groups by the key as it is; through a repartition topic only if keys may have changed.
    ///
    /// ```
    /// # let builder = headwater_streams::StreamsBuilder::new();
    /// # let words = builder.stream::<str, str>("words");
    /// words.group_by_key().count("words-of-each-key");
    /// # builder.build().unwrap();
    /// ```
    pub fn group_by_key(&self) -> KGroupedStream<K, V>
    where
        K: Data,
        V: Data,
    {
        self.group_by_key_with(Grouped::unnamed())
    }

    /// [`KStream::group_by_key`] with a name or serdes.
    pub fn group_by_key_with(&self, grouped: impl Into<Grouped<K, V>>) -> KGroupedStream<K, V> {
        let grouped = grouped.into();
        KGroupedStream::new(self.declared.clone(), self.node, self.rekeyed, grouped)
    }

    fn grouped<K2: ?Sized + 'static>(
        &self,
        grouped: Grouped<K2, V>,
        factory: std::sync::Arc<dyn std::any::Any + Send + Sync>,
    ) -> KGroupedStream<K2, V> {
        let node = {
            let graph = &mut self.declared.lock().graph;
            let name = (graph.naming).choose(grouped.name.as_deref(), "KSTREAM-KEY-SELECT-");
            graph.add(name, Kind::Processor, &[self.node], factory)
        };
        KGroupedStream::new(self.declared.clone(), node, true, grouped)
    }

    /// The records of both streams, in no order between the two.
    ///
    /// ```
    /// # let builder = headwater_streams::StreamsBuilder::new();
    /// # let words = builder.stream::<(), str>("words");
    /// let more = builder.stream("more-words");
    /// words.merge(&more).to("all-words");
    /// # builder.build().unwrap();
    /// ```
    pub fn merge(&self, other: &Self) -> Self {
        let node = {
            let graph = &mut self.declared.lock().graph;
            let name = graph.naming.generate("KSTREAM-MERGE-");
            let parents: &[NodeId] = if !self.declared.is(&other.declared) {
                graph.faults.push(invalid_topology(format!(
                    "{name} merges streams of two builders: declare both on one"
                )));
                &[self.node]
            } else if self.node == other.node {
                &[self.node]
            } else {
                &[self.node, other.node]
            };
            graph.add(name, Kind::Processor, parents, merge::factory::<K, V>())
        };
        let rekeyed = self.rekeyed || other.rekeyed;
        Self::new(self.declared.clone(), node, rekeyed)
    }

    /// Looks at each record on its way. The closure is not called for a record without a value.
    ///
    /// ```
    /// # let builder = headwater_streams::StreamsBuilder::new();
    /// # let words = builder.stream::<(), str>("words");
    /// words.peek(|_, word| println!("{word}")).to("seen-words");
    /// # builder.build().unwrap();
    /// ```
    pub fn peek<O: Outcome<()>>(
        &self,
        look: impl Fn(Option<&K>, &V) -> O + Send + Sync + 'static,
    ) -> Self {
        let factory = peek::factory(look);
        let node = self.declared.add("KSTREAM-PEEK-", self.node, factory);
        Self::new(self.declared.clone(), node, self.rekeyed)
    }

    /// Calls the closure for each record that has a value, and ends there.
    ///
    /// After a crash, records since the last commit come again.
    ///
    /// ```
    /// # let builder = headwater_streams::StreamsBuilder::new();
    /// # let words = builder.stream::<(), str>("words");
    /// words.for_each(|_, word| println!("{word}"));
    /// # builder.build().unwrap();
    /// ```
    pub fn for_each<O: Outcome<()>>(
        &self,
        action: impl Fn(Option<&K>, &V) -> O + Send + Sync + 'static,
    ) {
        let factory = peek::factory(action);
        self.declared.add("KSTREAM-FOREACH-", self.node, factory);
    }

    /// Writes each record to a topic: by its key to the same partition that a producer chooses.
    ///
    /// ```
    /// # let builder = headwater_streams::StreamsBuilder::new();
    /// # let words = builder.stream::<(), str>("words");
    /// words.to("words-again");
    /// # builder.build().unwrap();
    /// ```
    pub fn to(&self, topic: impl Into<Produced<K, V>>) {
        let produced = topic.into();
        let graph = &mut self.declared.lock().graph;
        let name = (graph.naming).choose(produced.name.as_deref(), "KSTREAM-SINK-");
        let out = graph.out(&produced.topic, OutKind::User);
        let factory = sink::factory(out, produced.key, produced.value);
        graph.add(name, Kind::Sink(out), &[self.node], factory);
    }
}

impl<K: ?Sized, V: ?Sized> Clone for KStream<K, V> {
    fn clone(&self) -> Self {
        Self {
            declared: self.declared.clone(),
            node: self.node,
            rekeyed: self.rekeyed,
            types: PhantomData,
        }
    }
}

impl<K: ?Sized, V: ?Sized> fmt::Debug for KStream<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let declared = self.declared.lock();
        let (key, value) = (std::any::type_name::<K>(), std::any::type_name::<V>());
        let name = &declared.graph.node(self.node).name;
        write!(f, "KStream<{key}, {value}>({name})")
    }
}
