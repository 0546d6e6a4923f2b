//! `to_stream`: a table's changes as records.

use headwater_core::Result;

use super::Factory;
use crate::processor::{BoxNode, BoxTableNode, Change, Children, Context, Record, TableNode};
use crate::topology::make;

pub(crate) fn factory<K: ?Sized + 'static, V: ?Sized + 'static>() -> Factory {
    make::<BoxTableNode<K, V>>(|instances, id| {
        Box::new(ToStream(instances.children::<BoxNode<K, V>>(id)))
    })
}

struct ToStream<K: ?Sized, V: ?Sized>(Children<BoxNode<K, V>>);

impl<K: ?Sized, V: ?Sized> TableNode<K, V> for ToStream<K, V> {
    #[inline]
    fn process(&mut self, cx: &mut Context<'_>, change: Change<'_, K, V>) -> Result<()> {
        debug_assert!(
            change.old.is_some() || change.new.is_some(),
            "a key that was not there and is not there has not changed"
        );
        let record = Record {
            key: Some(change.key),
            value: change.new,
            timestamp: change.timestamp,
            headers: change.headers,
        };
        self.0.forward(cx, record)
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.0.flush(cx)
    }
}
