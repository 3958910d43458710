//! Crashes and faults at every call that changes a file, against an oracle.

use std::collections::BTreeMap;

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
}

impl Oracle {
    fn commit(&mut self, db: &Db, samples: &[(usize, TimestampMs, f64)]) {
        let keyed = samples.iter().map(|(series, time, value)| ((*series, *time), value.to_bits()));
        self.sent.extend(keyed.clone());
        if commit(db, samples).is_ok() {
            self.acknowledged.extend(keyed);
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
            _ if i % 7 == 0 && db.sync().is_ok() => oracle.synced = oracle.acknowledged.clone(),
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
            oracle.check(&oracle.synced, &content(&open(&fs.after_power_loss()).unwrap()), &what);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_bit_anywhere_never_keeps_the_database_from_opening_nor_changes_a_sample(
        file in any::<prop::sample::Index>(), byte in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        let fs = SimFs::new();
        let mut oracle = Oracle::default();
        workload(&open(&fs).unwrap(), &mut oracle);
        let fs = fs.after_kill();
        let files: Vec<_> = fs.files().into_iter().filter(|(_, len)| *len > 0).collect();
        let (path, len) = &files[file.index(files.len())];
        fs.flip(path, byte.index(*len), bit);
        let db = open(&fs).unwrap();
        // Chunks that can't be read are an error of the query; whatever is read was written.
        if let Some(found) = try_content(&db) {
            oracle.check(&BTreeMap::new(), &found, &path.display().to_string());
        }
    }
}

fn try_content(db: &Db) -> Option<Content> {
    use model::storage::{SampleColumns, SelectHints};
    let querier = db.querier(i64::MIN, i64::MAX).ok()?;
    let set = querier.select(&[], &SelectHints::new(i64::MIN, i64::MAX, &Cancel::new())).ok()?;
    let mut content = Content::new();
    for series in 0..set.len() {
        let mut columns = SampleColumns::default();
        set.read(series, i64::MIN, i64::MAX, &mut columns).ok()?;
        let bits = columns.values.iter().map(|value| value.to_bits());
        content.insert(set.labels(series), columns.timestamps.iter().copied().zip(bits).collect());
    }
    Some(content)
}
