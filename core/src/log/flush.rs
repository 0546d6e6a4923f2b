//! From memory into the partitions' files, and from there to the disk.
//!
//! Two workers serve a data folder. The *flush worker* writes tails into files in large runs. The
//! *checkpoint worker* syncs files, writes down how far each partition is durable, and so frees the
//! journal's files for use again.
//!
//! A segment's file has bytes only once the segment before it is durable. So after a crash at most
//! the last segment that has bytes can end in a torn batch; one found earlier is damage.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use crate::error::{Error, ErrorKind, Result};
use crate::log::checkpoint::replace_whole;
use crate::log::leader_epoch::LeaderEpochs;
use crate::log::partition_log::{Files, PartitionLog};
use crate::log::segment::{Segment, log_file};
use crate::log::store::Shared;
use crate::storage::{File, OpenMode, Storage};
use crate::sync::lock;
use crate::types::{LeaderEpoch, Offset, TopicId};

/// The most bytes that one write takes from a tail.
const RUN_BYTES_MAX: usize = 4 << 20;
/// `EMFILE`: the process has as many files open as it may.
const NO_FILE_LEFT: i32 = 24;
/// `ENFILE`: the system has.
const NO_FILE_LEFT_AT_ALL: i32 = 23;
/// How long the workers wait before they try a full disk again.
const FULL_DISK_PAUSE: Duration = Duration::from_millis(100);

/// What waits for the flush worker.
#[derive(Debug, Default)]
pub(crate) struct FlushQueue {
    state: Mutex<Waiting>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    logs: Vec<Arc<PartitionLog>>,
    bytes: usize,
    urgent: bool,
    closed: bool,
    /// Whether nobody will take what is pushed.
    abandoned: bool,
}

impl FlushQueue {
    fn push(&self, log: &Arc<PartitionLog>, bytes: usize, urgent: bool, flush_bytes: usize) {
        let mut waiting = lock(&self.state);
        if waiting.abandoned {
            return;
        }
        let first = waiting.logs.is_empty();
        if !log.listed_for_flush.swap(true, Ordering::AcqRel) {
            waiting.logs.push(Arc::clone(log));
        }
        let before = waiting.bytes;
        waiting.bytes += bytes;
        waiting.urgent |= urgent;
        let full = before < flush_bytes && waiting.bytes >= flush_bytes;
        if first || urgent || full {
            self.bell.notify_one();
        }
    }

    /// Takes no more work and gives up what waits.
    pub(crate) fn abandon(&self) {
        let logs = {
            let mut waiting = lock(&self.state);
            (waiting.closed, waiting.abandoned) = (true, true);
            std::mem::take(&mut waiting.logs)
        };
        drop(logs);
        self.bell.notify_one();
    }

    /// Has the worker end once it has done what waits.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.bell.notify_one();
    }
}

/// The flush worker: runs until the queue is closed and empty.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        let (logs, closed) = wait_for_work(&shared).await;
        let mut full = false;
        for log in &logs {
            match log.unless_deleted(log.flush_tail()) {
                Ok(()) => {}
                Err(error) if is_full(&error) => full = true,
                Err(error) => shared.fail(&error),
            }
        }
        shared.disk_full.store(full, Ordering::Relaxed);
        shared.drained.notify_waiters();
        if closed && (full || logs.is_empty()) {
            return;
        }
        if full {
            tracing::error!(dir = %shared.dir.display(), "the disk is full: writes are refused");
            shared.pause().await;
            logs.iter().for_each(|log| log.list_for_flush(0, true));
        }
    }
}

impl Shared {
    /// Waits before a full disk is tried again.
    pub(crate) async fn pause(&self) {
        let deadline = self.env.clock.monotonic() + FULL_DISK_PAUSE;
        self.env.clock.sleep_until(deadline).await;
    }
}

