//! Cutting observations off a native histogram: the operators `</` and `>/`.

use model::histogram::{Bucket, FloatHistogram};

/// Which observations stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Those up to the point: `</`.
    Below,
    /// Those from the point on: `>/`.
    Above,
}

/// What stays of a bucket, and where its middle is.
#[derive(Clone, Copy, Debug)]
struct Kept {
    count: f64,
    middle: f64,
}

/// Cuts off observations on the other side of the point. The bucket that the point is in is split as
/// quantiles are interpolated in it; of an endless bucket nothing is known, so that it stays or goes as a
/// whole, unless 0 is its natural end. If anything was cut off, count and sum are estimated anew from what is
/// left, and empty buckets are left out.
pub fn trim(h: &mut FloatHistogram, point: f64, keep: Keep) {
    let cut = Cut { point, keep, custom: h.has_custom_buckets() };
    let positive: Vec<Kept> = h.positive().map(|bucket| cut.bucket(&bucket, true)).collect();
    let negative: Vec<Kept> = h.negative().map(|bucket| cut.bucket(&bucket, false)).collect();
    let zero = (h.zero_count > 0.0).then(|| cut.zero_bucket(h));
    let (mut count, mut sum, mut changed) = (0.0, 0.0, false);
    let mut keep_of = |before: &mut f64, kept: Kept| {
        changed |= *before != kept.count;
        *before = kept.count;
        count += kept.count;
        sum += kept.middle * kept.count;
    };
    h.positive_buckets.iter_mut().zip(positive).for_each(|(before, kept)| keep_of(before, kept));
    h.negative_buckets.iter_mut().zip(negative).for_each(|(before, kept)| keep_of(before, kept));
    if let Some(kept) = zero {
        keep_of(&mut h.zero_count, kept);
    }
    if changed {
        (h.count, h.sum) = (count, sum);
        h.compact(0);
    }
}

struct Cut {
    point: f64,
    keep: Keep,
    /// Whether bounds are custom ones: then everything is linear.
    custom: bool,
}

impl Cut {
    fn bucket(&self, bucket: &Bucket, positive: bool) -> Kept {
        if bucket.count == 0.0 {
            return Kept { count: 0.0, middle: 0.0 };
        }
        let (whole, split) = match self.keep {
            Keep::Below => (bucket.upper <= self.point, bucket.lower < self.point),
            Keep::Above => (bucket.lower >= self.point, bucket.upper > self.point),
        };
        if whole {
            let middle = self.middle(bucket.lower, bucket.upper, positive);
            Kept { count: bucket.count, middle }
        } else if !split {
            Kept { count: 0.0, middle: 0.0 }
        } else if bucket.lower == f64::NEG_INFINITY {
            self.split_without_lower(bucket)
        } else if bucket.upper == f64::INFINITY {
            self.split_without_upper(bucket)
        } else {
            let below = bucket.count * bucket.fraction_below(self.point, self.custom);
            match self.keep {
                Keep::Below => Kept { count: below, middle: self.middle(bucket.lower, self.point, positive) },
                Keep::Above => Kept {
                    count: bucket.count - below,
                    middle: self.middle(self.point, bucket.upper, positive),
                },
            }
        }
    }

    /// A bucket from −Inf on that has the point inside. Custom bounds above 0 make it begin at 0.
    fn split_without_lower(&self, bucket: &Bucket) -> Kept {
        let (point, upper) = (self.point, bucket.upper);
        let gone = Kept { count: 0.0, middle: 0.0 };
        let from_zero = upper > 0.0 && upper < f64::INFINITY;
        match self.keep {
            Keep::Below if point > 0.0 && from_zero => {
                Kept { count: bucket.count * point / upper, middle: point / 2.0 }
            }
            Keep::Below if upper <= 0.0 => Kept { count: bucket.count, middle: point },
            Keep::Above if point >= 0.0 && from_zero => {
                Kept { count: bucket.count * (1.0 - point / upper), middle: (point + upper) / 2.0 }
            }
            _ => gone,
        }
    }

    /// A bucket up to +Inf that has the point inside.
    fn split_without_upper(&self, bucket: &Bucket) -> Kept {
        match self.keep {
            Keep::Above if self.point >= bucket.lower => Kept { count: bucket.count, middle: self.point },
            _ => Kept { count: 0.0, middle: 0.0 },
        }
    }

