//! `load`: samples of a script on their way to a storage.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Span};
use model::labels::{BUCKET_LABEL, Labels, LabelsBuilder, METRIC_NAME};
use model::storage::SampleValue;
use model::time::TimestampMs;

use super::command::{Load, LoadedSeries};
use super::series::SequenceValue;
use super::storage::{MemoryStorage, Sample};
use super::{Failure, ScriptStorage};

/// A sample of a script.
pub type LoadedSample = (TimestampMs, Sample);

/// Why samples weren't taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(pub String);

impl ScriptStorage for MemoryStorage {
    fn clear(&self) {
        MemoryStorage::clear(self);
    }

    fn load(&self, labels: &Labels, samples: &[LoadedSample]) -> Result<(), LoadError> {
        self.append(labels, samples.iter().cloned()).map_err(|error| LoadError(error.to_string()))
    }
}

/// Loads the series of a command.
pub(super) fn load(command: &Load, storage: &dyn ScriptStorage) -> Result<(), Failure> {
    let fail = |what: String| Failure { line: command.line, what };
    for series in &command.series {
        let samples = samples(series, command.interval_ms);
        storage.load(&series.labels, &samples).map_err(|error| fail(error.to_string()))?;
    }
    if command.with_nhcb {
        for (labels, samples) in custom_bucket_series(command).map_err(fail)? {
            storage.load(&labels, &samples).map_err(|error| fail(error.to_string()))?;
        }
    }
    Ok(())
}

/// The samples of a series, the first at time 0.
fn samples(series: &LoadedSeries, interval_ms: i64) -> Vec<LoadedSample> {
    let mut samples = Vec::with_capacity(series.values.len());
    for (i, value) in series.values.iter().enumerate() {
        let timestamp_ms = i as i64 * interval_ms;
        let start = series.start_offsets_ms.get(i).copied().flatten();
        let start_timestamp_ms = start.map_or(0, |offset| timestamp_ms + offset);
        let value = match value {
            SequenceValue::Omitted => continue,
            SequenceValue::Float(value) => SampleValue::Float(*value),
            SequenceValue::Histogram { histogram, .. } => SampleValue::Histogram(Arc::new(histogram.clone())),
        };
        samples.push((timestamp_ms, Sample { value, start_timestamp_ms }));
    }
    samples
}

// ------------------------------------------------------------------------------------ classic histograms

/// The series of a classic histogram at one time.
#[derive(Debug, Default)]
struct Classic {
    /// Upper bounds and cumulative counts, by bound.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// What a series of a classic histogram holds.
enum Part {
    Bucket(f64),
    Count,
    Sum,
}

/// Series with custom buckets, made of the classic histograms among those of the command.
fn custom_bucket_series(command: &Load) -> Result<Vec<(Labels, Vec<LoadedSample>)>, String> {
    let mut histograms: BTreeMap<Labels, BTreeMap<TimestampMs, Classic>> = BTreeMap::new();
    for series in &command.series {
        let Some((part, base)) = part_of(&series.labels) else { continue };
        let by_time = histograms.entry(base).or_default();
        for (i, value) in series.values.iter().enumerate() {
            let SequenceValue::Float(value) = value else { continue };
            let classic = by_time.entry(i as i64 * command.interval_ms).or_default();
            classic.add(&part, *value)?;
        }
    }
    let sample = |(timestamp_ms, classic): (TimestampMs, Classic)| {
        let value = SampleValue::Histogram(Arc::new(classic.convert()?));
        Ok((timestamp_ms, Sample { value, start_timestamp_ms: 0 }))
    };
    histograms
        .into_iter()
        .map(|(labels, by_time)| {
            let samples = by_time.into_iter().map(sample).collect::<Result<Vec<_>, String>>()?;
            Ok((labels, samples))
        })
        .collect()
}

/// What part of a classic histogram the series is, and the labels of the whole.
fn part_of(labels: &Labels) -> Option<(Part, Labels)> {
    let name = labels.metric_name();
    let (part, base) = if let Some(base) = name.strip_suffix("_bucket") {
        let bound: f64 = labels.value(BUCKET_LABEL).parse().ok().filter(|bound: &f64| !bound.is_nan())?;
        (Part::Bucket(bound), base)
    } else if let Some(base) = name.strip_suffix("_count") {
        (Part::Count, base)
    } else {
        (Part::Sum, name.strip_suffix("_sum")?)
    };
    let mut whole = LabelsBuilder::from_labels(labels);
    whole.set(METRIC_NAME, base).remove(BUCKET_LABEL);
    Some((part, whole.build()))
}

impl Classic {
    fn add(&mut self, part: &Part, value: f64) -> Result<(), String> {
        match part {
            Part::Sum => self.sum = value,
            _ if value < 0.0 => return Err(format!("count must be non-negative: {value}")),
            Part::Count => self.count = Some(value),
            Part::Bucket(bound) => {
                let at = self.buckets.partition_point(|(known, _)| known < bound);
                if self.buckets.get(at).is_none_or(|(known, _)| known != bound) {
                    self.buckets.insert(at, (*bound, value));
                }
            }
        }
        Ok(())
    }

    fn convert(mut self) -> Result<FloatHistogram, String> {
        let highest = self.buckets.last().copied();
        let count = self.count.or(highest.map(|(_, count)| count)).unwrap_or(0.0);
        if highest.is_none_or(|(bound, _)| bound != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        if let Some((_, of_highest)) = self.buckets.last().filter(|(_, of_highest)| *of_highest != count) {
            return Err(format!("count mismatch: count={count} != le=+Inf count={of_highest}"));
        }
        let mut histogram = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: self.sum,
            positive_spans: vec![Span { offset: 0, length: self.buckets.len() as u32 }],
            custom_values: self.buckets.iter().map(|(bound, _)| *bound).filter(|b| b.is_finite()).collect(),
            ..FloatHistogram::default()
        };
        let mut below = 0.0;
        for (_, cumulative) in &self.buckets {
            if *cumulative < below {
                return Err(format!("count is not cumulative: {cumulative} < {below}"));
            }
            histogram.positive_buckets.push(cumulative - below);
            below = *cumulative;
        }
        let whole = self.buckets.iter().all(|(_, count)| count.fract() == 0.0);
        // As the reference converts them: of whole counts, up to two empty buckets between others stay.
        histogram.compact(if whole { EMPTY_BUCKETS_MAX } else { 0 });
        histogram.validate().map_err(|error| error.to_string())?;
        Ok(histogram)
    }
}

/// Empty buckets in a row that are kept between others.
const EMPTY_BUCKETS_MAX: u32 = 2;
