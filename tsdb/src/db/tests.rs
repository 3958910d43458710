use std::collections::BTreeMap;

use model::cancel::Cancel;
use model::histogram::{Histogram, Span};
use model::storage::{
    AppendError, FloatSample, HistogramSample, HistogramValue, SampleColumns, SampleValue, SelectHints,
    SeriesKey, SeriesRef,
};
use model::time::ManualClock;

use super::*;
use crate::fs::RealFs;

pub(crate) fn open(dir: &Path) -> Arc<Db> {
    let options = Options { background: false, ..Options::default() };
    open_with(dir, options, Arc::new(RealFs)).unwrap()
}

pub(crate) fn open_with(dir: &Path, options: Options, fs: Arc<dyn Fs>) -> Result<Arc<Db>, OpenError> {
    Db::open(dir, options, fs, Arc::new(ManualClock::new(0)), &Registry::new())
}

pub(crate) fn labels(i: usize) -> Labels {
    Labels::from_pairs([("__name__", "metric".to_owned()), ("i", i.to_string())])
}

/// A commit of one sample for each label set.
pub(crate) fn commit(db: &Db, samples: &[(usize, TimestampMs, f64)]) -> Result<Committed, StorageError> {
    let mut batch = Batch::default();
    for (series, timestamp_ms, value) in samples {
        let series = batch.add_series(labels(*series));
        batch.floats.push(FloatSample { series, timestamp_ms: *timestamp_ms, value: *value });
    }
    db.commit(&batch)
}

pub(crate) type Content = BTreeMap<Labels, Vec<(TimestampMs, u64)>>;

pub(crate) fn content(db: &Db) -> Content {
    select(db, &[], i64::MIN, i64::MAX)
}

pub(crate) fn select(db: &Db, matchers: &[Matcher], mint: TimestampMs, maxt: TimestampMs) -> Content {
    let querier = db.querier(mint, maxt).unwrap();
    let set = querier.select(matchers, &SelectHints::new(mint, maxt, &Cancel::new())).unwrap();
    let mut content = Content::new();
    for series in 0..set.len() {
        let mut columns = SampleColumns::default();
        set.read(series, mint, maxt, &mut columns).unwrap();
        let last = set.last(series, mint, maxt).unwrap();
        let newest = columns.timestamps.last().zip(columns.values.last());
        assert_eq!(
            last.map(|(t, value)| (t, as_float(&value).to_bits())),
            newest.map(|(t, value)| (*t, value.to_bits())),
            "the last sample is the last of all"
        );
        let bits = columns.values.iter().map(|value| value.to_bits());
        let samples: Vec<_> = columns.timestamps.iter().copied().zip(bits).collect();
        if !samples.is_empty() {
            assert!(content.insert(set.labels(series), samples).is_none());
        }
    }
    content
}

fn as_float(value: &SampleValue) -> f64 {
    match value {
        SampleValue::Float(value) => *value,
        SampleValue::Histogram(_) => panic!("a histogram"),
    }
}

/// What `content` is to be after `commits`.
fn expected(commits: &[Vec<(usize, TimestampMs, f64)>]) -> Content {
    let mut content = Content::new();
    for (series, timestamp, value) in commits.iter().flatten() {
        content.entry(labels(*series)).or_default().push((*timestamp, value.to_bits()));
    }
    content
}

fn scrapes(series: usize, count: usize) -> Vec<Vec<(usize, TimestampMs, f64)>> {
    let value = |s: usize, i: usize| if s.is_multiple_of(3) { 1.0 } else { (s * i) as f64 / 7.0 };
    let at = |i: usize| 1_700_000_000_000 + 10_000 * i as i64;
    (0..count).map(|i| (0..series).map(|s| (s, at(i), value(s, i))).collect()).collect()
}

