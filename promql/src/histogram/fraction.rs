//! Fractions of native histograms.

use model::histogram::FloatHistogram;

use super::quantile::{end_at_zero, in_buckets};

/// What [`fraction`] finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fraction {
    /// The share of all observations.
    pub value: f64,
    /// Whether observations of NaN were left out of the share, though not out of all.
    pub excludes_nans: bool,
}

/// The share of observations between two bounds, interpolated as by [`super::quantile`]. NaN without
/// observations or for a bound that is NaN.
pub fn fraction(lower: f64, upper: f64, h: &FloatHistogram) -> Fraction {
    let without_nans = |value| Fraction { value, excludes_nans: false };
    if h.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return without_nans(f64::NAN);
    }
    if lower >= upper {
        return without_nans(0.0);
    }
    let count = if h.sum.is_nan() { in_buckets(h) } else { h.count };
    let value = (rank_of(upper, h).min(count) - rank_of(lower, h).min(count)) / h.count;
    Fraction { value, excludes_nans: h.sum.is_nan() && count < h.count }
}

/// How many observations are below `value`; infinitely many if no bucket is above it.
fn rank_of(value: f64, h: &FloatHistogram) -> f64 {
    let mut rank = 0.0;
    for mut bucket in h.all_buckets() {
        let has_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        if has_zero {
            end_at_zero(h, &mut bucket);
        }
        if bucket.lower >= value {
            return rank;
        }
        if bucket.upper > value {
            let linear = h.has_custom_buckets() || has_zero;
            // Nothing is known of where in an endless bucket the observations are: all of it counts.
            if linear && bucket.lower == f64::NEG_INFINITY {
                return bucket.count;
            }
            return rank + bucket.count * bucket.fraction_below(value, linear);
        }
        rank += bucket.count;
    }
    f64::INFINITY
}
