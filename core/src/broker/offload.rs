//! Work that may block, run off the async threads and waited for.

use std::future::Future;

use tokio::sync::oneshot;

use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};

/// Runs `work` where it may block.
///
/// # Errors
/// `Closed` when it ended without an answer: it panicked, or the runtime went away.
pub(super) async fn offload<T: Send + 'static>(
    env: &Env,
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = oneshot::channel();
    let work = move || drop(sender.send(work()));
    drop(env.spawner.spawn_blocking(name, Box::new(work)));
    receiver.await.map_err(|error| ended(name).source(error))
}

/// Runs `work`, which waits and blocks, on a thread of its own.
///
/// # Errors
/// As [`offload`].
pub(super) async fn offload_async<T: Send + 'static>(
    env: &Env,
    name: &'static str,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = oneshot::channel();
    let work = async move { drop(sender.send(work.await)) };
    drop(env.spawner.spawn_dedicated(name, Box::pin(work)));
    receiver.await.map_err(|error| ended(name).source(error))
}

fn ended(name: &str) -> Error {
    Error::new(
        ErrorKind::Closed,
        format!("to {name} ended without an answer"),
    )
}
