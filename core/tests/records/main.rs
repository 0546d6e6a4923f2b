//! Record batches of stock clients, and of an independent codec, read and written.

mod fixtures;
mod kafka_protocol;
