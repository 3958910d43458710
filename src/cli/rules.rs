//! `rules …`: Ferula's own commands about rules.

#![expect(clippy::print_stderr, reason = "the command line's answers")]

mod backtest;

use std::process::ExitCode;

use clap::Subcommand;
use promql::features::Features;

use super::EXIT_FAILURE;

/// What to do with rules.
#[derive(Subcommand)]
pub(super) enum Rules {
    /// Tell when alerts would have been pending, firing and resolved over stored history (Ferula's own command)
    Backtest(backtest::BacktestArgs),
}

/// Does it.
pub(super) fn run(what: Rules, features: Features) -> ExitCode {
    let Rules::Backtest(args) = what;
    match backtest::run(&args, features) {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(failures) => {
            for failure in failures {
                eprintln!("{failure}");
            }
            ExitCode::from(EXIT_FAILURE)
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}
