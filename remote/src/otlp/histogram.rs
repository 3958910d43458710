//! Native histograms, made of OpenTelemetry's exponential ones, and of those with bounds of their own.
//!
//! A bucket `i` of OpenTelemetry's covers `(base^i, base^(i+1)]`; ours with the same bounds has the index `i + 1`.
//! Scales beyond the finest schema are made coarser: 2^n buckets in a row become one.

use model::histogram::{
    CUSTOM_BUCKETS_SCHEMA, CounterResetHint, EXPONENTIAL_SCHEMA_MAX, EXPONENTIAL_SCHEMA_MIN, Histogram, Span,
    SpanBuilder,
};
use model::value::STALE_NAN;

use super::message::{Buckets, ExponentialPoint, HistogramPoint, Point};

/// Half the width of the zero bucket where a point doesn't say: nothing but zero.
const ZERO_THRESHOLD_DEFAULT: f64 = 1e-128;

/// Deltas are no counters: each stands for itself.
pub(super) fn hint(is_delta: bool) -> CounterResetHint {
    if is_delta { CounterResetHint::Gauge } else { CounterResetHint::Unknown }
}

/// # Errors
///
/// There is no such native histogram, in a sentence.
pub(super) fn exponential(point: &ExponentialPoint, is_delta: bool) -> Result<Histogram, String> {
    if point.scale < EXPONENTIAL_SCHEMA_MIN {
        return Err(format!(
            "cannot convert exponential to native histogram. Scale must be >= {EXPONENTIAL_SCHEMA_MIN}, was {}",
            point.scale
        ));
    }
    if !point.has_value() {
        return Ok(stale());
    }
    let schema = point.scale.min(EXPONENTIAL_SCHEMA_MAX);
    let coarser = point.scale.abs_diff(schema);
    let (positive_spans, positive_deltas) = exponential_buckets(&point.positive, coarser)?;
    let (negative_spans, negative_deltas) = exponential_buckets(&point.negative, coarser)?;
    Ok(Histogram {
        counter_reset_hint: hint(is_delta),
        schema,
        zero_threshold: if point.zero_threshold == 0.0 {
            ZERO_THRESHOLD_DEFAULT
        } else {
            point.zero_threshold
        },
        zero_count: point.zero_count,
        count: point.count,
        sum: point.sum.unwrap_or_default(),
        positive_spans,
        negative_spans,
        positive_deltas,
        negative_deltas,
        custom_values: Vec::new(),
    })
}

/// A native histogram with the point's own bounds.
pub(super) fn custom(point: &HistogramPoint, is_delta: bool) -> Result<Histogram, String> {
    if !point.has_value() {
        return Ok(stale());
    }
    let counts = point.bucket_counts.iter().enumerate().map(|(index, count)| (index as i64, *count));
    let (positive_spans, positive_deltas) = sparse(counts)?;
    Ok(Histogram {
        counter_reset_hint: hint(is_delta),
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: point.count,
        sum: point.sum.unwrap_or_default(),
        positive_spans,
        positive_deltas,
        custom_values: point.explicit_bounds.clone(),
        ..Histogram::default()
    })
}

fn stale() -> Histogram {
    Histogram { sum: STALE_NAN, ..Histogram::default() }
}

fn exponential_buckets(buckets: &Buckets, coarser: u32) -> Result<(Vec<Span>, Vec<i64>), String> {
    // All indexes are in one bucket, or in the one before it, long before that.
    let coarser = coarser.min(i64::BITS - 1);
    let indexes = (i64::from(buckets.offset)..).map(|index| (index >> coarser) + 1);
    let mut merged: Vec<(i64, u64)> = Vec::new();
    for (index, count) in indexes.zip(&buckets.bucket_counts).filter(|(_, count)| **count != 0) {
        match merged.last_mut() {
            Some((last, sum)) if *last == index => *sum = sum.checked_add(*count).ok_or(TOO_MANY)?,
            _ => merged.push((index, *count)),
        }
    }
    sparse(merged.into_iter())
}

