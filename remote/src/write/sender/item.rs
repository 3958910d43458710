//! What waits to be sent.

use std::sync::Arc;

use model::labels::Labels;
use model::storage::HistogramValue;
use model::time::TimestampMs;

/// A sample or an exemplar on its way, with the labels that the endpoint sees.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    /// The commit it is of.
    pub(super) commit: u64,
    pub(super) labels: Labels,
    pub(super) timestamp_ms: TimestampMs,
    pub(super) value: Value,
}

/// See [`Item`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Float(f64),
    Histogram(Arc<HistogramValue>),
    /// The exemplar's own labels, and its value.
    Exemplar(Arc<(Labels, f64)>),
}

/// How many of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) samples: u64,
    pub(super) histograms: u64,
    pub(super) exemplars: u64,
}

impl Counts {
    pub(super) fn of(items: &[Item]) -> Self {
        let mut counts = Counts::default();
        for item in items {
            match item.value {
                Value::Float(_) => counts.samples += 1,
                Value::Histogram(_) => counts.histograms += 1,
                Value::Exemplar(_) => counts.exemplars += 1,
            }
        }
        counts
    }

    /// One item of this kind.
    pub(super) fn one(value: &Value) -> Self {
        match value {
            Value::Float(_) => Counts { samples: 1, ..Counts::default() },
            Value::Histogram(_) => Counts { histograms: 1, ..Counts::default() },
            Value::Exemplar(_) => Counts { exemplars: 1, ..Counts::default() },
        }
    }

    pub(super) fn total(self) -> u64 {
        self.samples + self.histograms + self.exemplars
    }

    /// What is left when `others` are taken away; none where there are more of them.
    pub(super) fn without(self, others: Counts) -> Counts {
        Counts {
            samples: self.samples.saturating_sub(others.samples),
            histograms: self.histograms.saturating_sub(others.histograms),
            exemplars: self.exemplars.saturating_sub(others.exemplars),
        }
    }
}
