//! `filter` and `filter_not`.

use std::sync::Arc;

use headwater_core::Result;

use super::Factory;
use crate::error::Outcome;
use crate::processor::{BoxNode, Children, Context, Node, Record};
use crate::topology::make;

/// Keeps the records for which the predicate says `wanted`.
pub(crate) fn factory<K, V, F, O>(predicate: F, wanted: bool) -> Factory
where
    K: ?Sized + 'static,
    V: ?Sized + 'static,
    F: Fn(Option<&K>, &V) -> O + Send + Sync + 'static,
    O: Outcome<bool>,
{
    let predicate = Arc::new(predicate);
    make::<BoxNode<K, V>>(move |instances, id| {
        Box::new(Filter {
            name: instances.name(id),
            predicate: Arc::clone(&predicate),
            wanted,
            children: instances.children::<BoxNode<K, V>>(id),
        })
    })
}

struct Filter<K: ?Sized, V: ?Sized, F> {
    name: Arc<str>,
    predicate: Arc<F>,
    wanted: bool,
    children: Children<BoxNode<K, V>>,
}

impl<K, V, F, O> Node<K, V> for Filter<K, V, F>
where
    K: ?Sized,
    V: ?Sized,
    F: Fn(Option<&K>, &V) -> O + Send + Sync,
    O: Outcome<bool>,
{
    #[inline]
    fn process(&mut self, cx: &mut Context<'_>, record: Record<'_, K, V>) -> Result<()> {
        let accepted = match record.value {
            Some(value) => (self.predicate)(record.key, value)
                .outcome()
                .map_err(|cause| cx.failed(&self.name, cause))?,
            None => false,
        };
        if accepted == self.wanted {
            self.children.forward(cx, record)?;
        }
        Ok(())
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.children.flush(cx)
    }
}
