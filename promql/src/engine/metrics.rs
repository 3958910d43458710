//! The engine's metrics, under the reference's names.

use std::sync::Arc;

use model::summary::{SummaryOpts, SummaryVec, summary_vec};
use model::time::Clock;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntGauge, Registry};

use super::{QueryStats, QueryTimings};

/// Bounds of the duration histogram, in seconds; the reference's.
const DURATION_BUCKETS: [f64; 4] = [0.01, 0.1, 1.0, 10.0];
/// Quantiles of the duration summary; the reference's.
const DURATION_QUANTILES: &[f64] = &[0.5, 0.9, 0.99];

/// What an engine tells about itself.
#[derive(Clone, Debug)]
pub(crate) struct EngineMetrics {
    pub(crate) running: IntGauge,
    running_max: IntGauge,
    query_log_enabled: IntGauge,
    query_log_failures: IntCounter,
    samples: IntCounter,
    samples_read: IntCounter,
    durations: SummaryVec,
    duration_histograms: HistogramVec,
}

impl EngineMetrics {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> prometheus::Result<Self> {
        let durations = SummaryOpts::new(
            "prometheus_engine_query_duration_seconds",
            "Query timings",
            DURATION_QUANTILES,
            clock,
        );
        let histograms = HistogramOpts::new(
            "prometheus_engine_query_duration_histogram_seconds",
            "The duration of various parts of PromQL query execution.",
        );
        Ok(EngineMetrics {
            running: IntGauge::new(
                "prometheus_engine_queries",
                "The current number of queries being executed or waiting.",
            )?,
            running_max: IntGauge::new(
                "prometheus_engine_queries_concurrent_max",
                "The max number of concurrent queries.",
            )?,
            query_log_enabled: IntGauge::new(
                "prometheus_engine_query_log_enabled",
                "State of the query log.",
            )?,
            query_log_failures: IntCounter::new(
                "prometheus_engine_query_log_failures_total",
                "The number of query log failures.",
            )?,
            samples: IntCounter::new(
                "prometheus_engine_query_samples_total",
                "The total number of samples loaded by all queries.",
            )?,
            samples_read: IntCounter::new(
                "prometheus_engine_query_samples_read_total",
                "The total number of samples read from the storage by all queries.",
            )?,
            durations: summary_vec(durations, &["slice"])?,
            duration_histograms: HistogramVec::new(
                histograms.buckets(DURATION_BUCKETS.to_vec()),
                &["slice"],
            )?,
        })
    }

    pub(crate) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.running.clone()))?;
        registry.register(Box::new(self.running_max.clone()))?;
        registry.register(Box::new(self.query_log_enabled.clone()))?;
        registry.register(Box::new(self.query_log_failures.clone()))?;
        registry.register(Box::new(self.samples.clone()))?;
        registry.register(Box::new(self.samples_read.clone()))?;
        registry.register(Box::new(self.durations.clone()))?;
        registry.register(Box::new(self.duration_histograms.clone()))
    }

    pub(crate) fn set_running_max(&self, running_max: usize) {
        self.running_max.set(running_max as i64);
    }

    pub(crate) fn set_query_log_enabled(&self, enabled: bool) {
        self.query_log_enabled.set(i64::from(enabled));
    }

    pub(crate) fn count_query_log_failure(&self) {
        self.query_log_failures.inc();
    }

    /// Takes in what a query cost.
    pub(crate) fn observe(&self, stats: &QueryStats) {
        self.samples.inc_by(stats.samples_total);
        self.samples_read.inc_by(stats.samples_read);
        let QueryTimings { queue, prepare, inner_eval, result_sort, .. } = stats.timings;
        let slices = [
            ("queue_time", queue),
            ("prepare_time", prepare),
            ("inner_eval", inner_eval),
            ("result_sort", result_sort),
        ];
        for (slice, duration) in slices {
            let seconds = duration.as_secs_f64();
            self.durations.with_label_values(&[slice]).observe(seconds);
            let histogram: Histogram = self.duration_histograms.with_label_values(&[slice]);
            histogram.observe(seconds);
        }
    }
}
