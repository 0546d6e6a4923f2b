//! An event log and a stream processor in one library: Kafka's log and Kafka Streams, in your
//! process.
//!
//! A program opens a folder and has topics, producers, consumers and topologies as plain async
//! calls. Names, formats and semantics are Kafka's wherever Kafka has them.
//!
//! | to | begin with |
//! |---|---|
//! | hold a log | [`Cluster`] |
//! | send records | [`Producer`](client::producer::Producer) |
//! | read records | [`Consumer`](client::consumer::Consumer) |
//! | compute over topics | [`StreamsBuilder`](streams::StreamsBuilder) |
//! | run a topology | [`Streams`](streams::Streams) |
//! | test a topology | [`TopologyTestDriver`](streams::TopologyTestDriver) |
//! | make topics, see what there is | [`Admin`](client::Admin) |
//! | store a type of your own | [`stored_as_json!`], [`stored_as_bincode!`] |
//! | understand what went wrong | [`Error`], [`ErrorKind`] |
//!
//! ```
//! use headwater::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Order { product: String, pieces: u32 }
//! stored_as_bincode!(Order);
//!
//! # async fn run() -> headwater::Result<()> {
//! let cluster = Cluster::memory(); // or Cluster::open("data").await?
//! let orders = cluster.producer::<str, Order>("orders").build().await?;
//! # drop(orders);
//! # Ok(())
//! # }
//! ```

pub use headwater_core::client::Cluster;
pub use headwater_core::{Error, ErrorKind, Result};
pub use headwater_core::{client, env, error, record, serdes, storage, types};
pub use headwater_core::{stored_as_bincode, stored_as_json};
pub use headwater_streams as streams;

/// What most programs use: `use headwater::prelude::*`.
pub mod prelude {
    pub use crate::client::consumer::{AutoOffsetReset, Consumer, ConsumerConfig, ConsumerRecord};
    pub use crate::client::producer::{Ack, Producer, ProducerConfig, ProducerRecord};
    pub use crate::client::{Acks, Admin, Cluster, IsolationLevel, NewTopic, OffsetSpec};
    pub use crate::serdes::Data;
    pub use crate::streams::{Consumed, Grouped, KStream, KTable, Materialized, Produced};
    pub use crate::streams::{Emit, Streams, StreamsBuilder, StreamsConfig, Topology};
    pub use crate::streams::{StreamsHandle, TopologyTestDriver};
    pub use crate::types::{Offset, Partition, Timestamp, TopicName, TopicPartition};
    pub use crate::{stored_as_bincode, stored_as_json};
}
