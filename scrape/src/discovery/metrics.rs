//! `prometheus_sd_*`: what discovery says of itself, under the names of the reference.

use std::sync::Arc;
use std::time::Duration;

use model::summary::{self, QUANTILES, SummaryOpts, SummaryVec};
use model::time::Clock;
use prometheus::{Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

use super::kubernetes::Role;

/// Bounds of the histogram over refreshes, in seconds.
const SECONDS_BOUNDS: &[f64] = &[0.01, 0.1, 1.0, 10.0];

/// The metrics of all mechanisms.
#[derive(Clone, Debug)]
pub struct DiscoveryMetrics {
    refresh_failures: IntCounterVec,
    refresh_duration: SummaryVec,
    refresh_duration_histogram: HistogramVec,
    pub(super) http_failures: IntCounter,
    pub(super) dns_lookups: IntCounter,
    pub(super) dns_failures: IntCounter,
    pub(super) consul_failures: IntCounter,
    consul_duration: SummaryVec,
    pub(super) kubernetes_failures: IntCounter,
    pub(super) kubernetes_events: IntCounterVec,
    pub(super) file_read_errors: IntCounter,
    pub(super) file_watcher_errors: IntCounter,
    pub(super) file_mtimes: GaugeVec,
}

impl DiscoveryMetrics {
    /// Registers the metrics.
    pub fn register(registry: &Registry, clock: Arc<dyn Clock>) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let labels = ["mechanism", "config"];
        let refresh_failures = IntCounterVec::new(
            Opts::new(
                "prometheus_sd_refresh_failures_total",
                "Number of refresh failures for the given SD mechanism.",
            ),
            &labels,
        )?;
        let duration = SummaryOpts::new(
            "prometheus_sd_refresh_duration_seconds",
            "The duration of a refresh in seconds for the given SD mechanism.",
            QUANTILES,
            Arc::clone(&clock),
        );
        let refresh_duration = summary::summary_vec(duration, &labels)?;
        let refresh_duration_histogram = HistogramVec::new(
            HistogramOpts::new(
                "prometheus_sd_refresh_duration_histogram_seconds",
                "The duration of a refresh for the given SD mechanism.",
            )
            .buckets(SECONDS_BOUNDS.to_vec()),
            &labels[..1],
        )?;
        let file_mtimes = GaugeVec::new(
            Opts::new(
                "prometheus_sd_file_mtime_seconds",
                "Timestamp (mtime) of files read by FileSD. Timestamp is set at read time.",
            ),
            &["filename"],
        )?;
        let consul_duration = SummaryOpts::new(
            "prometheus_sd_consul_rpc_duration_seconds",
            "The duration of a Consul RPC call in seconds.",
            QUANTILES,
            clock,
        );
        let consul_duration = summary::summary_vec(consul_duration, &["endpoint", "call"])?;
        for (endpoint, call) in [("catalog", "services"), ("health", "service")] {
            let _ = consul_duration.with_label_values(&[endpoint, call]);
        }
        registry.register(Box::new(consul_duration.clone()))?;
        let kubernetes_events = IntCounterVec::new(
            Opts::new("prometheus_sd_kubernetes_events_total", "The number of Kubernetes events handled."),
            &["role", "event"],
        )?;
        for role in Role::all() {
            for event in ["add", "delete", "update"] {
                let _ = kubernetes_events.with_label_values(&[role.name(), event]);
            }
        }
        registry.register(Box::new(kubernetes_events.clone()))?;
        registry.register(Box::new(refresh_failures.clone()))?;
        registry.register(Box::new(refresh_duration.clone()))?;
        registry.register(Box::new(refresh_duration_histogram.clone()))?;
        registry.register(Box::new(file_mtimes.clone()))?;
        Ok(DiscoveryMetrics {
            refresh_failures,
            refresh_duration,
            refresh_duration_histogram,
            http_failures: counter(
                "prometheus_sd_http_failures_total",
                "Number of HTTP service discovery refresh failures.",
            )?,
            dns_lookups: counter("prometheus_sd_dns_lookups_total", "The number of DNS-SD lookups.")?,
            dns_failures: counter(
                "prometheus_sd_dns_lookup_failures_total",
                "The number of DNS-SD lookup failures.",
            )?,
            consul_failures: counter(
                "prometheus_sd_consul_rpc_failures_total",
                "The number of Consul RPC call failures.",
            )?,
            consul_duration,
            kubernetes_failures: counter(
                "prometheus_sd_kubernetes_failures_total",
                "The number of failed WATCH/LIST requests.",
            )?,
            kubernetes_events,
            file_read_errors: counter(
                "prometheus_sd_file_read_errors_total",
                "The number of File-SD read errors.",
            )?,
            file_watcher_errors: counter(
                "prometheus_sd_file_watcher_errors_total",
                "The number of File-SD errors caused by filesystem watch failures.",
            )?,
            file_mtimes,
        })
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
