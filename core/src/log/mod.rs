//! The partitioned log: segments, indexes, the journal, recovery.
//!
//! ```text
//!   LogStore                      one data folder
//!     +- PartitionLog ...         append, read, retain; Kafka's files:
//!     |     00000000000000000000.log  .index  .timeindex  .txnindex  .snapshot
//!     |     leader-epoch-checkpoint  partition.metadata
//!     +- journal                  what is acknowledged, before it is in those files
//!     +- flush worker             tails to files
//!     +- checkpoint worker        files to disk; frees the journal
//! ```
//!
//! An append goes through `append.rs`, `journal.rs`, `flush.rs`, `checkpointer.rs` in this order;
//! after a crash `recovery.rs` and `replay.rs` bring back what the last two had not finished.

mod append;
mod checkpoint;
mod checkpointer;
mod config;
mod flush;
mod folder;
mod journal;
mod journal_format;
mod leader_epoch;
mod offset_index;
mod open_files;
mod partition_log;
mod positions;
mod producer_state;
mod read;
mod recovery;
mod replay;
mod retention;
mod segment;
mod store;
mod time_index;
mod txn_index;

#[cfg(test)]
mod tests;

pub use append::{Appended, Appending, Durability};
pub use config::{LogConfig, LogOptions};
pub use folder::{DataFolder, FORMAT_VERSION};
pub use leader_epoch::LeaderEpochs;
pub use offset_index::OffsetIndex;
pub use partition_log::{PartitionLog, Watch};
pub use positions::Positions;
pub use producer_state::{ProducerState, ProducerStates};
pub use read::{Read, ReadLimit};
pub use store::{LogStore, PartitionSpec};
pub use time_index::TimeIndex;
pub use txn_index::AbortedTxn;
