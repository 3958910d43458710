//! The average of histograms.

use model::histogram::{Combined, FloatHistogram, HistogramSum, IncompatibleSchemas};

/// Numbers up to here can be added without overflow.
const SAFE_MAX: f64 = f64::MAX / 4.0;

/// The average of the histograms added so far: their sum divided by their number, as long as the sum doesn't
/// overflow; from there on the average itself is carried forward.
#[derive(Clone, Debug)]
pub struct HistogramMean {
    /// The sum, or the average once `incremental`.
    sum: HistogramSum,
    count: f64,
    incremental: bool,
}

impl HistogramMean {
    /// The average of one histogram.
    pub fn new(first: &FloatHistogram) -> Self {
        HistogramMean { sum: HistogramSum::new(first), count: 1.0, incremental: false }
    }

    /// Adds another.
    ///
    /// # Errors
    ///
    /// The average can't be used any more then.
    pub fn add(&mut self, other: &FloatHistogram) -> Result<Combined, IncompatibleSchemas> {
        self.count += 1.0;
        if !self.incremental {
            let may_overflow = self.sum.exceeds(SAFE_MAX) || other.exceeds(SAFE_MAX);
            if !may_overflow {
                return self.sum.add(other);
            }
            let mut next = self.sum.clone();
            let combined = next.add(other)?;
            if !next.has_overflow() {
                self.sum = next;
                return Ok(combined);
            }
            self.incremental = true;
            self.sum.div(self.count - 1.0);
        }
        self.sum.mul((self.count - 1.0) / self.count);
        let mut share = other.clone();
        share.div(self.count);
        self.sum.add(&share)
    }

    /// The average; may have empty buckets.
    pub fn mean(&self) -> FloatHistogram {
        let mut mean = self.sum.clone();
        if !self.incremental {
            mean.div(self.count);
        }
        mean.total()
    }
}

#[cfg(test)]
mod tests {
    use model::histogram::Span;

    use super::*;

    fn of(bucket: f64) -> FloatHistogram {
        FloatHistogram {
            count: bucket,
            sum: bucket,
            positive_spans: vec![Span { offset: 0, length: 1 }],
            positive_buckets: vec![bucket],
            ..Default::default()
        }
    }

    #[test]
    fn means_are_those_of_each_number() {
        let mut mean = HistogramMean::new(&of(1.0));
        for bucket in [2.0, 6.0] {
            mean.add(&of(bucket)).unwrap();
        }
        assert_eq!(mean.mean(), of(3.0));
    }

    #[test]
    fn means_of_large_numbers_do_not_overflow() {
        let mut mean = HistogramMean::new(&of(f64::MAX));
        for _ in 0..9 {
            mean.add(&of(f64::MAX)).unwrap();
        }
        let found = mean.mean().positive_buckets[0];
        assert!((found / f64::MAX - 1.0).abs() < 1e-15, "{found}");
    }
}
