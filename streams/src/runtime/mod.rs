//! What runs a topology: tasks on a stream thread, over the client seam of a cluster.
//!
//! ```text
//!   app        Streams, its handle: names, topics, start, stop
//!     thread   one loop: fetch, process, produce; commands from handles
//!       commit, restore     the order of a commit; state read back from changelogs
//!       task                one (sub-topology, partition): inputs, nodes, stores
//!       collector           open batches of everything that tasks write
//! ```

mod collector;
mod input;
mod task;

pub use crate::config::StreamsConfig;

pub(crate) use collector::{Collector, Sealed};
pub(crate) use input::Input;
pub(crate) use task::{Task, TaskId};
