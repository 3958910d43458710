//! `prometheus_target_*`: what scraping says of itself, under the names of the reference.

use std::sync::Arc;

use model::summary::{INTERVAL_QUANTILES, SummaryVec};
use model::time::Clock;
use prometheus::{GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Registry};

use crate::metric_table::metric_table;

const BY_INTERVAL: &[&str] = &["interval"];
const BY_JOB: &[&str] = &["scrape_job"];
const BY_NAME: &[&str] = &["name"];
const BY_SECTION: &[&str] = &["name", "config"];

metric_table! {
    /// All metrics of scraping.
    pub(crate) struct Metrics;

    interval_length: SummaryVec((BY_INTERVAL, INTERVAL_QUANTILES)) = "prometheus_target_interval_length_seconds",
        "Actual intervals between scrapes.";
    interval_length_histogram: HistogramVec(BY_INTERVAL) = "prometheus_target_interval_length_histogram_seconds",
        "Actual intervals between scrapes as a histogram.";
    reload_length: SummaryVec((BY_INTERVAL, INTERVAL_QUANTILES)) = "prometheus_target_reload_length_seconds",
        "Actual interval to reload the scrape pool with a given configuration.";
    scrape_duration: Histogram = "prometheus_target_scrape_duration_seconds",
        "Total duration of the scrape from start to commit completion in seconds.";
    exceeded_label_limits: IntCounter = "prometheus_target_scrape_pool_exceeded_label_limits_total",
        "Total number of times scrape pools hit the label limits, during sync or config reload.";
    exceeded_target_limit: IntCounter = "prometheus_target_scrape_pool_exceeded_target_limit_total",
        "Total number of times scrape pools hit the target limit, during sync or config reload.";
    pool_reloads_failed: IntCounter = "prometheus_target_scrape_pool_reloads_failed_total",
        "Total number of failed scrape pool reloads.";
    pool_reloads: IntCounter = "prometheus_target_scrape_pool_reloads_total",
        "Total number of scrape pool reloads.";
    pool_syncs: IntCounterVec(BY_JOB) = "prometheus_target_scrape_pool_sync_total",
        "Total number of syncs that were executed on a scrape pool.";
    pool_target_limit: IntGaugeVec(BY_JOB) = "prometheus_target_scrape_pool_target_limit",
        "Maximum number of targets allowed in this scrape pool.";
    pool_targets: IntGaugeVec(BY_JOB) = "prometheus_target_scrape_pool_targets",
        "Current number of targets in this scrape pool.";
    pools_failed: IntCounter = "prometheus_target_scrape_pools_failed_total",
        "Total number of scrape pool creations that failed.";
    pools: IntCounter = "prometheus_target_scrape_pools_total",
        "Total number of scrape pool creation attempts.";
    exceeded_body_size: IntCounter = "prometheus_target_scrapes_exceeded_body_size_limit_total",
        "Total number of scrapes that hit the body size limit";
    exceeded_bucket_limit: IntCounter = "prometheus_target_scrapes_exceeded_native_histogram_bucket_limit_total",
        "Total number of scrapes that hit the native histogram bucket limit and were rejected.";
    exceeded_sample_limit: IntCounter = "prometheus_target_scrapes_exceeded_sample_limit_total",
        "Total number of scrapes that hit the sample limit and were rejected.";
    exemplars_out_of_order: IntCounter = "prometheus_target_scrapes_exemplar_out_of_order_total",
        "Total number of exemplar rejected due to not being out of the expected order.";
    samples_duplicate: IntCounter = "prometheus_target_scrapes_sample_duplicate_timestamp_total",
        "Total number of samples rejected due to duplicate timestamps but different values.";
    samples_out_of_bounds: IntCounter = "prometheus_target_scrapes_sample_out_of_bounds_total",
        "Total number of samples rejected due to timestamp falling outside of the time bounds.";
    samples_out_of_order: IntCounter = "prometheus_target_scrapes_sample_out_of_order_total",
        "Total number of samples rejected due to not being out of the expected order.";
    syncs_failed: IntCounterVec(BY_JOB) = "prometheus_target_sync_failed_total",
        "Total number of target sync failures.";
    sync_length: SummaryVec((BY_JOB, INTERVAL_QUANTILES)) = "prometheus_target_sync_length_seconds",
        "Actual interval to sync the scrape pool.";
    sync_length_histogram: HistogramVec(BY_JOB) = "prometheus_target_sync_length_histogram_seconds",
        "Actual interval to sync the scrape pool as a histogram.";
    metadata_entries: IntGaugeVec(BY_JOB) = "prometheus_target_metadata_cache_entries",
        "Total number of metric metadata entries in the cache";
    metadata_bytes: IntGaugeVec(BY_JOB) = "prometheus_target_metadata_cache_bytes",
        "The number of bytes that are currently used for storing metric metadata in the cache";
    sd_discovered: GaugeVec(BY_SECTION) = "prometheus_sd_discovered_targets",
        "Current number of discovered targets.";
    sd_failed_configs: IntGaugeVec(BY_NAME) = "prometheus_sd_failed_configs",
        "Current number of service discovery configurations that failed to load.";
    sd_received: IntCounterVec(BY_NAME) = "prometheus_sd_received_updates_total",
        "Total number of update events received from the SD providers.";
    sd_updates: IntCounterVec(BY_NAME) = "prometheus_sd_updates_total",
        "Total number of update events sent to the SD consumers.";
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub(crate) fn register(registry: &Registry, clock: &Arc<dyn Clock>) -> prometheus::Result<Self> {
        Metrics::make(registry, clock)
    }
}
