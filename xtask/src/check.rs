//! `cargo xtask check`: format, lints, docs, house rules. Writes nothing.

use crate::Result;
use crate::cargo::Cargo;

pub(crate) fn run(args: &[String]) -> Result {
    crate::flags::numbers(args, [])?;
    Cargo::new("fmt --all --check").run()?;
    Cargo::new("clippy --workspace --all-targets --quiet -- -D warnings").run()?;
    Cargo::new("doc --workspace --no-deps --quiet")
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()?;
    Cargo::new("test --quiet --test tidy").run()
}
