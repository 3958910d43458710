//! Comparing answers with what a script expects.

use std::fmt;
use std::sync::Arc;

use model::histogram::{FloatHistogram, Span};
use model::labels::Labels;
use model::storage::SampleValue;
use model::time::TimestampMs;
use model::value::is_stale_nan;

use super::command::{Eval, ExpectedSeries, ExpectedValue, Notes, Pattern};
use super::series::SequenceValue;
use crate::engine::QueryTime;
use crate::value::Value;

/// The relative error that a value may have.
const EPSILON: f64 = 0.000_001;

/// A series with its samples in order of time.
pub(super) type Points = (Labels, Vec<(TimestampMs, SampleValue)>);

/// An answer in the shape that it is compared in.
pub(super) enum Answer {
    Scalar(f64),
    String(String),
    Vector(Vec<(Labels, SampleValue)>),
    Matrix(Vec<Points>),
}

impl Answer {
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Scalar { value, .. } => Answer::Scalar(*value),
            Value::String { value, .. } => Answer::String(value.clone()),
            Value::Vector { samples, .. } => Answer::Vector(samples.clone()),
            Value::Matrix(series) => Answer::Matrix(
                series
                    .iter()
                    .map(|(labels, columns)| {
                        let floats = columns.timestamps.iter().zip(&columns.values);
                        let floats = floats.map(|(t, value)| (*t, SampleValue::Float(*value)));
                        let histograms = columns.histogram_timestamps.iter().zip(&columns.histograms);
                        let histograms = histograms.map(|(t, h)| (*t, SampleValue::Histogram(Arc::clone(h))));
                        let mut points: Vec<_> = floats.chain(histograms).collect();
                        points.sort_by_key(|(timestamp_ms, _)| *timestamp_ms);
                        (labels.clone(), points)
                    })
                    .collect(),
            ),
            Value::Range { steps, series } => Answer::Matrix(
                series
                    .iter()
                    .map(|series| {
                        let point = |step: usize| {
                            let float = series.values.get(step).filter(|value| !is_stale_nan(**value));
                            let histogram = series.histograms.get(step).and_then(Option::as_ref);
                            let value = histogram.map(|h| SampleValue::Histogram(Arc::clone(h)));
                            let value = value.or(float.map(|value| SampleValue::Float(*value)));
                            value.map(|value| (steps.at(step), value))
                        };
                        (series.labels.clone(), (0..steps.count).filter_map(point).collect())
                    })
                    .collect(),
            ),
        }
    }

    /// The series of a matrix.
    pub(super) fn series(self, of: &str) -> Result<Vec<Points>, String> {
        match self {
            Answer::Matrix(series) => Ok(series),
            _ => Err(format!("the answer to a {of} is no matrix")),
        }
    }
}

/// Compares the value of a query with what is expected.
pub(super) fn value(eval: &Eval, value: &Value, time: QueryTime) -> Result<(), String> {
    let expected = &eval.expected.value;
    match (Answer::of(value), expected.scalar) {
        (Answer::String(got), _) => match &expected.string {
            Some(wanted) if *wanted == got => Ok(()),
            wanted => Err(format!("expected string {wanted:?} but got {got:?}")),
        },
        (_, _) if expected.string.is_some() => Err("expected a string, but got another value".to_owned()),
        (Answer::Scalar(got), Some(wanted)) => match almost_equal(wanted, got) {
            true => Ok(()),
            false => Err(format!("expected scalar {wanted} but got {got}")),
        },
        (Answer::Scalar(got), None) => Err(format!("expected vector or matrix result, but got scalar {got}")),
        (Answer::Vector(_), Some(_)) => Err("expected scalar result, but got vector".to_owned()),
        (Answer::Matrix(_), Some(_)) => Err("expected scalar result, but got matrix".to_owned()),
        (Answer::Vector(got), None) => vector(expected, &got, eval.expected.ordered),
        (Answer::Matrix(_), None) if eval.expected.ordered => {
            Err("expected ordered result, but query returned a matrix".to_owned())
        }
        (Answer::Matrix(got), None) => {
            let (start_ms, end_ms, step_ms) = match (expected.range_vector, time) {
                (Some(range), _) => range,
                (None, QueryTime::Range { start_ms, end_ms, step_ms }) => (start_ms, end_ms, step_ms),
                (None, QueryTime::Instant { at_ms }) => (at_ms, at_ms, 0),
            };
            matrix(expected, &got, |i| {
                let timestamp_ms = start_ms + i as i64 * step_ms;
                (timestamp_ms <= end_ms).then_some(timestamp_ms)
            })
        }
    }
}

