//! What the command line asks for.

use std::path::PathBuf;

/// How to call it.
pub(crate) const USAGE: &str = "\
cargo xtask bench [CASE...] [OPTIONS]

CASE           run these groups alone: limits produce synced fetch latency open recovery growth
  --smoke      tiny sizes: whether every case runs, in seconds (no figure means anything)
  --full       the sizes of the targets: logs up to 20 GB
  --repeat N   repetitions, of which the median counts (default 3)
  --json       figures as JSON on standard output instead of tables
  --record     append the figures to benches/results.csv
  --dir DIR    where the data folders are made (default: under the target folder)
";

/// How large the cases are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Smoke,
    Normal,
    Full,
}

impl Size {
    /// One of three values.
    pub(crate) fn pick<T>(self, smoke: T, normal: T, full: T) -> T {
        match self {
            Self::Smoke => smoke,
            Self::Normal => normal,
            Self::Full => full,
        }
    }
}

/// The command line, read.
#[derive(Clone, Debug)]
pub(crate) struct Args {
    pub(crate) cases: Vec<String>,
    pub(crate) size: Size,
    pub(crate) repeat: usize,
    pub(crate) json: bool,
    pub(crate) record: bool,
    pub(crate) help: bool,
    pub(crate) dir: PathBuf,
}

impl Args {
    /// Reads arguments. `cargo bench` adds `--bench`; without it the program was started as a
    /// test, and runs in its tiny size.
    pub(crate) fn parse(given: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self {
            cases: Vec::new(),
            size: Size::Normal,
            repeat: 3,
            json: false,
            record: false,
            help: false,
            dir: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
        };
        let mut as_bench = false;
        let mut given = given;
        while let Some(arg) = given.next() {
            let mut value = || {
                given
                    .next()
                    .ok_or(format!("{arg} needs a value\n\n{USAGE}"))
            };
            match arg.as_str() {
                "--bench" => as_bench = true,
                "--smoke" => args.size = Size::Smoke,
                "--full" => args.size = Size::Full,
                "--json" => args.json = true,
                "--record" => args.record = true,
                "--help" => args.help = true,
                "--dir" => args.dir = PathBuf::from(value()?),
                "--repeat" => {
                    let number = value()?.parse().ok().filter(|number| *number > 0);
                    args.repeat = number.ok_or(format!("--repeat needs a number\n\n{USAGE}"))?;
                }
                case if crate::GROUPS.iter().any(|group| group.name == case) => {
                    args.cases.push(arg);
                }
                _ => return Err(format!("{arg:?} is not known\n\n{USAGE}")),
            }
        }
        if !as_bench {
            args.size = Size::Smoke;
        }
        if args.size == Size::Smoke {
            args.repeat = 1;
            // Figures of the tiny size are not worth keeping.
            args.record = false;
        }
        Ok(args)
    }

    /// Whether a group is to run.
    pub(crate) fn wants(&self, group: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|case| case == group)
    }
}
