//! What is stored arrives: all of it, in order, whatever the endpoint does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use client::HttpClientConfig;
use client::aws::SigV4Config;
use client::config::Secret;
use model::duration::PromDuration;
use model::exemplar::Exemplar;
use model::histogram::{FloatHistogram, Histogram, Span};
use model::labels::Labels;
use model::metadata::{Metadata, MetricType};
use model::relabel;
use model::storage::{Appender, Batch, FloatSample, HistogramSample, HistogramValue};
use model::time::{ManualClock, TimestampMs};
use prometheus::Registry;
use prometheus::proto::MetricType as Kind;
use proptest::prelude::*;
use remote::write::Version;
use remote::write::sender::{
    EndpointConfig, MetadataConfig, MetadataSource, QueueConfig, Sender, SenderParts,
};
use tokio::runtime::Runtime;
use tsdb::fs::RealFs;
use tsdb::{Db, Options};

use crate::endpoint::{Endpoint, Refusal};

#[derive(Debug)]
struct Families;

impl MetadataSource for Families {
    fn families(&self) -> Vec<(String, Metadata)> {
        let help = "Things that happened.".to_owned();
        vec![("things".to_owned(), Metadata { metric_type: MetricType::Counter, help, unit: String::new() })]
    }
}

fn open(dir: &Path) -> Arc<Db> {
    let options = Options { background: false, ..Options::default() };
    Db::open(dir, options, Arc::new(RealFs), Arc::new(ManualClock::new(0)), &Registry::new()).unwrap()
}

/// A storage, an endpoint, and what sends from one to the other.
struct Setup {
    dir: tempfile::TempDir,
    runtime: Runtime,
    endpoint: Endpoint,
    db: Arc<Db>,
    sender: Sender,
    registry: Registry,
}

/// How long a sender that ends may go on: long enough, or not at all.
const PATIENT: Duration = Duration::from_secs(60);

fn sender(db: &Arc<Db>, runtime: &Runtime, flush_deadline: Duration, registry: &Registry) -> Sender {
    let parts = SenderParts {
        log: Arc::clone(db) as Arc<dyn model::log::Log>,
        metadata: Arc::new(Families),
        clock: Arc::new(ManualClock::new(1_000_000)),
        runtime: runtime.handle().clone(),
        user_agent: "test".to_owned(),
        flush_deadline,
    };
    Sender::new(parts, registry).unwrap()
}

impl Setup {
    fn new() -> Setup {
        Self::with_deadline(PATIENT)
    }

    fn with_deadline(flush_deadline: Duration) -> Setup {
        let dir = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let endpoint = Endpoint::start(runtime.handle());
        let db = open(dir.path());
        let registry = Registry::new();
        let sender = sender(&db, &runtime, flush_deadline, &registry);
        Setup { dir, runtime, endpoint, db, sender, registry }
    }

    fn config(&self) -> EndpointConfig {
        EndpointConfig {
            name: "test".to_owned(),
            url: format!("http://{}/api/v1/write", self.endpoint.address),
            remote_timeout: PromDuration::from_secs(30),
            headers: BTreeMap::from([("X-Tenant".to_owned(), "a".to_owned())]),
            external_labels: Labels::empty(),
            write_relabel: Vec::new(),
            send_exemplars: true,
            send_native_histograms: true,
            round_robin_dns: false,
            failed_request_logging: false,
            version: Version::V1,
            queue: QueueConfig {
                capacity: 10,
                min_shards: 2,
                max_samples_per_send: 4,
                batch_send_deadline: PromDuration(Duration::from_millis(5)),
                min_backoff: PromDuration(Duration::from_millis(1)),
                max_backoff: PromDuration(Duration::from_millis(5)),
                ..QueueConfig::default()
            },
            metadata: MetadataConfig { send: false, ..MetadataConfig::default() },
            http_client: HttpClientConfig::default(),
            sigv4: None,
        }
    }

