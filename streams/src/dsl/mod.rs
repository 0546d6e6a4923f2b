//! What programs are written in: streams and tables, and their verbs.
//!
//! Closures get what they need by reference. A closure that takes a value is not called for a
//! record without one (Kafka's null): each verb says what happens to such a record. A type with a
//! place for null (`Option<T>`) sees it as a value of its own.

mod builder;
mod grouped;
mod options;
mod stream;
mod table;

pub use builder::StreamsBuilder;
pub use grouped::KGroupedStream;
pub use options::{Consumed, Grouped, Materialized, Produced};
pub use stream::KStream;
pub use table::KTable;
