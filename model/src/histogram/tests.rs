use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::value::STALE_NAN;

fn spans(pairs: &[(i32, u32)]) -> Vec<Span> {
    pairs.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect()
}

/// Spans and counts of these buckets, whichever way the naive model has them.
fn side(buckets: &BTreeMap<i32, f64>) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0;
    for index in buckets.keys() {
        match spans.last_mut() {
            Some(last) if *index == next => last.length += 1,
            _ => spans.push(Span { offset: index - next, length: 1 }),
        }
        next = index + 1;
    }
    (spans, buckets.values().copied().collect())
}

/// What all histograms are like to the naive model: buckets by index.
fn populated(spans: &[Span], counts: &[f64]) -> BTreeMap<i32, f64> {
    let mut index = 0;
    let mut counts = counts.iter();
    let mut buckets = BTreeMap::new();
    for span in spans {
        index += span.offset;
        for _ in 0..span.length {
            let count = *counts.next().unwrap();
            if count != 0.0 {
                buckets.insert(index, count);
            }
            index += 1;
        }
    }
    assert!(counts.next().is_none());
    buckets
}

fn exponential() -> impl Strategy<Value = FloatHistogram> {
    let side_of = || prop::collection::btree_map(-40..40_i32, (0..9_u8).prop_map(f64::from), 0..12);
    let threshold = prop::sample::select(vec![0.0, 0.001, 0.5, 1.0, 1.7, 4.0]);
    (-2..=4_i32, threshold, 0..9_u8, side_of(), side_of()).prop_map(
        |(schema, zero_threshold, zero_count, mut positive, mut negative)| {
            for side in [&mut positive, &mut negative] {
                side.retain(|index, _| bucket_bound(*index, schema, &[]) > zero_threshold);
            }
            let (positive_spans, positive_buckets) = side(&positive);
            let (negative_spans, negative_buckets) = side(&negative);
            let inside: f64 = positive_buckets.iter().chain(&negative_buckets).sum();
            FloatHistogram {
                schema,
                zero_threshold,
                zero_count: f64::from(zero_count),
                count: inside + f64::from(zero_count),
                sum: inside + 0.0,
                positive_spans,
                positive_buckets,
                negative_spans,
                negative_buckets,
                ..Default::default()
            }
        },
    )
}

fn custom(bounds: &[f64], buckets: &[(i32, f64)]) -> FloatHistogram {
    let (positive_spans, positive_buckets) = side(&buckets.iter().copied().collect());
    FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: positive_buckets.iter().sum(),
        custom_values: bounds.to_vec(),
        positive_spans,
        positive_buckets,
        ..Default::default()
    }
}

fn bucket_sum(h: &FloatHistogram) -> f64 {
    h.zero_count + h.positive_buckets.iter().chain(&h.negative_buckets).sum::<f64>()
}

#[test]
fn counts_become_floats() {
    let integer = Histogram {
        schema: 1,
        count: 21,
        sum: 1.5,
        zero_count: 2,
        zero_threshold: 0.001,
        positive_spans: spans(&[(0, 2), (1, 1)]),
        positive_deltas: vec![3, 2, -1],
        negative_spans: spans(&[(1, 2)]),
        negative_deltas: vec![4, -1],
        ..Default::default()
    };
    assert_eq!(integer.validate(), Ok(()));
    let float = integer.to_float();
    assert_eq!((float.count, float.zero_count), (21.0, 2.0));
    assert_eq!(float.positive_buckets, [3.0, 5.0, 4.0]);
    assert_eq!(float.negative_buckets, [4.0, 3.0]);
    assert_eq!(float.validate(), Ok(()));
}

