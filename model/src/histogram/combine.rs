//! Sums and differences of histograms.
//!
//! Two histograms are brought to the same layout first: zero buckets to the wider one, schemas to the coarser
//! one, custom bounds to those that both have. Then buckets of the same index are added. All of it is written
//! once for two kinds of number: plain floats, and floats that carry what rounding lost (Kahan's summation in
//! Neumaier's form), which aggregations use. [`Parts`] is a histogram of either kind.

use std::mem;
use std::ops::AddAssign;

use super::bounds::bucket_bound;
use super::buckets::Entries;
use super::layout::{Side, SideBuilder, compact, reduce};
use super::{CounterResetHint, FloatHistogram, Span};
use crate::kahan::Compensated;

/// One of the histograms has exponential buckets and the other custom ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot apply this operation on histograms with a mix of exponential and custom bucket schemas")]
pub struct IncompatibleSchemas;

/// What a user should know of a combination of two histograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Combined {
    /// One of them says that there was a counter reset, the other that there was none.
    pub counter_reset_conflict: bool,
    /// Their custom bounds differed; the result has those that both have.
    pub bounds_reconciled: bool,
}

impl FloatHistogram {
    /// Adds another histogram. Empty buckets may remain: see [`FloatHistogram::compact`].
    ///
    /// # Errors
    ///
    /// The histogram is as before then.
    pub fn add(&mut self, other: &FloatHistogram) -> Result<Combined, IncompatibleSchemas> {
        self.combine(other, 1.0)
    }

    /// Subtracts another histogram. The hint is that of a sum; for a difference that is a result of its own
    /// the caller makes it a gauge.
    ///
    /// # Errors
    ///
    /// The histogram is as before then.
    pub fn sub(&mut self, other: &FloatHistogram) -> Result<Combined, IncompatibleSchemas> {
        self.combine(other, -1.0)
    }

    fn combine(&mut self, other: &FloatHistogram, sign: f64) -> Result<Combined, IncompatibleSchemas> {
        let mut parts = Parts::<f64>::of(mem::take(self));
        let combined = parts.add(other, sign);
        *self = parts.into_histogram();
        combined
    }

    /// Multiplies all counts and the sum. A negative factor makes it a gauge.
    pub fn mul(&mut self, factor: f64) {
        self.for_each_number(|number| *number *= factor);
        if factor < 0.0 {
            self.counter_reset_hint = CounterResetHint::Gauge;
        }
    }

    /// Divides all counts and the sum. A negative divisor makes it a gauge; division by zero leaves no
    /// buckets.
    pub fn div(&mut self, divisor: f64) {
        if divisor == 0.0 {
            self.positive_spans.clear();
            self.positive_buckets.clear();
            self.negative_spans.clear();
            self.negative_buckets.clear();
        }
        self.for_each_number(|number| *number /= divisor);
        if divisor < 0.0 {
            self.counter_reset_hint = CounterResetHint::Gauge;
        }
    }

    /// Whether a count or the sum is beyond `limit`, above or below 0.
    pub fn exceeds(&self, limit: f64) -> bool {
        let buckets = self.positive_buckets.iter().chain(&self.negative_buckets);
        [&self.zero_count, &self.count, &self.sum].into_iter().chain(buckets).any(|n| n.abs() > limit)
    }

    fn for_each_number(&mut self, change: impl FnMut(&mut f64)) {
        let buckets = self.positive_buckets.iter_mut().chain(&mut self.negative_buckets);
        [&mut self.zero_count, &mut self.count, &mut self.sum].into_iter().chain(buckets).for_each(change);
    }
}

/// A sum of histograms that carries along what rounding lost.
#[derive(Clone, Debug)]
pub struct HistogramSum(Parts<Compensated>);

impl HistogramSum {
    /// The sum of one histogram.
    pub fn new(first: &FloatHistogram) -> Self {
        HistogramSum(Parts::of(first.clone()))
    }

    /// Adds another.
    ///
    /// # Errors
    ///
    /// The sum is as before then.
    pub fn add(&mut self, other: &FloatHistogram) -> Result<Combined, IncompatibleSchemas> {
        self.0.add(other, 1.0)
    }

