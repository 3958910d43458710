//! What queries cost on the program's own storage: 10,000 series like those of node exporters, a sample every
//! 15 s, once as a day of blocks, once as the last hours in the head.
//!
//! `cargo bench --bench query [-- THREADS]` prints for each query, range of time and storage the least time of
//! some runs, how many samples were read, and nanoseconds for each of them. Figures of one machine are worth
//! something only beside each other.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measures")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::cancel::Cancel;
use model::labels::Labels;
use model::storage::{Appender, Batch, FloatSample, Queryable, SeriesKey, StorageError};
use model::time::{ManualClock, TimestampMs};
use prometheus::Registry;
use promql::engine::{Engine, EngineOptions, QueryRequest};
use tsdb::block::ChunkData;
use tsdb::chunk::{Encoding, xor};
use tsdb::compact::{Compactor, CompactorOptions, SeriesSource, SourceSeries, UlidSource};
use tsdb::fs::RealFs;
use tsdb::{Db, Options};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HOSTS: usize = 10;
const SERIES_PER_HOST: usize = 1_000;
const INTERVAL_MS: i64 = 15_000;
const HOUR_MS: i64 = 3_600_000;
const BLOCK_MS: i64 = 2 * HOUR_MS;
const BLOCKS: i64 = 12;
/// Where the data ends: a multiple of the blocks' length.
const END_MS: i64 = 1_700_006_400_000;
/// As the head cuts them.
const CHUNK_SAMPLES: usize = 120;
/// Runs of a query; the first warms caches up.
const RUNS: usize = 6;

const QUERIES: &[&str] = &[
    "sum by (instance) (rate(x_total[5m]))",
    "rate(x_total{device=\"dev7\"}[5m])",
    "histogram_quantile(0.99, sum by (le, job) (rate(x_bucket[5m])))",
    "topk(5, rate(x_total[5m]))",
    "rate(x_total[5m]) * on (instance) group_left () max by (instance) (x_gauge)",
    "max_over_time(rate(x_total{device=\"dev7\"}[5m])[1h:1m])",
    "max by (instance) (max_over_time(x_gauge[10m]))",
    "quantile(0.9, x_gauge)",
    "predict_linear(x_gauge{device=\"dev7\"}[1h], 14400)",
    "avg_over_time(x_gauge{device=~\"dev[0-9]\"}[1h])",
    "count by (instance) ({__name__=~\"x_(total|gauge)\", instance=~\"host-0[0-4]:9100\"})",
    "count by (instance) ({job=\"node\"})",
];

/// Series `index` of a host: four of ten are counters, three gauges, three buckets of histograms.
fn labels(host: usize, index: usize) -> Labels {
    let instance = format!("host-{host:02}:9100");
    let mut labels = vec![("instance", instance), ("job", "node".to_owned())];
    let device = format!("dev{}", index / 10);
    match index % 10 {
        0..=3 => {
            let mode = ["idle", "user", "system", "iowait"][index % 10];
            labels.extend([
                ("__name__", "x_total".to_owned()),
                ("device", device),
                ("mode", mode.to_owned()),
            ]);
        }
        4..=6 => {
            let kind = ["used", "free", "cached"][index % 10 - 4];
            labels.extend([
                ("__name__", "x_gauge".to_owned()),
                ("device", device),
                ("kind", kind.to_owned()),
            ]);
        }
        kind => {
            let (handler, bound) = (index / 40, index / 10 % 4 * 3 + kind - 7);
            let le = if bound == 11 {
                "+Inf".to_owned()
            } else {
                format!("{}", 0.005 * f64::powi(2.0, bound as i32))
            };
            labels.extend([
                ("__name__", "x_bucket".to_owned()),
                ("handler", format!("/{handler}")),
                ("le", le),
            ]);
        }
    }
    Labels::from_pairs(labels)
}

