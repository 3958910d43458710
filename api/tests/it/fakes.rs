//! A program small enough to know every byte that it should answer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api::notifications::Notifications;
use api::readiness::{Phase, Readiness};
use api::state::*;
use api::{ApiOptions, Parts, Server};
use model::cancel::Cancel;
use model::exemplar::Exemplar;
use model::labels::Labels;
use model::matcher::{Matcher, all_match};
use model::metadata::{Metadata, MetricFamily, MetricType};
use model::storage::*;
use model::time::{ManualClock, TimestampMs};
use promql::engine::{Engine, EngineOptions};
use remote::read::{Chunk, ChunkEncoder, ReadOptions};

/// The time at which the fake program stands still: 2015-07-01T20:10:51.781Z.
pub(crate) const NOW_MS: TimestampMs = 1_435_781_451_781;

/// Series in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeStorage(pub Arc<BTreeMap<Labels, Vec<(TimestampMs, f64)>>>);

impl Queryable for FakeStorage {
    fn querier(&self, mint: TimestampMs, maxt: TimestampMs) -> Result<Box<dyn Querier>, StorageError> {
        Ok(Box::new(FakeQuerier { storage: self.clone(), mint, maxt }))
    }
}

#[derive(Debug)]
struct FakeQuerier {
    storage: FakeStorage,
    mint: TimestampMs,
    maxt: TimestampMs,
}

impl FakeQuerier {
    fn matching(&self, matchers: &[Matcher]) -> Vec<(Labels, Vec<(TimestampMs, f64)>)> {
        let within = |(at, _): &(TimestampMs, f64)| (self.mint..=self.maxt).contains(at);
        let series = self.storage.0.iter().filter(|(labels, _)| all_match(matchers, labels));
        series
            .filter(|(_, samples)| samples.iter().any(within))
            .map(|(labels, samples)| (labels.clone(), samples.clone()))
            .collect()
    }
}

fn sorted(mut values: Vec<String>, limit: usize) -> Vec<String> {
    values.sort();
    values.dedup();
    values.truncate(if limit == 0 { usize::MAX } else { limit });
    values
}

impl Querier for FakeQuerier {
    fn select(&self, matchers: &[Matcher], _: &SelectHints) -> Result<Box<dyn SeriesSet>, StorageError> {
        Ok(Box::new(FakeSet(self.matching(matchers))))
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        limit: usize,
        _: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        let found = self.matching(matchers);
        Ok(sorted(
            found.iter().flat_map(|(labels, _)| labels.iter().map(|(n, _)| n.to_owned())).collect(),
            limit,
        ))
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
        _: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        let found = self.matching(matchers);
        Ok(sorted(
            found.iter().filter_map(|(labels, _)| labels.get(name)).map(str::to_owned).collect(),
            limit,
        ))
    }
}

#[derive(Debug)]
struct FakeSet(Vec<(Labels, Vec<(TimestampMs, f64)>)>);

impl SeriesSet for FakeSet {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, series: usize) -> Labels {
        self.0[series].0.clone()
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        let mut values: Vec<std::borrow::Cow<'_, str>> = vec!["".into()];
        let ids = self.0.iter().map(|(labels, _)| {
            let value = labels.value(name);
            let known = values.iter().position(|v| v == value);
            known.unwrap_or_else(|| {
                values.push(value.to_owned().into());
                values.len() - 1
            }) as u32
        });
        let ids = ids.collect();
        LabelColumn { values, ids }
    }

    fn read(
        &self,
        series: usize,
        mint: TimestampMs,
        maxt: TimestampMs,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        for (at, value) in self.0[series].1.iter().filter(|(at, _)| (mint..=maxt).contains(at)) {
            out.timestamps.push(*at);
            out.values.push(*value);
        }
        Ok(())
    }

    fn last(
        &self,
        series: usize,
        mint: TimestampMs,
        maxt: TimestampMs,
    ) -> Result<Option<(TimestampMs, SampleValue)>, StorageError> {
        let samples = self.0[series].1.iter().rev();
        let last = samples.into_iter().find(|(at, _)| (mint..=maxt).contains(at));
        Ok(last.map(|(at, value)| (*at, SampleValue::Float(*value))))
    }
}

/// Everything else that the API shows.
#[derive(Debug, Default)]
pub(crate) struct FakeProgram {
    quitting: AtomicBool,
}

