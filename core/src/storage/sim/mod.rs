//! A simulated disk: what is not synced may be lost, torn or reordered when the power goes.
//!
//! ```text
//!     write, set_len --> pending --sync-------> durable        per file    (content.rs)
//!     create, rename --> pending --sync_dir---> durable        per folder  (names.rs)
//!
//!     a power loss keeps what is durable and draws from a seed, for each pending change,
//!     whether it is kept, lost or (a write) torn at the edges of sectors
//! ```

mod content;
mod faults;
mod file;
mod names;
mod storage;
#[cfg(test)]
mod tests;

pub use faults::{Counts, Fault, Faults, is_power_loss};
pub use storage::SimStorage;
