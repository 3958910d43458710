//! `test …`: files that say what should come out.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's answers")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use promql::features::Features;
use regex::Regex;
use rules::file::CheckOptions;
use rules::unit_test::{self, TestOptions};

use super::EXIT_FAILURE;

/// What to test.
#[derive(Subcommand)]
pub(super) enum Test {
    /// Run unit tests of rules
    Rules {
        /// Only tests whose name matches; can be repeated
        #[arg(long)]
        run: Vec<Regex>,
        /// Pass over fields in rule files that there aren't
        #[arg(long)]
        ignore_unknown_fields: bool,
        /// The test files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Run scripts in the language of the reference's own tests of PromQL (Ferula's own command)
    Promql {
        /// The scripts
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Tests.
pub(super) fn run(what: Test, features: Features) -> ExitCode {
    let passed: Vec<bool> = match what {
        Test::Rules { run, ignore_unknown_fields, files } => {
            let ignores_unknown_fields = ignore_unknown_fields;
            let check = CheckOptions { features, ignores_unknown_fields, ..CheckOptions::default() };
            let options = TestOptions { check, run };
            files.iter().map(|file| test_rules(file, &options)).collect()
        }
        Test::Promql { files } => files.iter().map(|file| test_promql(file)).collect(),
    };
    if passed.contains(&false) { ExitCode::from(EXIT_FAILURE) } else { ExitCode::SUCCESS }
}

/// Runs the unit tests of a file and prints what failed; whether nothing did.
fn test_rules(file: &Path, options: &TestOptions) -> bool {
    println!("Unit Testing:  {}", file.display());
    let errors = match unit_test::run_file(file, options) {
        Ok(results) => results.into_iter().flat_map(|result| result.errors).collect(),
        Err(error) => vec![error.to_string()],
    };
    if errors.is_empty() {
        println!("  SUCCESS\n");
    } else {
        eprintln!("  FAILED:\n{}\n", errors.join("\n"));
    }
    errors.is_empty()
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
