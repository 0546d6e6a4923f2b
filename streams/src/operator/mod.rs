//! One file per operator: its node and the factory that the graph holds.

pub(crate) mod count;
pub(crate) mod filter;
pub(crate) mod flat_map;
pub(crate) mod map;
pub(crate) mod merge;
pub(crate) mod peek;
pub(crate) mod repartition;
pub(crate) mod sink;
pub(crate) mod source;
pub(crate) mod to_stream;

use std::any::Any;
use std::sync::Arc;

/// The factory of an operator, its type hidden.
pub(crate) type Factory = Arc<dyn Any + Send + Sync>;
