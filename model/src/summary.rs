//! Summaries: quantiles of recent observations, as a collector of the `prometheus` crate, which has none.
//!
//! Observations go to buckets whose bounds grow by a constant factor, so that a quantile is off by at most
//! [`RELATIVE_ERROR`] of its value, whatever the observations are; that is what DDSketch (Masson et al., 2019)
//! does. Buckets are kept for [`AGE_SPANS`] spans of time; a new span takes the place of the oldest, so a
//! quantile speaks of the last 8 to 10 minutes, as the reference's do. Given up: the rank guarantee of the
//! reference's estimator; gained: a few hundred bytes, and the same cost for every observation.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc, Describer, Metric, MetricVec, MetricVecBuilder};
use prometheus::proto;

use crate::time::{Clock, TimestampMs};

/// How far a quantile may be from the observation it stands for, as a part of that. The reference's summaries
/// err by a comparable amount in rank.
const RELATIVE_ERROR: f64 = 0.01;

/// Growth from one bucket's upper bound to the next.
const GROWTH: f64 = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR);

/// Observations up to this size count as zero. Durations in seconds are larger than a nanosecond.
const SMALLEST: f64 = 1e-9;

/// Observations from this size on share one bucket, which bounds their number to about 2,100.
const LARGEST: f64 = 1e9;

/// How many spans of time are kept; client_golang's `DefAgeBuckets`.
const AGE_SPANS: usize = 5;

/// Length of a span: client_golang's `DefMaxAge` of 10 minutes over the number of spans.
const SPAN_MS: i64 = 10 * 60_000 / AGE_SPANS as i64;

/// The quantiles that most of the reference's summaries show.
pub const QUANTILES: &[f64] = &[0.5, 0.9, 0.99];

/// The quantiles of the reference's summaries of intervals and of work done at intervals.
pub const INTERVAL_QUANTILES: &[f64] = &[0.01, 0.05, 0.5, 0.9, 0.99];

/// What a summary is called and what it shows.
#[derive(Clone, Debug)]
pub struct SummaryOpts {
    name: String,
    help: String,
    quantiles: &'static [f64],
    clock: Arc<dyn Clock>,
}

impl SummaryOpts {
    /// A summary of this name that shows `quantiles`, each in `0.0..=1.0`; none at all leaves `_sum` and
    /// `_count`. The clock says which observations are recent.
    pub fn new(name: &str, help: &str, quantiles: &'static [f64], clock: Arc<dyn Clock>) -> Self {
        SummaryOpts { name: name.to_owned(), help: help.to_owned(), quantiles, clock }
    }

    fn desc(&self, label_names: &[String]) -> prometheus::Result<Desc> {
        Desc::new(self.name.clone(), self.help.clone(), label_names.to_vec(), HashMap::new())
    }
}

/// A summary. Clones share their observations.
#[derive(Clone)]
pub struct Summary(Arc<Inner>);

struct Inner {
    desc: Desc,
    labels: Vec<proto::LabelPair>,
    quantiles: &'static [f64],
    clock: Arc<dyn Clock>,
    observed: Mutex<Observed>,
}

#[derive(Default)]
struct Observed {
    count: u64,
    sum: f64,
    spans: [Span; AGE_SPANS],
}

/// Observations of one span: how many are in the bucket of each index.
#[derive(Default)]
struct Span {
    /// The span's number since the epoch.
    number: i64,
    buckets: BTreeMap<i32, u64>,
}

impl Summary {
    /// A summary without labels.
    ///
    /// # Errors
    ///
    /// The name isn't one, or the help is empty.
    pub fn new(opts: SummaryOpts) -> prometheus::Result<Self> {
        Ok(Summary::with_labels(opts.desc(&[])?, Vec::new(), &opts))
    }

    fn with_labels(desc: Desc, labels: Vec<proto::LabelPair>, opts: &SummaryOpts) -> Self {
        let clock = Arc::clone(&opts.clock);
        Summary(Arc::new(Inner {
            desc,
            labels,
            quantiles: opts.quantiles,
            clock,
            observed: Mutex::default(),
        }))
    }

