//! Streams of samples for tests: the everyday ones and the odd ones.

use std::ops::Range;

use model::value::STALE_NAN;
use proptest::prelude::*;

/// Rising timestamps: regular, with jitter, with gaps, from anywhere, up to the ends of the range.
pub(super) fn timestamps(len: Range<usize>) -> impl Strategy<Value = Vec<i64>> {
    let step = prop_oneof![
        20 => Just(15_000_i64),
        5 => 14_990..15_010_i64,
        2 => 1..2_000_000_i64,
        1 => 1..i64::MAX,
    ];
    let start = prop_oneof![Just(1_700_000_000_000_i64), Just(0), Just(i64::MIN), any::<i64>()];
    (start, prop::collection::vec(step, len)).prop_map(|(start, steps)| {
        let mut next = Some(start);
        let mut rise = |step| {
            let timestamp = next?;
            next = timestamp.checked_add(step);
            Some(timestamp)
        };
        steps.into_iter().map_while(&mut rise).collect()
    })
}

/// Floats: runs of the same, counters, noise, any bits at all.
pub(super) fn floats(len: usize) -> impl Strategy<Value = Vec<f64>> {
    let next = prop_oneof![
        10 => Just(None),
        3 => (0..1000_u32).prop_map(|n| Some(f64::from(n))),
        3 => (0.0..1.0).prop_map(Some),
        1 => any::<u64>().prop_map(|bits| Some(f64::from_bits(bits))),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, STALE_NAN, f64::MAX, 5e-324]).prop_map(Some),
    ];
    prop::collection::vec(next, len).prop_map(|values| {
        let mut last = 0.0;
        values
            .into_iter()
            .map(|value: Option<f64>| {
                last = value.unwrap_or(last);
                last
            })
            .collect()
    })
}
