//! From messages to samples.

use std::collections::HashSet;
use std::sync::Arc;

use hashbrown::HashMap;
use model::exemplar::{self, Exemplar};
use model::float_text;
use model::histogram::Histogram;
use model::labels::{BUCKET_LABEL, Labels, LabelsBuilder, METRIC_NAME};
use model::metadata::{Metadata, MetricFamily, MetricType};
use model::storage::{Batch, FloatSample, HistogramSample, HistogramValue, SeriesKey};
use model::time::TimestampMs;
use model::value::{NORMAL_NAN, STALE_NAN, is_stale_nan};

use super::delta::{Amount, Sums};
use super::labels::{Shared, target_info};
use super::message::{
    self, ExponentialPoint, HistogramPoint, Metric, NumberPoint, Point, Points, Request, ResourceMetrics,
    ScopeMetrics, SummaryPoint, Temporality,
};
use super::name::{Kind, metric_name, unit_name};
use super::{DeltaHandling, Settings, histogram};

const QUANTILE_LABEL: &str = "quantile";
const TARGET_INFO: &str = "target_info";
/// Bytes of labels that a request may come to. Every point repeats what its resource says, so that
/// the request's own length says nothing of it.
const TEXT_BYTES_MAX: usize = 256 << 20;
/// The most samples of `target_info` for a resource: two days of them at the default look-back.
const INFO_SAMPLES_MAX: i64 = 1_200;
/// How many things that are wrong are told; the rest is counted.
const PROBLEMS_SHOWN: usize = 10;

/// What is wrong with a request.
#[derive(Debug, Default)]
pub(super) struct Problems {
    pub(super) shown: Vec<String>,
    pub(super) count: usize,
}

impl Problems {
    pub(super) fn add(&mut self, problem: String) {
        self.count += 1;
        if self.shown.len() < PROBLEMS_SHOWN {
            self.shown.push(problem);
        }
    }
}

/// What is the same for all requests.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) settings: &'a Settings,
    pub(super) deltas: DeltaHandling,
    pub(super) lookback_ms: i64,
    pub(super) now_ms: TimestampMs,
    /// No sample may be later.
    pub(super) latest_ms: TimestampMs,
}

/// A request's samples.
#[derive(Debug)]
pub(super) struct Translation<'a> {
    context: Context<'a>,
    sums: &'a mut Sums,
    pub(super) batch: Batch,
    by_labels: HashMap<Labels, SeriesKey>,
    /// The floats of the batch that no sender sent: those of `target_info`.
    pub(super) own_floats: HashSet<usize>,
    text_bytes_left: usize,
    /// What can't be translated.
    pub(super) untranslated: Problems,
    /// Samples that lie too far in the future.
    pub(super) too_new: usize,
    /// Deltas that can't be added up.
    pub(super) deltas_dropped: usize,
}

/// What the series of a metric have in common.
struct Family {
    described: Arc<MetricFamily>,
    is_delta: bool,
}

impl Family {
    fn name(&self) -> &str {
        &self.described.name
    }
}

/// Stop: the request as a whole is too much.
#[derive(Debug)]
pub(super) struct TooLarge;

impl<'a> Translation<'a> {
    pub(super) fn new(context: Context<'a>, sums: &'a mut Sums) -> Self {
        Translation {
            context,
            sums,
            batch: Batch::default(),
            by_labels: HashMap::new(),
            own_floats: HashSet::new(),
            text_bytes_left: TEXT_BYTES_MAX,
            untranslated: Problems::default(),
            too_new: 0,
            deltas_dropped: 0,
        }
    }

    /// Translates a request.
    ///
    /// # Errors
    ///
    /// It comes to more than may be held.
    pub(super) fn add(&mut self, request: &Request) -> Result<(), TooLarge> {
        for resource in &request.resource_metrics {
            for scope in &resource.scope_metrics {
                self.add_scope(resource, scope)?;
            }
            self.add_target_info(resource)?;
        }
        Ok(())
    }

