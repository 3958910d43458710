//! Whether the parts of a histogram fit each other. The texts are those of the reference.

use super::layout::absolute;
use super::{
    CUSTOM_BUCKETS_SCHEMA, EXPONENTIAL_SCHEMA_MAX, EXPONENTIAL_SCHEMA_MAX_RESERVED, EXPONENTIAL_SCHEMA_MIN,
    EXPONENTIAL_SCHEMA_MIN_RESERVED, FloatHistogram, Histogram, Span,
};
use crate::float_text;

/// What is wrong with a histogram.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidHistogram {
    /// Something in the buckets of one sign.
    #[error("{side} side: {error}")]
    Side {
        /// `positive` or `negative`.
        side: &'static str,
        /// What.
        error: Box<InvalidHistogram>,
    },
    /// Something with the custom bounds.
    #[error("custom buckets: {0}")]
    Custom(Box<InvalidHistogram>),
    /// More observations in buckets than in all.
    #[error(
        "{found} observations found in buckets, but the Count field is {count}: histogram's observation count should be at least the number of observations found in the buckets"
    )]
    CountTooSmall {
        /// In the buckets.
        found: u64,
        /// In all.
        count: u64,
    },
    /// Another number of observations in buckets than in all.
    #[error(
        "{found} observations found in buckets, but the Count field is {count}: histogram's observation count should equal the number of observations found in the buckets (in absence of NaN)"
    )]
    CountMismatch {
        /// In the buckets.
        found: u64,
        /// In all.
        count: u64,
    },
    /// Fewer than no observations.
    #[error("observation count is  {0}: histogram's observation count is negative")]
    NegativeCount(String),
    /// Fewer than no observations in the zero bucket.
    #[error(
        "zero bucket has observation count of {0}: histogram has a bucket whose observation count is negative"
    )]
    NegativeZeroCount(String),
    /// Fewer than no observations in a bucket.
    #[error(
        "bucket number {number} has observation count of {count}: histogram has a bucket whose observation count is negative"
    )]
    NegativeBucket {
        /// Which, from 1.
        number: usize,
        /// How many.
        count: String,
    },
    /// A span that begins before the one before it ends.
    #[error("span number {number} with offset {offset}: histogram has a span whose offset is negative")]
    NegativeOffset {
        /// Which, from 1.
        number: usize,
        /// Its offset.
        offset: i32,
    },
    /// Spans of another number of buckets than there are.
    #[error(
        "spans need {needed} buckets, have {have} buckets: histogram spans specify different number of buckets than provided"
    )]
    SpansMismatch {
        /// In the spans.
        needed: u64,
        /// In the list of buckets.
        have: usize,
    },
    /// Buckets beyond the custom bounds.
    #[error(
        "only {bounds} custom bounds defined which is insufficient to cover total span length of {length}: histogram custom bounds are too few"
    )]
    TooFewBounds {
        /// Number of bounds.
        bounds: usize,
        /// Number of buckets and gaps.
        length: u64,
    },
    /// Bounds that don't rise.
    #[error(
        "previous bound is {previous:.6} and current is {current:.6}: histogram custom bounds must be in strictly increasing order"
    )]
    UnorderedBounds {
        /// A bound.
        previous: f64,
        /// The one after it.
        current: f64,
    },
    /// The bound that goes without saying.
    #[error("last +Inf bound must not be explicitly defined: histogram custom bounds must be finite")]
    InfiniteBound,
    /// A bound that is no number.
    #[error("histogram custom bounds must not be NaN")]
    NanBound,
    /// Observations in a zero bucket that custom bounds don't have.
    #[error("custom buckets: must have zero count of 0")]
    CustomZeroCount,
    /// The width of a zero bucket that custom bounds don't have.
    #[error("custom buckets: must have zero threshold of 0")]
    CustomZeroThreshold,
    /// Negative buckets, which custom bounds don't have.
    #[error("custom buckets: must not have negative spans")]
    CustomNegativeSpans,
    /// Negative buckets, which custom bounds don't have.
    #[error("custom buckets: must not have negative buckets")]
    CustomNegativeBuckets,
    /// Custom bounds in an exponential schema.
    #[error("histogram with exponential schema must not have custom bounds")]
    BoundsOfExponential,
    /// A schema that samples mustn't have.
    #[error(
        "histogram has an invalid schema, which must be between {EXPONENTIAL_SCHEMA_MIN} and {EXPONENTIAL_SCHEMA_MAX} for exponential buckets, or {CUSTOM_BUCKETS_SCHEMA} for custom buckets, got schema {0}"
    )]
    Schema(i32),
    /// A schema that doesn't exist.
    #[error(
        "histogram has an unknown schema, which must be between {EXPONENTIAL_SCHEMA_MIN_RESERVED} and {EXPONENTIAL_SCHEMA_MAX_RESERVED} for exponential buckets, or {CUSTOM_BUCKETS_SCHEMA} for custom buckets, got schema {0}"
    )]
    UnknownSchema(i32),
    /// There is no coarser schema than custom bounds.
    #[error("cannot reduce resolution when there are custom buckets")]
    ReducesCustom,
    /// Custom bounds are no coarser schema.
    #[error("cannot reduce resolution to custom buckets schema")]
    ReducesToCustom,
    /// The schema isn't coarser.
    #[error("cannot reduce resolution from schema {from} to {to}")]
    NotCoarser {
        /// What it is.
        from: i32,
        /// What it should become.
        to: i32,
    },
}

