//! Everything the core takes from outside, handed down as one value: time, storage, chance, tasks.
//!
//! Production uses [`Env::system`]; tests and the simulation put their own parts in.
//! No other file reads the clock, makes randomness or starts a task.

mod random;
mod spawn;
mod time;

use std::sync::Arc;

pub use random::Random;
pub use spawn::{BoxFuture, Spawner, TaskHandle};
pub use time::{Clock, Sleep};

use crate::storage::Storage;

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