    fn shutdown(&self) {
        self.runtime.block_on(self.sender.shutdown());
    }

    /// Begins anew, as after the end of the process.
    fn restart(self, flush_deadline: Duration) -> Setup {
        let Setup { dir, runtime, endpoint, db, sender: old, .. } = self;
        drop((old, db));
        let db = open(dir.path());
        let registry = Registry::new();
        let sender = sender(&db, &runtime, flush_deadline, &registry);
        Setup { dir, runtime, endpoint, db, sender, registry }
    }

    /// The sum of a counter over its label sets.
    fn counter(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map(|family| (family.get_field_type(), family.get_metric())).into_iter();
        metrics
            .flat_map(|(kind, metrics)| metrics.iter().map(move |metric| (kind, metric)))
            .map(|(kind, metric)| match kind {
                Kind::COUNTER => metric.get_counter().get_value(),
                _ => metric.get_gauge().get_value(),
            })
            .sum()
    }
}

fn labels(series: usize) -> Labels {
    Labels::from_pairs([("__name__", "things_total".to_owned()), ("i", series.to_string())])
}

fn put(db: &Db, series: usize, timestamp_ms: TimestampMs) {
    let mut batch = Batch::default();
    let series = batch.add_series(labels(series));
    batch.floats.push(FloatSample { series, timestamp_ms, value: timestamp_ms as f64 });
    assert_eq!(db.commit(&batch).unwrap().rejected, []);
}

type Floats = Vec<(Labels, TimestampMs, u64)>;

fn expected(samples: impl IntoIterator<Item = (usize, TimestampMs)>) -> Floats {
    samples.into_iter().map(|(s, t)| (labels(s), t, (t as f64).to_bits())).collect()
}

fn sorted(mut floats: Floats) -> Floats {
    floats.sort();
    floats
}

/// Whether the samples of each series came in order of time.
fn is_in_order(floats: &Floats) -> bool {
    let mut newest: BTreeMap<&Labels, TimestampMs> = BTreeMap::new();
    floats.iter().all(|(labels, t, _)| newest.insert(labels, *t).is_none_or(|before| before < *t))
}

#[test]
fn what_is_stored_after_the_start_arrives_in_order() {
    for version in [Version::V1, Version::V2] {
        let setup = Setup::new();
        put(&setup.db, 0, 1);
        setup.sender.apply(vec![EndpointConfig { version, ..setup.config() }]).unwrap();
        let sent: Vec<_> = (2..200).map(|t| (t as usize % 7, t)).collect();
        for (series, timestamp) in &sent {
            put(&setup.db, *series, *timestamp);
        }
        let content = setup.endpoint.wait_until("samples", |content| content.floats.len() >= sent.len());
        assert!(is_in_order(&content.floats), "{:?}", content.floats);
        assert_eq!(sorted(content.floats), sorted(expected(sent)));
        let headers = &content.requests[0];
        let (content_type, number) = match version {
            Version::V1 => ("application/x-protobuf", "0.1.0"),
            Version::V2 => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
        };
        assert_eq!(headers["Content-Type"], content_type);
        assert_eq!(headers["X-Prometheus-Remote-Write-Version"], number);
        assert_eq!(
            (&headers["Content-Encoding"], &headers["X-Tenant"], &headers["User-Agent"]),
            (&"snappy".parse().unwrap(), &"a".parse().unwrap(), &"test".parse().unwrap())
        );
        setup.shutdown();
    }
}

