//! `test …`: scripts that say what should come out.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's answers")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use super::EXIT_FAILURE;

/// What to test.
#[derive(Subcommand)]
pub(super) enum Test {
    /// Run scripts in the language of the reference's own tests of PromQL (Ferula's own command)
    Promql {
        /// The scripts
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Tests.
pub(super) fn run(what: Test) -> ExitCode {
    let Test::Promql { files } = what;
    let passed = files.iter().map(|file| promql(file)).filter(|passed| *passed).count();
    if passed == files.len() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILURE) }
}

/// Runs a script and prints what failed; whether nothing did.
fn promql(file: &Path) -> bool {
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