const TOO_MANY: &str = "a histogram's bucket has more observations than can be stored";

/// The buckets that have observations, with differences for counts.
fn sparse(counts: impl Iterator<Item = (i64, u64)>) -> Result<(Vec<Span>, Vec<i64>), String> {
    let (mut spans, mut deltas, mut before) = (SpanBuilder::default(), Vec::new(), 0);
    for (index, count) in counts.filter(|(_, count)| *count != 0) {
        let index = i32::try_from(index).map_err(|_| format!("histogram bucket {index} has no index"))?;
        let count = i64::try_from(count).map_err(|_| TOO_MANY)?;
        spans.push(index);
        deltas.push(count - before);
        before = count;
    }
    Ok((spans.into_spans(), deltas))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(scale: i32, offset: i32, counts: &[u64]) -> ExponentialPoint {
        let count = counts.iter().sum();
        let positive = Buckets { offset, bucket_counts: counts.to_vec() };
        ExponentialPoint { scale, count, positive, sum: Some(1.0), ..ExponentialPoint::default() }
    }

    #[test]
    fn buckets_keep_their_bounds() {
        let histogram = exponential(&point(0, 0, &[1, 0, 2]), false).unwrap();
        // (1, 2] and (4, 8]
        let buckets: Vec<(f64, f64)> =
            histogram.to_float().positive().map(|bucket| (bucket.lower, bucket.upper)).collect();
        assert_eq!(buckets, [(1.0, 2.0), (4.0, 8.0)]);
        assert_eq!(histogram.positive_deltas, [1, 1]);
        assert!(histogram.validate().is_ok());
    }

    #[test]
    fn scales_that_are_too_fine_are_made_coarser() {
        for (scale, offset, counts, indexes, merged) in [
            (9, -1, &[1, 2, 3, 4][..], &[0, 1, 2][..], &[1, 5, 4][..]),
            (9, 0, &[1, 2, 3], &[1, 2], &[3, 3]),
            (20, i32::MIN, &[7], &[(i32::MIN >> 12) + 1], &[7]),
        ] {
            let histogram = exponential(&point(scale, offset, counts), false).unwrap();
            assert_eq!(histogram.schema, 8);
            let found: Vec<i32> = model::histogram::bucket_indexes(&histogram.positive_spans).collect();
            assert_eq!(found, indexes, "{scale} {offset}");
            assert_eq!(
                histogram.to_float().positive_buckets,
                merged.iter().map(|n| *n as f64).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn what_no_schema_holds_is_refused() {
        assert_eq!(
            exponential(&point(-5, 0, &[1]), false).unwrap_err(),
            "cannot convert exponential to native histogram. Scale must be >= -4, was -5"
        );
        let mut many = point(0, 0, &[1]);
        many.positive.bucket_counts = vec![u64::MAX];
        assert_eq!(exponential(&many, false).unwrap_err(), TOO_MANY);
        assert!(exponential(&point(0, i32::MAX, &[1]), false).unwrap_err().ends_with("has no index"));
    }

    #[test]
    fn bounds_of_ones_own_are_kept() {
        let point = HistogramPoint {
            count: 6,
            sum: Some(9.0),
            bucket_counts: vec![0, 1, 0, 5],
            explicit_bounds: vec![1.0, 2.0, 4.0],
            ..HistogramPoint::default()
        };
        let histogram = custom(&point, true).unwrap();
        assert_eq!(histogram.custom_values, [1.0, 2.0, 4.0]);
        assert_eq!(histogram.counter_reset_hint, CounterResetHint::Gauge);
        assert!(histogram.validate().is_ok());
        let stale = custom(&HistogramPoint { flags: 1, ..point }, false).unwrap();
        assert!(model::value::is_stale_nan(stale.sum));
    }
}
