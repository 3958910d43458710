use std::path::Path;
use std::sync::Arc;

use model::cancel::Cancel;
use model::histogram::{CounterResetHint, Histogram, Span};
use model::labels::Labels;
use model::matcher::Matcher;
use model::storage::{HistogramValue, SampleColumns, StorageError};
use model::time::ManualClock;
use proptest::prelude::*;
use ulid::Ulid;

use super::*;
use crate::block::meta::BlockMeta;
use crate::block::testing::{FailingFs, Model, open, read_model, write_model};
use crate::block::{Block, ChunkData, dir};
use crate::chunk::histogram::{HistogramAppender, decode_values};
use crate::chunk::{Encoding, decode_into, xor};
use crate::fs::{Fs, RealFs};

fn compactor(fs: Arc<dyn Fs>, rechunk_from_level: Option<u32>) -> Compactor {
    let clock = Arc::new(ManualClock::new(1_700_000_000_000));
    let options = CompactorOptions { rechunk_from_level, ..CompactorOptions::default() };
    // Compactors of one test make blocks of different names.
    let seed = u64::from(rechunk_from_level.unwrap_or(0));
    Compactor::new(fs, UlidSource::new(clock, seed), options)
}

fn labels(nth: u8) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("n", nth.to_string().as_str())])
}

/// Writes a block of level 1 whose range fits its samples.
fn block_of(data_dir: &Path, nth: u64, model: &Model, chunk_samples: usize) -> Arc<Block> {
    let times = || model.values().flat_map(|samples| samples.keys());
    let (mint, maxt) = (*times().min().unwrap(), *times().max().unwrap() + 1);
    let meta = BlockMeta::new(Ulid::from_parts(nth, 0), mint, maxt);
    let meta = write_model(Arc::new(RealFs), data_dir, meta, model, chunk_samples).unwrap().unwrap();
    open(data_dir, &meta)
}

/// 30 series of 400 samples each, every 10 ms from a time on.
fn regular(begin: i64) -> Model {
    let samples = |nth: u8| (0..400).map(|i| (begin + i * 10, f64::from(nth) * 100.0 + i as f64)).collect();
    (0..30).map(|nth| (labels(nth), samples(nth))).collect()
}

fn names(dir: &Path) -> Vec<String> {
    RealFs.list(dir).unwrap().into_iter().map(|entry| entry.name).collect()
}

/// A block's content, samples per chunk, and what is deleted: of which series, from when, for how long.
type BlockCase = (Model, usize, Option<(u8, i64, i64)>);

