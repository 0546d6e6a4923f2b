//! A clock that stands still until someone moves it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{Clock, Sleep};
use crate::sync::lock;
use crate::types::Timestamp;

/// Time that moves by hand; clones share it.
///
/// ```
/// use headwater_core::env::{Clock, ManualClock};
/// use headwater_core::types::Timestamp;
/// use std::time::Duration;
///
/// let clock = ManualClock::starting_at(Timestamp(1_000));
/// clock.advance(Duration::from_millis(50));
/// assert_eq!(clock.now(), Timestamp(1_050));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    start: Timestamp,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    now: Duration,
    /// Who waits, by deadline and then by the order of asking.
    sleepers: BTreeMap<(Duration, u64), Waker>,
    next: u64,
}

impl ManualClock {
    /// A clock that stands at a fixed moment in 2023.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(Timestamp(1_700_000_000_000))
    }

    /// A clock that stands at `start`.
    #[must_use]
    pub fn starting_at(start: Timestamp) -> Self {
        Self {
            start,
            state: Arc::default(),
        }
    }

    /// Moves the time on and wakes who waited for it, the earliest deadline first.
    pub fn advance(&self, by: Duration) {
        let to = lock(&self.state).now.saturating_add(by);
        self.advance_to(to);
    }

    /// Moves the monotonic time on to `to` (never back) and wakes who waited for it.
    pub fn advance_to(&self, to: Duration) {
        let due = {
            let mut state = lock(&self.state);
            let now = state.now.max(to);
            state.now = now;
            let later = state.sleepers.split_off(&(now, u64::MAX));
            std::mem::replace(&mut state.sleepers, later)
        };
        // Outside of the lock: a waker is foreign code.
        for waker in due.into_values() {
            waker.wake();
        }
    }

    /// When the next sleeper wants to wake, if one sleeps.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let state = lock(&self.state);
        state.sleepers.keys().next().map(|(deadline, _)| *deadline)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.monotonic().as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.start.value().saturating_add(passed))
    }

    fn monotonic(&self) -> Duration {
        lock(&self.state).now
    }

    fn sleep_until(&self, deadline: Duration) -> Sleep {
        Box::pin(ManualSleep {
            deadline,
            state: Arc::clone(&self.state),
            key: None,
        })
    }
}

struct ManualSleep {
    deadline: Duration,
    state: Arc<Mutex<State>>,
    key: Option<(Duration, u64)>,
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let shared = Arc::clone(&self.state);
        let mut state = lock(&shared);
        if state.now >= self.deadline {
            return Poll::Ready(());
        }
        let key = self.key.unwrap_or_else(|| {
            state.next += 1;
            (self.deadline, state.next)
        });
        self.key = Some(key);
        let before = state.sleepers.insert(key, cx.waker().clone());
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = lock(&self.state).sleepers.remove(&key);
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn sleepers_wake_when_their_time_has_come() {
        let clock = ManualClock::new();
        let (mut late, mut soon) = (clock.sleep_until(ms(20)), clock.sleep_until(ms(10)));
        assert!((&mut late).now_or_never().is_none());
        assert!((&mut soon).now_or_never().is_none());
        assert_eq!(clock.next_deadline(), Some(ms(10)));
        clock.advance(ms(9));
        assert!((&mut soon).now_or_never().is_none());
        clock.advance(ms(1));
        assert!((&mut soon).now_or_never().is_some());
        assert!((&mut late).now_or_never().is_none());
        assert_eq!(clock.next_deadline(), Some(ms(20)));
        drop(late);
        assert_eq!(clock.next_deadline(), None);
    }

    #[test]
    fn the_earliest_deadline_is_woken_first() {
        let clock = ManualClock::new();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut sleeps: Vec<Sleep> = Vec::new();
        for millis in [30, 10, 20] {
            let order = Arc::clone(&order);
            let mut sleep = clock.sleep_until(ms(millis));
            let waker = waker_fn(move || order.lock().unwrap().push(millis));
            assert!(
                sleep
                    .as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
            sleeps.push(sleep);
        }
        clock.advance(ms(100));
        assert_eq!(*order.lock().unwrap(), [10, 20, 30]);
    }

    #[test]
    fn time_never_goes_back() {
        let clock = ManualClock::new();
        clock.advance(ms(5));
        clock.advance_to(ms(3));
        assert_eq!(clock.monotonic(), ms(5));
    }

    fn waker_fn(wake: impl Fn() + Send + Sync + 'static) -> Waker {
        struct Call<F>(F);
        impl<F: Fn() + Send + Sync + 'static> std::task::Wake for Call<F> {
            fn wake(self: Arc<Self>) {
                (self.0)();
            }
        }
        Waker::from(Arc::new(Call(wake)))
    }
}
