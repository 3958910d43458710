//! Blocks go both ways between Ferula and Prometheus.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use model::cancel::Cancel;
use model::labels::Labels;
use model::storage::{SampleColumns, SelectHints, SeriesSet};
use model::time::ManualClock;
use tsdb::block::meta::BlockMeta;
use tsdb::block::{Block, BlockWriter, ChunkData, dir};
use tsdb::chunk::{Encoding, xor};
use tsdb::compact::{Compactor, CompactorOptions, UlidSource};
use tsdb::fs::RealFs;

use crate::peers::{lines, promtool};

type Model = BTreeMap<Labels, BTreeMap<i64, f64>>;

const STEP_MS: i64 = 15_000;
const BLOCK_MS: i64 = 2 * 3_600_000;
/// Of the first sample; blocks are aligned to their duration.
const BEGIN_MS: i64 = 1_600_000_000_000 / BLOCK_MS * BLOCK_MS;

/// Series of many kinds over a block's time: constant, counting, noisy, with gaps, text of every kind.
fn series(begin: i64) -> Model {
    let mut model = Model::new();
    for nth in 0..120_i64 {
        let labels = Labels::from_pairs([
            ("__name__", ["up", "requests_total", "temperature"][nth as usize % 3].to_owned()),
            ("instance", format!("host{nth:03}:9100")),
            ("odd", ["", "naïve ☃", "with \"quotes\" and \\", "two\nlines"][nth as usize % 4].to_owned()),
        ]);
        let sample = |i: i64| match nth % 3 {
            0 => 1.0,
            1 => (i * nth) as f64,
            _ => ((i * 7919 + nth * 104_729) % 1000) as f64 / 8.0 - 20.0,
        };
        let times = (0..BLOCK_MS / STEP_MS).filter(|i| nth % 5 != 0 || i % 50 > 9);
        model.insert(labels, times.map(|i| (begin + i * STEP_MS, sample(i))).collect());
    }
    model
}

fn write_block(data_dir: &Path, nth: u64, begin: i64, model: &Model) -> Arc<Block> {
    let meta = BlockMeta::new(ulid::Ulid::from_parts(nth, 0), begin, begin + BLOCK_MS);
    let mut writer = BlockWriter::create(Arc::new(RealFs), data_dir, meta, 64 << 10).unwrap();
    for (labels, samples) in model {
        let (times, values): (Vec<i64>, Vec<f64>) = samples.iter().unzip();
        let chunks: Vec<_> = times
            .chunks(120)
            .zip(values.chunks(120))
            .map(|(t, v)| (t[0], t[t.len() - 1], xor::encode(t, v)))
            .collect();
        let data = chunks.iter().map(|(mint, maxt, bytes)| ChunkData {
            mint: *mint,
            maxt: *maxt,
            encoding: Encoding::Xor,
            bytes,
        });
        writer.add_series(labels, data).unwrap();
    }
    open(data_dir, &writer.finish().unwrap().unwrap())
}

fn open(data_dir: &Path, meta: &BlockMeta) -> Arc<Block> {
    Block::open(Arc::new(RealFs), &dir::path_of(data_dir, meta.ulid)).unwrap()
}

fn compactor(seed: u64) -> Compactor {
    let ulids = UlidSource::new(Arc::new(ManualClock::new(1_700_000_000_000)), seed);
    Compactor::new(Arc::new(RealFs), ulids, CompactorOptions::default())
}

fn read_into(block: &Arc<Block>, model: &mut Model) {
    let set = block.select(&[], &SelectHints::new(i64::MIN, i64::MAX, &Cancel::new())).unwrap();
    for nth in 0..set.len() {
        let mut columns = SampleColumns::default();
        set.read(nth, i64::MIN, i64::MAX, &mut columns).unwrap();
        model.entry(set.labels(nth)).or_default().extend(columns.timestamps.into_iter().zip(columns.values));
    }
}

/// The model as lines of `promtool tsdb dump`.
fn dumped(model: &Model) -> Vec<String> {
    let mut lines = Vec::new();
    for (labels, samples) in model {
        for (t, value) in samples {
            let text = model::float_text::general(*value);
            lines.push(format!("{labels} {text} {t}"));
        }
    }
    lines.sort();
    lines
}