fn block_cases() -> impl Strategy<Value = Vec<BlockCase>> {
    let samples = proptest::collection::btree_map(0i64..300, -1e3..1e3, 1..60);
    let model = proptest::collection::btree_map((0u8..6).prop_map(labels), samples, 1..5);
    let deleted = proptest::option::of((0u8..6, 0i64..300, 0i64..100));
    proptest::collection::vec((model, 1usize..20, deleted), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_compaction_holds_what_its_blocks_held(blocks in block_cases(), rechunk in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let mut opened = Vec::new();
        let mut expected = Model::new();
        for (nth, (model, chunk_samples, deleted)) in blocks.iter().enumerate() {
            let block = block_of(dir.path(), nth as u64, model, *chunk_samples);
            if let Some((series, from, len)) = deleted {
                let matcher = [Matcher::equal("n", series.to_string())];
                block.delete(*from, from + len, &matcher, &Cancel::new()).unwrap();
            }
            for (series, samples) in model {
                for (t, value) in samples {
                    let gone = deleted.is_some_and(|(n, from, len)| *series == labels(n) && (from..=from + len).contains(t));
                    if !gone {
                        // Which of several values stays isn't promised: every one is marked by its time.
                        expected.entry(series.clone()).or_default().entry(*t).or_insert(*value);
                    }
                }
            }
            opened.push(block);
        }
        let compactor = compactor(Arc::new(RealFs), rechunk.then_some(2));
        let meta = compactor.compact(dir.path(), &opened, &Cancel::new()).unwrap();
        let Some(meta) = meta else {
            prop_assert!(expected.is_empty());
            prop_assert!(opened.iter().all(|block| block.meta().compaction.deletable));
            return Ok(());
        };
        let compacted = read_model(&open(dir.path(), &meta));
        let times = |model: &Model| -> Vec<(Labels, Vec<i64>)> {
            model.iter().map(|(l, s)| (l.clone(), s.keys().copied().collect())).collect()
        };
        prop_assert_eq!(times(&compacted), times(&expected));
        for (series, samples) in &compacted {
            for (t, value) in samples {
                let held = blocks.iter().any(|(model, _, _)| model.get(series).and_then(|s| s.get(t)) == Some(value));
                prop_assert!(held, "{series} has {value} at {t}");
            }
        }
        prop_assert_eq!(meta.stats.num_series as usize, compacted.len());
        prop_assert_eq!(meta.stats.num_samples as usize, compacted.values().map(|s| s.len()).sum::<usize>());
        prop_assert_eq!(meta.compaction.level, 2);
        prop_assert_eq!(meta.compaction.parents.len(), opened.len());
        prop_assert_eq!(meta.compaction.sources.len(), opened.len());
    }
}

#[test]
fn chunks_pass_as_they_are_or_are_filled_up_to_their_cap() {
    let dir = tempfile::tempdir().unwrap();
    let blocks: Vec<Arc<Block>> =
        (0..3).map(|nth| block_of(dir.path(), nth, &regular(nth as i64 * 4000), 100)).collect();
    let chunks_of = |rechunk| {
        let compactor = compactor(Arc::new(RealFs), rechunk);
        let meta = compactor.compact(dir.path(), &blocks, &Cancel::new()).unwrap().unwrap();
        let block = open(dir.path(), &meta);
        let mut all = regular(0);
        for (series, samples) in regular(4000).into_iter().chain(regular(8000)) {
            all.get_mut(&series).unwrap().extend(samples);
        }
        assert_eq!(read_model(&block), all);
        let again = compactor.compact(dir.path(), &[block], &Cancel::new()).unwrap().unwrap();
        assert_eq!(read_model(&open(dir.path(), &again)), all);
        (meta.stats.num_chunks, again.stats.num_chunks)
    };
    assert_eq!(chunks_of(None), (30 * 12, 30 * 12));
    let (filled, filled_again) = chunks_of(Some(2));
    assert!(filled <= 30 * 4, "{filled} chunks");
    assert_eq!(filled, filled_again);
}

#[test]
fn cleaning_rewrites_a_block_without_what_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let block = block_of(dir.path(), 1, &regular(0), 120);
    let compactor = compactor(Arc::new(RealFs), Some(2));
    let cancel = Cancel::new();
    assert_eq!(compactor.clean_tombstones(dir.path(), &block, &cancel).unwrap(), None);
    block.delete(0, 995, &[Matcher::equal("n", "3")], &cancel).unwrap();
    let meta = compactor.clean_tombstones(dir.path(), &block, &cancel).unwrap().unwrap();
    assert_eq!(meta.compaction.level, 1);
    assert_eq!(meta.compaction.parents, [block.meta().desc()]);
    assert_eq!(meta.compaction.sources, block.meta().compaction.sources);
    assert_eq!(meta.stats.num_samples, 30 * 400 - 100);
    assert_eq!(read_model(&open(dir.path(), &meta)), read_model(&block));
    block.delete(i64::MIN, i64::MAX, &[], &cancel).unwrap();
    assert_eq!(compactor.clean_tombstones(dir.path(), &block, &cancel).unwrap(), None);
    assert!(block.meta().compaction.deletable);
}

#[test]
fn a_cancelled_compaction_leaves_nothing_and_marks_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let block = block_of(dir.path(), 1, &regular(0), 120);
    let before = names(dir.path());
    let cancel = Cancel::new();
    cancel.cancel();
    let error =
        compactor(Arc::new(RealFs), None).compact(dir.path(), &[Arc::clone(&block)], &cancel).unwrap_err();
    assert!(matches!(error, StorageError::Cancelled));
    assert_eq!(names(dir.path()), before);
    assert!(!block.meta().compaction.failed);
}

#[test]
fn wherever_the_disk_fails_a_compaction_is_complete_or_leaves_nothing() {
    let models = [regular(0), regular(4000)];
    for for_ever in [false, true] {
        for changes in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let blocks: Vec<_> =
                (0..2).map(|nth| block_of(dir.path(), nth as u64, &models[nth], 120)).collect();
            let before = names(dir.path());
            let fs = FailingFs::after(changes, for_ever);
            let result = compactor(Arc::new(fs.clone()), None).compact(dir.path(), &blocks, &Cancel::new());
            if !fs.has_failed() {
                assert!(result.unwrap().is_some());
                assert!(changes > 15, "{changes} changes are few for a block");
                break;
            }
            // What a start finds.
            dir::remove_leftovers(&RealFs, dir.path()).unwrap();
            let after = dir::list(&RealFs, dir.path()).unwrap();
            let complete = after.len() == before.len() + 1;
            assert!(
                complete || names(dir.path()) == before,
                "failure {changes} left {:?}",
                names(dir.path())
            );
            if complete {
                // The new name was there when syncing the directory failed; all else was done.
                let (_, path) = after.last().unwrap();
                let block = Block::open(Arc::new(RealFs), path).unwrap();
                assert_eq!(block.meta().stats.num_samples, 2 * 30 * 400);
            }
            for (block, model) in blocks.iter().zip(&models) {
                let block = Block::open(Arc::new(RealFs), block.path()).unwrap();
                assert_eq!(read_model(&block), *model);
                assert!(!block.meta().compaction.failed, "the disk isn't the fault of the blocks");
            }
        }
    }
}