#[test]
fn what_does_not_fit_is_named() {
    let good = Histogram {
        count: 3,
        positive_spans: spans(&[(0, 2)]),
        positive_deltas: vec![1, 1],
        ..Default::default()
    };
    assert_eq!(good.validate(), Ok(()));
    type Change = fn(&mut Histogram);
    let changes: [(Change, &str); 9] = [
        (
            |h| h.schema = 9,
            "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets, or -53 for custom buckets, got schema 9",
        ),
        (
            |h| h.count = 4,
            "3 observations found in buckets, but the Count field is 4: histogram's observation count should equal the number of observations found in the buckets (in absence of NaN)",
        ),
        (
            |h| (h.count, h.sum) = (2, f64::NAN),
            "3 observations found in buckets, but the Count field is 2: histogram's observation count should be at least the number of observations found in the buckets",
        ),
        (
            |h| h.positive_deltas[1] = -2,
            "positive side: bucket number 2 has observation count of -1: histogram has a bucket whose observation count is negative",
        ),
        (
            |h| h.negative_spans = vec![Span { offset: 0, length: 1 }],
            "negative side: spans need 1 buckets, have 0 buckets: histogram spans specify different number of buckets than provided",
        ),
        (
            |h| h.positive_spans = vec![Span { offset: 0, length: 1 }, Span { offset: -1, length: 1 }],
            "positive side: span number 2 with offset -1: histogram has a span whose offset is negative",
        ),
        (|h| h.custom_values = vec![1.0], "histogram with exponential schema must not have custom bounds"),
        (
            |h| h.schema = CUSTOM_BUCKETS_SCHEMA,
            "custom buckets: only 0 custom bounds defined which is insufficient to cover total span length of 2: histogram custom bounds are too few",
        ),
        (
            |h| (h.schema, h.custom_values) = (CUSTOM_BUCKETS_SCHEMA, vec![2.0, 1.0]),
            "custom buckets: previous bound is 2.000000 and current is 1.000000: histogram custom bounds must be in strictly increasing order",
        ),
    ];
    for (change, text) in changes {
        let mut bad = good.clone();
        change(&mut bad);
        assert_eq!(bad.validate().unwrap_err().to_string(), text);
    }
    let float = FloatHistogram { zero_count: -1.5, ..Default::default() };
    assert_eq!(
        float.validate().unwrap_err().to_string(),
        "zero bucket has observation count of -1.5: histogram has a bucket whose observation count is negative"
    );
}

#[test]
fn histograms_are_written_from_the_lowest_bucket_up() {
    let h = FloatHistogram {
        schema: 0,
        count: 16.0,
        sum: 1e6,
        zero_count: 2.5,
        zero_threshold: 0.001,
        positive_spans: spans(&[(0, 2), (1, 1)]),
        positive_buckets: vec![3.0, 0.0, 4.0],
        negative_spans: spans(&[(1, 2)]),
        negative_buckets: vec![4.0, 3.0],
        counter_reset_hint: CounterResetHint::Gauge,
        ..Default::default()
    };
    assert_eq!(
        h.to_string(),
        "{count:16, sum:1e+06, [-4,-2):3, [-2,-1):4, [-0.001,0.001]:2.5, (0.5,1]:3, (4,8]:4}"
    );
    assert_eq!(
        h.test_expression(),
        "{{count:16 sum:1e+06 z_bucket:2.5 z_bucket_w:0.001 counter_reset_hint:gauge buckets:[3 0 0 4] n_offset:1 n_buckets:[4 3]}}"
    );
    let h = custom(&[1.0, 2.5], &[(0, 1.0), (2, 2.0)]);
    assert_eq!(h.to_string(), "{count:3, sum:0, [-Inf,1]:1, (2.5,+Inf]:2}");
    assert_eq!(h.test_expression(), "{{schema:-53 count:3 custom_values:[1 2.5] buckets:[1 0 2]}}");
    assert_eq!(FloatHistogram::default().test_expression(), "{{}}");
}

#[test]
fn custom_bounds_come_together_in_those_that_both_have() {
    let mut sum = custom(&[1.0, 2.0, 5.0], &[(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)]);
    let other = custom(&[2.0, 4.0, 5.0, 9.0], &[(0, 10.0), (1, 20.0), (3, 30.0), (4, 40.0)]);
    let combined = sum.add(&other).unwrap();
    assert!(combined.bounds_reconciled);
    assert_eq!(sum, custom(&[2.0, 5.0], &[(0, 13.0), (1, 23.0), (2, 74.0)]));
    assert_eq!(sum.clone().add(&FloatHistogram::default()), Err(IncompatibleSchemas));
    assert_eq!(sum, custom(&[2.0, 5.0], &[(0, 13.0), (1, 23.0), (2, 74.0)]));
}

#[test]
fn hints_of_a_sum() {
    use CounterResetHint::{CounterReset, Gauge, NotCounterReset, Unknown};
    for (a, b, sum, conflict) in [
        (Unknown, Unknown, Unknown, false),
        (CounterReset, CounterReset, CounterReset, false),
        (CounterReset, NotCounterReset, Unknown, true),
        (NotCounterReset, CounterReset, Unknown, true),
        (CounterReset, Unknown, Unknown, false),
        (Unknown, Gauge, Gauge, false),
        (Gauge, NotCounterReset, Gauge, false),
    ] {
        let of = |hint| FloatHistogram { counter_reset_hint: hint, ..Default::default() };
        let mut total = of(a);
        let combined = total.add(&of(b)).unwrap();
        assert_eq!((total.counter_reset_hint, combined.counter_reset_conflict), (sum, conflict));
    }
}

