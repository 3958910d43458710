//! The samples of a batch as one sequence, and the order in which a commit takes them.

use model::storage::{Batch, BatchList, FloatSample, HistogramValue, SeriesKey, SeriesRef};
use model::time::TimestampMs;

use crate::head::shard::shard_of;

/// A sample on its way, ordered by shard and series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Op {
    /// Shard in the upper half, id in the lower.
    pub(super) key: u64,
    /// Index into the floats, behind them into the histograms, and behind those into the ended series.
    pub(super) item: u32,
}

impl Op {
    #[inline]
    pub(super) fn new(id: u32, item: usize) -> Self {
        Op { key: (shard_of(id) as u64) << 32 | u64::from(id), item: item as u32 }
    }

    #[inline]
    pub(super) fn id(self) -> u32 {
        self.key as u32
    }

    #[inline]
    pub(super) fn shard(self) -> usize {
        (self.key >> 32) as usize
    }
}

/// A sample of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'b> {
    Float(f64),
    Histogram(&'b HistogramValue),
    /// The series ended.
    End,
}

/// A sample of a batch, with what is needed to check it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'b> {
    pub(super) list: BatchList,
    pub(super) index: usize,
    /// `None` for label sets of the batch.
    pub(super) known: Option<SeriesRef>,
    pub(super) timestamp: TimestampMs,
    pub(super) value: Value<'b>,
}

/// The samples of a batch as one sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Items<'b>(pub(super) &'b Batch);

impl<'b> Items<'b> {
    pub(super) fn get(self, item: u32) -> Candidate<'b> {
        let mut index = item as usize;
        if let Some(FloatSample { series, timestamp_ms, value }) = self.0.floats.get(index) {
            let (known, value) = (known(*series), Value::Float(*value));
            return Candidate { list: BatchList::Floats, index, known, timestamp: *timestamp_ms, value };
        }
        index -= self.0.floats.len();
        if let Some(sample) = self.0.histograms.get(index) {
            let (known, timestamp) = (known(sample.series), sample.timestamp_ms);
            let value = Value::Histogram(&sample.value);
            return Candidate { list: BatchList::Histograms, index, known, timestamp, value };
        }
        index -= self.0.histograms.len();
        let (series, timestamp) = self.0.ended[index];
        Candidate { list: BatchList::Floats, index, known: Some(series), timestamp, value: Value::End }
    }

    /// Series and times of the samples that may belong to new series.
    pub(super) fn keys(self) -> impl Iterator<Item = (BatchList, usize, SeriesKey, TimestampMs)> + 'b {
        let floats = self.0.floats.iter().enumerate();
        let histograms = self.0.histograms.iter().enumerate();
        floats
            .map(|(at, s)| (BatchList::Floats, at, s.series, s.timestamp_ms))
            .chain(histograms.map(|(at, s)| (BatchList::Histograms, at, s.series, s.timestamp_ms)))
    }
}

fn known(series: SeriesKey) -> Option<SeriesRef> {
    match series {
        SeriesKey::Known(series) => Some(series),
        SeriesKey::New(_) => None,
    }
}
