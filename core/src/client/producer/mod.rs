//! The producer: records go into batches, batches into the cluster.

pub mod partitioner;
