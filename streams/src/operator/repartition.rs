//! The filter before a repartition topic: a record without a key belongs to no group.

use headwater_core::Result;

use super::Factory;
use crate::processor::{BoxNode, Children, Context, Node, Record};
use crate::serdes::Serde;
use crate::topology::make;

pub(crate) fn filter<K: ?Sized + 'static, V: ?Sized + 'static>(key: Serde<K>) -> Factory {
    make::<BoxNode<K, V>>(move |instances, id| {
        Box::new(RepartitionFilter {
            key: key.clone(),
            children: instances.children::<BoxNode<K, V>>(id),
        })
    })
}

struct RepartitionFilter<K: ?Sized, V: ?Sized> {
    key: Serde<K>,
    children: Children<BoxNode<K, V>>,
}

impl<K: ?Sized + 'static, V: ?Sized> Node<K, V> for RepartitionFilter<K, V> {
    #[inline]
    fn process(&mut self, cx: &mut Context<'_>, record: Record<'_, K, V>) -> Result<()> {
        match record.key {
            Some(key) if !self.key.is_null(key) => self.children.forward(cx, record),
            _ => Ok(()),
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.children.flush(cx)
    }
}
