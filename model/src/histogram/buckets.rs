//! Going through buckets, from either end.

use std::fmt;

use super::bounds::bucket_bound;
use super::{FloatHistogram, Span};
use crate::float_text;

/// One bucket with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
    /// Whether the lower bound belongs to the bucket.
    pub lower_inclusive: bool,
    /// Whether the upper bound belongs to the bucket.
    pub upper_inclusive: bool,
    /// Observations in it.
    pub count: f64,
    /// The index in its schema; of no meaning for the zero bucket.
    pub index: i32,
}

impl Bucket {
    /// The share of the bucket's width that is below `value`, which is inside its finite bounds:
    /// interpolated linearly (custom bounds, zero bucket), or else on the scale of logarithms.
    pub fn fraction_below(&self, value: f64, linear: bool) -> f64 {
        if linear {
            return (value - self.lower) / (self.upper - self.lower);
        }
        let [lower, upper, value_log] = [self.lower, self.upper, value].map(|bound| bound.abs().log2());
        if value > 0.0 {
            (value_log - lower) / (upper - lower)
        } else {
            1.0 - (value_log - upper) / (lower - upper)
        }
    }
}

impl fmt::Display for Bucket {
    /// `[lower,upper):count`, with the brackets of closed and open intervals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.lower_inclusive { '[' } else { '(' };
        let close = if self.upper_inclusive { ']' } else { ')' };
        let [lower, upper, count] = [self.lower, self.upper, self.count].map(float_text::general);
        write!(f, "{open}{lower},{upper}{close}:{count}")
    }
}

/// The indexes of buckets and what goes with each, in order of the index. Where spans and buckets don't
/// match, it ends with the shorter.
#[derive(Clone, Debug)]
pub(super) struct Entries<'a, T> {
    spans: &'a [Span],
    counts: &'a [T],
    /// Index of the next from the front.
    front: i32,
    /// How many of the first span were given out at the front.
    front_used: u32,
    /// Index after the next from the back.
    back: i32,
    /// How many of the last span were given out at the back.
    back_used: u32,
}

impl<'a, T: Copy> Entries<'a, T> {
    pub(super) fn new(spans: &'a [Span], counts: &'a [T]) -> Self {
        let front = spans.first().map_or(0, |span| span.offset);
        let back = spans
            .iter()
            .fold(0_i32, |end, span| end.wrapping_add(span.offset).wrapping_add(span.length as i32));
        Entries { spans, counts, front, front_used: 0, back, back_used: 0 }
    }

    /// Whether all of the outermost span were given out.
    fn used_up(&self, outermost: &Span) -> bool {
        let used = if self.spans.len() == 1 {
            u64::from(self.front_used) + u64::from(self.back_used)
        } else if std::ptr::eq(outermost, &self.spans[0]) {
            u64::from(self.front_used)
        } else {
            u64::from(self.back_used)
        };
        used >= u64::from(outermost.length)
    }
}

impl<T: Copy> Iterator for Entries<'_, T> {
    type Item = (i32, T);

    fn next(&mut self) -> Option<Self::Item> {
        let (count, rest) = self.counts.split_first()?;
        while self.used_up(self.spans.first()?) {
            self.spans = &self.spans[1..];
            self.front = self.front.wrapping_add(self.spans.first()?.offset);
            self.front_used = 0;
        }
        let index = self.front;
        self.front = index.wrapping_add(1);
        self.front_used += 1;
        self.counts = rest;
        Some((index, *count))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.counts.len()))
    }
}

impl<T: Copy> DoubleEndedIterator for Entries<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let (count, rest) = self.counts.split_last()?;
        while self.used_up(self.spans.last()?) {
            let (last, before) = self.spans.split_last()?;
            self.back = self.back.wrapping_sub(last.offset);
            self.spans = before;
            self.back_used = 0;
        }
        self.back = self.back.wrapping_sub(1);
        self.back_used += 1;
        self.counts = rest;
        Some((self.back, *count))
    }
}

impl FloatHistogram {
    /// The positive buckets, from the zero bucket up; empty ones included where a span has them.
    pub fn positive(&self) -> impl DoubleEndedIterator<Item = Bucket> + Clone {
        let entries = Entries::new(&self.positive_spans, &self.positive_buckets);
        let custom = self.has_custom_buckets();
        entries.map(move |(index, count)| {
            let lower = bucket_bound(index.wrapping_sub(1), self.schema, &self.custom_values);
            let upper = bucket_bound(index, self.schema, &self.custom_values);
            let lower_inclusive = if custom { index == 0 } else { lower < 0.0 };
            Bucket { lower, upper, lower_inclusive, upper_inclusive: custom || upper > 0.0, count, index }
        })
    }

