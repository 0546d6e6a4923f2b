//! The nodes below a node.

use headwater_core::Result;

use super::{Change, Context, Node, Record, TableNode};

/// One operator over a stream, its type hidden.
pub(crate) type BoxNode<K, V> = Box<dyn Node<K, V>>;

/// One operator over a table, its type hidden.
pub(crate) type BoxTableNode<K, V> = Box<dyn TableNode<K, V>>;

/// The nodes that get a node's results, in the order in which they were declared.
pub(crate) struct Children<N>(Vec<N>);

impl<N> Children<N> {
    pub(crate) fn new(nodes: Vec<N>) -> Self {
        Self(nodes)
    }
}

impl<K: ?Sized, V: ?Sized> Children<BoxNode<K, V>> {
    /// Hands a record to each child in turn.
    #[inline]
    pub(crate) fn forward(&mut self, cx: &mut Context<'_>, record: Record<'_, K, V>) -> Result<()> {
        for child in &mut self.0 {
            child.process(cx, record)?;
        }
        Ok(())
    }

    /// Flushes each child in turn.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.0.iter_mut().try_for_each(|child| child.flush(cx))
    }
}

impl<K: ?Sized, V: ?Sized> Children<BoxTableNode<K, V>> {
    /// Hands a change to each child in turn.
    #[inline]
    pub(crate) fn forward_change(
        &mut self,
        cx: &mut Context<'_>,
        change: Change<'_, K, V>,
    ) -> Result<()> {
        for child in &mut self.0 {
            child.process(cx, change)?;
        }
        Ok(())
    }

    /// Flushes each child in turn.
    pub(crate) fn flush_tables(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.0.iter_mut().try_for_each(|child| child.flush(cx))
    }
}
