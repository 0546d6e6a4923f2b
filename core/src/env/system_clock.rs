//! The clock of the machine.
#![expect(
    clippy::disallowed_methods,
    reason = "the clock that Env::clock is in production"
)]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::dedicated::DedicatedSleep;
use super::{Clock, Sleep, runtime};
use crate::types::Timestamp;

/// The time of the machine that this runs on.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A machine that believes to live before 1970 gets 1970.
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep_until(&self, deadline: Duration) -> Sleep {
        match self.start.checked_add(deadline) {
            Some(at) => Box::pin(SystemSleep::New(at)),
            // Further away than the machine can count: never.
            None => Box::pin(std::future::pending()),
        }
    }
}

/// Finds out at its first poll who keeps the time: the dedicated thread that polls it, or tokio.
enum SystemSleep {
    New(Instant),
    Dedicated(DedicatedSleep),
    Tokio(Pin<Box<tokio::time::Sleep>>),
}

impl Future for SystemSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::New(at) = *self {
            *self = if super::dedicated::is_dedicated() {
                Self::Dedicated(DedicatedSleep::new(at))
            } else {
                let runtime = runtime::handle();
                let _entered = runtime.enter();
                Self::Tokio(Box::pin(tokio::time::sleep_until(at.into())))
            };
        }
        match &mut *self {
            Self::New(_) => Poll::Pending,
            Self::Dedicated(sleep) => Pin::new(sleep).poll(cx),
            Self::Tokio(sleep) => sleep.as_mut().poll(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleepers_wake_in_the_order_of_their_deadlines_without_a_runtime() {
        let clock = SystemClock::new();
        let order = std::sync::Mutex::new(Vec::new());
        let sleeper = |millis| {
            let (clock, order) = (&clock, &order);
            async move {
                clock.sleep_until(Duration::from_millis(millis)).await;
                order.lock().unwrap().push(millis);
            }
        };
        super::super::block_on(futures_util::future::join3(
            sleeper(5),
            sleeper(1),
            sleeper(3),
        ));
        assert_eq!(*order.lock().unwrap(), [1, 3, 5]);
        assert!(clock.monotonic() >= Duration::from_millis(5));
        assert!(clock.now().value() > 1_700_000_000_000);
    }

    #[test]
    fn a_sleep_into_the_past_ends_at_once() {
        let clock = SystemClock::new();
        super::super::block_on(clock.sleep_until(Duration::ZERO));
    }
}
