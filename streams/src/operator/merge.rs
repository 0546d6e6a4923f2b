//! `merge`: a node with several parents.
//!
//! Each parent owns its children, so what lies below a merge is kept by the task instead, and
//! each parent gets a node that takes it for the time of a record.

use std::marker::PhantomData;

use headwater_core::Result;

use super::Factory;
use crate::processor::{BoxNode, Children, Context, Node, Record};
use crate::topology::{NodeId, make};

pub(crate) fn factory<K: ?Sized + 'static, V: ?Sized + 'static>() -> Factory {
    make::<BoxNode<K, V>>(|instances, id| {
        instances.joint::<BoxNode<K, V>>(id);
        Box::new(Merge {
            id,
            types: PhantomData,
        })
    })
}

struct Merge<K: ?Sized, V: ?Sized> {
    id: NodeId,
    types: PhantomData<fn(&K, &V)>,
}

impl<K: ?Sized + 'static, V: ?Sized + 'static> Node<K, V> for Merge<K, V> {
    fn process(&mut self, cx: &mut Context<'_>, record: Record<'_, K, V>) -> Result<()> {
        let mut children = cx.take_joint::<Children<BoxNode<K, V>>>(self.id);
        let result = children.forward(cx, record);
        cx.put_joint(self.id, children);
        result
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let mut children = cx.take_joint::<Children<BoxNode<K, V>>>(self.id);
        let result = children.flush(cx);
        cx.put_joint(self.id, children);
        result
    }
}