#[test]
fn what_was_committed_is_read_back_before_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let commits = scrapes(1100, 150);
    let (first, second) = commits.split_at(100);
    let db = open(dir.path());
    for batch in first {
        assert!(commit(&db, batch).unwrap().rejected.is_empty());
    }
    assert_eq!(content(&db), expected(first));
    drop(db);
    let db = open(dir.path());
    assert_eq!(content(&db), expected(first), "replayed from the log");
    db.checkpoint().unwrap();
    for batch in second {
        commit(&db, batch).unwrap();
    }
    drop(db);
    let db = open(dir.path());
    assert_eq!(content(&db), expected(&commits), "replayed from a checkpoint and the log");
    db.close().unwrap();
    drop(db);
    let db = open(dir.path());
    assert_eq!(content(&db), expected(&commits), "read from the checkpoint of a clean end");
    assert!(db.damage().is_empty());
    let stats = db.head_stats(1);
    assert_eq!((stats.cardinality.series, stats.cardinality.label_pairs), (1100, 1101));
}

#[test]
fn samples_are_refused_with_the_reason_that_the_reference_gives() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let hour = 3_600_000;
    commit(&db, &[(0, 10 * hour, 1.0)]).unwrap();
    let one = |series, timestamp, value| {
        let committed = commit(&db, &[(series, timestamp, value)]).unwrap();
        committed.rejected.into_iter().next().map(|rejected| rejected.error)
    };
    assert_eq!(one(0, 10 * hour, 1.0), None, "the same sample again");
    let duplicate = AppendError::Duplicate { timestamp_ms: 10 * hour, existing: 1.0, new: 2.0 };
    assert_eq!(one(0, 10 * hour, 2.0), Some(duplicate));
    assert_eq!(one(0, 10 * hour - 1, 2.0), Some(AppendError::OutOfOrder));
    assert_eq!(one(1, 9 * hour, 2.0), None, "half a block range back a new series may begin");
    assert_eq!(one(2, 9 * hour - 1, 2.0), Some(AppendError::OutOfBounds));
    assert_eq!(db.head_stats(1).cardinality.series, 2, "a series without a sample isn't made");
    let mut batch = Batch::default();
    let series = SeriesKey::Known(SeriesRef(std::num::NonZeroU64::new(1 << 32 | 7).unwrap()));
    batch.floats.push(FloatSample { series, timestamp_ms: 11 * hour, value: 0.0 });
    let empty = batch.add_series(Labels::empty());
    batch.floats.push(FloatSample { series: empty, timestamp_ms: 11 * hour, value: 0.0 });
    let errors: Vec<_> = db.commit(&batch).unwrap().rejected.into_iter().map(|r| r.error).collect();
    let invalid = AppendError::InvalidLabels("empty labelset".to_owned());
    assert_eq!(errors, [AppendError::UnknownSeries, invalid]);
}

#[test]
fn samples_by_ref_and_ends_of_series_go_to_the_series() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let series = commit(&db, &[(0, 1000, 1.0), (1, 1000, 1.0)]).unwrap().new_refs[0].unwrap();
    let mut batch = Batch::default();
    batch.floats.push(FloatSample { series: SeriesKey::Known(series), timestamp_ms: 2000, value: 2.0 });
    batch.ended.push((series, 3000));
    batch.ended.push((series, 500));
    assert!(db.commit(&batch).unwrap().rejected.is_empty());
    let stale = model::value::STALE_NAN_BITS;
    let samples = vec![(1000, 1.0_f64.to_bits()), (2000, 2.0_f64.to_bits()), (3000, stale)];
    drop(db);
    assert_eq!(content(&open(dir.path()))[&labels(0)], samples);
}

#[test]
fn a_directory_is_used_by_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let options = Options { background: false, ..Options::default() };
    let error = open_with(dir.path(), options.clone(), Arc::new(RealFs)).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    drop(db);
    open_with(dir.path(), options, Arc::new(RealFs)).unwrap();
}

