//! The server, from its flags to its exit code.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's answers")]

use std::process::ExitCode;
use std::sync::Arc;

use model::time::SystemClock;

use super::{EXIT_FAILURE, EXIT_USAGE};
use crate::flags::{Flags, Stop};
use crate::{logging, wire};

/// Runs the server until it is told to end.
pub(super) fn run(args: Vec<String>) -> ExitCode {
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
        Err(Stop::Conflict(text)) => {
            eprintln!("{text}");
            return ExitCode::from(EXIT_FAILURE);
        }
    };
    logging::start(flags.log_level, flags.log_json, Arc::new(SystemClock));
    for name in &flags.features.unknown {
        tracing::warn!(option = name, "Unknown option for --enable-feature");
    }
    match wire::run(flags) {
        Ok(()) => {
            tracing::info!("See you next time!");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(err = format!("{error:#}"), "The server can't run");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}
