//! `alerting`: who is told of alerts, and how alerts are relabelled on the way.

use std::path::Path;

use client::HttpClientConfig;
use model::duration::PromDuration;
use model::names::ValidationScheme;
use model::relabel;
use scrape::discovery::config::DiscoveryConfigs;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_saphyr::Spanned;

use super::yaml::ConfigError;

const DEFAULT_SCHEME: &str = "http";
const DEFAULT_TIMEOUT: PromDuration = PromDuration::from_secs(10);
/// The only version of Alertmanager's API that there still is.
const API_VERSION: &str = "v2";

/// The section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenAlerting {
    alert_relabel_configs: Option<Spanned<Vec<Option<relabel::Config>>>>,
    alertmanagers: Option<Vec<Spanned<Alertmanagers>>>,
}

/// The section in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct AlertingConfig {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) alert_relabel_configs: Vec<relabel::Config>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) alertmanagers: Vec<Alertmanagers>,
}

/// Alertmanagers that are found and spoken to alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Alertmanagers {
    #[serde(flatten)]
    pub(crate) http_client: HttpClientConfig,
    pub(crate) scheme: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) path_prefix: String,
    pub(crate) timeout: PromDuration,
    api_version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) relabel_configs: Vec<relabel::Config>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) alert_relabel_configs: Vec<relabel::Config>,
    #[serde(flatten)]
    pub(crate) discovery: DiscoveryConfigs,
}

scrape::inline_discovery! {
    /// A section's fields as they are written.
    struct Written {
        scheme: Option<String>,
        path_prefix: Option<String>,
        timeout: Option<PromDuration>,
        api_version: Option<String>,
        relabel_configs: Option<Vec<Option<relabel::Config>>>,
        alert_relabel_configs: Option<Vec<Option<relabel::Config>>>,
    }
}

impl<'de> Deserialize<'de> for Alertmanagers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Alertmanagers::new(Written::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl Alertmanagers {
    fn new(mut written: Written) -> Result<Self, String> {
        let api_version = written.api_version.take().unwrap_or_else(|| API_VERSION.to_owned());
        if api_version != API_VERSION {
            return Err(format!(
                "expected Alertmanager api version to be one of [{API_VERSION}] but got {api_version}"
            ));
        }
        let target_rules = complete(written.relabel_configs.take(), "Alertmanager target");
        let alert_rules = complete(written.alert_relabel_configs.take(), "Alertmanager alert");
        Ok(Alertmanagers {
            relabel_configs: target_rules?,
            alert_relabel_configs: alert_rules?,
            discovery: written.discovery(),
            http_client: written.http_client(true).map_err(|error| error.to_string())?,
            scheme: written.scheme.unwrap_or_else(|| DEFAULT_SCHEME.to_owned()),
            path_prefix: written.path_prefix.unwrap_or_default(),
            timeout: written.timeout.unwrap_or(DEFAULT_TIMEOUT),
            api_version,
        })
    }
}

fn complete(rules: Option<Vec<Option<relabel::Config>>>, kind: &str) -> Result<Vec<relabel::Config>, String> {
    let rules: Option<Vec<relabel::Config>> = rules.unwrap_or_default().into_iter().collect();
    rules.ok_or_else(|| format!("empty or null {kind} relabeling rule"))
}

impl AlertingConfig {
    /// Checks a section; relative paths become relative to the file's directory.
    pub(super) fn new(
        file: &Path,
        written: Option<WrittenAlerting>,
        scheme: ValidationScheme,
    ) -> Result<Self, ConfigError> {
        let written = written.unwrap_or_default();
        let mut config = AlertingConfig::default();
        if let Some(rules) = written.alert_relabel_configs {
            let field = "alerting.alert_relabel_configs";
            let at = |what: String| ConfigError::at(file, rules.referenced, field, what);
            config.alert_relabel_configs = complete(Some(rules.value), "alert").map_err(at)?;
            validate(&mut config.alert_relabel_configs, scheme).map_err(at)?;
        }
        for (index, section) in written.alertmanagers.unwrap_or_default().into_iter().enumerate() {
            let mut alertmanagers = section.value;
            let at = |what: String| {
                ConfigError::at(file, section.referenced, format!("alerting.alertmanagers[{index}]"), what)
            };
            validate(&mut alertmanagers.relabel_configs, scheme).map_err(at)?;
            validate(&mut alertmanagers.alert_relabel_configs, scheme).map_err(at)?;
            let directory = file.parent().unwrap_or(Path::new(""));
            alertmanagers.http_client.set_directory(directory);
            alertmanagers.discovery.set_directory(directory);
            config.alertmanagers.push(alertmanagers);
        }
        Ok(config)
    }
}

fn validate(rules: &mut [relabel::Config], scheme: ValidationScheme) -> Result<(), String> {
    rules.iter_mut().try_for_each(|rule| rule.validate(scheme)).map_err(|error| error.to_string())
}
