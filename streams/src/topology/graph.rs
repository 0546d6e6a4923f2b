//! The logical graph: every operator that the program declared, in order, with its factory.

use std::any::{Any, TypeId};
use std::sync::Arc;

use headwater_core::Error;

use super::naming::Naming;
use crate::store::{StateStore, StoreId};

/// A node of the graph, numbered in the order of declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub(crate) usize);

/// A topic that the topology writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OutId(pub(crate) usize);

/// What was declared so far.
#[derive(Clone, Default)]
pub(crate) struct Graph {
    pub(crate) naming: Naming,
    pub(crate) nodes: Vec<GraphNode>,
    pub(crate) stores: Vec<StoreSpec>,
    pub(crate) outs: Vec<Out>,
    /// What is wrong with the declarations; the first is what `build` reports.
    pub(crate) faults: Vec<Error>,
}

/// One operator.
#[derive(Clone)]
pub(crate) struct GraphNode {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) parents: Vec<NodeId>,
    pub(crate) children: Vec<NodeId>,
    pub(crate) stores: Vec<StoreId>,
    /// Its factory, an [`Arc`] of `super::instances::Make<N>` for its own type of node.
    pub(super) factory: Arc<dyn Any + Send + Sync>,
}

/// What an operator is to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It reads topics.
    Source {
        /// Their names; of a repartition topic the name without the application's id.
        topics: Vec<String>,
        /// Whether the topic is the application's own.
        repartition: bool,
    },
    /// It reads and writes no topic.
    Processor,
    /// It writes a topic.
    Sink(OutId),
}

/// A topic that the topology writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Out {
    /// Its name; of an internal topic the name without the application's id.
    pub(crate) topic: String,
    pub(crate) kind: OutKind,
}

/// Whose topic it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutKind {
    /// The user's.
    User,
    /// The application's, between two sub-topologies.
    Repartition,
    /// The application's, for a store.
    Changelog,
}

/// A state store that tasks make.
#[derive(Clone)]
pub(crate) struct StoreSpec {
    pub(crate) name: String,
    pub(crate) changelog: OutId,
    pub(crate) make: Arc<dyn Fn() -> Box<dyn StateStore> + Send + Sync>,
    pub(crate) key_type: (TypeId, &'static str),
    pub(crate) value_type: (TypeId, &'static str),
}

impl Graph {
    /// Adds an operator below `parents`.
    pub(crate) fn add(
        &mut self,
        name: String,
        kind: Kind,
        parents: &[NodeId],
        factory: Arc<dyn Any + Send + Sync>,
    ) -> NodeId {
        let id = NodeId(self.nodes.len());
        for parent in parents {
            if let Some(parent) = self.nodes.get_mut(parent.0) {
                parent.children.push(id);
            }
        }
        self.nodes.push(GraphNode {
            name,
            kind,
            parents: parents.to_vec(),
            children: Vec::new(),
            stores: Vec::new(),
            factory,
        });
        id
    }

    /// The topic to write, the same for all who write it.
    pub(crate) fn out(&mut self, topic: &str, kind: OutKind) -> OutId {
        let out = Out {
            topic: topic.to_owned(),
            kind,
        };
        let known = self.outs.iter().position(|o| *o == out);
        OutId(known.unwrap_or_else(|| {
            self.outs.push(out);
            self.outs.len() - 1
        }))
    }

    /// A node of this graph.
    pub(crate) fn node(&self, id: NodeId) -> &GraphNode {
        &self.nodes[id.0]
    }

    /// The nodes with their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &GraphNode)> {
        self.nodes.iter().enumerate().map(|(i, n)| (NodeId(i), n))
    }
}