#[test]
fn requests_are_signed_for_amazon() {
    let setup = Setup::new();
    let sigv4 = SigV4Config {
        region: "eu-west-1".to_owned(),
        access_key: "KEY".to_owned(),
        secret_key: Secret::new("secret"),
        ..SigV4Config::default()
    };
    setup.sender.apply(vec![EndpointConfig { sigv4: Some(sigv4), ..setup.config() }]).unwrap();
    put(&setup.db, 0, 1);
    let content = setup.endpoint.wait_until("sample", |content| !content.floats.is_empty());
    let headers = &content.requests[0];
    let authorization = headers["Authorization"].to_str().unwrap();
    let (credential, signed) = authorization.split_once(", SignedHeaders=").unwrap();
    assert!(credential.starts_with("AWS4-HMAC-SHA256 Credential=KEY/"), "{authorization}");
    assert!(credential.ends_with("/eu-west-1/aps/aws4_request"), "{authorization}");
    for name in ["host", "content-encoding", "x-amz-content-sha256", "x-amz-date", "x-tenant"] {
        assert!(signed.contains(name), "{authorization}");
    }
    assert_eq!(headers["X-Amz-Content-Sha256"].len(), 64);
    setup.shutdown();
}

/// What the alerts and dashboards that come with Prometheus ask for.
const MIXIN: [&str; 16] = [
    "prometheus_remote_storage_bytes_total",
    "prometheus_remote_storage_enqueue_retries_total",
    "prometheus_remote_storage_highest_timestamp_in_seconds",
    "prometheus_remote_storage_queue_highest_sent_timestamp_seconds",
    "prometheus_remote_storage_queue_highest_timestamp_seconds",
    "prometheus_remote_storage_samples_failed_total",
    "prometheus_remote_storage_samples_in_total",
    "prometheus_remote_storage_samples_pending",
    "prometheus_remote_storage_samples_retried_total",
    "prometheus_remote_storage_samples_total",
    "prometheus_remote_storage_shard_capacity",
    "prometheus_remote_storage_shards",
    "prometheus_remote_storage_shards_desired",
    "prometheus_remote_storage_shards_max",
    "prometheus_remote_storage_shards_min",
    "prometheus_wal_watcher_current_segment",
];

#[test]
fn every_metric_that_prometheuss_alerts_ask_for_is_there() {
    let setup = Setup::new();
    setup.sender.apply(vec![setup.config()]).unwrap();
    let families = setup.registry.gather();
    for name in MIXIN {
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.unwrap_or_else(|| panic!("no metric {name}")).get_metric();
        assert_eq!(metrics.len(), 1, "{name}");
    }
    setup.shutdown();
}

#[test]
fn labels_are_added_and_relabelled_and_dropped_series_are_counted() {
    let setup = Setup::new();
    let rule = relabel::Config {
        source_labels: vec!["i".to_owned()],
        regex: model::regex::AnchoredRegex::new("1").unwrap(),
        action: relabel::Action::Drop,
        separator: ";".to_owned(),
        modulus: 0,
        target_label: String::new(),
        replacement: "$1".to_owned(),
        scheme: model::names::ValidationScheme::Utf8,
    };
    let external_labels = Labels::from_pairs([("zone", "b"), ("i", "never")]);
    setup
        .sender
        .apply(vec![EndpointConfig { external_labels, write_relabel: vec![rule], ..setup.config() }])
        .unwrap();
    put(&setup.db, 1, 10);
    put(&setup.db, 2, 20);
    let content = setup.endpoint.wait_until("sample", |content| !content.floats.is_empty());
    let sent = Labels::from_pairs([("__name__", "things_total"), ("i", "2"), ("zone", "b")]);
    assert_eq!(content.floats, [(sent, 20, 20f64.to_bits())]);
    assert_eq!(setup.counter("prometheus_remote_storage_samples_dropped_total"), 1.0);
    setup.shutdown();
}

