//! The consumer: from a place in the log to records of the user's types.
//!
//! ```text
//!   heartbeats (task) --must join-->  join  -->  positions  -->  fetch  -->  decode  --> records
//!                                       ^        committed,       |
//!                                       |        or by policy     |
//!                                       +--- automatic commit <---+
//! ```

mod assignment;
mod builder;
mod config;
mod consumer_client;
mod decode;
mod group;
mod reader;
mod record;

pub use builder::ConsumerBuilder;
pub use config::{AutoOffsetReset, ConsumerConfig};
pub use consumer_client::Consumer;
pub use record::ConsumerRecord;
