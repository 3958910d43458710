//! Crashes and faults at every call that changes a file, against an oracle.

use std::collections::BTreeMap;

use model::metadata::Metadata;
use model::time::ManualClock;
use proptest::prelude::*;

use super::tests::{Content, commit, content, labels};
use super::*;
use crate::fs::sim::{Fault, SimFs};

const START: TimestampMs = 1_700_000_000_000;
const MINUTE: i64 = 60_000;

fn open(fs: &SimFs) -> Result<Arc<Db>, OpenError> {
    let options = Options {
        background: false,
        // Segments, head chunks and blocks end often.
        wal_segment_bytes: 4 << 10,
        samples_per_chunk: 16,
        ..Options::default()
    };
    let clock = Arc::new(ManualClock::new(START));
    Db::open(Path::new("/data"), options, Arc::new(fs.clone()), clock, &Registry::new())
}

/// Samples that were acknowledged, and those that were sent: `acknowledged ⊆ found ⊆ sent` has to hold.
#[derive(Clone, Debug, Default)]
struct Oracle {
    acknowledged: BTreeMap<(usize, TimestampMs), u64>,
    sent: BTreeMap<(usize, TimestampMs), u64>,
    /// Acknowledged before the last sync that succeeded.
    synced: BTreeMap<(usize, TimestampMs), u64>,
    told: Told,
}

/// What the first series was said to be, a larger number each time.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    acknowledged: u64,
    sent: u64,
    synced: u64,
}

impl Oracle {
    fn commit(&mut self, db: &Db, samples: &[(usize, TimestampMs, f64)]) {
        let keyed = samples.iter().map(|(series, time, value)| ((*series, *time), value.to_bits()));
        self.sent.extend(keyed.clone());
        if commit(db, samples).is_ok() {
            self.acknowledged.extend(keyed);
        }
    }

    /// Says anew what the first series is, together with a family that has no series.
    fn tell(&mut self, db: &Db, number: u64) {
        let family = |name: &str| {
            let metadata = Metadata { help: number.to_string(), ..Metadata::default() };
            Arc::new(MetricFamily { name: name.to_owned(), metadata })
        };
        let mut batch = Batch { families: vec![family("announced")], ..Batch::default() };
        let series = batch.add_series(labels(0));
        batch.metadata.push((series, family("metric")));
        self.told.sent = number;
        if db.commit(&batch).is_ok() {
            self.told.acknowledged = number;
        }
    }

    /// Checks that of the first series it is known what was said last, or later than `least`.
    fn check_told(&self, db: &Db, least: u64, what: &str) {
        let families = db.families();
        // A compaction forgets those without series.
        for (name, is_needed) in [("metric", least > 0), ("announced", false)] {
            let helps = families.iter().filter(|family| family.name == name);
            let found: Vec<u64> = helps.map(|family| family.metadata.help.parse().unwrap()).collect();
            assert!(found.len() <= 1 && (found.len() == 1 || !is_needed), "{what}: {name} {found:?}");
            assert!(found.iter().all(|told| (least..=self.told.sent).contains(told)), "{what}: {found:?}");
        }
    }

    fn check(&self, must: &BTreeMap<(usize, TimestampMs), u64>, found: &Content, what: &str) {
        let by_series = |samples: &BTreeMap<(usize, TimestampMs), u64>| {
            let mut content = Content::new();
            for ((series, time), value) in samples {
                content.entry(labels(*series)).or_default().push((*time, *value));
            }
            content
        };
        for (series, samples) in by_series(must) {
            let there = found.get(&series).cloned().unwrap_or_default();
            for sample in samples {
                assert!(there.contains(&sample), "{what}: {series} lost {sample:?}");
            }
        }
        let sent = by_series(&self.sent);
        for (series, samples) in found {
            assert!(samples.is_sorted_by(|a, b| a.0 < b.0), "{what}: {series} has a time twice");
            for sample in samples {
                assert!(sent[series].contains(sample), "{what}: {series} has {sample:?}, which nobody wrote");
            }
        }
    }
}

/// Five hours of samples with a checkpoint, a compaction and syncs in between.
fn workload(db: &Db, oracle: &mut Oracle) {
    for i in 0..60 {
        let time = START + i * 5 * MINUTE;
        let mut samples = vec![(0, time, i as f64), (1, time, 0.5)];
        if i % 10 == 3 {
            // Series come and go.
            samples.push((10 + i as usize, time, 1.0));
        }
        oracle.commit(db, &samples);
        match i {
            20 | 52 => drop(db.checkpoint()),
            45 => drop(db.compact()),
            _ if i % 7 == 0 && db.sync().is_ok() => {
                oracle.synced = oracle.acknowledged.clone();
                oracle.told.synced = oracle.told.acknowledged;
            }
            _ if i % 7 == 1 => oracle.tell(db, i as u64),
            _ => {}
        }
    }
}

/// Number of calls of the whole workload.
fn calls() -> u64 {
    let fs = SimFs::new();
    workload(&open(&fs).unwrap(), &mut Oracle::default());
    fs.calls()
}

