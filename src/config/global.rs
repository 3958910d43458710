//! `global`: what holds for all jobs and rules unless they say otherwise.

use std::collections::BTreeMap;
use std::path::Path;

use model::byte_size::ByteSize;
use model::duration::PromDuration;
use model::names::{EscapingScheme, ValidationScheme};
use scrape::config::{GlobalScrapeDefaults, ScrapeProtocol};
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::external_labels::{self, Environment};
use super::yaml::ConfigError;

const DEFAULT_EVALUATION_INTERVAL: PromDuration = PromDuration::from_secs(60);

/// The section as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenGlobal {
    scrape_interval: Option<PromDuration>,
    scrape_timeout: Option<Spanned<PromDuration>>,
    scrape_protocols: Option<Spanned<Vec<ScrapeProtocol>>>,
    evaluation_interval: Option<PromDuration>,
    pub(super) rule_query_offset: Option<PromDuration>,
    pub(super) query_log_file: Option<Spanned<String>>,
    scrape_failure_log_file: Option<String>,
    external_labels: Option<Spanned<BTreeMap<String, String>>>,
    body_size_limit: Option<ByteSize>,
    sample_limit: Option<u64>,
    target_limit: Option<u64>,
    label_limit: Option<u64>,
    label_name_length_limit: Option<u64>,
    label_value_length_limit: Option<u64>,
    keep_dropped_targets: Option<u64>,
    metric_name_validation_scheme: Option<ValidationScheme>,
    metric_name_escaping_scheme: Option<Spanned<EscapingScheme>>,
    scrape_native_histograms: Option<bool>,
    convert_classic_histograms_to_nhcb: Option<bool>,
    always_scrape_classic_histograms: Option<bool>,
    extra_scrape_metrics: Option<bool>,
}

/// The section in force.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Global {
    pub(crate) scrape: GlobalScrapeDefaults,
    pub(crate) evaluation_interval: PromDuration,
    pub(crate) rule_query_offset: PromDuration,
    pub(crate) query_log_file: String,
    pub(crate) external_labels: BTreeMap<String, String>,
}

impl Global {
    pub(super) fn new(
        file: &Path,
        written: Option<WrittenGlobal>,
        environment: &Environment,
        warnings: &mut Vec<String>,
    ) -> Result<Global, ConfigError> {
        let written = written.unwrap_or_default();
        let labels = checked_labels(file, &written)?;
        let set =
            |duration: Option<PromDuration>, default| duration.filter(|d| !d.is_zero()).unwrap_or(default);
        Ok(Global {
            evaluation_interval: set(written.evaluation_interval, DEFAULT_EVALUATION_INTERVAL),
            rule_query_offset: written.rule_query_offset.unwrap_or_default(),
            query_log_file: written
                .query_log_file
                .as_ref()
                .map(|file| file.value.clone())
                .unwrap_or_default(),
            external_labels: external_labels::expand(&labels, environment, warnings),
            scrape: scrape_defaults(file, written)?,
        })
    }

    /// Takes relative paths as relative to `directory`.
    pub(super) fn set_directory(&mut self, directory: &Path) {
        for path in [&mut self.query_log_file, &mut self.scrape.scrape_failure_log_file] {
            client::config::join(directory, path);
        }
    }
}

fn checked_labels(file: &Path, written: &WrittenGlobal) -> Result<BTreeMap<String, String>, ConfigError> {
    let Some(labels) = &written.external_labels else { return Ok(BTreeMap::new()) };
    let scheme = written.metric_name_validation_scheme.unwrap_or_default();
    if let Some(name) = labels.value.keys().find(|name| !scheme.allows_label_name(name)) {
        let what = format!("{name:?} is not a valid label name");
        return Err(ConfigError::at(file, labels.referenced, "global.external_labels", what));
    }
    Ok(labels.value.clone())
}

fn scrape_defaults(file: &Path, written: WrittenGlobal) -> Result<GlobalScrapeDefaults, ConfigError> {
    let default = GlobalScrapeDefaults::default();
    let (scrape_interval, scrape_timeout) = times(file, &written, &default)?;
    let metric_name_validation_scheme = written.metric_name_validation_scheme.unwrap_or_default();
    check_escaping(file, &written)?;
    if let Some(protocols) = &written.scrape_protocols {
        scrape::config::check_protocols(&protocols.value)
            .map_err(|error| ConfigError::at(file, protocols.referenced, "global.scrape_protocols", error))?;
    }
    Ok(GlobalScrapeDefaults {
        scrape_interval,
        scrape_timeout,
        scrape_protocols: written.scrape_protocols.map(|protocols| protocols.value),
        scrape_failure_log_file: written.scrape_failure_log_file.unwrap_or_default(),
        body_size_limit: written.body_size_limit.unwrap_or_default(),
        sample_limit: written.sample_limit.unwrap_or_default(),
        target_limit: written.target_limit.unwrap_or_default(),
        label_limit: written.label_limit.unwrap_or_default(),
        label_name_length_limit: written.label_name_length_limit.unwrap_or_default(),
        label_value_length_limit: written.label_value_length_limit.unwrap_or_default(),
        keep_dropped_targets: written.keep_dropped_targets.unwrap_or_default(),
        metric_name_validation_scheme,
        metric_name_escaping_scheme: written.metric_name_escaping_scheme.map(|scheme| scheme.value),
        scrape_native_histograms: written.scrape_native_histograms.unwrap_or_default(),
        convert_classic_histograms_to_nhcb: written.convert_classic_histograms_to_nhcb.unwrap_or_default(),
        always_scrape_classic_histograms: written.always_scrape_classic_histograms.unwrap_or_default(),
        extra_scrape_metrics: written.extra_scrape_metrics.unwrap_or_default(),
    })
}

fn times(
    file: &Path,
    written: &WrittenGlobal,
    default: &GlobalScrapeDefaults,
) -> Result<(PromDuration, PromDuration), ConfigError> {
    let interval = written.scrape_interval.filter(|d| !d.is_zero()).unwrap_or(default.scrape_interval);
    match written.scrape_timeout.as_ref().filter(|timeout| !timeout.value.is_zero()) {
        None => Ok((interval, default.scrape_timeout.min(interval))),
        Some(timeout) if timeout.value > interval => Err(ConfigError::at(
            file,
            timeout.referenced,
            "global.scrape_timeout",
            "global scrape timeout greater than scrape interval",
        )),
        Some(timeout) => Ok((interval, timeout.value)),
    }
}

fn check_escaping(file: &Path, written: &WrittenGlobal) -> Result<(), ConfigError> {
    let legacy = written.metric_name_validation_scheme == Some(ValidationScheme::Legacy);
    match &written.metric_name_escaping_scheme {
        Some(escaping) if legacy && escaping.value == EscapingScheme::AllowUtf8 => Err(ConfigError::at(
            file,
            escaping.referenced,
            "global.metric_name_escaping_scheme",
            "utf8 metric names requested but validation scheme is not set to UTF8",
        )),
        _ => Ok(()),
    }
}
