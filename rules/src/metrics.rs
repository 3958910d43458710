//! What rules tell of themselves, under the names that dashboards of the reference use.

use std::sync::Arc;
use std::time::Duration;

use model::summary::{INTERVAL_QUANTILES, QUANTILES, Summary, SummaryOpts};
use model::time::{Clock, TimestampMs};
use prometheus::core::Collector;
use prometheus::{GaugeVec, Histogram, HistogramOpts, IntCounterVec, IntGaugeVec, Opts, Registry};

/// What all names begin with.
const PREFIX: &str = "prometheus_rule_";
/// Bounds of the duration histograms, in seconds.
const DURATION_BUCKETS: &[f64] = &[0.01, 0.1, 1.0, 10.0];
/// The label of a group: file, `;`, name.
const RULE_GROUP: &[&str] = &["rule_group"];

/// A kind of metric, made from its name, its help, and what else it takes.
trait Kind: Collector + Clone + Sized + 'static {
    /// What else it takes.
    type With;

    fn make(name: String, help: &str, with: Self::With, clock: &Arc<dyn Clock>) -> prometheus::Result<Self>;
}

/// Kinds that have one metric for each group.
macro_rules! by_group {
    ($($kind:ident)*) => {$(
        impl Kind for $kind {
            type With = ();

            fn make(name: String, help: &str, (): (), _: &Arc<dyn Clock>) -> prometheus::Result<Self> {
                $kind::new(Opts::new(name, help), RULE_GROUP)
            }
        }
    )*};
}

by_group! { IntCounterVec GaugeVec IntGaugeVec }

impl Kind for Histogram {
    /// Upper bounds of the buckets.
    type With = &'static [f64];

    fn make(name: String, help: &str, bounds: Self::With, _: &Arc<dyn Clock>) -> prometheus::Result<Self> {
        Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec()))
    }
}

impl Kind for Summary {
    /// Quantiles.
    type With = &'static [f64];

    fn make(
        name: String,
        help: &str,
        quantiles: Self::With,
        clock: &Arc<dyn Clock>,
    ) -> prometheus::Result<Self> {
        Summary::new(SummaryOpts::new(&name, help, quantiles, Arc::clone(clock)))
    }
}

