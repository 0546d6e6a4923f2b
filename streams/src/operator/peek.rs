//! `peek` and `for_each`: a closure called for its effect.

use std::sync::Arc;

use headwater_core::Result;

use super::Factory;
use crate::error::Outcome;
use crate::processor::{BoxNode, Children, Context, Node, Record};
use crate::topology::make;

/// Calls the closure and hands the record on; without children (`for_each`) it ends there.
pub(crate) fn factory<K, V, F, O>(look: F) -> Factory
where
    K: ?Sized + 'static,
    V: ?Sized + 'static,
    F: Fn(Option<&K>, &V) -> O + Send + Sync + 'static,
    O: Outcome<()>,
{
    let look = Arc::new(look);
    make::<BoxNode<K, V>>(move |instances, id| {
        Box::new(Peek {
            name: instances.name(id),
            look: Arc::clone(&look),
            children: instances.children::<BoxNode<K, V>>(id),
        })
    })
}

struct Peek<K: ?Sized, V: ?Sized, F> {
    name: Arc<str>,
    look: Arc<F>,
    children: Children<BoxNode<K, V>>,
}

impl<K, V, F, O> Node<K, V> for Peek<K, V, F>
where
    K: ?Sized,
    V: ?Sized,
    F: Fn(Option<&K>, &V) -> O + Send + Sync,
    O: Outcome<()>,
{
    fn process(&mut self, cx: &mut Context<'_>, record: Record<'_, K, V>) -> Result<()> {
        if let Some(value) = record.value {
            let outcome = (self.look)(record.key, value).outcome();
            outcome.map_err(|cause| cx.failed(&self.name, cause))?;
        }
        self.children.forward(cx, record)
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.children.flush(cx)
    }
}
