//! Samples of chunks that can't pass as they are: decoded, brought in order, each timestamp once, and encoded
//! again. Histograms stay what they were, integer or float. What is given up: start timestamps of histograms,
//! which no chunk that is written here has room for.

use std::sync::Arc;

use model::histogram::CounterResetHint;
use model::storage::{HistogramValue, SampleColumns};
use model::time::TimestampMs;

use super::source::SourceSeries;
use crate::block::ChunkData;
use crate::block::tombstones::Interval;
use crate::chunk::histogram::{Decoded, HistogramAppender, decode_values};
use crate::chunk::xor::{self, AppendState, HEADER_BYTES, SAMPLE_BYTES_MAX};
use crate::chunk::{ChunkError, Encoding, decode_into, xor2};

/// How large chunks of floats get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkLimits {
    /// The most samples.
    pub(super) samples_max: u16,
    /// The most bytes.
    pub(super) bytes_max: usize,
}

impl ChunkLimits {
    /// As in the head: quick to decode for a single sample.
    pub(super) const SMALL: ChunkLimits = ChunkLimits { samples_max: 120, bytes_max: CHUNK_BYTES_MAX };
    /// As many as there is room for: fewer headers, frames and entries of the index.
    pub(super) const FULL: ChunkLimits = ChunkLimits { samples_max: u16::MAX, bytes_max: CHUNK_BYTES_MAX };
}

/// The most bytes of a chunk of floats, and where a chunk of histograms ends; as in Prometheus.
const CHUNK_BYTES_MAX: usize = 1024;
/// A chunk of large histograms gets larger rather than have fewer samples; as in Prometheus.
const HISTOGRAMS_MIN: u16 = 10;

/// Samples of one series.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// Floats.
    columns: SampleColumns,
    histograms: Vec<Decoded<HistogramValue>>,
}

impl Samples {
    /// Those of columns.
    pub(super) fn of(mut columns: SampleColumns) -> Self {
        let times = std::mem::take(&mut columns.histogram_timestamps);
        let values = std::mem::take(&mut columns.histograms);
        let histograms = times.into_iter().zip(values).map(|(timestamp, value)| Decoded {
            timestamp,
            start_timestamp: 0,
            value: HistogramValue::Float(Arc::unwrap_or_clone(value)),
        });
        Samples { histograms: histograms.collect(), columns }
    }

    /// Forgets all samples and keeps the buffers.
    pub(super) fn clear(&mut self) {
        self.columns.clear();
        self.histograms.clear();
    }

    /// Appends the samples of a chunk that are within an interval.
    pub(super) fn decode(&mut self, chunk: &ChunkData<'_>, within: Interval) -> Result<(), ChunkError> {
        let Interval { mint, maxt } = within;
        if chunk.encoding.is_histogram() {
            decode_values(chunk.encoding, chunk.bytes, mint, maxt, &mut self.histograms)
        } else {
            decode_into(chunk.encoding, chunk.bytes, mint, maxt, &mut self.columns)
        }
    }

    /// Brings the samples in order of time. Of those with the same timestamp the first one stays, a float
    /// before a histogram.
    pub(super) fn sort(&mut self) {
        self.sort_floats();
        let floats = &self.columns.timestamps;
        if !self.histograms.is_sorted_by(|a, b| a.timestamp < b.timestamp) {
            self.histograms.sort_by_key(|histogram| histogram.timestamp);
            self.histograms.dedup_by_key(|histogram| histogram.timestamp);
            // Each hint was about another sample before this one.
            self.histograms.iter_mut().for_each(|histogram| forget_hint(&mut histogram.value));
        }
        self.histograms.retain(|histogram| floats.binary_search(&histogram.timestamp).is_err());
    }

    fn sort_floats(&mut self) {
        let SampleColumns { timestamps, values, start_timestamps, .. } = &mut self.columns;
        if timestamps.is_sorted_by(|a, b| a < b) {
            return;
        }
        let mut order: Vec<usize> = (0..timestamps.len()).collect();
        order.sort_by_key(|nth| timestamps[*nth]);
        order.dedup_by_key(|nth| timestamps[*nth]);
        *timestamps = order.iter().map(|nth| timestamps[*nth]).collect();
        *values = order.iter().map(|nth| values[*nth]).collect();
        if !start_timestamps.is_empty() {
            *start_timestamps = order.iter().map(|nth| start_timestamps[*nth]).collect();
        }
    }

    /// The times of all samples, ascending.
    pub(super) fn times(&self) -> Vec<TimestampMs> {
        let histograms = self.histograms.iter().map(|histogram| histogram.timestamp);
        let mut times: Vec<TimestampMs> = self.columns.timestamps.iter().copied().chain(histograms).collect();
        times.sort_unstable();
        times
    }