/// Waits until enough bytes wait, or the first of them has waited long enough.
async fn wait_for_work(shared: &Shared) -> (Vec<Arc<PartitionLog>>, bool) {
    let options = &shared.options;
    let mut deadline = None;
    loop {
        let now = shared.env.clock.monotonic();
        {
            let mut waiting = lock(&shared.flush.state);
            let due = deadline.is_some_and(|deadline| now >= deadline);
            let enough = waiting.bytes >= options.flush_bytes || waiting.urgent || due;
            if waiting.closed || (enough && !waiting.logs.is_empty()) {
                // Cleared here, under the lock: a log is listed exactly while its flag is set.
                for log in &waiting.logs {
                    log.listed_for_flush.store(false, Ordering::Release);
                }
                waiting.bytes = 0;
                waiting.urgent = false;
                return (std::mem::take(&mut waiting.logs), waiting.closed);
            }
            if !waiting.logs.is_empty() && deadline.is_none() {
                deadline = Some(now + options.flush_delay);
            }
        }
        let bell = std::pin::pin!(shared.flush.bell.notified());
        match deadline {
            Some(deadline) => {
                let sleep = shared.env.clock.sleep_until(deadline);
                drop(futures_util::future::select(sleep, bell).await);
            }
            None => bell.await,
        }
    }
}

/// The error of a sync that failed. It never counts as a full disk, which passes: what a failed
/// sync left on the disk is unknown, and a second one would hide that.
pub(crate) fn sync_failed(path: &Path, error: io::Error) -> Error {
    let what = "sync the file; the log takes no writes until it is opened again";
    Error::io(what, path, io::Error::other(error)).with_kind(ErrorKind::KafkaStorageError)
}

/// Whether an error says that the disk is full or no file can be opened, which passes; others do
/// not.
pub(crate) fn is_full(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    source
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| {
            let full = matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            );
            full || matches!(
                error.raw_os_error(),
                Some(NO_FILE_LEFT | NO_FILE_LEFT_AT_ALL)
            )
        })
}

/// Neighbouring batches of a tail that go into one file in one write.
struct Run {
    slices: Vec<bytes::Bytes>,
    segment: Offset,
    position: u64,
    bytes: usize,
    file: Option<Arc<dyn File>>,
}

impl PartitionLog {
    /// Has the flush worker write this partition's tail, at once when `urgent`.
    pub(crate) fn list_for_flush(self: &Arc<Self>, bytes: usize, urgent: bool) {
        self.shared
            .flush
            .push(self, bytes, urgent, self.shared.options.flush_bytes);
    }

    /// Writes the tail, as it is now, into the files. The operating system has it then.
    pub(crate) fn flush_tail(&self) -> Result<()> {
        let mut files = lock(&self.files);
        if let Some(failure) = self.shared.failure() {
            // Another sync might succeed without what the failed one lost.
            return Err(failure);
        }
        let end = self.lock().positions.log_end;
        while let Some(run) = self.next_run(end) {
            let file = match &run.file {
                Some(file) => Arc::clone(file),
                None => self.begin_file(&mut files, run.segment)?,
            };
            let slices: Vec<&[u8]> = run.slices.iter().map(|slice| &slice[..]).collect();
            file.write_at(&slices, run.position).map_err(|error| {
                Error::io("write the segment", file.path(), error)
                    .with_kind(ErrorKind::KafkaStorageError)
                    .partition(&self.partition)
            })?;
            self.end_run(&run);
        }
        Ok(())
    }

    /// The next batches to write, of those before `end`.
    fn next_run(&self, end: Offset) -> Option<Run> {
        let mut state = self.lock();
        let first = state.tail.front().filter(|first| first.next <= end)?;
        let mut run = Run {
            slices: Vec::new(),
            segment: first.segment,
            position: first.position,
            bytes: 0,
            file: None,
        };
        for batch in &state.tail {
            let fits = run.bytes == 0 || run.bytes + batch.bytes.len() <= RUN_BYTES_MAX;
            if batch.segment != run.segment || batch.next > end || !fits {
                break;
            }
            run.bytes += batch.bytes.len();
            run.slices.push(batch.bytes.clone());
        }
        run.file = state
            .segment_mut(run.segment)
            .and_then(|segment| segment.file.clone());
        Some(run)
    }

