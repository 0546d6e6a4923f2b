//! The simulated disk as a [`Storage`].

use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use super::faults::{Counts, Faults, Kind, Plan, Verdict, failure, power_loss};
use super::file::SimFile;
use super::names::{Inode, Names};
use crate::env::Random;
use crate::storage::blocks::Blocks;
use crate::storage::memory::Locked;
use crate::storage::tree::{Change, Node};
use crate::storage::{Entry, File, Lock, LockError, OpenMode, Storage};
use crate::sync::lock;

/// A disk in memory that loses what was not synced, and fails as [`Faults`] say. The same seed
/// and the same calls give the same disk. Clones share it.
///
/// ```
/// use headwater_core::storage::{OpenMode, SimStorage, Storage};
/// use std::path::Path;
///
/// let disk = SimStorage::new(1);
/// let file = disk.open(Path::new("a"), OpenMode::CreateNew)?;
/// file.write_at(&[b"kept"], 0)?;
/// file.sync()?;
/// disk.sync_dir(Path::new(""))?;
/// file.write_at(&[b", perhaps"], 4)?;
/// let after = disk.after_power_loss(7);
/// let mut read = [0; 4];
/// after.open(Path::new("a"), OpenMode::Read)?.read_at(&mut read, 0)?;
/// assert_eq!(&read, b"kept");
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct SimStorage {
    state: Arc<Mutex<State>>,
    /// Locks die with the process that held them, so a process has its own set.
    locked: Locked,
    process: u64,
}

#[derive(Debug)]
pub(super) struct State {
    names: Names,
    pub(super) random: Random,
    plan: Plan,
    pub(super) counts: Counts,
    powered: bool,
    /// The process that is alive; what earlier ones opened fails.
    process: u64,
}

impl SimStorage {
    /// An empty disk without faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::over(Names::new(), Random::seeded(seed))
    }

    fn over(names: Names, random: Random) -> Self {
        let state = State {
            names,
            random,
            plan: Plan::default(),
            counts: Counts::default(),
            powered: true,
            process: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            locked: Locked::default(),
            process: 0,
        }
    }

    /// Sets what goes wrong from now on, in place of what was set before.
    pub fn set_faults(&self, faults: Faults) {
        lock(&self.state).plan = Plan::new(faults);
    }

    /// Turns the power off: from now on every operation fails, see
    /// [`is_power_loss`](super::is_power_loss).
    pub fn power_off(&self) {
        lock(&self.state).powered = false;
    }

    /// Whether the power is on.
    #[must_use]
    pub fn is_powered(&self) -> bool {
        lock(&self.state).powered
    }

    /// The disk as a machine could find it that lost power now; `seed` draws one of the
    /// possible ones. It shares nothing with this disk, which goes on as it was, and it has
    /// no faults.
    #[must_use]
    pub fn after_power_loss(&self, seed: u64) -> Self {
        let random = Random::seeded(seed);
        let state = lock(&self.state);
        let names = state
            .names
            .after_power_loss(&random, |content| content.after_power_loss(&random));
        drop(state);
        Self::over(names, random)
    }

    /// The same disk for the next process, after this one was killed: all that was written is
    /// there (the operating system has it) and as pending as before. Everything opened earlier
    /// fails from now on, and no lock is held.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let mut state = lock(&self.state);
        state.process += 1;
        Self {
            state: Arc::clone(&self.state),
            locked: Locked::default(),
            process: state.process,
        }
    }

    /// Flips a random bit of the byte at `position`, on the disk and in the page cache.
    ///
    /// # Errors
    /// `NotFound` without the file, `UnexpectedEof` when it is shorter.
    pub fn corrupt(&self, path: &Path, position: u64) -> io::Result<()> {
        let mut state = lock(&self.state);
        let spare = state.names.inode();
        let (inode, _) = state.names.tree.open(path, OpenMode::Read, || spare)?;
        let bit = u8::try_from(state.random.below(8)).unwrap_or_default();
        if lock(&inode.content).flip(position, bit) {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// How often the disk was used.
    #[must_use]
    pub fn counts(&self) -> Counts {
        lock(&self.state).counts
    }

    /// How many bytes the files hold, as [`Faults::disk_bytes_max`] counts them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        lock(&self.state).used()
    }

    /// A hash of all names and bytes, as readers see them and as they are durable.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let state = lock(&self.state);
        let mut hasher = foldhash::quality::FixedState::default().build_hasher();
        state.names.visit_current(&mut |name, inode| {
            hash(&mut hasher, name, inode, |inode, hasher| {
                hash_bytes(hasher, lock(&inode.content).current());
            });
        });
        state.names.visit_durable(&mut |name, inode| {
            hash(&mut hasher, name, inode, |inode, hasher| {
                hash_bytes(hasher, lock(&inode.content).durable());
            });
        });
        hasher.finish()
    }

    /// The state, if this process may use the disk.
    pub(super) fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = lock(&self.state);
        if !state.powered {
            return Err(power_loss());
        }
        if state.process != self.process {
            return Err(io::Error::other("the process that opened this was killed"));
        }
        Ok(state)
    }

    /// Runs an operation that changes names.
    fn change_names(
        &self,
        path: &Path,
        change: impl FnOnce(&mut Names) -> io::Result<Vec<Change<Arc<Inode>>>>,
    ) -> io::Result<()> {
        let mut state = self.state()?;
        let verdict = state.begin(Kind::Name, path);
        let changes = change(&mut state.names)?;
        for change in changes {
            state.names.record(change);
        }
        state.end(verdict, Kind::Name)
    }
}

