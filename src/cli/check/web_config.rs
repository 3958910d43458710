//! `check web-config`.

use std::path::PathBuf;
use std::process::ExitCode;

use api::web_config::WebConfig;

use crate::cli::EXIT_FAILURE;

/// Checks files one after the other.
pub(super) fn run(files: &[PathBuf]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for file in files {
        match WebConfig::load(file) {
            Ok(_) => eprintln!("{} SUCCESS", file.display()),
            Err(error) => {
                eprintln!("{} FAILED: {error}", file.display());
                code = ExitCode::from(EXIT_FAILURE);
            }
        }
    }
    code
}
