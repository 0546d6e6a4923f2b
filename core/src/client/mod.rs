//! What users hold: a [`Cluster`], and its producers, consumers and admin.
//!
//! ```text
//!     Producer   Consumer   Admin
//!          \         |        /
//!           Cluster, over the trait ClusterBackend      batch-wise calls
//! ```

mod admin;
mod backend;
mod cluster;
pub mod consumer;
mod embedded;
pub mod producer;
#[cfg(test)]
mod tests;

pub use admin::Admin;
pub use backend::ClusterBackend;
pub use cluster::{Cluster, ClusterBuilder};
pub use embedded::BrokerConfig;

pub use crate::request::{
    Acks, CommittedOffset, ConfigEntry, FetchPartition, FetchRequest, Fetched, IsolationLevel,
    ListedOffset, Membership, NewTopic, OffsetSpec, ProduceRequest, Produced, TopicMetadata,
};