    fn add_scope(&mut self, resource: &ResourceMetrics, scope: &ScopeMetrics) -> Result<(), TooLarge> {
        let shared = match Shared::new(&resource.resource, scope, self.context.settings) {
            Ok(shared) => shared,
            Err(problem) => {
                self.untranslated.add(problem);
                return Ok(());
            }
        };
        for metric in &scope.metrics {
            match self.add_metric(&shared, metric) {
                Ok(()) => {}
                Err(Stop::Problem(problem)) => self.untranslated.add(problem),
                Err(Stop::TooLarge(too_large)) => return Err(too_large),
            }
        }
        Ok(())
    }

    fn add_metric(&mut self, shared: &Shared<'_>, metric: &Metric) -> Result<(), Stop> {
        if let Some(points) = &metric.gauge {
            let family = self.family(metric, points, None, Kind::Gauge, MetricType::Gauge)?;
            self.add_numbers(shared, &family, points, false)
        } else if let Some(points) = &metric.sum {
            let (kind, metric_type) = match points.is_monotonic {
                true => (Kind::MonotonicSum, MetricType::Counter),
                false => (Kind::Other, MetricType::Gauge),
            };
            let temporality = Some(points.aggregation_temporality);
            let family = self.family(metric, points, temporality, kind, metric_type)?;
            self.add_numbers(shared, &family, points, true)
        } else if let Some(points) = &metric.histogram {
            let temporality = Some(points.aggregation_temporality);
            let family = self.family(metric, points, temporality, Kind::Other, MetricType::Histogram)?;
            match self.context.settings.convert_histograms_to_nhcb {
                true => self.add_custom_histograms(shared, &family, points),
                false => self.add_classic_histograms(shared, &family, points),
            }
        } else if let Some(points) = &metric.exponential_histogram {
            let temporality = Some(points.aggregation_temporality);
            let family = self.family(metric, points, temporality, Kind::Other, MetricType::Histogram)?;
            self.add_exponential_histograms(shared, &family, points)
        } else if let Some(points) = &metric.summary {
            let family = self.family(metric, points, None, Kind::Other, MetricType::Summary)?;
            self.add_summaries(shared, &family, points)
        } else {
            Err(Stop::Problem(format!("unsupported metric type of metric {:?}", metric.name)))
        }
    }

    /// Checks a metric and names it.
    fn family<P>(
        &self,
        metric: &Metric,
        points: &Points<P>,
        temporality: Option<Temporality>,
        kind: Kind,
        metric_type: MetricType,
    ) -> Result<Family, String> {
        let is_delta = match (temporality, self.context.deltas) {
            (None | Some(Temporality::Cumulative), _) => false,
            (Some(Temporality::Delta), DeltaHandling::Native | DeltaHandling::Cumulative) => true,
            _ => {
                let name = &metric.name;
                return Err(format!("invalid temporality and type combination for metric {name:?}"));
            }
        };
        if points.data_points.is_empty() {
            return Err(format!("empty data points. {} is dropped", metric.name));
        }
        let strategy = self.context.settings.translation_strategy;
        // There is no type for deltas.
        let is_unknown = is_delta && self.context.deltas == DeltaHandling::Native;
        let metadata = Metadata {
            metric_type: if is_unknown { MetricType::Unknown } else { metric_type },
            help: metric.description.clone(),
            unit: unit_name(&metric.unit, strategy),
        };
        let name = metric_name(&metric.name, &metric.unit, kind, strategy)?;
        Ok(Family { described: Arc::new(MetricFamily { name, metadata }), is_delta })
    }

    fn add_numbers(
        &mut self,
        shared: &Shared<'_>,
        family: &Family,
        points: &Points<NumberPoint>,
        has_exemplars: bool,
    ) -> Result<(), Stop> {
        for point in &points.data_points {
            let mut labels = shared.labels(&point.attributes)?;
            let series = self.series(&mut labels, family.name(), family)?;
            self.push_float(series, family, point, point.value());
            if has_exemplars {
                self.push_exemplars(series, &point.exemplars, |_| true)?;
            }
        }
        Ok(())
    }

