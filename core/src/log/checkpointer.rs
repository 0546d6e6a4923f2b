//! The checkpoint worker: syncs the partitions' files and writes down how far each is durable.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::error::{Error, Result};
use crate::log::flush::is_full;
use crate::log::journal::Ring;
use crate::log::partition_log::PartitionLog;
use crate::log::segment::{index_file, log_file, stem, time_index_file};
use crate::log::store::{CLEAN, Shared};
use crate::storage::OpenMode;
use crate::sync::lock;
use crate::types::Offset;

/// Wishes for a checkpoint; many wishes are one checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    state: Mutex<State>,
    bell: Notify,
    done: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// How many were asked for, and how many of those are served.
    asked: u64,
    served: u64,
    closed: bool,
}

impl Requests {
    /// Asks for a checkpoint; returns its number.
    pub(crate) fn request(&self) -> u64 {
        let mut state = lock(&self.state);
        // One that has not begun yet serves this wish too.
        state.asked += 1;
        self.bell.notify_one();
        state.asked
    }

    /// Ends the worker; a last checkpoint is the closer's business.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.bell.notify_one();
        self.done.notify_waiters();
    }

    async fn next(&self) -> Option<u64> {
        loop {
            {
                let state = lock(&self.state);
                if state.closed {
                    return None;
                }
                if state.asked > state.served {
                    return Some(state.asked);
                }
            }
            self.bell.notified().await;
        }
    }
}

impl Shared {
    /// Waits for a checkpoint that begins after this call.
    pub(crate) async fn checkpoint_now(&self) -> Result<()> {
        let number = self.checkpoints.request();
        loop {
            let done = self.checkpoints.done.notified();
            // First, for a log that has failed serves every wish by doing nothing.
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            {
                let state = lock(&self.checkpoints.state);
                if state.served >= number {
                    return Ok(());
                }
                if state.closed {
                    let what = "the log was closed before its checkpoint";
                    return Err(Error::new(crate::ErrorKind::Closed, what));
                }
            }
            done.await;
        }
    }
}

/// The worker: runs until the requests are closed.
pub(crate) async fn run(shared: Arc<Shared>, ring: Arc<Ring>) {
    let mut full = false;
    while let Some(number) = shared.checkpoints.next().await {
        let through = shared.journal.completed.load(Ordering::Acquire);
        let outcome = match shared.failure() {
            None => write(&shared, through).map(|()| retire(&shared, &ring, through)),
            Some(_) => Ok(()),
        };
        match outcome {
            Ok(()) => {
                if std::mem::take(&mut full) {
                    shared.disk_full.store(false, Ordering::Relaxed);
                }
                lock(&shared.checkpoints.state).served = number;
            }
            Err(error) if is_full(&error) && !shared.closing.load(Ordering::Acquire) => {
                full = true;
                shared.disk_full.store(true, Ordering::Relaxed);
                shared.pause().await;
                continue;
            }
            Err(error) => shared.fail(&error),
        }
        shared.checkpoints.done.notify_waiters();
        shared.journal.retired_bell.notify_waiters();
    }
}

/// Makes every changed partition durable and writes the checkpoint; the journal's groups up to
/// `through` are not needed then.
pub(crate) fn write(shared: &Shared, through: u64) -> Result<()> {
    shared.unsynced.store(0, Ordering::Relaxed);
    let dirty = std::mem::take(&mut *lock(&shared.dirty));
    let outcome = dirty.iter().try_for_each(|log| {
        // Cleared first: an append from here on is the next checkpoint's business.
        log.dirty.store(false, Ordering::Release);
        log.unless_deleted(log.make_durable())
    });
    if outcome.is_err() {
        list_again(&dirty);
        return outcome;
    }
    // Taken together with what the checkpoint says, so that no file goes that it vouches for.
    let (checkpoint, leftovers) = shared.checkpoint(through);
    let stored = checkpoint.store(&*shared.env.storage, &shared.dir);
    if stored.is_err() {
        for leftover in leftovers {
            leftover.log.lock().removed.extend(leftover.segments);
        }
        list_again(&dirty);
        return stored;
    }
    leftovers.iter().try_for_each(Leftovers::remove)
}

/// Has the next checkpoint look at these partitions again. Those behind the one that failed are
/// still marked, but not listed any more.
fn list_again(dirty: &[Arc<PartitionLog>]) {
    for log in dirty {
        log.dirty.store(false, Ordering::Release);
        log.mark_dirty();
    }
}

/// Gives the journal's files free for use again, longer ones if it fills them too fast.
fn retire(shared: &Shared, ring: &Ring, through: u64) {
    shared.journal.retired.store(through, Ordering::Release);
    if shared.journal.grow.swap(false, Ordering::Relaxed) {
        let max = shared.options.journal_bytes_max;
        if let Err(error) = ring.grow(max) {
            // A short journal works: it is only slower.
            tracing::warn!(%error, "the journal stays as long as it is");
        }
        // The next checkpoint says so, and soon: a file that becomes shorter is noticed then.
        let bytes = ring.bytes();
        if shared.journal.bytes.swap(bytes, Ordering::AcqRel) < bytes {
            shared.request_checkpoint();
        }
    }
}

/// The last checkpoint of an orderly close, and the mark that the folder is whole.
pub(crate) fn write_final(shared: &Shared) -> Result<()> {
    write(shared, shared.journal.completed.load(Ordering::Acquire))?;
    let (storage, path) = (&shared.env.storage, shared.dir.join(CLEAN));
    let mark = || -> std::io::Result<()> {
        storage.open(&path, OpenMode::CreateOrOpen)?.sync()?;
        storage.sync_dir(&shared.dir)
    };
    mark().map_err(|error| Error::io("mark the folder as closed", &path, error))
}

/// Files that a checkpoint does not vouch for any more.
#[derive(Debug)]
pub(crate) struct Leftovers {
    pub(crate) log: Arc<PartitionLog>,
    /// Segments that left the log.
    pub(crate) segments: Vec<Offset>,
}

impl Leftovers {
    /// Removes them, unless the partition is gone and its folder perhaps another's.
    pub(crate) fn remove(&self) -> Result<()> {
        let files = lock(&self.log.files);
        if files.deleted {
            return Ok(());
        }
        let dir = &self.log.dir;
        for base in &self.segments {
            for path in [
                log_file(dir, *base),
                index_file(dir, *base),
                time_index_file(dir, *base),
                dir.join(stem(*base) + ".txnindex"),
            ] {
                self.remove_file(&path)?;
            }
        }
        drop(files);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        match self.log.shared.env.storage.remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove the old segment", path, error))
            }
            _ => Ok(()),
        }
    }
}
