//! Native histograms on their way in: from messages, from classic buckets, and down to a size.

use model::histogram::{
    CUSTOM_BUCKETS_SCHEMA, CounterResetHint, EXPONENTIAL_SCHEMA_MAX, EXPONENTIAL_SCHEMA_MIN, FloatHistogram,
    Histogram, InvalidHistogram, Span,
};
use model::storage::HistogramValue;

use crate::error::ScrapeError;
use crate::parse::{HistogramMessage, ParseError};

/// The factor of the finest schema: whoever asks for less gets that.
const SMALLEST_FACTOR: f64 = 1.002_71;

/// What a job allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HistogramLimits {
    /// The most buckets of both sides; 0 for no limit.
    pub(crate) buckets: u64,
    /// The finest schema.
    pub(crate) schema_max: i32,
}

impl HistogramLimits {
    /// Limits of a job: the most buckets, and the least factor by which buckets grow (0 for no limit).
    pub(crate) fn new(buckets: u64, min_factor: f64) -> Self {
        HistogramLimits { buckets, schema_max: schema_of_factor(min_factor) }
    }
}

/// The finest schema whose buckets grow by at least this factor.
fn schema_of_factor(factor: f64) -> i32 {
    let factor = factor.max(SMALLEST_FACTOR);
    let schema = -(factor.log2().log2().floor());
    (schema as i32).clamp(EXPONENTIAL_SCHEMA_MIN, EXPONENTIAL_SCHEMA_MAX)
}

/// The native histogram of a message.
pub(crate) fn native(
    name: &str,
    message: &HistogramMessage<'_>,
    is_gauge: bool,
    limits: HistogramLimits,
) -> Result<HistogramValue, ScrapeError> {
    let invalid = |error: InvalidHistogram| ParseError::new(format!("histogram {name:?}: {error}"));
    let mut value = from_message(message, is_gauge);
    match &mut value {
        HistogramValue::Integer(histogram) => {
            histogram.validate().map_err(invalid)?;
            histogram.compact(0);
        }
        HistogramValue::Float(histogram) => {
            histogram.validate().map_err(invalid)?;
            histogram.compact(0);
        }
    }
    if schema_of(&value) > limits.schema_max {
        reduce(&mut value, limits.schema_max).map_err(invalid)?;
    }
    while limits.buckets > 0 && bucket_count(&value) > limits.buckets {
        let schema = schema_of(&value);
        if schema <= EXPONENTIAL_SCHEMA_MIN {
            return Err(ScrapeError::BucketLimit);
        }
        reduce(&mut value, schema - 1).map_err(invalid)?;
    }
    Ok(value)
}

fn from_message(message: &HistogramMessage<'_>, is_gauge: bool) -> HistogramValue {
    let counter_reset_hint = if is_gauge { CounterResetHint::Gauge } else { CounterResetHint::Unknown };
    if message.is_float() {
        return HistogramValue::Float(FloatHistogram {
            counter_reset_hint,
            schema: message.schema,
            zero_threshold: message.zero_threshold,
            zero_count: message.zero_count_float,
            count: message.sample_count_float,
            sum: message.sample_sum,
            positive_spans: message.positive.spans.clone(),
            negative_spans: message.negative.spans.clone(),
            positive_buckets: message.positive.counts.clone(),
            negative_buckets: message.negative.counts.clone(),
            custom_values: Vec::new(),
        });
    }
    HistogramValue::Integer(Histogram {
        counter_reset_hint,
        schema: message.schema,
        zero_threshold: message.zero_threshold,
        zero_count: message.zero_count,
        count: message.sample_count,
        sum: message.sample_sum,
        positive_spans: message.positive.spans.clone(),
        negative_spans: message.negative.spans.clone(),
        positive_deltas: message.positive.deltas.clone(),
        negative_deltas: message.negative.deltas.clone(),
        custom_values: Vec::new(),
    })
}

