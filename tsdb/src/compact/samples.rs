//! Samples of chunks that can't pass as they are: decoded, brought in order, each timestamp once, and encoded
//! again. Histograms stay what they were, integer or float.

use model::storage::SampleColumns;
use model::time::TimestampMs;

use super::source::SourceSeries;
use crate::block::ChunkData;
use crate::block::decode::decode_into;
use crate::block::tombstones::Interval;
use crate::chunk::xor::{self, AppendState, HEADER_BYTES, SAMPLE_BYTES_MAX};
use crate::chunk::{ChunkError, Encoding};

/// How large chunks get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkLimits {
    /// The most samples of a chunk of floats.
    pub(super) samples_max: u16,
    /// The most bytes of a chunk of floats.
    pub(super) bytes_max: usize,
}

impl ChunkLimits {
    /// As in the head: quick to decode for a single sample.
    pub(super) const SMALL: ChunkLimits = ChunkLimits { samples_max: 120, bytes_max: CHUNK_BYTES_MAX };
    /// As many as there is room for: fewer headers, frames and entries of the index.
    pub(super) const FULL: ChunkLimits = ChunkLimits { samples_max: u16::MAX, bytes_max: CHUNK_BYTES_MAX };
}

/// The most bytes of a chunk of floats, as in Prometheus.
const CHUNK_BYTES_MAX: usize = 1024;

/// Samples of one series.
#[derive(Debug, Default)]
pub(super) struct Samples {
    columns: SampleColumns,
}

impl Samples {
    /// Forgets all samples and keeps the buffers.
    pub(super) fn clear(&mut self) {
        self.columns.clear();
    }

    /// Appends the samples of a chunk that are within an interval.
    pub(super) fn decode(&mut self, chunk: &ChunkData<'_>, within: Interval) -> Result<(), ChunkError> {
        decode_into(chunk.encoding, chunk.bytes, within.mint, within.maxt, &mut self.columns)
    }

    /// Brings the samples in order of time. Of those with the same timestamp the first one stays.
    pub(super) fn sort(&mut self) {
        let SampleColumns { timestamps, values, .. } = &mut self.columns;
        if timestamps.is_sorted_by(|a, b| a < b) {
            return;
        }
        let mut pairs: Vec<(TimestampMs, f64)> = timestamps.drain(..).zip(values.drain(..)).collect();
        pairs.sort_by_key(|(t, _)| *t);
        pairs.dedup_by_key(|(t, _)| *t);
        (*timestamps, *values) = pairs.into_iter().unzip();
    }

    /// Encodes the samples, which are in order of time.
    pub(super) fn encode(&self, limits: ChunkLimits, out: &mut SourceSeries) {
        encode_floats(&self.columns.timestamps, &self.columns.values, limits, out);
    }
}

/// Encodes floats in as few chunks as the limits allow.
fn encode_floats(timestamps: &[TimestampMs], values: &[f64], limits: ChunkLimits, out: &mut SourceSeries) {
    let mut buffer = vec![0; limits.bytes_max.max(HEADER_BYTES + SAMPLE_BYTES_MAX)];
    let mut state = AppendState::new();
    let mut mint = 0;
    let mut cut = |state: &mut AppendState, buffer: &mut Vec<u8>, mint| {
        if state.samples() > 0 {
            let maxt = state.last_timestamp();
            out.push(ChunkData { mint, maxt, encoding: Encoding::Xor, bytes: state.finish(buffer) });
        }
        *state = AppendState::new();
        buffer.fill(0);
    };
    for (timestamp, value) in timestamps.iter().zip(values) {
        let no_room = state.byte_len() + SAMPLE_BYTES_MAX > buffer.len();
        if no_room || state.samples() >= limits.samples_max {
            cut(&mut state, &mut buffer, mint);
        }
        if state.samples() == 0 {
            mint = *timestamp;
        }
        xor::append(&mut state, &mut buffer, *timestamp, *value);
    }
    cut(&mut state, &mut buffer, mint);
}
