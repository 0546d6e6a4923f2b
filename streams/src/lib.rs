//! The stream processor: a typed DSL over the log.
