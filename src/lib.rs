//! Headwater: an event log and a stream processor in one library.
pub use headwater_core as core;
pub use headwater_streams as streams;
