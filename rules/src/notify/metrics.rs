//! What the notifier tells of itself, under the names that dashboards of the reference use.

use std::sync::Arc;
use std::time::Duration;

use model::summary::{QUANTILES, SummaryOpts, SummaryVec, summary_vec};
use model::time::Clock;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Bounds of the latency histogram, in seconds.
const LATENCY_BUCKETS: [f64; 4] = [0.01, 0.1, 1.0, 10.0];
/// The label that holds an Alertmanager's URL.
const ALERTMANAGER: &[&str] = &["alertmanager"];

/// The metrics of all queues.
#[derive(Debug)]
pub struct Metrics {
    sent: IntCounterVec,
    errors: IntCounterVec,
    dropped: IntCounterVec,
    queue_length: IntGaugeVec,
    queue_capacity: IntGauge,
    discovered: IntGauge,
    latency: SummaryVec,
    latency_histogram: HistogramVec,
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    ///
    /// One of the names is registered already.
    pub fn new(registry: &Registry, clock: &Arc<dyn Clock>) -> prometheus::Result<Self> {
        let counters = |name: &str, help: &str| {
            let metric = IntCounterVec::new(Opts::new(name, help), ALERTMANAGER)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let gauge = |name: &str, help: &str| {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let queue_length = IntGaugeVec::new(
            Opts::new(
                "prometheus_notifications_queue_length",
                "The number of alert notifications in the queue.",
            ),
            ALERTMANAGER,
        )?;
        registry.register(Box::new(queue_length.clone()))?;
        let latency_help = "Latency quantiles for sending alert notifications.";
        let latency = summary_vec(
            SummaryOpts::new(
                "prometheus_notifications_latency_seconds",
                latency_help,
                QUANTILES,
                Arc::clone(clock),
            ),
            ALERTMANAGER,
        )?;
        registry.register(Box::new(latency.clone()))?;
        let latency_histogram = HistogramVec::new(
            HistogramOpts::new(
                "prometheus_notifications_latency_histogram_seconds",
                "Latency histogram for sending alert notifications.",
            )
            .buckets(LATENCY_BUCKETS.to_vec()),
            ALERTMANAGER,
        )?;
        registry.register(Box::new(latency_histogram.clone()))?;
        Ok(Metrics {
            sent: counters("prometheus_notifications_sent_total", "Total number of alerts sent.")?,
            errors: counters(
                "prometheus_notifications_errors_total",
                "Total number of sent alerts affected by errors.",
            )?,
            dropped: counters(
                "prometheus_notifications_dropped_total",
                "Total number of alerts dropped due to errors when sending to Alertmanager.",
            )?,
            queue_length,
            queue_capacity: gauge(
                "prometheus_notifications_queue_capacity",
                "The capacity of the alert notifications queue.",
            )?,
            discovered: gauge(
                "prometheus_notifications_alertmanagers_discovered",
                "The number of alertmanagers discovered and active.",
            )?,
            latency,
            latency_histogram,
        })
    }

    pub(super) fn set_capacity(&self, capacity: usize) {
        self.queue_capacity.set(capacity as i64);
    }

    pub(super) fn set_discovered(&self, count: usize) {
        self.discovered.set(count as i64);
    }

    pub(super) fn added(&self, url: &str) {
        for counters in [&self.sent, &self.errors, &self.dropped] {
            counters.with_label_values(&[url]);
        }
        self.queue_length.with_label_values(&[url]);
    }

    pub(super) fn forget(&self, url: &str) {
        for counters in [&self.sent, &self.errors, &self.dropped] {
            let _ = counters.remove_label_values(&[url]);
        }
        let _ = self.queue_length.remove_label_values(&[url]);
        let _ = self.latency.remove_label_values(&[url]);
        let _ = self.latency_histogram.remove_label_values(&[url]);
    }

    pub(super) fn queued(&self, url: &str, length: usize, dropped: usize) {
        self.queue_length.with_label_values(&[url]).set(length as i64);
        self.dropped.with_label_values(&[url]).inc_by(dropped as u64);
    }

    pub(super) fn sent(&self, url: &str, alerts: usize, took: Duration, succeeded: bool) {
        self.sent.with_label_values(&[url]).inc_by(alerts as u64);
        self.latency.with_label_values(&[url]).observe(took.as_secs_f64());
        self.latency_histogram.with_label_values(&[url]).observe(took.as_secs_f64());
        if !succeeded {
            self.errors.with_label_values(&[url]).inc_by(alerts as u64);
            self.dropped.with_label_values(&[url]).inc_by(alerts as u64);
        }
    }
}
