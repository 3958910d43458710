//! Equality as data, conversion, size.

use super::layout::absolute;
use super::{FloatHistogram, Histogram, Span};

/// Size of a float sample in memory; histograms count as so many of them in limits.
const FLOAT_SAMPLE_BYTES: usize = 16;
/// What the reference counts for a histogram without its lists, with its timestamp.
const FIXED_BYTES: usize = 168 + 8;
/// A span, a bucket, a bound: each is as long.
const ELEMENT_BYTES: usize = 8;

impl FloatHistogram {
    /// Whether both are the same data: the same buckets, empty ones too, with the same bits, the same count,
    /// sum and zero bucket. Spans may be cut differently; the hint doesn't matter.
    pub fn equals(&self, other: &FloatHistogram) -> bool {
        let bits = |h: &FloatHistogram| [h.count, h.sum, h.zero_count].map(f64::to_bits);
        self.schema == other.schema
            && bits(self) == bits(other)
            && self.zero_threshold == other.zero_threshold
            && (!self.has_custom_buckets() || self.custom_values == other.custom_values)
            && same_places(&self.positive_spans, &other.positive_spans)
            && same_places(&self.negative_spans, &other.negative_spans)
            && same_bits(&self.positive_buckets, &other.positive_buckets)
            && same_bits(&self.negative_buckets, &other.negative_buckets)
    }

    /// For how many float samples it counts in limits.
    pub fn sample_weight(&self) -> usize {
        let elements = self.positive_spans.len()
            + self.negative_spans.len()
            + self.positive_buckets.len()
            + self.negative_buckets.len()
            + self.custom_values.len();
        (FIXED_BYTES + elements * ELEMENT_BYTES) / FLOAT_SAMPLE_BYTES
    }
}

impl Histogram {
    /// The same histogram with float counts.
    pub fn to_float(&self) -> FloatHistogram {
        let floats = |deltas| absolute(deltas).into_iter().map(|count| count.0 as f64).collect();
        let custom = self.has_custom_buckets();
        let unless_custom = |spans: &Vec<Span>| if custom { Vec::new() } else { spans.clone() };
        FloatHistogram {
            counter_reset_hint: self.counter_reset_hint,
            schema: self.schema,
            zero_threshold: if custom { 0.0 } else { self.zero_threshold },
            zero_count: if custom { 0.0 } else { self.zero_count as f64 },
            count: self.count as f64,
            sum: self.sum,
            positive_spans: self.positive_spans.clone(),
            negative_spans: unless_custom(&self.negative_spans),
            positive_buckets: floats(&self.positive_deltas),
            negative_buckets: if custom { Vec::new() } else { floats(&self.negative_deltas) },
            custom_values: if custom { self.custom_values.clone() } else { Vec::new() },
        }
    }
}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// Whether spans have the same buckets. Spans without buckets are only distance.
fn same_places(a: &[Span], b: &[Span]) -> bool {
    populated(a).eq(populated(b))
}

/// Spans that have buckets, with the distance from the one before.
fn populated(spans: &[Span]) -> impl Iterator<Item = (i32, u32)> {
    let mut distance = 0_i32;
    spans.iter().filter_map(move |span| {
        distance = distance.wrapping_add(span.offset);
        (span.length > 0).then(|| (std::mem::take(&mut distance), span.length))
    })
}
