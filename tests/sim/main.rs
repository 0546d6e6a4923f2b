//! The simulation: a broker and its clients in one thread, on a disk that fails, from seeds.
//!
//! ```text
//!   dice    what a seed draws             plan     limits and faults of each life
//!   world   lives, crashes, audits        actors   the clients
//!   model   what clients were told        invariants/   what must hold
//! ```
//!
//! `cargo test` runs fixed seeds, those of `seeds.txt` (each of which failed once) and a few fresh
//! ones. `cargo xtask sim --seed N` runs a seed, `--count C` that many from there on, `--minutes M`
//! as many as fit.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test stops at what it did not foresee, and speaks at the command line"
)]

mod actors;
mod dice;
mod invariants;
mod model;
mod plan;
mod report;
mod world;

use report::Report;

/// Seeds that every run takes.
const FIXED: u64 = 25;
/// Seeds that nobody chose, beside them.
const FRESH: u64 = 5;
/// One seed in so many is run twice, and compared.
const REPEATED: u64 = 8;

#[test]
fn what_was_acknowledged_holds() {
    let number = |name: &str| -> Option<u64> {
        let text = std::env::var(format!("HEADWATER_SIM_{name}")).ok()?;
        Some(text.parse().unwrap())
    };
    let mut report = Report::new();
    if let Some(first) = number("SEED") {
        let (count, minutes) = (number("COUNT"), number("MINUTES"));
        let count = count.unwrap_or(if minutes.is_some() { u64::MAX } else { 1 });
        report.go_on_for(minutes);
        report.tell = count == 1;
        for seed in first..first.saturating_add(count) {
            if !report.run(seed, seed % REPEATED == first % REPEATED) {
                break;
            }
        }
    } else {
        let kept = include_str!("seeds.txt").lines();
        let kept = kept.filter_map(|line| line.split('#').next()?.trim().parse().ok());
        let kept: Vec<u64> = kept.collect();
        let fresh = report::fresh();
        println!("sim: fresh seeds from {fresh}");
        let seeds = kept.into_iter().chain(0..FIXED).chain(fresh..fresh + FRESH);
        for seed in seeds {
            report.run(seed, seed % REPEATED == 0);
        }
    }
    report.print();
}
