//! Where records enter: decodes key and value and lends them to the first operators.

use std::sync::Arc;

use headwater_core::Result;
use headwater_core::record::Record as RawRecord;

use super::Factory;
use crate::processor::{BoxNode, Children, Context, RawNode, Record};
use crate::serdes::{Reader, Serde};
use crate::topology::make;

/// The boxed root of a task's nodes.
pub(crate) type BoxSource = Box<dyn RawNode>;

pub(crate) fn factory<K: ?Sized + 'static, V: ?Sized + 'static>(
    key: Serde<K>,
    value: Serde<V>,
) -> Factory {
    make::<BoxSource>(move |instances, id| {
        Box::new(Source {
            name: instances.name(id),
            key: key.reader(),
            value: value.reader(),
            children: instances.children::<BoxNode<K, V>>(id),
        })
    })
}

struct Source<K: ?Sized, V: ?Sized> {
    name: Arc<str>,
    key: Box<dyn Reader<K>>,
    value: Box<dyn Reader<V>>,
    children: Children<BoxNode<K, V>>,
}

impl<K: ?Sized, V: ?Sized> RawNode for Source<K, V> {
    #[inline]
    fn process(&mut self, cx: &mut Context<'_>, record: &RawRecord<'_>) -> Result<()> {
        let key = self.key.read_nullable(record.key);
        let key = key.map_err(|cause| cx.refused(&self.name, "key", cause))?;
        let value = self.value.read_nullable(record.value);
        let value = value.map_err(|cause| cx.refused(&self.name, "value", cause))?;
        let record = Record {
            key,
            value,
            timestamp: record.timestamp,
            headers: record.headers,
        };
        self.children.forward(cx, record)
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.children.flush(cx)
    }
}