impl TargetsSource for FakeProgram {
    fn active(&self, pool: Option<&str>) -> Vec<ActiveTarget> {
        let target = |pool: &str, health, error: &str, last_scrape_ms| ActiveTarget {
            discovered_labels: Labels::from_pairs([("__address__", "localhost:9100"), ("job", pool)]),
            labels: Labels::from_pairs([("instance", "localhost:9100"), ("job", pool)]),
            scrape_pool: pool.to_owned(),
            scrape_url: "http://localhost:9100/metrics?a=b&c=<d>".to_owned(),
            last_error: error.to_owned(),
            last_scrape_ms,
            last_scrape_duration_secs: 0.0625,
            health,
            scrape_interval: "15s".to_owned(),
            scrape_timeout: "10s".to_owned(),
        };
        let mut targets = vec![
            target("node", TargetHealth::Up, "", Some(NOW_MS)),
            target("web", TargetHealth::Down, "server returned HTTP status 500 <oops>", None),
        ];
        targets.retain(|target| pool.is_none_or(|pool| pool == target.scrape_pool));
        targets
    }

    fn dropped(&self, pool: Option<&str>) -> Vec<DroppedTarget> {
        let dropped = DroppedTarget {
            discovered_labels: Labels::from_pairs([("__address__", "b:1")]),
            scrape_pool: "web".to_owned(),
        };
        if pool.is_none_or(|pool| pool == "web") { vec![dropped] } else { Vec::new() }
    }

    fn dropped_counts(&self) -> BTreeMap<String, usize> {
        BTreeMap::from([("node".to_owned(), 0), ("web".to_owned(), 3)])
    }

    fn scrape_pools(&self) -> Vec<String> {
        vec!["node".to_owned(), "web".to_owned()]
    }

    fn scrape_pool_config(&self, pool: &str) -> Result<String, String> {
        match pool {
            "node" => Ok("job_name: node\n".to_owned()),
            other => Err(format!("scrape pool {other:?} not found")),
        }
    }

    fn relabel_steps(&self, _: &str, labels: &Labels) -> Result<Vec<RelabelStep>, String> {
        let rule = serde_json::json!({"source_labels": ["a"], "action": "drop"});
        Ok(vec![
            RelabelStep { rule: rule.clone(), output: labels.clone(), keep: true },
            RelabelStep { rule, output: Labels::empty(), keep: false },
        ])
    }

    fn metadata(&self, metric: Option<&str>, target: &dyn Fn(&Labels) -> bool) -> Vec<TargetMetadata> {
        let entry = |job: &str, metric: &str, metric_type, help: &str| TargetMetadata {
            target: Labels::from_pairs([("job", job)]),
            metric: metric.to_owned(),
            metadata: Metadata { metric_type, help: help.to_owned(), unit: String::new() },
        };
        let mut known = vec![
            entry("node", "hits_total", MetricType::Counter, "Hits & misses."),
            entry("web", "hits_total", MetricType::Counter, "Hits & misses."),
            entry("web", "hits_total", MetricType::Counter, "Other."),
            entry("node", "up", MetricType::Gauge, ""),
        ];
        known.retain(|entry| metric.is_none_or(|metric| metric == entry.metric) && target(&entry.target));
        known
    }
}

impl AlertsSource for FakeProgram {
    fn groups(&self) -> Vec<RuleGroup> {
        let rule = |name: &str, kind, labels: Labels| Rule {
            name: name.to_owned(),
            query: "up < 1".to_owned(),
            labels,
            health: RuleHealth::Ok,
            last_error: String::new(),
            evaluation_time_secs: 0.0005,
            last_evaluation_ms: Some(NOW_MS),
            kind,
        };
        let alert = ActiveAlert {
            labels: Labels::from_pairs([("alertname", "Down"), ("job", "<web>")]),
            annotations: Labels::from_pairs([("summary", "a & b")]),
            state: AlertState::Firing,
            active_at_ms: Some(NOW_MS - 60_000),
            keep_firing_since_ms: None,
            value: 0.0,
        };
        let alerting = RuleKind::Alerting {
            state: AlertState::Firing,
            duration_secs: 60.0,
            keep_firing_for_secs: 0.0,
            annotations: Labels::from_pairs([("summary", "{{ $value }}")]),
            alerts: vec![alert],
        };
        let group = |name: &str, rules| RuleGroup {
            name: name.to_owned(),
            file: "rules.yml".to_owned(),
            rules,
            interval_secs: 60.0,
            limit: 0,
            evaluation_time_secs: 0.001,
            last_evaluation_ms: None,
        };
        let severe = Labels::from_pairs([("severity", "page")]);
        vec![
            group(
                "a",
                vec![rule("Down", alerting, severe), rule("job:up", RuleKind::Recording, Labels::empty())],
            ),
            group("b", vec![rule("b:up", RuleKind::Recording, Labels::empty())]),
        ]
    }

