//! A thread that runs one future and may block in it: waits cost one park, timers are exact.
#![expect(
    clippy::disallowed_methods,
    reason = "the timers of a thread are part of the system clock"
)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

/// Runs `future` on this thread until it is done. Waits for
/// [`SystemClock`](super::SystemClock) are served by this thread itself, without a runtime.
///
/// Never call it on a thread of an async runtime: it blocks.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let _timers = TimersInstalled::install();
    let parker = Arc::new(Parker {
        thread: std::thread::current(),
        woken: AtomicBool::new(true),
    });
    let waker = Waker::from(Arc::clone(&parker));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        let next = wake_due();
        if parker.woken.swap(false, Ordering::Acquire) {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
        } else if let Some(deadline) = next {
            std::thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
        } else {
            std::thread::park();
        }
    }
}

/// Whether this thread serves its own timers.
pub(super) fn is_dedicated() -> bool {
    TIMERS.with_borrow(Option::is_some)
}

/// A wait that the thread which polls it serves.
pub(super) struct DedicatedSleep {
    deadline: Instant,
    /// The key among the timers of the thread, once it was polled.
    timer: Option<(Instant, u64)>,
}

impl DedicatedSleep {
    pub(super) fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            timer: None,
        }
    }
}

impl Future for DedicatedSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.deadline {
            return Poll::Ready(());
        }
        TIMERS.with_borrow_mut(|timers| match timers {
            Some(timers) => {
                let key = self.timer.unwrap_or_else(|| {
                    timers.next += 1;
                    (self.deadline, timers.next)
                });
                self.timer = Some(key);
                timers.waiting.insert(key, cx.waker().clone());
            }
            // Carried to a thread without timers in the middle of a wait: look again at once.
            None => cx.waker().wake_by_ref(),
        });
        Poll::Pending
    }
}

impl Drop for DedicatedSleep {
    fn drop(&mut self) {
        // On another thread, or while the thread ends, this finds nothing; a timer that is left
        // over wakes its task once for nothing.
        if let Some(key) = self.timer {
            let waker = TIMERS.try_with(|timers| {
                let mut timers = timers.try_borrow_mut().ok()?;
                timers.as_mut()?.waiting.remove(&key)
            });
            drop(waker);
        }
    }
}

#[derive(Default)]
struct Timers {
    waiting: BTreeMap<(Instant, u64), Waker>,
    next: u64,
}

thread_local! {
    /// The timers of a thread inside `block_on`.
    static TIMERS: RefCell<Option<Timers>> = const { RefCell::new(None) };
}

/// Wakes what is due; returns the next deadline.
fn wake_due() -> Option<Instant> {
    loop {
        let mut due = None;
        let next = TIMERS.with_borrow_mut(|timers| {
            let waiting = &mut timers.as_mut()?.waiting;
            let first = waiting.first_entry()?;
            let (deadline, _) = *first.key();
            if deadline <= Instant::now() {
                due = Some(first.remove());
            }
            Some(deadline)
        });
        // Outside of the borrow: a waker is foreign code.
        match due {
            Some(waker) => waker.wake(),
            None => return next,
        }
    }
}

/// Gives the thread timers for the time of a `block_on`; one inside another shares them.
struct TimersInstalled {
    outermost: bool,
}

impl TimersInstalled {
    fn install() -> Self {
        let outermost = TIMERS.with_borrow_mut(|timers| {
            let outermost = timers.is_none();
            timers.get_or_insert_default();
            outermost
        });
        Self { outermost }
    }
}

impl Drop for TimersInstalled {
    fn drop(&mut self) {
        if self.outermost {
            drop(TIMERS.take());
        }
    }
}

struct Parker {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Unparking costs a system call; once is enough.
        if !self.woken.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::time::Duration;

    #[test]
    fn a_waker_from_another_thread_ends_the_park() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || block_on(receiver));
        sender.send(7).unwrap();
        assert_eq!(thread.join().unwrap().unwrap(), 7);
    }

    #[test]
    fn a_dropped_wait_leaves_no_timer() {
        block_on(async {
            let far = Instant::now() + Duration::from_secs(3600);
            let mut sleep = DedicatedSleep::new(far);
            assert!((&mut sleep).now_or_never().is_none());
            let count = || TIMERS.with_borrow(|timers| timers.as_ref().unwrap().waiting.len());
            assert_eq!(count(), 1);
            drop(sleep);
            assert_eq!(count(), 0);
        });
        assert!(!is_dedicated());
    }
}
