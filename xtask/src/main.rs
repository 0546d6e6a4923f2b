//! Chores of the workspace: `cargo xtask VERB`, one file for each verb.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program at the command line speaks there"
)]

mod bench;
mod cargo;
mod check;
mod ci;
mod fix;
mod flags;
mod kill;
mod sim;
mod test;

use std::process::ExitCode;

/// The error of a chore: what went wrong, in a sentence.
type Result<T = ()> = std::result::Result<T, String>;

/// A chore: its name, its options, what it does.
struct Verb {
    name: &'static str,
    options: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result,
}

const VERBS: &[Verb] = &[
    Verb {
        name: "check",
        options: "",
        about: "format, lints, docs and house rules; writes nothing",
        run: check::run,
    },
    Verb {
        name: "fix",
        options: "",
        about: "format, and mend what clippy can; the only verb that writes",
        run: fix::run,
    },
    Verb {
        name: "test",
        options: "[CARGO TEST ARGUMENTS]",
        about: "all tests and doctests",
        run: test::run,
    },
    Verb {
        name: "sim",
        options: "[--seed N] [--count N] [--minutes M]",
        about: "the simulation from a seed (default: a fresh one)",
        run: sim::run,
    },
    Verb {
        name: "kill",
        options: "[--rounds N]",
        about: "kill a producing process again and again, and look for what it lost",
        run: kill::run,
    },
    Verb {
        name: "bench",
        options: "[BENCH ARGUMENTS]",
        about: "the benches of the log, beside the machine's own limits",
        run: bench::run,
    },
    Verb {
        name: "ci",
        options: "",
        about: "everything that CI does, in its order (.ci/run)",
        run: ci::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let name = args.first().map_or("help", String::as_str);
    if matches!(name, "help" | "--help" | "-h") {
        print!("{}", help());
        return ExitCode::SUCCESS;
    }
    let outcome = match VERBS.iter().find(|verb| verb.name == name) {
        Some(verb) => (verb.run)(&args[1..]),
        None => Err(format!("no verb {name:?}\n\n{}", help())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask {name}: {message}");
            ExitCode::FAILURE
        }
    }
}

fn help() -> String {
    let mut text = "cargo xtask VERB [OPTIONS]\n\n".to_owned();
    for verb in VERBS {
        let call = format!("{} {}", verb.name, verb.options);
        text += &format!("  {call:<40} {}\n", verb.about);
    }
    text
}
