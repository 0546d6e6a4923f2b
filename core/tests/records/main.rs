//! Record batches of stock clients, and of an independent codec, read and written.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at what it did not foresee"
)]

mod fixtures;
mod kafka_protocol;