    /// A classic histogram: a series for each bound, their sum and their count.
    fn add_classic_histograms(
        &mut self,
        shared: &Shared<'_>,
        family: &Family,
        points: &Points<HistogramPoint>,
    ) -> Result<(), Stop> {
        let bucket_name = format!("{}_bucket", family.name());
        for point in &points.data_points {
            let mut labels = shared.labels(&point.attributes)?;
            if let Some(sum) = point.sum {
                let series = self.series(&mut labels, &format!("{}_sum", family.name()), family)?;
                self.push_float(series, family, point, sum);
            }
            let series = self.series(&mut labels, &format!("{}_count", family.name()), family)?;
            self.push_float(series, family, point, point.count as f64);
            let mut below = f64::NEG_INFINITY;
            let mut cumulative = 0_u64;
            let bounds = point.explicit_bounds.iter().copied().filter(|bound| *bound != f64::INFINITY);
            let buckets = bounds.zip(&point.bucket_counts).map(|(bound, count)| (bound, Some(*count)));
            for (bound, count) in buckets.chain([(f64::INFINITY, None)]) {
                // What is in no other bucket is in the last.
                cumulative = count.map_or(point.count, |count| cumulative.saturating_add(count));
                labels.set(BUCKET_LABEL, &float_text::plain(bound));
                let series = self.series(&mut labels, &bucket_name, family)?;
                self.push_float(series, family, point, cumulative as f64);
                self.push_exemplars(series, &point.exemplars, |value| value > below && value <= bound)?;
                below = bound;
            }
        }
        Ok(())
    }

    fn add_custom_histograms(
        &mut self,
        shared: &Shared<'_>,
        family: &Family,
        points: &Points<HistogramPoint>,
    ) -> Result<(), Stop> {
        for point in &points.data_points {
            let value = histogram::custom(point, self.is_gauge(family))?;
            let mut labels = shared.labels(&point.attributes)?;
            let series = self.series(&mut labels, family.name(), family)?;
            self.push_histogram(series, family, point, value);
            self.push_exemplars(series, &point.exemplars, |_| true)?;
        }
        Ok(())
    }

    fn add_exponential_histograms(
        &mut self,
        shared: &Shared<'_>,
        family: &Family,
        points: &Points<ExponentialPoint>,
    ) -> Result<(), Stop> {
        for point in &points.data_points {
            let value = histogram::exponential(point, self.is_gauge(family))?;
            let mut labels = shared.labels(&point.attributes)?;
            let series = self.series(&mut labels, family.name(), family)?;
            self.push_histogram(series, family, point, value);
            self.push_exemplars(series, &point.exemplars, |_| true)?;
        }
        Ok(())
    }

    fn is_gauge(&self, family: &Family) -> bool {
        family.is_delta && self.context.deltas == DeltaHandling::Native
    }

    fn add_summaries(
        &mut self,
        shared: &Shared<'_>,
        family: &Family,
        points: &Points<SummaryPoint>,
    ) -> Result<(), Stop> {
        for point in &points.data_points {
            let mut labels = shared.labels(&point.attributes)?;
            let series = self.series(&mut labels, &format!("{}_sum", family.name()), family)?;
            self.push_float(series, family, point, point.sum);
            let series = self.series(&mut labels, &format!("{}_count", family.name()), family)?;
            self.push_float(series, family, point, point.count as f64);
            for quantile in &point.quantile_values {
                labels.set(QUANTILE_LABEL, &float_text::plain(quantile.quantile));
                let series = self.series(&mut labels, family.name(), family)?;
                self.push_float(series, family, point, quantile.value);
            }
        }
        Ok(())
    }

