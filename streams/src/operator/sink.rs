//! `to`: encodes records and appends them to the open batch of their partition.

use std::sync::Arc;

use headwater_core::Result;

use super::Factory;
use crate::processor::{BoxNode, Context, Node, Record};
use crate::serdes::Serde;
use crate::topology::{OutId, make};

pub(crate) fn factory<K: ?Sized + 'static, V: ?Sized + 'static>(
    out: OutId,
    key: Serde<K>,
    value: Serde<V>,
) -> Factory {
    make::<BoxNode<K, V>>(move |instances, id| {
        Box::new(Sink {
            name: instances.name(id),
            out,
            key: Encoder::new(&key),
            value: Encoder::new(&value),
        })
    })
}

struct Sink<K: ?Sized, V: ?Sized> {
    name: Arc<str>,
    out: OutId,
    key: Encoder<K>,
    value: Encoder<V>,
}

impl<K: ?Sized + 'static, V: ?Sized + 'static> Node<K, V> for Sink<K, V> {
    #[inline]
    fn process(&mut self, cx: &mut Context<'_>, record: Record<'_, K, V>) -> Result<()> {
        let key = self.key.encode(&self.name, "key", cx, record.key)?;
        let value = self.value.encode(&self.name, "value", cx, record.value)?;
        let Record {
            timestamp, headers, ..
        } = record;
        cx.collector
            .append(self.out, None, timestamp, key, value, headers)
    }

    fn flush(&mut self, _: &mut Context<'_>) -> Result<()> {
        Ok(())
    }
}

/// A serde with room for the bytes of one key or value.
pub(crate) struct Encoder<T: ?Sized> {
    serde: Serde<T>,
    bytes: Vec<u8>,
}

impl<T: ?Sized + 'static> Encoder<T> {
    pub(crate) fn new(serde: &Serde<T>) -> Self {
        Self {
            serde: serde.clone(),
            bytes: Vec::new(),
        }
    }

    /// The bytes of `value`; none when it is missing, or its serde writes it as Kafka's null.
    #[inline]
    pub(crate) fn encode(
        &mut self,
        operator: &str,
        what: &str,
        cx: &Context<'_>,
        value: Option<&T>,
    ) -> Result<Option<&[u8]>> {
        let Some(value) = value.filter(|value| !self.serde.is_null(value)) else {
            return Ok(None);
        };
        self.bytes.clear();
        match self.serde.write(value, &mut self.bytes) {
            Ok(()) => Ok(Some(&self.bytes)),
            Err(cause) => Err(cx.refused(operator, what, cause)),
        }
    }
}