impl InvalidHistogram {
    fn on(side: &'static str) -> impl Fn(Self) -> Self {
        move |error| InvalidHistogram::Side { side, error: Box::new(error) }
    }
}

/// Whether the schema is one of exponential buckets that samples may have.
pub fn is_exponential_schema(schema: i32) -> bool {
    (EXPONENTIAL_SCHEMA_MIN..=EXPONENTIAL_SCHEMA_MAX).contains(&schema)
}

/// Whether the schema exists: samples of those finer than [`EXPONENTIAL_SCHEMA_MAX`] are reduced to it.
pub fn is_known_schema(schema: i32) -> bool {
    schema == CUSTOM_BUCKETS_SCHEMA
        || (EXPONENTIAL_SCHEMA_MIN_RESERVED..=EXPONENTIAL_SCHEMA_MAX_RESERVED).contains(&schema)
}

impl Histogram {
    /// Checks that the parts fit each other: spans and buckets, counts, bounds.
    pub fn validate(&self) -> Result<(), InvalidHistogram> {
        let buckets = (self.positive_deltas.len(), self.negative_deltas.len());
        Layout::of_integers(self).check(buckets, self.zero_count != 0)?;
        let found = check_deltas(&self.negative_deltas)
            .map_err(InvalidHistogram::on("negative"))?
            .wrapping_add(check_deltas(&self.positive_deltas).map_err(InvalidHistogram::on("positive"))?)
            .wrapping_add(self.zero_count);
        let count = self.count;
        if self.sum.is_nan() && found > count {
            return Err(InvalidHistogram::CountTooSmall { found, count });
        }
        if !self.sum.is_nan() && found != count {
            return Err(InvalidHistogram::CountMismatch { found, count });
        }
        Ok(())
    }
}

impl FloatHistogram {
    /// Checks that the parts fit each other: spans and buckets, counts, bounds. The sum of the buckets may
    /// differ from the count, as it may by rounding alone.
    pub fn validate(&self) -> Result<(), InvalidHistogram> {
        let buckets = (self.positive_buckets.len(), self.negative_buckets.len());
        Layout::of_floats(self).check(buckets, self.zero_count != 0.0)?;
        check_counts(&self.negative_buckets).map_err(InvalidHistogram::on("negative"))?;
        if self.zero_count < 0.0 {
            return Err(InvalidHistogram::NegativeZeroCount(float_text::general(self.zero_count)));
        }
        if self.count < 0.0 {
            return Err(InvalidHistogram::NegativeCount(float_text::general(self.count)));
        }
        check_counts(&self.positive_buckets).map_err(InvalidHistogram::on("positive"))
    }
}

/// What integer and float histograms have in common.
struct Layout<'a> {
    schema: i32,
    zero_threshold: f64,
    positive_spans: &'a [Span],
    negative_spans: &'a [Span],
    custom_values: &'a [f64],
}