#[test]
fn promtool_reads_what_is_written_here() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let mut expected = Model::new();
    let blocks: Vec<Arc<Block>> = (0..3)
        .map(|nth| {
            let model = series(BEGIN_MS + nth * BLOCK_MS);
            for (labels, samples) in &model {
                expected.entry(labels.clone()).or_default().extend(samples.clone());
            }
            write_block(dir.path(), nth as u64, BEGIN_MS + nth * BLOCK_MS, &model)
        })
        .collect();
    std::fs::create_dir(dir.path().join("wal")).unwrap();
    let Some(dump) = promtool(&["tsdb", "dump", path]) else { return };
    assert_eq!(lines(&dump.stdout), dumped(&expected));

    let meta = compactor(1).compact(dir.path(), &blocks, &Cancel::new()).unwrap().unwrap();
    let chunks: u64 = blocks.iter().map(|block| block.meta().stats.num_chunks).sum();
    assert!(meta.stats.num_chunks * 2 < chunks, "chunks are filled up");
    for block in &blocks {
        dir::remove(&RealFs, dir.path(), block.ulid()).unwrap();
    }
    let dump = promtool(&["tsdb", "dump", path]).unwrap();
    assert_eq!(lines(&dump.stdout), dumped(&expected));
    let analysis = promtool(&["tsdb", "analyze", path, &meta.ulid.to_string()]).unwrap();
    let analysis = String::from_utf8(analysis.stdout).unwrap();
    for line in ["Duration: 6h0m0s", "Series: 120", "Label names: 3"] {
        assert!(analysis.contains(line), "{analysis}");
    }
}

/// A field of the table of contents of an index: 0 is the place of the symbols, 2 of the label indices.
fn toc_field(index: &[u8], nth: usize) -> usize {
    let bytes = &index[index.len() - 52 + 8 * nth..];
    u64::from_be_bytes(*bytes.first_chunk().unwrap()) as usize
}

/// Whether an index has label indices, as Prometheus wrote them for long.
fn has_label_indices(index: &[u8]) -> bool {
    toc_field(index, 4).abs_diff(toc_field(index, 2)) > 4
}

#[test]
fn what_promtool_writes_is_read_here_and_written_again_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let expected = series(BEGIN_MS);
    let mut text = String::new();
    for (labels, samples) in &expected {
        for (t, value) in samples {
            let pairs = labels.iter().filter(|(name, _)| *name != "__name__");
            let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let pairs: Vec<String> =
                pairs.map(|(name, value)| format!("{name}=\"{}\"", quoted(value))).collect();
            writeln!(
                text,
                "{}{{{}}} {value} {}.{:03}",
                labels.metric_name(),
                pairs.join(","),
                t / 1000,
                t % 1000
            )
            .unwrap();
        }
    }
    text.push_str("# EOF\n");
    let input = dir.path().join("input");
    std::fs::write(&input, text).unwrap();
    let data_dir = dir.path().join("data");
    let args =
        ["tsdb", "create-blocks-from", "openmetrics", input.to_str().unwrap(), data_dir.to_str().unwrap()];
    if promtool(&args).is_none() {
        return;
    }
    let mut read = Model::new();
    let blocks = dir::list(&RealFs, &data_dir).unwrap();
    assert_eq!(blocks.len(), 1);
    for (_, path) in &blocks {
        let block = Block::open(Arc::new(RealFs), path).unwrap();
        read_into(&block, &mut read);
        let options = CompactorOptions { rechunk_from_level: None, ..CompactorOptions::default() };
        let ulids = UlidSource::new(Arc::new(ManualClock::new(1)), 1);
        let compactor = Compactor::new(Arc::new(RealFs), ulids, options);
        let again = compactor.compact(&data_dir, &[block], &Cancel::new()).unwrap().unwrap();
        let again = dir::path_of(&data_dir, again.ulid);
        for file in ["index", "chunks/000001", "tombstones"] {
            let mut theirs = std::fs::read(path.join(file)).unwrap();
            let mut ours = std::fs::read(again.join(file)).unwrap();
            if file == "index" && has_label_indices(&theirs) {
                // An old promtool: the same up to the end of the series.
                let end = toc_field(&ours, 2);
                theirs.truncate(end);
                ours.truncate(end);
            }
            let first = theirs.iter().zip(&ours).position(|(a, b)| a != b);
            assert!(
                theirs == ours,
                "{file}: {} and {} bytes, first difference at {first:?}",
                theirs.len(),
                ours.len()
            );
        }
    }
    assert_eq!(read, expected);
}