    /// What else is known of a resource, so often that queries find it wherever its samples are.
    fn add_target_info(&mut self, resource: &ResourceMetrics) -> Result<(), TooLarge> {
        let Some((first_ms, last_ms)) = times_ms(resource) else { return Ok(()) };
        let mut labels = match target_info(&resource.resource, self.context.settings) {
            Ok(Some(labels)) => labels,
            Ok(None) => return Ok(()),
            Err(problem) => {
                self.untranslated.add(problem);
                return Ok(());
            }
        };
        let metadata = Metadata {
            metric_type: MetricType::Gauge,
            help: "Target metadata".to_owned(),
            unit: String::new(),
        };
        let described = Arc::new(MetricFamily { name: TARGET_INFO.to_owned(), metadata });
        let family = Family { described, is_delta: false };
        let series = self.series(&mut labels, TARGET_INFO, &family)?;
        let last_ms = last_ms.min(self.context.latest_ms);
        let interval_ms = (self.context.lookback_ms / 2).max(1);
        let mut time_ms = first_ms.max(last_ms.saturating_sub(INFO_SAMPLES_MAX.saturating_mul(interval_ms)));
        while time_ms < last_ms {
            self.push_info(series, time_ms);
            time_ms += interval_ms;
        }
        self.push_info(series, last_ms);
        Ok(())
    }

    fn push_info(&mut self, series: SeriesKey, timestamp_ms: TimestampMs) {
        self.own_floats.insert(self.batch.floats.len());
        self.batch.floats.push(FloatSample { series, timestamp_ms, value: 1.0 });
    }

    /// The series with these labels and this name.
    fn series(
        &mut self,
        labels: &mut LabelsBuilder,
        name: &str,
        family: &Family,
    ) -> Result<SeriesKey, TooLarge> {
        labels.set(METRIC_NAME, name);
        let labels = labels.build();
        self.take_text(labels.size_bytes())?;
        if let Some(series) = self.by_labels.get(&labels) {
            return Ok(*series);
        }
        let series = self.batch.add_series(labels.clone());
        self.batch.metadata.push((series, Arc::clone(&family.described)));
        self.by_labels.insert(labels, series);
        Ok(series)
    }

    fn take_text(&mut self, bytes: usize) -> Result<(), TooLarge> {
        self.text_bytes_left = self.text_bytes_left.checked_sub(bytes).ok_or(TooLarge)?;
        Ok(())
    }

    /// Adds a delta up; anything else stays as it is. `None` if there is nothing to store.
    fn sum_up(
        &mut self,
        series: SeriesKey,
        family: &Family,
        timestamp_ms: TimestampMs,
        amount: Amount,
    ) -> Option<Amount> {
        if !family.is_delta || self.context.deltas != DeltaHandling::Cumulative {
            return Some(amount);
        }
        let SeriesKey::New(index) = series else { return Some(amount) };
        let labels = &self.batch.new_series[index as usize];
        let sum = self.sums.add(labels, timestamp_ms, amount, self.context.now_ms);
        self.deltas_dropped += usize::from(sum.is_none());
        sum
    }

    fn push_float(&mut self, series: SeriesKey, family: &Family, point: &impl Point, value: f64) {
        let Some(timestamp_ms) = self.time_ms(point) else { return };
        if !point.has_value() {
            self.batch.floats.push(FloatSample { series, timestamp_ms, value: STALE_NAN });
            return;
        }
        let value = if value.is_nan() { NORMAL_NAN } else { value };
        match self.sum_up(series, family, timestamp_ms, Amount::Float(value)) {
            Some(Amount::Float(value)) => {
                self.batch.floats.push(FloatSample { series, timestamp_ms, value });
            }
            Some(Amount::Histogram(_)) | None => {}
        }
    }