    fn alertmanagers(&self) -> Alertmanagers {
        Alertmanagers { active: vec!["http://am:9093/api/v2/alerts".to_owned()], dropped: Vec::new() }
    }
}

impl StorageStatus for FakeProgram {
    fn head_stats(&self) -> Result<HeadStats, StorageError> {
        Ok(HeadStats {
            num_series: 3,
            num_label_pairs: 5,
            chunk_count: 4,
            min_time_ms: 1000,
            max_time_ms: NOW_MS,
        })
    }

    fn cardinality(&self, limit: usize) -> Result<Cardinality, StorageError> {
        let mut series_by_metric_name = vec![("hits_total".to_owned(), 2), ("up".to_owned(), 1)];
        series_by_metric_name.truncate(limit);
        Ok(Cardinality { series_by_metric_name, ..Cardinality::default() })
    }

    fn blocks(&self) -> Result<Vec<serde_json::Value>, StorageError> {
        Ok(vec![serde_json::json!({"ulid": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "minTime": 0, "maxTime": 7200000})])
    }

    fn families(&self) -> Result<Vec<Arc<MetricFamily>>, StorageError> {
        let family = |name: &str, metric_type, help: &str, unit: &str| {
            let (help, unit) = (help.to_owned(), unit.to_owned());
            Arc::new(MetricFamily { name: name.to_owned(), metadata: Metadata { metric_type, help, unit } })
        };
        Ok(vec![
            family("hits_total", MetricType::Counter, "Hits & misses.", ""),
            family("pushed_seconds", MetricType::Summary, "Of no target.", "seconds"),
        ])
    }

    fn wal_replay(&self) -> WalReplay {
        WalReplay { min: 1, max: 4, current: 2 }
    }

    fn damage(&self) -> Result<StorageDamage, StorageError> {
        let (file, what) = ("data/head/wal/00000003".to_owned(), "checksum of frame".to_owned());
        Ok(StorageDamage { places: vec![DamagedPlace { file, from: 16, to: 400, what }], lost_commits: 2 })
    }
}

impl StorageAdmin for FakeProgram {
    fn delete_series(&self, _: TimestampMs, _: TimestampMs, _: &[Matcher]) -> Result<(), StorageError> {
        Ok(())
    }

    fn clean_tombstones(&self) -> Result<(), StorageError> {
        Err(StorageError::NotReady)
    }

    fn snapshot(&self, _: &str, _: bool) -> Result<(), StorageError> {
        Ok(())
    }
}

impl ExemplarSource for FakeProgram {
    fn exemplars(
        &self,
        mint: TimestampMs,
        maxt: TimestampMs,
        _: &[Vec<Matcher>],
    ) -> Result<Vec<SeriesExemplars>, StorageError> {
        let series = Labels::from_pairs([("__name__", "hits_total"), ("path", "/<a>")]);
        let exemplar = Exemplar {
            labels: Labels::from_pairs([("trace_id", "abc&d")]),
            value: 0.5,
            timestamp_ms: Some(NOW_MS),
        };
        let within = (mint..=maxt).contains(&NOW_MS);
        Ok(if within { vec![SeriesExemplars { series, exemplars: vec![exemplar] }] } else { Vec::new() })
    }
}

impl ConfigSource for FakeProgram {
    fn yaml(&self) -> String {
        "global:\n  scrape_interval: 15s\n".to_owned()
    }

    fn external_labels(&self) -> Labels {
        Labels::from_pairs([("region", "eu")])
    }

    fn flags(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("config.file".to_owned(), "prometheus.yml".to_owned())])
    }

    fn features(&self) -> BTreeMap<String, BTreeMap<String, bool>> {
        BTreeMap::from([("api".to_owned(), BTreeMap::from([("admin".to_owned(), true)]))])
    }
}