// ---------------------------------------------------------------------------------------------- series

fn vector(expected: &ExpectedValue, got: &[(Labels, SampleValue)], ordered: bool) -> Result<(), String> {
    for (i, (labels, value)) in got.iter().enumerate() {
        let Some(series) = find(expected, labels) else {
            return Err(format!("unexpected metric {labels} in result, has value {}", Shown(value)));
        };
        if ordered && series.position != i + 1 {
            let (wanted, at) = (series.position, i + 1);
            return Err(format!("expected metric {labels} at position {wanted} but was at {at}"));
        }
        let wanted = series.values.first().unwrap_or(&SequenceValue::Omitted);
        if !is_as_expected(wanted, value) {
            return Err(format!("expected {} for {labels} but got {}", ShownExpected(wanted), Shown(value)));
        }
    }
    all_found(expected, |labels| got.iter().any(|(known, _)| known == labels))?;
    match got.iter().enumerate().find(|(i, (labels, _))| got[..*i].iter().any(|(other, _)| other == labels)) {
        Some((_, (labels, _))) => Err(format!("metric {labels} is in the result twice")),
        None => Ok(()),
    }
}

/// `time_of` tells the time of the value at an index, `None` if the query doesn't reach so far.
fn matrix(
    expected: &ExpectedValue,
    got: &[Points],
    time_of: impl Fn(usize) -> Option<TimestampMs>,
) -> Result<(), String> {
    if let Some(pair) = got.windows(2).find(|pair| pair[0].0 > pair[1].0) {
        let (first, second) = (&pair[0].0, &pair[1].0);
        return Err(format!(
            "matrix results should always be sorted by labels, but {first} is before {second}"
        ));
    }
    for (labels, points) in got {
        let Some(series) = find(expected, labels) else {
            return Err(format!("unexpected metric {labels} in result, has {}", ShownPoints(points)));
        };
        check_points(series, points, &time_of)
            .map_err(|what| format!("{what} for {labels} (result has {})", ShownPoints(points)))?;
    }
    all_found(expected, |labels| got.iter().any(|(known, _)| known == labels))
}

fn check_points(
    series: &ExpectedSeries,
    points: &[(TimestampMs, SampleValue)],
    time_of: impl Fn(usize) -> Option<TimestampMs>,
) -> Result<(), String> {
    let mut wanted = Vec::new();
    for (i, value) in series.values.iter().enumerate() {
        let Some(timestamp_ms) = time_of(i) else {
            let points = series.values.len();
            return Err(format!(
                "expected {points} points, but query time range cannot return this many points"
            ));
        };
        if *value != SequenceValue::Omitted {
            wanted.push((timestamp_ms, value));
        }
    }
    if wanted.len() != points.len() {
        return Err(format!("expected {} points, but got {}", wanted.len(), points.len()));
    }
    for ((wanted_ms, wanted), (got_ms, got)) in wanted.into_iter().zip(points) {
        if wanted_ms != *got_ms {
            return Err(format!("expected a value at {wanted_ms} ms, but the next one is at {got_ms} ms"));
        }
        if !is_as_expected(wanted, got) {
            let (wanted, got) = (ShownExpected(wanted), Shown(got));
            return Err(format!("expected value at {wanted_ms} ms to be {wanted}, but got {got}"));
        }
    }
    Ok(())
}

fn find<'a>(expected: &'a ExpectedValue, labels: &Labels) -> Option<&'a ExpectedSeries> {
    expected.series.iter().find(|series| series.labels == *labels)
}

fn all_found(expected: &ExpectedValue, found: impl Fn(&Labels) -> bool) -> Result<(), String> {
    match expected.series.iter().find(|series| !found(&series.labels)) {
        None => Ok(()),
        Some(series) => {
            let values: Vec<String> =
                series.values.iter().map(|value| ShownExpected(value).to_string()).collect();
            Err(format!("expected metric {} with {} not found", series.labels, values.join(" ")))
        }
    }
}

// ---------------------------------------------------------------------------------------------- values

fn is_as_expected(wanted: &SequenceValue, got: &SampleValue) -> bool {
    match (wanted, got) {
        (SequenceValue::Float(wanted), SampleValue::Float(got)) => almost_equal(*wanted, *got),
        // A line without a value stands for 0, as in the reference.
        (SequenceValue::Omitted, SampleValue::Float(got)) => almost_equal(0.0, *got),
        (SequenceValue::Histogram { histogram, hint_is_written }, SampleValue::Histogram(got)) => {
            let hint_fits = !hint_is_written || histogram.counter_reset_hint == got.counter_reset_hint;
            hint_fits && is_same_histogram(histogram, got)
        }
        _ => false,
    }
}

