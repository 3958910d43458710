use std::collections::BTreeMap;

use model::time::{Clock, SystemClock};
use prometheus::Registry;
use tokio::sync::mpsc;

use super::*;
use crate::alerting::AlertState;

/// Hands on what is posted and answers with a status; an address with `hangs` in it never answers.
#[derive(Debug)]
struct FakePost {
    posted: mpsc::UnboundedSender<(String, serde_json::Value)>,
    status: u16,
}

impl Post for FakePost {
    fn post<'a>(&'a self, url: &'a str, body: Arc<[u8]>) -> Posted<'a> {
        let value = serde_json::from_slice(&body).unwrap();
        self.posted.send((url.to_owned(), value)).unwrap();
        if url.contains("hangs") {
            return Box::pin(std::future::pending());
        }
        Box::pin(async { Ok(self.status) })
    }
}

struct Bench {
    notifier: Notifier,
    registry: Registry,
    posted: mpsc::UnboundedReceiver<(String, serde_json::Value)>,
}

fn bench(status: u16, queue_capacity: usize, relabel: Vec<relabel::Config>) -> Bench {
    bench_with_timeout(status, queue_capacity, relabel, Duration::from_secs(600))
}

fn bench_with_timeout(
    status: u16,
    queue_capacity: usize,
    relabel: Vec<relabel::Config>,
    timeout: Duration,
) -> Bench {
    let registry = Registry::new();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = Arc::new(Metrics::new(&registry, &clock).unwrap());
    let options = NotifierOptions { queue_capacity, batch_size: 2, drains_on_shutdown: true };
    let notifier = Notifier::new(options, metrics, Handle::current());
    let (sender, posted) = mpsc::unbounded_channel();
    notifier.apply(NotifierConfig {
        external_labels: Labels::from_pairs([("region", "eu"), ("severity", "none")]),
        external_url: "http://ferula.example.org".into(),
        alert_relabel: Vec::new(),
        clusters: vec![Cluster {
            scheme: "http".into(),
            path_prefix: "/am/".into(),
            timeout,
            relabel,
            alert_relabel: Vec::new(),
            post: Arc::new(FakePost { posted: sender, status }),
        }],
    });
    Bench { notifier, registry, posted }
}

fn alert(name: &str, resolved_at_ms: Option<i64>) -> Alert {
    Alert {
        state: AlertState::Firing,
        labels: Labels::from_pairs([("alertname", name), ("severity", "page")]),
        annotations: BTreeMap::from([("summary".to_owned(), "it is high".to_owned())]),
        value: 1.0,
        active_at_ms: 1_000,
        fired_at_ms: Some(61_000),
        resolved_at_ms,
        last_sent_at_ms: None,
        valid_until_ms: 301_500,
        keep_firing_since_ms: None,
    }
}

fn targets(addresses: &[&str]) -> Vec<Labels> {
    addresses.iter().map(|address| Labels::from_pairs([("__address__", *address)])).collect()
}

fn counter(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name).unwrap();
    family.get_metric().iter().map(|metric| metric.get_counter().get_value()).sum()
}

#[tokio::test]
async fn alerts_arrive_as_alertmanager_takes_them() {
    let mut bench = bench(200, 10, Vec::new());
    bench.notifier.set_targets(0, &targets(&["am:9093"]));
    bench.notifier.send("x > 1", vec![alert("A", None), alert("B", Some(90_000))]);
    let (url, body) = bench.posted.recv().await.unwrap();
    assert_eq!(url, "http://am:9093/am/api/v2/alerts");
    assert_eq!(
        body[0],
        serde_json::json!({
            "annotations": {"summary": "it is high"},
            "endsAt": "1970-01-01T00:05:01.500Z",
            "startsAt": "1970-01-01T00:01:01.000Z",
            "generatorURL": "http://ferula.example.org/graph?g0.expr=x+%3E+1&g0.tab=1",
            "labels": {"alertname": "A", "region": "eu", "severity": "page"},
        })
    );
    assert_eq!(body[1]["endsAt"], "1970-01-01T00:01:30.000Z");
    bench.notifier.shutdown().await;
    assert_eq!(counter(&bench.registry, "prometheus_notifications_sent_total"), 2.0);
    assert_eq!(counter(&bench.registry, "prometheus_notifications_errors_total"), 0.0);
}