/// Two in three series stand still, as on an idle host.
fn value(host: usize, index: usize, time: TimestampMs) -> f64 {
    let step = (time / INTERVAL_MS) as u64;
    let noise =
        ((step ^ (host * SERIES_PER_HOST + index) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as f64;
    match (index % 3, index % 10) {
        (1 | 2, _) => index as f64,
        (_, 4..=6) => 1e6 + noise / 16.0,
        _ => (step % 1_000_000) as f64 * (1 + index % 7) as f64 + (noise / 1024.0).floor(),
    }
}

fn all_series() -> impl Iterator<Item = (usize, usize)> {
    (0..HOSTS).flat_map(|host| (0..SERIES_PER_HOST).map(move |index| (host, index)))
}

/// The series of a block, in the order of their labels.
#[derive(Debug)]
struct OfBlock {
    series: std::vec::IntoIter<(Labels, usize, usize)>,
    begin: TimestampMs,
}

impl OfBlock {
    fn new(begin: TimestampMs) -> Self {
        let mut series: Vec<_> =
            all_series().map(|(host, index)| (labels(host, index), host, index)).collect();
        series.sort();
        OfBlock { series: series.into_iter(), begin }
    }
}

impl SeriesSource for OfBlock {
    fn next(&mut self, into: &mut SourceSeries) -> Result<bool, StorageError> {
        let Some((labels, host, index)) = self.series.next() else { return Ok(false) };
        into.reset(labels);
        let times: Vec<_> = (self.begin..self.begin + BLOCK_MS).step_by(INTERVAL_MS as usize).collect();
        for times in times.chunks(CHUNK_SAMPLES) {
            let values: Vec<f64> = times.iter().map(|time| value(host, index, *time)).collect();
            let bytes = xor::encode(times, &values);
            let (mint, maxt) = (times[0], times[times.len() - 1]);
            into.push(ChunkData { mint, maxt, encoding: Encoding::Xor, bytes: &bytes });
        }
        Ok(true)
    }
}

fn open(dir: &Path) -> Arc<Db> {
    let clock = Arc::new(ManualClock::new(END_MS));
    Db::open(dir, Options::default(), Arc::new(RealFs), clock, &Registry::new()).expect("a database")
}

fn of_blocks(dir: &Path) -> Arc<Db> {
    let ulids = UlidSource::new(Arc::new(ManualClock::new(END_MS)), 1);
    let compactor = Compactor::new(Arc::new(RealFs), ulids, CompactorOptions::default());
    for begin in (0..BLOCKS).map(|block| END_MS - (BLOCKS - block) * BLOCK_MS) {
        let range = (begin, begin + BLOCK_MS);
        compactor.write(dir, &mut OfBlock::new(begin), range, &[], &Cancel::new()).expect("a block");
    }
    open(dir)
}

fn of_head(dir: &Path) -> Arc<Db> {
    let db = open(dir);
    let mut batch = Batch::default();
    for (host, index) in all_series() {
        let series = batch.add_series(labels(host, index));
        batch.floats.push(FloatSample { series, timestamp_ms: 0, value: 0.0 });
    }
    for time in (END_MS - BLOCK_MS..END_MS).step_by(INTERVAL_MS as usize) {
        for (sample, (host, index)) in batch.floats.iter_mut().zip(all_series()) {
            (sample.timestamp_ms, sample.value) = (time, value(host, index, time));
        }
        let committed = db.commit(&batch).expect("a commit");
        if !batch.new_series.is_empty() {
            batch.new_series.clear();
            for (sample, series) in batch.floats.iter_mut().zip(committed.new_refs) {
                sample.series = SeriesKey::Known(series.expect("a new series"));
            }
        }
    }
    db
}

/// The least time of some runs, and the samples read.
fn measure(engine: &Engine, storage: &dyn Queryable, request: &QueryRequest) -> (Duration, u64) {
    let mut least = Duration::MAX;
    let mut samples = 0;
    for _ in 0..RUNS {
        let started = Instant::now();
        let result = engine.query(storage, request).expect("a valid query");
        least = least.min(started.elapsed());
        samples = result.stats.samples_read;
    }
    (least, samples)
}

fn main() {
    let threads = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1);
    let engine = Engine::new(EngineOptions { threads, ..EngineOptions::default() });
    let dirs = [(); 2].map(|()| tempfile::tempdir().expect("a temporary directory"));
    let (blocks, head) = (of_blocks(dirs[0].path()), of_head(dirs[1].path()));
    let at = END_MS - INTERVAL_MS;
    let last = |hours: i64, step_ms: i64| {
        move |query: &str| QueryRequest::range(query, at - hours * HOUR_MS, at, step_ms)
    };
    println!("{:>12} {:>10} {:>12} {:>10}  query", "", "ms", "samples", "ns/sample");
    for query in QUERIES {
        for (name, storage, request) in [
            ("head now", &head, QueryRequest::instant(*query, at)),
            ("blocks now", &blocks, QueryRequest::instant(*query, at)),
            ("head 1h", &head, last(1, 15_000)(query)),
            ("blocks 1h", &blocks, last(1, 15_000)(query)),
            ("blocks 6h", &blocks, last(6, 60_000)(query)),
            ("blocks 23h", &blocks, last(23, 300_000)(query)),
        ] {
            let (least, samples) = measure(&engine, &**storage, &request);
            let (millis, nanos) =
                (least.as_secs_f64() * 1e3, least.as_nanos() as f64 / samples.max(1) as f64);
            println!("{name:>12} {millis:>10.3} {samples:>12} {nanos:>10.2}  {query}");
        }
    }
}
