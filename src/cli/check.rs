//! `check …`: is it right?

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's answers")]

mod config;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

/// What to check.
#[derive(Subcommand)]
pub(super) enum Check {
    /// Check configuration files of the server
    Config {
        /// Look at the files alone, not at those that they name
        #[arg(long)]
        syntax_only: bool,
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Checks.
pub(super) fn run(what: Check) -> ExitCode {
    match what {
        Check::Config { syntax_only, files } => config::run(&files, syntax_only),
    }
}
