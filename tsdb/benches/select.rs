//! How long matchers take on the index of a block of 100,000 series, by kind of matcher, where nothing but the
//! index is touched; how long selections from a head of [`HEAD_SERIES`] take, and how long they keep a commit
//! waiting.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use model::cancel::Cancel;
use model::labels::Labels;
use model::matcher::{MatchOp, Matcher};
use model::storage::{Appender, Batch, FloatSample, Queryable, SampleColumns, SelectHints, SeriesKey};
use model::time::ManualClock;
use tsdb::block::meta::BlockMeta;
use tsdb::block::{Block, BlockWriter, ChunkData, dir};
use tsdb::chunk::{Encoding, xor};
use tsdb::fs::RealFs;
use tsdb::select::{label_values, postings_for_matchers};
use tsdb::{Db, Options};

/// As many as a middling server scrapes.
const INSTANCES: usize = 1000;
const METRICS: usize = 100;

/// A block of [`METRICS`] series of each of [`INSTANCES`], one sample each.
fn block(data_dir: &std::path::Path) -> Arc<Block> {
    let meta = BlockMeta::new(ulid::Ulid::from_parts(1, 1), 0, 1);
    let mut writer = BlockWriter::create(Arc::new(RealFs), data_dir, meta, 64 << 20).expect("a new block");
    let bytes = xor::encode(&[0], &[1.0]);
    for metric in 0..METRICS {
        for instance in 0..INSTANCES {
            let labels = Labels::from_pairs([
                ("__name__", format!("metric_{metric:03}_total")),
                ("instance", format!("host-{instance:04}.example.org:9100")),
                ("job", format!("job-{}", instance % 10)),
                ("unique", format!("{metric}-{instance}")),
            ]);
            let chunk = ChunkData { mint: 0, maxt: 0, encoding: Encoding::Xor, bytes: &bytes };
            writer.add_series(&labels, [chunk]).expect("a series in order");
        }
    }
    let meta = writer.finish().expect("a written block").expect("a block with series");
    Block::open(Arc::new(RealFs), &dir::path_of(data_dir, meta.ulid)).expect("a good block")
}

fn select(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let block = block(dir.path());
    let cancel = Cancel::new();
    let metric = || Matcher::metric_name("metric_007_total");
    let regex = |op, name, value| Matcher::new(op, name, value).expect("a good expression");
    let mut group = criterion.benchmark_group("select");
    for (name, matchers) in [
        ("a metric", vec![metric()]),
        ("a metric of an instance", vec![metric(), Matcher::equal("instance", "host-0042.example.org:9100")]),
        ("a metric of some jobs", vec![metric(), regex(MatchOp::Regex, "job", "job-1|job-2|job-3")]),
        ("a metric but of a job", vec![metric(), Matcher::not_equal("job", "job-1")]),
        (
            "a metric of instances by expression",
            vec![metric(), regex(MatchOp::Regex, "instance", "host-0.*2.*")],
        ),
        ("any metric", vec![regex(MatchOp::Regex, "__name__", ".+")]),
        ("metrics by prefix", vec![regex(MatchOp::Regex, "__name__", "metric_00.*")]),
        ("100,000 values by expression", vec![regex(MatchOp::Regex, "unique", ".*-77")]),
    ] {
        group.bench_function(name, |bench| {
            bench.iter(|| postings_for_matchers(block.index(), black_box(&matchers), &cancel));
        });
    }
    group.bench_function("values of a label of a metric", |bench| {
        bench.iter(|| label_values(block.index(), "instance", black_box(&[metric()]), 0, &cancel));
    });
    group.finish();
}

/// Series of the head.
const HEAD_SERIES: usize = 500_000;
/// Samples of each: half a chunk.
const HEAD_SAMPLES: i64 = 60;
const INTERVAL_MS: i64 = 15_000;

/// A head, and a batch of a sample for each series of one target.
fn head(data_dir: &std::path::Path) -> (Arc<Db>, Batch) {
    let options = Options { background: false, ..Options::default() };
    let registry = prometheus::Registry::new();
    let db = Db::open(data_dir, options, Arc::new(RealFs), Arc::new(ManualClock::new(0)), &registry);
    let db = db.expect("an empty directory");
    let mut last = Batch::default();
    for target in 0..HEAD_SERIES / METRICS {
        let mut batch = Batch::default();
        for metric in 0..METRICS {
            let series = batch.add_series(Labels::from_pairs([
                ("__name__", format!("metric_{metric:03}_total")),
                ("instance", format!("host-{target:05}.example.org:9100")),
                ("job", format!("job-{}", target % 10)),
            ]));
            batch.floats.push(FloatSample { series, timestamp_ms: 0, value: metric as f64 });
        }
        let committed = db.commit(&batch).expect("new series");
        batch.new_series.clear();
        for (sample, series) in batch.floats.iter_mut().zip(committed.new_refs) {
            sample.series = SeriesKey::Known(series.expect("the ref of a new series"));
        }
        for _ in 1..HEAD_SAMPLES {
            commit_next(&db, &mut batch);
        }
        last = batch;
    }
    (db, last)
}

fn commit_next(db: &Db, batch: &mut Batch) {
    for sample in &mut batch.floats {
        sample.timestamp_ms += INTERVAL_MS;
        sample.value += (sample.timestamp_ms % 7) as f64;
    }
    db.commit(batch).expect("newer samples");
}

fn select_from_head(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (db, mut batch) = head(dir.path());
    let select = |matchers: &[Matcher]| {
        let querier = db.querier(i64::MIN, i64::MAX).expect("a querier");
        querier.select(matchers, &SelectHints::new(0, i64::MAX, &Cancel::new())).expect("a selection")
    };
    let metric = Matcher::metric_name("metric_007_total");
    let one = [metric.clone(), Matcher::equal("instance", "host-00042.example.org:9100")];
    let mut group = criterion.benchmark_group("head");
    group.sample_size(10);
    group.bench_function("one series, its last sample", |bench| {
        bench.iter(|| select(black_box(&one)).last(0, 0, i64::MAX));
    });
    group.bench_function("one series, its samples", |bench| {
        let mut columns = SampleColumns::default();
        bench.iter(|| {
            columns.clear();
            select(black_box(&one)).read(0, 0, i64::MAX, &mut columns)
        });
    });
    group.bench_function("5,000 series", |bench| {
        bench.iter(|| select(black_box(std::slice::from_ref(&metric))).len())
    });
    group.bench_function("500,000 series", |bench| bench.iter(|| select(&[]).len()));
    group.bench_function("slowest commit while 500,000 series are selected", |bench| {
        bench.iter_custom(|times| (0..times).map(|_| slowest_commit(&db, &mut batch, || select(&[]))).sum());
    });
    group.finish();
}

/// The longest time that a commit takes while something else is done.
fn slowest_commit<T: Send>(db: &Db, batch: &mut Batch, meanwhile: impl Fn() -> T + Sync) -> Duration {
    let mut slowest = Duration::ZERO;
    std::thread::scope(|scope| {
        let other = scope.spawn(&meanwhile);
        while !other.is_finished() {
            let begin = Instant::now();
            commit_next(db, batch);
            slowest = slowest.max(begin.elapsed());
        }
    });
    slowest
}

criterion_group!(benches, select, select_from_head);
criterion_main!(benches);
