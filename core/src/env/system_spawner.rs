//! Tasks on tokio and on threads of their own.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt;
use tokio::runtime::Handle;

use super::{BoxFuture, Spawner, TaskHandle, block_on, runtime};

/// Runs tasks on the tokio runtime it was made in, or on a private one when there was none.
#[derive(Clone, Debug)]
pub struct SystemSpawner {
    runtime: Handle,
}

impl SystemSpawner {
    /// A spawner for the current runtime.
    #[must_use]
    pub fn new() -> Self {
        Self {
            runtime: runtime::handle(),
        }
    }
}

impl Default for SystemSpawner {
    fn default() -> Self {
        Self::new()
    }
}

impl Spawner for SystemSpawner {
    fn spawn(&self, name: &'static str, task: BoxFuture) -> TaskHandle {
        let (done, handle) = TaskHandle::new();
        drop(self.runtime.spawn(async move {
            let _done = done;
            let ended = AssertUnwindSafe(task).catch_unwind().await;
            report(name, ended);
        }));
        handle
    }

    #[expect(clippy::disallowed_methods, reason = "this is the spawner")]
    fn spawn_dedicated(&self, name: &'static str, task: BoxFuture) -> TaskHandle {
        let (done, handle) = TaskHandle::new();
        let run = move || {
            let _done = done;
            report(name, catch_unwind(AssertUnwindSafe(|| block_on(task))));
        };
        // Without a thread the task is dropped, which its handle and its channels show.
        match std::thread::Builder::new().name(name.to_owned()).spawn(run) {
            Ok(thread) => drop(thread),
            Err(error) => tracing::error!(name, %error, "no thread for a task"),
        }
        handle
    }

    fn spawn_blocking(&self, name: &'static str, work: Box<dyn FnOnce() + Send>) -> TaskHandle {
        let (done, handle) = TaskHandle::new();
        drop(self.runtime.spawn_blocking(move || {
            let _done = done;
            report(name, catch_unwind(AssertUnwindSafe(work)));
        }));
        handle
    }
}

/// A panic ends only its own task; it is a bug, and must be seen.
fn report(name: &'static str, ended: Result<(), Box<dyn Any + Send>>) {
    if let Err(panic) = ended {
        let message = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        tracing::error!(name, message, "a task panicked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Clock, SystemClock};
    use std::time::Duration;

    #[test]
    fn all_kinds_of_task_run_without_a_runtime_around_them() {
        let spawner = SystemSpawner::new();
        let (sender, mut receiver) = tokio::sync::mpsc::channel(3);
        let clock = SystemClock::new();
        let (first, second, third) = (sender.clone(), sender.clone(), sender);
        let handles = [
            spawner.spawn(
                "async",
                Box::pin(async move {
                    clock.sleep_until(Duration::from_millis(1)).await;
                    first.send(1).await.unwrap();
                }),
            ),
            spawner.spawn_dedicated(
                "dedicated",
                Box::pin(async move {
                    clock.sleep_until(Duration::from_millis(1)).await;
                    second.send(2).await.unwrap();
                }),
            ),
            spawner.spawn_blocking(
                "blocking",
                Box::new(move || third.blocking_send(3).unwrap()),
            ),
        ];
        block_on(async {
            for handle in handles {
                handle.join().await;
            }
            let mut seen = Vec::new();
            while let Some(number) = receiver.recv().await {
                seen.push(number);
            }
            seen.sort_unstable();
            assert_eq!(seen, [1, 2, 3]);
        });
    }

    #[test]
    fn the_handle_of_a_task_that_panics_resolves() {
        let spawner = SystemSpawner::new();
        let boom: fn() -> BoxFuture = || Box::pin(async { panic!("meant to happen") });
        block_on(spawner.spawn("async", boom()).join());
        block_on(spawner.spawn_dedicated("dedicated", boom()).join());
        let work = || panic!("meant to happen {}", 2);
        block_on(spawner.spawn_blocking("blocking", Box::new(work)).join());
    }
}