#[test]
fn what_the_endpoint_cannot_take_now_is_sent_again() {
    let setup = Setup::new();
    setup.endpoint.refuse([
        Refusal { status: 500, retry_after: None },
        Refusal { status: 429, retry_after: Some("0") },
        Refusal { status: 503, retry_after: Some("Thu, 01 Jan 1970 00:00:00 GMT") },
    ]);
    let mut config = setup.config();
    config.queue.retry_on_http_429 = true;
    config.queue.min_shards = 1;
    setup.sender.apply(vec![config]).unwrap();
    put(&setup.db, 1, 10);
    let content = setup.endpoint.wait_until("sample", |content| !content.floats.is_empty());
    assert_eq!(content.floats, expected([(1, 10)]));
    let attempts: Vec<_> = content.requests.iter().map(|headers| headers.get("Retry-Attempt")).collect();
    let number = |n: u32| http::HeaderValue::from(n);
    assert_eq!(attempts, [None, Some(&number(1)), Some(&number(2)), Some(&number(3))]);
    assert_eq!(setup.counter("prometheus_remote_storage_samples_retried_total"), 3.0);
    setup.shutdown();
}

#[test]
fn what_the_endpoint_refuses_is_dropped_and_counted() {
    for status in [400, 429] {
        let setup = Setup::new();
        setup.endpoint.refuse([Refusal { status, retry_after: None }]);
        setup.sender.apply(vec![setup.config()]).unwrap();
        put(&setup.db, 1, 10);
        setup.endpoint.wait_until("request", |content| !content.requests.is_empty());
        put(&setup.db, 1, 20);
        let content = setup.endpoint.wait_until("sample", |content| !content.floats.is_empty());
        assert_eq!(content.floats, expected([(1, 20)]));
        assert_eq!(setup.counter("prometheus_remote_storage_samples_failed_total"), 1.0);
        setup.shutdown();
    }
}

#[test]
fn an_outage_loses_nothing() {
    let setup = Setup::new();
    setup.endpoint.set_down(true);
    setup.sender.apply(vec![setup.config()]).unwrap();
    // Many times what the queues hold.
    let sent: Vec<_> = (1..500).map(|t| (t as usize % 7, t)).collect();
    for (series, timestamp) in &sent {
        put(&setup.db, *series, *timestamp);
        if timestamp % 100 == 0 {
            setup.db.checkpoint().unwrap();
        }
    }
    setup.endpoint.wait_until("attempt", |content| content.requests.len() > 5);
    let waiting = setup.counter("prometheus_remote_storage_samples_pending");
    // Two shards of ten, as many in requests, and one that waits for room.
    assert!((1.0..=29.0).contains(&waiting), "{waiting} samples wait");
    setup.endpoint.set_down(false);
    let content = setup.endpoint.wait_until("samples", |content| content.floats.len() >= sent.len());
    assert!(is_in_order(&content.floats));
    assert_eq!(sorted(content.floats), sorted(expected(sent)));
    setup.shutdown();
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let setup = Setup::with_deadline(Duration::ZERO);
    setup.sender.apply(vec![setup.config()]).unwrap();
    put(&setup.db, 1, 10);
    setup.endpoint.wait_until("sample", |content| !content.floats.is_empty());
    setup.endpoint.set_down(true);
    let sent: Vec<_> = (20..100).map(|t| (t as usize % 7, t)).collect();
    for (series, timestamp) in &sent {
        put(&setup.db, *series, *timestamp);
    }
    setup.endpoint.wait_until("attempt", |content| content.requests.len() > 3);
    setup.shutdown();
    setup.db.close().unwrap();

    let setup = setup.restart(PATIENT);
    setup.endpoint.set_down(false);
    put(&setup.db, 1, 200);
    setup.sender.apply(vec![setup.config()]).unwrap();
    // The end waits until all is sent.
    setup.shutdown();
    let mut all = vec![(1, 10), (1, 200)];
    all.extend(sent);
    // The request that was on its way when the first ended may have been counted as sent by nobody.
    let content = setup.endpoint.content();
    assert_eq!(sorted(content.floats), sorted(expected(all)));
}