    fn zero_bucket(&self, h: &FloatHistogram) -> Kept {
        let populated = |buckets: &[f64]| buckets.iter().any(|count| *count != 0.0);
        let (mut lower, mut upper) = (-h.zero_threshold, h.zero_threshold);
        match (populated(&h.negative_buckets), populated(&h.positive_buckets)) {
            (true, false) => upper = 0.0,
            (false, true) => lower = 0.0,
            _ => {}
        }
        let whole = Kept { count: h.zero_count, middle: (lower + upper) / 2.0 };
        let gone = Kept { count: 0.0, middle: 0.0 };
        let part = |from: f64, to: f64| Kept {
            count: h.zero_count * ((to - from) / (upper - lower)),
            middle: (from + to) / 2.0,
        };
        let point = self.point;
        match self.keep {
            Keep::Below if point <= lower => gone,
            Keep::Below if point >= upper => whole,
            Keep::Below => part(lower, point),
            Keep::Above if point <= lower => whole,
            Keep::Above if point >= upper => gone,
            Keep::Above => part(point, upper),
        }
    }

    /// The middle between two bounds; where one is infinite the other, or half of it if it is above 0.
    fn middle(&self, lower: f64, upper: f64, positive: bool) -> f64 {
        match (lower.is_infinite(), upper.is_infinite()) {
            (true, true) => 0.0,
            (true, false) if upper > 0.0 => upper / 2.0,
            (true, false) => upper,
            (false, true) => lower,
            (false, false) if self.custom => (lower + upper) / 2.0,
            (false, false) => {
                let middle = (lower * upper).abs().sqrt();
                if positive { middle } else { -middle }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::histogram::{CUSTOM_BUCKETS_SCHEMA, Span};

    use super::*;

    fn custom(buckets: &[f64]) -> FloatHistogram {
        FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: buckets.iter().sum(),
            sum: 100.0,
            custom_values: vec![10.0, 20.0],
            positive_spans: vec![Span { offset: 0, length: buckets.len() as u32 }],
            positive_buckets: buckets.to_vec(),
            ..Default::default()
        }
    }

    #[test]
    fn custom_buckets_are_split_linearly() {
        for (point, keep, expected) in [
            (15.0, Keep::Below, "{count:6, sum:45, [-Inf,10]:4, (10,20]:2}"),
            (15.0, Keep::Above, "{count:8, sum:155, (10,20]:2, (20,+Inf]:6}"),
            (5.0, Keep::Below, "{count:2, sum:5, [-Inf,10]:2}"),
            (25.0, Keep::Above, "{count:6, sum:150, (20,+Inf]:6}"),
            (25.0, Keep::Below, "{count:8, sum:80, [-Inf,10]:4, (10,20]:4}"),
            (f64::INFINITY, Keep::Below, "{count:14, sum:100, [-Inf,10]:4, (10,20]:4, (20,+Inf]:6}"),
        ] {
            let mut h = custom(&[4.0, 4.0, 6.0]);
            trim(&mut h, point, keep);
            assert_eq!(h.to_string(), expected, "{point} {keep:?}");
        }
    }

    #[test]
    fn exponential_buckets_are_split_by_logarithms() {
        let mut h = FloatHistogram {
            count: 12.0,
            sum: 10.0,
            zero_count: 4.0,
            zero_threshold: 0.5,
            positive_spans: vec![Span { offset: 1, length: 2 }],
            positive_buckets: vec![4.0, 4.0],
            ..Default::default()
        };
        let whole = h.clone();
        trim(&mut h, 2f64.sqrt(), Keep::Below);
        assert_eq!((h.count, h.zero_count, h.positive_buckets.len()), (6.0, 4.0, 1));
        assert!((h.positive_buckets[0] - 2.0).abs() < 1e-12);
        let mut h = whole.clone();
        trim(&mut h, 0.25, Keep::Above);
        assert_eq!((h.count, h.zero_count), (10.0, 2.0), "the zero bucket begins at 0");
        let mut h = whole.clone();
        trim(&mut h, -1.0, Keep::Above);
        assert_eq!(h, whole, "nothing was cut off");
    }
}
