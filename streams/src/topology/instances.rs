//! Makes a task's nodes from the factories in the graph, children first.

use std::any::Any;
use std::sync::Arc;

use super::graph::{Graph, NodeId};
use crate::processor::{Children, Joints};

/// Makes one instance of an operator; `N` is its boxed node type.
type Make<N> = dyn Fn(&mut Instances<'_>, NodeId) -> N + Send + Sync;

struct Factory<N>(Box<Make<N>>);

/// A factory, ready for the graph.
pub(crate) fn make<N: 'static>(
    make: impl Fn(&mut Instances<'_>, NodeId) -> N + Send + Sync + 'static,
) -> Arc<dyn Any + Send + Sync> {
    Arc::new(Factory::<N>(Box::new(make)))
}

/// The instances of one task in the making.
pub(crate) struct Instances<'a> {
    graph: &'a Graph,
    joints: Joints,
}

impl<'a> Instances<'a> {
    pub(crate) fn new(graph: &'a Graph) -> Self {
        Self {
            graph,
            joints: graph.nodes.iter().map(|_| None).collect(),
        }
    }

    /// An instance of the operator `id`.
    pub(crate) fn node<N: 'static>(&mut self, id: NodeId) -> N {
        let Some(factory) = self.graph.node(id).factory.downcast_ref::<Factory<N>>() else {
            unreachable!("the DSL gives an operator children of its own output type");
        };
        factory.0(self, id)
    }

    /// Instances of all children of `id`.
    pub(crate) fn children<N: 'static>(&mut self, id: NodeId) -> Children<N> {
        let children = &self.graph.node(id).children;
        Children::new(children.iter().map(|child| self.node(*child)).collect())
    }

    /// Makes what lies below `id` once, however many parents ask for it.
    pub(crate) fn joint<N: Send + 'static>(&mut self, id: NodeId)
    where
        Children<N>: Send,
    {
        if self.joints.get(id.0).is_some_and(Option::is_none) {
            let children = self.children::<N>(id);
            self.joints[id.0] = Some(Box::new(children));
        }
    }

    /// The joints of the task.
    pub(crate) fn into_joints(self) -> Joints {
        self.joints
    }

    /// The name of an operator, for its errors.
    pub(crate) fn name(&self, id: NodeId) -> Arc<str> {
        self.graph.node(id).name.as_str().into()
    }
}
