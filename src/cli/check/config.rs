//! `check config`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use client::config::FileUse;
use model::duration::PromDuration;
use promql::features::Features;
use rules::file::CheckOptions;
use scrape::config::JobConfig;
use scrape::discovery::config::DiscoveryConfigs;
use scrape::discovery::{TargetGroup, groups_of_files};
use scrape::target;

use super::rules::{Found, Lint, check_file};
use crate::cli::{EXIT_FAILURE, EXIT_LINT};
use crate::config::Config;

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// The files alone, not those that they name.
    pub(super) syntax_only: bool,
    /// Whether the files are for an agent.
    pub(super) agent: bool,
    /// What is looked for in rules.
    pub(super) rules: Lint,
    /// The scrape interval that is too long, if that is looked for.
    pub(super) lookback: Option<PromDuration>,
    pub(super) features: Features,
}

/// Checks files one after the other, and prints as promtool does.
pub(super) fn run(files: &[PathBuf], options: &Options) -> ExitCode {
    let mut worst = Found::Nothing;
    for file in files {
        println!("Checking {}", file.display());
        match check(file, options) {
            Ok(config) => {
                if !config.rule_files.is_empty() && !options.syntax_only {
                    println!("  SUCCESS: {} rule files found", config.rule_files.len());
                }
                println!(" SUCCESS: {} is valid prometheus config file syntax", file.display());
                println!();
                worst = worst.max(check_more(&config, options));
            }
            Err(errors) => {
                for error in errors {
                    eprintln!("  FAILED: {error}");
                }
                println!();
                worst = Found::Error;
            }
        }
    }
    match worst {
        Found::Error => ExitCode::from(EXIT_FAILURE),
        Found::Lint if options.rules.fatal => ExitCode::from(EXIT_LINT),
        Found::Lint | Found::Nothing => ExitCode::SUCCESS,
    }
}

/// Reads a file, prints what is odd about it, and tells what is wrong with it.
fn check(file: &Path, options: &Options) -> Result<Config, Vec<String>> {
    let config = Config::load(file, &|name| std::env::var(name).ok()).map_err(|e| vec![e.to_string()])?;
    if let Some(section) = config.server_sections.first().filter(|_| options.agent) {
        return Err(vec![format!("field {section} is not allowed in agent mode")]);
    }
    let refused =
        config.unsupported.iter().map(|unsupported| format!("the server will refuse {unsupported}"));
    for warning in config.warnings.iter().cloned().chain(refused) {
        println!("  WARNING: {warning}");
    }
    if options.syntax_only {
        return Ok(config);
    }
    let mut errors = missing_rule_files(&config);
    for job in &config.jobs {
        let place = format!("scrape job {:?}", job.job_name);
        errors.extend(missing_files(&place, &job.http_client.files(), |usage| usage != FileUse::Other));
        errors.extend(missing_of_discovery(&place, &job.discovery));
        for group in groups(&place, &job.discovery, &mut errors) {
            errors.extend(wrong_target(job, &group));
        }
    }
    for alertmanagers in &config.alerting.alertmanagers {
        let place = "alertmanager config";
        missing_files(place, &alertmanagers.http_client.files(), |_| false);
        errors.extend(missing_of_discovery(place, &alertmanagers.discovery));
        groups(place, &alertmanagers.discovery, &mut errors);
    }
    if errors.is_empty() { Ok(config) } else { Err(errors) }
}

/// Patterns without a star that match nothing.
fn missing_rule_files(config: &Config) -> Vec<String> {
    let patterns = config.rule_patterns.iter().filter(|pattern| !pattern.to_string_lossy().contains('*'));
    let missing = patterns.filter(|pattern| !pattern.exists());
    missing
        .map(|pattern| format!("{:?} does not point to an existing file", pattern.to_string_lossy()))
        .collect()
}

/// Files with secrets and certificates of a section's discovery that aren't there, as [`missing_files`].
fn missing_of_discovery(place: &str, discovery: &DiscoveryConfigs) -> Vec<String> {
    let mut errors = Vec::new();
    for kubernetes in &discovery.kubernetes_sd_configs {
        let is_checked = |usage| matches!(usage, FileUse::ClientCertificate | FileUse::ClientKey);
        errors.extend(missing_files(place, &kubernetes.http_client.files(), is_checked));
        missing_files(place, &[(FileUse::Other, &kubernetes.kubeconfig_file)], |_| false);
    }
    for client in discovery.http_clients() {
        missing_files(place, &client.files(), |_| false);
    }
    errors
}

/// Files that aren't there: errors of those that promtool looks for, a warning of each other.
fn missing_files(
    place: &str,
    files: &[(FileUse, &str)],
    is_checked: impl Fn(FileUse) -> bool,
) -> Vec<String> {
    let mut errors = Vec::new();
    for (usage, path) in files.iter().filter(|(_, path)| !path.is_empty()) {
        let Err(error) = std::fs::metadata(path) else { continue };
        if !is_checked(*usage) {
            println!("  WARNING: file {path:?} of {place} does not exist");
            continue;
        }
        let what = match usage {
            FileUse::Credentials => "authorization credentials or bearer token file",
            FileUse::ClientCertificate => "client cert file",
            FileUse::ClientKey => "client key file",
            FileUse::Other => "file",
        };
        let reason = match error.kind() {
            ErrorKind::NotFound => "no such file or directory".to_owned(),
            ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ => error.to_string(),
        };
        errors.push(format!("error checking {what} {path:?}: stat {path}: {reason}"));
    }
    errors
}

/// The groups of a job that stand in files; a warning of files that aren't there.
fn groups(place: &str, discovery: &DiscoveryConfigs, errors: &mut Vec<String>) -> Vec<TargetGroup> {
    let mut groups = Vec::new();
    for pattern in discovery.file_sd_configs.iter().flat_map(|config| &config.files) {
        match groups_of_files(pattern) {
            Ok(None) => println!("  WARNING: file {pattern:?} for file_sd in {place} does not exist"),
            Ok(Some(found)) => groups.extend(found),
            Err(error) => errors.push(format!("checking SD file {pattern:?}: {error}")),
        }
    }
    for (index, config) in discovery.static_configs.iter().enumerate() {
        groups.push(TargetGroup::of_addresses(&config.targets, config.labels.clone(), index.to_string()));
    }
    groups
}

/// The first target of a group that can't be one.
fn wrong_target(job: &JobConfig, group: &TargetGroup) -> Option<String> {
    let built = group.targets.iter().map(|own| target::build(job, own, &group.labels));
    let wrong = built.filter_map(Result::err).next()?;
    Some(format!("job {:?}: {wrong}", job.job_name))
}

/// What is looked for in a configuration that is valid.
fn check_more(config: &Config, options: &Options) -> Found {
    if options.syntax_only {
        return Found::Nothing;
    }
    let mut worst = Found::Nothing;
    let too_long =
        |job: &&JobConfig| options.lookback.is_some_and(|lookback| job.scrape_interval.0 >= lookback.0);
    if let Some(job) = config.jobs.iter().find(too_long) {
        eprintln!(
            "  FAILED: too long scrape interval found, data point will be marked as stale - job: {}, interval: {}",
            job.job_name, job.scrape_interval
        );
        worst = Found::Lint;
    }
    let ignores_unknown_fields = options.rules.ignore_unknown_fields;
    let checks = CheckOptions { ignores_unknown_fields, ..config.rule_checks(options.features) };
    for file in &config.rule_files {
        worst = worst.max(check_file(file, options.rules, &checks));
        println!();
    }
    worst
}
