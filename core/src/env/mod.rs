//! Everything the core takes from outside, handed down as one value: time, storage, chance, tasks.
//!
//! Production uses [`Env::system`]; tests and the simulation put their own parts in.
//! No other file reads the clock, makes randomness or starts a task.

mod dedicated;
mod manual_clock;
mod random;
mod runtime;
mod simulation;
mod spawn;
mod system_clock;
mod system_spawner;
mod time;

use std::sync::Arc;

pub use dedicated::block_on;
pub use manual_clock::ManualClock;
pub use random::Random;
pub use simulation::{Simulation, Stuck};
pub use spawn::{BoxFuture, Spawner, TaskHandle, yield_now};
pub use system_clock::SystemClock;
pub use system_spawner::SystemSpawner;
pub use time::{Clock, Sleep};

use crate::storage::{DiskStorage, MemoryStorage, Storage};

/// The components that a broker or a client stands on.
#[derive(Clone, Debug)]
pub struct Env {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The files.
    pub storage: Arc<dyn Storage>,
    /// The dice.
    pub random: Random,
    /// Who runs background tasks.
    pub spawner: Arc<dyn Spawner>,
}

impl Env {
    /// The machine: its clock, its disk, real chance, and the current tokio runtime
    /// (or a private one when there is none).
    #[must_use]
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            storage: Arc::new(DiskStorage),
            random: Random::from_system(),
            spawner: Arc::new(SystemSpawner::new()),
        }
    }

    /// As [`Env::system`], with files in memory that are gone when the last user is.
    #[must_use]
    pub fn memory() -> Self {
        Self {
            storage: Arc::new(MemoryStorage::new()),
            ..Self::system()
        }
    }
}