    /// Adds an observation. What isn't a number only counts.
    pub fn observe(&self, value: f64) {
        let now_ms = self.0.clock.now_ms();
        let mut observed = self.0.observed.lock();
        observed.count += 1;
        observed.sum += value;
        if !value.is_nan() && !self.0.quantiles.is_empty() {
            *observed.span(now_ms).buckets.entry(bucket_of(value)).or_default() += 1;
        }
    }
}

impl Observed {
    /// The span that holds this time, emptied if it held an older one.
    fn span(&mut self, now_ms: TimestampMs) -> &mut Span {
        let number = now_ms.div_euclid(SPAN_MS);
        let span = &mut self.spans[number.rem_euclid(AGE_SPANS as i64) as usize];
        if span.number != number {
            *span = Span { number, buckets: BTreeMap::new() };
        }
        span
    }

    /// The recent observations of all spans together.
    fn recent(&self, now_ms: TimestampMs) -> BTreeMap<i32, u64> {
        let newest = now_ms.div_euclid(SPAN_MS);
        let mut all = BTreeMap::new();
        for span in self.spans.iter().filter(|span| newest - span.number < AGE_SPANS as i64) {
            for (bucket, count) in &span.buckets {
                *all.entry(*bucket).or_default() += count;
            }
        }
        all
    }
}

/// The index of a value's bucket. Negative values, which no duration has, count as zero.
fn bucket_of(value: f64) -> i32 {
    if value <= SMALLEST {
        return i32::MIN;
    }
    (value.min(LARGEST).ln() / GROWTH.ln()).ceil() as i32
}

/// The value that stands for a bucket: the one that is equally far, in relation, from both bounds.
fn value_of(bucket: i32) -> f64 {
    if bucket == i32::MIN {
        return 0.0;
    }
    GROWTH.powi(bucket) * 2.0 / (1.0 + GROWTH)
}

/// The value at a rank of `quantile`; NaN if nothing was observed.
fn quantile_of(buckets: &BTreeMap<i32, u64>, quantile: f64) -> f64 {
    let total: u64 = buckets.values().sum();
    let rank = ((total as f64 * quantile).ceil() as u64).max(1);
    let mut seen = 0;
    for (bucket, count) in buckets {
        seen += count;
        if seen >= rank {
            return value_of(*bucket);
        }
    }
    f64::NAN
}

impl fmt::Debug for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let observed = self.0.observed.lock();
        write!(f, "Summary({}: {} observations, sum {})", self.0.desc.fq_name, observed.count, observed.sum)
    }
}

impl Metric for Summary {
    fn metric(&self) -> proto::Metric {
        let now_ms = self.0.clock.now_ms();
        let observed = self.0.observed.lock();
        let recent = observed.recent(now_ms);
        let mut summary = proto::Summary::default();
        summary.set_sample_count(observed.count);
        summary.set_sample_sum(observed.sum);
        drop(observed);
        let quantiles = self.0.quantiles.iter().map(|quantile| {
            let mut shown = proto::Quantile::default();
            shown.set_quantile(*quantile);
            shown.set_value(quantile_of(&recent, *quantile));
            shown
        });
        summary.set_quantile(quantiles.collect());
        let mut metric = proto::Metric::from_label(self.0.labels.clone());
        metric.set_summary(summary);
        metric
    }
}

impl Collector for Summary {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let mut family = proto::MetricFamily::default();
        family.set_name(self.0.desc.fq_name.clone());
        family.set_help(self.0.desc.help.clone());
        family.set_field_type(proto::MetricType::SUMMARY);
        family.set_metric(vec![self.metric()]);
        vec![family]
    }
}

/// Summaries of one name that differ in labels.
pub type SummaryVec = MetricVec<SummaryVecBuilder>;

/// Builds the summaries of a [`SummaryVec`].
#[derive(Clone, Debug)]
pub struct SummaryVecBuilder;

/// The name of a [`SummaryVec`] and the names of its labels.
#[derive(Clone, Debug)]
pub struct SummaryVecOpts {
    opts: SummaryOpts,
    label_names: Vec<String>,
}

