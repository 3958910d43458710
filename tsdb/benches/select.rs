//! How long matchers take on the index of a block of 100,000 series, by kind of matcher. Nothing but the index
//! is touched.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use model::cancel::Cancel;
use model::labels::Labels;
use model::matcher::{MatchOp, Matcher};
use tsdb::block::meta::BlockMeta;
use tsdb::block::{Block, BlockWriter, ChunkData, dir};
use tsdb::chunk::{Encoding, xor};
use tsdb::fs::RealFs;
use tsdb::select::{label_values, postings_for_matchers};

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

criterion_group!(benches, select);
criterion_main!(benches);
