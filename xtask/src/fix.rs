//! `cargo xtask fix`: mends what a machine can mend.

use crate::Result;
use crate::cargo::Cargo;

pub(crate) fn run(args: &[String]) -> Result {
    crate::flags::numbers(args, [])?;
    Cargo::new("clippy --workspace --all-targets --fix --allow-dirty --allow-staged").run()?;
    Cargo::new("fmt --all").run()
}