    /// Multiplies the sum by a factor that isn't negative.
    pub fn mul(&mut self, factor: f64) {
        self.0.for_each_number(|number| {
            number.value *= factor;
            number.lost *= factor;
        });
    }

    /// Divides the sum by a number above 0.
    pub fn div(&mut self, divisor: f64) {
        self.0.for_each_number(|number| {
            number.value /= divisor;
            number.lost /= divisor;
        });
    }

    /// Whether a count or the sum is infinite, or a custom bound is.
    pub fn has_overflow(&self) -> bool {
        self.0.numbers().any(|number| number.value.is_infinite())
            || self.0.custom_values.iter().any(|bound| bound.is_infinite())
    }

    /// Whether a count or the sum is beyond `limit`, above or below 0.
    pub fn exceeds(&self, limit: f64) -> bool {
        self.0.numbers().any(|number| number.value.abs() > limit)
    }

    /// The hint of the sum.
    pub fn counter_reset_hint(&self) -> CounterResetHint {
        self.0.hint
    }

    /// The sum as a histogram; may have empty buckets.
    pub fn total(&self) -> FloatHistogram {
        self.0.clone().into_histogram()
    }
}

/// A number that is added to.
trait Number: Copy + Default + AddAssign + From<f64> + Into<f64> {
    /// Without what rounding lost.
    fn plain(self) -> f64;

    /// Whether adding it changes nothing.
    fn is_empty(&self) -> bool;
}

impl Number for f64 {
    fn plain(self) -> f64 {
        self
    }

    fn is_empty(&self) -> bool {
        *self == 0.0
    }
}

impl Number for Compensated {
    fn plain(self) -> f64 {
        self.value
    }

    fn is_empty(&self) -> bool {
        self.value == 0.0 && self.lost == 0.0
    }
}

/// A histogram of numbers of one kind.
#[derive(Clone, Debug)]
struct Parts<T> {
    hint: CounterResetHint,
    schema: i32,
    zero_threshold: f64,
    zero_count: T,
    count: T,
    sum: T,
    positive: Side<T>,
    negative: Side<T>,
    custom_values: Vec<f64>,
}

impl<T: Number> Parts<T> {
    fn of(h: FloatHistogram) -> Self {
        let numbers = |counts: Vec<f64>| counts.into_iter().map(T::from).collect();
        Parts {
            hint: h.counter_reset_hint,
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            zero_count: h.zero_count.into(),
            count: h.count.into(),
            sum: h.sum.into(),
            positive: Side { spans: h.positive_spans, counts: numbers(h.positive_buckets) },
            negative: Side { spans: h.negative_spans, counts: numbers(h.negative_buckets) },
            custom_values: h.custom_values,
        }
    }

    fn into_histogram(self) -> FloatHistogram {
        let floats = |counts: Vec<T>| counts.into_iter().map(T::into).collect();
        FloatHistogram {
            counter_reset_hint: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count.into(),
            count: self.count.into(),
            sum: self.sum.into(),
            positive_spans: self.positive.spans,
            negative_spans: self.negative.spans,
            positive_buckets: floats(self.positive.counts),
            negative_buckets: floats(self.negative.counts),
            custom_values: self.custom_values,
        }
    }

    fn for_each_number(&mut self, change: impl FnMut(&mut T)) {
        let buckets = self.positive.counts.iter_mut().chain(&mut self.negative.counts);
        [&mut self.zero_count, &mut self.count, &mut self.sum].into_iter().chain(buckets).for_each(change);
    }

    fn numbers(&self) -> impl Iterator<Item = &T> {
        let buckets = self.positive.counts.iter().chain(&self.negative.counts);
        [&self.zero_count, &self.count, &self.sum].into_iter().chain(buckets)
    }

