//! The bound on open segment files.
//!
//! Files are opened when they are used and stay open. Once there are too many, those go that hold
//! nothing unsynced: the next use opens them again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::log::partition_log::PartitionLog;
use crate::log::store::Shared;
use crate::sync::lock;

/// How many segment files are open, about.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    max: usize,
    count: AtomicUsize,
    /// Closing begins at this count: above the bound when nothing more could be closed.
    next: AtomicUsize,
}

impl OpenFiles {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            count: AtomicUsize::new(0),
            next: AtomicUsize::new(max),
        }
    }
}

impl Shared {
    /// Counts a file that was opened; closes others when there are too many.
    pub(crate) fn count_open_file(&self) {
        let files = &self.open_files;
        let count = files.count.fetch_add(1, Ordering::Relaxed) + 1;
        if count > files.next.load(Ordering::Relaxed) {
            let left = self.close_idle_files(files.max / 2);
            files.count.store(left, Ordering::Relaxed);
            // Where much is unsynced, looking again at once would be in vain.
            let next = files.max.max(left.saturating_add(left / 4));
            files.next.store(next, Ordering::Relaxed);
        }
    }

    /// Closes files without unsynced bytes until `keep` are left; returns how many are.
    fn close_idle_files(&self, keep: usize) -> usize {
        let mut logs: Vec<Arc<PartitionLog>> = lock(&self.partitions).values().cloned().collect();
        logs.sort_by_key(|log| log.serial);
        let mut open = 0;
        for log in logs {
            // Whoever holds the lock is using the partition, perhaps the caller.
            let Ok(mut state) = log.state.try_lock() else {
                continue;
            };
            for segment in &mut state.segments {
                let idle = segment.synced == segment.written && segment.written > 0;
                if segment.file.is_some() && open >= keep && idle {
                    segment.file = None;
                } else if segment.file.is_some() {
                    open += 1;
                }
            }
        }
        open
    }
}
