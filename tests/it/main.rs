//! Tests of the whole, through the facade: one binary, a module for each feature.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at what it did not foresee"
)]

mod bad_input;
mod durability;
mod examples;
mod kill;
mod produce_consume;
mod wordcount;
