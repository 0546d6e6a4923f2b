//! Headwater's core: the partitioned log, the broker and the client API.
//!
//! ```text
//!     client      Producer, Consumer, Admin over a Cluster       (what users hold)
//!       |
//!     broker      topics, produce, fetch, offsets, groups        (behind client::embedded)
//!       |
//!     log         partitions: segments, indexes, journal, recovery
//!       |
//!   record   storage    record batches; files behind a trait
//!       \     /
//!   types  request  error  env   numbers with meaning; errors; clock, storage, random, spawner
//! ```
//!
//! An arrow points down only; `tests/tidy.rs` of the workspace checks it.

pub mod bounded;
pub mod broker;
pub mod client;
mod cursor;
pub mod env;
pub mod error;
pub mod log;
pub mod record;
pub mod request;
pub mod serdes;
pub mod storage;
mod sync;
pub mod types;

pub use error::{Error, ErrorKind, Result};
