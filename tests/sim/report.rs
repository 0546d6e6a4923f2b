//! Runs seeds, keeps count, and says which one failed and how to run it again.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::invariants::repeat;
use crate::world;

/// A seed that takes longer than this is taken for endless.
const SEED_SECONDS_MAX: u64 = 60;

/// What many seeds came to.
pub(crate) struct Report {
    /// Whether to tell of each life.
    pub(crate) tell: bool,
    begun: Instant,
    until: Option<Instant>,
    seeds: u64,
    repeated: u64,
    simulated: Duration,
    counts: BTreeMap<&'static str, u64>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            tell: false,
            begun: Instant::now(),
            until: None,
            seeds: 0,
            repeated: 0,
            simulated: Duration::ZERO,
            counts: BTreeMap::new(),
        }
    }

    /// Has [`Report::run`] say no when these minutes are over.
    pub(crate) fn go_on_for(&mut self, minutes: Option<u64>) {
        self.until = minutes.map(|minutes| self.begun + Duration::from_secs(60 * minutes));
    }

    /// Runs a seed, twice if asked to; returns whether there is time for more.
    pub(crate) fn run(&mut self, seed: u64, twice: bool) -> bool {
        watch(seed);
        let ran = catch_unwind(AssertUnwindSafe(|| {
            let outcome = world::run(seed, self.tell);
            if twice {
                repeat::check(&outcome, &world::run(seed, false));
            }
            outcome
        }));
        let outcome = ran.unwrap_or_else(|panic| {
            self.print();
            eprintln!(
                "sim: seed {seed} failed. Again with: cargo xtask sim --seed {seed}\n\
                 sim: add it to tests/sim/seeds.txt when it is mended"
            );
            resume_unwind(panic)
        });
        self.seeds += 1;
        self.repeated += u64::from(twice);
        self.simulated += outcome.time;
        for (what, count) in outcome.counts {
            *self.counts.entry(what).or_default() += count;
        }
        self.until.is_none_or(|until| Instant::now() < until)
    }

    /// Prints a table of what was done.
    pub(crate) fn print(&self) {
        let line = |what: &str, count: u64| println!("sim: {what:<26} {count:>12}");
        line("seeds", self.seeds);
        line("of them run twice", self.repeated);
        for (what, count) in &self.counts {
            line(what, *count);
        }
        line("simulated seconds", self.simulated.as_secs());
        line("real seconds", self.begun.elapsed().as_secs());
    }
}

/// A seed that nobody chose, short enough to type.
pub(crate) fn fresh() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::from(now.subsec_nanos()) ^ now.as_secs()
}

/// The seed that runs, plus one, for the thread that watches.
static RUNNING: AtomicU64 = AtomicU64::new(0);

/// Ends the process, naming the seed, when a seed does not end.
fn watch(seed: u64) {
    let first = RUNNING.swap(seed.wrapping_add(1), Ordering::Relaxed) == 0;
    if !first {
        return;
    }
    std::thread::spawn(|| {
        let (mut last, mut seconds) = (0, 0);
        loop {
            std::thread::park_timeout(Duration::from_secs(1));
            let running = RUNNING.load(Ordering::Relaxed);
            seconds = if running == last { seconds + 1 } else { 0 };
            last = running;
            if seconds >= SEED_SECONDS_MAX {
                let seed = running.wrapping_sub(1);
                eprintln!(
                    "sim: seed {seed} does not end. Again with: cargo xtask sim --seed {seed}"
                );
                std::process::abort();
            }
        }
    });
}