#[test]
fn an_unchanged_configuration_leaves_its_endpoint_alone_and_a_changed_one_goes_on() {
    let setup = Setup::new();
    setup.sender.apply(vec![setup.config()]).unwrap();
    put(&setup.db, 1, 10);
    setup.endpoint.wait_until("sample", |content| content.floats.len() == 1);
    setup.sender.apply(vec![setup.config()]).unwrap();
    // Metrics go with their endpoint.
    assert_eq!(setup.counter("prometheus_remote_storage_samples_total"), 1.0);

    let mut changed = setup.config();
    changed.headers.insert("X-Tenant".to_owned(), "b".to_owned());
    put(&setup.db, 1, 20);
    setup.sender.apply(vec![changed]).unwrap();
    put(&setup.db, 1, 30);
    let content = setup.endpoint.wait_until("samples", |content| content.floats.len() == 3);
    assert_eq!(content.floats, expected([(1, 10), (1, 20), (1, 30)]));
    assert_eq!(content.requests.last().unwrap()["X-Tenant"], "b");

    setup.sender.apply(Vec::new()).unwrap();
    assert_eq!(setup.counter("prometheus_remote_storage_shards"), 0.0);
}

#[test]
fn samples_beyond_the_age_limit_are_not_sent() {
    let setup = Setup::new();
    let mut config = setup.config();
    // The clock shows 1,000 s.
    config.queue.sample_age_limit = PromDuration::from_secs(100);
    setup.sender.apply(vec![config]).unwrap();
    put(&setup.db, 1, 899_000);
    put(&setup.db, 1, 900_000);
    let content = setup.endpoint.wait_until("sample", |content| !content.floats.is_empty());
    assert_eq!(content.floats, expected([(1, 900_000)]));
    assert_eq!(setup.counter("prometheus_remote_storage_samples_dropped_total"), 1.0);
    setup.shutdown();
}

fn histograms() -> [HistogramValue; 2] {
    let spans = vec![Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }];
    let integer = Histogram {
        schema: 1,
        zero_threshold: 0.001,
        zero_count: 2,
        count: 9,
        sum: 12.5,
        positive_spans: spans.clone(),
        positive_deltas: vec![1, 1, -1],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        negative_deltas: vec![3],
        ..Histogram::default()
    };
    let float = FloatHistogram {
        schema: -1,
        zero_threshold: 0.5,
        zero_count: 0.5,
        count: 7.0,
        sum: -3.0,
        positive_spans: spans,
        positive_buckets: vec![1.5, 2.0, 3.0],
        ..FloatHistogram::default()
    };
    [HistogramValue::Integer(integer), HistogramValue::Float(float)]
}

#[test]
fn histograms_exemplars_and_metadata_arrive_as_they_are() {
    for version in [Version::V1, Version::V2] {
        let setup = Setup::new();
        let metadata = MetadataConfig::default();
        setup.sender.apply(vec![EndpointConfig { version, metadata, ..setup.config() }]).unwrap();
        if version == Version::V1 {
            let content = setup.endpoint.wait_until("metadata", |content| !content.families.is_empty());
            assert_eq!(content.families, ["things"]);
        }
        let exemplar =
            Exemplar { labels: Labels::from_pairs([("trace_id", "abc")]), value: 0.5, timestamp_ms: Some(1) };
        for (at, value) in histograms().into_iter().enumerate() {
            let mut batch = Batch::default();
            let series = batch.add_series(labels(at));
            // Histograms and exemplars come together.
            batch.histograms.push(HistogramSample { series, timestamp_ms: 10, value });
            batch.exemplars.push((series, exemplar.clone()));
            assert_eq!(setup.db.commit(&batch).unwrap().rejected, []);
        }
        let mut content = setup.endpoint.wait_until("histograms and exemplars", |content| {
            content.histograms.len() == 2 && content.exemplars.len() == 2
        });
        content.histograms.sort_by(|a, b| a.0.cmp(&b.0));
        for (at, value) in histograms().into_iter().enumerate() {
            assert_eq!(content.histograms[at], (labels(at), 10, value));
            assert!(content.exemplars.contains(&(labels(at), exemplar.clone())));
        }
        if version == Version::V2 {
            // Metadata is asked for beside the samples, which may be faster.
            put(&setup.db, 5, 20);
            let mut timestamp = 20;
            setup.endpoint.wait_until("metadata", |content| {
                if content.metadata.is_empty() {
                    timestamp += 1;
                    put(&setup.db, 5, timestamp);
                }
                content.metadata.iter().any(|(_, metadata)| metadata.metric_type == MetricType::Counter)
            });
        }
        setup.shutdown();
    }
}

