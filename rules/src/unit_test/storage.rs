//! The storage of a test: that of PromQL's test scripts, which rules can write to as well.

use std::num::NonZeroU64;
use std::sync::Arc;

use model::labels::Labels;
use model::storage::{
    AppendError, Appender, Batch, BatchList, Committed, HistogramValue, Querier, Queryable, Rejected,
    SampleValue, SeriesKey, SeriesRef, StorageError,
};
use model::time::TimestampMs;
use model::value::STALE_NAN;
use parking_lot::Mutex;
use promql::script::{MemoryStorage, Sample};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct TestStorage {
    samples: MemoryStorage,
    /// Series by ref, the first of which is 1.
    series: Mutex<Vec<Labels>>,
}

impl TestStorage {
    /// Adds a sample.
    pub(crate) fn add(
        &self,
        labels: &Labels,
        at_ms: TimestampMs,
        value: SampleValue,
    ) -> Result<(), AppendError> {
        self.samples.append(labels, [(at_ms, Sample { value, start_timestamp_ms: 0 })])
    }
}

impl Queryable for TestStorage {
    fn querier(&self, mint: TimestampMs, maxt: TimestampMs) -> Result<Box<dyn Querier>, StorageError> {
        self.samples.querier(mint, maxt)
    }
}

impl Appender for TestStorage {
    fn commit(&self, batch: &Batch) -> Result<Committed, StorageError> {
        let mut series = self.series.lock();
        let first_new = series.len();
        series.extend(batch.new_series.iter().cloned());
        let new_refs =
            (first_new..series.len()).map(|i| NonZeroU64::new(i as u64 + 1).map(SeriesRef)).collect();
        let mut committed = Committed { new_refs, rejected: Vec::new() };
        let labels = |key: SeriesKey| match key {
            SeriesKey::Known(SeriesRef(number)) => &series[number.get() as usize - 1],
            SeriesKey::New(nth) => &series[first_new + nth as usize],
        };
        for (index, sample) in batch.floats.iter().enumerate() {
            let added =
                self.add(labels(sample.series), sample.timestamp_ms, SampleValue::Float(sample.value));
            committed.rejected.extend(added.err().map(|error| Rejected {
                list: BatchList::Floats,
                index,
                error,
            }));
        }
        for (index, sample) in batch.histograms.iter().enumerate() {
            let histogram = match &sample.value {
                HistogramValue::Integer(histogram) => histogram.to_float(),
                HistogramValue::Float(histogram) => histogram.clone(),
            };
            let value = SampleValue::Histogram(Arc::new(histogram));
            let added = self.add(labels(sample.series), sample.timestamp_ms, value);
            let error = added.err().map(|error| Rejected { list: BatchList::Histograms, index, error });
            committed.rejected.extend(error);
        }
        for (ended, at_ms) in &batch.ended {
            // A series that goes on at this time doesn't end.
            let _ = self.add(labels(SeriesKey::Known(*ended)), *at_ms, SampleValue::Float(STALE_NAN));
        }
        Ok(committed)
    }
}
