use std::sync::Arc;

use model::cancel::Cancel;
use model::labels::Labels;
use model::matcher::{MatchOp, Matcher};
use model::storage::{SampleColumns, SampleValue, SelectHints, SeriesSet};
use ulid::Ulid;

use super::chunks::SEGMENT_BYTES_MAX;
use super::meta::BlockMeta;
use super::*;
use crate::chunk::{Encoding, xor};
use crate::fs::{Fs, RealFs};

const SERIES: i64 = 40;
const CHUNKS: i64 = 3;
const SAMPLES: i64 = 120;
const STEP: i64 = 15_000;

fn labels(nth: i64) -> Labels {
    Labels::from_pairs([("__name__", "up".to_owned()), ("instance", format!("host{nth:03}"))])
}

fn value(series: i64, t: i64) -> f64 {
    (series * 1000 + t / STEP) as f64
}

/// Writes a block of [`SERIES`] series of [`CHUNKS`] chunks of [`SAMPLES`] samples.
fn write_block(
    fs: Arc<dyn Fs>,
    data_dir: &std::path::Path,
) -> Result<Option<BlockMeta>, model::storage::StorageError> {
    let meta = BlockMeta::new(Ulid::from_parts(1, 1), 0, CHUNKS * SAMPLES * STEP);
    let mut writer = BlockWriter::create(fs, data_dir, meta, SEGMENT_BYTES_MAX)?;
    for series in 0..SERIES {
        let mut chunks = Vec::new();
        for chunk in 0..CHUNKS {
            let times: Vec<i64> = (chunk * SAMPLES..(chunk + 1) * SAMPLES).map(|i| i * STEP).collect();
            let values: Vec<f64> = times.iter().map(|t| value(series, *t)).collect();
            chunks.push((times[0], times[times.len() - 1], xor::encode(&times, &values)));
        }
        let data = chunks.iter().map(|(mint, maxt, bytes)| ChunkData {
            mint: *mint,
            maxt: *maxt,
            encoding: Encoding::Xor,
            bytes,
        });
        writer.add_series(&labels(series), data)?;
    }
    writer.finish()
}

fn opened(dir: &std::path::Path) -> Arc<Block> {
    let meta = write_block(Arc::new(RealFs), dir).unwrap().unwrap();
    Block::open(Arc::new(RealFs), &dir::path_of(dir, meta.ulid)).unwrap()
}

fn hints(mint: i64, maxt: i64) -> SelectHints {
    SelectHints::new(mint, maxt, &Cancel::new())
}

#[test]
fn a_block_reads_back_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let block = opened(dir.path());
    let stats = block.meta().stats.clone();
    assert_eq!(stats.num_series, SERIES as u64);
    assert_eq!(stats.num_samples, (SERIES * CHUNKS * SAMPLES) as u64);
    assert_eq!(stats.num_chunks, (SERIES * CHUNKS) as u64);

    let matchers = [Matcher::new(MatchOp::Regex, "instance", "host01.").unwrap()];
    let set = block.select(&matchers, &hints(0, i64::MAX)).unwrap();
    assert_eq!(set.len(), 10);
    let column = set.label_column("instance");
    for nth in 0..set.len() {
        let series = nth as i64 + 10;
        assert_eq!(set.labels(nth), labels(series));
        assert_eq!(column.values[column.ids[nth] as usize], labels(series).value("instance"));
        let mut columns = SampleColumns::default();
        let (mint, maxt) = (100 * STEP + 1, 130 * STEP);
        set.read(nth, mint, maxt, &mut columns).unwrap();
        assert_eq!(columns.timestamps, (101..=130).map(|i| i * STEP).collect::<Vec<_>>());
        assert!(columns.timestamps.iter().zip(&columns.values).all(|(t, v)| *v == value(series, *t)));
        let last = set.last(nth, 0, maxt + 1).unwrap();
        assert_eq!(last, Some((maxt, SampleValue::Float(value(series, maxt)))));
        assert_eq!(set.last(nth, maxt + 1, maxt + 2).unwrap(), None);
    }
    assert_eq!(set.label_column("nope").ids, [0; 10]);
    assert_eq!(block.select(&[], &hints(CHUNKS * SAMPLES * STEP, i64::MAX)).unwrap().len(), 0);
    assert_eq!(block.select(&[], &SelectHints { limit: 3, ..hints(0, 1) }).unwrap().len(), 3);
    assert_eq!(block.label_names(&[], 0, &Cancel::new()).unwrap(), ["__name__", "instance"]);
}

