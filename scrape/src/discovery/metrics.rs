//! `prometheus_sd_*`: what discovery says of itself, under the names of the reference.

use std::sync::Arc;
use std::time::Duration;

use model::summary::{QUANTILES, SummaryVec};
use model::time::Clock;
use prometheus::{Gauge, GaugeVec, HistogramVec, IntCounter, IntCounterVec, Registry};

use super::kubernetes::Role;
use crate::metric_table::metric_table;

const BY_CONFIG: &[&str] = &["mechanism", "config"];
const BY_CALL: &[&str] = &["endpoint", "call"];
const BY_EVENT: &[&str] = &["role", "event"];
const BY_FILE: &[&str] = &["filename"];
const BY_MECHANISM: &[&str] = &["mechanism"];

metric_table! {
    /// The metrics of all mechanisms.
    pub struct DiscoveryMetrics;

    refresh_failures: IntCounterVec(BY_CONFIG) = "prometheus_sd_refresh_failures_total",
        "Number of refresh failures for the given SD mechanism.";
    refresh_duration: SummaryVec((BY_CONFIG, QUANTILES)) = "prometheus_sd_refresh_duration_seconds",
        "The duration of a refresh in seconds for the given SD mechanism.";
    refresh_duration_histogram: HistogramVec(BY_MECHANISM) = "prometheus_sd_refresh_duration_histogram_seconds",
        "The duration of a refresh for the given SD mechanism.";
    http_failures: IntCounter = "prometheus_sd_http_failures_total",
        "Number of HTTP service discovery refresh failures.";
    dns_lookups: IntCounter = "prometheus_sd_dns_lookups_total", "The number of DNS-SD lookups.";
    dns_failures: IntCounter = "prometheus_sd_dns_lookup_failures_total", "The number of DNS-SD lookup failures.";
    consul_failures: IntCounter = "prometheus_sd_consul_rpc_failures_total",
        "The number of Consul RPC call failures.";
    consul_duration: SummaryVec((BY_CALL, QUANTILES)) = "prometheus_sd_consul_rpc_duration_seconds",
        "The duration of a Consul RPC call in seconds.";
    kubernetes_failures: IntCounter = "prometheus_sd_kubernetes_failures_total",
        "The number of failed WATCH/LIST requests.";
    kubernetes_events: IntCounterVec(BY_EVENT) = "prometheus_sd_kubernetes_events_total",
        "The number of Kubernetes events handled.";
    file_read_errors: IntCounter = "prometheus_sd_file_read_errors_total", "The number of File-SD read errors.";
    file_watcher_errors: IntCounter = "prometheus_sd_file_watcher_errors_total",
        "The number of File-SD errors caused by filesystem watch failures.";
    file_mtimes: GaugeVec(BY_FILE) = "prometheus_sd_file_mtime_seconds",
        "Timestamp (mtime) of files read by FileSD. Timestamp is set at read time.";
}

impl DiscoveryMetrics {
    /// Registers the metrics. Those of Consul and Kubernetes are there from the beginning.
    pub fn register(registry: &Registry, clock: &Arc<dyn Clock>) -> prometheus::Result<Self> {
        let metrics = DiscoveryMetrics::make(registry, clock)?;
        for (endpoint, call) in [("catalog", "services"), ("health", "service")] {
            let _ = metrics.consul_duration.with_label_values(&[endpoint, call]);
        }
        for role in Role::all() {
            for event in ["add", "delete", "update"] {
                let _ = metrics.kubernetes_events.with_label_values(&[role.name(), event]);
            }
        }
        Ok(metrics)
    }

    pub(super) fn note_consul_call(&self, endpoint: &str, call: &str, took: Duration) {
        self.consul_duration.with_label_values(&[endpoint, call]).observe(took.as_secs_f64());
    }

    pub(super) fn note_refresh(&self, mechanism: &str, config: &str, took: Duration, is_ok: bool) {
        let failures = self.refresh_failures.with_label_values(&[mechanism, config]);
        failures.inc_by(u64::from(!is_ok));
        let seconds = took.as_secs_f64();
        self.refresh_duration.with_label_values(&[mechanism, config]).observe(seconds);
        self.refresh_duration_histogram.with_label_values(&[mechanism]).observe(seconds);
    }
}

/// Sets a file's gauge, or takes it away with the file.
pub(super) fn set_mtime(gauges: &GaugeVec, file: &str, seconds: Option<f64>) {
    match seconds {
        Some(seconds) => {
            let gauge: Gauge = gauges.with_label_values(&[file]);
            gauge.set(seconds);
        }
        None => drop(gauges.remove_label_values(&[file])),
    }
}
