//! Reading histogram chunks.

use std::sync::Arc;

use model::histogram::{CounterResetHint, EXPONENTIAL_SCHEMA_MAX, FloatHistogram, InvalidHistogram};
use model::storage::HistogramValue;
use model::value::is_stale_nan;

use super::super::bits::BitReader;
use super::super::{ChunkError, Encoding};
use super::header::{HEADER_BYTES, Header};
use super::layout::Layout;
use super::number::{Number, Sample, float_histogram};
use super::stream::Stream;

/// One histogram of a chunk.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded<H> {
    /// When.
    pub timestamp: i64,
    /// Since when it counts; 0 if that isn't known.
    pub start_timestamp: i64,
    /// What.
    pub value: H,
}

/// Appends the samples in `[mint, maxt]`, both inclusive, as they are stored: integer or float counts.
/// Reading ends with the first sample after `maxt`. After an error `out` is as before.
///
/// # Panics
///
/// If the encoding isn't one of histograms; likewise below.
pub fn decode_values(
    encoding: Encoding,
    bytes: &[u8],
    mint: i64,
    maxt: i64,
    out: &mut Vec<Decoded<HistogramValue>>,
) -> Result<(), ChunkError> {
    if encoding.has_integer_counts() {
        decode(encoding, bytes, mint, maxt, out, |sample, layout, hint| {
            at_most_finest(u64::histogram(sample, layout, hint))
        })
    } else {
        decode(encoding, bytes, mint, maxt, out, |sample, layout, hint| {
            at_most_finest(f64::histogram(sample, layout, hint))
        })
    }
}

/// As [`decode_values`], but for float counts of all.
pub fn decode_floats(
    encoding: Encoding,
    bytes: &[u8],
    mint: i64,
    maxt: i64,
    out: &mut Vec<Decoded<Arc<FloatHistogram>>>,
) -> Result<(), ChunkError> {
    if encoding.has_integer_counts() {
        decode(encoding, bytes, mint, maxt, out, arc_float::<u64>)
    } else {
        decode(encoding, bytes, mint, maxt, out, arc_float::<f64>)
    }
}

fn decode<N: Number, H>(
    encoding: Encoding,
    bytes: &[u8],
    mint: i64,
    maxt: i64,
    out: &mut Vec<Decoded<H>>,
    make: impl Fn(Sample<N>, &Layout, CounterResetHint) -> Result<H, ChunkError>,
) -> Result<(), ChunkError> {
    let before = out.len();
    let result = visit::<N>(encoding, bytes, |stream, start_timestamp, is_gauge| {
        let timestamp = stream.timestamp;
        if timestamp > maxt {
            return Ok(false);
        }
        if timestamp >= mint {
            let sample = stream.sample();
            let value = if is_stale_nan(sample.sum) {
                make(sample, &Layout::default(), CounterResetHint::Unknown)?
            } else {
                make(sample, &stream.layout, stream.hint(is_gauge))?
            };
            out.push(Decoded { timestamp, start_timestamp, value });
        }
        Ok(true)
    });
    if result.is_err() {
        out.truncate(before);
    }
    result.map(|_| ())
}

/// Reads sample by sample while `next`, which is given the stream after the sample, its start timestamp and
/// whether the chunk is one of gauges, wants more. Returns where the bits end and the stream, if there is a
/// sample.
pub(super) fn visit<N: Number>(
    encoding: Encoding,
    bytes: &[u8],
    mut next: impl FnMut(&Stream<N>, i64, bool) -> Result<bool, ChunkError>,
) -> Result<Option<(usize, Stream<N>)>, ChunkError> {
    let header = Header::read(encoding, bytes)?;
    if header.samples == 0 {
        return Ok(None);
    }
    let is_gauge = header.hint == CounterResetHint::Gauge;
    let mut starts = header.starts;
    let mut bits = BitReader::new(bytes, HEADER_BYTES);
    let mut stream = Stream::<N>::new(Layout::read(&mut bits)?);
    for index in 0..header.samples {
        let previous = stream.timestamp;
        stream.read(&mut bits)?;
        starts.read(&mut bits, index, stream.timestamp, previous)?;
        bits.check()?;
        if !next(&stream, starts.start(), is_gauge)? {
            break;
        }
    }
    Ok(Some((bits.position(), stream)))
}

fn arc_float<N: Number>(
    sample: Sample<N>,
    layout: &Layout,
    hint: CounterResetHint,
) -> Result<Arc<FloatHistogram>, ChunkError> {
    let mut histogram = float_histogram(sample, layout, hint);
    if histogram.schema > EXPONENTIAL_SCHEMA_MAX {
        histogram.reduce_resolution(EXPONENTIAL_SCHEMA_MAX).map_err(bad_layout)?;
    }
    Ok(Arc::new(histogram))
}

/// Reduces schemas that only a newer writer knows.
fn at_most_finest(mut value: HistogramValue) -> Result<HistogramValue, ChunkError> {
    match &mut value {
        HistogramValue::Integer(h) if h.schema > EXPONENTIAL_SCHEMA_MAX => {
            h.reduce_resolution(EXPONENTIAL_SCHEMA_MAX).map_err(bad_layout)?;
        }
        HistogramValue::Float(h) if h.schema > EXPONENTIAL_SCHEMA_MAX => {
            h.reduce_resolution(EXPONENTIAL_SCHEMA_MAX).map_err(bad_layout)?;
        }
        _ => {}
    }
    Ok(value)
}

fn bad_layout(_: InvalidHistogram) -> ChunkError {
    ChunkError::Corrupt("histogram spans that overlap")
}
