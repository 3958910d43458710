//! Columns: what one series is at every step.

use std::sync::Arc;

use model::histogram::FloatHistogram;
use model::storage::SampleValue;
use model::value::{STALE_NAN, is_stale_nan};

/// One series over all steps. A step has a float, a histogram, or nothing.
///
/// Floats stand in `values`, and a step without one holds the staleness marker: no arithmetic yields it,
/// and storages' markers are taken out before they get here. Histograms stand beside them, in a list that
/// is empty as long as there is none, which is nearly always.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    pub(crate) values: Vec<f64>,
    pub(crate) histograms: Vec<Option<Arc<FloatHistogram>>>,
}

impl Column {
    /// A column of nothing.
    pub(crate) fn absent(steps: usize) -> Self {
        Column { values: vec![STALE_NAN; steps], histograms: Vec::new() }
    }

    /// Makes it a column of nothing and keeps its buffers.
    pub(crate) fn reset(&mut self, steps: usize) {
        self.values.clear();
        self.values.resize(steps, STALE_NAN);
        self.histograms.clear();
    }

    /// Number of steps.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    /// The histogram at the step.
    pub(crate) fn histogram(&self, step: usize) -> Option<&Arc<FloatHistogram>> {
        self.histograms.get(step)?.as_ref()
    }

    /// The float at the step.
    pub(crate) fn float(&self, step: usize) -> Option<f64> {
        let value = self.values[step];
        (!is_stale_nan(value)).then_some(value)
    }

    /// What stands at the step.
    pub(crate) fn get(&self, step: usize) -> Option<SampleValue> {
        match self.float(step) {
            Some(value) => Some(SampleValue::Float(value)),
            None => self.histogram(step).cloned().map(SampleValue::Histogram),
        }
    }

    /// Whether anything stands at the step.
    pub(crate) fn is_present(&self, step: usize) -> bool {
        !is_stale_nan(self.values[step]) || self.histogram(step).is_some()
    }

    /// Puts a histogram at a step that has no float.
    pub(crate) fn set_histogram(&mut self, step: usize, histogram: Arc<FloatHistogram>) {
        if self.histograms.is_empty() {
            self.histograms.resize(self.values.len(), None);
        }
        self.histograms[step] = Some(histogram);
    }

    /// Puts a sample at a step.
    pub(crate) fn set(&mut self, step: usize, sample: SampleValue) {
        match sample {
            SampleValue::Float(value) => self.values[step] = value,
            SampleValue::Histogram(histogram) => self.set_histogram(step, histogram),
        }
    }

    /// Takes away what stands at the step.
    pub(crate) fn clear_step(&mut self, step: usize) {
        self.values[step] = STALE_NAN;
        if let Some(histogram) = self.histograms.get_mut(step) {
            *histogram = None;
        }
    }

    /// Whether no step has anything.
    pub(crate) fn is_absent(&self) -> bool {
        self.values.iter().all(|value| is_stale_nan(*value)) && self.histograms.iter().all(Option::is_none)
    }

    /// Takes all histograms away.
    pub(crate) fn drop_histograms(&mut self) {
        self.histograms.clear();
    }

    /// How many samples it counts for: a float one, a histogram as many as it takes the space of.
    pub(crate) fn samples(&self) -> u64 {
        let floats = self.values.iter().filter(|value| !is_stale_nan(**value)).count() as u64;
        let histograms = self.histograms.iter().flatten().map(|histogram| histogram_samples(histogram));
        floats + histograms.sum::<u64>()
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> u64 {
        let histograms = self.histograms.iter().flatten().map(|histogram| histogram_bytes(histogram));
        (self.values.len() * size_of::<f64>() + self.histograms.len() * size_of::<usize>()) as u64
            + histograms.sum::<u64>()
    }
}

/// Bytes that a float sample takes with its timestamp; one sample of the sample limit.
const SAMPLE_BYTES: u64 = 16;

/// Bytes of a histogram on the heap.
pub(crate) fn histogram_bytes(histogram: &FloatHistogram) -> u64 {
    let buckets = histogram.positive_buckets.len() + histogram.negative_buckets.len();
    let spans = histogram.positive_spans.len() + histogram.negative_spans.len();
    let fields = size_of::<FloatHistogram>() + (buckets + spans + histogram.custom_values.len()) * 8;
    fields as u64
}

/// How many samples of the sample limit a histogram counts for.
pub(crate) fn histogram_samples(histogram: &FloatHistogram) -> u64 {
    (histogram_bytes(histogram) + 8) / SAMPLE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_holds_floats_histograms_and_nothing() {
        let mut column = Column::absent(3);
        assert!(column.is_absent());
        column.set(0, SampleValue::Float(f64::NAN));
        column.set_histogram(2, Arc::new(FloatHistogram::default()));
        assert!(column.is_present(0) && !column.is_present(1) && column.is_present(2));
        assert!(column.float(0).is_some_and(f64::is_nan));
        column.clear_step(0);
        column.clear_step(2);
        assert!(column.is_absent());
    }
}
