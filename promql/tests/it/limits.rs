//! What an engine refuses, and with which words.

use std::time::{Duration, Instant};

use model::cancel::Cancel;
use model::labels::Labels;
use model::matcher::Matcher;
use model::storage::{
    LabelColumn, Querier, Queryable, SampleColumns, SampleValue, SelectHints, SeriesSet, StorageError,
};
use promql::engine::{Engine, EngineOptions, QueryError, QueryRequest, StatsLevel};
use promql::script::{MemoryStorage, Sample};

const MINUTE_MS: i64 = 60_000;

/// Ten series with a sample each minute, from 0 to 100 minutes.
fn storage() -> MemoryStorage {
    let storage = MemoryStorage::new();
    for i in 0..10 {
        let labels = Labels::from_pairs([("__name__", "x_total"), ("i", &i.to_string())]);
        let sample =
            |s: i64| (s * MINUTE_MS, Sample { value: SampleValue::Float(s as f64), start_timestamp_ms: 0 });
        storage.append(&labels, (0..=100).map(sample)).expect("samples in order");
    }
    storage
}

fn error(options: EngineOptions, request: &QueryRequest) -> QueryError {
    Engine::new(options).query(&storage(), request).expect_err(&request.query)
}

fn hour(query: &str) -> QueryRequest {
    QueryRequest::range(query, 10 * MINUTE_MS, 70 * MINUTE_MS, MINUTE_MS)
}

#[test]
fn a_query_that_holds_too_many_samples_is_refused() {
    let text = "query processing would load too many samples into memory in query execution";
    for query in ["x_total", "sum(x_total)", "rate(x_total[5m])", "max_over_time(x_total[50m:10s])"] {
        let options = EngineOptions { max_samples: 100, ..EngineOptions::default() };
        assert_eq!(error(options, &hour(query)).to_string(), text, "{query}");
    }
    // What an aggregation took in is let go when it is done.
    let engine = Engine::new(EngineOptions { max_samples: 1_000, ..EngineOptions::default() });
    assert!(engine.query(&storage(), &hour("sum(x_total) + sum(x_total) + sum(x_total)")).is_ok());
}

#[test]
fn a_query_that_needs_too_much_memory_is_refused_with_the_flag_that_says_so() {
    let options = EngineOptions { memory_bytes_per_query_max: 1_000, ..EngineOptions::default() };
    let text = error(options, &hour("x_total")).to_string();
    assert!(text.contains("--query.max-memory"), "{text}");
    let options = EngineOptions { memory_bytes_total_max: 1_000, ..EngineOptions::default() };
    let text = error(options, &hour("x_total")).to_string();
    assert!(text.contains("--query.max-total-memory"), "{text}");
}

#[test]
fn memory_of_a_streaming_aggregation_is_groups_times_steps() {
    let engine = Engine::new(EngineOptions { threads: 1, ..EngineOptions::default() });
    let steps = 61;
    let peak = |query| engine.query(&storage(), &hour(query)).expect(query).stats.memory_bytes_peak;
    // A sum with what rounding lost, the group's column, and the same column in the result with its labels.
    assert!(peak("sum(rate(x_total[5m]))") <= (16 + 8 + 8) * steps + 100);
    assert!(peak("rate(x_total[5m])") >= 10 * 8 * steps);
}

#[test]
fn a_query_that_is_late_or_cancelled_ends() {
    let mut request = hour("sum(x_total)");
    request.timeout = Some(Duration::ZERO);
    assert_eq!(
        error(EngineOptions::default(), &request).to_string(),
        "query timed out in expression evaluation"
    );
    request.timeout = None;
    request.cancel.cancel();
    let text = error(EngineOptions::default(), &request).to_string();
    assert_eq!(text, "query was canceled in expression evaluation");
}

/// A storage of one series that is read until the query is cancelled.
#[derive(Debug, Default)]
struct Endless(Cancel);

/// A test that waits so long fails.
const ENDLESS: Duration = Duration::from_secs(60);

impl Queryable for Endless {
    fn querier(&self, _: i64, _: i64) -> Result<Box<dyn Querier>, StorageError> {
        Ok(Box::new(Endless::default()))
    }
}

impl Querier for Endless {
    fn select(&self, _: &[Matcher], hints: &SelectHints) -> Result<Box<dyn SeriesSet>, StorageError> {
        Ok(Box::new(Endless(hints.cancel.clone())))
    }

    fn label_names(&self, _: &[Matcher], _: usize, _: &Cancel) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }

    fn label_values(
        &self,
        _: &str,
        _: &[Matcher],
        _: usize,
        _: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }
}

impl SeriesSet for Endless {
    fn len(&self) -> usize {
        1
    }

    fn labels(&self, _: usize) -> Labels {
        Labels::from_pairs([("__name__", "x_total")])
    }