#[test]
fn wherever_the_disk_fails_a_deletion_is_there_or_is_not() {
    for changes in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let model = regular(0);
        let path = block_of(dir.path(), 1, &model, 120).path().to_owned();
        let fs = FailingFs::after(changes, true);
        let block = Block::open(Arc::new(fs.clone()), &path).unwrap();
        let result = block.delete(0, 95, &[], &Cancel::new());
        let left = read_model(&Block::open(Arc::new(RealFs), &path).unwrap());
        let samples: usize = left.values().map(|samples| samples.len()).sum();
        assert!(samples == 30 * 400 || samples == 30 * 390, "failure {changes} left {samples}");
        if !fs.has_failed() {
            assert!(result.is_ok() && samples == 30 * 390);
            break;
        }
        assert!(result.is_err());
    }
}

#[test]
fn names_of_blocks_differ() {
    let ulids = UlidSource::new(Arc::new(ManualClock::new(5)), 1);
    let (one, two) = (ulids.next_ulid(), ulids.next_ulid());
    assert_ne!(one, two);
    assert_eq!(one.timestamp_ms(), 5);
}

/// A histogram whose only bucket counts up.
fn histogram(count: u64) -> HistogramValue {
    HistogramValue::Integer(Histogram {
        count,
        sum: count as f64,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        positive_deltas: vec![count as i64],
        ..Histogram::default()
    })
}

/// A source of one series with these chunks.
#[derive(Debug)]
struct OneSeries(Option<SourceSeries>);

impl SeriesSource for OneSeries {
    fn next(&mut self, into: &mut SourceSeries) -> Result<bool, StorageError> {
        Ok(self.0.take().map(|series| *into = series).is_some())
    }
}

fn push_histograms(times: impl Iterator<Item = i64>, into: &mut SourceSeries) {
    let mut open: Option<HistogramAppender> = None;
    let mut mint = 0;
    for t in times {
        let value = histogram(t as u64);
        match &mut open {
            Some(open) => assert!(open.append(t, &value)),
            None => {
                mint = t;
                open = Some(HistogramAppender::new(t, &value, None));
            }
        }
    }
    let open = open.unwrap();
    let chunk =
        ChunkData { mint, maxt: open.last_timestamp(), encoding: open.encoding(), bytes: open.bytes() };
    into.push(chunk);
}

#[test]
fn overlapping_histograms_and_floats_stay_what_they_are() {
    let mut series = SourceSeries::new();
    series.reset(labels(1));
    push_histograms((0..50).map(|i| i * 20), &mut series);
    push_histograms((0..60).map(|i| i * 20 + 10), &mut series);
    // From 500 to 510 there are floats instead.
    let bytes = xor::encode(&[500, 505, 510], &[1.0, 2.0, 3.0]);
    series.push(ChunkData { mint: 500, maxt: 510, encoding: Encoding::Xor, bytes: &bytes });
    let mut merged = MergedSource::new(vec![Box::new(OneSeries(Some(series)))], true).unwrap();
    let mut out = SourceSeries::new();
    assert!(merged.next(&mut out).unwrap());

    let mut histograms = Vec::new();
    let mut columns = SampleColumns::default();
    let mut end = i64::MIN;
    for chunk in out.chunks() {
        assert!(end < chunk.mint, "chunks don't overlap");
        end = chunk.maxt;
        if chunk.encoding.is_float() {
            decode_into(chunk.encoding, chunk.bytes, i64::MIN, i64::MAX, &mut columns).unwrap();
        } else {
            assert_eq!(chunk.encoding, Encoding::Histogram);
            decode_values(chunk.encoding, chunk.bytes, i64::MIN, i64::MAX, &mut histograms).unwrap();
        }
    }
    assert_eq!((columns.timestamps, columns.values), (vec![500, 505, 510], vec![1.0, 2.0, 3.0]));
    let times: Vec<i64> = (0..100)
        .map(|i| i * 10)
        .chain((50..60).map(|i| i * 20 + 10))
        .filter(|t| ![500, 510].contains(t))
        .collect();
    assert_eq!(histograms.iter().map(|h| h.timestamp).collect::<Vec<_>>(), times);
    for decoded in histograms {
        let HistogramValue::Integer(value) = decoded.value else { panic!("a float histogram") };
        assert_eq!(value.count, decoded.timestamp as u64);
        assert_ne!(value.counter_reset_hint, CounterResetHint::CounterReset, "at {}", decoded.timestamp);
    }
}
