//! Kafka's record batches, format version 2, byte for byte.
//!
//! ```text
//!   a chunk        batch | batch | batch ...                         Batches
//!   a batch        header (61 bytes) | records, maybe compressed     BatchHeader, Batch
//!   the records    record | record | ...                             Records, Record
//!   a record       length, deltas, key, value, headers               Headers, Header
//! ```
//!
//! [`BatchBuilder`] writes a batch. A broker checks it once with [`validate`], gives it its
//! offsets with [`assign`] and from there carries it as opaque bytes; [`check_crc`] is what
//! recovery asks of bytes that were validated before.

mod batch;
mod builder;
mod compression;
pub mod control;
mod headers;
mod records;
#[cfg(test)]
mod tests;
mod validate;
mod varint;

pub use batch::{
    Attributes, Batch, BatchHeader, Batches, TimestampType, assign, check_crc, set_producer,
};
pub use builder::{BatchBuilder, BatchOptions};
pub use compression::{Compression, Compressor, DECOMPRESSED_BYTES_MAX, Scratch};
pub use headers::{Header, Headers, HeadersBuf};
pub use records::{Record, Records};
pub use validate::{Limits, validate, validate_with};
