//! `count`: adds one to its key's entry in the store.
//!
//! With a write-back cache the changes wait in the store; the commit hands the latest value of
//! each changed key to the operators below. Without one, each change goes down at once.

use std::sync::Arc;

use headwater_core::Result;
use headwater_core::record::Headers;

use super::Factory;
use super::sink::Encoder;
use crate::processor::{BoxNode, BoxTableNode, Change, Children, Context, Node, Record};
use crate::serdes::{Reader, Serde};
use crate::store::{KeyValueStore, StoreId};
use crate::topology::make;

pub(crate) fn factory<K: ?Sized + 'static, V: ?Sized + 'static>(
    store: StoreId,
    key: Serde<K>,
    value: Serde<V>,
) -> Factory {
    make::<BoxNode<K, V>>(move |instances, id| {
        Box::new(Count {
            name: instances.name(id),
            store,
            encoder: Encoder::new(&key),
            reader: key.reader(),
            value: value.clone(),
            children: instances.children::<BoxTableNode<K, u64>>(id),
        })
    })
}

struct Count<K: ?Sized, V: ?Sized> {
    name: Arc<str>,
    store: StoreId,
    encoder: Encoder<K>,
    reader: Box<dyn Reader<K>>,
    value: Serde<V>,
    children: Children<BoxTableNode<K, u64>>,
}

impl<K: ?Sized + 'static, V: ?Sized + 'static> Node<K, V> for Count<K, V> {
    #[inline]
    fn process(&mut self, cx: &mut Context<'_>, record: Record<'_, K, V>) -> Result<()> {
        let valued = record.value.is_some_and(|value| !self.value.is_null(value));
        let key = self.encoder.encode(&self.name, "key", cx, record.key)?;
        let (Some(bytes), Some(key), true) = (key, record.key, valued) else {
            cx.drop_record();
            return Ok(());
        };
        let hold = cx.write_back;
        let store = cx.store::<KeyValueStore<u64>>(self.store);
        let mut old = None;
        let (count, timestamp) = store.update(bytes, record.timestamp, hold, |count| {
            old = *count;
            *count = Some(count.unwrap_or(0) + 1);
        });
        let new = count.copied();
        if hold {
            return Ok(());
        }
        let change = Change {
            key,
            old: old.as_ref(),
            new: new.as_ref(),
            timestamp,
            headers: record.headers,
        };
        self.children.forward_change(cx, change)
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<()> {
        // Below a merge there are several ways here: each change goes down on the first.
        let mut store = cx.take_store::<KeyValueStore<u64>>(self.store);
        let result = store.hand_on(|key, old, new, timestamp| {
            let key = (self.reader.read(key))
                .map_err(|cause| cx.refused(&self.name, "key of its store", cause))?;
            let change = Change {
                key,
                old,
                new,
                timestamp,
                headers: Headers::EMPTY,
            };
            self.children.forward_change(cx, change)
        });
        cx.put_store(self.store, store);
        result?;
        self.children.flush_tables(cx)
    }
}
