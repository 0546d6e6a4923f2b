//! `cargo xtask sim`: the simulation (`tests/sim/main.rs`) from a given or a fresh seed.
//!
//! The seed is printed first, so that a failure can be run again. `--count` is how many seeds are
//! run, counting up from the first; `--minutes` is how long to go on instead.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::Result;
use crate::cargo::{Cargo, require};

pub(crate) fn run(args: &[String]) -> Result {
    let [seed, count, minutes] = crate::flags::numbers(args, ["--seed", "--count", "--minutes"])?;
    require(&["tests/sim/main.rs"])?;
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
        .map_err(|error| format!("{error}; again with: cargo xtask sim --seed {seed}"))
}

/// A seed that nobody chose, short enough to type.
fn fresh() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::from(now.subsec_nanos()) ^ now.as_secs())
}
