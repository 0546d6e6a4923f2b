//! `cargo xtask sim`: the simulation (`tests/sim/main.rs`) from a given or a fresh seed.
//!
//! `--seed N` alone runs that seed and tells of each of its lives. `--count` is how many seeds are
//! run, counting up from the first (a hundred if no seed is given either); `--minutes` is how long
//! to go on instead. A table of what was done comes at the end; a seed that fails is named, with
//! the command that runs it again.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::Result;
use crate::cargo::{Cargo, require};

pub(crate) fn run(args: &[String]) -> Result {
    let [seed, count, minutes] = crate::flags::numbers(args, ["--seed", "--count", "--minutes"])?;
    require(&["tests/sim/main.rs"])?;
    let count = match (seed, count, minutes) {
        (None, None, None) => Some(COUNT),
        _ => count,
    };
    let seed = seed.unwrap_or_else(fresh);
    println!("sim: first seed {seed}");
    let mut call = Cargo::new("test --profile sim --test sim -- --nocapture")
        .env("HEADWATER_SIM_SEED", &seed.to_string());
    for (name, value) in [("COUNT", count), ("MINUTES", minutes)] {
        if let Some(value) = value {
            call = call.env(&format!("HEADWATER_SIM_{name}"), &value.to_string());
        }
    }
    call.run()
}

/// How many fresh seeds are run when nothing is said.
const COUNT: u64 = 100;

/// A seed that nobody chose, short enough to type.
fn fresh() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::from(now.subsec_nanos()) ^ now.as_secs())
}
