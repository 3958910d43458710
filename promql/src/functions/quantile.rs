//! The quantile of a list of floats.

use std::cmp::Ordering;

/// NaN before everything else; equal values keep their order.
pub(crate) fn nan_first(a: &f64, b: &f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
    }
}

/// A number that has the order of floats: NaN before everything else, −0 before 0.
fn rank_key(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    if value.is_nan() { i64::MIN } else { bits ^ ((bits >> 63) as u64 >> 1) as i64 }
}

/// The `q`-quantile, interpolated between the two values beside its rank. Moves the values about. NaN of no
/// values, −Inf and +Inf for a `q` below 0 and above 1.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let rank = q * (values.len() - 1) as f64;
    let weight = rank - rank.floor();
    let by_rank = |a: &f64, b: &f64| rank_key(*a).cmp(&rank_key(*b));
    let (_, lower, above) = values.select_nth_unstable_by(rank.floor().max(0.0) as usize, by_rank);
    let upper = above.iter().copied().min_by(by_rank).unwrap_or(*lower);
    *lower * (1.0 - weight) + upper * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_the_values_beside_them() {
        for (q, values, expected) in [
            (0.5, vec![3.0, 1.0, 2.0], 2.0),
            (0.75, vec![1.0, 2.0], 1.75),
            (0.0, vec![4.0, 2.0], 2.0),
            (1.0, vec![4.0, 2.0], 4.0),
            (-0.1, vec![1.0], f64::NEG_INFINITY),
            (1.1, vec![1.0], f64::INFINITY),
        ] {
            assert_eq!(quantile(q, &mut values.clone()), expected);
        }
        assert!(quantile(0.0, &mut [1.0, f64::NAN]).is_nan());
        assert!(quantile(f64::NAN, &mut [1.0]).is_nan());
        assert!(quantile(0.5, &mut []).is_nan());
    }
}
