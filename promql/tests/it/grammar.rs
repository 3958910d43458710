//! Random queries: nearly all of them parse, and most of them pass the checker.

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

/// One of these texts.
fn any_of(texts: &'static [&'static str]) -> BoxedStrategy<String> {
    proptest::sample::select(texts).prop_map(str::to_owned).boxed()
}

/// A query that is an instant vector or a scalar.
pub(crate) fn query() -> BoxedStrategy<String> {
    prop_oneof![4 => vector(), 1 => scalar()].boxed()
}

fn name() -> BoxedStrategy<String> {
    any_of(&["up", "a:b", "sum", "offset", "start", "http_requests_total", "by", "fill", "x"])
}

fn matchers() -> BoxedStrategy<String> {
    let matcher = (
        any_of(&["job", "le", "\"a.b\"", "instance"]),
        any_of(&["=", "!=", "=~", "!~"]),
        any_of(&["\"x\"", "'a|b'", "\"\"", "`.+`", "\"\\u00e9\\n\"", "\"[0-9]+\""]),
    );
    let matcher = matcher.prop_map(|(label, op, value)| format!("{label}{op}{value}"));
    proptest::collection::vec(matcher, 0..3).prop_map(|all| all.join(", ")).boxed()
}

fn duration() -> BoxedStrategy<String> {
    let simple = any_of(&["5m", "300", "1h30m", "0.5", "1ms", "step()", "range()", "2w", "90s"]);
    simple
        .prop_recursive(2, 6, 2, |inner| {
            prop_oneof![
                (inner.clone(), any_of(&["+", "-", "*", "/", "%", "^"]), inner.clone())
                    .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
                (any_of(&["min_of", "max_of"]), inner.clone(), inner.clone())
                    .prop_map(|(f, a, b)| format!("{f}({a}, {b})")),
                inner.clone().prop_map(|a| format!("({a})")),
                inner.prop_map(|a| format!("-{a}")),
            ]
        })
        .boxed()
}

fn time_modifiers() -> BoxedStrategy<String> {
    let at = any_of(&["", "", "", " @ 12.345", " @ -1", " @ start()", " @ end()"]);
    let offset = prop_oneof![
        4 => Just(String::new()),
        1 => any_of(&[" offset 5m", " offset -1h", " offset 0", " offset -step()", " offset - -3 + 5"]),
        1 => duration().prop_map(|duration| format!(" offset ({duration})")),
        1 => duration().prop_map(|duration| format!(" offset -({duration})")),
    ];
    (at, offset, any::<bool>())
        .prop_map(|(at, offset, at_first)| if at_first { at + &offset } else { offset + &at })
        .boxed()
}

fn selector() -> BoxedStrategy<String> {
    prop_oneof![
        name(),
        (name(), matchers()).prop_map(|(name, matchers)| format!("{name}{{{matchers}}}")),
        matchers().prop_map(|matchers| format!(
            "{{{matchers}{}\"up.x\"}}",
            if matchers.is_empty() { "" } else { ", " }
        )),
    ]
    .boxed()
}

fn range_vector(inner: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let extended = any_of(&["", "", " anchored", " smoothed"]);
    prop_oneof![
        (selector(), duration(), extended, time_modifiers()).prop_map(
            |(selector, range, extended, modifiers)| format!("{selector}[{range}]{extended}{modifiers}")
        ),
        (inner, duration(), proptest::option::of(duration()), time_modifiers()).prop_map(
            |(inner, range, step, modifiers)| {
                format!("({inner})[{range}:{}]{modifiers}", step.unwrap_or_default())
            }
        ),
    ]
    .boxed()
}

fn scalar() -> BoxedStrategy<String> {
    let simple = any_of(&[
        "1", "-2", "0.5", "1e300", "NaN", "Inf", "-Inf", "5m", "-1h", "0x1F", "time()", "pi()", "1_000",
    ]);
    simple
        .prop_recursive(2, 8, 2, |inner| {
            prop_oneof![
                (inner.clone(), any_of(&["+", "^", "*", "== bool", "%"]), inner.clone())
                    .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
                inner.clone().prop_map(|a| format!("({a})")),
                inner.prop_map(|a| format!("-{a}")),
            ]
        })
        .boxed()
}

fn binary_operator() -> BoxedStrategy<String> {
    let op =
        any_of(&["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", ">", "<", ">=", "<= bool", "</", ">/"]);
    let matching = any_of(&[
        "",
        "",
        "",
        " on (job)",
        " ignoring (job, le)",
        " on ()",
        " on (job) group_left (le)",
        " ignoring (\"a.b\") group_right",
        " fill (0)",
        " on (job) fill_left (-1.5) fill_right (NaN)",
    ]);
    let set = any_of(&["and", "or", "unless", "and on (job)", "or ignoring ()"]);
    prop_oneof![4 => (op, matching).prop_map(|(op, matching)| op + &matching), 1 => set].boxed()
}

/// An instant vector.
pub(crate) fn vector() -> BoxedStrategy<String> {
    let leaf = (selector(), time_modifiers()).prop_map(|(selector, modifiers)| selector + &modifiers);
    leaf.boxed()
        .prop_recursive(4, 24, 3, |inner| {
            let aggregate = (
                any_of(&["sum", "max by (job)", "count without ()", "avg by (job, \"a.b\")"]),
                inner.clone(),
            );
            let parametric = (any_of(&["topk", "quantile by (le)", "limitk"]), scalar(), inner.clone());
            let simple_call =
                (any_of(&["abs", "sort_desc", "absent", "-abs", "histogram_avg"]), inner.clone());
            let over_time = (
                any_of(&["rate", "max_over_time", "delta", "last_over_time", "increase"]),
                range_vector(inner.clone()),
            );
            prop_oneof![
                aggregate.prop_map(|(op, vector)| format!("{op} ({vector})")),
                parametric.prop_map(|(op, param, vector)| format!("{op} ({param}, {vector})")),
                simple_call.prop_map(|(function, vector)| format!("{function}({vector})")),
                over_time.prop_map(|(function, range)| format!("{function}({range})")),
                (inner.clone(), binary_operator(), inner.clone())
                    .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
                (inner.clone(), any_of(&["+", "*", ">", "^"]), scalar())
                    .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
                inner.clone().prop_map(|vector| format!("({vector})")),
                inner.prop_map(|vector| format!("-{vector}")),
            ]
        })
        .boxed()
}
