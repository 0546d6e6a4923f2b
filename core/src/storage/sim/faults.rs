//! What goes wrong on a simulated disk, and when.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;

use crate::env::Random;

/// The faults of a disk; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The power goes during this change, the first one being 1 (writes, changes of a length or
    /// a name, and syncs count; see [`Counts::changes`]). It may or may not take effect.
    pub power_off_at: Option<u64>,
    /// The disk is full when the files hold so many bytes: a write that would make a file longer
    /// than there is room for writes a part and fails with `StorageFull`.
    pub disk_bytes_max: Option<u64>,
    /// Reads that fail.
    pub read: Fault,
    /// Writes that fail, having written a part.
    pub write: Fault,
    /// Syncs of a file that fail. As on Linux, what was pending is then either durable or not,
    /// which nobody can tell, and is not pending any more: the next sync succeeds without it.
    pub sync: Fault,
    /// Syncs of a folder that fail; the names stay pending.
    pub sync_dir: Fault,
    /// Failing reads, writes and syncs strike only files whose path contains this.
    pub only: Option<String>,
}

/// When an operation fails, counted since the faults were set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Never.
    #[default]
    Never,
    /// This one alone, the first one being 1.
    At(u64),
    /// Each with this chance, by the disk's seed; 1 means always.
    OneIn(u64),
}

/// How often a disk was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Reads of a file.
    pub reads: u64,
    /// Writes of a file.
    pub writes: u64,
    /// Changes of a length.
    pub set_lens: u64,
    /// Syncs of a file.
    pub syncs: u64,
    /// Names made, moved and removed.
    pub names: u64,
    /// Syncs of a folder.
    pub sync_dirs: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
}

impl Counts {
    /// All operations but reads.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.writes + self.set_lens + self.syncs + self.names + self.sync_dirs
    }
}

/// Whether an error, or a cause of it, is that the power of a simulated disk is off.
#[must_use]
pub fn is_power_loss(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<io::Error>().and_then(|e| e.get_ref());
        if inner.is_some_and(|inner| inner.is::<PowerLoss>()) {
            return true;
        }
        next = error.source();
    }
    false
}

/// What every operation fails with once the power is off.
pub(super) fn power_loss() -> io::Error {
    io::Error::other(PowerLoss)
}

#[derive(Debug)]
struct PowerLoss;

impl fmt::Display for PowerLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the power of the simulated disk is off")
    }
}

impl StdError for PowerLoss {}

/// A kind of operation that faults tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
    SetLen,
    Sync,
    Name,
    SyncDir,
}

/// How an operation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Succeed,
    /// It fails by itself.
    Fail,
    /// The power goes in the middle of it.
    PowerOff,
}

/// The faults of a disk and how often each kind of operation came since they were set.
#[derive(Debug, Default)]
pub(super) struct Plan {
    faults: Faults,
    /// What the faults struck at or might have.
    seen: Counts,
    changes: u64,
}

impl Plan {
    pub(super) fn new(faults: Faults) -> Self {
        Self {
            faults,
            ..Self::default()
        }
    }

    pub(super) fn disk_bytes_max(&self) -> Option<u64> {
        self.faults.disk_bytes_max
    }

    /// Counts an operation and says how it goes.
    pub(super) fn verdict(&mut self, kind: Kind, path: &Path, random: &Random) -> Verdict {
        if kind != Kind::Read {
            self.changes += 1;
            if self.faults.power_off_at == Some(self.changes) {
                return Verdict::PowerOff;
            }
        }
        if let Some(only) = &self.faults.only
            && !path.to_string_lossy().contains(only.as_str())
        {
            return Verdict::Succeed;
        }
        let (fault, seen) = match kind {
            Kind::Read => (self.faults.read, &mut self.seen.reads),
            Kind::Write => (self.faults.write, &mut self.seen.writes),
            Kind::Sync => (self.faults.sync, &mut self.seen.syncs),
            Kind::SyncDir => (self.faults.sync_dir, &mut self.seen.sync_dirs),
            Kind::SetLen | Kind::Name => return Verdict::Succeed,
        };
        *seen += 1;
        let fails = match fault {
            Fault::Never => false,
            Fault::At(at) => at == *seen,
            Fault::OneIn(chance) => random.below(chance.max(1)) == 0,
        };
        if fails {
            Verdict::Fail
        } else {
            Verdict::Succeed
        }
    }
}

/// What a failing operation fails with.
pub(super) fn failure(kind: Kind) -> io::Error {
    io::Error::other(match kind {
        Kind::Read => "the simulated disk fails to read",
        Kind::Write => "the simulated disk fails to write",
        Kind::Sync | Kind::SyncDir => "the simulated disk fails to sync",
        Kind::SetLen | Kind::Name => "the simulated disk fails",
    })
}