fn is_same_histogram(wanted: &FloatHistogram, got: &FloatHistogram) -> bool {
    let (mut wanted, mut got) = (wanted.clone(), got.clone());
    wanted.compact(0);
    got.compact(0);
    wanted.schema == got.schema
        && wanted.zero_threshold == got.zero_threshold
        && (!wanted.has_custom_buckets() || wanted.custom_values == got.custom_values)
        && almost_equal(wanted.count, got.count)
        && almost_equal(wanted.sum, got.sum)
        && almost_equal(wanted.zero_count, got.zero_count)
        && same_buckets(
            (&wanted.positive_spans, &wanted.positive_buckets),
            (&got.positive_spans, &got.positive_buckets),
        )
        && same_buckets(
            (&wanted.negative_spans, &wanted.negative_buckets),
            (&got.negative_spans, &got.negative_buckets),
        )
}

fn same_buckets(wanted: (&[Span], &[f64]), got: (&[Span], &[f64])) -> bool {
    wanted.1.len() == got.1.len()
        && wanted.1.iter().zip(got.1).all(|(wanted, got)| almost_equal(*wanted, *got))
        && indexes(wanted.0).eq(indexes(got.0))
}

/// The indexes of the buckets in spans, whatever way the spans are cut.
fn indexes(spans: &[Span]) -> impl Iterator<Item = i64> {
    spans
        .iter()
        .scan(0_i64, |next, span| {
            let first = *next + i64::from(span.offset);
            *next = first + i64::from(span.length);
            Some(first..*next)
        })
        .flatten()
}

/// Whether two values differ by less than [`EPSILON`] of their sum. All NaNs are equal, but for the staleness
/// marker, which is equal to itself alone.
fn almost_equal(a: f64, b: f64) -> bool {
    if is_stale_nan(a) || is_stale_nan(b) {
        return is_stale_nan(a) && is_stale_nan(b);
    }
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}

// ---------------------------------------------------------------------------------------------- annotations

/// Compares the annotations of a level, with their prefixes, with what is expected of them.
pub(super) fn notes(level: &str, expected: &Notes, got: &[String]) -> Result<(), String> {
    let wanted = &expected.patterns;
    if got.is_empty() && (expected.some || !wanted.is_empty()) {
        return Err(format!("expected {level} annotations but none were found"));
    }
    if expected.none && !got.is_empty() {
        return Err(format!("unexpected {level} annotations: {got:?}"));
    }
    if let Some(missing) = wanted.iter().find(|pattern| !got.iter().any(|text| pattern.is_match(text))) {
        return Err(format!("expected {level} annotation matching {missing}, found: {got:?}"));
    }
    let unasked = |text: &&String| !wanted.is_empty() && !wanted.iter().any(|pattern| pattern.is_match(text));
    match got.iter().find(unasked) {
        Some(text) => Err(format!("unexpected {level} annotation {text:?}")),
        None => Ok(()),
    }
}

// ---------------------------------------------------------------------------------------------- messages

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Any => f.write_str("anything"),
            Pattern::Text(text) => write!(f, "{text:?}"),
            Pattern::Regex(regex) => write!(f, "pattern {:?}", regex.as_str()),
        }
    }
}

/// A value as scripts write it.
struct Shown<'a>(&'a SampleValue);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            SampleValue::Float(value) => f.write_str(&model::float_text::general(*value)),
            SampleValue::Histogram(histogram) => f.write_str(&histogram.test_expression()),
        }
    }
}

struct ShownExpected<'a>(&'a SequenceValue);

impl fmt::Display for ShownExpected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            SequenceValue::Omitted => f.write_str("_"),
            SequenceValue::Float(value) => f.write_str(&model::float_text::general(*value)),
            SequenceValue::Histogram { histogram, .. } => f.write_str(&histogram.test_expression()),
        }
    }
}

struct ShownPoints<'a>(&'a [(TimestampMs, SampleValue)]);

impl fmt::Display for ShownPoints<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let points: Vec<String> = self
            .0
            .iter()
            .map(|(timestamp_ms, value)| format!("{} @[{timestamp_ms}]", Shown(value)))
            .collect();
        write!(f, "{}", points.join(" "))
    }
}
