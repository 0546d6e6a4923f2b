//! `flat_map_values`: one record in, any number out.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use headwater_core::Result;

use super::Factory;
use crate::error::Outcome;
use crate::processor::{BoxNode, Children, Context, Node, Record};
use crate::topology::make;

/// Where a closure puts its results, one by one; each is lent for the time of the call.
pub struct Emit<'a, T: ?Sized>(&'a mut dyn FnMut(&T));

impl<T: ?Sized> Emit<'_, T> {
    /// Hands on one result.
    #[inline]
    pub fn emit(&mut self, result: &T) {
        (self.0)(result);
    }
}

impl<T: ?Sized> fmt::Debug for Emit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Emit<{}>", std::any::type_name::<T>())
    }
}

/// New values.
pub(crate) fn values<K, V, V2, O>(
    mapper: impl Fn(&V, &mut Emit<'_, V2>) -> O + Send + Sync + 'static,
) -> Factory
where
    K: ?Sized + 'static,
    V: ?Sized + 'static,
    V2: ?Sized + 'static,
    O: Outcome<()>,
{
    let mapper = Arc::new(mapper);
    make::<BoxNode<K, V>>(move |instances, id| {
        Box::new(FlatMapValues {
            name: instances.name(id),
            mapper: Arc::clone(&mapper),
            children: instances.children::<BoxNode<K, V2>>(id),
            input: PhantomData,
        })
    })
}

struct FlatMapValues<K: ?Sized, V: ?Sized, V2: ?Sized, F> {
    name: Arc<str>,
    mapper: Arc<F>,
    children: Children<BoxNode<K, V2>>,
    input: PhantomData<fn(&V)>,
}

impl<K, V, V2, F, O> Node<K, V> for FlatMapValues<K, V, V2, F>
where
    K: ?Sized,
    V: ?Sized,
    V2: ?Sized,
    F: Fn(&V, &mut Emit<'_, V2>) -> O + Send + Sync,
    O: Outcome<()>,
{
    fn process(&mut self, cx: &mut Context<'_>, record: Record<'_, K, V>) -> Result<()> {
        let Some(value) = record.value else {
            return Ok(());
        };
        let children = &mut self.children;
        // The first failure below ends the forwarding; the closure runs to its end in any case.
        let mut forwarded = Ok(());
        let mut forward = |result: &V2| {
            if forwarded.is_ok() {
                forwarded = children.forward(cx, record.with_value(Some(result)));
            }
        };
        let outcome = (self.mapper)(value, &mut Emit(&mut forward)).outcome();
        forwarded?;
        outcome.map_err(|cause| cx.failed(&self.name, cause))
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.children.flush(cx)
    }
}
