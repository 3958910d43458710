//! What waits to be sent.

use std::sync::Arc;

use model::labels::Labels;
use model::storage::HistogramValue;
use model::time::TimestampMs;

/// A sample on its way, with the labels that the endpoint sees.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    /// The commit it is of.
    pub(super) commit: u64,
    pub(super) labels: Labels,
    pub(super) timestamp_ms: TimestampMs,
    pub(super) value: Value,
    /// What a sample has beside it: receivers take exemplars only with a sample.
    pub(super) exemplars: Vec<SentExemplar>,
}

/// An exemplar.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SentExemplar {
    pub(super) labels: Labels,
    pub(super) timestamp_ms: TimestampMs,
    pub(super) value: f64,
}

/// See [`Item`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Float(f64),
    Histogram(Arc<HistogramValue>),
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
            let one = Counts::one(&item.value, item.exemplars.len());
            counts.samples += one.samples;
            counts.histograms += one.histograms;
            counts.exemplars += one.exemplars;
        }
        counts
    }

    /// A sample with so many exemplars.
    pub(super) fn one(value: &Value, exemplars: usize) -> Self {
        let exemplars = exemplars as u64;
        match value {
            Value::Float(_) => Counts { samples: 1, histograms: 0, exemplars },
            Value::Histogram(_) => Counts { samples: 0, histograms: 1, exemplars },
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