#[test]
fn truncation_drops_old_chunks_and_the_series_that_end_there() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let hour = 3_600_000;
    commit(&db, &[(0, hour, 1.0), (1, hour, 1.0)]).unwrap();
    let old = db.querier(0, i64::MAX).unwrap();
    let old = old.select(&[], &SelectHints::new(0, i64::MAX, &Cancel::new())).unwrap();
    for i in 2..=40 {
        commit(&db, &[(0, i * hour / 10 + hour, 1.0)]).unwrap();
    }
    db.head.truncate(2 * hour);
    let left = content(&db);
    assert_eq!(left.keys().collect::<Vec<_>>(), [&labels(0)]);
    assert_eq!(left[&labels(0)].first().unwrap().0, 2 * hour);
    assert_eq!(old.labels(1), labels(1), "a selection from before stays as it was");
    commit(&db, &[(2, 5 * hour, 1.0)]).unwrap();
    assert_eq!(content(&db).len(), 2);
}

/// Ten hours of two series, one sample a minute, and what they are.
fn ten_hours(db: &Db) -> Content {
    let minute = 60_000;
    let start = 1_700_000_000_000;
    let mut commits = Vec::new();
    for i in 0..600 {
        let mut samples = vec![(0, start + i * minute, i as f64)];
        if i < 200 {
            samples.push((1, start + i * minute, 7.0));
        }
        commit(db, &samples).unwrap();
        commits.push(samples);
    }
    expected(&commits)
}

#[test]
fn blocks_are_cut_from_the_head_and_every_sample_stays_readable_once() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let all = ten_hours(&db);
    db.compact().unwrap();
    assert_eq!(content(&db), all);
    assert!(!db.blocks().is_empty());
    assert!(db.head_stats(1).min_time_ms > 1_700_000_000_000);
    assert_eq!(db.head_stats(1).cardinality.series, 1, "the series that ended left the head");
    let matchers = [Matcher::equal("i", "1")];
    assert_eq!(select(&db, &matchers, i64::MIN, i64::MAX).len(), 1);
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    assert_eq!(querier.label_values("i", &[], 0, &Cancel::new()).unwrap(), ["0", "1"]);
    assert_eq!(querier.label_names(&[], 1, &Cancel::new()).unwrap(), ["__name__"]);
    drop(db);
    let db = open(dir.path());
    assert_eq!(content(&db), all, "after a restart");
    db.flush().unwrap();
    assert_eq!(content(&db), all, "flushed");
    assert_eq!(db.head_stats(1).chunks, 0);
    drop(db);
    assert_eq!(content(&open(dir.path())), all, "flushed and restarted");
}

#[test]
fn a_crash_between_block_and_checkpoint_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let all = ten_hours(&db);
    db.checkpoint().unwrap();
    let saved = tempfile::tempdir().unwrap();
    copy_dir(&dir.path().join("head"), &saved.path().join("head"));
    db.compact().unwrap();
    drop(db);
    std::fs::remove_dir_all(dir.path().join("head")).unwrap();
    copy_dir(&saved.path().join("head"), &dir.path().join("head"));
    let db = open(dir.path());
    assert_eq!(content(&db), all);
    db.compact().unwrap();
    assert_eq!(content(&db), all);
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn histogram(count: u64) -> HistogramValue {
    HistogramValue::Integer(Histogram {
        schema: 1,
        count: 3 * count,
        sum: count as f64,
        zero_threshold: 0.001,
        zero_count: count,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_deltas: vec![count as i64, 0],
        ..Histogram::default()
    })
}

fn commit_histogram(db: &Db, series: usize, timestamp_ms: TimestampMs, value: HistogramValue) -> Committed {
    let mut batch = Batch::default();
    let series = batch.add_series(labels(series));
    batch.histograms.push(HistogramSample { series, timestamp_ms, value });
    db.commit(&batch).unwrap()
}