    /// Adds `sign` times the other.
    fn add(&mut self, other: &FloatHistogram, sign: f64) -> Result<Combined, IncompatibleSchemas> {
        let custom = other.has_custom_buckets();
        if custom != (self.schema == super::CUSTOM_BUCKETS_SCHEMA) {
            return Err(IncompatibleSchemas);
        }
        let (hint, counter_reset_conflict) = combined_hint(self.hint, other.counter_reset_hint);
        self.hint = hint;
        self.count += T::from(sign * other.count);
        self.sum += T::from(sign * other.sum);
        let bounds_reconciled = custom && self.custom_values != other.custom_values;
        if bounds_reconciled {
            self.add_other_bounds(other, sign);
        } else if custom {
            add_side(&mut self.positive, &other.positive_spans, &other.positive_buckets, sign, |_| true);
        } else {
            self.add_exponential(other, sign);
        }
        Ok(Combined { counter_reset_conflict, bounds_reconciled })
    }

    fn add_exponential(&mut self, other: &FloatHistogram, sign: f64) {
        let zero_count = self.reconcile_zero_buckets(other);
        self.zero_count += T::from(sign * zero_count);
        if other.schema < self.schema {
            let steps = self.schema.abs_diff(other.schema);
            self.positive = reduce(self.positive.entries(), steps);
            self.negative = reduce(self.negative.entries(), steps);
            self.schema = other.schema;
        }
        let steps = other.schema.abs_diff(self.schema);
        let theirs = [
            (&mut self.positive, &other.positive_spans, &other.positive_buckets),
            (&mut self.negative, &other.negative_spans, &other.negative_buckets),
        ];
        // Buckets inside the zero bucket were counted there. They are told by their own, finer bounds: a
        // coarser bucket may reach out of the zero bucket while what is in it doesn't.
        let threshold = self.zero_threshold;
        let outside = |index| threshold == 0.0 || bucket_bound(index, other.schema, &[]) > threshold;
        for (side, spans, counts) in theirs {
            if steps == 0 {
                add_side(side, spans, counts, sign, outside);
            } else {
                let outer = Entries::new(spans, counts).filter(|(index, _)| outside(*index));
                let reduced = reduce(outer, steps);
                add_side(side, &reduced.spans, &reduced.counts, sign, |_| true);
            }
        }
    }

    /// Widens the own zero bucket until it takes in that of the other, and neither histogram has a populated
    /// bucket that is partly inside. Returns what the other's zero bucket would count then.
    fn reconcile_zero_buckets(&mut self, other: &FloatHistogram) -> f64 {
        let theirs = Zero::of(other);
        let (mut count, mut threshold) = (other.zero_count, other.zero_threshold);
        // Thresholds only grow, to one of finitely many bounds; a NaN is equal to nothing and ends it.
        while threshold != self.zero_threshold {
            if self.zero_threshold > threshold {
                (count, threshold) = theirs.widened(self.zero_threshold);
            } else if threshold > self.zero_threshold {
                let ours = Zero {
                    count: self.zero_count,
                    schema: self.schema,
                    positive: self.positive.entries(),
                    negative: self.negative.entries(),
                };
                (self.zero_count, self.zero_threshold) = ours.widened(threshold);
                self.drop_inside_zero_bucket();
            } else {
                break;
            }
        }
        count
    }

    fn drop_inside_zero_bucket(&mut self) {
        for side in [&mut self.positive, &mut self.negative] {
            let mut kept = SideBuilder::new();
            for (index, count) in side.entries() {
                if bucket_bound(index.wrapping_sub(1), self.schema, &[]) >= self.zero_threshold {
                    kept.push(index, count);
                }
            }
            *side = compact(kept.build().entries(), 0, T::is_empty);
        }
    }

    /// Adds a histogram with other custom bounds: both come to the bounds that both have.
    fn add_other_bounds(&mut self, other: &FloatHistogram, sign: f64) {
        let bounds = common_bounds(&self.custom_values, &other.custom_values);
        let mut counts = vec![T::default(); bounds.len() + 1];
        let place = |index: i32, from: &[f64]| match from.get(index.max(0) as usize) {
            Some(bound) => bounds.partition_point(|common| common < bound),
            None => bounds.len(),
        };
        for (index, count) in self.positive.entries() {
            counts[place(index, &self.custom_values)] += count;
        }
        for (index, count) in Entries::new(&other.positive_spans, &other.positive_buckets) {
            counts[place(index, &other.custom_values)] += T::from(sign * count);
        }
        let all = [Span { offset: 0, length: counts.len() as u32 }];
        self.positive = compact(Entries::new(&all, &counts), 0, T::is_empty);
        self.custom_values = bounds;
    }
}