impl State {
    /// Counts an operation and says how it goes.
    pub(super) fn begin(&mut self, kind: Kind, path: &Path) -> Verdict {
        let count = match kind {
            Kind::Read => &mut self.counts.reads,
            Kind::Write => &mut self.counts.writes,
            Kind::SetLen => &mut self.counts.set_lens,
            Kind::Sync => &mut self.counts.syncs,
            Kind::Name => &mut self.counts.names,
            Kind::SyncDir => &mut self.counts.sync_dirs,
        };
        *count += 1;
        let verdict = self.plan.verdict(kind, path, &self.random);
        self.powered &= verdict != Verdict::PowerOff;
        verdict
    }

    /// How an operation that has had its effect ends for the caller.
    pub(super) fn end(&self, verdict: Verdict, kind: Kind) -> io::Result<()> {
        match verdict {
            Verdict::Succeed => Ok(()),
            Verdict::Fail => Err(failure(kind)),
            Verdict::PowerOff => Err(power_loss()),
        }
    }

    /// How many more bytes the disk takes.
    pub(super) fn room(&self) -> u64 {
        let Some(max) = self.plan.disk_bytes_max() else {
            return u64::MAX;
        };
        max.saturating_sub(self.used())
    }

    fn used(&self) -> u64 {
        let mut used = 0;
        for node in self.names.tree.dirs.values().flat_map(|dir| dir.values()) {
            if let Node::File(inode) = node {
                used += lock(&inode.content).current().stored();
            }
        }
        used
    }
}

impl Storage for SimStorage {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut state = self.state()?;
        let new = state.names.inode();
        let (inode, change) = state.names.tree.open(path, mode, || new)?;
        if let Some(change) = change {
            state.names.record(change);
            let verdict = state.begin(Kind::Name, path);
            state.end(verdict, Kind::Name)?;
        }
        Ok(Arc::new(SimFile::new(self.clone(), inode, mode, path)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let state = self.state()?;
        let len = |inode: &Arc<Inode>| lock(&inode.content).current().len();
        state.names.tree.list(dir, len)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.change_names(dir, |names| names.tree.create_dir_all(dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change_names(from, |names| Ok(vec![names.tree.rename(from, to)?]))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change_names(path, |names| Ok(vec![names.tree.remove_file(path)?]))
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.change_names(dir, |names| names.tree.remove_dir_all(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state()?;
        let verdict = state.begin(Kind::SyncDir, dir);
        if verdict == Verdict::Succeed {
            state.names.sync_dir(dir)?;
        }
        state.end(verdict, Kind::SyncDir)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, LockError> {
        drop(
            self.open(path, OpenMode::CreateOrOpen)
                .map_err(LockError::Io)?,
        );
        self.locked.take(path, PID)
    }
}

/// The process id of whoever runs in a simulation.
const PID: u32 = 1;

fn hash<H: Hasher>(
    hasher: &mut H,
    name: &str,
    inode: Option<&Inode>,
    content: impl FnOnce(&Inode, &mut H),
) {
    hasher.write(name.as_bytes());
    hasher.write_u8(u8::from(inode.is_some()));
    if let Some(inode) = inode {
        content(inode, hasher);
    }
}

fn hash_bytes(hasher: &mut impl Hasher, blocks: &Blocks) {
    let mut chunk = [0; 4096];
    let mut position = 0;
    hasher.write_u64(blocks.len());
    while position < blocks.len() {
        let count = blocks.read_at(&mut chunk, position);
        hasher.write(&chunk[..count]);
        position += count as u64;
    }
}