/// Times of the floats, and times and counts of the histograms, of one series.
fn both_kinds(db: &Db, series: usize) -> (Vec<TimestampMs>, Vec<(TimestampMs, f64)>) {
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    let matchers = [Matcher::equal("i", series.to_string())];
    let set = querier.select(&matchers, &SelectHints::new(i64::MIN, i64::MAX, &Cancel::new())).unwrap();
    let mut columns = SampleColumns::default();
    set.read(0, i64::MIN, i64::MAX, &mut columns).unwrap();
    let counts = columns.histograms.iter().map(|histogram| histogram.count);
    (columns.timestamps, columns.histogram_timestamps.iter().copied().zip(counts).collect())
}

#[test]
fn histograms_and_floats_of_one_series_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let at = |i: i64| 1_700_000_000_000 + i * 10_000;
    let (mut floats, mut histograms) = (Vec::new(), Vec::new());
    for i in 0..300 {
        if i % 100 < 40 {
            commit(&db, &[(0, at(i), i as f64)]).unwrap();
            floats.push(at(i));
        } else {
            assert!(commit_histogram(&db, 0, at(i), histogram(i as u64)).rejected.is_empty());
            histograms.push((at(i), 3.0 * i as f64));
        }
        if i == 170 {
            db.checkpoint().unwrap();
        }
    }
    let all = (floats, histograms);
    assert_eq!(both_kinds(&db, 0), all);
    assert!(commit_histogram(&db, 0, at(299), histogram(299)).rejected.is_empty(), "the same again");
    let other = commit_histogram(&db, 0, at(299), histogram(7)).rejected;
    assert!(matches!(other[0].error, AppendError::Duplicate { .. }));
    let invalid = HistogramValue::Integer(Histogram { count: 5, ..Histogram::default() });
    let rejected = commit_histogram(&db, 0, at(300), invalid).rejected;
    assert!(matches!(rejected[0].error, AppendError::InvalidHistogram(_)));
    drop(db);
    let db = open(dir.path());
    assert_eq!(both_kinds(&db, 0), all, "from a checkpoint and the log");
    db.close().unwrap();
    drop(db);
    assert_eq!(both_kinds(&open(dir.path()), 0), all, "from a checkpoint");
}

#[test]
fn a_batch_may_change_the_kind_of_a_series_and_end_it() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let mut batch = Batch::default();
    let series = batch.add_series(labels(0));
    for timestamp_ms in [1000, 3000] {
        batch.floats.push(FloatSample { series, timestamp_ms, value: 1.0 });
    }
    for timestamp_ms in [2000, 4000] {
        batch.histograms.push(HistogramSample { series, timestamp_ms, value: histogram(1) });
    }
    let series = db.commit(&batch).unwrap().new_refs[0].unwrap();
    batch.clear();
    batch.ended.push((series, 5000));
    db.commit(&batch).unwrap();
    drop(db);
    let (floats, histograms) = both_kinds(&open(dir.path()), 0);
    assert_eq!(floats, [1000, 3000]);
    assert_eq!(histograms.iter().map(|sample| sample.0).collect::<Vec<_>>(), [2000, 4000, 5000]);
}

