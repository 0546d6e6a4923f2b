//! From the calls of the DSL to what runs: the logical graph, its names, its sub-topologies.
//!
//! ```text
//!   Graph (what was declared, with factories)  --build-->  Topology (checked, split at
//!   repartition topics into sub-topologies)    --for each (sub-topology, partition)-->  a task
//! ```

mod build;
mod describe;
mod graph;
mod instances;
mod naming;

pub(crate) use build::SubTopology;
pub use build::Topology;
pub(crate) use graph::{Graph, Kind, NodeId, Out, OutId, OutKind, StoreSpec};
pub(crate) use instances::{Instances, make};
