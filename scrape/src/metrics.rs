//! `prometheus_target_*`: what scraping says of itself, under the names of the reference.

use std::sync::Arc;

use model::summary::{self, INTERVAL_QUANTILES, SummaryOpts, SummaryVec};
use model::time::Clock;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
};

/// Bounds of the histograms over intervals and synchronisations, in seconds.
const SECONDS_BOUNDS: &[f64] = &[0.01, 0.1, 1.0, 10.0];

/// All metrics of scraping.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) interval_length: SummaryVec,
    pub(crate) interval_length_histogram: HistogramVec,
    pub(crate) reload_length: SummaryVec,
    pub(crate) scrape_duration: Histogram,
    pub(crate) exceeded_label_limits: IntCounter,
    pub(crate) exceeded_target_limit: IntCounter,
    pub(crate) pool_reloads_failed: IntCounter,
    pub(crate) pool_reloads: IntCounter,
    pub(crate) pool_syncs: IntCounterVec,
    pub(crate) pool_target_limit: IntGaugeVec,
    pub(crate) pool_targets: IntGaugeVec,
    pub(crate) pools_failed: IntCounter,
    pub(crate) pools: IntCounter,
    pub(crate) exceeded_body_size: IntCounter,
    pub(crate) exceeded_bucket_limit: IntCounter,
    pub(crate) exceeded_sample_limit: IntCounter,
    pub(crate) exemplars_out_of_order: IntCounter,
    pub(crate) samples_duplicate: IntCounter,
    pub(crate) samples_out_of_bounds: IntCounter,
    pub(crate) samples_out_of_order: IntCounter,
    pub(crate) syncs_failed: IntCounterVec,
    pub(crate) sync_length: SummaryVec,
    pub(crate) sync_length_histogram: HistogramVec,
    pub(crate) metadata_entries: IntGaugeVec,
    pub(crate) metadata_bytes: IntGaugeVec,
    pub(crate) sd_discovered: GaugeVec,
    pub(crate) sd_failed_configs: IntGaugeVec,
    pub(crate) sd_received: IntCounterVec,
    pub(crate) sd_updates: IntCounterVec,
}

/// Makes metrics and registers them.
struct Registrar<'a> {
    registry: &'a Registry,
    clock: Arc<dyn Clock>,
}

impl Registrar<'_> {
    fn add<C: prometheus::core::Collector + Clone + 'static>(&self, collector: C) -> prometheus::Result<C> {
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histograms(&self, name: &str, help: &str, label: &str) -> prometheus::Result<HistogramVec> {
        let opts = HistogramOpts::new(name, help).buckets(SECONDS_BOUNDS.to_vec());
        self.add(HistogramVec::new(opts, &[label])?)
    }

    fn summaries(&self, name: &str, help: &str, label: &str) -> prometheus::Result<SummaryVec> {
        let opts = SummaryOpts::new(name, help, INTERVAL_QUANTILES, self.clock.clone());
        self.add(summary::summary_vec(opts, &[label])?)
    }
}

