//! The stream processor: a typed DSL over the log, and the runtime that runs it.
//!
//! ```text
//!   StreamsBuilder, KStream, KTable (dsl)  ->  Graph  ->  Topology (topology)
//!                                                            |
//!             nodes (operator, processor), stores (store)    |  one task for each
//!                                                            |  (sub-topology, partition)
//!                Streams (runtime)   or   TopologyTestDriver (testing)
//! ```
//!
//! Records go through the operators by reference and one by one. Results, changed state and the
//! progress in the input are written at each commit, in this order: processing is at least once.

mod config;
pub mod dsl;
mod error;
mod operator;
mod processor;
mod runtime;
mod serdes;
mod store;
pub mod testing;
mod topology;

pub use dsl::{
    Consumed, Grouped, KGroupedStream, KStream, KTable, Materialized, Produced, StreamsBuilder,
};
pub use error::{BoxError, Outcome};
pub use operator::flat_map::Emit;
pub use runtime::{ReadOnlyKeyValueStore, Streams, StreamsConfig, StreamsHandle};
pub use serdes::Serde;
pub use testing::TopologyTestDriver;
pub use topology::Topology;
