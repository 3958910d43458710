//! `check config`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::EXIT_FAILURE;
use crate::config::Config;

/// Checks files one after the other, and prints as promtool does.
pub(super) fn run(files: &[PathBuf], syntax_only: bool) -> ExitCode {
    let mut failed = false;
    for file in files {
        println!("Checking {}", file.display());
        match check(file, syntax_only) {
            Ok(warnings) => {
                for warning in warnings {
                    println!("  WARNING: {warning}");
                }
                println!(" SUCCESS: {} is valid prometheus config file syntax", file.display());
            }
            Err(errors) => {
                failed = true;
                for error in errors {
                    eprintln!("  FAILED: {error}");
                }
            }
        }
        println!();
    }
    if failed { ExitCode::from(EXIT_FAILURE) } else { ExitCode::SUCCESS }
}

/// What is odd about a file, or what is wrong with it.
fn check(file: &Path, syntax_only: bool) -> Result<Vec<String>, Vec<String>> {
    let config = Config::load(file, &|name| std::env::var(name).ok()).map_err(|e| vec![e.to_string()])?;
    let mut warnings = config.warnings;
    warnings
        .extend(config.unsupported.iter().map(|unsupported| format!("the server will refuse {unsupported}")));
    if syntax_only {
        return Ok(warnings);
    }
    let mut errors = Vec::new();
    for job in &config.jobs {
        for file in job.http_client.files() {
            if let Err(error) = std::fs::metadata(file) {
                errors.push(format!("error checking file {file:?} of job {:?}: {error}", job.job_name));
            }
        }
    }
    if errors.is_empty() { Ok(warnings) } else { Err(errors) }
}
