//! What must hold, whatever happened: one file each.
//!
//! | invariant | says | source |
//! |---|---|---|
//! | [`acknowledged`] | what was acknowledged is there | Kafka's `acks`; the README's table |
//! | [`order`] | an offset has one record for ever | Kafka's design page, guarantees |
//! | [`prefix`] | a recovered log is a prefix of what was written | ALICE (OSDI 2014) |
//! | [`log_start`] | deleted records stay deleted, others are not | KIP-107 |
//! | [`topics`] | topics are there or gone as acknowledged | KIP-4 |
//! | [`groups`] | a group's offset is the last one committed | Kafka's `OffsetCommit` |
//! | [`repeat`] | the same seed gives the same run | FoundationDB (SIGMOD 2021), section 4 |

pub(crate) mod acknowledged;
pub(crate) mod groups;
pub(crate) mod log_start;
pub(crate) mod order;
pub(crate) mod prefix;
pub(crate) mod repeat;
pub(crate) mod topics;

use crate::model::Log;

/// One partition after its folder was opened again.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// Its name, for messages.
    pub(crate) name: String,
    pub(crate) partition: i32,
    pub(crate) incarnation: u64,
    /// Whether retention may remove its records.
    pub(crate) retained: bool,
    /// What clients were told of it before.
    pub(crate) told: Log,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// What it holds: offsets and the ids of the records there.
    pub(crate) records: Vec<(i64, u64)>,
}