fn schema_of(value: &HistogramValue) -> i32 {
    match value {
        HistogramValue::Integer(histogram) => histogram.schema,
        HistogramValue::Float(histogram) => histogram.schema,
    }
}

fn bucket_count(value: &HistogramValue) -> u64 {
    let (positive, negative) = match value {
        HistogramValue::Integer(h) => (h.positive_deltas.len(), h.negative_deltas.len()),
        HistogramValue::Float(h) => (h.positive_buckets.len(), h.negative_buckets.len()),
    };
    (positive + negative) as u64
}

fn reduce(value: &mut HistogramValue, schema: i32) -> Result<(), InvalidHistogram> {
    match value {
        HistogramValue::Integer(histogram) => histogram.reduce_resolution(schema),
        HistogramValue::Float(histogram) => histogram.reduce_resolution(schema),
    }
}

/// Refuses a histogram with custom buckets, which can't be made coarser, if it has too many.
pub(crate) fn check_custom(value: &HistogramValue, limits: HistogramLimits) -> Result<(), ScrapeError> {
    let exceeds = limits.buckets > 0 && bucket_count(value) > limits.buckets;
    if exceeds { Err(ScrapeError::BucketLimit) } else { Ok(()) }
}

/// A classic histogram, gathered line by line.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ClassicHistogram {
    /// Bounds and cumulative counts.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

impl ClassicHistogram {
    pub(crate) fn set_bucket(&mut self, upper_bound: f64, cumulative_count: f64) {
        self.buckets.push((upper_bound, cumulative_count));
    }

    pub(crate) fn set_count(&mut self, count: f64) {
        self.count = Some(count);
    }

    pub(crate) fn set_sum(&mut self, sum: f64) {
        self.sum = sum;
    }

    /// The native histogram with the classic bounds as custom ones; `None` if the parts contradict each other.
    /// It has integer counts if all counts are integers.
    pub(crate) fn convert(mut self) -> Option<HistogramValue> {
        if self.buckets.iter().any(|(bound, count)| bound.is_nan() || count.is_nan() || *count < 0.0) {
            return None;
        }
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let last = self.buckets.last().copied();
        let count = self.count.or(last.map(|(_, count)| count))?;
        if last.is_none_or(|(bound, _)| bound != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        let grows = self.buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        if !grows || self.buckets.last().is_none_or(|(_, last)| *last != count) {
            return None;
        }
        let custom_values = self.buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite());
        let custom_values: Vec<f64> = custom_values.collect();
        let is_integer =
            self.buckets.iter().all(|(_, count)| count.fract() == 0.0 && *count < EXACT_COUNT_MAX);
        let counts: Vec<f64> = self.buckets.iter().map(|(_, cumulative)| *cumulative).collect();
        Some(custom_histogram(&counts, self.sum, custom_values, is_integer))
    }
}

/// Counts up to here are exact as floats.
const EXACT_COUNT_MAX: f64 = 9_007_199_254_740_992.0;
/// Empty buckets in a row that are kept, since a span costs as much.
const EMPTY_BUCKETS_KEPT: u32 = 2;

