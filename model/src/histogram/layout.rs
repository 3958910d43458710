//! Where buckets are: building spans, leaving out empty buckets, coarser schemas.

use std::num::Wrapping;
use std::ops::AddAssign;

use super::buckets::Entries;
use super::validate::InvalidHistogram;
use super::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Histogram, Span};

/// The indexes of the buckets of spans, in order.
pub fn bucket_indexes(spans: &[Span]) -> impl Iterator<Item = i32> + '_ {
    let mut end = 0_i32;
    spans.iter().flat_map(move |span| {
        let start = end.wrapping_add(span.offset);
        end = start.wrapping_add(span.length as i32);
        (0..span.length).map(move |place| start.wrapping_add(place as i32))
    })
}

/// Makes spans of the indexes of buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanBuilder {
    spans: Vec<Span>,
    /// Index after the last bucket.
    end: i32,
}

impl SpanBuilder {
    /// Appends a bucket; indexes rise.
    pub fn push(&mut self, index: i32) {
        let gap = index.wrapping_sub(self.end);
        match self.spans.last_mut() {
            Some(last) if gap == 0 => last.length += 1,
            _ => self.spans.push(Span { offset: gap, length: 1 }),
        }
        self.end = index.wrapping_add(1);
    }

    /// The spans.
    pub fn into_spans(self) -> Vec<Span> {
        self.spans
    }
}

/// Buckets of one sign: as many counts as the spans have places.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Side<T> {
    pub(super) spans: Vec<Span>,
    pub(super) counts: Vec<T>,
}

impl<T: Copy> Side<T> {
    /// Indexes and counts.
    pub(super) fn entries(&self) -> Entries<'_, T> {
        Entries::new(&self.spans, &self.counts)
    }
}

/// Makes a side bucket by bucket.
#[derive(Debug)]
pub(super) struct SideBuilder<T> {
    spans: SpanBuilder,
    counts: Vec<T>,
}

impl<T: Copy> SideBuilder<T> {
    pub(super) fn new() -> Self {
        SideBuilder { spans: SpanBuilder::default(), counts: Vec::new() }
    }

    /// Appends a bucket; indexes rise.
    pub(super) fn push(&mut self, index: i32, count: T) {
        self.spans.push(index);
        self.counts.push(count);
    }

    /// The side.
    pub(super) fn build(self) -> Side<T> {
        Side { spans: self.spans.into_spans(), counts: self.counts }
    }
}

/// The index that a bucket is part of in a schema coarser by so many steps.
pub(super) fn coarser_index(index: i32, steps: u32) -> i32 {
    (index.wrapping_sub(1) >> steps.min(31)).wrapping_add(1)
}

/// Merges the buckets that a schema coarser by so many steps doesn't tell apart.
pub(super) fn reduce<T: Copy + AddAssign>(entries: impl Iterator<Item = (i32, T)>, steps: u32) -> Side<T> {
    let mut side = SideBuilder::new();
    for (index, count) in entries {
        let index = coarser_index(index, steps);
        match side.counts.last_mut() {
            Some(last) if side.spans.end == index.wrapping_add(1) => *last += count,
            _ => side.push(index, count),
        }
    }
    side.build()
}

/// Leaves out empty buckets where more than `empty_max` of them follow each other, and those at either end.
/// Gaps of at most `empty_max` become empty buckets.
pub(super) fn compact<T: Copy + Default>(
    entries: Entries<'_, T>,
    empty_max: u32,
    is_empty: impl Fn(&T) -> bool,
) -> Side<T> {
    let mut side = SideBuilder::new();
    for (index, count) in entries.filter(|(_, count)| !is_empty(count)) {
        let gap = i64::from(index) - i64::from(side.spans.end);
        if !side.counts.is_empty() && gap > 0 && gap <= i64::from(empty_max) {
            for empty in side.spans.end..index {
                side.push(empty, T::default());
            }
        }
        side.push(index, count);
    }
    side.build()
}

/// Whether a layout has nothing that [`compact`] with no empty buckets allowed would change.
fn is_compact(spans: &[Span], counts: &[f64]) -> bool {
    counts.iter().all(|count| *count != 0.0)
        && spans.iter().all(|span| span.length > 0)
        && spans.iter().skip(1).all(|span| span.offset > 0)
}

