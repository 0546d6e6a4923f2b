//! [`KGroupedStream`]: records grouped by key, to be aggregated.

use std::any::{TypeId, type_name};
use std::sync::{Arc, OnceLock};

use headwater_core::serdes::Data;

use super::builder::Declared;
use super::options::{Grouped, Materialized};
use super::table::KTable;
use crate::operator::{count, repartition, sink, source};
use crate::serdes::Serde;
use crate::store::{KeyValueStore, StoreId};
use crate::topology::{Graph, Kind, NodeId, OutKind, StoreSpec};

/// Records grouped by their keys.
#[derive(Debug)]
pub struct KGroupedStream<K: ?Sized, V: ?Sized> {
    declared: Declared,
    node: NodeId,
    repartition: bool,
    grouped: Grouped<K, V>,
    /// The source behind the repartition topic of a named grouping, which all its tables read.
    shared: OnceLock<NodeId>,
}

impl<K: ?Sized + 'static, V: ?Sized + 'static> KGroupedStream<K, V> {
    pub(crate) fn new(
        declared: Declared,
        node: NodeId,
        repartition: bool,
        grouped: Grouped<K, V>,
    ) -> Self {
        Self {
            declared,
            node,
            repartition,
            grouped,
            shared: OnceLock::new(),
        }
    }

    /// Counts the records of each key in the store of this name. Records without a key or a value
    /// are dropped and counted as dropped.
    ///
    /// A count's timestamp is the largest of its records'. When a crash interrupts a commit, the
    /// records since the last one are counted again: counts are at least once.
    ///
    /// ```
    /// # let builder = headwater_streams::StreamsBuilder::new();
    /// # let words = builder.stream::<(), str>("words");
    /// let grouped = words.group_by_ref(|_, word| word);
    /// let counts = grouped.count("word-counts");
    /// # builder.build().unwrap();
    /// ```
    pub fn count(&self, store: impl Into<Materialized<K, u64>>) -> KTable<K, u64>
    where
        u64: Data,
    {
        let store = store.into().store;
        let graph = &mut self.declared.lock().graph;
        let name = graph.naming.generate("KSTREAM-AGGREGATE-");
        let parent = if self.repartition {
            self.through_repartition_topic(graph, &store)
        } else {
            self.node
        };
        let id = StoreId(graph.stores.len());
        let changelog = graph.out(&format!("{store}-changelog"), OutKind::Changelog);
        graph.stores.push(StoreSpec {
            name: store,
            changelog,
            make: Arc::new(|| Box::new(KeyValueStore::<u64>::new(Serde::of()))),
            key_type: (TypeId::of::<K>(), type_name::<K>()),
            value_type: (TypeId::of::<u64>(), type_name::<u64>()),
        });
        let (key, value) = (self.grouped.key.clone(), self.grouped.value.clone());
        let factory = count::factory(id, key, value);
        let node = graph.add(name, Kind::Processor, &[parent], factory);
        graph.nodes[node.0].stores.push(id);
        KTable::new(self.declared.clone(), node)
    }

    /// Adds the topic that brings equal keys to one task: filter, sink and source, named for the
    /// grouping, or for the store when the grouping has no name. Tables of one named grouping share
    /// its topic.
    fn through_repartition_topic(&self, graph: &mut Graph, store: &str) -> NodeId {
        // Kafka uses up three numbers here; so do we, that the names after it agree.
        for prefix in ["KSTREAM-SINK-", "KSTREAM-FILTER-", "KSTREAM-SOURCE-"] {
            graph.naming.generate(prefix);
        }
        let Some(name) = &self.grouped.name else {
            return self.repartition_topic(graph, store);
        };
        *(self.shared).get_or_init(|| self.repartition_topic(graph, name))
    }

    fn repartition_topic(&self, graph: &mut Graph, name: &str) -> NodeId {
        let topic = format!("{name}-repartition");
        let (key, value) = (&self.grouped.key, &self.grouped.value);
        let filter = graph.add(
            format!("{topic}-filter"),
            Kind::Processor,
            &[self.node],
            repartition::filter::<K, V>(key.clone()),
        );
        let out = graph.out(&topic, OutKind::Repartition);
        graph.add(
            format!("{topic}-sink"),
            Kind::Sink(out),
            &[filter],
            sink::factory(out, key.clone(), value.clone()),
        );
        let source = Kind::Source {
            topics: vec![topic.clone()],
            repartition: true,
        };
        let factory = source::factory(key.clone(), value.clone());
        graph.add(format!("{topic}-source"), source, &[], factory)
    }
}
