//! `test …`: files that say what should come out.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's answers")]

mod junit;
mod rules;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use promql::features::Features;

use super::EXIT_FAILURE;

/// What to test.
#[derive(Subcommand)]
pub(super) enum Test {
    /// Run unit tests of rules
    Rules(rules::RulesArgs),
    /// Run scripts in the language of the reference's own tests of PromQL (Ferula's own command)
    Promql {
        /// The scripts
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Tests.
pub(super) fn run(what: Test, features: Features) -> ExitCode {
    match what {
        Test::Rules(args) => rules::run(&args, features),
        Test::Promql { files } => {
            let passed: Vec<bool> = files.iter().map(|file| test_promql(file)).collect();
            if passed.contains(&false) { ExitCode::from(EXIT_FAILURE) } else { ExitCode::SUCCESS }
        }
    }
}

/// Runs a script and prints what failed; whether nothing did.
fn test_promql(file: &Path) -> bool {
    let name = file.display();
    match promql::script::run_file(file) {
        Ok(report) => {
            println!("{name}: {report}");
            for failure in &report.failed {
                eprintln!("{name}: {failure}");
            }
            report.failed.is_empty()
        }
        Err(error) => {
            eprintln!("{name}: {error}");
            false
        }
    }
}
