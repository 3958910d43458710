//! The configuration in force as YAML, for `/api/v1/status/config`: sections and fields in the reference's
//! order, defaults filled in, secrets blanked out by the types that hold them.

use std::collections::BTreeMap;
use std::path::Path;

use model::byte_size::ByteSize;
use model::duration::PromDuration;
use model::names::{EscapingScheme, ValidationScheme};
use scrape::config::{JobConfig, ScrapeProtocol};
use serde::Serialize;
use serde_json::{Value, json};

use super::alerting::AlertingConfig;
use super::file::{File, Opaque};
use super::global::Global;
use super::remote_read::RemoteRead;
use super::remote_write::RemoteWrite;
use super::storage::{Retention, StorageConfig};

/// The reference's garbage-collection target where the file doesn't say.
const DEFAULT_GOGC: i64 = 75;

#[derive(Serialize)]
struct Printed<'a> {
    global: PrintedGlobal<'a>,
    runtime: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    alerting: Option<&'a AlertingConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rule_files: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scrape_config_files: Vec<String>,
    #[serde(skip_serializing_if = "<[JobConfig]>::is_empty")]
    scrape_configs: &'a [JobConfig],
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<PrintedStorage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracing: Option<&'a Value>,
    #[serde(skip_serializing_if = "<[RemoteWrite]>::is_empty")]
    remote_write: &'a [RemoteWrite],
    #[serde(skip_serializing_if = "<[RemoteRead]>::is_empty")]
    remote_read: &'a [RemoteRead],
    otlp: &'a remote::otlp::Settings,
}

#[derive(Serialize)]
struct PrintedGlobal<'a> {
    scrape_interval: PromDuration,
    scrape_timeout: PromDuration,
    scrape_protocols: Vec<ScrapeProtocol>,
    evaluation_interval: PromDuration,
    #[serde(skip_serializing_if = "is_zero")]
    rule_query_offset: PromDuration,
    #[serde(skip_serializing_if = "str::is_empty")]
    query_log_file: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    scrape_failure_log_file: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    external_labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "ByteSize::is_zero")]
    body_size_limit: ByteSize,
    #[serde(flatten)]
    limits: BTreeMap<&'static str, u64>,
    metric_name_validation_scheme: ValidationScheme,
    metric_name_escaping_scheme: EscapingScheme,
    #[serde(flatten)]
    switches: BTreeMap<&'static str, bool>,
}

#[derive(Serialize)]
struct PrintedStorage {
    tsdb: PrintedTsdb,
    exemplars: Value,
}

#[derive(Serialize)]
struct PrintedTsdb {
    #[serde(skip_serializing_if = "is_zero")]
    out_of_order_time_window: PromDuration,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<Retention>,
}

fn is_zero(duration: &PromDuration) -> bool {
    duration.is_zero()
}

/// The sections in force.
pub(super) struct Sections<'a> {
    pub(super) global: &'a Global,
    pub(super) alerting: &'a AlertingConfig,
    pub(super) storage: &'a StorageConfig,
    pub(super) remote_write: &'a [RemoteWrite],
    pub(super) remote_read: &'a [RemoteRead],
    pub(super) otlp: &'a remote::otlp::Settings,
    /// Those of the file itself.
    pub(super) jobs: &'a [JobConfig],
}

/// Writes the configuration.
pub(super) fn to_yaml(
    written: &File,
    directory: &Path,
    sections: &Sections<'_>,
) -> Result<String, serde_saphyr::SerializeError> {
    let paths = |paths: &Option<serde_saphyr::Spanned<Vec<String>>>| {
        let paths = paths.iter().flat_map(|paths| &paths.value);
        paths.map(|path| directory.join(path).to_string_lossy().into_owned()).collect()
    };
    let gogc = written.runtime.and_then(|runtime| runtime.gogc).unwrap_or(DEFAULT_GOGC);
    let printed = Printed {
        global: PrintedGlobal::new(sections.global),
        runtime: json!({ "gogc": gogc }),
        alerting: Some(sections.alerting).filter(|alerting| **alerting != AlertingConfig::default()),
        rule_files: paths(&written.rule_files),
        scrape_config_files: paths(&written.scrape_config_files),
        scrape_configs: sections.jobs,
        storage: written.storage.is_some().then(|| PrintedStorage::new(sections.storage)),
        tracing: opaque(&written.tracing),
        remote_write: sections.remote_write,
        remote_read: sections.remote_read,
        otlp: sections.otlp,
    };
    serde_saphyr::to_string(&printed)
}

fn opaque(section: &Opaque) -> Option<&Value> {
    section.as_ref().map(|section| &section.value).filter(|value| !value.is_null())
}

impl<'a> PrintedGlobal<'a> {
    fn new(global: &'a Global) -> Self {
        let scrape = &global.scrape;
        let limits = [
            ("sample_limit", scrape.sample_limit),
            ("target_limit", scrape.target_limit),
            ("label_limit", scrape.label_limit),
            ("label_name_length_limit", scrape.label_name_length_limit),
            ("label_value_length_limit", scrape.label_value_length_limit),
            ("keep_dropped_targets", scrape.keep_dropped_targets),
        ];
        let switches = [
            ("scrape_native_histograms", scrape.scrape_native_histograms),
            ("convert_classic_histograms_to_nhcb", scrape.convert_classic_histograms_to_nhcb),
            ("always_scrape_classic_histograms", scrape.always_scrape_classic_histograms),
            ("extra_scrape_metrics", scrape.extra_scrape_metrics),
        ];
        let protocols = scrape.scrape_protocols.clone();
        PrintedGlobal {
            scrape_interval: scrape.scrape_interval,
            scrape_timeout: scrape.scrape_timeout,
            scrape_protocols: protocols
                .unwrap_or_else(|| ScrapeProtocol::default_order(scrape.scrape_native_histograms)),
            evaluation_interval: global.evaluation_interval,
            rule_query_offset: global.rule_query_offset,
            query_log_file: &global.query_log_file,
            scrape_failure_log_file: &scrape.scrape_failure_log_file,
            external_labels: &global.external_labels,
            body_size_limit: scrape.body_size_limit,
            limits: limits.into_iter().filter(|(_, limit)| *limit != 0).collect(),
            metric_name_validation_scheme: scrape.metric_name_validation_scheme,
            metric_name_escaping_scheme: scrape.escaping_scheme(),
            switches: switches.into_iter().filter(|(_, on)| *on).collect(),
        }
    }
}

impl PrintedStorage {
    fn new(storage: &StorageConfig) -> Self {
        PrintedStorage {
            tsdb: PrintedTsdb {
                out_of_order_time_window: storage.out_of_order_time_window,
                retention: storage.retention,
            },
            exemplars: json!({ "max_exemplars": storage.max_exemplars }),
        }
    }
}
