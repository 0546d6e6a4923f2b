//! `cargo xtask ci`: what CI runs, which is written down in `.ci/run` alone.

use std::process::Command;

use crate::Result;
use crate::cargo::root;

pub(crate) fn run(args: &[String]) -> Result {
    crate::flags::numbers(args, [])?;
    let script = root().join(".ci/run");
    let status = Command::new("bash")
        .arg(&script)
        .status()
        .map_err(|error| format!("cannot start bash {}: {error}", script.display()))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!(".ci/run failed ({status})"))
    }
}