#[test]
fn samples_out_of_order_are_taken_within_the_window_and_merged() {
    let dir = tempfile::tempdir().unwrap();
    let hour = 3_600_000;
    let options = Options { background: false, out_of_order_time_window_ms: 5 * hour, ..Options::default() };
    let reopen = || open_with(dir.path(), options.clone(), Arc::new(RealFs)).unwrap();
    let db = reopen();
    commit(&db, &[(0, 10 * hour, 1.0)]).unwrap();
    let mut commits = vec![vec![(0, 10 * hour, 1.0)]];
    for i in (1..200).rev() {
        let series = usize::from(i % 50 == 0);
        let sample = (series, 6 * hour + i * 60_000, i as f64);
        assert_eq!(commit(&db, &[sample]).unwrap().rejected, []);
        commits.insert(0, vec![sample]);
        if i == 70 {
            db.checkpoint().unwrap();
        }
    }
    let all = expected(&commits);
    let too_old = commit(&db, &[(0, 4 * hour, 1.0)]).unwrap().rejected;
    assert_eq!(too_old[0].error, AppendError::TooOld);
    assert_eq!(content(&db), all);
    drop(db);
    let db = reopen();
    assert_eq!(content(&db), all, "after a restart");
    commit(&db, &[(0, 14 * hour, 1.0)]).unwrap();
    commits.push(vec![(0, 14 * hour, 1.0)]);
    db.compact().unwrap();
    assert!(
        db.blocks().iter().any(|block| block.meta().compaction.hints == ["from-out-of-order"]
            || block.meta().compaction.level > 1)
    );
    assert_eq!(content(&db), expected(&commits), "after compaction");
    drop(db);
    let db = reopen();
    assert_eq!(content(&db), expected(&commits), "after compaction and a restart");
    db.flush().unwrap();
    assert_eq!(content(&db), expected(&commits), "flushed");
}

#[test]
fn what_is_deleted_is_gone_in_head_and_blocks_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let mut all = ten_hours(&db);
    db.compact().unwrap();
    let (from, to) = (1_700_000_000_000 + 60_000 * 100, 1_700_000_000_000 + 60_000 * 550);
    db.delete(&[Matcher::equal("i", "0")], from, to, &Cancel::new()).unwrap();
    all.get_mut(&labels(0)).unwrap().retain(|sample| !(from..=to).contains(&sample.0));
    assert_eq!(content(&db), all);
    drop(db);
    let db = open(dir.path());
    assert_eq!(content(&db), all, "from the log");
    db.checkpoint().unwrap();
    drop(db);
    let db = open(dir.path());
    assert_eq!(content(&db), all, "from a checkpoint");
    db.clean_tombstones().unwrap();
    assert_eq!(content(&db), all);
    assert!(db.blocks().iter().all(|block| block.tombstones().is_empty()));
    let snapshot = tempfile::tempdir().unwrap();
    db.snapshot(snapshot.path(), true).unwrap();
    assert_eq!(content(&open(snapshot.path())), all, "a snapshot is a data directory");
}

#[test]
fn exemplars_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let exemplar = |timestamp_ms| Exemplar {
        labels: Labels::from_pairs([("trace", "x")]),
        value: 1.0,
        timestamp_ms: Some(timestamp_ms),
    };
    let mut batch = Batch::default();
    let series = batch.add_series(labels(0));
    batch.floats.push(FloatSample { series, timestamp_ms: 1000, value: 1.0 });
    batch.exemplars = vec![(series, exemplar(900)), (series, exemplar(950)), (series, exemplar(940))];
    let committed = db.commit(&batch).unwrap();
    assert_eq!(committed.rejected.len(), 1);
    assert_eq!(committed.rejected[0].error, AppendError::OutOfOrderExemplar);
    let found = vec![(labels(0), vec![exemplar(900), exemplar(950)])];
    let matchers = vec![vec![Matcher::metric_name("metric")]];
    assert_eq!(db.exemplars(&matchers, 0, 2000), found);
    drop(db);
    let db = open(dir.path());
    assert_eq!(db.exemplars(&matchers, 0, 2000), found, "from the log");
    db.close().unwrap();
    drop(db);
    assert_eq!(open(dir.path()).exemplars(&matchers, 0, 2000), found, "from a checkpoint");
}

/// The value of a metric without labels.
fn metric(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name).unwrap();
    let metric = &family.get_metric()[0];
    match family.get_field_type() {
        prometheus::proto::MetricType::COUNTER => metric.get_counter().get_value(),
        prometheus::proto::MetricType::GAUGE => metric.get_gauge().get_value(),
        prometheus::proto::MetricType::HISTOGRAM => metric.get_histogram().get_sample_count() as f64,
        _ => metric.get_summary().sample_count() as f64,
    }
}

