//! Average and spread of native histograms.

use model::histogram::{Bucket, FloatHistogram};
use model::kahan::Compensated;

/// The average observation.
pub fn average(h: &FloatHistogram) -> f64 {
    h.sum / h.count
}

/// The variance, as if all observations of a bucket were in its middle: the arithmetic one between custom
/// bounds, 0 where the bucket has 0, else the geometric one.
pub fn variance(h: &FloatHistogram) -> f64 {
    let mean = average(h);
    let mut sum = Compensated::default();
    for bucket in h.all_buckets().filter(|bucket| bucket.count != 0.0) {
        let distance = middle(&bucket, h.has_custom_buckets()) - mean;
        sum.add(bucket.count * distance * distance);
    }
    sum.total() / h.count
}

/// The square root of the variance.
pub fn standard_deviation(h: &FloatHistogram) -> f64 {
    variance(h).sqrt()
}

fn middle(bucket: &Bucket, custom: bool) -> f64 {
    if custom {
        (bucket.upper + bucket.lower) / 2.0
    } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
        0.0
    } else {
        let middle = (bucket.upper * bucket.lower).sqrt();
        if bucket.upper < 0.0 { -middle } else { middle }
    }
}
