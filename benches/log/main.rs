//! The benches of the log: what producing, reading and opening cost, beside what the machine can
//! do.
//!
//! ```text
//! cargo xtask bench                  all cases, some minutes
//! cargo xtask bench produce fetch    some of them
//! cargo xtask bench --smoke          whether they run
//! cargo xtask bench --help
//! ```
//!
//! Processor time counts all threads of the process and the kernel's work for them; it is the
//! steadier figure where other programs use the machine. Wall clock shows what a user sees. Data
//! that was read before is in the page cache.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program at the command line speaks there"
)]

mod args;
mod fetch;
mod limits;
mod measure;
mod produce;
mod report;
mod targets;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;

use args::Args;
use measure::{Bench, Result};
use report::Report;

/// Cases that are chosen together.
struct Group {
    name: &'static str,
    run: for<'a> fn(&'a mut Bench) -> Pin<Box<dyn Future<Output = Result> + 'a>>,
}

const GROUPS: &[Group] = &[
    Group {
        name: "limits",
        run: |bench| Box::pin(limits::run(bench)),
    },
    Group {
        name: "produce",
        run: |bench| Box::pin(produce::run(bench)),
    },
    Group {
        name: "fetch",
        run: |bench| Box::pin(fetch::run(bench)),
    },
];

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    if args.help {
        print!("{}", args::USAGE);
        return ExitCode::SUCCESS;
    }
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut bench = Bench {
        args,
        report: Report::default(),
    };
    for group in GROUPS {
        if bench.args.wants(group.name) {
            runtime.block_on((group.run)(&mut bench))?;
        }
    }
    if bench.args.record {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        bench.report.record(&root.join("benches/results.csv"))?;
    }
    if bench.args.json {
        print!("{}", bench.report.json());
    } else {
        println!("{}, commit {}\n", report::machine(), report::commit());
        println!("{}", bench.report.table());
        print!("{}", targets::lines(&bench.report));
    }
    Ok(())
}
