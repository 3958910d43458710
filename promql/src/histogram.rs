//! What PromQL computes of a single histogram, classic or native: pure functions of numbers.
//!
//! They know no labels and make no annotations; where a user should be told something they return it beside
//! the value.

mod classic;
mod fraction;
mod mean;
mod moments;
mod quantile;
mod trim;

pub use classic::{ClassicBucket, ClassicQuantile, ForcedMonotonicity, classic_fraction, classic_quantile};
pub use fraction::{Fraction, fraction};
pub use mean::HistogramMean;
pub use moments::{average, standard_deviation, variance};
pub use quantile::{NanObservations, Quantile, quantile};
pub use trim::{Keep, trim};

/// What every quantile function answers to a `q` outside of `[0, 1]`; `None` if it is inside.
pub fn quantile_outside(q: f64) -> Option<f64> {
    if q.is_nan() {
        Some(f64::NAN)
    } else if q < 0.0 {
        Some(f64::NEG_INFINITY)
    } else if q > 1.0 {
        Some(f64::INFINITY)
    } else {
        None
    }
}