/// A histogram with custom bounds; `cumulative` has the counts of all buckets, that up to `+Inf` last.
fn custom_histogram(
    cumulative: &[f64],
    sum: f64,
    custom_values: Vec<f64>,
    is_integer: bool,
) -> HistogramValue {
    let count = cumulative.last().copied().unwrap_or(0.0);
    let positive_spans = vec![Span { offset: 0, length: cumulative.len() as u32 }];
    let differences = |values: &[f64]| -> Vec<f64> {
        let before = std::iter::once(&0.0).chain(values);
        values.iter().zip(before).map(|(value, before)| value - before).collect()
    };
    let own = differences(cumulative);
    if is_integer {
        let positive_deltas = differences(&own).iter().map(|delta| *delta as i64).collect();
        let mut histogram = Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: count as u64,
            sum,
            positive_spans,
            positive_deltas,
            custom_values,
            ..Histogram::default()
        };
        histogram.compact(EMPTY_BUCKETS_KEPT);
        return HistogramValue::Integer(histogram);
    }
    let mut histogram = FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count,
        sum,
        positive_spans,
        positive_buckets: own,
        custom_values,
        ..FloatHistogram::default()
    };
    histogram.compact(EMPTY_BUCKETS_KEPT);
    HistogramValue::Float(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Side;

    #[test]
    fn factors_are_turned_to_schemas_as_in_the_reference() {
        for (factor, schema) in [(0.0, 8), (1.0, 8), (1.00271, 8), (1.1, 3), (2.0, 0), (4.0, -1), (1e9, -4)] {
            assert_eq!(schema_of_factor(factor), schema, "{factor}");
        }
    }

    #[test]
    fn a_histogram_is_made_coarser_until_it_fits() {
        let message = HistogramMessage {
            sample_count: 8,
            schema: 1,
            positive: Side {
                spans: vec![Span { offset: 0, length: 4 }],
                deltas: vec![1, 1, 0, 1],
                ..Side::default()
            },
            ..HistogramMessage::default()
        };
        let HistogramValue::Integer(same) =
            native("h", &message, false, HistogramLimits::new(4, 0.0)).unwrap()
        else {
            panic!("not an integer histogram")
        };
        assert_eq!((same.schema, same.positive_deltas), (1, vec![1, 1, 0, 1]));
        // Buckets 0, 1, 2, 3 with 1, 2, 2, 3 become 0, 1, 2 with 1, 4, 3.
        let HistogramValue::Integer(coarse) =
            native("h", &message, false, HistogramLimits::new(3, 0.0)).unwrap()
        else {
            panic!("not an integer histogram")
        };
        assert_eq!((coarse.schema, coarse.positive_deltas), (0, vec![1, 3, -1]));
        assert_eq!(coarse.positive_spans, [Span { offset: 0, length: 3 }]);
        let none = native("h", &message, false, HistogramLimits::new(0, 4.0)).unwrap();
        assert!(matches!(none, HistogramValue::Integer(h) if h.schema == -1));
    }

    #[test]
    fn spans_that_do_not_fit_the_buckets_are_refused() {
        let mut message = HistogramMessage::default();
        message.positive.spans.push(Span { offset: 0, length: 3 });
        message.positive.deltas.push(1);
        let error = native("h", &message, false, HistogramLimits::new(0, 0.0)).unwrap_err();
        assert!(
            error.to_string().starts_with(r#"histogram "h": positive side: spans need 3 buckets, have 1"#),
            "{error}"
        );
        message.positive.spans[0].length = u32::MAX;
        assert!(native("h", &message, false, HistogramLimits::new(0, 0.0)).is_err());
    }

    #[test]
    fn classic_buckets_become_custom_ones() {
        let mut classic = ClassicHistogram::default();
        for (bound, count) in [(1.0, 2.0), (0.5, 1.0), (2.0, 2.0)] {
            classic.set_bucket(bound, count);
        }
        classic.set_sum(7.5);
        classic.set_count(5.0);
        let HistogramValue::Integer(histogram) = classic.clone().convert().unwrap() else { panic!("float") };
        assert_eq!(histogram.custom_values, [0.5, 1.0, 2.0]);
        assert_eq!((histogram.count, histogram.sum), (5, 7.5));
        assert_eq!(histogram.positive_deltas, [1, 0, -1, 3]);
        assert_eq!(histogram.positive_spans, [Span { offset: 0, length: 4 }]);
        classic.set_bucket(f64::INFINITY, 4.0);
        assert_eq!(classic.convert(), None, "the last bucket isn't the count");
        let mut falling = ClassicHistogram::default();
        falling.set_bucket(1.0, 2.0);
        falling.set_bucket(2.0, 1.0);
        assert_eq!(falling.convert(), None);
        let mut float = ClassicHistogram::default();
        float.set_bucket(1.0, 0.5);
        assert!(matches!(float.convert(), Some(HistogramValue::Float(_))));
    }
}
