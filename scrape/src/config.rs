//! The configuration of scraping: a section of `scrape_configs` as it is written, and as it is in force.
//!
//! [`ScrapeConfig`] is what the file says. [`ScrapeConfig::resolve`] fills in what `global` says, checks the
//! whole, and gives a [`JobConfig`], from which scraping works and which `/api/v1/status/config` prints.

use std::collections::BTreeMap;
use std::path::Path;

use client::HttpClientConfig;
use model::byte_size::ByteSize;
use model::duration::PromDuration;
use model::names::{EscapingScheme, ValidationScheme};
use model::relabel;
use serde::{Deserialize, Deserializer, Serialize, de};

pub use self::protocol::{ScrapeProtocol, check_list as check_protocols};
use crate::discovery::config::{DiscoveryConfigs, StaticConfig, check_target_address};

mod protocol;

const DEFAULT_METRICS_PATH: &str = "/metrics";
const DEFAULT_SCHEME: &str = "http";
/// Upper bound of the exponential schemas' growth factor: schema −4.
const BUCKET_FACTOR_NONE: f64 = 0.0;

/// Why a section can't be used. The texts are those of the reference.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// No name.
    #[error("job_name is empty")]
    NoJobName,
    /// The timeout doesn't fit into the interval.
    #[error("scrape timeout greater than scrape interval for scrape config with job name {0:?}")]
    TimeoutOverInterval(String),
    /// A list of protocols without protocols.
    #[error("scrape_protocols cannot be empty")]
    NoProtocols,
    /// A protocol twice.
    #[error("duplicated protocol in scrape_protocols, got [{0}]")]
    DuplicateProtocol(String),
    /// Targets may send names that aren't allowed.
    #[error("utf8 metric names requested but validation scheme is not set to UTF8")]
    EscapingScheme,
    /// `relabel_configs: [null]`; which kind of rule.
    #[error("empty or null {0} relabeling rule in scrape config")]
    NullRule(&'static str),
    /// A rule that isn't one.
    #[error(transparent)]
    Relabel(#[from] relabel::RelabelError),
    /// A static target with a slash.
    #[error("{0:?} is not a valid hostname")]
    TargetAddress(String),
    /// The HTTP client's fields.
    #[error(transparent)]
    Client(#[from] client::config::ConfigError),
}

/// What `global` says for all scrape configs, complete with defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct GlobalScrapeDefaults {
    /// `scrape_interval`
    pub scrape_interval: PromDuration,
    /// `scrape_timeout`, at most the interval.
    pub scrape_timeout: PromDuration,
    /// `scrape_protocols`, `None` if the file doesn't say.
    pub scrape_protocols: Option<Vec<ScrapeProtocol>>,
    /// `scrape_failure_log_file`
    pub scrape_failure_log_file: String,
    /// `body_size_limit`
    pub body_size_limit: ByteSize,
    /// `sample_limit`; 0 for none, likewise below.
    pub sample_limit: u64,
    /// `target_limit`
    pub target_limit: u64,
    /// `label_limit`
    pub label_limit: u64,
    /// `label_name_length_limit`
    pub label_name_length_limit: u64,
    /// `label_value_length_limit`
    pub label_value_length_limit: u64,
    /// `keep_dropped_targets`
    pub keep_dropped_targets: u64,
    /// `metric_name_validation_scheme`
    pub metric_name_validation_scheme: ValidationScheme,
    /// `metric_name_escaping_scheme`, `None` if the file doesn't say.
    pub metric_name_escaping_scheme: Option<EscapingScheme>,
    /// `scrape_native_histograms`
    pub scrape_native_histograms: bool,
    /// `convert_classic_histograms_to_nhcb`
    pub convert_classic_histograms_to_nhcb: bool,
    /// `always_scrape_classic_histograms`
    pub always_scrape_classic_histograms: bool,
    /// `extra_scrape_metrics`
    pub extra_scrape_metrics: bool,
}

impl Default for GlobalScrapeDefaults {
    fn default() -> Self {
        GlobalScrapeDefaults {
            scrape_interval: PromDuration::from_secs(60),
            scrape_timeout: PromDuration::from_secs(10),
            scrape_protocols: None,
            scrape_failure_log_file: String::new(),
            body_size_limit: ByteSize(0),
            sample_limit: 0,
            target_limit: 0,
            label_limit: 0,
            label_name_length_limit: 0,
            label_value_length_limit: 0,
            keep_dropped_targets: 0,
            metric_name_validation_scheme: ValidationScheme::Utf8,
            metric_name_escaping_scheme: None,
            scrape_native_histograms: false,
            convert_classic_histograms_to_nhcb: false,
            always_scrape_classic_histograms: false,
            extra_scrape_metrics: false,
        }
    }
}

impl GlobalScrapeDefaults {
    /// The escaping scheme that holds where neither the file nor a job says one.
    pub fn escaping_scheme(&self) -> EscapingScheme {
        self.metric_name_escaping_scheme
            .unwrap_or_else(|| default_escaping(self.metric_name_validation_scheme))
    }
}

fn default_escaping(scheme: ValidationScheme) -> EscapingScheme {
    match scheme {
        ValidationScheme::Utf8 => EscapingScheme::AllowUtf8,
        ValidationScheme::Legacy => EscapingScheme::Underscores,
    }
}

crate::inline_discovery! {
    /// A section's fields as they are written.
    struct Written {
        job_name: Option<String>,
        honor_labels: Option<bool>,
        honor_timestamps: Option<bool>,
        track_timestamps_staleness: Option<bool>,
        params: Option<BTreeMap<String, Option<Vec<String>>>>,
        scrape_interval: Option<PromDuration>,
        scrape_timeout: Option<PromDuration>,
        scrape_protocols: Option<Vec<ScrapeProtocol>>,
        fallback_scrape_protocol: Option<ScrapeProtocol>,
        scrape_native_histograms: Option<bool>,
        always_scrape_classic_histograms: Option<bool>,
        convert_classic_histograms_to_nhcb: Option<bool>,
        extra_scrape_metrics: Option<bool>,
        scrape_failure_log_file: Option<String>,
        metrics_path: Option<String>,
        scheme: Option<String>,
        enable_compression: Option<bool>,
        body_size_limit: Option<ByteSize>,
        sample_limit: Option<u64>,
        target_limit: Option<u64>,
        label_limit: Option<u64>,
        label_name_length_limit: Option<u64>,
        label_value_length_limit: Option<u64>,
        native_histogram_bucket_limit: Option<u64>,
        native_histogram_min_bucket_factor: Option<f64>,
        keep_dropped_targets: Option<u64>,
        metric_name_validation_scheme: Option<ValidationScheme>,
        metric_name_escaping_scheme: Option<EscapingScheme>,
        relabel_configs: Option<Vec<Option<relabel::Config>>>,
        metric_relabel_configs: Option<Vec<Option<relabel::Config>>>,
    }
}

/// A section of `scrape_configs` as the file has it: what it doesn't set isn't known yet.
#[derive(Debug)]
pub struct ScrapeConfig {
    job_name: String,
    written: Written,
    relabel_configs: Vec<relabel::Config>,
    metric_relabel_configs: Vec<relabel::Config>,
    discovery: DiscoveryConfigs,
    http_client: HttpClientConfig,
}

impl<'de> Deserialize<'de> for ScrapeConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ScrapeConfig::try_from(Written::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl TryFrom<Written> for ScrapeConfig {
    type Error = ConfigError;

    /// Checks everything that doesn't depend on `global`.
    fn try_from(mut written: Written) -> Result<Self, ConfigError> {
        let job_name =
            written.job_name.take().filter(|name| !name.is_empty()).ok_or(ConfigError::NoJobName)?;
        if let Some(protocols) = &written.scrape_protocols {
            protocol::check_list(protocols)?;
        }
        let relabel_configs = rules(written.relabel_configs.take(), "target")?;
        let metric_relabel_configs = rules(written.metric_relabel_configs.take(), "metric")?;
        let discovery = written.discovery();
        if relabel_configs.is_empty() {
            check_static_targets(&discovery.static_configs)?;
        }
        let http_client = written.http_client(true)?;
        Ok(ScrapeConfig {
            job_name,
            written,
            relabel_configs,
            metric_relabel_configs,
            discovery,
            http_client,
        })
    }
}

fn rules(
    written: Option<Vec<Option<relabel::Config>>>,
    kind: &'static str,
) -> Result<Vec<relabel::Config>, ConfigError> {
    let rules = written.unwrap_or_default().into_iter();
    rules.collect::<Option<_>>().ok_or(ConfigError::NullRule(kind))
}

/// Without relabelling an address stays as it is written, so that a bad one can be refused at once.
fn check_static_targets(groups: &[StaticConfig]) -> Result<(), ConfigError> {
    for address in groups.iter().flat_map(|group| &group.targets) {
        check_target_address(address).map_err(|()| ConfigError::TargetAddress(address.clone()))?;
    }
    Ok(())
}

impl ScrapeConfig {
    /// The job's name.
    pub fn job_name(&self) -> &str {
        &self.job_name
    }

    /// Takes relative paths as relative to `directory`.
    pub fn set_directory(&mut self, directory: &Path) {
        self.http_client.set_directory(directory);
        self.discovery.set_directory(directory);
        if let Some(file) = &mut self.written.scrape_failure_log_file {
            client::config::join(directory, file);
        }
    }

    /// Fills in what `global` says and checks the whole.
    pub fn resolve(self, global: &GlobalScrapeDefaults) -> Result<JobConfig, ConfigError> {
        let written = self.written;
        let (scrape_interval, scrape_timeout) = resolve_times(&self.job_name, &written, global)?;
        let (validation, escaping) = resolve_schemes(&written, global)?;
        let native = written.scrape_native_histograms.unwrap_or(global.scrape_native_histograms);
        let protocols = written.scrape_protocols.or_else(|| global.scrape_protocols.clone());
        let limit = |own: Option<u64>, global: u64| own.filter(|limit| *limit != 0).unwrap_or(global);
        let mut job = JobConfig {
            job_name: self.job_name,
            honor_labels: written.honor_labels.unwrap_or(false),
            honor_timestamps: written.honor_timestamps.unwrap_or(true),
            track_timestamps_staleness: written.track_timestamps_staleness.unwrap_or(false),
            params: written
                .params
                .unwrap_or_default()
                .into_iter()
                .map(|(name, values)| (name, values.unwrap_or_default()))
                .collect(),
            scrape_interval,
            scrape_timeout,
            scrape_protocols: protocols.unwrap_or_else(|| ScrapeProtocol::default_order(native)),
            fallback_scrape_protocol: written.fallback_scrape_protocol,
            scrape_native_histograms: native,
            always_scrape_classic_histograms: written
                .always_scrape_classic_histograms
                .unwrap_or(global.always_scrape_classic_histograms),
            convert_classic_histograms_to_nhcb: written
                .convert_classic_histograms_to_nhcb
                .unwrap_or(global.convert_classic_histograms_to_nhcb),
            extra_scrape_metrics: written.extra_scrape_metrics.unwrap_or(global.extra_scrape_metrics),
            scrape_failure_log_file: written
                .scrape_failure_log_file
                .filter(|file| !file.is_empty())
                .unwrap_or_else(|| global.scrape_failure_log_file.clone()),
            metrics_path: written.metrics_path.unwrap_or_else(|| DEFAULT_METRICS_PATH.to_owned()),
            scheme: written.scheme.unwrap_or_else(|| DEFAULT_SCHEME.to_owned()),
            enable_compression: written.enable_compression.unwrap_or(true),
            body_size_limit: written
                .body_size_limit
                .filter(|limit| !limit.is_zero())
                .unwrap_or(global.body_size_limit),
            sample_limit: limit(written.sample_limit, global.sample_limit),
            target_limit: limit(written.target_limit, global.target_limit),
            label_limit: limit(written.label_limit, global.label_limit),
            label_name_length_limit: limit(written.label_name_length_limit, global.label_name_length_limit),
            label_value_length_limit: limit(
                written.label_value_length_limit,
                global.label_value_length_limit,
            ),
            native_histogram_bucket_limit: written.native_histogram_bucket_limit.unwrap_or(0),
            native_histogram_min_bucket_factor: written
                .native_histogram_min_bucket_factor
                .unwrap_or(BUCKET_FACTOR_NONE),
            keep_dropped_targets: limit(written.keep_dropped_targets, global.keep_dropped_targets),
            metric_name_validation_scheme: validation,
            metric_name_escaping_scheme: escaping,
            http_client: self.http_client,
            relabel_configs: self.relabel_configs,
            metric_relabel_configs: self.metric_relabel_configs,
            discovery: self.discovery,
        };
        for rule in job.relabel_configs.iter_mut().chain(&mut job.metric_relabel_configs) {
            rule.validate(validation)?;
        }
        Ok(job)
    }
}

fn resolve_times(
    job_name: &str,
    written: &Written,
    global: &GlobalScrapeDefaults,
) -> Result<(PromDuration, PromDuration), ConfigError> {
    let set = |duration: Option<PromDuration>| duration.filter(|d| !d.is_zero());
    let interval = set(written.scrape_interval).unwrap_or(global.scrape_interval);
    let timeout = set(written.scrape_timeout).unwrap_or_else(|| global.scrape_timeout.min(interval));
    if timeout > interval {
        return Err(ConfigError::TimeoutOverInterval(job_name.to_owned()));
    }
    Ok((interval, timeout))
}

fn resolve_schemes(
    written: &Written,
    global: &GlobalScrapeDefaults,
) -> Result<(ValidationScheme, EscapingScheme), ConfigError> {
    let inherited = match written.metric_name_validation_scheme {
        Some(scheme) => (scheme, default_escaping(scheme)),
        None => (global.metric_name_validation_scheme, global.escaping_scheme()),
    };
    let (validation, escaping) = (inherited.0, written.metric_name_escaping_scheme.unwrap_or(inherited.1));
    if validation == ValidationScheme::Legacy && escaping == EscapingScheme::AllowUtf8 {
        return Err(ConfigError::EscapingScheme);
    }
    Ok((validation, escaping))
}

/// A section of `scrape_configs` in force: everything is set. The fields are those of the file; a limit of 0
/// means none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are named and described by the configuration reference")]
pub struct JobConfig {
    pub job_name: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub honor_labels: bool,
    pub honor_timestamps: bool,
    pub track_timestamps_staleness: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Vec<String>>,
    pub scrape_interval: PromDuration,
    pub scrape_timeout: PromDuration,
    pub scrape_protocols: Vec<ScrapeProtocol>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_scrape_protocol: Option<ScrapeProtocol>,
    pub scrape_native_histograms: bool,
    pub always_scrape_classic_histograms: bool,
    pub convert_classic_histograms_to_nhcb: bool,
    pub extra_scrape_metrics: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scrape_failure_log_file: String,
    pub metrics_path: String,
    pub scheme: String,
    pub enable_compression: bool,
    #[serde(skip_serializing_if = "ByteSize::is_zero")]
    pub body_size_limit: ByteSize,
    #[serde(skip_serializing_if = "is_zero")]
    pub sample_limit: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub target_limit: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub label_limit: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub label_name_length_limit: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub label_value_length_limit: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub native_histogram_bucket_limit: u64,
    #[serde(skip_serializing_if = "is_zero_factor")]
    pub native_histogram_min_bucket_factor: f64,
    #[serde(skip_serializing_if = "is_zero")]
    pub keep_dropped_targets: u64,
    pub metric_name_validation_scheme: ValidationScheme,
    pub metric_name_escaping_scheme: EscapingScheme,
    #[serde(flatten)]
    pub http_client: HttpClientConfig,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relabel_configs: Vec<relabel::Config>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metric_relabel_configs: Vec<relabel::Config>,
    #[serde(flatten)]
    pub discovery: DiscoveryConfigs,
}

fn is_zero(limit: &u64) -> bool {
    *limit == 0
}

fn is_zero_factor(factor: &f64) -> bool {
    *factor == BUCKET_FACTOR_NONE
}

impl JobConfig {
    /// Whether a target's cache of series may be kept when this job takes the place of `old`: the same lines
    /// lead to the same series.
    pub fn keeps_cache_of(&self, old: &JobConfig) -> bool {
        let mut old = old.clone();
        old.scrape_interval = self.scrape_interval;
        old.scrape_timeout = self.scrape_timeout;
        old.sample_limit = self.sample_limit;
        old.http_client = self.http_client.clone();
        *self == old
    }
}

#[cfg(test)]
mod tests;
