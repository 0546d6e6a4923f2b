//! What a case measures with: wall clock, processor time of the whole process, medians, folders.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

use crate::args::{Args, Size};
use crate::report::Report;

/// The error of a case.
pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What every case is given.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) args: Args,
    pub(crate) report: Report,
}

impl Bench {
    pub(crate) fn size(&self) -> Size {
        self.args.size
    }

    /// A folder of its own, gone when it is dropped.
    pub(crate) fn folder(&self) -> Result<TempDir> {
        std::fs::create_dir_all(&self.args.dir)?;
        Ok(tempfile::Builder::new()
            .prefix("headwater-bench-")
            .tempdir_in(&self.args.dir)?)
    }

    /// Runs a case as often as asked for.
    pub(crate) async fn repeat<T>(
        &mut self,
        what: &str,
        mut case: impl AsyncFnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut outcomes = Vec::new();
        for round in 1..=self.args.repeat {
            progress(&format!("{what}, {round} of {}", self.args.repeat));
            outcomes.push(case(self).await?);
        }
        Ok(outcomes)
    }
}

/// Says on standard error what is going on.
pub(crate) fn progress(what: &str) {
    eprintln!("bench: {what}");
}

/// What a stretch of work took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    /// Processor time of all threads, in the program and in the kernel on its behalf.
    pub(crate) cpu: Duration,
}

impl Cost {
    /// How many of `units` went by in a second.
    pub(crate) fn per_second(&self, units: f64) -> f64 {
        units / self.wall.as_secs_f64()
    }

    /// Processor time of one of `units`, in microseconds.
    pub(crate) fn cpu_us(&self, units: f64) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / units
    }
}

/// Begins to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    wall: Instant,
    cpu: Duration,
}

impl Start {
    pub(crate) fn now() -> Self {
        Self {
            wall: Instant::now(),
            cpu: processor_time(),
        }
    }

    pub(crate) fn cost(&self) -> Cost {
        Cost {
            wall: self.wall.elapsed(),
            cpu: processor_time().saturating_sub(self.cpu),
        }
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value below which the share `part` of sorted `values` lies.
pub(crate) fn percentile(values: &[u64], part: f64) -> f64 {
    let rank = (part * values.len() as f64).ceil().max(1.0);
    let mut ranked = values.iter().zip(1_u32..);
    let found = ranked.find(|(_, at)| f64::from(*at) >= rank);
    found.map_or(f64::NAN, |(value, _)| *value as f64)
}
