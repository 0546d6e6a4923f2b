//! What a node may use while it works: the task's stores and sinks, and where the record is from.

use std::any::Any;

use headwater_core::serdes::SerdeError;
use headwater_core::types::{Offset, TopicPartition};
use headwater_core::{Error, ErrorKind};

use crate::error::{BoxError, Cause};
use crate::runtime::Collector;
use crate::store::{StateStore, StoreId};
use crate::topology::NodeId;

/// A task's stores, by [`StoreId`]; those of other sub-topologies are missing.
pub(crate) type Stores = Vec<Option<Box<dyn StateStore>>>;

/// What lies below a node with several parents, by [`NodeId`].
pub(crate) type Joints = Vec<Option<Box<dyn Any + Send>>>;

/// The surroundings of a node, lent for a run over some records.
pub(crate) struct Context<'a> {
    pub(crate) stores: &'a mut Stores,
    pub(crate) joints: &'a mut Joints,
    pub(crate) collector: &'a mut Collector,
    /// Records that operators could not use: no key where one is needed and such.
    pub(crate) dropped: &'a mut u64,
    /// Whether stores hold changes back until the commit.
    pub(crate) write_back: bool,
    /// Where the current record is from; none while a commit flushes.
    pub(crate) origin: Option<(&'a TopicPartition, Offset)>,
}

impl Context<'_> {
    /// A store of this task.
    #[inline]
    pub(crate) fn store<S: StateStore>(&mut self, id: StoreId) -> &mut S {
        let Some(store) = self.stores.get_mut(id.0).and_then(Option::as_mut) else {
            unreachable!("a task has the stores of its operators");
        };
        let store: &mut dyn Any = store.as_mut();
        let Some(store) = store.downcast_mut() else {
            unreachable!("a store has the type that its operator made it with");
        };
        store
    }

    /// Takes a store out of its place, so that the nodes below may have the context meanwhile;
    /// [`Context::put_store`] puts it back.
    pub(crate) fn take_store<S: StateStore>(&mut self, id: StoreId) -> Box<S> {
        let Some(store) = self.stores.get_mut(id.0).and_then(Option::take) else {
            unreachable!("a task has the stores of its operators, and each is taken once");
        };
        let store: Box<dyn Any> = store;
        let Ok(store) = store.downcast() else {
            unreachable!("a store has the type that its operator made it with");
        };
        store
    }

    /// Puts a store back.
    pub(crate) fn put_store(&mut self, id: StoreId, store: Box<dyn StateStore>) {
        let Some(place) = self.stores.get_mut(id.0) else {
            unreachable!("a store goes back to where it was");
        };
        assert!(place.is_none(), "a store goes back to where it was");
        *place = Some(store);
    }

    /// What lies below the node `id`, which has several parents; taken for the time of a call.
    pub(crate) fn take_joint<N: 'static>(&mut self, id: NodeId) -> Box<N> {
        let Some(joint) = self.joints.get_mut(id.0).and_then(Option::take) else {
            unreachable!("a graph has no cycle, so that a joint is taken once");
        };
        let joint: Box<dyn Any> = joint;
        let Ok(joint) = joint.downcast() else {
            unreachable!("a joint has the type that it was made with");
        };
        joint
    }

    /// Puts a joint back.
    pub(crate) fn put_joint(&mut self, id: NodeId, joint: Box<dyn Any + Send>) {
        if let Some(place) = self.joints.get_mut(id.0) {
            *place = Some(joint);
        }
    }

    /// Counts a record that an operator cannot use.
    #[cold]
    pub(crate) fn drop_record(&mut self) {
        *self.dropped += 1;
    }

    /// The error of `operator` that refuses the current record.
    #[cold]
    pub(crate) fn failed(&self, operator: &str, cause: BoxError) -> Error {
        let error = Error::new(
            ErrorKind::ProcessingFailed,
            format!("operator {operator} failed; the record is not committed and comes again"),
        );
        self.locate(error.source(Cause(cause)))
    }

    /// The error of a key or value that its serde refuses at `operator`.
    #[cold]
    pub(crate) fn refused(&self, operator: &str, what: &str, cause: SerdeError) -> Error {
        let error = Error::new(
            ErrorKind::Serialization,
            format!("operator {operator}: the serde refuses a {what}"),
        );
        self.locate(error.source(cause))
    }

    fn locate(&self, error: Error) -> Error {
        match self.origin {
            Some((partition, offset)) => error.partition(partition).offset(offset),
            None => error,
        }
    }
}
