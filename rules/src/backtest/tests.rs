use model::labels::METRIC_NAME;
use model::storage::SampleValue;
use promql::engine::EngineOptions;

use super::*;
use crate::file::CheckOptions;
use crate::unit_test::storage::TestStorage;

const MINUTE_MS: i64 = 60_000;
const FILE: &str = "r.yml";

/// An episode in minutes: pending, firing, ended.
type Minutes = (i64, Option<i64>, Option<i64>);

/// A replay of rules over series with a value for each minute, whose first is at a slot of the group `g`.
/// The replay begins in minute `from`.
fn replay(rules: &str, series: &[(&str, &str)], from: i64) -> (Vec<Minutes>, Vec<Failure>) {
    let groups = crate::file::parse(FILE, rules, &CheckOptions::default()).unwrap();
    let first_ms = slot_before("g", Path::new(FILE), MINUTE_MS, 3_600_000);
    let history = TestStorage::default();
    let mut minutes = 0;
    for (name, values) in series {
        let labels = Labels::from_pairs([(METRIC_NAME, *name), ("job", "a")]);
        for (minute, value) in values.split(' ').enumerate() {
            let value = SampleValue::Float(value.parse().unwrap());
            history.add(&labels, first_ms + minute as i64 * MINUTE_MS, value).unwrap();
            minutes = minutes.max(minute as i64);
        }
    }
    let results = Arc::new(TestStorage::default());
    let options = BacktestOptions {
        engine: Arc::new(Engine::new(EngineOptions::default())),
        history: Arc::new(history),
        results: Arc::clone(&results) as Arc<dyn Queryable>,
        appender: results,
        from_ms: first_ms + from * MINUTE_MS,
        to_ms: first_ms + minutes * MINUTE_MS,
        evaluation_interval_ms: MINUTE_MS,
        query_offset_ms: 0,
        environment: Environment::default(),
    };
    let backtest = Backtest::new(options, &[(PathBuf::from(FILE), groups)]);
    let (expected_slots, mut slots) = (backtest.slots(), 0);
    let replay = backtest.run(&Cancel::new(), || slots += 1).unwrap();
    assert_eq!(slots, expected_slots);
    let minute = |at_ms: TimestampMs| (at_ms - first_ms) / MINUTE_MS;
    let episodes = replay.episodes.iter().map(|episode| {
        (minute(episode.pending_at_ms), episode.firing_at_ms.map(minute), episode.ended_at_ms.map(minute))
    });
    (episodes.collect(), replay.failures)
}

#[test]
fn alerts_are_pending_then_firing_then_resolved() {
    let rules = "
groups:
  - name: g
    interval: 1m
    rules: [{alert: High, expr: x > 5, for: 2m, keep_firing_for: 2m}]
";
    for (values, expected) in [
        ("0 0 0", vec![]),
        ("0 9 9 0 0", vec![(1, None, Some(3))]),
        ("0 9 9 9 0 0 0 0", vec![(1, Some(3), Some(6))]),
        ("9 9 9 0 9 9", vec![(0, Some(2), None)]),
        ("9 0 9 9", vec![(0, None, Some(1)), (2, None, None)]),
    ] {
        assert_eq!(replay(rules, &[("x", values)], 0).0, expected, "{values}");
    }
}

#[test]
fn rules_see_what_the_rules_before_them_recorded_and_not_what_was_stored_of_it() {
    let rules = "
groups:
  - name: g
    interval: 1m
    rules:
      - {record: doubled, expr: x * 2}
      - {alert: High, expr: doubled > 5}
      - {alert: OnHigh, expr: 'ALERTS{alertname=\"High\"} == 1', for: 1m}
";
    // Stored under the recorded name is what would keep the alert from firing.
    let series = [("x", "0 3 3 0 0"), ("doubled", "0 0 0 0 0")];
    assert_eq!(replay(rules, &series, 0).0, [(1, Some(1), Some(3)), (1, Some(2), Some(3))]);
}

#[test]
fn what_was_recorded_before_the_replay_is_seen_up_to_its_beginning() {
    let rules = "
groups:
  - name: g
    interval: 1m
    rules:
      - {record: r, expr: x}
      - {alert: Seven, expr: 'sum_over_time(r[3m]) == 7'}
";
    // Stored ones of minutes 0 and 1, and the five of minute 2.
    let series = [("x", "5 5 5 5"), ("r", "1 1 1 1")];
    assert_eq!(replay(rules, &series, 2).0, [(2, Some(2), Some(3))]);
}

#[test]
fn rules_that_fail_are_named() {
    let rules = "
groups:
  - name: g
    interval: 1m
    rules: [{alert: Clash, expr: '{job=\"a\"}'}]
";
    let failures = replay(rules, &[("x", "0 0 0"), ("y", "0 0 0")], 0).1;
    assert_eq!(failures.len(), 1);
    assert_eq!((failures[0].rule.as_str(), failures[0].slots), ("Clash", 3));
    assert!(failures[0].first_error.contains("same labelset"), "{}", failures[0].first_error);
}
