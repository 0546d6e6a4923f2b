//! What users hold: a [`ClusterBackend`] behind `Cluster`, and its producers, consumers and admin.

mod backend;

pub use backend::{
    Acks, ClusterBackend, CommittedOffset, ConfigEntry, FetchPartition, FetchRequest, Fetched,
    IsolationLevel, ListedOffset, Membership, NewTopic, OffsetSpec, ProduceRequest, Produced,
    TopicMetadata,
};
