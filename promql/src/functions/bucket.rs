//! Classic histograms: cumulative counts with upper bounds.

use super::quantile::nan_first;

/// Counts that differ by less than this, relatively, differ by rounding alone: one observation in 10¹².
const ROUNDING_TOLERANCE: f64 = 1e-12;

/// How many observations are at most `upper`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) upper: f64,
    pub(crate) count: f64,
}

/// Counts that fell and were raised again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Forced {
    /// Bounds of the first and the last of them.
    pub(crate) buckets: (f64, f64),
    /// By how much at most.
    pub(crate) diff_max: f64,
}

/// A quantile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) value: f64,
    pub(crate) forced: Option<Forced>,
}

/// The bound that `le` tells; as Go parses floats.
pub(crate) fn parse_bound(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    // Rust reads all that Go reads, but for hexadecimal floats and underscores, which nobody writes here.
    if bytes.is_empty() { None } else { text.parse().ok() }
}

/// A float as OpenMetrics writes the value of `quantile` and `le`.
pub(crate) fn open_metrics_float(value: f64) -> String {
    let text = model::float_text::general(value);
    let is_plain = value.is_finite() && !text.contains(['.', 'e']);
    if is_plain { text + ".0" } else { text }
}

/// The `q`-quantile. Sorts the buckets and makes them monotonic.
pub(crate) fn quantile(q: f64, buckets: &mut Vec<Bucket>) -> Answer {
    let plain = |value| Answer { value, forced: None };
    if q.is_nan() {
        return plain(f64::NAN);
    }
    if q < 0.0 {
        return plain(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return plain(f64::INFINITY);
    }
    if !prepare(buckets) {
        return plain(f64::NAN);
    }
    let forced = make_monotonic(buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 {
        return Answer { value: f64::NAN, forced };
    }
    let rank = q * observations;
    // A count that is NaN is not at least the rank.
    let at = first_at_least(&buckets[..last], rank);
    let value = if at == last {
        buckets[last - 1].upper
    } else if at == 0 && buckets[0].upper <= 0.0 {
        buckets[0].upper
    } else {
        let below = if at > 0 { buckets[at - 1] } else { Bucket { upper: 0.0, count: 0.0 } };
        let count = buckets[at].count - below.count;
        below.upper + (buckets[at].upper - below.upper) * ((rank - below.count) / count)
    };
    Answer { value, forced }
}

/// Binary search as the reference's, also where NaN makes it odd.
fn first_at_least(buckets: &[Bucket], rank: f64) -> usize {
    buckets.partition_point(|bucket| bucket.count < rank || bucket.count.is_nan() || rank.is_nan())
}

/// The fraction of observations between two values.
pub(crate) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if !prepare(buckets) {
        return f64::NAN;
    }
    let count = buckets[buckets.len() - 1].count;
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank_of = |value| rank(value, buckets).map_or(count, |rank| if rank > count { count } else { rank });
    (rank_of(upper) - rank_of(lower)) / count
}

/// How many observations are below the value; `None` if it is above all buckets.
fn rank(value: f64, buckets: &[Bucket]) -> Option<f64> {
    let mut rank = 0.0;
    let mut lower = if buckets[0].upper <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    for bucket in buckets {
        if lower >= value {
            return Some(rank);
        }
        if bucket.upper > value {
            // Nothing can be told of where in a bucket without lower bound observations are.
            return Some(match lower == f64::NEG_INFINITY {
                true => bucket.count,
                false => rank + (bucket.count - rank) * (value - lower) / (bucket.upper - lower),
            });
        }
        rank = bucket.count;
        lower = bucket.upper;
    }
    None
}

/// Sorts buckets and merges those with the same bound. Whether the last one holds everything.
fn prepare(buckets: &mut Vec<Bucket>) -> bool {
    buckets.sort_by(|a, b| nan_first(&a.upper, &b.upper));
    if buckets.last().is_none_or(|bucket| bucket.upper != f64::INFINITY) {
        return false;
    }
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
    true
}

/// Raises counts that fall. Differences that come of rounding are evened out silently.
fn make_monotonic(buckets: &mut [Bucket]) -> Option<Forced> {
    let mut forced: Option<Forced> = None;
    let mut previous = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let count = bucket.count;
        if count == previous {
            continue;
        }
        if almost_equal(previous, count) {
            bucket.count = previous;
        } else if count < previous {
            bucket.count = previous;
            let known = forced.unwrap_or(Forced { buckets: (bucket.upper, bucket.upper), diff_max: 0.0 });
            forced = Some(Forced {
                buckets: (known.buckets.0, bucket.upper),
                diff_max: known.diff_max.max(previous - count),
            });
        } else {
            previous = count;
        }
    }
    forced
}

/// As the reference tells it: relative to both together.
fn almost_equal(a: f64, b: f64) -> bool {
    if a.is_nan() || b.is_nan() {
        return a.is_nan() && b.is_nan();
    }
    let total = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || total < f64::MIN_POSITIVE {
        return difference < ROUNDING_TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / total.min(f64::MAX) < ROUNDING_TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs.iter().map(|(upper, count)| Bucket { upper: *upper, count: *count }).collect()
    }

    #[test]
    fn quantiles_are_interpolated_in_their_bucket() {
        let all = buckets(&[(1.0, 2.0), (2.0, 6.0), (f64::INFINITY, 8.0)]);
        for (q, expected) in [(0.25, 1.0), (0.5, 1.5), (0.125, 0.5), (1.0, 2.0), (2.0, f64::INFINITY)] {
            assert_eq!(quantile(q, &mut all.clone()).value, expected, "{q}");
        }
        assert!(quantile(0.5, &mut buckets(&[(1.0, 2.0)])).value.is_nan());
    }

    #[test]
    fn falling_counts_are_raised_and_told() {
        let answer = quantile(0.5, &mut buckets(&[(1.0, 4.0), (2.0, 3.0), (f64::INFINITY, 8.0)]));
        assert_eq!(answer.forced, Some(Forced { buckets: (2.0, 2.0), diff_max: 1.0 }));
        assert_eq!(answer.value, 1.0);
    }

    #[test]
    fn fractions_are_between_ranks() {
        let all = buckets(&[(1.0, 2.0), (2.0, 6.0), (f64::INFINITY, 8.0)]);
        assert_eq!(fraction(1.0, 2.0, &mut all.clone()), 0.5);
        assert_eq!(fraction(0.0, 0.5, &mut all.clone()), 0.125);
        assert_eq!(fraction(f64::NEG_INFINITY, f64::INFINITY, &mut all.clone()), 1.0);
        assert_eq!(fraction(2.0, 1.0, &mut all.clone()), 0.0);
    }

    #[test]
    fn quantile_labels_are_floats() {
        for (value, text) in [(0.5, "0.5"), (1.0, "1.0"), (0.0, "0.0"), (f64::INFINITY, "+Inf")] {
            assert_eq!(open_metrics_float(value), text);
        }
    }
}
