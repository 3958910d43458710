//! `check rules`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use promql::features::Features;
use rules::file::{CheckOptions, GroupConfig};

use crate::cli::{EXIT_FAILURE, EXIT_LINT};

/// How much is looked for beside errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lint {
    /// Whether rules that repeat are looked for.
    pub(super) duplicates: bool,
    /// Whether what was found makes the check fail.
    pub(super) fatal: bool,
    /// Whether unknown fields are none of what is looked for.
    pub(super) ignore_unknown_fields: bool,
}

/// Checks files, or standard input if there are none.
pub(super) fn run(files: &[PathBuf], lint: Lint, features: Features) -> ExitCode {
    let ignores_unknown_fields = lint.ignore_unknown_fields;
    let options = CheckOptions { features, ignores_unknown_fields, ..CheckOptions::default() };
    let mut worst = Found::Nothing;
    if files.is_empty() {
        println!("Checking standard input");
        let mut text = String::new();
        worst = match std::io::stdin().read_to_string(&mut text) {
            Ok(_) => check("standard input", &text, lint, &options),
            Err(error) => failed(&[error.to_string()]),
        };
        println!();
    }
    for file in files {
        worst = worst.max(check_file(file, lint, &options));
        println!();
    }
    match worst {
        Found::Error => ExitCode::from(EXIT_FAILURE),
        Found::Lint if lint.fatal => ExitCode::from(EXIT_LINT),
        Found::Lint | Found::Nothing => ExitCode::SUCCESS,
    }
}

/// What was found, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    Nothing,
    Lint,
    Error,
}

/// Checks a file and prints what was found.
pub(super) fn check_file(file: &Path, lint: Lint, options: &CheckOptions) -> Found {
    println!("Checking {}", file.display());
    match std::fs::read_to_string(file) {
        Ok(text) => check(&file.to_string_lossy(), &text, lint, options),
        Err(error) => failed(&[format!("{}: {error}", file.display())]),
    }
}

fn check(name: &str, text: &str, lint: Lint, options: &CheckOptions) -> Found {
    let groups = match rules::file::parse(name, text, options) {
        Ok(groups) => groups,
        Err(errors) => {
            return failed(&errors.iter().map(ToString::to_string).collect::<Vec<_>>());
        }
    };
    let found = if lint.duplicates { duplicates(&groups) } else { String::new() };
    let count: usize = groups.iter().map(|group| group.rules.len()).sum();
    if found.is_empty() {
        println!("  SUCCESS: {count} rules found");
        return Found::Nothing;
    }
    if lint.fatal {
        eprintln!("  FAILED:\nlint error {found}");
    } else {
        println!("  SUCCESS: {count} rules found\n{found}");
    }
    Found::Lint
}

fn failed(errors: &[String]) -> Found {
    eprintln!("  FAILED:\n{}", errors.join("\n"));
    Found::Error
}

/// Tells of rules that write the same series; nothing if there are none.
fn duplicates(groups: &[GroupConfig]) -> String {
    let duplicates = rules::file::duplicates(groups);
    if duplicates.is_empty() {
        return String::new();
    }
    let mut text = format!("{} duplicate rule(s) found.\n", duplicates.len());
    for (metric, labels) in duplicates {
        text.push_str(&format!("Metric: {metric}\nLabel(s):\n"));
        for (name, value) in labels.iter() {
            text.push_str(&format!("\t{name}: {value}\n"));
        }
    }
    text + "Might cause inconsistency while recording expressions"
}