impl Metrics {
    /// Registers all of them.
    #[expect(clippy::too_many_lines, reason = "a table of metrics, one call each")]
    pub(crate) fn register(registry: &Registry, clock: Arc<dyn Clock>) -> prometheus::Result<Self> {
        let r = Registrar { registry, clock };
        Ok(Metrics {
            interval_length: r.summaries(
                "prometheus_target_interval_length_seconds",
                "Actual intervals between scrapes.",
                "interval",
            )?,
            interval_length_histogram: r.histograms(
                "prometheus_target_interval_length_histogram_seconds",
                "Actual intervals between scrapes as a histogram.",
                "interval",
            )?,
            reload_length: r.summaries(
                "prometheus_target_reload_length_seconds",
                "Actual interval to reload the scrape pool with a given configuration.",
                "interval",
            )?,
            scrape_duration: r.add(Histogram::with_opts(HistogramOpts::new(
                "prometheus_target_scrape_duration_seconds",
                "Total duration of the scrape from start to commit completion in seconds.",
            ))?)?,
            exceeded_label_limits: r.counter(
                "prometheus_target_scrape_pool_exceeded_label_limits_total",
                "Total number of times scrape pools hit the label limits, during sync or config reload.",
            )?,
            exceeded_target_limit: r.counter(
                "prometheus_target_scrape_pool_exceeded_target_limit_total",
                "Total number of times scrape pools hit the target limit, during sync or config reload.",
            )?,
            pool_reloads_failed: r.counter(
                "prometheus_target_scrape_pool_reloads_failed_total",
                "Total number of failed scrape pool reloads.",
            )?,
            pool_reloads: r.counter(
                "prometheus_target_scrape_pool_reloads_total",
                "Total number of scrape pool reloads.",
            )?,
            pool_syncs: r.counters(
                "prometheus_target_scrape_pool_sync_total",
                "Total number of syncs that were executed on a scrape pool.",
                &["scrape_job"],
            )?,
            pool_target_limit: r.gauges(
                "prometheus_target_scrape_pool_target_limit",
                "Maximum number of targets allowed in this scrape pool.",
                &["scrape_job"],
            )?,
            pool_targets: r.gauges(
                "prometheus_target_scrape_pool_targets",
                "Current number of targets in this scrape pool.",
                &["scrape_job"],
            )?,
            pools_failed: r.counter(
                "prometheus_target_scrape_pools_failed_total",
                "Total number of scrape pool creations that failed.",
            )?,
            pools: r.counter(
                "prometheus_target_scrape_pools_total",
                "Total number of scrape pool creation attempts.",
            )?,
            exceeded_body_size: r.counter(
                "prometheus_target_scrapes_exceeded_body_size_limit_total",
                "Total number of scrapes that hit the body size limit",
            )?,
            exceeded_bucket_limit: r.counter(
                "prometheus_target_scrapes_exceeded_native_histogram_bucket_limit_total",
                "Total number of scrapes that hit the native histogram bucket limit and were rejected.",
            )?,
            exceeded_sample_limit: r.counter(
                "prometheus_target_scrapes_exceeded_sample_limit_total",
                "Total number of scrapes that hit the sample limit and were rejected.",
            )?,
            exemplars_out_of_order: r.counter(
                "prometheus_target_scrapes_exemplar_out_of_order_total",
                "Total number of exemplar rejected due to not being out of the expected order.",
            )?,
            samples_duplicate: r.counter(
                "prometheus_target_scrapes_sample_duplicate_timestamp_total",
                "Total number of samples rejected due to duplicate timestamps but different values.",
            )?,
            samples_out_of_bounds: r.counter(
                "prometheus_target_scrapes_sample_out_of_bounds_total",
                "Total number of samples rejected due to timestamp falling outside of the time bounds.",
            )?,
            samples_out_of_order: r.counter(
                "prometheus_target_scrapes_sample_out_of_order_total",
                "Total number of samples rejected due to not being out of the expected order.",
            )?,
            syncs_failed: r.counters(
                "prometheus_target_sync_failed_total",
                "Total number of target sync failures.",
                &["scrape_job"],
            )?,
            sync_length: r.summaries(
                "prometheus_target_sync_length_seconds",
                "Actual interval to sync the scrape pool.",
                "scrape_job",
            )?,
            sync_length_histogram: r.histograms(
                "prometheus_target_sync_length_histogram_seconds",
                "Actual interval to sync the scrape pool as a histogram.",
                "scrape_job",
            )?,
            metadata_entries: r.gauges(
                "prometheus_target_metadata_cache_entries",
                "Total number of metric metadata entries in the cache",
                &["scrape_job"],
            )?,
            metadata_bytes: r.gauges(
                "prometheus_target_metadata_cache_bytes",
                "The number of bytes that are currently used for storing metric metadata in the cache",
                &["scrape_job"],
            )?,
            sd_discovered: r.add(GaugeVec::new(
                Opts::new("prometheus_sd_discovered_targets", "Current number of discovered targets."),
                &["name", "config"],
            )?)?,
            sd_failed_configs: r.gauges(
                "prometheus_sd_failed_configs",
                "Current number of service discovery configurations that failed to load.",
                &["name"],
            )?,
            sd_received: r.counters(
                "prometheus_sd_received_updates_total",
                "Total number of update events received from the SD providers.",
                &["name"],
            )?,
            sd_updates: r.counters(
                "prometheus_sd_updates_total",
                "Total number of update events sent to the SD consumers.",
                &["name"],
            )?,
        })
    }
}
