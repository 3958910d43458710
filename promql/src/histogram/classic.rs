//! Classic histograms: cumulative counts up to the bounds in the label `le`.

use super::quantile_outside;

/// Differences between neighbouring buckets that are smaller than this share of both are rounding: one
/// observation in a million million.
const SMALL_DIFFERENCE: f64 = 1e-12;

/// A bucket: how many observations were at most its bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassicBucket {
    /// The value of the label `le`, not a NaN.
    pub upper_bound: f64,
    /// Observations up to it, those of the lower buckets included.
    pub count: f64,
}

/// What [`classic_quantile`] finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassicQuantile {
    /// The estimate.
    pub value: f64,
    /// If buckets counted less than lower ones: what was done about it.
    pub forced: Option<ForcedMonotonicity>,
}

/// Buckets that were raised to the count of a lower one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForcedMonotonicity {
    /// Bound of the lowest of them.
    pub lowest_bound: f64,
    /// Bound of the highest.
    pub highest_bound: f64,
    /// By how much the most was raised.
    pub largest_difference: f64,
}

/// The `q`-quantile, interpolated linearly inside of its bucket, from 0 in the first one if its bound is above
/// 0. In the highest bucket, which must be `+Inf`, it is the bound below. NaN without observations or with
/// fewer than two buckets.
///
/// Orders the buckets and repairs them in place: buckets of one bound are added up, and counts that go down
/// are raised.
pub fn classic_quantile(q: f64, buckets: &mut Vec<ClassicBucket>) -> ClassicQuantile {
    if let Some(value) = quantile_outside(q) {
        return ClassicQuantile { value, forced: None };
    }
    if !order(buckets) {
        return ClassicQuantile { value: f64::NAN, forced: None };
    }
    let forced = raise(buckets);
    ClassicQuantile { value: interpolate(q, buckets), forced }
}

/// The quantile of buckets in order.
fn interpolate(q: f64, buckets: &[ClassicBucket]) -> f64 {
    let [lower @ .., highest] = buckets else { return f64::NAN };
    let Some(second_highest) = lower.last().filter(|_| highest.count != 0.0) else { return f64::NAN };
    let rank = q * highest.count;
    // A rank of NaN is in no bucket.
    let place = lower.iter().position(|bucket| bucket.count >= rank).unwrap_or(lower.len());
    let Some(bucket) = lower.get(place) else { return second_highest.upper_bound };
    let below = place.checked_sub(1).map(|before| lower[before]);
    match below {
        None if bucket.upper_bound <= 0.0 => bucket.upper_bound,
        _ => {
            let below = below.unwrap_or(ClassicBucket { upper_bound: 0.0, count: 0.0 });
            let share = (rank - below.count) / (bucket.count - below.count);
            below.upper_bound + (bucket.upper_bound - below.upper_bound) * share
        }
    }
}

/// The share of observations between two bounds, interpolated as by [`classic_quantile`]. NaN without
/// observations, without a bucket `+Inf`, or for a bound that is NaN. Orders the buckets in place.
pub fn classic_fraction(lower: f64, upper: f64, buckets: &mut Vec<ClassicBucket>) -> f64 {
    if !order(buckets) {
        return f64::NAN;
    }
    let count = buckets.last().map_or(0.0, |highest| highest.count);
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets).min(count) - rank_of(lower, buckets).min(count)) / count
}

/// How many observations are at most `value`; all, if no bucket is above it.
fn rank_of(value: f64, buckets: &[ClassicBucket]) -> f64 {
    let natural_bound = if buckets[0].upper_bound <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    let mut below = ClassicBucket { upper_bound: natural_bound, count: 0.0 };
    for bucket in buckets {
        if below.upper_bound >= value {
            return below.count;
        }
        if bucket.upper_bound > value {
            // Nothing is known of where in an endless bucket the observations are: all of it counts.
            if below.upper_bound == f64::NEG_INFINITY {
                return bucket.count;
            }
            let width = bucket.upper_bound - below.upper_bound;
            return below.count + (bucket.count - below.count) * (value - below.upper_bound) / width;
        }
        below = *bucket;
    }
    f64::INFINITY
}

/// Sorts the buckets and adds up those of one bound. Whether the highest is `+Inf`.
fn order(buckets: &mut Vec<ClassicBucket>) -> bool {
    buckets.sort_by(|a, b| a.upper_bound.total_cmp(&b.upper_bound));
    buckets.dedup_by(|bucket, before| {
        let same = bucket.upper_bound == before.upper_bound;
        if same {
            before.count += bucket.count;
        }
        same
    });
    buckets.last().is_some_and(|highest| highest.upper_bound == f64::INFINITY)
}

