//! `cargo xtask test`: all tests and doctests, by plain cargo.

use crate::Result;
use crate::cargo::Cargo;

pub(crate) fn run(args: &[String]) -> Result {
    Cargo::new("test --workspace").args(args).run()
}
