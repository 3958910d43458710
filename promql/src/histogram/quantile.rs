//! Quantiles of native histograms.

use model::histogram::{Bucket, FloatHistogram};

use super::quantile_outside;

/// Observations that were NaN: they are in the count and in no bucket, as if they were above all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NanObservations {
    /// The quantile is among them.
    AreTheResult,
    /// The quantile is higher than without them.
    SkewTheResult,
}

/// What [`quantile`] finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// The estimate.
    pub value: f64,
    /// What observations of NaN have to do with it.
    pub nans: Option<NanObservations>,
}

impl From<f64> for Quantile {
    fn from(value: f64) -> Self {
        Quantile { value, nans: None }
    }
}

/// The `q`-quantile, interpolated inside of its bucket: linearly between custom bounds and in the zero bucket,
/// else on the scale of logarithms. NaN without observations.
pub fn quantile(q: f64, h: &FloatHistogram) -> Quantile {
    if let Some(value) = quantile_outside(q) {
        return value.into();
    }
    if h.count == 0.0 {
        return f64::NAN.into();
    }
    // From the nearer end, so that rounding adds up less; but NaN observations are known to be at the top.
    let forward = h.sum.is_nan() || q < 0.5;
    let rank = if forward { q * h.count } else { (1.0 - q) * h.count };
    let found = if forward { find(h.all_buckets(), rank) } else { find(h.all_buckets().rev(), rank) };
    let Some((bucket, count)) = found else { return in_no_bucket(h, rank) };
    let bucket = match natural_bounds(h, bucket) {
        Ok(bucket) => bucket,
        Err(value) => return value.into(),
    };
    let count = count.min(h.count);
    if count < rank {
        let nans = h.sum.is_nan().then_some(NanObservations::AreTheResult);
        return Quantile { value: if nans.is_some() { f64::NAN } else { bucket.upper }, nans };
    }
    let inside = if forward { rank - (count - bucket.count) } else { count - rank };
    let bucket = if h.sum.is_nan() { last_looked_at(h, bucket, rank) } else { bucket };
    Quantile { value: interpolate(h, &bucket, inside / bucket.count), nans: skew(h) }
}

/// Where there may be observations of NaN the reference goes on to count what is in the buckets above, and then
/// interpolates in the last one that it has seen. So do we, to give the same answer.
fn last_looked_at(h: &FloatHistogram, found: Bucket, rank: f64) -> Bucket {
    let mut count = 0.0;
    let mut above = h.all_buckets().skip_while(|bucket| {
        count += bucket.count;
        bucket.count == 0.0 || count < rank
    });
    above.next();
    above.last().unwrap_or(found)
}

/// Observations, but no bucket that has any.
fn in_no_bucket(h: &FloatHistogram, rank: f64) -> Quantile {
    let nans = match (h.sum.is_nan(), rank > 0.0) {
        (true, true) => Some(NanObservations::AreTheResult),
        (true, false) => Some(NanObservations::SkewTheResult),
        (false, _) => None,
    };
    Quantile { value: if rank > 0.0 && nans.is_none() { 0.0 } else { f64::NAN }, nans }
}

/// The bucket that has the `rank`th observation, or else the last one; and the observations up to its end.
fn find(buckets: impl Iterator<Item = Bucket>, rank: f64) -> Option<(Bucket, f64)> {
    let mut count = 0.0;
    let mut found = None;
    for bucket in buckets.filter(|bucket| bucket.count != 0.0) {
        count += bucket.count;
        found = Some((bucket, count));
        if count >= rank {
            break;
        }
    }
    found
}

/// Gives the bucket the bounds that it has by nature: a zero bucket ends at 0 where no observation is beyond,
/// the first custom bucket begins at 0. `Err` is the quantile if it can't be inside of the bucket at all.
fn natural_bounds(h: &FloatHistogram, mut bucket: Bucket) -> Result<Bucket, f64> {
    if h.has_custom_buckets() {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return Err(bucket.upper);
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return Err(bucket.lower);
        }
    } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
        end_at_zero(h, &mut bucket);
    }
    Ok(bucket)
}

/// Cuts the zero bucket where only one side of it has buckets.
pub(super) fn end_at_zero(h: &FloatHistogram, zero_bucket: &mut Bucket) {
    match (h.negative_buckets.is_empty(), h.positive_buckets.is_empty()) {
        (true, false) => zero_bucket.lower = 0.0,
        (false, true) => zero_bucket.upper = 0.0,
        _ => {}
    }
}

