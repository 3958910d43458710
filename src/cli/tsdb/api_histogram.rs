//! Native histograms as the HTTP API shows them, and back.
//!
//! The API shows bounds and counts of buckets, not the schema that the bounds come from. The schema is the
//! coarsest whose bounds all of them are. Bounds of no schema are custom ones.
//!
//! ```text
//! [boundaries, "lower", "upper", "count"]      boundaries: 0 (lower, upper]   2 (lower, upper)
//!                                                          1 [lower, upper)   3 [lower, upper]
//! ```

use anyhow::{Context, ensure};
use model::histogram::{
    CUSTOM_BUCKETS_SCHEMA, EXPONENTIAL_SCHEMA_MAX, EXPONENTIAL_SCHEMA_MIN, FloatHistogram, SpanBuilder,
    bucket_bound,
};
use serde::Deserialize;

/// A histogram in an answer.
#[derive(Debug, Deserialize)]
pub(super) struct ApiHistogram {
    count: String,
    sum: String,
    #[serde(default)]
    buckets: Vec<(u8, String, String, String)>,
}

/// A bucket; bounds are absolute where it is of one sign.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    lower: f64,
    upper: f64,
    count: f64,
}

impl ApiHistogram {
    /// The histogram.
    ///
    /// # Errors
    ///
    /// A number that is none, or buckets that overlap.
    pub(super) fn into_histogram(self) -> anyhow::Result<FloatHistogram> {
        let number =
            |text: &str| text.parse::<f64>().with_context(|| format!("bad histogram number {text:?}"));
        let mut buckets = Vec::with_capacity(self.buckets.len());
        for (_, lower, upper, count) in &self.buckets {
            buckets.push(Bucket { lower: number(lower)?, upper: number(upper)?, count: number(count)? });
        }
        ensure!(
            buckets
                .iter()
                .all(|bucket| bucket.lower < bucket.upper || (bucket.lower == 0.0 && bucket.upper == 0.0))
                && buckets.is_sorted_by(|a, b| a.upper <= b.lower),
            "bad histogram: buckets overlap"
        );
        let mut histogram = exponential(&buckets).unwrap_or_else(|| custom(&buckets));
        histogram.count = number(&self.count)?;
        histogram.sum = number(&self.sum)?;
        Ok(histogram)
    }
}

/// The histogram of the coarsest exponential schema that fits.
fn exponential(buckets: &[Bucket]) -> Option<FloatHistogram> {
    let zero = buckets.iter().find(|bucket| bucket.lower == -bucket.upper);
    let positive: Vec<Bucket> =
        buckets.iter().filter(|bucket| bucket.lower >= 0.0 && bucket.upper > 0.0).copied().collect();
    let negative = buckets.iter().rev().filter(|bucket| bucket.upper <= 0.0 && bucket.lower < 0.0);
    let negative: Vec<Bucket> = negative
        .map(|bucket| Bucket { lower: -bucket.upper, upper: -bucket.lower, count: bucket.count })
        .collect();
    if positive.len() + negative.len() + zero.iter().len() < buckets.len() {
        return None;
    }
    let threshold = zero.map_or(0.0, |zero| zero.upper);
    // Without buckets the finest one fits best: others lose nothing when they are added.
    let is_bare = positive.is_empty() && negative.is_empty();
    let coarsest = if is_bare { EXPONENTIAL_SCHEMA_MAX } else { EXPONENTIAL_SCHEMA_MIN };
    (coarsest..=EXPONENTIAL_SCHEMA_MAX).find_map(|schema| {
        let indexes = |side: &[Bucket]| -> Option<Vec<i32>> {
            side.iter().map(|bucket| index(bucket, schema, threshold)).collect()
        };
        let (positive_indexes, negative_indexes) = (indexes(&positive)?, indexes(&negative)?);
        let spans = |indexes: &[i32]| {
            let mut spans = SpanBuilder::default();
            indexes.iter().for_each(|index| spans.push(*index));
            spans.into_spans()
        };
        Some(FloatHistogram {
            schema,
            zero_threshold: threshold,
            zero_count: zero.map_or(0.0, |zero| zero.count),
            positive_spans: spans(&positive_indexes),
            negative_spans: spans(&negative_indexes),
            positive_buckets: positive.iter().map(|bucket| bucket.count).collect(),
            negative_buckets: negative.iter().map(|bucket| bucket.count).collect(),
            ..FloatHistogram::default()
        })
    })
}

