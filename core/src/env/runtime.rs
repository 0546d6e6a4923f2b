//! The tokio runtime that tasks and timers use.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle, Runtime};

/// The caller's runtime; for callers that have none, one that the process makes once and keeps.
#[expect(
    clippy::expect_used,
    reason = "a process that may not start threads cannot run anything here, as with tokio::main"
)]
pub(super) fn handle() -> Handle {
    static PRIVATE: OnceLock<Runtime> = OnceLock::new();
    Handle::try_current().unwrap_or_else(|_| {
        let make = || {
            Builder::new_multi_thread()
                .thread_name("headwater")
                .enable_all()
                .build()
                .expect("the operating system gives no threads for the async runtime")
        };
        PRIVATE.get_or_init(make).handle().clone()
    })
}