#[test]
fn dividing_by_zero_leaves_no_buckets() {
    let mut h = FloatHistogram {
        count: 2.0,
        sum: -3.0,
        positive_spans: spans(&[(0, 1)]),
        positive_buckets: vec![2.0],
        ..Default::default()
    };
    h.div(0.0);
    assert_eq!((h.count, h.sum, h.zero_count.is_nan()), (f64::INFINITY, f64::NEG_INFINITY, true));
    assert_eq!((h.positive_spans, h.positive_buckets), (vec![], vec![]));
}

#[test]
fn resets_are_found() {
    let base = FloatHistogram {
        schema: 2,
        zero_threshold: 0.5,
        zero_count: 2.0,
        count: 10.0,
        positive_spans: spans(&[(4, 2)]),
        positive_buckets: vec![3.0, 5.0],
        ..Default::default()
    };
    type Change = fn(&mut FloatHistogram);
    let changes: [(Change, bool); 12] = [
        (|_| {}, false),
        (|h| h.count = 9.0, true),
        (|h| h.zero_count = 1.0, true),
        (|h| h.positive_buckets[1] = 4.0, true),
        (|h| (h.positive_spans, h.positive_buckets) = (vec![Span { offset: 4, length: 1 }], vec![9.0]), true),
        (|h| h.schema = 3, true),
        (|h| h.zero_threshold = 0.25, true),
        // Schema 0: both buckets are part of (2, 4] and (1, 2].
        (
            |h| {
                (h.schema, h.positive_spans, h.positive_buckets) =
                    (0, vec![Span { offset: 1, length: 2 }], vec![3.0, 5.0])
            },
            false,
        ),
        (
            |h| {
                (h.schema, h.positive_spans, h.positive_buckets) =
                    (0, vec![Span { offset: 1, length: 2 }], vec![3.0, 4.0])
            },
            true,
        ),
        // The zero bucket now ends inside of bucket 4, (2^0.75, 2].
        (|h| (h.zero_threshold, h.zero_count) = (1.9, 20.0), true),
        (|h| (h.zero_threshold, h.zero_count) = (2.0, 5.0), false),
        (|h| h.counter_reset_hint = CounterResetHint::CounterReset, true),
    ];
    for (number, (change, reset)) in changes.into_iter().enumerate() {
        let mut now = base.clone();
        change(&mut now);
        assert_eq!(now.detect_reset(&base), reset, "change {number}");
    }
    let before = custom(&[1.0, 2.0, 5.0], &[(0, 1.0), (1, 2.0)]);
    assert!(!custom(&[2.0, 5.0], &[(0, 3.0)]).detect_reset(&before));
    assert!(custom(&[2.0, 5.0], &[(1, 3.0)]).detect_reset(&before));
    assert!(before.detect_reset(&FloatHistogram::default()));
}

#[test]
fn equality_is_of_data() {
    let a = FloatHistogram {
        sum: f64::NAN,
        positive_spans: spans(&[(0, 2)]),
        positive_buckets: vec![1.0, 2.0],
        ..Default::default()
    };
    let mut b = a.clone();
    b.positive_spans = spans(&[(-3, 0), (3, 2), (7, 0)]);
    b.counter_reset_hint = CounterResetHint::Gauge;
    assert!(a.equals(&b));
    b.sum = STALE_NAN;
    assert!(!a.equals(&b));
    b.sum = a.sum;
    b.positive_spans = spans(&[(0, 1), (1, 1)]);
    assert!(!a.equals(&b));
}

#[test]
fn sums_carry_what_rounding_lost() {
    let of = |sum| FloatHistogram {
        count: 1.0,
        sum,
        positive_spans: spans(&[(0, 1)]),
        positive_buckets: vec![sum],
        ..Default::default()
    };
    let mut sum = HistogramSum::new(&of(1e100));
    for next in [1.0, -1e100] {
        sum.add(&of(next)).unwrap();
    }
    assert_eq!((sum.total().sum, &sum.total().positive_buckets[..]), (1.0, &[1.0][..]));
    assert!(!sum.has_overflow());
    sum.add(&of(f64::MAX)).unwrap();
    sum.add(&of(f64::MAX)).unwrap();
    assert!(sum.has_overflow());
    assert_eq!(sum.total().sum, f64::INFINITY);
}