#[test]
fn after_a_kill_at_any_call_every_acknowledged_sample_is_there_once() {
    for at in 0..calls() {
        let fs = SimFs::new();
        let mut oracle = Oracle::default();
        fs.fail(at, Fault::Kill, 1);
        if let Ok(db) = open(&fs) {
            workload(&db, &mut oracle);
        }
        let fs = fs.after_kill();
        let db = open(&fs).unwrap();
        let found = content(&db);
        oracle.check(&oracle.acknowledged, &found, &format!("killed at call {at}"));
        oracle.check_told(&db, oracle.told.acknowledged, &format!("killed at call {at}"));
        // The next process goes on, and a second recovery finds the same.
        oracle.commit(&db, &[(0, START + 1000 * MINUTE, 1.0)]);
        drop(db);
        let db = open(&fs.after_kill()).unwrap();
        oracle.check(&oracle.acknowledged, &content(&db), &format!("killed at call {at}, then again"));
    }
}

#[test]
fn after_a_power_loss_at_any_call_every_synced_sample_is_there_once() {
    for at in 1..calls() {
        let fs = SimFs::new();
        let mut oracle = Oracle::default();
        fs.fail(at, Fault::Kill, 1);
        if let Ok(db) = open(&fs) {
            workload(&db, &mut oracle);
        }
        let db = open(&fs.after_power_loss()).unwrap();
        oracle.check(&oracle.synced, &content(&db), &format!("power lost at call {at}"));
        oracle.check_told(&db, oracle.told.synced, &format!("power lost at call {at}"));
    }
}

#[test]
fn after_a_failed_call_everything_goes_on() {
    for fault in [Fault::NoSpace, Fault::Io] {
        for at in 0..calls() {
            let fs = SimFs::new();
            let db = open(&fs).unwrap();
            let mut oracle = Oracle::default();
            fs.fail(at, fault, 2);
            workload(&db, &mut oracle);
            let what = format!("{fault:?} at call {at}");
            oracle.check(&oracle.acknowledged, &content(&db), &what);
            drop(db);
            let db = open(&fs.after_kill()).unwrap();
            oracle.check(&oracle.acknowledged, &content(&db), &format!("{what}, then a restart"));
            oracle.check_told(&db, oracle.told.acknowledged, &format!("{what}, then a restart"));
            oracle.check(&oracle.synced, &content(&open(&fs.after_power_loss()).unwrap()), &what);
        }
    }
}

/// Where the blocks end and the head begins.
fn head_begins(db: &Db) -> TimestampMs {
    db.blocks().iter().map(|block| block.meta().max_time).max().unwrap_or(i64::MIN)
}

impl Oracle {
    /// What was acknowledged of blocks or of the head.
    fn part(&self, of_blocks: bool, head_begins: TimestampMs) -> BTreeMap<(usize, TimestampMs), u64> {
        let samples = self.acknowledged.iter().map(|(key, value)| (*key, *value));
        samples.filter(|((_, time), _)| (*time < head_begins) == of_blocks).collect()
    }
}

/// A directory with blocks, a checkpoint, head chunks and a log, and where its head begins.
fn full_directory() -> (SimFs, Oracle, TimestampMs) {
    let fs = SimFs::new();
    let mut oracle = Oracle::default();
    let db = open(&fs).unwrap();
    workload(&db, &mut oracle);
    let head_begins = head_begins(&db);
    assert!(head_begins > START, "there is a block");
    (fs.after_kill(), oracle, head_begins)
}

fn is_of_block(path: &Path) -> bool {
    !path.starts_with("/data/head")
}

