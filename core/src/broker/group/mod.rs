//! Consumer groups: who is a member and reads what ([`membership`]), and how far each group has
//! come ([`offsets`], kept in `__consumer_offsets`).
//!
//! Nothing here does I/O, reads a clock or starts a task: `broker::groups` drives it.

mod assignor;
pub(crate) mod membership;
#[cfg(test)]
mod model;
pub(crate) mod offsets;
mod records;
