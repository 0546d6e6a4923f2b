//! `map`, `map_values`, `map_values_ref` and `select_key`: one record in, one record out.

use std::marker::PhantomData;
use std::sync::Arc;

use headwater_core::Result;

use super::Factory;
use crate::error::BoxError;
use crate::processor::{BoxNode, Children, Context, Node, Record};
use crate::topology::make;

/// A new key and a new value.
pub(crate) fn map<K, V, K2, V2, F>(mapper: F) -> Factory
where
    K: ?Sized + 'static,
    V: ?Sized + 'static,
    K2: 'static,
    V2: 'static,
    F: Fn(Option<&K>, &V) -> Result<(K2, V2), BoxError> + Send + Sync + 'static,
{
    node::<K, V, K2, V2, _>(move |name, cx, record, children| {
        let Some(value) = record.value else {
            cx.drop_record();
            return Ok(());
        };
        let mapped = mapper(record.key, value);
        let (key, value) = mapped.map_err(|cause| cx.failed(name, cause))?;
        children.forward(cx, record.with_key(Some(&key)).with_value(Some(&value)))
    })
}

/// A new value.
pub(crate) fn map_values<K, V, V2, F>(mapper: F) -> Factory
where
    K: ?Sized + 'static,
    V: ?Sized + 'static,
    V2: 'static,
    F: Fn(Option<&K>, &V) -> Result<V2, BoxError> + Send + Sync + 'static,
{
    node::<K, V, K, V2, _>(move |name, cx, record, children| {
        let Some(value) = record.value else {
            return children.forward(cx, record.with_value(None));
        };
        let mapped = mapper(record.key, value);
        let value = mapped.map_err(|cause| cx.failed(name, cause))?;
        children.forward(cx, record.with_value(Some(&value)))
    })
}

/// A value lent from the old one.
pub(crate) fn map_values_ref<K, V, V2>(
    mapper: impl for<'a> Fn(&'a V) -> &'a V2 + Send + Sync + 'static,
) -> Factory
where
    K: ?Sized + 'static,
    V: ?Sized + 'static,
    V2: ?Sized + 'static,
{
    node::<K, V, K, V2, _>(move |_, cx, record, children| {
        children.forward(cx, record.with_value(record.value.map(&mapper)))
    })
}

/// A new key.
pub(crate) fn select_key<K, V, K2, F>(selector: F) -> Factory
where
    K: ?Sized + 'static,
    V: ?Sized + 'static,
    K2: 'static,
    F: Fn(Option<&K>, &V) -> K2 + Send + Sync + 'static,
{
    node::<K, V, K2, V, _>(move |_, cx, record, children| {
        let Some(value) = record.value else {
            cx.drop_record();
            return Ok(());
        };
        let key = selector(record.key, value);
        children.forward(cx, record.with_key(Some(&key)))
    })
}

/// A key lent from the record.
pub(crate) fn select_key_ref<K, V, K2>(
    selector: impl for<'a> Fn(Option<&'a K>, &'a V) -> &'a K2 + Send + Sync + 'static,
) -> Factory
where
    K: ?Sized + 'static,
    V: ?Sized + 'static,
    K2: ?Sized + 'static,
{
    node::<K, V, K2, V, _>(move |_, cx, record, children| {
        let Some(value) = record.value else {
            cx.drop_record();
            return Ok(());
        };
        let key = selector(record.key, value);
        children.forward(cx, record.with_key(Some(key)))
    })
}

/// The factory of a node that does `step` with each record.
fn node<K, V, K2, V2, F>(step: F) -> Factory
where
    K: ?Sized + 'static,
    V: ?Sized + 'static,
    K2: ?Sized + 'static,
    V2: ?Sized + 'static,
    F: Fn(&str, &mut Context<'_>, Record<'_, K, V>, &mut Children<BoxNode<K2, V2>>) -> Result<()>
        + Send
        + Sync
        + 'static,
{
    let step = Arc::new(step);
    make::<BoxNode<K, V>>(move |instances, id| {
        Box::new(Map {
            name: instances.name(id),
            step: Arc::clone(&step),
            children: instances.children::<BoxNode<K2, V2>>(id),
            input: PhantomData,
        })
    })
}

struct Map<K: ?Sized, V: ?Sized, K2: ?Sized, V2: ?Sized, F> {
    name: Arc<str>,
    step: Arc<F>,
    children: Children<BoxNode<K2, V2>>,
    input: PhantomData<fn(&K, &V)>,
}

impl<K, V, K2, V2, F> Node<K, V> for Map<K, V, K2, V2, F>
where
    K: ?Sized,
    V: ?Sized,
    K2: ?Sized,
    V2: ?Sized,
    F: Fn(&str, &mut Context<'_>, Record<'_, K, V>, &mut Children<BoxNode<K2, V2>>) -> Result<()>
        + Send
        + Sync,
{
    #[inline]
    fn process(&mut self, cx: &mut Context<'_>, record: Record<'_, K, V>) -> Result<()> {
        (self.step)(&self.name, cx, record, &mut self.children)
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.children.flush(cx)
    }
}
