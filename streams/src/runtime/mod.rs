//! What runs a topology: tasks on a stream thread, over the client seam of a cluster.
//!
//! ```text
//!   app        Streams, its handle: names, topics, start, stop
//!     running  the applications of this process, each once a cluster
//!     thread   one loop: fetch, process, produce; commands from handles
//!       commit, restore     the order of a commit; state read back from changelogs
//!       task                one (sub-topology, partition): inputs, nodes, stores
//!       collector           open batches of everything that tasks write
//! ```

mod app;
mod collector;
mod commit;
mod input;
mod patience;
mod query;
mod restore;
mod running;
mod task;
mod thread;
mod topics;

pub use crate::config::StreamsConfig;
pub use app::{Streams, StreamsHandle};
pub use query::ReadOnlyKeyValueStore;

pub(crate) use collector::{Collector, Sealed};
pub(crate) use input::Input;
pub(crate) use task::{Task, TaskId};
