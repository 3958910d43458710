//! Which labels results have, where names are dropped at once, as they are unless a feature says otherwise.

use model::labels::Labels;
use model::storage::SampleValue;
use promql::engine::{Engine, EngineOptions, QueryRequest};
use promql::script::{MemoryStorage, Sample};
use promql::value::Value;

const MINUTE_MS: i64 = 60_000;

/// Two metrics with the same other labels, and one that takes the other's place after five minutes.
fn storage() -> MemoryStorage {
    let storage = MemoryStorage::new();
    for (name, minutes) in [("a_total", 0..10), ("b_total", 0..10), ("early", 0..3), ("late", 5..10)] {
        let labels = Labels::from_pairs([("__name__", name), ("job", "x"), ("__type__", "counter")]);
        let sample =
            |m: i64| (m * MINUTE_MS, Sample { value: SampleValue::Float(m as f64), start_timestamp_ms: 0 });
        storage.append(&labels, minutes.map(sample)).expect("samples in order");
        if name == "early" {
            let stale = Sample { value: SampleValue::Float(model::value::STALE_NAN), start_timestamp_ms: 0 };
            storage.append(&labels, [(3 * MINUTE_MS, stale)]).expect("samples in order");
        }
    }
    storage
}

/// The label sets of a range query's result, or its error.
fn labels(query: &str) -> Result<Vec<String>, String> {
    let engine = Engine::new(EngineOptions::default());
    let request = QueryRequest::range(query, 0, 9 * MINUTE_MS, MINUTE_MS);
    match engine.query(&storage(), &request) {
        Ok(result) => match result.value {
            Value::Range { series, .. } => Ok(series.iter().map(|s| s.labels.to_string()).collect()),
            other => Err(format!("{other:?}")),
        },
        Err(error) => Err(error.to_string()),
    }
}

const NAMED: &str = r#"{__name__="a_total", __type__="counter", job="x"}"#;
const UNNAMED: &str = r#"{job="x"}"#;
const SAME: &str = "vector cannot contain metrics with the same labelset";

#[test]
fn names_are_kept_where_the_value_is_still_the_metric() {
    for query in [
        "a_total",
        "a_total > 3",
        "sort(a_total)",
        "topk(1, a_total)",
        "last_over_time(a_total[5m])",
        "a_total and b_total",
        "a_total or a_total",
        "label_replace(a_total, \"job\", \"x\", \"job\", \".*\")",
        "a_total == ignoring(__type__) a_total",
    ] {
        let expected = if query.contains("==") { r#"{__name__="a_total", job="x"}"# } else { NAMED };
        assert_eq!(labels(query), Ok(vec![expected.to_owned()]), "{query}");
    }
}

#[test]
fn names_are_dropped_where_it_is_something_else() {
    for query in [
        "a_total + 1",
        "-a_total",
        "a_total > bool 3",
        "rate(a_total[5m])",
        "abs(a_total)",
        "timestamp(a_total)",
        "a_total * b_total",
        "sum_over_time(a_total[5m:1m])",
        "sum by (job) ({__name__=~\"a_total|b_total\"})",
    ] {
        assert_eq!(labels(query), Ok(vec![UNNAMED.to_owned()]), "{query}");
    }
}

#[test]
fn series_that_differ_in_their_names_alone_collide() {
    for query in [
        "rate({__name__=~\"a_total|b_total\"}[5m])",
        "abs({__name__=~\"a_total|b_total\"})",
        "-{__name__=~\"a_total|b_total\"}",
        "{__name__=~\"a_total|b_total\"} + 1",
        "sum(rate({__name__=~\"a_total|b_total\"}[5m]))",
        "label_replace({__name__=~\"a_total|b_total\"}, \"__name__\", \"z\", \"\", \"\")",
        // Not at the same time, but functions of ranges look at all of it.
        "count_over_time({__name__=~\"early|late\"}[1m])",
    ] {
        assert_eq!(labels(query), Err(SAME.to_owned()), "{query}");
    }
}

#[test]
fn series_that_follow_each_other_become_one() {
    for query in
        ["abs({__name__=~\"early|late\"})", "-{__name__=~\"early|late\"}", "{__name__=~\"early|late\"} + 1"]
    {
        assert_eq!(labels(query), Ok(vec![UNNAMED.to_owned()]), "{query}");
    }
}
