//! Counter resets between two histograms.

use super::bounds::bucket_bound;
use super::buckets::Entries;
use super::combine::{common_bounds, zero_count_within};
use super::layout::coarser_index;
use super::{CounterResetHint, FloatHistogram, Span};

impl FloatHistogram {
    /// Whether the counter was reset between `previous` and this histogram: the hint says so, or the count,
    /// the zero bucket or a bucket went down. A finer schema, a narrower zero bucket, or one that ends inside
    /// a bucket with observations before, can't come to be without a reset either.
    ///
    /// Gauges are compared as if they were counters: whoever asks this of a gauge gets a warning elsewhere.
    pub fn detect_reset(&self, previous: &FloatHistogram) -> bool {
        match self.counter_reset_hint {
            CounterResetHint::CounterReset => return true,
            CounterResetHint::NotCounterReset => return false,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
        if self.count < previous.count {
            return true;
        }
        if self.has_custom_buckets() {
            if !previous.has_custom_buckets() {
                return true;
            }
            if self.custom_values != previous.custom_values {
                return self.went_down_in_common_bounds(previous);
            }
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        if !self.has_custom_buckets() {
            let (zero_count, threshold) = zero_count_within(previous, self.zero_threshold);
            if threshold != self.zero_threshold || self.zero_count < zero_count {
                return true;
            }
        }
        self.side_went_down(previous, |h| (&h.positive_spans, &h.positive_buckets))
            || self.side_went_down(previous, |h| (&h.negative_spans, &h.negative_buckets))
    }

    /// Whether a bucket outside the zero bucket went down, in the own schema, which isn't finer.
    fn side_went_down(
        &self,
        previous: &FloatHistogram,
        side: impl Fn(&FloatHistogram) -> (&Vec<Span>, &Vec<f64>),
    ) -> bool {
        let threshold = self.zero_threshold;
        let outside = |index, schema| {
            self.has_custom_buckets() || threshold == 0.0 || bucket_bound(index, schema, &[]) > threshold
        };
        let (spans, counts) = side(self);
        let mut now =
            Entries::new(spans, counts).filter(|(index, _)| outside(*index, self.schema)).peekable();
        let (spans, counts) = side(previous);
        let steps = previous.schema.abs_diff(self.schema);
        let coarser = |index| if steps == 0 { index } else { coarser_index(index, steps) };
        let mut before = Entries::new(spans, counts)
            .filter(|(index, _)| outside(*index, previous.schema))
            .map(|(index, count)| (coarser(index), count))
            .peekable();
        while let Some((index, mut count)) = before.next() {
            while let Some((_, more)) = before.next_if(|(next, _)| *next == index) {
                count += more;
            }
            while now.next_if(|(other, _)| *other < index).is_some() {}
            let down = match now.next_if(|(other, _)| *other == index) {
                Some((_, present)) => present < count,
                None => count != 0.0,
            };
            if down {
                return true;
            }
        }
        false
    }

    /// Whether a bucket between two bounds that both histograms have went down.
    fn went_down_in_common_bounds(&self, previous: &FloatHistogram) -> bool {
        let bounds = common_bounds(&self.custom_values, &previous.custom_values);
        let within = |h: &FloatHistogram| {
            let mut counts = vec![0.0; bounds.len() + 1];
            for bucket in h.positive() {
                counts[bounds.partition_point(|bound| *bound < bucket.upper)] += bucket.count;
            }
            counts
        };
        within(self).iter().zip(within(previous)).any(|(now, before)| *now < before)
    }
}