/// Makes a metric and registers it.
fn register<K: Kind>(
    registry: &Registry,
    clock: &Arc<dyn Clock>,
    (name, help, with): (&str, &str, K::With),
) -> prometheus::Result<K> {
    let metric = K::make(format!("{PREFIX}{name}"), help, with, clock)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// Declares [`Metrics`] as a table of field, kind with what else it takes, name behind the prefix, and help.
macro_rules! metrics {
    ($($field:ident: $kind:ident $(($with:expr))? = $name:literal, $help:literal;)*) => {
        /// The metrics of all groups.
        #[derive(Debug)]
        pub struct Metrics {
            $(#[doc = $help] $field: $kind,)*
        }

        impl Metrics {
            /// Registers the metrics.
            ///
            /// # Errors
            ///
            /// One of the names is registered already.
            pub fn new(registry: &Registry, clock: &Arc<dyn Clock>) -> prometheus::Result<Self> {
                Ok(Metrics {
                    $($field: register(registry, clock, ($name, $help, ($($with)?)))?,)*
                })
            }
        }
    };
}

metrics! {
    evaluations: IntCounterVec = "evaluations_total", "The total number of rule evaluations.";
    failures: IntCounterVec = "evaluation_failures_total", "The total number of rule evaluation failures.";
    evaluation_duration: Summary(QUANTILES) = "evaluation_duration_seconds", "The duration for a rule to execute.";
    evaluation_duration_histogram: Histogram(DURATION_BUCKETS) = "evaluation_duration_histogram_seconds",
        "The duration for a rule to execute.";
    group_duration: Summary(INTERVAL_QUANTILES) = "group_duration_seconds",
        "The duration of rule group evaluations.";
    group_duration_histogram: Histogram(DURATION_BUCKETS) = "group_duration_histogram_seconds",
        "The duration of rule group evaluations.";
    iterations: IntCounterVec = "group_iterations_total",
        "The total number of scheduled rule group evaluations, whether executed or missed.";
    iterations_missed: IntCounterVec = "group_iterations_missed_total",
        "The total number of rule group evaluations missed due to slow rule group evaluation.";
    interval: GaugeVec = "group_interval_seconds", "The interval of a rule group.";
    last_duration: GaugeVec = "group_last_duration_seconds", "The duration of the last rule group evaluation.";
    last_rule_duration_sum: GaugeVec = "group_last_rule_duration_sum_seconds",
        "The sum of time in seconds it took to evaluate each rule in the group.";
    last_evaluation: GaugeVec = "group_last_evaluation_timestamp_seconds",
        "The timestamp of the last rule group evaluation in seconds.";
    last_samples: IntGaugeVec = "group_last_evaluation_samples",
        "The number of samples returned during the last rule group evaluation.";
    last_restore_duration: GaugeVec = "group_last_restore_duration_seconds",
        "The duration of the last alert rules alerts restoration.";
    rules: IntGaugeVec = "group_rules", "The number of rules.";
}

impl Metrics {
    /// Shows a group before its first evaluation.
    pub(crate) fn group_loaded(&self, key: &str, interval_ms: i64, rules: usize) {
        let labels = &[key];
        self.evaluations.with_label_values(labels);
        self.failures.with_label_values(labels);
        self.iterations.with_label_values(labels);
        self.iterations_missed.with_label_values(labels);
        self.last_duration.with_label_values(labels);
        self.last_rule_duration_sum.with_label_values(labels);
        self.last_evaluation.with_label_values(labels);
        self.last_samples.with_label_values(labels);
        self.last_restore_duration.with_label_values(labels);
        self.rules.with_label_values(labels).set(rules as i64);
        self.interval.with_label_values(labels).set(interval_ms as f64 / 1000.0);
    }

    /// Takes a group's metrics away.
    pub(crate) fn group_removed(&self, key: &str) {
        let labels = &[key];
        for counters in [&self.evaluations, &self.failures, &self.iterations, &self.iterations_missed] {
            let _ = counters.remove_label_values(labels);
        }
        for gauges in [
            &self.interval,
            &self.last_duration,
            &self.last_rule_duration_sum,
            &self.last_evaluation,
            &self.last_restore_duration,
        ] {
            let _ = gauges.remove_label_values(labels);
        }
        let _ = self.last_samples.remove_label_values(labels);
        let _ = self.rules.remove_label_values(labels);
    }

    pub(crate) fn rule_evaluated(&self, key: &str, duration: Duration, succeeded: bool) {
        self.evaluations.with_label_values(&[key]).inc();
        if !succeeded {
            self.failures.with_label_values(&[key]).inc();
        }
        self.evaluation_duration.observe(duration.as_secs_f64());
        self.evaluation_duration_histogram.observe(duration.as_secs_f64());
    }

    pub(crate) fn group_evaluated(
        &self,
        key: &str,
        at_ms: TimestampMs,
        duration: Duration,
        rules_duration: Duration,
        samples: usize,
    ) {
        let labels = &[key];
        self.iterations.with_label_values(labels).inc();
        self.group_duration.observe(duration.as_secs_f64());
        self.group_duration_histogram.observe(duration.as_secs_f64());
        self.last_duration.with_label_values(labels).set(duration.as_secs_f64());
        self.last_rule_duration_sum.with_label_values(labels).set(rules_duration.as_secs_f64());
        self.last_evaluation.with_label_values(labels).set(at_ms as f64 / 1000.0);
        self.last_samples.with_label_values(labels).set(samples as i64);
    }

    pub(crate) fn iterations_missed(&self, key: &str, missed: u64) {
        self.iterations_missed.with_label_values(&[key]).inc_by(missed);
        self.iterations.with_label_values(&[key]).inc_by(missed);
    }

    pub(crate) fn restored(&self, key: &str, duration: Duration) {
        self.last_restore_duration.with_label_values(&[key]).set(duration.as_secs_f64());
    }
}
