//! Histograms with too many buckets, on their way in.

use super::{EXPONENTIAL_SCHEMA_MAX, EXPONENTIAL_SCHEMA_MIN, Histogram};

/// The histogram has more buckets than it may have, and can't have fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("histogram bucket limit exceeded")]
pub struct BucketLimitExceeded;

/// The finest schema whose buckets grow at least by `factor` from one to the next. A factor of at most 1
/// allows every schema.
pub fn finest_schema_for_factor(factor: f64) -> i32 {
    if factor.is_nan() || factor <= 1.0 {
        return EXPONENTIAL_SCHEMA_MAX;
    }
    let exact = (-factor.log2().log2()).floor();
    exact.clamp(f64::from(EXPONENTIAL_SCHEMA_MIN), f64::from(EXPONENTIAL_SCHEMA_MAX)) as i32
}

impl Histogram {
    /// Reduces an exponential histogram until it has at most `limit` buckets, empty ones included and the zero
    /// bucket not. Its spans match its buckets.
    ///
    /// # Errors
    ///
    /// If the coarsest schema has too many still, or the bounds are custom ones.
    pub fn limit_buckets(&mut self, limit: usize) -> Result<(), BucketLimitExceeded> {
        while self.positive_deltas.len() + self.negative_deltas.len() > limit {
            if self.has_custom_buckets() || self.schema <= EXPONENTIAL_SCHEMA_MIN {
                return Err(BucketLimitExceeded);
            }
            self.reduce_resolution(self.schema - 1).map_err(|_| BucketLimitExceeded)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CUSTOM_BUCKETS_SCHEMA, Span};
    use super::*;

    fn of(schema: i32, buckets: u32) -> Histogram {
        Histogram {
            schema,
            count: buckets.into(),
            positive_spans: vec![Span { offset: 1, length: buckets }],
            positive_deltas: (0..buckets).map(|i| i64::from(i == 0)).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn buckets_are_merged_until_they_are_few_enough() {
        let mut h = of(3, 16);
        assert_eq!(h.limit_buckets(16), Ok(()));
        assert_eq!(h, of(3, 16));
        assert_eq!(h.limit_buckets(4), Ok(()));
        assert_eq!((h.schema, &h.positive_deltas[..], h.validate()), (1, &[4, 0, 0, 0][..], Ok(())));
        assert_eq!(h.limit_buckets(0), Err(BucketLimitExceeded));
        let mut custom = Histogram { schema: CUSTOM_BUCKETS_SCHEMA, ..of(0, 3) };
        assert_eq!(custom.limit_buckets(2), Err(BucketLimitExceeded));
    }

    #[test]
    fn factors_pick_the_finest_schema_that_grows_as_fast() {
        for (factor, schema) in [
            (0.0, 8),
            (1.0, 8),
            (1.002, 8),
            (1.003, 7),
            (1.1, 2),
            (1.4, 1),
            (2.0, 0),
            (4.0, -1),
            (65536.0, -4),
            (1e300, -4),
        ] {
            assert_eq!(finest_schema_for_factor(factor), schema, "{factor}");
        }
    }
}