    fn label_column(&self, _: &str) -> LabelColumn<'_> {
        LabelColumn { values: vec!["".into()], ids: vec![0] }
    }

    fn read(&self, _: usize, _: i64, _: i64, _: &mut SampleColumns) -> Result<(), StorageError> {
        let begun = Instant::now();
        while begun.elapsed() < ENDLESS {
            if self.0.is_cancelled() {
                return Err(StorageError::Cancelled);
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    fn last(&self, _: usize, _: i64, _: i64) -> Result<Option<(i64, SampleValue)>, StorageError> {
        Ok(None)
    }
}

#[test]
fn a_storage_that_reads_is_told_of_the_deadline() {
    let mut request = hour("rate(x_total[5m])");
    request.timeout = Some(Duration::from_millis(20));
    let error =
        Engine::new(EngineOptions::default()).query(&Endless::default(), &request).expect_err("a deadline");
    assert_eq!(error.to_string(), "query timed out in expression evaluation");
}

#[test]
fn queries_without_a_sensible_grid_are_refused() {
    let zero_step = QueryRequest::range("x_total", 0, MINUTE_MS, 0);
    let text = "zero or negative query resolution step widths are not accepted. Try a positive integer";
    assert_eq!(error(EngineOptions::default(), &zero_step).to_string(), text);
    let backwards = QueryRequest::range("x_total", MINUTE_MS, 0, MINUTE_MS);
    let text = "end timestamp must not be before start time";
    assert_eq!(error(EngineOptions::default(), &backwards).to_string(), text);
    let text = "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector";
    assert_eq!(error(EngineOptions::default(), &hour("x_total[5m]")).to_string(), text);
}

#[test]
fn grids_that_no_memory_holds_are_refused() {
    let text = "query processing would load too many samples into memory in query execution";
    let year_ms = 365 * 24 * 60 * MINUTE_MS;
    for request in [
        QueryRequest::range("1", 0, year_ms, 1),
        QueryRequest::range("1", i64::MIN, i64::MAX, i64::MAX),
        QueryRequest::instant("sum_over_time(x_total[10y:1ms])", 0),
        QueryRequest::instant("sum_over_time(nothing[10y:1ms])", 0),
    ] {
        assert_eq!(error(EngineOptions::default(), &request).to_string(), text, "{request:?}");
    }
}

#[test]
fn times_at_the_end_of_the_world_overflow_nothing() {
    let engine = Engine::new(EngineOptions::default());
    for at_ms in [i64::MIN, i64::MAX] {
        for query in [
            "x_total offset 100y",
            "x_total offset -100y",
            "rate(x_total[100y] offset 100y)",
            "rate(x_total[100y] offset -100y)",
            "sum_over_time(x_total[5m:1m] offset 100y)",
            "hour()",
        ] {
            let answer = engine.query(&storage(), &QueryRequest::instant(query, at_ms));
            assert!(answer.is_ok(), "{query} @ {at_ms}: {answer:?}");
        }
    }
}

#[test]
fn the_highest_trees_that_parse_are_evaluated() {
    let query = vec!["x_total"; 900].join(" or ");
    let engine = Engine::new(EngineOptions { threads: 1, ..EngineOptions::default() });
    assert!(engine.query(&storage(), &QueryRequest::instant(query, MINUTE_MS)).is_ok());
}

#[test]
fn samples_are_counted_as_the_reference_counts_them() {
    let engine = Engine::new(EngineOptions::default());
    let stats = |query| engine.query(&storage(), &hour(query)).expect(query).stats;
    assert_eq!(stats("x_total").samples_total, 10 * 61);
    assert_eq!(stats("x_total").samples_read, 10 * 61);
    // Five samples a window; each is new to one of them, but for the first window, to which all five are.
    assert_eq!(stats("rate(x_total[5m])").samples_total, 10 * 61 * 5);
    assert_eq!(stats("rate(x_total[5m])").samples_read, 10 * 65);
    // A subquery's samples are counted where windows see them, those that it is made of are only read.
    assert_eq!(stats("max_over_time(x_total[5m:1m])").samples_total, 10 * 61 * 5);
    assert_eq!(stats("max_over_time(x_total[5m:1m])").samples_read, 10 * 65);
}

#[test]
fn a_plan_tells_what_its_operators_did() {
    let engine = Engine::new(EngineOptions { threads: 1, ..EngineOptions::default() });
    let mut request = hour("sum by (i) (rate(x_total[5m] offset 1m)) + x_total @ 60");
    let explained = engine.explain(&request).expect("a plan").to_string();
    assert_eq!(
        explained,
        "+ ignoring ()\n\
         \x20 sum by (i)\n\
         \x20   rate\n\
         \x20     range select {__name__=\"x_total\"} offset 1m fetch #0 [-239999 ms, 4140000 ms] range 5m\n\
         \x20 step invariant evaluated once\n\
         \x20   select {__name__=\"x_total\"} @ 60000 ms fetch #0 [-239999 ms, 4140000 ms]\n"
    );
    request.stats = StatsLevel::Analyse;
    let plan = engine.query(&storage(), &request).expect("an answer").stats.plan.expect("a plan");
    let sum = plan.inputs[0].stats.expect("counters");
    let range = plan.inputs[0].inputs[0].inputs[0].stats.expect("counters");
    assert_eq!((sum.series, range.series, range.reads), (10, 10, 10));
    assert!(range.samples >= 10 * 61 && sum.nanos > 0);
}
