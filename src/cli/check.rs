//! `check …`: is it right?

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's answers")]

mod config;
mod health;
mod rules;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use promql::features::Features;

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
    /// Ask a server whether it is up
    Healthy {
        #[command(flatten)]
        server: health::Where,
    },
    /// Ask a server whether it is ready
    Ready {
        #[command(flatten)]
        server: health::Where,
    },
    /// Check rule files, or standard input
    Rules {
        /// What to look for beside errors
        #[arg(long, default_value = "duplicate-rules", value_parser = ["all", "duplicate-rules", "none"])]
        lint: String,
        /// Fail if that is found
        #[arg(long)]
        lint_fatal: bool,
        /// The files
        files: Vec<PathBuf>,
    },
}

/// Checks.
pub(super) fn run(what: Check, features: Features) -> ExitCode {
    match what {
        Check::Config { syntax_only, files } => config::run(&files, syntax_only),
        Check::Healthy { server } => health::run(&server, "/-/healthy"),
        Check::Ready { server } => health::run(&server, "/-/ready"),
        Check::Rules { lint, lint_fatal, files } => {
            rules::run(&files, rules::Lint { duplicates: lint != "none", fatal: lint_fatal }, features)
        }
    }
}