#[tokio::test]
async fn every_alertmanager_is_told_in_batches_and_shutdown_drains() {
    let mut bench = bench(200, 10, Vec::new());
    bench.notifier.set_targets(0, &targets(&["a:1", "b:1", "a:1"]));
    bench.notifier.send("x", vec![alert("A", None), alert("B", None), alert("C", None)]);
    bench.notifier.shutdown().await;
    let mut alerts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    while let Ok((url, body)) = bench.posted.try_recv() {
        alerts.entry(url).or_default().push(body.as_array().unwrap().len());
    }
    assert_eq!(alerts.into_values().collect::<Vec<_>>(), [[2, 1], [2, 1]]);
}

#[tokio::test]
async fn refused_alerts_are_counted_and_a_full_queue_drops_the_oldest() {
    let mut bench = bench(500, 2, Vec::new());
    bench.notifier.set_targets(0, &targets(&["a:1"]));
    bench.notifier.send("x", vec![alert("A", None), alert("B", None), alert("C", None)]);
    let (_, body) = bench.posted.recv().await.unwrap();
    assert_eq!(body[0]["labels"]["alertname"], "B");
    bench.notifier.shutdown().await;
    assert_eq!(counter(&bench.registry, "prometheus_notifications_dropped_total"), 3.0);
    assert_eq!(counter(&bench.registry, "prometheus_notifications_errors_total"), 2.0);
}

#[tokio::test]
async fn relabelling_drops_targets_and_their_queues_end() {
    let mut rule: relabel::Config =
        serde_saphyr::from_str("{source_labels: [__address__], regex: 'b.*', action: drop}").unwrap();
    rule.validate(model::names::ValidationScheme::Utf8).unwrap();
    let bench = bench(200, 10, vec![rule]);
    bench.notifier.set_targets(0, &targets(&["a:1", "b:1"]));
    let url = |address: &str| format!("http://{address}/am/api/v2/alerts");
    assert_eq!(bench.notifier.alertmanagers(), (vec![url("a:1")], vec![url("b:1")]));
    bench.notifier.set_targets(0, &targets(&["c:1"]));
    assert_eq!(bench.notifier.alertmanagers(), (vec![url("c:1")], vec![]));
}

#[tokio::test]
async fn an_alertmanager_that_hangs_holds_up_no_other_and_fills_its_own_queue_alone() {
    let mut bench = bench(200, 3, Vec::new());
    bench.notifier.set_targets(0, &targets(&["hangs:1", "works:1"]));
    let mut works = 0;
    for round in 1..=10 {
        bench.notifier.send("x", vec![alert("A", None)]);
        while works < round {
            let (url, _) = bench.posted.recv().await.unwrap();
            works += usize::from(url.contains("works"));
        }
    }
    // One was taken to be sent, or is about to be, and three fit in the queue.
    let dropped = counter(&bench.registry, "prometheus_notifications_dropped_total");
    assert!((6.0..=7.0).contains(&dropped), "{dropped}");
    assert_eq!(counter(&bench.registry, "prometheus_notifications_errors_total"), 0.0);
}

#[tokio::test]
async fn no_answer_in_time_is_a_failure() {
    let bench = bench_with_timeout(200, 10, Vec::new(), Duration::ZERO);
    bench.notifier.set_targets(0, &targets(&["hangs:1"]));
    bench.notifier.send("x", vec![alert("A", None)]);
    bench.notifier.shutdown().await;
    assert_eq!(counter(&bench.registry, "prometheus_notifications_errors_total"), 1.0);
    assert_eq!(counter(&bench.registry, "prometheus_notifications_dropped_total"), 1.0);
}

#[tokio::test]
async fn answers_other_than_success_are_failures() {
    for status in [302, 400, 404, 500, 503] {
        let bench = bench(status, 10, Vec::new());
        bench.notifier.set_targets(0, &targets(&["a:1"]));
        bench.notifier.send("x", vec![alert("A", None)]);
        bench.notifier.shutdown().await;
        assert_eq!(counter(&bench.registry, "prometheus_notifications_errors_total"), 1.0, "{status}");
    }
}
