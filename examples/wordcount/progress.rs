//! The live line on standard error.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Shows how far reading and counting are, ten times a second.
pub(crate) struct Progress {
    pub(crate) lines: Arc<AtomicU64>,
    stop: Arc<Stop>,
    shown: JoinHandle<()>,
}

#[derive(Default)]
struct Stop {
    now: AtomicBool,
    bell: Notify,
}

impl Progress {
    pub(crate) fn start(processed: Arc<AtomicU64>) -> Self {
        let lines = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(Stop::default());
        let shown = tokio::spawn(show(Arc::clone(&lines), processed, Arc::clone(&stop)));
        Self { lines, stop, shown }
    }

    /// Shows the last state and ends the line.
    pub(crate) async fn finish(self) {
        self.stop.now.store(true, Ordering::Relaxed);
        self.stop.bell.notify_one();
        // The line is only for show; how its task ended does not matter.
        drop(self.shown.await);
    }
}

async fn show(lines: Arc<AtomicU64>, processed: Arc<AtomicU64>, stop: Arc<Stop>) {
    let begun = Instant::now();
    loop {
        let ended = stop.now.load(Ordering::Relaxed);
        let line = format!(
            "\r{} lines read, {} records processed, {:.1} s",
            lines.load(Ordering::Relaxed),
            processed.load(Ordering::Relaxed),
            begun.elapsed().as_secs_f64()
        );
        let mut stderr = std::io::stderr();
        let end = if ended { "\n" } else { "" };
        drop(
            stderr
                .write_all(line.as_bytes())
                .and_then(|()| stderr.write_all(end.as_bytes())),
        );
        if ended {
            return;
        }
        drop(tokio::time::timeout(Duration::from_millis(100), stop.bell.notified()).await);
    }
}