    /// Opens (or makes) a segment's file, once everything before it is durable.
    fn begin_file(&self, files: &mut Files, base: Offset) -> Result<Arc<dyn File>> {
        let storage = &*self.shared.env.storage;
        if self.shared.options.durable {
            self.sync_segments(|| self.sync_names(files))?;
            self.save_indexes()?;
        }
        if !files.dir_made {
            make_partition_dir(storage, &self.dir, self.id)?;
            files.dir_made = true;
            files.names_unsynced = true;
        }
        let path = log_file(&self.dir, base);
        let open = |mode| storage.open(&path, mode);
        let file = match open(OpenMode::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                files.names_unsynced = true;
                open(OpenMode::CreateOrOpen)
            }
            opened => opened,
        };
        let file = file.map_err(|error| {
            Error::io("open the segment", &path, error).partition(&self.partition)
        })?;
        let mut state = self.lock();
        if let Some(segment) = state.segment_mut(base) {
            if segment.written == 0 {
                // What an old or foreign file of this name holds must not follow what comes.
                file.set_len(0)
                    .map_err(|error| Error::io("empty the segment", &path, error))?;
            }
            segment.file = Some(Arc::clone(&file));
        }
        drop(state);
        self.shared.count_open_file();
        Ok(file)
    }

    /// Takes written batches off the tail.
    fn end_run(&self, run: &Run) {
        let mut state = self.lock();
        let mut visible = None;
        let mut answers = Vec::new();
        let mut unsynced = 0;
        for _ in 0..run.slices.len() {
            let Some(batch) = state.tail.pop_front() else {
                break;
            };
            state.written_end = batch.next;
            if batch.visible_when_written {
                visible = Some(batch.next);
                unsynced += batch.bytes.len();
            }
            answers.extend(batch.written);
        }
        let end = run.position + run.bytes as u64;
        if let Some(segment) = state.segment_mut(run.segment) {
            assert!(
                segment.written <= run.position,
                "a run of {run_at} behind",
                run_at = run.position
            );
            segment.written = end;
        }
        let raised = visible.is_some_and(|visible| state.raise_watermark(visible));
        drop(state);
        self.shared.count_unsynced(unsynced);
        self.shared
            .unflushed
            .fetch_sub(run.bytes, Ordering::Relaxed);
        answers
            .into_iter()
            .for_each(|answer| drop(answer.send(Ok(()))));
        if raised {
            self.wake_watchers();
        }
    }

    /// Makes everything durable that the files have, names included.
    pub(crate) fn sync_files(&self) -> Result<()> {
        self.sync_segments(|| self.sync_names(&mut lock(&self.files)))
    }

    /// Makes the names of the partition's files durable.
    fn sync_names(&self, files: &mut Files) -> Result<()> {
        if files.names_unsynced {
            for dir in [&self.dir, &self.shared.dir] {
                let sync = self.shared.env.storage.sync_dir(dir);
                sync.map_err(|error| sync_failed(dir, error).partition(&self.partition))?;
            }
            files.names_unsynced = false;
        }
        Ok(())
    }

    /// Syncs the segments that have unsynced bytes, outside of the state's lock, then the names.
    fn sync_segments(&self, names: impl FnOnce() -> Result<()>) -> Result<()> {
        // One at a time: a sync that fails is told once only, and whoever syncs after it must not
        // take the silence for success.
        let alone = lock(&self.syncing);
        let mut state = self.lock();
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        let written_end = state.written_end;
        let storage = &*self.shared.env.storage;
        let mut unsynced = Vec::new();
        for segment in &mut state.segments {
            if segment.synced < segment.written {
                // It was closed if a write was still under way when it looked idle.
                let file = segment.open(storage, &self.dir)?;
                unsynced.push((segment.base, segment.written, file));
            }
        }
        drop(state);
        for (_, _, file) in &unsynced {
            file.sync().map_err(|error| {
                let error = sync_failed(file.path(), error).partition(&self.partition);
                self.fail(&error);
                error
            })?;
        }
        drop(alone);
        // A file that was made before the bytes above were written is among the names now.
        names()?;
        let mut state = self.lock();
        for (base, written, _) in unsynced {
            if let Some(segment) = state.segment_mut(base) {
                segment.synced = segment.synced.max(written);
            }
        }
        state.synced_end = state.synced_end.max(written_end);
        Ok(())
    }

    /// Writes the index entries that the files do not have yet.
    fn save_indexes(&self) -> Result<()> {
        let writes: Vec<_> = {
            let mut state = self.lock();
            let written = state
                .segments
                .iter_mut()
                .filter(|segment| segment.written > 0);
            written
                .flat_map(|segment| segment.unsaved_index_entries(&self.dir))
                .collect()
        };
        let storage = &*self.shared.env.storage;
        let outcome = writes.iter().try_for_each(|write| write.run(storage));
        if outcome.is_err() {
            let mut state = self.lock();
            state
                .segments
                .iter_mut()
                .for_each(Segment::index_files_failed);
        }
        outcome
    }

    /// Makes the partition durable as it is now, so that a checkpoint can vouch for it.
    pub(crate) fn make_durable(&self) -> Result<()> {
        let (vouched, producers, cuts) = {
            let state = self.lock();
            (state.to_be_vouched(), state.producers.clone(), state.cuts)
        };
        self.flush_tail()?;
        self.sync_files()?;
        // Held on, so that the folder stays this partition's: a deleted one's may be another's.
        let files = lock(&self.files);
        if files.deleted {
            return Ok(());
        }
        self.save_indexes()?;
        if vouched.has_producers {
            let storage = &*self.shared.env.storage;
            let name = snapshot_file(vouched.end);
            replace_whole(storage, &self.dir, &name, &producers.encode())?;
        }
        let mut state = self.lock();
        if state.cuts == cuts {
            assert!(
                vouched.end <= state.synced_end,
                "vouched for more than is durable"
            );
            state.vouched = vouched;
        }
        drop(state);
        drop(files);
        Ok(())
    }

    /// The outcome of work on files, which does not matter once the partition is deleted.
    pub(crate) fn unless_deleted(&self, outcome: Result<()>) -> Result<()> {
        if outcome.is_err() && lock(&self.files).deleted {
            Ok(())
        } else {
            outcome
        }
    }
}

