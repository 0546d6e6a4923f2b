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
mod growth;
mod latency;
mod limits;
mod measure;
mod open;
mod produce;
mod report;
mod synced;
mod targets;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;

use args::Args;
use measure::{Bench, Result};
use report::Report;
use tokio::runtime::{Builder, Runtime};

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
        name: "synced",
        run: |bench| Box::pin(synced::run(bench)),
    },
    Group {
        name: "fetch",
        run: |bench| Box::pin(fetch::run(bench)),
    },
    Group {
        name: "latency",
        run: |bench| Box::pin(latency::run(bench)),
    },
    Group {
        name: "open",
        run: |bench| Box::pin(open::run(bench)),
    },
    Group {
        name: "recovery",
        run: |bench| Box::pin(open::recovery(bench)),
    },
    Group {
        name: "growth",
        run: |bench| Box::pin(growth::run(bench)),
    },
];

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    if given.first().is_some_and(|first| first == open::CHILD) {
        return ended(runtime().and_then(|runtime| runtime.block_on(open::child(&given[1..]))));
    }
    let args = match Args::parse(given.into_iter()) {
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
    ended(run(args))
}

fn ended(outcome: Result) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<Runtime> {
    Ok(Builder::new_multi_thread().enable_all().build()?)
}

fn run(args: Args) -> Result {
    let runtime = runtime()?;
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