impl RuntimeSource for FakeProgram {
    fn runtime_info(&self) -> RuntimeInfo {
        RuntimeInfo {
            start_time_ms: NOW_MS - 1000,
            cwd: "/".to_owned(),
            hostname: "host".to_owned(),
            reload_config_success: true,
            last_config_time_ms: NOW_MS - 1000,
            gomaxprocs: 2,
            storage_retention: "15d".to_owned(),
            ..RuntimeInfo::default()
        }
    }
}

impl Lifecycle for FakeProgram {
    fn reload(&self) -> Result<(), String> {
        Err("prometheus.yml:3: field x not found".to_owned())
    }

    fn quit(&self) -> bool {
        !self.quitting.swap(true, Ordering::SeqCst)
    }
}

/// The series that the golden cases are about.
pub(crate) fn samples() -> FakeStorage {
    let minute = |count: i64| NOW_MS - 60_000 * count;
    let series = [
        (vec![("__name__", "up"), ("job", "node")], vec![(minute(2), 1.0), (minute(1), 1.0)]),
        (vec![("__name__", "up"), ("job", "web")], vec![(minute(2), 1.0), (minute(1), 0.0)]),
        (vec![("__name__", "hits_total"), ("path", "/<a>&\"\\")], vec![(minute(2), 0.1), (minute(1), 1e21)]),
        (vec![("__name__", "dotted.name"), ("job", "odd")], vec![(minute(1), -2.5)]),
    ];
    let of_pairs = |(pairs, samples)| (Labels::from_pairs::<&str, &str>(pairs), samples);
    FakeStorage(Arc::new(series.into_iter().map(of_pairs).collect()))
}

/// One chunk a series, with the number of its samples as its only byte.
#[derive(Debug)]
struct FakeChunks;

impl ChunkEncoder for FakeChunks {
    fn encode(&self, samples: &SampleColumns, out: &mut Vec<Chunk>) {
        if let (Some(mint), Some(maxt)) = (samples.timestamps.first(), samples.timestamps.last()) {
            out.push(Chunk { mint: *mint, maxt: *maxt, encoding: 1, bytes: vec![samples.len() as u8] });
        }
    }
}

/// A fake program with its parts.
pub(crate) fn parts(storage: FakeStorage) -> Parts {
    let program = Arc::new(FakeProgram::default());
    let registry = prometheus::Registry::new();
    let clock = Arc::new(ManualClock::new(NOW_MS));
    let notifications = Notifications::new(clock.clone(), 1, &registry).unwrap();
    let readiness = Readiness::new();
    readiness.set(Phase::Ready);
    let read_options = ReadOptions { samples_max: 0, concurrent_max: 0, frame_bytes: 1 << 20 };
    let read_storage = Arc::new(storage.clone());
    let read_server =
        remote::read::Server::new(read_options, read_storage, Arc::new(FakeChunks), &registry).unwrap();
    Parts {
        storage: Arc::new(storage.clone()),
        local_storage: Arc::new(storage),
        exemplars: program.clone(),
        read_server: Arc::new(read_server),
        write_receiver: None,
        otlp_receiver: None,
        engine: Arc::new(Engine::new(EngineOptions::default())),
        targets: program.clone(),
        alerts: program.clone(),
        storage_status: program.clone(),
        storage_admin: program.clone(),
        config: program.clone(),
        runtime: program.clone(),
        build: BuildInfo {
            version: "3.14.0".to_owned(),
            go_version: "rust".to_owned(),
            ..BuildInfo::default()
        },
        lifecycle: program,
        readiness,
        notifications,
        registry,
        clock,
    }
}

/// Options that listen on a free port of the loopback interface.
pub(crate) fn options() -> ApiOptions {
    ApiOptions { listen_addresses: vec!["127.0.0.1:0".to_owned()], ..ApiOptions::default() }
}

/// Starts a server that runs until the returned sender is dropped or used.
pub(crate) async fn start(
    options: ApiOptions,
    parts: Parts,
) -> (SocketAddr, tokio::sync::oneshot::Sender<()>) {
    let server = Server::bind(options, parts).await.unwrap();
    let address = server.local_addresses()[0];
    let (stop, stopped) = tokio::sync::oneshot::channel();
    tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    (address, stop)
}
