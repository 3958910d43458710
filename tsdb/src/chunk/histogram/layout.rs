//! What the samples of a histogram chunk have in common, at its beginning.
//!
//! ```text
//! zero threshold   byte 0: 0; 1–254: 2^(byte − 244); 255: 64 bits follow
//! schema           signed varbit
//! positive spans   varbit number of spans, for each varbit length, signed varbit offset
//! negative spans   likewise
//! custom bounds    only of schema −53: varbit number; for each varbit 1000 × bound + 1 if that is exact and
//!                  at most 33554431, else varbit 0 and 64 bits
//! ```
//!
//! Source: tsdb/chunkenc/histogram_meta.go of Prometheus 3.14.

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, Span, is_known_schema};

use super::super::ChunkError;
use super::super::bits::{BitReader, PutBits};
use super::super::varbit::{put_int, put_uint, read_int, read_uint};

/// The byte that says that a zero threshold follows in full.
const THRESHOLD_IN_FULL: u8 = 255;
/// Distance between the exponent of a zero threshold and its byte.
const THRESHOLD_BIAS: i64 = 244;
/// Distance between the exponent of a float and its bits.
const FLOAT_BIAS: i64 = 1023;
/// Bits of a float below its exponent.
const FLOAT_FRACTION_BITS: u32 = 52;
/// Bounds up to here are written in thousandths.
const SHORT_BOUND_MAX: f64 = 33_554_430.0;

/// The buckets of all samples of a chunk.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Layout {
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) positive: Vec<Span>,
    pub(super) negative: Vec<Span>,
    pub(super) custom_values: Vec<f64>,
}

impl Layout {
    pub(super) fn put(&self, bits: &mut impl PutBits) {
        put_threshold(bits, self.zero_threshold);
        put_int(bits, i64::from(self.schema));
        for spans in [&self.positive, &self.negative] {
            put_uint(bits, spans.len() as u64);
            for span in spans {
                put_uint(bits, u64::from(span.length));
                put_int(bits, i64::from(span.offset));
            }
        }
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            put_uint(bits, self.custom_values.len() as u64);
            for bound in &self.custom_values {
                put_bound(bits, *bound);
            }
        }
    }

    pub(super) fn read(bits: &mut BitReader<'_>) -> Result<Self, ChunkError> {
        let zero_threshold = read_threshold(bits);
        let schema = i32::try_from(read_int(bits)).ok().filter(|schema| is_known_schema(*schema));
        bits.check()?;
        let schema = schema.ok_or(ChunkError::Corrupt("unknown histogram schema"))?;
        let positive = read_spans(bits)?;
        let negative = read_spans(bits)?;
        let custom_values = if schema == CUSTOM_BUCKETS_SCHEMA { read_bounds(bits)? } else { Vec::new() };
        Ok(Layout { schema, zero_threshold, positive, negative, custom_values })
    }
}

/// Number of buckets in the spans.
pub(super) fn bucket_count(spans: &[Span]) -> usize {
    spans.iter().map(|span| span.length as usize).sum()
}

fn read_spans(bits: &mut BitReader<'_>) -> Result<Vec<Span>, ChunkError> {
    let count = read_uint(bits);
    let mut spans = Vec::new();
    let (mut end, mut buckets) = (0_i64, 0_u64);
    for _ in 0..count {
        let length = u32::try_from(read_uint(bits));
        let offset = i32::try_from(read_int(bits));
        bits.check()?;
        let (Ok(length), Ok(offset)) = (length, offset) else {
            return Err(ChunkError::Corrupt("histogram span of more than 32 bits"));
        };
        end += i64::from(offset) + i64::from(length);
        buckets += u64::from(length);
        if i32::try_from(end).is_err() {
            return Err(ChunkError::Corrupt("histogram bucket index of more than 32 bits"));
        }
        // Each bucket of the first sample has at least a bit of its own.
        if buckets > bits.left() as u64 {
            return Err(ChunkError::Truncated);
        }
        spans.push(Span { offset, length });
    }
    Ok(spans)
}

fn read_bounds(bits: &mut BitReader<'_>) -> Result<Vec<f64>, ChunkError> {
    let mut bounds = Vec::new();
    for _ in 0..read_uint(bits) {
        bounds.push(match read_uint(bits) {
            0 => f64::from_bits(bits.bits(64)),
            thousandths => (thousandths - 1) as f64 / 1000.0,
        });
        bits.check()?;
    }
    Ok(bounds)
}

fn put_bound(bits: &mut impl PutBits, bound: f64) {
    let thousandths = (bound * 1000.0).round();
    let short = (0.0..=SHORT_BOUND_MAX).contains(&(bound * 1000.0)) && thousandths / 1000.0 == bound;
    if short {
        put_uint(bits, thousandths as u64 + 1);
    } else {
        put_uint(bits, 0);
        bits.put(bound.to_bits(), 64);
    }
}

fn put_threshold(bits: &mut impl PutBits, threshold: f64) {
    let exponent = (threshold.to_bits() >> FLOAT_FRACTION_BITS) as i64 - FLOAT_BIAS;
    let byte = exponent + THRESHOLD_BIAS;
    let is_power = threshold.to_bits() & ((1 << FLOAT_FRACTION_BITS) - 1) == 0;
    if threshold == 0.0 {
        bits.put(0, 8);
    } else if is_power && (1..i64::from(THRESHOLD_IN_FULL)).contains(&byte) {
        bits.put(byte as u64, 8);
    } else {
        bits.put(u64::from(THRESHOLD_IN_FULL), 8);
        bits.put(threshold.to_bits(), 64);
    }
}

fn read_threshold(bits: &mut BitReader<'_>) -> f64 {
    match bits.bits(8) as u8 {
        0 => 0.0,
        THRESHOLD_IN_FULL => f64::from_bits(bits.bits(64)),
        byte => {
            let exponent = i64::from(byte) - THRESHOLD_BIAS + FLOAT_BIAS;
            f64::from_bits((exponent as u64) << FLOAT_FRACTION_BITS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::bits::BitVec;
    use super::*;

    #[test]
    fn thresholds_that_are_powers_of_two_are_one_byte() {
        for (threshold, byte, size) in [
            (0.0, 0, 8),
            (2f64.powi(-243), 1, 8),
            (2f64.powi(-128), 116, 8),
            (1.0, 244, 8),
            (1024.0, 254, 8),
            (2048.0, 255, 72),
            (2f64.powi(-244), 255, 72),
            (0.001, 255, 72),
            (-1.0, 255, 72),
        ] {
            let mut bits = BitVec::default();
            put_threshold(&mut bits, threshold);
            assert_eq!((bits.bytes()[0], bits.position()), (byte, size), "{threshold}");
            assert_eq!(read_threshold(&mut BitReader::new(bits.bytes(), 0)), threshold);
        }
    }

    #[test]
    fn bounds_in_thousandths_are_short() {
        for (bound, size) in [
            (0.0, 5),
            (0.005, 5),
            (1.0, 17),
            (0.1, 13),
            (33_554.43, 32),
            (33_554.431, 65),
            (0.0001, 65),
            (-1.0, 65),
            (1e300, 65),
            (f64::INFINITY, 65),
        ] {
            let mut bits = BitVec::default();
            put_bound(&mut bits, bound);
            assert_eq!(bits.position(), size, "{bound}");
        }
    }
}
