//! The broker: topics with their settings, produce and fetch, offsets, groups.
//!
//! ```text
//!   Broker      produce   fetch (long poll)   list offsets   retention (task)
//!     |
//!   topics ---- catalog (one file), topic_config (the table of settings)
//!     |
//!   groups ---- group: pure state machines; offsets in __consumer_offsets
//!     |
//!   log         partitions
//! ```

mod broker_node;
mod catalog;
mod config;
mod fetch;
mod group;
mod groups;
mod offload;
#[cfg(test)]
mod tests;
pub mod topic_config;
mod topics;

pub use broker_node::Broker;
pub use config::BrokerConfig;
use offload::{offload, offload_async};