/// Checks that what a damaged file doesn't hold is there, that all that is there was written, and that whatever
/// isn't there is named.
fn check_damaged(db: &Db, oracle: &Oracle, path: &Path, head_begins: TimestampMs) {
    let what = path.display().to_string();
    let spared = oracle.part(!is_of_block(path), head_begins);
    let (mint, maxt) = if is_of_block(path) { (head_begins, i64::MAX) } else { (i64::MIN, head_begins - 1) };
    let found = try_content(db, mint, maxt);
    oracle.check(&spared, &found.expect("nothing of it is damaged"), &what);
    // Chunks that can't be read are an error of the query, which names them.
    if let Some(found) = try_content(db, i64::MIN, i64::MAX) {
        oracle.check(&BTreeMap::new(), &found, &what);
        // Prometheus's meta.json has no checksum: a changed range in it hides samples from queries.
        if db.damage().is_empty() && !path.ends_with("meta.json") {
            oracle.check(&oracle.acknowledged, &found, &what);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_bit_anywhere_costs_only_what_it_hits_and_is_named(
        file in any::<prop::sample::Index>(), byte in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        let (fs, oracle, head_begins) = full_directory();
        let files: Vec<_> = fs.files().into_iter().filter(|(_, len)| *len > 0).collect();
        let (path, len) = &files[file.index(files.len())];
        fs.flip(path, byte.index(*len), bit);
        check_damaged(&open(&fs).unwrap(), &oracle, path, head_begins);
    }
}

#[test]
fn a_file_that_cannot_be_read_costs_only_itself_is_named_and_is_kept() {
    let (fs, oracle, head_begins) = full_directory();
    let before = fs.reads();
    drop(open(&fs).unwrap());
    for at in 0..fs.reads() - before {
        let fs = fs.after_kill();
        fs.fail_reads(at, 1);
        let db = open(&fs).unwrap();
        let found = try_content(&db, i64::MIN, i64::MAX);
        let what = format!("read {at} failed");
        let whole = found.as_ref().is_some_and(|found| missing(&oracle, found) == 0);
        assert!(whole || !db.damage().is_empty(), "{what} and nobody said so");
        oracle.check(&BTreeMap::new(), &found.unwrap_or_default(), &what);
        if db.damage().iter().any(|damage| is_of_block(&damage.file)) {
            // A block stays where it is and is there again when it can be read.
            oracle.check(&oracle.part(false, head_begins), &content(&db), &what);
            db.reload_blocks().unwrap();
            oracle.check(&oracle.acknowledged, &content(&db), &what);
        }
        for damage in db.damage().iter().filter(|damage| !is_of_block(&damage.file)) {
            let aside = Path::new("/data/head/set-aside").join(damage.file.file_name().unwrap());
            assert!(fs.exists(&aside), "{what}: {} is gone", damage.file.display());
        }
    }
}

/// How many samples that were acknowledged aren't there.
fn missing(oracle: &Oracle, found: &Content) -> usize {
    let is_there = |((series, time), value): &(&(usize, TimestampMs), &u64)| {
        found.get(&labels(*series)).is_some_and(|samples| samples.contains(&(*time, **value)))
    };
    oracle.acknowledged.iter().filter(|sample| !is_there(sample)).count()
}

#[test]
fn a_full_disk_serves_what_is_there_and_takes_commits_again_when_there_is_room() {
    let (fs, mut oracle, _) = full_directory();
    fs.fail(0, Fault::NoSpace, u64::MAX);
    let db = open(&fs).unwrap();
    oracle.check(&oracle.acknowledged, &content(&db), "full");
    let late = START + 1000 * MINUTE;
    assert!(commit(&db, &[(0, late, 1.0)]).is_err());
    assert!(db.compact().is_err() && db.checkpoint().is_err() && db.clean_tombstones().is_ok());
    // Retention makes room.
    db.set_retention(Retention { time_ms: 1, ..Retention::default() });
    db.reload_blocks().unwrap();
    oracle.check(&oracle.part(false, head_begins(&db)), &content(&db), "still full");
    fs.fail(0, Fault::NoSpace, 0);
    oracle.commit(&db, &[(0, late + MINUTE, 1.0)]);
    assert_eq!(content(&db)[&labels(0)].last().unwrap().0, late + MINUTE);
    db.close().unwrap();
}

#[test]
fn a_directory_that_is_only_readable_is_refused_by_name() {
    let (fs, _, _) = full_directory();
    fs.fail(0, Fault::ReadOnly, u64::MAX);
    let error = open(&fs).unwrap_err();
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error}");
    assert!(error.to_string().starts_with("data directory /data is not writable: "), "{error}");
}

#[test]
fn damaged_tombstones_never_bring_back_what_was_deleted() {
    let (fs, oracle, head_begins) = full_directory();
    let db = open(&fs).unwrap();
    db.delete(&[Matcher::equal("i", "1")], i64::MIN, head_begins - 1, &Cancel::new()).unwrap();
    drop(db);
    let files = fs.files();
    let (path, len) = files.iter().find(|(path, _)| path.ends_with("tombstones")).unwrap();
    for bit in 0..8 * len {
        let fs = fs.after_kill();
        fs.flip(path, bit / 8, (bit % 8) as u8);
        let db = open(&fs).unwrap();
        let found = content(&db);
        let deleted = found.get(&labels(1)).is_none_or(|samples| samples[0].0 >= head_begins);
        assert!(deleted, "bit {bit}");
        assert!(!db.damage().is_empty(), "bit {bit}");
        oracle.check(&oracle.part(false, head_begins), &found, &format!("bit {bit}"));
    }
}

fn try_content(db: &Db, mint: TimestampMs, maxt: TimestampMs) -> Option<Content> {
    use model::storage::{SampleColumns, SelectHints};
    let querier = db.querier(mint, maxt).ok()?;
    let set = querier.select(&[], &SelectHints::new(mint, maxt, &Cancel::new())).ok()?;
    let mut content = Content::new();
    for series in 0..set.len() {
        let mut columns = SampleColumns::default();
        set.read(series, mint, maxt, &mut columns).ok()?;
        let bits = columns.values.iter().map(|value| value.to_bits());
        content.insert(set.labels(series), columns.timestamps.iter().copied().zip(bits).collect());
    }
    Some(content)
}
