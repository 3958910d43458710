//! The server.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's answers")]

use std::process::ExitCode;
use std::sync::Arc;

use model::time::SystemClock;

use super::EXIT_USAGE;
use crate::flags::{Flags, Stop};
use crate::logging;

/// Runs the server until it is told to stop.
pub(crate) fn run(args: Vec<String>) -> ExitCode {
    let flags = match Flags::parse(args) {
        Ok(flags) => flags,
        Err(Stop::Print(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(Stop::Usage(text)) => {
            eprintln!("{text}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    logging::start(flags.log_level, flags.log_json, Arc::new(SystemClock));
    tracing::info!("started");
    println!("{flags:?}");
    ExitCode::SUCCESS
}
