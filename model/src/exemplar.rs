//! Exemplars: single observations, with labels of their own, that stand for what a sample counted.

use crate::labels::Labels;
use crate::time::TimestampMs;

/// The most characters that the label names and values of an exemplar may have together (OpenMetrics 1.0).
pub const LABEL_CHARS_MAX: usize = 128;

/// One exemplar.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Its own labels, a trace id for example; not those of the series.
    pub labels: Labels,
    /// The observed value.
    pub value: f64,
    /// When it was observed; `None` if the exposition didn't say.
    pub timestamp_ms: Option<TimestampMs>,
}