impl FloatHistogram {
    /// Leaves out empty buckets where more than `empty_max` of them follow each other, and those at either
    /// end of a span. Gaps of at most `empty_max` become empty buckets.
    pub fn compact(&mut self, empty_max: u32) {
        let sides = [
            (&mut self.positive_spans, &mut self.positive_buckets),
            (&mut self.negative_spans, &mut self.negative_buckets),
        ];
        for (spans, counts) in sides {
            if empty_max == 0 && is_compact(spans, counts) {
                continue;
            }
            let side = compact(Entries::new(spans, counts), empty_max, |count| *count == 0.0);
            (*spans, *counts) = (side.spans, side.counts);
        }
    }

    /// Merges buckets to those of a coarser exponential schema.
    ///
    /// # Errors
    ///
    /// If the histogram has custom bounds, the schema isn't coarser, or spans and buckets don't match. The
    /// histogram is as before then.
    pub fn reduce_resolution(&mut self, schema: i32) -> Result<(), InvalidHistogram> {
        let steps = steps_between(self.schema, schema)?;
        super::validate::check_spans(&self.positive_spans, self.positive_buckets.len())?;
        super::validate::check_spans(&self.negative_spans, self.negative_buckets.len())?;
        let positive = reduce(Entries::new(&self.positive_spans, &self.positive_buckets), steps);
        let negative = reduce(Entries::new(&self.negative_spans, &self.negative_buckets), steps);
        (self.positive_spans, self.positive_buckets) = (positive.spans, positive.counts);
        (self.negative_spans, self.negative_buckets) = (negative.spans, negative.counts);
        self.schema = schema;
        Ok(())
    }

    /// A copy with the buckets of a schema that isn't finer. Histograms with custom bounds, and those that
    /// are as coarse already, are copied as they are.
    pub fn copy_to_schema(&self, schema: i32) -> Self {
        let mut copy = self.clone();
        if schema < self.schema && !self.has_custom_buckets() && schema != CUSTOM_BUCKETS_SCHEMA {
            let steps = self.schema.abs_diff(schema);
            let positive = reduce(Entries::new(&self.positive_spans, &self.positive_buckets), steps);
            let negative = reduce(Entries::new(&self.negative_spans, &self.negative_buckets), steps);
            (copy.positive_spans, copy.positive_buckets) = (positive.spans, positive.counts);
            (copy.negative_spans, copy.negative_buckets) = (negative.spans, negative.counts);
            copy.schema = schema;
        }
        copy
    }
}

/// How much coarser a schema is.
fn steps_between(from: i32, to: i32) -> Result<u32, InvalidHistogram> {
    if from == CUSTOM_BUCKETS_SCHEMA {
        return Err(InvalidHistogram::ReducesCustom);
    }
    if to == CUSTOM_BUCKETS_SCHEMA {
        return Err(InvalidHistogram::ReducesToCustom);
    }
    if to >= from {
        return Err(InvalidHistogram::NotCoarser { from, to });
    }
    Ok(from.abs_diff(to))
}

impl Histogram {
    /// As [`FloatHistogram::compact`].
    pub fn compact(&mut self, empty_max: u32) {
        let sides = [
            (&mut self.positive_spans, &mut self.positive_deltas),
            (&mut self.negative_spans, &mut self.negative_deltas),
        ];
        for (spans, deltas) in sides {
            let counts = absolute(deltas);
            let side = compact(Entries::new(spans, &counts), empty_max, |count| count.0 == 0);
            (*spans, *deltas) = (side.spans, differences(&side.counts));
        }
    }

    /// As [`FloatHistogram::reduce_resolution`].
    pub fn reduce_resolution(&mut self, schema: i32) -> Result<(), InvalidHistogram> {
        let steps = steps_between(self.schema, schema)?;
        super::validate::check_spans(&self.positive_spans, self.positive_deltas.len())?;
        super::validate::check_spans(&self.negative_spans, self.negative_deltas.len())?;
        let sides = [
            (&mut self.positive_spans, &mut self.positive_deltas),
            (&mut self.negative_spans, &mut self.negative_deltas),
        ];
        for (spans, deltas) in sides {
            let counts = absolute(deltas);
            let side = reduce(Entries::new(spans, &counts), steps);
            (*spans, *deltas) = (side.spans, differences(&side.counts));
        }
        self.schema = schema;
        Ok(())
    }
}

/// Counts from the differences between them.
pub(super) fn absolute(deltas: &[i64]) -> Vec<Wrapping<i64>> {
    let mut count = Wrapping(0);
    deltas
        .iter()
        .map(|delta| {
            count += Wrapping(*delta);
            count
        })
        .collect()
}

/// The differences between counts.
fn differences(counts: &[Wrapping<i64>]) -> Vec<i64> {
    let mut before = Wrapping(0);
    counts.iter().map(|count| (*count - std::mem::replace(&mut before, *count)).0).collect()
}
