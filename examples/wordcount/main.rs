//! Counts the words of a text, durably: run it again and it goes on where it was.
//!
//! ```text
//! cargo run --release --example wordcount -- [--data DIR] [--all] [FILE|-]
//! ```
//!
//! A file that has grown is read on where it ended, in the middle of a word if it ended there: then
//! the word's two parts are counted.

#[path = "app.rs"]
mod app;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match app::Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => app::run(&arguments, &mut std::io::stdout()).await,
        Err(usage) => Err(usage),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            app::complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