/// The index of a bucket of a schema; `None` if it is none. A bucket that reaches into the zero bucket is shown
/// from where that ends.
fn index(bucket: &Bucket, schema: i32, threshold: f64) -> Option<i32> {
    // The largest bound is short of the power of two that it stands for.
    let exponent = if bucket.upper == f64::MAX { 1024.0 } else { bucket.upper.log2() };
    let index = (exponent * f64::from(schema).exp2()).round();
    let index = (index.abs() < f64::from(i32::MAX)).then_some(index as i32)?;
    let lower = bucket_bound(index - 1, schema, &[]);
    let fits = bucket_bound(index, schema, &[]) == bucket.upper
        && (lower == bucket.lower || (bucket.lower == threshold && lower < threshold));
    fits.then_some(index)
}

/// A histogram with the bounds that are shown.
fn custom(buckets: &[Bucket]) -> FloatHistogram {
    let mut bounds: Vec<f64> = buckets.iter().flat_map(|bucket| [bucket.lower, bucket.upper]).collect();
    bounds.retain(|bound| bound.is_finite());
    bounds.dedup();
    let mut spans = SpanBuilder::default();
    for bucket in buckets {
        spans.push(bounds.partition_point(|bound| *bound < bucket.upper) as i32);
    }
    FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        positive_spans: spans.into_spans(),
        positive_buckets: buckets.iter().map(|bucket| bucket.count).collect(),
        custom_values: bounds,
        ..FloatHistogram::default()
    }
}

#[cfg(test)]
mod tests {
    use promql::script::{SequenceValue, parse_series};

    use super::*;

    /// As the API shows it.
    fn shown(histogram: &FloatHistogram) -> ApiHistogram {
        let buckets = histogram.all_buckets().filter(|bucket| bucket.count != 0.0);
        let text = |number: f64| model::float_text::api(number);
        ApiHistogram {
            count: text(histogram.count),
            sum: text(histogram.sum),
            buckets: buckets.map(|b| (0, text(b.lower), text(b.upper), text(b.count))).collect(),
        }
    }

    #[test]
    fn histograms_come_back_as_they_were() {
        for text in [
            "{{schema:0 count:4 sum:5 buckets:[1 2 1]}}",
            "{{schema:3 count:7.5 sum:-1 z_bucket:2 z_bucket_w:0.001 offset:-5 buckets:[1 0 2] n_buckets:[1.5 1]}}",
            "{{schema:-2 count:3 sum:9 offset:2 buckets:[3]}}",
            "{{schema:8 count:3 sum:9 offset:-1000 buckets:[3]}}",
            "{{schema:-53 count:6 sum:3 custom_values:[0.1 0.3 7] buckets:[1 2 2 1]}}",
            "{{count:0 sum:0}}",
        ] {
            let (_, values) = parse_series(&format!("{{}} {text}")).unwrap();
            let Some(SequenceValue::Histogram { histogram, .. }) = values.into_iter().next() else {
                panic!("{text}")
            };
            let back = shown(&histogram).into_histogram().unwrap();
            assert_eq!(back.to_string(), histogram.to_string(), "{text}");
            if !histogram.positive_buckets.is_empty() {
                assert_eq!(back.schema, histogram.schema, "{text}");
            }
        }
    }

    #[test]
    fn buckets_that_overlap_are_refused() {
        let bucket = |lower: &str, upper: &str| (0, lower.to_owned(), upper.to_owned(), "1".to_owned());
        for buckets in
            [vec![bucket("1", "4"), bucket("2", "8")], vec![bucket("2", "1")], vec![bucket("x", "1")]]
        {
            let histogram = ApiHistogram { count: "2".to_owned(), sum: "1".to_owned(), buckets };
            assert!(histogram.into_histogram().is_err());
        }
    }
}