    fn push_histogram(
        &mut self,
        series: SeriesKey,
        family: &Family,
        point: &impl Point,
        mut value: Histogram,
    ) {
        let Some(timestamp_ms) = self.time_ms(point) else { return };
        if value.sum.is_nan() && point.has_value() && is_stale_nan(value.sum) {
            value.sum = NORMAL_NAN;
        }
        let sums_up = family.is_delta && self.context.deltas == DeltaHandling::Cumulative;
        let value = if sums_up && point.has_value() {
            let amount = Amount::Histogram(Box::new(value.to_float()));
            match self.sum_up(series, family, timestamp_ms, amount) {
                Some(Amount::Histogram(sum)) => HistogramValue::Float(*sum),
                Some(Amount::Float(_)) | None => return,
            }
        } else {
            HistogramValue::Integer(value)
        };
        self.batch.histograms.push(HistogramSample { series, timestamp_ms, value });
    }

    fn push_exemplars(
        &mut self,
        series: SeriesKey,
        exemplars: &[message::Exemplar],
        is_here: impl Fn(f64) -> bool,
    ) -> Result<(), Stop> {
        for written in exemplars {
            let value = written.as_double.or(written.as_int.map(|value| value as f64));
            let value = value.ok_or_else(|| "unsupported exemplar value type".to_owned())?;
            if !is_here(value) {
                continue;
            }
            let labels = exemplar_labels(written);
            self.take_text(labels.size_bytes())?;
            let timestamp_ms = Some(nanos_to_ms(written.time_unix_nano));
            self.batch.exemplars.push((series, Exemplar { labels, value, timestamp_ms }));
        }
        Ok(())
    }

    /// The time of a point, unless it is too far ahead.
    fn time_ms(&mut self, point: &impl Point) -> Option<TimestampMs> {
        let time_ms = nanos_to_ms(point.time_unix_nano());
        let is_too_new = time_ms > self.context.latest_ms;
        self.too_new += usize::from(is_too_new);
        (!is_too_new).then_some(time_ms)
    }
}

/// Why a metric isn't translated to its end.
enum Stop {
    Problem(String),
    TooLarge(TooLarge),
}

impl From<String> for Stop {
    fn from(problem: String) -> Self {
        Stop::Problem(problem)
    }
}

impl From<TooLarge> for Stop {
    fn from(too_large: TooLarge) -> Self {
        Stop::TooLarge(too_large)
    }
}

/// The ids of trace and span, and other attributes if there is room for all of them.
fn exemplar_labels(written: &message::Exemplar) -> Labels {
    let mut labels = LabelsBuilder::new();
    labels.set("trace_id", &written.trace_id).set("span_id", &written.span_id);
    let mut chars: usize =
        labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
    let others: Vec<(&str, String)> =
        written.filtered_attributes.iter().map(|other| (&*other.key, other.value.to_text())).collect();
    chars += others.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum::<usize>();
    if chars <= exemplar::LABEL_CHARS_MAX {
        for (name, value) in others.iter().filter(|(name, _)| !name.is_empty()) {
            labels.set(name, value);
        }
    }
    labels.build()
}

/// The times of a resource's first and last point.
fn times_ms(resource: &ResourceMetrics) -> Option<(TimestampMs, TimestampMs)> {
    let mut times = None;
    let mut add = |nanos: u64| {
        let time_ms = nanos_to_ms(nanos);
        let (first, last) = times.unwrap_or((time_ms, time_ms));
        times = Some((time_ms.min(first), time_ms.max(last)));
    };
    for metric in resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
        visit_times(metric.gauge.as_ref(), &mut add);
        visit_times(metric.sum.as_ref(), &mut add);
        visit_times(metric.histogram.as_ref(), &mut add);
        visit_times(metric.exponential_histogram.as_ref(), &mut add);
        visit_times(metric.summary.as_ref(), &mut add);
    }
    times
}

fn visit_times<P: Point>(points: Option<&Points<P>>, visit: &mut impl FnMut(u64)) {
    points.iter().flat_map(|points| &points.data_points).for_each(|point| visit(point.time_unix_nano()));
}

fn nanos_to_ms(nanos: u64) -> TimestampMs {
    // The largest u64 is a fifth of the largest i64 in milliseconds.
    (nanos / 1_000_000) as i64
}
