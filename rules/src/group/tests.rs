use std::time::Duration;

use model::storage::Querier;
use model::time::ManualClock;
use parking_lot::Condvar;
use prometheus::Registry;
use promql::engine::EngineOptions;

use super::*;
use crate::file::CheckOptions;
use crate::unit_test::storage::TestStorage;

/// How long a rule waits for others. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A storage that answers nobody until so many ask.
#[derive(Debug)]
struct Meeting {
    storage: TestStorage,
    wanted: usize,
    asking: Mutex<usize>,
    changed: Condvar,
}

impl Queryable for Meeting {
    fn querier(&self, mint: TimestampMs, maxt: TimestampMs) -> Result<Box<dyn Querier>, StorageError> {
        let mut asking = self.asking.lock();
        *asking += 1;
        self.changed.notify_all();
        let waited = self.changed.wait_while_for(&mut asking, |asking| *asking < self.wanted, PATIENCE);
        if waited.timed_out() {
            return Err(StorageError::Limit("waited in vain for other rules".into()));
        }
        self.storage.querier(mint, maxt)
    }
}

/// Evaluates the rules of a group; what went wrong with each, and how many alerts are to be sent for each.
fn evaluate(rules: &str, wanted: usize, permits: Option<&Semaphore>) -> (Vec<Option<String>>, Vec<String>) {
    let text = format!("groups: [{{name: g, rules: [{rules}]}}]");
    let config = crate::file::parse("r.yml", &text, &CheckOptions::default()).unwrap().remove(0);
    let group = Group::new("r.yml", config, 60_000, 0, true);
    let storage = TestStorage::default();
    storage.add(&Labels::from_pairs([("__name__", "x")]), 0, SampleValue::Float(1.0)).unwrap();
    let meeting = Meeting { storage, wanted, asking: Mutex::new(0), changed: Condvar::new() };
    let sources = Sources {
        engine: Arc::new(Engine::new(EngineOptions::default())),
        storage: Arc::new(meeting),
        appender: Arc::new(TestStorage::default()),
    };
    let clock: Arc<dyn model::time::Clock> = Arc::new(ManualClock::new(0));
    let metrics = Metrics::new(&Registry::new(), &clock).unwrap();
    let environment = Environment::default();
    let iteration =
        Iteration { at_ms: 60_000, sources: &sources, environment: &environment, metrics: &metrics, permits };
    let sent = group.evaluate(&iteration, 60_000).into_iter().map(|(expr, _)| expr).collect();
    (group.rules().into_iter().map(|(_, _, health)| health.last_error).collect(), sent)
}

#[test]
fn rules_that_do_not_build_on_each_other_are_evaluated_at_the_same_time() {
    let rules = "{alert: A, expr: x > 0}, {alert: B, expr: x < 2}, {alert: C, expr: x}";
    let in_order = vec!["x > 0".to_owned(), "x < 2".to_owned(), "x".to_owned()];
    let permits = Semaphore::new(2);
    assert_eq!(evaluate(rules, 3, Some(&permits)), (vec![None; 3], in_order.clone()));
    assert_eq!(permits.available_permits(), 2);
    // Too few permits: as many as there are, but all rules.
    assert_eq!(evaluate(rules, 2, Some(&Semaphore::new(1))), (vec![None; 3], in_order.clone()));
    assert_eq!(evaluate(rules, 1, Some(&Semaphore::new(0))), (vec![None; 3], in_order.clone()));
    assert_eq!(evaluate(rules, 1, None), (vec![None; 3], in_order));
}

#[test]
fn two_elements_that_make_the_same_series_are_an_error_of_the_rule_alone() {
    let labels = "{record: r, expr: 'label_replace(vector(1), \"a\", \"b\", \"\", \"\") or vector(2)', labels: {a: c}}";
    let (errors, _) = evaluate(&format!("{labels}, {{record: s, expr: x}}"), 1, None);
    let expected = "vector contains metrics with the same labelset after applying rule labels";
    assert_eq!(errors, [Some(expected.to_owned()), None]);
}

#[test]
fn a_limit_refuses_ten_thousand_alerts_and_forgets_those_there_are() {
    let text = "groups: [{name: g, limit: 100, rules: [{alert: A, expr: x}, {record: r, expr: x}]}]";
    let config = crate::file::parse("r.yml", text, &CheckOptions::default()).unwrap().remove(0);
    let group = Group::new("r.yml", config, 60_000, 0, true);
    let storage = TestStorage::default();
    for (count, minute) in [(50, 0), (10_000, 1), (50, 2)] {
        for number in 0..count {
            let labels = Labels::from_pairs([("__name__", "x"), ("i", &number.to_string())]);
            storage.add(&labels, minute * 600_000, SampleValue::Float(1.0)).unwrap();
        }
    }
    let sources = Sources {
        engine: Arc::new(Engine::new(EngineOptions::default())),
        storage: Arc::new(storage),
        appender: Arc::new(TestStorage::default()),
    };
    let clock: Arc<dyn model::time::Clock> = Arc::new(ManualClock::new(0));
    let metrics = Metrics::new(&Registry::new(), &clock).unwrap();
    let environment = Environment::default();
    let evaluate = |at_ms| {
        let iteration = Iteration {
            at_ms,
            sources: &sources,
            environment: &environment,
            metrics: &metrics,
            permits: None,
        };
        let sent: usize = group.evaluate(&iteration, 0).iter().map(|(_, alerts)| alerts.len()).sum();
        let errors: Vec<_> =
            group.rules().into_iter().filter_map(|(_, _, health)| health.last_error).collect();
        (sent, errors, group.alerting_rules().map(|rule| rule.alerts().len()).sum::<usize>())
    };
    assert_eq!(evaluate(0), (50, vec![], 50));
    let errors = vec![
        "exceeded limit of 100 with 10000 alerts".to_owned(),
        "exceeded limit of 100 with 10000 series".to_owned(),
    ];
    assert_eq!(evaluate(600_000), (0, errors, 0));
    assert_eq!(evaluate(1_200_000), (50, vec![], 50));
}
