//! A lock file: one process at a time has a data folder.

use std::fmt;
use std::io;

/// A held lock file.
pub trait Lock: Send + Sync + fmt::Debug {}

/// Why a lock was not taken.
#[derive(Debug)]
pub enum LockError {
    /// Another process (or another part of this one) holds it.
    Held {
        /// The holder's process id, where the lock file tells it.
        pid: Option<u32>,
    },
    /// The lock file could not be made or read.
    Io(io::Error),
}
