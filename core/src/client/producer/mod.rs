//! The producer: records go into batches, batches into the cluster.
//!
//! ```text
//!   send()  --encode-->  open batch of a partition  --full, lingered, flushed-->  a call
//!     |                                                                             |
//!   Sending  <------------------- one completion for all records of a batch  <------+
//! ```

mod accumulator;
mod completion;
mod config;
pub mod partitioner;
mod producer_client;
mod record;
mod sender;
mod sending;

pub use config::ProducerConfig;
pub use producer_client::{Producer, ProducerBuilder};
pub use record::ProducerRecord;
pub use sending::{Ack, Delivery, Sending};