#[test]
fn a_request_refused_after_a_crash_is_sent_in_parts() {
    let setup = Setup::with_deadline(Duration::ZERO);
    setup.endpoint.set_down(true);
    setup.sender.apply(vec![setup.config()]).unwrap();
    for timestamp in 1..=4 {
        put(&setup.db, 1, timestamp);
    }
    setup.shutdown();
    let setup = setup.restart(PATIENT);
    setup.endpoint.set_down(false);
    // The first request, and its first half: as if the endpoint had those samples.
    let refusal = Refusal { status: 400, retry_after: None };
    setup.endpoint.refuse([refusal.clone(), refusal.clone(), refusal.clone(), refusal]);
    setup.sender.apply(vec![setup.config()]).unwrap();
    let content = setup.endpoint.wait_until("the second half", |content| content.floats.len() == 2);
    assert_eq!(content.floats, expected([(1, 3), (1, 4)]));
    assert_eq!(setup.counter("prometheus_remote_storage_samples_failed_total"), 2.0);
    setup.shutdown();
}

/// What happens while samples are sent.
#[derive(Clone, Debug)]
enum Step {
    Put(Vec<usize>),
    Refuse(u16),
    Down(bool),
    Checkpoint,
    Reload(usize),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => proptest::collection::vec(0usize..20, 1..15).prop_map(Step::Put),
        1 => prop_oneof![Just(500u16), Just(503), Just(429)].prop_map(Step::Refuse),
        1 => any::<bool>().prop_map(Step::Down),
        1 => Just(Step::Checkpoint),
        1 => (1usize..4).prop_map(Step::Reload),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn what_arrives_is_what_was_stored(steps in steps(), is_v2 in any::<bool>()) {
        let mut setup = Setup::with_deadline(Duration::ZERO);
        let version = if is_v2 { Version::V2 } else { Version::V1 };
        let config = |setup: &Setup, shards: usize| {
            let mut config = EndpointConfig { version, ..setup.config() };
            config.queue.retry_on_http_429 = true;
            config.queue.min_shards = shards;
            config
        };
        let mut shards = 2;
        setup.sender.apply(vec![config(&setup, shards)]).unwrap();
        let (mut timestamp, mut sent) = (0, Vec::new());
        for step in steps {
            match step {
                Step::Put(series) => for series in series {
                    timestamp += 1;
                    put(&setup.db, series, timestamp);
                    sent.push((series, timestamp));
                },
                Step::Refuse(status) => setup.endpoint.refuse([Refusal { status, retry_after: None }]),
                Step::Down(is_down) => setup.endpoint.set_down(is_down),
                Step::Checkpoint => setup.db.checkpoint().unwrap(),
                Step::Reload(count) => {
                    shards = count;
                    setup.sender.apply(vec![config(&setup, shards)]).unwrap();
                }
                Step::Restart => {
                    setup.shutdown();
                    setup.db.close().unwrap();
                    setup = setup.restart(Duration::ZERO);
                    setup.sender.apply(vec![config(&setup, shards)]).unwrap();
                }
            }
        }
        setup.endpoint.set_down(false);
        let content = setup.endpoint.wait_until("samples", |content| {
            let mut found = content.floats.clone();
            found.sort();
            found.dedup();
            found.len() == sent.len()
        });
        // What was on its way when a sender was cut off comes twice; nothing else does, and nothing is missing.
        let mut found = sorted(content.floats);
        found.dedup();
        prop_assert_eq!(found, sorted(expected(sent)));
        setup.shutdown();
    }
}
