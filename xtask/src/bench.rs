//! `cargo xtask bench`: the benches (`benches/log/`); arguments go to them as they are.

use crate::Result;
use crate::cargo::{Cargo, require};

pub(crate) fn run(args: &[String]) -> Result {
    require(&["benches/log/main.rs"])?;
    Cargo::new("bench --bench log --").args(args).run()
}
