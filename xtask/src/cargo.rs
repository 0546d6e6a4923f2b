//! Calls of cargo, printed before they run.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// A call of cargo at the root of the workspace.
pub(crate) struct Cargo {
    command: Command,
    shown: String,
}

impl Cargo {
    /// `cargo ARGS`, the arguments parted by spaces.
    pub(crate) fn new(args: &str) -> Self {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(program);
        command.args(args.split_whitespace()).current_dir(root());
        Self {
            command,
            shown: format!("cargo {args}"),
        }
    }

    /// Adds arguments as they are.
    pub(crate) fn args(mut self, args: &[String]) -> Self {
        self.command.args(args);
        for arg in args {
            self.shown += &format!(" {arg}");
        }
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self.shown = format!("{name}={value:?} {}", self.shown);
        self
    }

    /// Runs it with this program's own output.
    pub(crate) fn run(mut self) -> Result {
        println!("$ {}", self.shown);
        let status = self
            .command
            .status()
            .map_err(|error| format!("cannot start `{}`: {error}", self.shown))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("`{}` failed ({status})", self.shown))
        }
    }

    /// Runs it and takes its standard output.
    pub(crate) fn output(mut self) -> Result<String> {
        let output = self
            .command
            .stderr(std::process::Stdio::inherit())
            .output()
            .map_err(|error| format!("cannot start `{}`: {error}", self.shown))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(format!("`{}` failed ({})", self.shown, output.status))
        }
    }
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Refuses when none of `files` is there: a verb never succeeds by having nothing to do.
pub(crate) fn require(files: &[&str]) -> Result {
    if files.iter().any(|file| root().join(file).is_file()) {
        return Ok(());
    }
    Err(format!(
        "there is no {}, so nothing was run",
        files.join(" or ")
    ))
}