#[test]
fn deleted_samples_are_left_out_now_and_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let block = opened(dir.path());
    let before = block.select(&[], &hints(0, i64::MAX)).unwrap();
    let matchers = [Matcher::equal("instance", "host001")];
    block.delete(50 * STEP, 200 * STEP, &matchers, &Cancel::new()).unwrap();
    block.delete(i64::MIN, i64::MAX, &[Matcher::equal("instance", "host002")], &Cancel::new()).unwrap();
    assert_eq!(block.meta().stats.num_tombstones, 2);
    let again = Block::open(Arc::new(RealFs), block.path()).unwrap();
    assert_eq!(again.meta(), block.meta());
    for block in [block, again] {
        let set = block.select(&matchers, &hints(0, i64::MAX)).unwrap();
        let mut columns = SampleColumns::default();
        set.read(0, 0, 210 * STEP, &mut columns).unwrap();
        let expected: Vec<i64> = (0..50).chain(201..=210).map(|i| i * STEP).collect();
        assert_eq!(columns.timestamps, expected);
        let last = set.last(0, 0, 200 * STEP).unwrap();
        assert_eq!(last, Some((49 * STEP, SampleValue::Float(value(1, 49 * STEP)))));
        assert_eq!(block.select(&[], &hints(0, i64::MAX)).unwrap().len(), SERIES as usize - 1);
    }
    let mut columns = SampleColumns::default();
    before.read(1, 0, i64::MAX, &mut columns).unwrap();
    assert_eq!(columns.len(), (CHUNKS * SAMPLES) as usize, "a view doesn't change");
}

#[test]
fn a_block_outlives_its_directory_and_its_snapshot_outlives_the_block() {
    let dir = tempfile::tempdir().unwrap();
    let snapshots = tempfile::tempdir_in(dir.path()).unwrap();
    let block = opened(dir.path());
    block.snapshot(snapshots.path()).unwrap();
    let set = block.select(&[], &hints(0, i64::MAX)).unwrap();
    dir::remove(&RealFs, dir.path(), block.ulid()).unwrap();
    assert!(dir::list(&RealFs, dir.path()).unwrap().is_empty());
    let mut columns = SampleColumns::default();
    set.read(0, 0, i64::MAX, &mut columns).unwrap();
    assert_eq!(columns.len(), (CHUNKS * SAMPLES) as usize);

    let (ulid, path) = dir::list(&RealFs, snapshots.path()).unwrap().remove(0);
    assert_eq!(ulid, block.ulid());
    let copy = Block::open(Arc::new(RealFs), &path).unwrap();
    assert_eq!(copy.select(&[], &hints(0, i64::MAX)).unwrap().len(), SERIES as usize);
}

#[test]
fn an_unfinished_or_empty_block_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let meta = BlockMeta::new(Ulid::from_parts(1, 1), 0, 1);
    let mut writer =
        BlockWriter::create(Arc::new(RealFs), dir.path(), meta.clone(), SEGMENT_BYTES_MAX).unwrap();
    let bytes = xor::encode(&[5], &[1.0]);
    let chunk = ChunkData { mint: 5, maxt: 5, encoding: Encoding::Xor, bytes: &bytes };
    let error = writer.add_series(&labels(1), [chunk, chunk]).unwrap_err().to_string();
    assert!(error.contains("aren't in order of time"), "{error}");
    drop(writer);
    assert!(RealFs.list(dir.path()).unwrap().is_empty());
    let writer = BlockWriter::create(Arc::new(RealFs), dir.path(), meta, SEGMENT_BYTES_MAX).unwrap();
    assert_eq!(writer.finish().unwrap(), None);
    assert!(RealFs.list(dir.path()).unwrap().is_empty());
}

#[test]
fn leftovers_of_a_crash_are_removed_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let block = opened(dir.path());
    let leftovers = ["01BKGV7JBM69T2G1BGBGM6KB12.tmp", "01BKGV7JBM69T2G1BGBGM6KB12.tmp-for-creation"];
    for name in leftovers.into_iter().chain(["wal", "mine.tmp"]) {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    assert_eq!(dir::remove_leftovers(&RealFs, dir.path()).unwrap(), leftovers);
    let names: Vec<String> = RealFs.list(dir.path()).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, [block.ulid().to_string(), "mine.tmp".to_owned(), "wal".to_owned()]);
}