proptest! {
    #[test]
    fn sums_are_those_of_their_buckets(a in exponential(), b in exponential()) {
        let mut sum = a.clone();
        sum.add(&b).unwrap();
        prop_assert_eq!(sum.schema, a.schema.min(b.schema));
        prop_assert!(sum.zero_threshold >= a.zero_threshold.max(b.zero_threshold));
        prop_assert_eq!(bucket_sum(&sum), bucket_sum(&a) + bucket_sum(&b));
        // Every bucket of the sum is what the buckets of both that are inside of it have together.
        let coarse = |h: &FloatHistogram| {
            let mut outer = h.clone();
            for (spans, counts) in [
                (&mut outer.positive_spans, &mut outer.positive_buckets),
                (&mut outer.negative_spans, &mut outer.negative_buckets),
            ] {
                let mut buckets = populated(spans, counts);
                buckets.retain(|index, _| bucket_bound(*index, h.schema, &[]) > sum.zero_threshold);
                (*spans, *counts) = side(&buckets);
            }
            let h = outer.copy_to_schema(sum.schema);
            (
                populated(&h.positive_spans, &h.positive_buckets),
                populated(&h.negative_spans, &h.negative_buckets),
            )
        };
        let (of_a, of_b) = (coarse(&a), coarse(&b));
        for (ours, a, b) in [
            (populated(&sum.positive_spans, &sum.positive_buckets), of_a.0, of_b.0),
            (populated(&sum.negative_spans, &sum.negative_buckets), of_a.1, of_b.1),
        ] {
            for (index, count) in ours {
                prop_assert_eq!(count, a.get(&index).unwrap_or(&0.0) + b.get(&index).unwrap_or(&0.0));
            }
        }
        let mut kahan = HistogramSum::new(&a);
        kahan.add(&b).unwrap();
        let (mut kahan, mut plain) = (kahan.total(), sum);
        kahan.compact(0);
        plain.compact(0);
        prop_assert!(kahan.equals(&plain), "{} {}", kahan, plain);
    }

    #[test]
    fn adding_and_subtracting_again_leaves_the_histogram(a in exponential(), b in exponential()) {
        let mut back = a.clone();
        back.add(&b).unwrap();
        let widened = { let mut zero = FloatHistogram { count: 0.0, sum: 0.0, ..b.clone() }; zero.mul(0.0); let mut a = a.clone(); a.add(&zero).unwrap(); a };
        back.sub(&b).unwrap();
        prop_assert_eq!((back.count, bucket_sum(&back)), (a.count, bucket_sum(&widened)));
    }

    #[test]
    fn compacting_leaves_what_is_populated(a in exponential(), empty_max in 0..5_u32) {
        let mut compact = a.clone();
        compact.compact(empty_max);
        prop_assert_eq!(populated(&compact.positive_spans, &compact.positive_buckets), populated(&a.positive_spans, &a.positive_buckets));
        prop_assert_eq!(compact.validate(), Ok(()));
        prop_assert!(compact.positive_spans.iter().skip(1).all(|span| span.offset > empty_max as i32));
        let empty_run = compact.positive_buckets.split(|count| *count != 0.0).map(<[f64]>::len).max();
        prop_assert!(empty_run <= Some(empty_max as usize));
    }

    #[test]
    fn coarser_buckets_take_in_the_finer(a in exponential(), steps in 1..4_i32) {
        let mut coarse = a.clone();
        coarse.reduce_resolution(a.schema - steps).unwrap();
        prop_assert_eq!(&coarse, &a.copy_to_schema(a.schema - steps));
        let mut expected: BTreeMap<(u64, u64), f64> = BTreeMap::new();
        for bucket in a.positive() {
            let outer = coarse.positive().find(|outer| outer.lower <= bucket.lower && bucket.upper <= outer.upper).unwrap();
            *expected.entry((outer.lower.to_bits(), outer.upper.to_bits())).or_default() += bucket.count;
        }
        let found: BTreeMap<_, _> = coarse.positive().map(|b| ((b.lower.to_bits(), b.upper.to_bits()), b.count)).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_histogram_that_grew_was_not_reset(a in exponential(), b in exponential()) {
        let mut grown = a.clone();
        grown.add(&b).unwrap();
        prop_assert!(!grown.detect_reset(&a));
        let mut empty = a.clone();
        empty.count = 0.0;
        prop_assert_eq!(empty.detect_reset(&a), a.count > 0.0);
    }

    #[test]
    fn nonsense_is_worked_with_all_the_same(
        mut a in exponential(), b in exponential(), offset: i32, length: u32, schema: i32, threshold: f64,
    ) {
        a.positive_spans.push(Span { offset, length });
        a.negative_spans.insert(0, Span { offset, length });
        a.zero_threshold = threshold;
        let _ = a.clone().add(&b);
        let _ = b.clone().add(&a);
        let _ = a.detect_reset(&b);
        let _ = b.detect_reset(&a);
        let _ = a.all_buckets().rev().count();
        let _ = a.to_string();
        a.schema = schema;
        let _ = a.validate();
        let _ = a.clone().reduce_resolution(schema.saturating_sub(1));
        let _ = a.all_buckets().count();
        a.compact(0);
    }
}