    /// Removes the samples at these times, which ascend.
    pub(super) fn remove_times(&mut self, times: &[TimestampMs]) {
        let SampleColumns { timestamps, values, start_timestamps, .. } = &mut self.columns;
        let kept: Vec<usize> =
            (0..timestamps.len()).filter(|nth| times.binary_search(&timestamps[*nth]).is_err()).collect();
        *values = kept.iter().map(|nth| values[*nth]).collect();
        if !start_timestamps.is_empty() {
            *start_timestamps = kept.iter().map(|nth| start_timestamps[*nth]).collect();
        }
        *timestamps = kept.iter().map(|nth| timestamps[*nth]).collect();
        let before = self.histograms.len();
        self.histograms.retain(|histogram| times.binary_search(&histogram.timestamp).is_err());
        if self.histograms.len() < before {
            // Each hint was about another sample before this one.
            self.histograms.iter_mut().for_each(|histogram| forget_hint(&mut histogram.value));
        }
    }

    /// Encodes the samples, which are in order of time: runs of floats and of histograms by turns.
    pub(super) fn encode(&self, limits: ChunkLimits, out: &mut SourceSeries) {
        let SampleColumns { timestamps, values, start_timestamps, .. } = &self.columns;
        let (mut floats, mut histograms) = (0, self.histograms.as_slice());
        while floats < timestamps.len() || !histograms.is_empty() {
            let next_histogram = histograms.first().map_or(TimestampMs::MAX, |h| h.timestamp);
            let end = if histograms.is_empty() {
                timestamps.len()
            } else {
                floats + timestamps[floats..].partition_point(|t| *t < next_histogram)
            };
            let starts = start_timestamps.get(floats..end).unwrap_or(&[]);
            encode_floats(&timestamps[floats..end], &values[floats..end], starts, limits, out);
            floats = end;
            let next_float = timestamps.get(floats).copied();
            let run = histograms.partition_point(|h| next_float.is_none_or(|t| h.timestamp < t));
            encode_histograms(&histograms[..run], out);
            histograms = &histograms[run..];
        }
    }
}

/// Makes a histogram one that nothing is known of, but whether it is a gauge.
fn forget_hint(value: &mut HistogramValue) {
    let hint = match value {
        HistogramValue::Integer(histogram) => &mut histogram.counter_reset_hint,
        HistogramValue::Float(histogram) => &mut histogram.counter_reset_hint,
    };
    if *hint != CounterResetHint::Gauge {
        *hint = CounterResetHint::Unknown;
    }
}

/// Encodes floats in as few chunks as the limits allow.
fn encode_floats(
    timestamps: &[TimestampMs],
    values: &[f64],
    starts: &[TimestampMs],
    limits: ChunkLimits,
    out: &mut SourceSeries,
) {
    if !starts.is_empty() {
        return encode_floats_with_starts(timestamps, values, starts, out);
    }
    let mut buffer = vec![0; limits.bytes_max.max(HEADER_BYTES + SAMPLE_BYTES_MAX)];
    let mut rest = timestamps.iter().zip(values).peekable();
    while let Some((mint, _)) = rest.peek().copied() {
        buffer.fill(0);
        let mut state = AppendState::new();
        while state.samples() < limits.samples_max && state.byte_len() + SAMPLE_BYTES_MAX <= buffer.len() {
            let Some((timestamp, value)) = rest.next() else { break };
            xor::append(&mut state, &mut buffer, *timestamp, *value);
        }
        let maxt = state.last_timestamp();
        out.push(ChunkData { mint: *mint, maxt, encoding: Encoding::Xor, bytes: state.finish(&mut buffer) });
    }
}

fn encode_floats_with_starts(
    timestamps: &[TimestampMs],
    values: &[f64],
    starts: &[TimestampMs],
    out: &mut SourceSeries,
) {
    let size = usize::from(ChunkLimits::SMALL.samples_max);
    for ((timestamps, values), starts) in
        timestamps.chunks(size).zip(values.chunks(size)).zip(starts.chunks(size))
    {
        if let (Some(mint), Some(maxt)) = (timestamps.first(), timestamps.last()) {
            let bytes = xor2::encode(timestamps, values, starts);
            out.push(ChunkData { mint: *mint, maxt: *maxt, encoding: Encoding::Xor2, bytes: &bytes });
        }
    }
}

/// Encodes histograms, a new chunk wherever one is needed.
fn encode_histograms(histograms: &[Decoded<HistogramValue>], out: &mut SourceSeries) {
    let mut rest = histograms.iter().peekable();
    let mut previous: Option<HistogramAppender> = None;
    while let Some(first) = rest.next() {
        let mut chunk = HistogramAppender::new(first.timestamp, &first.value, previous.as_ref());
        let has_room = |chunk: &HistogramAppender| {
            chunk.bytes().len() < CHUNK_BYTES_MAX || chunk.samples() < HISTOGRAMS_MIN
        };
        while has_room(&chunk) && rest.next_if(|next| chunk.append(next.timestamp, &next.value)).is_some() {}
        let (mint, maxt) = (first.timestamp, chunk.last_timestamp());
        out.push(ChunkData { mint, maxt, encoding: chunk.encoding(), bytes: chunk.bytes() });
        previous = Some(chunk);
    }
}
