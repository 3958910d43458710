//! Counts, integer and float, and how they follow each other from sample to sample.

use std::fmt::Debug;

use model::histogram::{CounterResetHint, FloatHistogram, Histogram};
use model::storage::HistogramValue;

use super::super::ChunkError;
use super::super::bits::{BitReader, BitVec, PutBits};
use super::super::varbit::{put_int, put_uint, read_int, read_uint};
use super::super::window::Window;
use super::layout::Layout;

/// What an integer and a float histogram chunk differ in.
pub(super) trait Number: Copy + Debug + Default + PartialEq + PartialOrd {
    /// What is to be known of one number of a sample to write or read that of the next.
    type Track: Track<Number = Self>;
    /// Whether the counts are integers.
    const IS_INTEGER: bool;

    /// What is written for a bucket after a bucket that counts `before`.
    fn after(self, before: Self) -> Self;

    /// Undoes [`Number::after`].
    fn back(written: Self, before: Self) -> Self;

    /// As a float.
    fn to_float(self) -> f64;

    /// A histogram of such counts.
    fn histogram(sample: Sample<Self>, layout: &Layout, hint: CounterResetHint) -> HistogramValue;
}

/// The numbers of one sample, buckets as they count.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sample<N> {
    pub(super) count: N,
    pub(super) zero_count: N,
    pub(super) sum: f64,
    pub(super) positive: Vec<N>,
    pub(super) negative: Vec<N>,
}

/// Writes or reads one number of one sample after the other.
pub(super) trait Track: Clone + Debug + Default {
    type Number;

    /// Number of the last sample.
    fn last(&self) -> Self::Number;

    /// Writes a count of the first sample.
    fn put_first_count(&mut self, bits: &mut BitVec, number: Self::Number);

    /// Writes a bucket of the first sample.
    fn put_first_bucket(&mut self, bits: &mut BitVec, number: Self::Number);

    /// Writes a number of a later sample.
    fn put(&mut self, bits: &mut BitVec, number: Self::Number);

    /// Writes what a staleness marker has in place of a count.
    fn put_stale(&mut self, bits: &mut BitVec);

    /// Reads a count of the first sample.
    fn read_first_count(&mut self, bits: &mut BitReader<'_>);

    /// Reads a bucket of the first sample.
    fn read_first_bucket(&mut self, bits: &mut BitReader<'_>);

    /// Reads a number of a later sample.
    fn read(&mut self, bits: &mut BitReader<'_>) -> Result<(), ChunkError>;
}

/// Integers: differences of differences.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IntegerTrack {
    last: u64,
    delta: u64,
}

impl Track for IntegerTrack {
    type Number = u64;

    fn last(&self) -> u64 {
        self.last
    }

    fn put_first_count(&mut self, bits: &mut BitVec, number: u64) {
        put_uint(bits, number);
        self.last = number;
    }

    fn put_first_bucket(&mut self, bits: &mut BitVec, number: u64) {
        put_int(bits, number as i64);
        self.last = number;
    }

    fn put(&mut self, bits: &mut BitVec, number: u64) {
        let delta = number.wrapping_sub(self.last);
        put_int(bits, delta.wrapping_sub(self.delta) as i64);
        (self.last, self.delta) = (number, delta);
    }

    fn put_stale(&mut self, bits: &mut BitVec) {
        put_int(bits, 0);
    }

    fn read_first_count(&mut self, bits: &mut BitReader<'_>) {
        self.last = read_uint(bits);
    }

    fn read_first_bucket(&mut self, bits: &mut BitReader<'_>) {
        self.last = read_int(bits) as u64;
    }

    fn read(&mut self, bits: &mut BitReader<'_>) -> Result<(), ChunkError> {
        self.delta = self.delta.wrapping_add(read_int(bits) as u64);
        self.last = self.last.wrapping_add(self.delta);
        Ok(())
    }
}

impl Number for u64 {
    type Track = IntegerTrack;
    const IS_INTEGER: bool = true;

    fn after(self, before: u64) -> u64 {
        self.wrapping_sub(before)
    }

    fn back(written: u64, before: u64) -> u64 {
        before.wrapping_add(written)
    }

    fn to_float(self) -> f64 {
        self as f64
    }

    fn histogram(sample: Sample<u64>, layout: &Layout, hint: CounterResetHint) -> HistogramValue {
        let deltas = |counts: Vec<u64>| {
            let mut before = 0;
            counts
                .into_iter()
                .map(|count| count.after(std::mem::replace(&mut before, count)) as i64)
                .collect()
        };
        HistogramValue::Integer(Histogram {
            counter_reset_hint: hint,
            schema: layout.schema,
            zero_threshold: layout.zero_threshold,
            zero_count: sample.zero_count,
            count: sample.count,
            sum: sample.sum,
            positive_spans: layout.positive.clone(),
            negative_spans: layout.negative.clone(),
            positive_deltas: deltas(sample.positive),
            negative_deltas: deltas(sample.negative),
            custom_values: layout.custom_values.clone(),
        })
    }
}

/// Floats: XORed with the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct FloatTrack {
    last: f64,
    window: Window,
}

impl Default for FloatTrack {
    fn default() -> Self {
        FloatTrack { last: 0.0, window: Window::unset() }
    }
}

impl Track for FloatTrack {
    type Number = f64;

    fn last(&self) -> f64 {
        self.last
    }

    fn put_first_count(&mut self, bits: &mut BitVec, number: f64) {
        bits.put(number.to_bits(), 64);
        self.last = number;
    }

    fn put_first_bucket(&mut self, bits: &mut BitVec, number: f64) {
        self.put_first_count(bits, number);
    }

    fn put(&mut self, bits: &mut BitVec, number: f64) {
        self.window.put(bits, 0, number.to_bits() ^ self.last.to_bits());
        self.last = number;
    }

    fn put_stale(&mut self, bits: &mut BitVec) {
        self.put(bits, 0.0);
    }

    fn read_first_count(&mut self, bits: &mut BitReader<'_>) {
        self.last = f64::from_bits(bits.bits(64));
    }

    fn read_first_bucket(&mut self, bits: &mut BitReader<'_>) {
        self.read_first_count(bits);
    }

    fn read(&mut self, bits: &mut BitReader<'_>) -> Result<(), ChunkError> {
        self.last = f64::from_bits(self.last.to_bits() ^ self.window.read(bits)?);
        Ok(())
    }
}

impl Number for f64 {
    type Track = FloatTrack;
    const IS_INTEGER: bool = false;

    fn after(self, _: f64) -> f64 {
        self
    }

    fn back(written: f64, _: f64) -> f64 {
        written
    }

    fn to_float(self) -> f64 {
        self
    }

    fn histogram(sample: Sample<f64>, layout: &Layout, hint: CounterResetHint) -> HistogramValue {
        HistogramValue::Float(float_histogram(sample, layout, hint))
    }
}

/// A histogram of float counts, whatever they were.
pub(super) fn float_histogram<N: Number>(
    sample: Sample<N>,
    layout: &Layout,
    hint: CounterResetHint,
) -> FloatHistogram {
    let floats = |counts: Vec<N>| counts.into_iter().map(N::to_float).collect();
    FloatHistogram {
        counter_reset_hint: hint,
        schema: layout.schema,
        zero_threshold: layout.zero_threshold,
        zero_count: sample.zero_count.to_float(),
        count: sample.count.to_float(),
        sum: sample.sum,
        positive_spans: layout.positive.clone(),
        negative_spans: layout.negative.clone(),
        positive_buckets: floats(sample.positive),
        negative_buckets: floats(sample.negative),
        custom_values: layout.custom_values.clone(),
    }
}
