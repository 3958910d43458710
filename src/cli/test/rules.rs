//! `test rules`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use jiff::Timestamp;
use model::time::{Clock, SystemClock};
use promql::features::Features;
use regex::Regex;
use rules::file::CheckOptions;
use rules::unit_test::{self, TestOptions, TestResult};

use super::junit::{Case, Report, Suite};
use crate::cli::EXIT_FAILURE;

/// What is tested, and how it is shown.
#[derive(clap::Args)]
pub(in crate::cli) struct RulesArgs {
    /// Write the results to this file, as JUnit's XML
    #[arg(long)]
    junit: Option<PathBuf>,
    /// Only tests whose name matches; can be repeated
    #[arg(long)]
    run: Vec<Regex>,
    /// Print what each test does, and all samples at its end
    #[arg(long)]
    debug: bool,
    /// Show wrong alerts as a coloured difference
    #[arg(long)]
    diff: bool,
    /// Pass over fields in rule files that there aren't
    #[arg(long)]
    ignore_unknown_fields: bool,
    /// The test files
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Tests.
pub(super) fn run(args: &RulesArgs, features: Features) -> ExitCode {
    let options = TestOptions {
        check: CheckOptions {
            features,
            ignores_unknown_fields: args.ignore_unknown_fields,
            ..CheckOptions::default()
        },
        run: args.run.clone(),
        diff: args.diff,
        warn: Some(|what| eprintln!("  WARNING: {what}")),
        debug: args.debug.then_some(|line| println!("{line}")),
    };
    let suites: Vec<Suite> = args.files.iter().map(|file| test_file(file, &options)).collect();
    let passed = suites.iter().all(Suite::passed);
    let written = args.junit.as_ref().map_or(Ok(()), |file| {
        std::fs::write(file, Report { suites }.to_string())
            .with_context(|| format!("write {}", file.display()))
    });
    if let Err(error) = &written {
        eprintln!("{error:#}");
    }
    if passed && written.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILURE) }
}

/// Runs the tests of a file and prints what failed. Like the reference, it writes errors to standard error, and
/// the empty lines between them to standard output.
fn test_file(file: &Path, options: &TestOptions) -> Suite {
    println!("Unit Testing:  {}", file.display());
    let now = Timestamp::from_millisecond(SystemClock.now_ms()).unwrap_or_default();
    let suite = match unit_test::run_file(file, options) {
        Ok(results) => Suite {
            name: file.display().to_string(),
            timestamp: now.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            cases: results.into_iter().map(case).collect(),
        },
        Err(error) => Suite {
            name: file.display().to_string(),
            timestamp: String::new(),
            cases: vec![Case {
                name: "unknown".to_owned(),
                failures: Vec::new(),
                error: Some(error.to_string()),
            }],
        },
    };
    if suite.passed() {
        println!("  SUCCESS");
    } else {
        eprintln!("  FAILED:");
        for error in suite.cases.iter().flat_map(|case| case.failures.iter().chain(&case.error)) {
            eprintln!("{error}");
            println!();
        }
    }
    println!();
    suite
}

fn case(result: TestResult) -> Case {
    Case { name: result.name, failures: result.errors, error: None }
}
