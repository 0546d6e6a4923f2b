//! `cargo xtask kill`: the kill test (`tests/it/kill.rs`), by default for 30 rounds.

use crate::Result;
use crate::cargo::{Cargo, require};

pub(crate) fn run(args: &[String]) -> Result {
    let [rounds] = crate::flags::numbers(args, ["--rounds"])?;
    require(&["tests/it/kill.rs", "tests/it/kill/mod.rs"])?;
    // A filter that matches nothing would pass.
    let list = Cargo::new("test --profile sim --quiet --test it -- kill --list").output()?;
    if !list.contains(": test") {
        return Err("no test of tests/it has `kill` in its name, so nothing was run".to_owned());
    }
    Cargo::new("test --profile sim --test it -- kill --nocapture")
        .env("HEADWATER_KILL_ROUNDS", &rounds.unwrap_or(30).to_string())
        .run()
}
