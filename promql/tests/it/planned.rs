//! Rewrites of plans and threads never change an answer, not by a bit.

use std::fmt::Write;

use model::labels::Labels;
use model::storage::SampleValue;
use promql::engine::{Engine, EngineOptions, QueryRequest, QueryResult};
use promql::features::Features;
use promql::script::{MemoryStorage, Sample};
use promql::value::Value;
use proptest::prelude::*;

use crate::grammar;

const MINUTE_MS: i64 = 60_000;

/// Everything switched on, so that every query of the grammar can be asked.
const FEATURES: Features = Features {
    experimental_functions: true,
    extended_range_selectors: true,
    binop_fill_modifiers: true,
    delayed_name_removal: false,
    per_step_stats: false,
    type_and_unit_labels: false,
    use_start_timestamps: false,
};

/// Samples that a random query may hold: many more than the storage has, and few enough that a subquery of a
/// million steps is refused instead of evaluated.
const SAMPLES_MAX: u64 = 5_000;

fn engine(threads: usize) -> Engine {
    Engine::new(EngineOptions { features: FEATURES, threads, ..EngineOptions::default() })
}

/// What the refusal of such a query says.
const TOO_MANY: &str = "query processing would load too many samples into memory";

/// An engine for queries that may turn out to be heavy.
fn careful_engine() -> Engine {
    let options = EngineOptions { max_samples: SAMPLES_MAX, ..EngineOptions::default() };
    Engine::new(EngineOptions { features: FEATURES, threads: 1, ..options })
}

/// Series with the names and labels that the grammar asks for.
fn storage(series: usize, samples: i64) -> MemoryStorage {
    let storage = MemoryStorage::new();
    for i in 0..series {
        let name = ["up", "a:b", "http_requests_total", "x"][i % 4];
        let (job, instance) = (["x", "a", "b"][i / 4 % 3], format!("{}", i / 12));
        let le = ["", "1", "2", "+Inf"][i % 5 % 4];
        let labels = [("__name__", name), ("job", job), ("instance", &instance), ("le", le)];
        let sample = |s: i64| {
            let value = ((s * (i as i64 + 3)) % 17) as f64 / 8.0 - 0.5;
            let value = if (s + i as i64) % 23 == 0 { f64::NAN } else { value };
            (s * MINUTE_MS / 2, Sample { value: SampleValue::Float(value), start_timestamp_ms: 0 })
        };
        let present = (0..samples).filter(|s| (s + i as i64) % 11 != 0);
        storage.append(&Labels::from_pairs(labels), present.map(sample)).expect("samples in order");
    }
    storage
}

/// Everything that a client sees of an answer, floats by their bits.
fn seen(query: &str, result: Result<QueryResult, promql::engine::QueryError>) -> String {
    let result = match result {
        Ok(result) => result,
        Err(error) => return error.to_string(),
    };
    let mut text = String::new();
    match &result.value {
        Value::Range { series, .. } => {
            for series in series {
                let bits: Vec<u64> = series.values.iter().map(|value| normal(*value)).collect();
                let _ = writeln!(text, "{} {bits:x?} {:?}", series.labels, series.histograms);
            }
        }
        Value::Vector { samples, .. } => {
            let mut lines: Vec<String> =
                samples.iter().map(|(labels, s)| format!("{labels} {s:?}")).collect();
            lines.sort();
            text = lines.join("\n");
        }
        other => {
            let _ = write!(text, "{other:?}");
        }
    }
    // `sort` warns in range queries, but as in the reference not of what is evaluated at one step for all.
    if !query.contains("sort") {
        let (warnings, infos) = (result.annotations.warnings(query), result.annotations.infos(query));
        let _ = write!(text, "{warnings:?} {infos:?}");
    }
    text
}

/// The sign of a NaN that was computed is nobody's business.
fn normal(value: f64) -> u64 {
    match value.is_nan() && !model::value::is_stale_nan(value) {
        true => f64::NAN.to_bits(),
        false => value.to_bits(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn rewrites_of_a_plan_never_change_its_answer(query in grammar::query()) {
        let (storage, engine) = (storage(36, 40), careful_engine());
        for request in [
            QueryRequest::instant(query.as_str(), 10 * MINUTE_MS),
            QueryRequest::range(query.as_str(), 5 * MINUTE_MS, 15 * MINUTE_MS, MINUTE_MS),
        ] {
            let planned = seen(&query, engine.query(&storage, &request));
            let as_written = seen(&query, engine.query_as_written(&storage, &request));
            // A plan may hold less than what it was made of, so that only one of them is refused.
            if [&planned, &as_written].iter().all(|answer| !answer.contains(TOO_MANY)) {
                prop_assert_eq!(planned, as_written, "{}", query);
            }
        }
    }
}

#[test]
fn one_thread_and_many_have_the_same_bits() {
    let storage = storage(1_200, 120);
    let (one, many) = (engine(1), engine(4));
    for query in [
        "up",
        "sum(x)",
        "sum by (job) (rate(http_requests_total[5m]))",
        "avg without (instance) (x)",
        "stddev(x)",
        "quantile by (job) (0.3, x)",
        "topk(3, x)",
        "bottomk by (job) (2, http_requests_total)",
        "limitk(5, x)",
        "limit_ratio(0.5, x)",
        "count_values(\"v\", x)",
        "x + on (job, instance, le) up",
        "x * on (job) group_left () (sum by (job) (up))",
        "x and on (job, instance) up",
        "x or up",
        "x unless on (instance) up{job=\"a\"}",
        "histogram_quantile(0.9, sum by (le, job) (x))",
        "max_over_time(rate(x[5m])[10m:1m])",
        "label_replace(x, \"dst\", \"$1\", \"instance\", \"(.).*\")",
        "absent(x{job=\"z\"})",
        "scalar(sum(x)) + x",
    ] {
        let request = QueryRequest::range(query, 5 * MINUTE_MS, 55 * MINUTE_MS, MINUTE_MS / 2);
        let expected = seen(query, one.query(&storage, &request));
        assert_eq!(seen(query, many.query(&storage, &request)), expected, "{query}");
    }
}