/// Raises counts to that of the bucket below where they are lower, and levels differences that are rounding,
/// which nobody need be told of.
fn raise(buckets: &mut [ClassicBucket]) -> Option<ForcedMonotonicity> {
    let mut forced: Option<ForcedMonotonicity> = None;
    let mut before = buckets[0].count;
    for bucket in &mut buckets[1..] {
        if is_almost_equal(before, bucket.count) {
            bucket.count = before;
        } else if bucket.count < before {
            let difference = before - bucket.count;
            bucket.count = before;
            let lowest_bound = forced.map_or(bucket.upper_bound, |forced| forced.lowest_bound);
            let largest_difference = forced.map_or(0.0, |forced| forced.largest_difference).max(difference);
            let highest_bound = bucket.upper_bound;
            forced = Some(ForcedMonotonicity { lowest_bound, highest_bound, largest_difference });
        } else {
            before = bucket.count;
        }
    }
    forced
}

fn is_almost_equal(a: f64, b: f64) -> bool {
    let sum = a.abs() + b.abs();
    if a == b || a.is_nan() && b.is_nan() {
        true
    } else if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        (a - b).abs() < SMALL_DIFFERENCE * f64::MIN_POSITIVE
    } else {
        (a - b).abs() / sum.min(f64::MAX) < SMALL_DIFFERENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<ClassicBucket> {
        pairs
            .iter()
            .map(|(upper_bound, count)| ClassicBucket { upper_bound: *upper_bound, count: *count })
            .collect()
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn quantiles_are_interpolated_inside_of_their_bucket() {
        let positive = [(0.1, 1.0), (0.2, 3.0), (1.0, 4.0), (INF, 4.0)];
        let negative = [(-0.2, 1.0), (-0.1, 3.0), (0.3, 5.0), (INF, 6.0)];
        for (given, q, expected) in [
            (&positive, 0.0, 0.0),
            (&positive, 0.125, 0.05),
            (&positive, 0.5, 0.15),
            (&positive, 1.0, 1.0),
            (&negative, 0.0, -0.2),
            (&negative, 0.1, -0.2),
            (&negative, 1.0 / 3.0, -0.15),
            (&negative, 1.0, 0.3),
            (&positive, -0.1, -INF),
            (&positive, 1.1, INF),
        ] {
            let found = classic_quantile(q, &mut buckets(given));
            assert!((found.value - expected).abs() < 1e-12 || found.value == expected, "{q}: {found:?}");
            assert_eq!(found.forced, None);
        }
    }

    #[test]
    fn without_enough_to_go_by_there_is_no_quantile() {
        for given in
            [&[][..], &[(INF, 5.0)], &[(1.0, 5.0)], &[(1.0, 0.0), (INF, 0.0)], &[(1.0, 1.0), (2.0, 2.0)]]
        {
            assert!(classic_quantile(0.5, &mut buckets(given)).value.is_nan(), "{given:?}");
        }
        assert!(classic_quantile(f64::NAN, &mut buckets(&[(1.0, 1.0), (INF, 1.0)])).value.is_nan());
    }

    #[test]
    fn buckets_are_ordered_merged_and_raised() {
        let mut given = buckets(&[(INF, 10.0), (2.0, 4.0), (1.0, 5.0), (3.0, 2.0), (3.0, 1.0)]);
        let found = classic_quantile(0.5, &mut given);
        assert_eq!(given, buckets(&[(1.0, 5.0), (2.0, 5.0), (3.0, 5.0), (INF, 10.0)]));
        let forced = ForcedMonotonicity { lowest_bound: 2.0, highest_bound: 3.0, largest_difference: 2.0 };
        assert_eq!(found, ClassicQuantile { value: 1.0, forced: Some(forced) });
        let rounding = &mut buckets(&[(1.0, 1.0), (2.0, 1.0 - 1e-15), (INF, 1.0 + 1e-15)]);
        assert_eq!(classic_quantile(0.5, rounding).forced, None);
    }

    #[test]
    fn fractions_are_interpolated_inside_of_their_buckets() {
        let positive = [(0.1, 1.0), (0.2, 3.0), (1.0, 4.0), (INF, 5.0)];
        for (lower, upper, expected) in [
            (-INF, INF, 1.0),
            (0.0, 0.1, 0.2),
            (0.05, 0.15, 0.3),
            (-1.0, 0.0, 0.0),
            (0.2, 0.2, 0.0),
            (2.0, 1.0, 0.0),
            (1.0, INF, 0.2),
            (1.0, 5.0, 0.0),
        ] {
            let found = classic_fraction(lower, upper, &mut buckets(&positive));
            assert!((found - expected).abs() < 1e-12, "{lower}..{upper}: {found}");
        }
        assert_eq!(classic_fraction(-INF, -1.0, &mut buckets(&[(-0.5, 2.0), (INF, 4.0)])), 0.5);
        assert!(classic_fraction(f64::NAN, 1.0, &mut buckets(&positive)).is_nan());
    }
}
