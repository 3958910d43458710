//! Samples that came out of order, within the window that is allowed.
//!
//! They are kept apart from the series' other chunks: up to [`OPEN_SAMPLES_MAX`] in memory, sorted, then as
//! chunks in the head-chunk files, which may overlap each other and everything else. Readers merge them;
//! compaction writes them as blocks of their own. Few series have any, so this is beside the hot records.

use model::storage::{HistogramValue, SampleColumns};
use model::time::TimestampMs;

use crate::chunk::histogram::{HistogramAppender, decode_values};
use crate::chunk::{ChunkError, Encoding, decode_into, xor};
use crate::head_chunks::{HeadChunks, Location};

/// Samples in memory before they become a chunk; Prometheus's default.
const OPEN_SAMPLES_MAX: usize = 32;

/// A float or a histogram as it was appended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Float(f64),
    Histogram(Box<HistogramValue>),
}

/// A chunk of samples that came out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LateChunk {
    pub(crate) location: Location,
    /// Time of the first sample.
    pub(crate) min_t: TimestampMs,
    /// Time of the last sample.
    pub(crate) max_t: TimestampMs,
}

/// The samples of one series that came out of order.
#[derive(Clone, Debug, Default)]
pub(crate) struct LateSamples {
    /// Ascending by time, each time once.
    pub(crate) open: Vec<(TimestampMs, Value)>,
    /// In the order in which they became full.
    pub(crate) sealed: Vec<LateChunk>,
}

/// An encoded run of samples.
#[derive(Clone, Debug)]
pub(crate) struct LateRun {
    pub(crate) encoding: Encoding,
    pub(crate) min_t: TimestampMs,
    pub(crate) max_t: TimestampMs,
    pub(crate) bytes: Vec<u8>,
}

impl LateSamples {
    /// Adds a sample; `false` if there is one at this time among those in memory.
    pub(crate) fn insert(&mut self, timestamp: TimestampMs, value: Value, chunks: &HeadChunks) -> bool {
        let Err(at) = self.open.binary_search_by_key(&timestamp, |sample| sample.0) else { return false };
        self.open.insert(at, (timestamp, value));
        if self.open.len() >= OPEN_SAMPLES_MAX {
            self.seal(chunks);
        }
        true
    }

    /// Whether there is one at this time among those in memory.
    pub(crate) fn has(&self, timestamp: TimestampMs) -> bool {
        self.open.binary_search_by_key(&timestamp, |sample| sample.0).is_ok()
    }

    /// Makes chunks of the samples in memory.
    pub(crate) fn seal(&mut self, chunks: &HeadChunks) {
        for run in self.runs() {
            let location = chunks.append(run.encoding, &run.bytes);
            self.sealed.push(LateChunk { location, min_t: run.min_t, max_t: run.max_t });
        }
        self.open = Vec::new();
    }

    /// The samples in memory as chunks.
    pub(crate) fn runs(&self) -> Vec<LateRun> {
        let mut runs = Vec::new();
        let is_float = |sample: &(TimestampMs, Value)| matches!(sample.1, Value::Float(_));
        for run in self.open.chunk_by(|a, b| is_float(a) == is_float(b)) {
            if is_float(&run[0]) {
                runs.push(float_run(run));
            } else {
                histogram_runs(run, &mut runs);
            }
        }
        runs
    }

    /// Whether there may be samples in `[mint, maxt]`.
    pub(crate) fn overlaps(&self, mint: TimestampMs, maxt: TimestampMs) -> bool {
        let inside = |min_t: TimestampMs, max_t: TimestampMs| min_t <= maxt && max_t >= mint;
        let open = self.open.first().zip(self.open.last());
        open.is_some_and(|(first, last)| inside(first.0, last.0))
            || self.sealed.iter().any(|chunk| inside(chunk.min_t, chunk.max_t))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.sealed.is_empty()
    }

    /// Time of the newest sample.
    pub(crate) fn max_t(&self) -> Option<TimestampMs> {
        let sealed = self.sealed.iter().map(|chunk| chunk.max_t).max();
        let open = self.open.last().map(|sample| sample.0);
        sealed.into_iter().chain(open).max()
    }

    /// Time of the oldest sample.
    pub(crate) fn min_t(&self) -> Option<TimestampMs> {
        let sealed = self.sealed.iter().map(|chunk| chunk.min_t).min();
        let open = self.open.first().map(|sample| sample.0);
        sealed.into_iter().chain(open).min()
    }
}

fn float_run(samples: &[(TimestampMs, Value)]) -> LateRun {
    let (timestamps, values): (Vec<TimestampMs>, Vec<f64>) = samples
        .iter()
        .filter_map(|(timestamp, value)| match value {
            Value::Float(value) => Some((*timestamp, *value)),
            Value::Histogram(_) => None,
        })
        .unzip();
    let bytes = xor::encode(&timestamps, &values);
    let (min_t, max_t) = (samples[0].0, samples[samples.len() - 1].0);
    LateRun { encoding: Encoding::Xor, min_t, max_t, bytes }
}

fn histogram_runs(samples: &[(TimestampMs, Value)], runs: &mut Vec<LateRun>) {
    let mut open: Option<(TimestampMs, HistogramAppender)> = None;
    let finish = |open: Option<(TimestampMs, HistogramAppender)>, runs: &mut Vec<LateRun>| {
        runs.extend(open.map(|(min_t, appender)| LateRun {
            encoding: appender.encoding(),
            min_t,
            max_t: appender.last_timestamp(),
            bytes: appender.bytes().to_vec(),
        }));
    };
    for (timestamp, value) in samples {
        let Value::Histogram(value) = value else { continue };
        if open.as_mut().is_some_and(|(_, appender)| appender.append(*timestamp, value)) {
            continue;
        }
        finish(open.take(), runs);
        open = Some((*timestamp, HistogramAppender::new(*timestamp, value, None)));
    }
    finish(open, runs);
}

/// Appends the samples of a run in `[mint, maxt]`.
pub(crate) fn decode_run(
    run: &LateRun,
    mint: TimestampMs,
    maxt: TimestampMs,
    out: &mut SampleColumns,
) -> Result<(), ChunkError> {
    decode_into(run.encoding, &run.bytes, mint, maxt, out)
}

/// The samples of a chunk, for taking them into memory again.
pub(crate) fn samples_of(encoding: Encoding, bytes: &[u8]) -> Result<Vec<(TimestampMs, Value)>, ChunkError> {
    if encoding.is_float() {
        let mut columns = SampleColumns::default();
        decode_into(encoding, bytes, i64::MIN, i64::MAX, &mut columns)?;
        let values = columns.values.into_iter().map(Value::Float);
        return Ok(columns.timestamps.into_iter().zip(values).collect());
    }
    let mut decoded = Vec::new();
    if encoding != Encoding::None {
        decode_values(encoding, bytes, i64::MIN, i64::MAX, &mut decoded)?;
    }
    let value = |value: HistogramValue| Value::Histogram(Box::new(value));
    Ok(decoded.into_iter().map(|decoded| (decoded.timestamp, value(decoded.value))).collect())
}
