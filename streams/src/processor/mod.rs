//! What an operator is at run time: a typed node that gets records and hands them to its children.
//!
//! ```text
//!   RawNode (source)  ->  Node<K, V>  ->  Node<K, V2>  ->  ...  ->  sink
//!                                  \->  aggregate  ->  TableNode<K, A>  ->  ...
//! ```
//!
//! A record travels depth-first and by reference through one boxed node an operator. Nodes are
//! made for each task by the factories in the logical graph, so that no two tasks share one.

mod children;
mod context;
mod record;

pub(crate) use children::{BoxNode, BoxTableNode, Children};
pub(crate) use context::{Context, Joints, Stores};
pub(crate) use record::{Change, Record};

use headwater_core::Result;
use headwater_core::record::Record as RawRecord;

/// An operator over a stream.
pub(crate) trait Node<K: ?Sized, V: ?Sized>: Send {
    /// Takes one record and hands its results to the children.
    fn process(&mut self, cx: &mut Context<'_>, record: Record<'_, K, V>) -> Result<()>;

    /// Hands on what was held back for the commit, then flushes the children.
    fn flush(&mut self, cx: &mut Context<'_>) -> Result<()>;
}

/// An operator over a table.
pub(crate) trait TableNode<K: ?Sized, V: ?Sized>: Send {
    /// Takes one change and hands its results to the children.
    fn process(&mut self, cx: &mut Context<'_>, change: Change<'_, K, V>) -> Result<()>;

    /// Hands on what was held back for the commit, then flushes the children.
    fn flush(&mut self, cx: &mut Context<'_>) -> Result<()>;
}

/// The root of a task's nodes: it takes records as they lie in the log.
pub(crate) trait RawNode: Send {
    /// Decodes one record and hands it to the children.
    fn process(&mut self, cx: &mut Context<'_>, record: &RawRecord<'_>) -> Result<()>;

    /// Flushes the children.
    fn flush(&mut self, cx: &mut Context<'_>) -> Result<()>;
}