/// The zero bucket of a histogram and what is around it.
struct Zero<'a, T> {
    count: T,
    schema: i32,
    positive: Entries<'a, T>,
    negative: Entries<'a, T>,
}

impl<'a> Zero<'a, f64> {
    fn of(h: &'a FloatHistogram) -> Self {
        Zero {
            count: h.zero_count,
            schema: h.schema,
            positive: Entries::new(&h.positive_spans, &h.positive_buckets),
            negative: Entries::new(&h.negative_spans, &h.negative_buckets),
        }
    }
}

impl<T: Number> Zero<'_, T> {
    /// What the zero bucket would count if it reached to `threshold`, or to the end of a populated bucket
    /// that this is inside of; and how far it then reaches.
    fn widened(&self, mut threshold: f64) -> (T, f64) {
        loop {
            let mut count = self.count;
            let reached = threshold;
            for side in [&self.positive, &self.negative] {
                for (index, bucket) in side.clone() {
                    if bucket_bound(index.wrapping_sub(1), self.schema, &[]) >= threshold {
                        break;
                    }
                    count += bucket;
                    let upper = bucket_bound(index, self.schema, &[]);
                    if upper > threshold && bucket.plain() != 0.0 {
                        threshold = upper;
                    }
                }
            }
            // If the second side moved it, the first has to be looked at again.
            if threshold == reached {
                return (count, threshold);
            }
        }
    }
}

/// What the zero bucket of a histogram would count if it reached to `threshold`, which isn't below its own,
/// or to the end of a populated bucket that this is inside of; and how far it then reaches.
pub(super) fn zero_count_within(h: &FloatHistogram, threshold: f64) -> (f64, f64) {
    if threshold == h.zero_threshold {
        return (h.zero_count, threshold);
    }
    Zero::of(h).widened(threshold)
}

/// Adds `sign` times the counts to a side, but for those whose index isn't wanted.
fn add_side<T: Number>(
    side: &mut Side<T>,
    spans: &[Span],
    counts: &[f64],
    sign: f64,
    wanted: impl Fn(i32) -> bool,
) {
    let first_wanted = spans.first().is_none_or(|span| wanted(span.offset));
    if side.spans == spans && side.counts.len() == counts.len() && first_wanted {
        for (ours, theirs) in side.counts.iter_mut().zip(counts) {
            *ours += T::from(sign * theirs);
        }
        return;
    }
    let mut merged = SideBuilder::new();
    let mut theirs = Entries::new(spans, counts).filter(|(index, _)| wanted(*index)).peekable();
    for (index, mut count) in side.entries() {
        while let Some((before, float)) = theirs.next_if(|(theirs, _)| *theirs < index) {
            merged.push(before, T::from(sign * float));
        }
        if let Some((_, float)) = theirs.next_if(|(theirs, _)| *theirs == index) {
            count += T::from(sign * float);
        }
        merged.push(index, count);
    }
    for (index, float) in theirs {
        merged.push(index, T::from(sign * float));
    }
    *side = merged.build();
}

/// The bounds that are in both.
pub(super) fn common_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut rest = b;
    let mut common = Vec::new();
    for bound in a {
        rest = &rest[rest.partition_point(|other| other < bound)..];
        if rest.first() == Some(bound) {
            common.push(*bound);
        }
    }
    common
}

/// The hint of a combination, and whether the two contradict each other.
fn combined_hint(a: CounterResetHint, b: CounterResetHint) -> (CounterResetHint, bool) {
    use CounterResetHint::{Gauge, Unknown};
    match (a, b) {
        _ if a == b => (a, false),
        (Gauge, _) | (_, Gauge) => (Gauge, false),
        (Unknown, _) | (_, Unknown) => (Unknown, false),
        _ => (Unknown, true),
    }
}
