//! The configuration file: read, checked, completed.
//!
//! [`Config::load`] parses strictly what [`file`] describes, gives every job what `global` says, and checks
//! what spans sections. Each crate owns its own section; here they are put together. Sections for whose work
//! there is no part yet are read as well, and listed in [`Config::unsupported`]: a check of the file warns of
//! them, and the server refuses to run on them.

mod alerting;
mod external_labels;
mod file;
mod global;
mod otlp;
mod print;
mod remote_read;
mod remote_write;
pub(crate) mod rule_files;
mod storage;
mod unsupported;
pub(crate) mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use promql::features::Features;
use rules::file::{CheckOptions, GroupConfig};
use scrape::config::{JobConfig, ScrapeConfig};
use serde_saphyr::Spanned;

pub(crate) use alerting::{AlertingConfig, Alertmanagers};
pub(crate) use external_labels::Environment;
pub(crate) use global::Global;
pub(crate) use remote_read::RemoteRead;
pub(crate) use remote_write::RemoteWrite;
pub(crate) use storage::{Retention, StorageConfig};
pub(crate) use unsupported::Unsupported;
pub(crate) use yaml::ConfigError;

/// A configuration in force.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) global: Global,
    pub(crate) storage: StorageConfig,
    /// The jobs of the file itself, then those of its `scrape_config_files`.
    pub(crate) jobs: Vec<JobConfig>,
    pub(crate) alerting: AlertingConfig,
    pub(crate) remote_write: Vec<RemoteWrite>,
    pub(crate) remote_read: Vec<RemoteRead>,
    pub(crate) otlp: remote::otlp::Settings,
    /// What `rule_files` says, as paths.
    pub(crate) rule_patterns: Vec<PathBuf>,
    /// The files that these match.
    pub(crate) rule_files: Vec<PathBuf>,
    /// The rules of those files; empty until they are asked for.
    pub(crate) rules: Vec<(PathBuf, Vec<GroupConfig>)>,
    /// The sections that an agent has no use for, and refuses.
    pub(crate) server_sections: Vec<&'static str>,
    /// What the file asks for that can't be done yet.
    pub(crate) unsupported: Vec<Unsupported>,
    /// Oddities that are no errors.
    pub(crate) warnings: Vec<String>,
    /// Every file that the configuration depends on.
    pub(crate) files: Vec<PathBuf>,
    /// The whole as YAML, defaults filled in and secrets blanked out.
    pub(crate) yaml: String,
}

impl Config {
    /// Reads a file and those that it names.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its place.
    pub(crate) fn load(path: &Path, environment: &Environment) -> Result<Config, ConfigError> {
        let mut written: file::File = yaml::read(path)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let server_sections = written.server_sections();
        let mut warnings = Vec::new();
        let mut global = Global::new(path, written.global.clone(), environment, &mut warnings)?;
        global.set_directory(directory);
        let mut jobs = Jobs { global: &global, by_name: BTreeMap::new(), resolved: Vec::new() };
        jobs.add_all(path, written.scrape_configs())?;
        let in_file = jobs.resolved.len();
        let mut files = vec![path.to_owned()];
        for more in written.matched_scrape_config_files(path)? {
            let written: file::ScrapeConfigFile = yaml::read(&more)?;
            jobs.add_all(&more, written.scrape_configs())?;
            files.push(more);
        }
        let jobs = jobs.resolved;
        let storage = StorageConfig::new(path, &written.storage)?;
        let names = global.scrape.metric_name_validation_scheme;
        let alerting = AlertingConfig::new(path, written.alerting.take(), names)?;
        let rule_patterns = rule_files::patterns(path, written.rule_files.as_ref())?;
        let rule_files = rule_files::matched(&rule_patterns);
        files.extend(rule_files.iter().cloned());
        let remote_write = remote_write::check(path, written.remote_write.take(), names)?;
        let unsupported = unsupported::find(path, &written, &remote_write);
        let remote_write: Vec<RemoteWrite> = remote_write.into_iter().map(|section| section.value).collect();
        let remote_read = remote_read::check(path, written.remote_read.take())?;
        let otlp = otlp::check(path, written.otlp.take(), names)?;
        let sections = print::Sections {
            global: &global,
            alerting: &alerting,
            storage: &storage,
            remote_write: &remote_write,
            remote_read: &remote_read,
            otlp: &otlp,
            jobs: &jobs[..in_file],
        };
        let yaml = print::to_yaml(&written, directory, &sections)
            .map_err(|error| ConfigError::of_file(path, error))?;
        let rules = Vec::new();
        Ok(Config {
            global,
            storage,
            jobs,
            alerting,
            remote_write,
            remote_read,
            otlp,
            rule_patterns,
            rule_files,
            rules,
            server_sections,
            unsupported,
            warnings,
            files,
            yaml,
        })
    }

    /// What rule files are checked against.
    pub(crate) fn rule_checks(&self, features: Features) -> CheckOptions {
        CheckOptions {
            names: self.global.scrape.metric_name_validation_scheme,
            features,
            ..CheckOptions::default()
        }
    }

    /// As [`Config::load`], for running: with the program's environment, and refused whole if a part of it can't
    /// be done yet; with its rules, for which `features` of PromQL are on. The error is a sentence.
    pub(crate) fn load_to_run(path: &Path, features: Features) -> Result<Config, String> {
        let mut config =
            Config::load(path, &|name| std::env::var(name).ok()).map_err(|error| error.to_string())?;
        let unsupported: Vec<String> = config.unsupported.iter().map(ToString::to_string).collect();
        if !unsupported.is_empty() {
            return Err(unsupported.join("; "));
        }
        let rules = rule_files::load(&config.rule_files, &config.rule_checks(features));
        config.rules = rules.map_err(|error| error.to_string())?;
        Ok(config)
    }
}

/// Jobs as they are added, with names that must not repeat.
struct Jobs<'a> {
    global: &'a Global,
    /// For each name the file that has it.
    by_name: BTreeMap<String, PathBuf>,
    resolved: Vec<JobConfig>,
}

impl Jobs<'_> {
    fn add_all(
        &mut self,
        file: &Path,
        sections: Result<Vec<Spanned<ScrapeConfig>>, usize>,
    ) -> Result<(), ConfigError> {
        let sections = sections.map_err(|index| {
            let what = "empty or null scrape config section";
            ConfigError { field: format!("scrape_configs[{index}]"), ..ConfigError::of_file(file, what) }
        })?;
        for (index, section) in sections.into_iter().enumerate() {
            self.add(file, index, section)?;
        }
        Ok(())
    }

    fn add(&mut self, file: &Path, index: usize, section: Spanned<ScrapeConfig>) -> Result<(), ConfigError> {
        let at = |field: &str, what: String| {
            ConfigError::at(file, section.referenced, format!("scrape_configs[{index}]{field}"), what)
        };
        let name = section.value.job_name().to_owned();
        if let Some(first) = self.by_name.insert(name.clone(), file.to_owned()) {
            let what = format!("found multiple scrape configs with job name {name:?}");
            let what =
                if first == file { what } else { format!("{what}, first found in {}", first.display()) };
            return Err(at(".job_name", what));
        }
        let mut value = section.value;
        value.set_directory(file.parent().unwrap_or(Path::new("")));
        let job = value.resolve(&self.global.scrape).map_err(|error| at("", error.to_string()))?;
        self.resolved.push(job);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
