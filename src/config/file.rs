//! The configuration file as it is written.

use std::path::{Path, PathBuf};

use scrape::config::ScrapeConfig;
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::alerting::WrittenAlerting;
use super::global::WrittenGlobal;
use super::remote_read::WrittenRemoteRead;
use super::remote_write::WrittenRemoteWrite;
use super::storage::WrittenStorage;
use super::yaml::ConfigError;

/// A section whose owner isn't there yet: any YAML.
pub(super) type Opaque = Option<Spanned<Value>>;

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) global: Option<WrittenGlobal>,
    pub(super) runtime: Option<Runtime>,
    pub(super) alerting: Option<WrittenAlerting>,
    pub(super) rule_files: Option<Spanned<Vec<String>>>,
    pub(super) scrape_config_files: Option<Spanned<Vec<String>>>,
    scrape_configs: Option<Vec<Option<Spanned<ScrapeConfig>>>>,
    pub(super) storage: Option<WrittenStorage>,
    pub(super) tracing: Opaque,
    pub(super) remote_write: Option<WrittenRemoteWrite>,
    pub(super) remote_read: Option<WrittenRemoteRead>,
    pub(super) otlp: Option<Spanned<remote::otlp::Settings>>,
}

/// `runtime`: settings of a Go program, which have no effect here.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Runtime {
    pub(super) gogc: Option<i64>,
}

/// A file that `scrape_config_files` names.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ScrapeConfigFile {
    scrape_configs: Option<Vec<Option<Spanned<ScrapeConfig>>>>,
}

impl File {
    /// Takes out the jobs; the error is the index of one that is null.
    pub(super) fn scrape_configs(&mut self) -> Result<Vec<Spanned<ScrapeConfig>>, usize> {
        without_null(self.scrape_configs.take())
    }

    /// The sections that there are and that an agent refuses.
    pub(super) fn server_sections(&self) -> Vec<&'static str> {
        let sections = [
            (self.alerting.is_some(), "alerting"),
            (self.rule_files.as_ref().is_some_and(|files| !files.value.is_empty()), "rule_files"),
            (self.remote_read.as_ref().is_some_and(|read| !read.is_empty()), "remote_read"),
        ];
        sections.into_iter().filter(|(is_there, _)| *is_there).map(|(_, name)| name).collect()
    }

    /// The files that `scrape_config_files` matches, in order.
    pub(super) fn matched_scrape_config_files(&self, file: &Path) -> Result<Vec<PathBuf>, ConfigError> {
        let Some(patterns) = &self.scrape_config_files else { return Ok(Vec::new()) };
        let directory = file.parent().unwrap_or(Path::new(""));
        let mut matched = Vec::new();
        for (index, pattern) in patterns.value.iter().enumerate() {
            let at = |what: String| {
                ConfigError::at(file, patterns.referenced, format!("scrape_config_files[{index}]"), what)
            };
            if !is_file_pattern(pattern) {
                return Err(at(format!("invalid scrape config file path {pattern:?}")));
            }
            let pattern = directory.join(pattern);
            let paths = glob::glob(&pattern.to_string_lossy()).map_err(|error| at(error.to_string()))?;
            for path in paths {
                matched.push(path.map_err(|error| at(error.to_string()))?);
            }
        }
        Ok(matched)
    }
}

impl ScrapeConfigFile {
    /// As [`File::scrape_configs`].
    pub(super) fn scrape_configs(self) -> Result<Vec<Spanned<ScrapeConfig>>, usize> {
        without_null(self.scrape_configs)
    }
}

/// Stars are allowed in the last element of a path only.
pub(super) fn is_file_pattern(pattern: &str) -> bool {
    pattern.split_once('*').is_none_or(|(_, rest)| !rest.contains('/'))
}

fn without_null<T>(sections: Option<Vec<Option<T>>>) -> Result<Vec<T>, usize> {
    let sections = sections.unwrap_or_default().into_iter().enumerate();
    sections.map(|(index, section)| section.ok_or(index)).collect()
}
