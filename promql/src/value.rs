//! Answers of queries.

use std::sync::Arc;

use model::histogram::FloatHistogram;
use model::labels::Labels;
use model::storage::{SampleColumns, SampleValue};
use model::time::TimestampMs;

/// The evaluation times of a query: `start + i × step` for `i` in `0..count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// The first.
    pub start_ms: TimestampMs,
    /// The distance; not 0, even if there is but one.
    pub step_ms: i64,
    /// How many.
    pub count: usize,
}

impl Steps {
    /// The one step of an instant query.
    pub fn instant(at_ms: TimestampMs) -> Self {
        Steps { start_ms: at_ms, step_ms: 1, count: 1 }
    }

    /// The steps of a range query, `end_ms` included if it is on the grid. `step_ms` is above 0 and
    /// `end_ms` not before `start_ms`.
    pub fn range(start_ms: TimestampMs, end_ms: TimestampMs, step_ms: i64) -> Self {
        Steps { start_ms, step_ms, count: ((end_ms - start_ms) / step_ms) as usize + 1 }
    }

    /// Time of the step.
    pub fn at(&self, index: usize) -> TimestampMs {
        self.start_ms + index as i64 * self.step_ms
    }

    /// The last one's time.
    pub fn end_ms(&self) -> TimestampMs {
        self.at(self.count - 1)
    }
}

/// The value of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An instant query for a number.
    Scalar {
        /// The evaluation time.
        timestamp_ms: TimestampMs,
        /// The number.
        value: f64,
    },
    /// An instant query for a text.
    String {
        /// The evaluation time.
        timestamp_ms: TimestampMs,
        /// The text.
        value: String,
    },
    /// An instant query for an instant vector.
    Vector {
        /// The evaluation time, that of every sample.
        timestamp_ms: TimestampMs,
        /// One sample a series, ordered as the expression orders them.
        samples: Vec<(Labels, SampleValue)>,
    },
    /// An instant query for a range vector: samples at their own times, sorted by label set.
    Matrix(Vec<(Labels, SampleColumns)>),
    /// A range query: columns on the grid of steps, sorted by label set. No series is without a value.
    Range {
        /// The grid.
        steps: Steps,
        /// The series.
        series: Vec<StepSeries>,
    },
}

/// A series of a range query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepSeries {
    /// Its labels.
    pub labels: Labels,
    /// One float for each step; the staleness marker where there is none.
    pub values: Vec<f64>,
    /// One histogram for each step, or empty if the series has none at all.
    pub histograms: Vec<Option<Arc<FloatHistogram>>>,
}
