//! Time: read through a [`Clock`], so that a test moves it by hand.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::types::Timestamp;

/// A wait until a moment of a [`Clock`]; dropping it cancels the wait.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A source of time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start that never goes back.
    fn monotonic(&self) -> Duration;

    /// Waits until [`Clock::monotonic`] has reached `deadline`.
    ///
    /// Exact to about 0.1 ms on a dedicated thread (`Spawner::spawn_dedicated`), to 1 ms elsewhere.
    fn sleep_until(&self, deadline: Duration) -> Sleep;
}