#[test]
fn metrics_tell_what_the_database_holds_and_did() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::new();
    let retention = Retention { time_ms: 86_400_000, size_bytes: 7 << 40, percentage: 0.0 };
    let options = Options { background: false, retention, max_exemplars: 5, ..Options::default() };
    let clock = Arc::new(ManualClock::new(1_700_036_000_000));
    let db = Db::open(dir.path(), options, Arc::new(RealFs), clock.clone(), &registry).unwrap();
    ten_hours(&db);
    commit_histogram(&db, 5, 1_700_036_000_000, histogram(3));
    commit(&db, &[(0, 1_700_036_000_000, model::value::STALE_NAN)]).unwrap();
    clock.advance(3_600_000);
    db.maintain();
    for (name, value) in [
        ("head_stale_series", 1.0),
        ("head_native_histogram_series", 1.0),
        ("head_native_histogram_buckets", 2.0),
        ("exemplar_max_exemplars", 5.0),
        ("retention_limit_seconds", 86_400.0),
        ("retention_limit_bytes", (7_u64 << 40) as f64),
        ("wal_corruptions_total", 0.0),
        ("head_gc_duration_seconds", 4.0),
        ("clean_start", 1.0),
    ] {
        assert_eq!(metric(&registry, &format!("prometheus_tsdb_{name}")), value, "{name}");
    }
    let value = |name: &str| metric(&registry, &format!("prometheus_tsdb_{name}"));
    for name in [
        "blocks_loaded",
        "checkpoint_creations_total",
        "compaction_chunk_range_seconds",
        "compaction_chunk_samples",
        "compaction_chunk_size_bytes",
        "compactions_total",
        "head_chunks_removed_total",
        "mmap_chunks_total",
        "storage_blocks_bytes",
        "symbol_table_size_bytes",
        "wal_truncate_duration_seconds",
    ] {
        assert!(value(name) > 0.0, "{name}");
    }
    db.update_gauges();
    assert_eq!(value("head_chunks_created_total") - value("head_chunks_removed_total"), value("head_chunks"));
    db.set_retention(Retention { percentage: 12.5, ..Retention::default() });
    assert_eq!(value("retention_limit_percentage"), 12.5);
    assert_eq!(value("retention_limit_seconds"), 0.0);
}

#[test]
fn retention_applies_when_it_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    ten_hours(&db);
    db.compact().unwrap();
    let all = db.blocks().len();
    assert!(all > 1);
    db.set_retention(Retention { time_ms: 1, ..Retention::default() });
    db.compact().unwrap();
    assert_eq!(db.blocks().len(), 1, "of {all}: the newest one stays");
    db.set_retention(Retention { size_bytes: 1, ..Retention::default() });
    db.compact().unwrap();
    assert_eq!(db.blocks().len(), 0);
}

#[test]
fn replay_tells_which_segments_it_read_and_a_clean_end_leaves_no_lock() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { background: false, wal_segment_bytes: 1 << 10, ..Options::default() };
    let db = open_with(dir.path(), options.clone(), Arc::new(RealFs)).unwrap();
    for batch in scrapes(20, 40) {
        commit(&db, &batch).unwrap();
    }
    drop(db);
    assert!(dir.path().join("lock").exists(), "the end wasn't clean");
    let db = open_with(dir.path(), options.clone(), Arc::new(RealFs)).unwrap();
    let of = |segment: &std::sync::atomic::AtomicU64| segment.load(Ordering::Relaxed);
    let progress = &options.replay_progress;
    assert_eq!(of(&progress.first), 1);
    assert!(of(&progress.last) > 3);
    assert_eq!(of(&progress.current), of(&progress.last));
    db.close().unwrap();
    assert!(!dir.path().join("lock").exists());
}
