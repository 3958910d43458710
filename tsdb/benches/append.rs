//! What a series of the head costs in memory, and what a sample costs to append, log included.
//!
//! `cargo bench -p tsdb --bench append [-- SERIES]` prints samples per second of one thread through commits by
//! known refs, as a scrape makes them, and the process's anonymous and file-backed memory per series after
//! [`SCRAPES`] scrapes, then how long a restart takes. The series look like those of node exporters: 1000 a
//! target, ten labels or fewer, two in three values unchanged.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench talks to the terminal and may panic")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use model::labels::Labels;
use model::storage::{Appender, Batch, FloatSample, SeriesKey};
use model::time::SystemClock;
use prometheus::Registry;
use tsdb::fs::RealFs;
use tsdb::{Db, Options};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERIES: usize = 100_000;
const SERIES_PER_TARGET: usize = 1000;
const SCRAPES: i64 = 60;
const INTERVAL_MS: i64 = 10_000;
const START_MS: i64 = 1_700_000_000_000;

fn labels(target: usize, i: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", format!("node_metric_{}_total", i / 8)),
        ("instance", format!("host-{target:05}.example.com:9100")),
        ("job", "node".to_owned()),
        ("cluster", "eu-west-1".to_owned()),
        ("device", format!("dev{}", i % 8)),
        ("mode", ["idle", "user", "system", "iowait"][i % 4].to_owned()),
    ])
}

fn value(i: usize, scrape: i64) -> f64 {
    if i.is_multiple_of(3) { (scrape * 13 + i as i64) as f64 + 0.25 * (i % 5) as f64 } else { i as f64 }
}

fn open(dir: &Path) -> Arc<Db> {
    let clock = Arc::new(SystemClock);
    Db::open(dir, Options::default(), Arc::new(RealFs), clock, &Registry::new()).unwrap()
}

/// A line of `/proc/self/status` in bytes.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Processor time of this thread: unlike the time on the wall, it says the same on a busy machine.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn create(db: &Db, targets: usize) -> Vec<Batch> {
    (0..targets)
        .map(|target| {
            let mut batch = Batch::default();
            for i in 0..SERIES_PER_TARGET {
                let series = batch.add_series(labels(target, i));
                batch.floats.push(FloatSample { series, timestamp_ms: START_MS, value: value(i, 0) });
            }
            let committed = db.commit(&batch).unwrap();
            batch.new_series = Vec::new();
            for (sample, series) in batch.floats.iter_mut().zip(committed.new_refs) {
                sample.series = SeriesKey::Known(series.unwrap());
            }
            batch
        })
        .collect()
}

fn main() {
    let series: usize = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(SERIES);
    let dir = std::env::temp_dir().join(format!("tsdb-bench-append-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let empty = status("RssAnon");
    let db = open(&dir);
    let started = Instant::now();
    let mut batches = create(&db, series / SERIES_PER_TARGET);
    println!("create: {:.2} µs a series", started.elapsed().as_secs_f64() * 1e6 / series as f64);
    let own = batches.iter().map(|b| (b.floats.capacity() * size_of::<FloatSample>()) as u64).sum::<u64>();
    let mut seconds = 0.0;
    for scrape in 1..SCRAPES {
        for batch in &mut batches {
            for (i, sample) in batch.floats.iter_mut().enumerate() {
                sample.timestamp_ms = START_MS + scrape * INTERVAL_MS;
                sample.value = value(i, scrape);
            }
            let started = cpu_seconds();
            let committed = db.commit(batch).unwrap();
            seconds += cpu_seconds() - started;
            assert!(committed.rejected.is_empty());
        }
    }
    let samples = series as f64 * (SCRAPES - 1) as f64;
    println!(
        "append: {:.2} M samples/s of processor time, {:.1} ns a sample",
        samples / seconds / 1e6,
        seconds * 1e9 / samples
    );
    let anonymous = status("RssAnon").saturating_sub(empty + own);
    let file = status("RssFile");
    println!(
        "memory: {} B a series anonymous ({} MiB), {} MiB file-backed",
        anonymous / series as u64,
        anonymous >> 20,
        file >> 20
    );
    for (part, bytes) in db.head_memory().parts() {
        println!("  {part}: {:.1} B a series", bytes as f64 / series as f64);
    }
    let started = Instant::now();
    db.checkpoint().unwrap();
    println!("checkpoint: {:.2} s", started.elapsed().as_secs_f64());
    drop(db);
    let started = Instant::now();
    let db = open(&dir);
    println!(
        "restart: {:.2} s for {} series",
        started.elapsed().as_secs_f64(),
        db.head_stats(1).cardinality.series
    );
    drop(db);
    std::fs::remove_dir_all(&dir).unwrap();
}