fn interpolate(h: &FloatHistogram, bucket: &Bucket, share: f64) -> f64 {
    if h.has_custom_buckets() || bucket.lower <= 0.0 && bucket.upper >= 0.0 {
        return bucket.lower + (bucket.upper - bucket.lower) * share;
    }
    let (lower, upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    if bucket.lower > 0.0 {
        (lower + (upper - lower) * share).exp2()
    } else {
        -(upper + (lower - upper) * (1.0 - share)).exp2()
    }
}

/// A sum that is NaN comes from an observation of NaN, or from infinities of both signs: those are in buckets.
fn skew(h: &FloatHistogram) -> Option<NanObservations> {
    let has_nans = h.sum.is_nan() && in_buckets(h) < h.count;
    has_nans.then_some(NanObservations::SkewTheResult)
}

/// Observations that are in buckets.
pub(super) fn in_buckets(h: &FloatHistogram) -> f64 {
    h.all_buckets().map(|bucket| bucket.count).fold(0.0, |sum, count| sum + count)
}

#[cfg(test)]
mod tests {
    use model::histogram::{CUSTOM_BUCKETS_SCHEMA, Span};

    use super::*;
    use crate::histogram::{Fraction, average, fraction, standard_deviation};

    /// 4 in the zero bucket, 4 in (1, 2], 8 in (2, 4].
    fn positive() -> FloatHistogram {
        FloatHistogram {
            count: 16.0,
            sum: 32.0,
            zero_count: 4.0,
            zero_threshold: 0.5,
            positive_spans: vec![Span { offset: 1, length: 2 }],
            positive_buckets: vec![4.0, 8.0],
            ..Default::default()
        }
    }

    fn both_signs() -> FloatHistogram {
        let positive = positive();
        FloatHistogram {
            count: 28.0,
            sum: 0.0,
            negative_spans: positive.positive_spans.clone(),
            negative_buckets: positive.positive_buckets.clone(),
            ..positive
        }
    }

    fn custom() -> FloatHistogram {
        FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 10.0,
            sum: 32.0,
            custom_values: vec![5.0, 10.0],
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![4.0, 4.0, 2.0],
            ..Default::default()
        }
    }

    fn is_close(a: f64, b: f64) -> bool {
        a == b || (a - b).abs() < 1e-12 || a.is_nan() && b.is_nan()
    }

    #[test]
    fn quantiles_are_interpolated_inside_of_their_bucket() {
        let root = 2f64.sqrt();
        for (h, q, expected) in [
            (positive(), -0.1, f64::NEG_INFINITY),
            (positive(), 1.1, f64::INFINITY),
            (positive(), f64::NAN, f64::NAN),
            (positive(), 0.0, 0.0),
            (positive(), 0.125, 0.25),
            (positive(), 0.375, root),
            (positive(), 0.75, 2.0 * root),
            (positive(), 1.0, 4.0),
            (both_signs(), 0.0, -4.0),
            (both_signs(), 1.0 / 7.0, -2.0 * root),
            (both_signs(), 0.5, 0.0),
            (both_signs(), 6.0 / 7.0, 2.0 * root),
            (custom(), 0.2, 2.5),
            (custom(), 0.6, 7.5),
            (custom(), 0.9, 10.0),
            (FloatHistogram::default(), 0.5, f64::NAN),
        ] {
            let found = quantile(q, &h);
            assert!(is_close(found.value, expected) && found.nans.is_none(), "{q}: {found:?}");
        }
    }

    #[test]
    fn observations_of_nan_are_above_all() {
        let with_nans = FloatHistogram { count: 20.0, sum: f64::NAN, ..positive() };
        let high = quantile(0.9, &with_nans);
        assert!(high.value.is_nan() && high.nans == Some(NanObservations::AreTheResult));
        let low = quantile(0.3, &with_nans);
        // Half of what is in the first bucket, but as a share of the last one: 2 of 8 in (2, 4].
        assert!(is_close(low.value, 1.25f64.exp2()) && low.nans == Some(NanObservations::SkewTheResult));
        let infinities = FloatHistogram { sum: f64::NAN, ..positive() };
        assert_eq!(quantile(0.375, &infinities).nans, None);
        let share = fraction(f64::NEG_INFINITY, f64::INFINITY, &with_nans);
        assert_eq!(share, Fraction { value: 0.8, excludes_nans: true });
    }

    #[test]
    fn fractions_are_the_inverse_of_quantiles() {
        for h in [positive(), both_signs(), custom()] {
            for step in 1..8 {
                let q = f64::from(step) / 10.0;
                let share = fraction(f64::NEG_INFINITY, quantile(q, &h).value, &h).value;
                assert!(is_close(share, q), "{q}: {share} of {h}");
            }
            assert_eq!(fraction(f64::NEG_INFINITY, f64::INFINITY, &h).value, 1.0);
            assert_eq!(fraction(3.0, 3.0, &h).value, 0.0);
            assert!(fraction(f64::NAN, 3.0, &h).value.is_nan());
        }
    }

    #[test]
    fn spread_is_that_of_the_middles_of_buckets() {
        // Middles 0, √2 and 2√2, average 2.
        let expected = ((4.0 * 4.0 + 4.0 * (2f64.sqrt() - 2.0).powi(2) + 8.0 * (8f64.sqrt() - 2.0).powi(2))
            / 16.0)
            .sqrt();
        assert!(is_close(standard_deviation(&positive()), expected));
        assert_eq!(average(&positive()), 2.0);
    }
}
