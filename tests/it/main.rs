//! Tests of the whole, through the facade: one binary, a module for each feature.

mod examples;
mod produce_consume;