    /// The negative buckets, from the zero bucket down.
    pub fn negative(&self) -> impl DoubleEndedIterator<Item = Bucket> + Clone {
        let entries = Entries::new(&self.negative_spans, &self.negative_buckets);
        entries.map(|(index, count)| {
            let lower = -bucket_bound(index, self.schema, &self.custom_values);
            let upper = -bucket_bound(index.wrapping_sub(1), self.schema, &self.custom_values);
            let (lower_inclusive, upper_inclusive) = (lower < 0.0, upper > 0.0);
            Bucket { lower, upper, lower_inclusive, upper_inclusive, count, index }
        })
    }

    /// The zero bucket, closed at both ends. Histograms with custom bounds have none.
    pub fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
            index: 0,
        }
    }

    /// All buckets from the lowest to the highest, the zero bucket among them if it isn't empty. Buckets that
    /// reach into the zero bucket begin where it ends.
    pub fn all_buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + Clone {
        let zero = (self.zero_count > 0.0).then(|| self.zero_bucket());
        let threshold = self.zero_threshold;
        let outside = move |mut bucket: Bucket| {
            if bucket.upper < 0.0 && bucket.upper > -threshold {
                bucket.upper = -threshold;
            } else if bucket.lower > 0.0 && bucket.lower < threshold {
                bucket.lower = threshold;
            }
            bucket
        };
        let below = self.negative().rev().map(outside);
        below.chain(zero).chain(self.positive().map(outside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(pairs: &[(i32, u32)]) -> Vec<Span> {
        pairs.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect()
    }

    #[test]
    fn entries_are_the_same_from_both_ends() {
        for layout in [
            vec![],
            vec![(0, 3)],
            vec![(-2, 2), (3, 1)],
            vec![(5, 0), (1, 2), (0, 1), (4, 0), (2, 1), (7, 0)],
            vec![(0, 0), (0, 0)],
        ] {
            let spans = spans(&layout);
            let length: u32 = spans.iter().map(|s| s.length).sum();
            let counts: Vec<u32> = (0..length).collect();
            let forward: Vec<_> = Entries::new(&spans, &counts).collect();
            let mut backward: Vec<_> = Entries::new(&spans, &counts).rev().collect();
            backward.reverse();
            assert_eq!(forward, backward, "{layout:?}");
            assert_eq!(forward.len(), length as usize);
            let mut both = Entries::new(&spans, &counts);
            let mut met = 0;
            while both.next().is_some() {
                met += 1 + usize::from(both.next_back().is_some());
            }
            assert_eq!(met, length as usize);
        }
    }

    #[test]
    fn spans_and_buckets_that_do_not_match_end_with_the_shorter() {
        let more_spans = spans(&[(i32::MAX, u32::MAX), (i32::MAX, 5)]);
        assert_eq!(Entries::new(&more_spans, &[1.0, 2.0]).count(), 2);
        assert_eq!(Entries::new(&more_spans, &[1.0, 2.0]).rev().count(), 2);
        assert_eq!(Entries::new(&spans(&[(0, 1)]), &[1.0, 2.0]).count(), 1);
        assert_eq!(Entries::new(&spans(&[(0, 1)]), &[1.0, 2.0]).rev().count(), 1);
    }

    #[test]
    fn all_buckets_go_from_the_lowest_to_the_highest() {
        let histogram = FloatHistogram {
            schema: 0,
            zero_threshold: 0.6,
            zero_count: 3.0,
            positive_spans: spans(&[(0, 1), (1, 1)]),
            positive_buckets: vec![4.0, 5.0],
            negative_spans: spans(&[(0, 2)]),
            negative_buckets: vec![2.0, 1.0],
            ..Default::default()
        };
        let texts: Vec<String> = histogram.all_buckets().map(|bucket| bucket.to_string()).collect();
        assert_eq!(texts, ["[-2,-1):1", "[-1,-0.6):2", "[-0.6,0.6]:3", "(0.6,1]:4", "(2,4]:5"]);
    }
}
