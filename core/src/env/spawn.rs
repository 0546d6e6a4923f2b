//! Background tasks: started through a [`Spawner`], so that a simulation runs them in one thread.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

/// A boxed future that a spawner runs.
pub type BoxFuture<T = ()> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A started task; await [`TaskHandle::join`] for its end. Dropping it lets the task go on.
#[derive(Debug)]
pub struct TaskHandle {
    done: tokio::sync::oneshot::Receiver<()>,
}

impl TaskHandle {
    /// A handle and the sender that its task drops (or sends on) when it is done.
    #[must_use]
    pub fn new() -> (tokio::sync::oneshot::Sender<()>, Self) {
        let (sender, done) = tokio::sync::oneshot::channel();
        (sender, Self { done })
    }

    /// Waits until the task has ended, in whatever way.
    pub async fn join(self) {
        drop(self.done.await);
    }
}

/// Lets other tasks run before this one goes on: what a long loop calls now and then, and where
/// the simulation may choose another order.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs background work.
pub trait Spawner: Send + Sync + fmt::Debug {
    /// Runs `task` beside others on the async runtime. It must never block.
    fn spawn(&self, name: &'static str, task: BoxFuture) -> TaskHandle;

    /// Runs `task` on a thread of its own, where it may block (file writes, syncs).
    fn spawn_dedicated(&self, name: &'static str, task: BoxFuture) -> TaskHandle;

    /// Runs `work`, which may block, off the async threads.
    fn spawn_blocking(&self, name: &'static str, work: Box<dyn FnOnce() + Send>) -> TaskHandle;
}
