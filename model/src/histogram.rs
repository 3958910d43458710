//! Native histograms: exponential buckets of a schema, or custom bounds ("NHCB", schema −53).
//!
//! Bucket `i` of schema `s` covers `(base^(i-1), base^i]` with `base = 2^(2^-s)`, `s` in −4..=8; negative
//! buckets mirror positive ones; the zero bucket covers `[-zero_threshold, zero_threshold]`. Which indexes
//! are populated is told by spans: so many empty ones (`offset`), then so many present ones (`length`). With
//! custom bounds `b0 < b1 < …` bucket 0 is `(-Inf, b0]`, the last `(bn, +Inf]`.

use crate::value::is_stale_nan;

mod bounds;
mod buckets;
mod combine;
mod compare;
mod layout;
mod limits;
mod reset;
#[cfg(test)]
mod tests;
mod text;
mod validate;

pub use bounds::bucket_bound;
pub use buckets::Bucket;
pub use combine::{Combined, HistogramSum, IncompatibleSchemas};
pub use layout::{SpanBuilder, bucket_indexes};
pub use limits::{BucketLimitExceeded, finest_schema_for_factor};
pub use validate::{InvalidHistogram, is_exponential_schema, is_known_schema};

/// The schema of histograms with custom bounds.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;
/// The finest exponential schema.
pub const EXPONENTIAL_SCHEMA_MAX: i32 = 8;
/// The coarsest exponential schema.
pub const EXPONENTIAL_SCHEMA_MIN: i32 = -4;
/// The finest exponential schema that may come in; it is reduced to [`EXPONENTIAL_SCHEMA_MAX`].
pub const EXPONENTIAL_SCHEMA_MAX_RESERVED: i32 = 52;
/// The coarsest exponential schema that has a number.
pub const EXPONENTIAL_SCHEMA_MIN_RESERVED: i32 = -9;

/// A run of present buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Buckets between the end of the span before and this one; for the first span the index it begins at.
    pub offset: i32,
    /// Number of buckets in the span.
    pub length: u32,
}

/// What is known of a counter reset between a histogram and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CounterResetHint {
    /// Nothing: compare the two.
    #[default]
    Unknown,
    /// There was one.
    CounterReset,
    /// There was none.
    NotCounterReset,
    /// The histogram isn't a counter.
    Gauge,
}

/// A histogram of integer counts, as instrumented programs expose it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// See the module.
    pub counter_reset_hint: CounterResetHint,
    /// −4..=8, or [`CUSTOM_BUCKETS_SCHEMA`].
    pub schema: i32,
    /// Half the width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: u64,
    /// All observations.
    pub count: u64,
    /// Sum of all observations; the staleness marker here makes the whole sample one.
    pub sum: f64,
    /// Where the positive buckets are.
    pub positive_spans: Vec<Span>,
    /// Where the negative buckets are.
    pub negative_spans: Vec<Span>,
    /// Counts of the positive buckets, each as the difference to the one before.
    pub positive_deltas: Vec<i64>,
    /// Counts of the negative buckets, each as the difference to the one before.
    pub negative_deltas: Vec<i64>,
    /// Upper bounds of custom buckets, ascending, without `+Inf`; empty for exponential schemas.
    pub custom_values: Vec<f64>,
}

/// A histogram of float counts: what PromQL computes with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FloatHistogram {
    /// See the module.
    pub counter_reset_hint: CounterResetHint,
    /// −4..=8, or [`CUSTOM_BUCKETS_SCHEMA`].
    pub schema: i32,
    /// Half the width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Sum of all observations; the staleness marker here makes the whole sample one.
    pub sum: f64,
    /// Where the positive buckets are.
    pub positive_spans: Vec<Span>,
    /// Where the negative buckets are.
    pub negative_spans: Vec<Span>,
    /// Counts of the positive buckets.
    pub positive_buckets: Vec<f64>,
    /// Counts of the negative buckets.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds of custom buckets, ascending, without `+Inf`; empty for exponential schemas.
    pub custom_values: Vec<f64>,
}

impl Histogram {
    /// Whether the sample is a staleness marker.
    pub fn is_stale(&self) -> bool {
        is_stale_nan(self.sum)
    }

    /// Whether the bounds are custom ones.
    pub fn has_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }
}

impl FloatHistogram {
    /// Whether the sample is a staleness marker.
    pub fn is_stale(&self) -> bool {
        is_stale_nan(self.sum)
    }

    /// Whether the bounds are custom ones.
    pub fn has_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }
}