impl Describer for SummaryVecOpts {
    fn describe(&self) -> prometheus::Result<Desc> {
        self.opts.desc(&self.label_names)
    }
}

impl MetricVecBuilder for SummaryVecBuilder {
    type M = Summary;
    type P = SummaryVecOpts;

    fn build<V: AsRef<str>>(&self, opts: &SummaryVecOpts, values: &[V]) -> prometheus::Result<Summary> {
        let mut labels = Vec::with_capacity(values.len());
        for (name, value) in opts.label_names.iter().zip(values) {
            let mut pair = proto::LabelPair::default();
            pair.set_name(name.clone());
            pair.set_value(value.as_ref().to_owned());
            labels.push(pair);
        }
        labels.sort();
        Ok(Summary::with_labels(opts.describe()?, labels, &opts.opts))
    }
}

/// Summaries with these labels.
///
/// # Errors
///
/// A name isn't one, or the help is empty.
pub fn summary_vec(opts: SummaryOpts, label_names: &[&str]) -> prometheus::Result<SummaryVec> {
    let label_names = label_names.iter().map(|name| (*name).to_owned()).collect();
    MetricVec::create(proto::MetricType::SUMMARY, SummaryVecBuilder, SummaryVecOpts { opts, label_names })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::ManualClock;
    use prometheus::{Encoder, Registry, TextEncoder};
    use proptest::prelude::*;

    fn summary(clock: &Arc<ManualClock>) -> Summary {
        let opts = SummaryOpts::new("work_seconds", "Work.", QUANTILES, Arc::clone(clock) as Arc<dyn Clock>);
        Summary::new(opts).unwrap()
    }

    fn shown(summary: &Summary, quantile: usize) -> f64 {
        summary.metric().get_summary().get_quantile()[quantile].value()
    }

    #[test]
    fn a_summary_without_observations_shows_nan() {
        assert!(shown(&summary(&Arc::default()), 0).is_nan());
    }

    #[test]
    fn old_observations_leave_the_quantiles_but_not_the_count() {
        let clock = Arc::new(ManualClock::new(0));
        let summary = summary(&clock);
        summary.observe(100.0);
        clock.advance(9 * 60_000);
        summary.observe(1.0);
        assert!((shown(&summary, 2) - 100.0).abs() <= 1.0, "{}", shown(&summary, 2));
        clock.advance(2 * 60_000);
        assert!((shown(&summary, 2) - 1.0).abs() <= 0.01, "{}", shown(&summary, 2));
        assert_eq!(summary.metric().get_summary().sample_count(), 2);
        assert_eq!(summary.metric().get_summary().sample_sum(), 101.0);
    }

    #[test]
    fn summaries_with_labels_come_out_as_text() {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(0));
        let opts = SummaryOpts::new("work_seconds", "Work.", &[0.5], clock);
        let vec = summary_vec(opts, &["slice"]).unwrap();
        vec.with_label_values(&["inner"]).observe(0.0);
        let registry = Registry::new();
        registry.register(Box::new(vec)).unwrap();
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "# HELP work_seconds Work.\n# TYPE work_seconds summary\n\
             work_seconds{slice=\"inner\",quantile=\"0.5\"} 0\n\
             work_seconds_sum{slice=\"inner\"} 0\nwork_seconds_count{slice=\"inner\"} 1\n"
        );
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_the_relative_error_of_the_observation_at_its_rank(
            mut values in prop::collection::vec(1e-8f64..1e8, 1..200),
        ) {
            let summary = summary(&Arc::default());
            values.iter().for_each(|value| summary.observe(*value));
            values.sort_by(f64::total_cmp);
            for (index, quantile) in QUANTILES.iter().enumerate() {
                let rank = ((values.len() as f64 * quantile).ceil() as usize).max(1);
                let exact = values[rank - 1];
                let error = (shown(&summary, index) - exact).abs() / exact;
                prop_assert!(error <= RELATIVE_ERROR * 1.000_001, "quantile {quantile}: {error}");
            }
        }
    }
}
