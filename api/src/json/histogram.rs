//! Native histograms in JSON: `{"count":"10","sum":"5.5","buckets":[[0,"0.5","1","4"],…]}`.
//!
//! A bucket is `[boundaries, lower, upper, count]`, boundaries being 0 for `(lower, upper]`, 1 for
//! `[lower, upper)`, 2 for both open, 3 for both closed. Buckets come in ascending order; empty ones are left
//! out, and so is the list if nothing remains.

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Span};

use super::number::push_float;

/// A bucket with observations.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    lower: f64,
    upper: f64,
    lower_inclusive: bool,
    upper_inclusive: bool,
    count: f64,
}

/// Appends a histogram.
pub(super) fn push_histogram(out: &mut Vec<u8>, histogram: &FloatHistogram) {
    out.extend_from_slice(b"{\"count\":\"");
    push_float(out, histogram.count);
    out.extend_from_slice(b"\",\"sum\":\"");
    push_float(out, histogram.sum);
    out.push(b'"');
    let mut first = true;
    for_each_bucket(histogram, |bucket| {
        out.extend_from_slice(if first { b",\"buckets\":[" } else { b"," });
        first = false;
        push_bucket(out, bucket);
    });
    out.extend_from_slice(if first { b"}" } else { b"]}" });
}

fn push_bucket(out: &mut Vec<u8>, bucket: &Bucket) {
    let boundaries = match (bucket.lower_inclusive, bucket.upper_inclusive) {
        (false, true) => b'0',
        (true, false) => b'1',
        (false, false) => b'2',
        (true, true) => b'3',
    };
    out.extend_from_slice(&[b'[', boundaries]);
    for value in [bucket.lower, bucket.upper, bucket.count] {
        out.extend_from_slice(b",\"");
        push_float(out, value);
        out.push(b'"');
    }
    out.push(b']');
}

/// Calls `visit` with every bucket that isn't empty, in ascending order.
fn for_each_bucket(histogram: &FloatHistogram, mut visit: impl FnMut(&Bucket)) {
    let schema = histogram.schema;
    let bound = |index| upper_bound(index, schema, &histogram.custom_values);
    let custom = schema == CUSTOM_BUCKETS_SCHEMA;
    let negative = indexed(&histogram.negative_spans, &histogram.negative_buckets);
    for (index, count) in negative.into_iter().rev() {
        visit(&Bucket {
            lower: -bound(index),
            upper: -bound(index - 1),
            lower_inclusive: true,
            upper_inclusive: false,
            count,
        });
    }
    if histogram.zero_count != 0.0 {
        visit(&Bucket {
            lower: -histogram.zero_threshold,
            upper: histogram.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: histogram.zero_count,
        });
    }
    for (index, count) in indexed(&histogram.positive_spans, &histogram.positive_buckets) {
        visit(&Bucket {
            lower: bound(index - 1),
            upper: bound(index),
            lower_inclusive: custom && index == 0,
            upper_inclusive: true,
            count,
        });
    }
}

/// Bucket indexes with their counts, empty ones left out.
fn indexed(spans: &[Span], counts: &[f64]) -> Vec<(i32, f64)> {
    let mut index = 0_i32;
    let mut counts = counts.iter();
    let mut found = Vec::with_capacity(counts.len());
    for span in spans {
        index = index.saturating_add(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            if *count != 0.0 {
                found.push((index, *count));
            }
            index = index.saturating_add(1);
        }
    }
    found
}

/// The upper bound of a bucket.
fn upper_bound(index: i32, schema: i32, custom_values: &[f64]) -> f64 {
    if schema != CUSTOM_BUCKETS_SCHEMA {
        return exponential_bound(index, schema);
    }
    match usize::try_from(index) {
        Err(_) => f64::NEG_INFINITY,
        Ok(index) => custom_values.get(index).copied().unwrap_or(f64::INFINITY),
    }
}

/// `2^(index × 2^-schema)`; the bound that would be infinite is the largest float, so that only the overflow
/// bucket ends at infinity.
fn exponential_bound(index: i32, schema: i32) -> f64 {
    let exponent = f64::from(index) * f64::from(-schema).exp2();
    if exponent == 1024.0 { f64::MAX } else { exponent.exp2() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(histogram: &FloatHistogram) -> String {
        let mut out = Vec::new();
        push_histogram(&mut out, histogram);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn buckets_go_from_the_most_negative_to_the_largest() {
        let histogram = FloatHistogram {
            schema: 0,
            zero_threshold: 0.001,
            zero_count: 2.0,
            count: 10.0,
            sum: 4.5,
            positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 1 }],
            positive_buckets: vec![1.0, 0.0, 3.0],
            negative_spans: vec![Span { offset: 1, length: 2 }],
            negative_buckets: vec![2.0, 2.5],
            ..FloatHistogram::default()
        };
        assert_eq!(
            written(&histogram),
            r#"{"count":"10","sum":"4.5","buckets":[[1,"-4","-2","2.5"],[1,"-2","-1","2"],[3,"-0.001","0.001","2"],[0,"0.5","1","1"],[0,"4","8","3"]]}"#
        );
    }

    #[test]
    fn custom_bounds_begin_and_end_at_infinity() {
        let histogram = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 3.0,
            sum: 1.0,
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![1.0, 1.0, 1.0],
            custom_values: vec![0.5, 2.0],
            ..FloatHistogram::default()
        };
        assert_eq!(
            written(&histogram),
            r#"{"count":"3","sum":"1","buckets":[[3,"-Inf","0.5","1"],[0,"0.5","2","1"],[0,"2","+Inf","1"]]}"#
        );
    }

    #[test]
    fn an_empty_histogram_has_no_list_of_buckets() {
        assert_eq!(written(&FloatHistogram::default()), r#"{"count":"0","sum":"0"}"#);
    }
}