impl<'a> Layout<'a> {
    fn of_integers(h: &'a Histogram) -> Self {
        Layout {
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            positive_spans: &h.positive_spans,
            negative_spans: &h.negative_spans,
            custom_values: &h.custom_values,
        }
    }

    fn of_floats(h: &'a FloatHistogram) -> Self {
        Layout {
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            positive_spans: &h.positive_spans,
            negative_spans: &h.negative_spans,
            custom_values: &h.custom_values,
        }
    }

    fn check(&self, (positive, negative): (usize, usize), has_zero: bool) -> Result<(), InvalidHistogram> {
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            check_bounds(self.custom_values, self.positive_spans, positive)
                .map_err(|error| InvalidHistogram::Custom(Box::new(error)))?;
            return Err(match () {
                () if has_zero => InvalidHistogram::CustomZeroCount,
                () if self.zero_threshold != 0.0 => InvalidHistogram::CustomZeroThreshold,
                () if !self.negative_spans.is_empty() => InvalidHistogram::CustomNegativeSpans,
                () if negative > 0 => InvalidHistogram::CustomNegativeBuckets,
                () => return Ok(()),
            });
        }
        if !is_exponential_schema(self.schema) {
            return Err(InvalidHistogram::Schema(self.schema));
        }
        check_spans(self.positive_spans, positive).map_err(InvalidHistogram::on("positive"))?;
        check_spans(self.negative_spans, negative).map_err(InvalidHistogram::on("negative"))?;
        if self.custom_values.is_empty() { Ok(()) } else { Err(InvalidHistogram::BoundsOfExponential) }
    }
}

/// Checks that spans don't overlap and have as many places as there are buckets.
pub(super) fn check_spans(spans: &[Span], buckets: usize) -> Result<(), InvalidHistogram> {
    let behind = spans.iter().enumerate().skip(1).find(|(_, span)| span.offset < 0);
    if let Some((index, span)) = behind {
        return Err(InvalidHistogram::NegativeOffset { number: index + 1, offset: span.offset });
    }
    check_places(spans, buckets)
}

fn check_places(spans: &[Span], buckets: usize) -> Result<(), InvalidHistogram> {
    let needed: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    if needed == buckets as u64 {
        Ok(())
    } else {
        Err(InvalidHistogram::SpansMismatch { needed, have: buckets })
    }
}

fn check_bounds(bounds: &[f64], spans: &[Span], buckets: usize) -> Result<(), InvalidHistogram> {
    if bounds.iter().any(|bound| bound.is_nan()) {
        return Err(InvalidHistogram::NanBound);
    }
    if let Some(pair) = bounds.windows(2).find(|pair| pair[1] <= pair[0]) {
        return Err(InvalidHistogram::UnorderedBounds { previous: pair[0], current: pair[1] });
    }
    if bounds.last() == Some(&f64::INFINITY) {
        return Err(InvalidHistogram::InfiniteBound);
    }
    if let Some((index, span)) = spans.iter().enumerate().find(|(_, span)| span.offset < 0) {
        return Err(InvalidHistogram::NegativeOffset { number: index + 1, offset: span.offset });
    }
    check_places(spans, buckets)?;
    let length: u64 = spans.iter().map(|span| u64::from(span.length) + u64::from(span.offset as u32)).sum();
    if length > bounds.len() as u64 + 1 {
        return Err(InvalidHistogram::TooFewBounds { bounds: bounds.len(), length });
    }
    Ok(())
}

/// Checks that no bucket is negative; the sum of all.
fn check_deltas(deltas: &[i64]) -> Result<u64, InvalidHistogram> {
    let counts = absolute(deltas);
    match counts.iter().position(|count| count.0 < 0) {
        Some(index) => {
            Err(InvalidHistogram::NegativeBucket { number: index + 1, count: counts[index].0.to_string() })
        }
        None => Ok(counts.iter().fold(0, |sum: u64, count| sum.wrapping_add(count.0 as u64))),
    }
}

fn check_counts(counts: &[f64]) -> Result<(), InvalidHistogram> {
    match counts.iter().position(|count| *count < 0.0) {
        Some(index) => Err(InvalidHistogram::NegativeBucket {
            number: index + 1,
            count: float_text::general(counts[index]),
        }),
        None => Ok(()),
    }
}