/// Makes a partition's folder, with the files that say whose it is and which leader wrote it.
pub(crate) fn make_partition_dir(storage: &dyn Storage, dir: &Path, id: TopicId) -> Result<()> {
    storage
        .create_dir_all(dir)
        .map_err(|error| Error::io("make the partition's folder", dir, error))?;
    let mut epochs = LeaderEpochs::default();
    epochs.assign(LeaderEpoch(0), Offset(0));
    replace_whole(
        storage,
        dir,
        "leader-epoch-checkpoint",
        epochs.encode().as_bytes(),
    )?;
    replace_whole(
        storage,
        dir,
        "partition.metadata",
        metadata_text(id).as_bytes(),
    )
}

/// The name of the snapshot of the producers at `end`.
pub(crate) fn snapshot_file(end: Offset) -> String {
    format!("{:020}.snapshot", end.0)
}

/// The text of `partition.metadata`, in Kafka's format.
pub(crate) fn metadata_text(id: TopicId) -> String {
    format!("version: 0\ntopic_id: {}\n", base64_url(id.0.as_bytes()))
}

/// Base64 with the url-safe alphabet and no padding, as Kafka writes its uuids.
fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for digit in 0..=three.len() {
            let at = (bits >> (18 - 6 * digit)) & 63;
            text.push(char::from(ALPHABET[at as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_is_kafkas() {
        assert_eq!(super::base64_url(&[0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(super::base64_url(&[0xfb, 0xff, 0xfe]), "-__-");
        assert_eq!(super::base64_url(b"M"), "TQ");
    }
}
