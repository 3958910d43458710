use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use model::storage::{Appender, Batch, FloatSample};
use proptest::prelude::*;

use super::*;
use crate::Options;
use crate::db::tests::{commit, labels, open, open_with};
use crate::fs::RealFs;

const HOUR_MS: i64 = 3_600_000;

type Samples = Vec<(Labels, TimestampMs, u64)>;

/// All that a follower finds now, with labels.
fn drain(follower: &mut dyn LogFollower) -> (Samples, u64) {
    let (mut found, mut lost) = (Vec::new(), 0);
    let mut commit = LogCommit::default();
    while follower.next(&mut commit).unwrap() {
        lost += commit.lost;
        for sample in &commit.floats {
            let labels = follower.labels(sample.series).expect("labels of a sample in the log");
            found.push((labels, sample.timestamp_ms, sample.value.to_bits()));
        }
    }
    (found, lost)
}

fn sample(series: usize, timestamp: TimestampMs) -> (Labels, TimestampMs, u64) {
    (labels(series), timestamp, (timestamp as f64).to_bits())
}

fn put(db: &Db, series: usize, timestamp: TimestampMs) {
    commit(db, &[(series, timestamp, timestamp as f64)]).unwrap();
}

#[test]
fn a_follower_begins_with_the_next_commit_and_sees_all_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    put(&db, 1, 10);
    let mut follower = db.follow("a").unwrap();
    assert_eq!(drain(&mut *follower), (vec![], 0));
    put(&db, 1, 20);
    put(&db, 2, 20);
    // A checkpoint begins another segment.
    db.checkpoint().unwrap();
    put(&db, 1, 30);
    assert_eq!(drain(&mut *follower), (vec![sample(1, 20), sample(2, 20), sample(1, 30)], 0));
    assert_eq!(follower.number(), follower.last_number());
}

#[test]
fn what_is_not_confirmed_comes_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let mut follower = db.follow("a").unwrap();
    put(&db, 1, 10);
    drain(&mut *follower);
    db.confirm("a", follower.number());
    put(&db, 1, 20);
    drain(&mut *follower);
    // Neither checkpoints nor the end of the process take away what was not confirmed.
    db.checkpoint().unwrap();
    put(&db, 2, 30);
    db.checkpoint().unwrap();
    db.maintain();
    drop((follower, db));
    let db = open(dir.path());
    put(&db, 1, 40);
    let mut follower = db.follow("a").unwrap();
    assert_eq!(drain(&mut *follower), (vec![sample(1, 20), sample(2, 30), sample(1, 40)], 0));

    // Once it is confirmed, the log is as short as without followers.
    db.confirm("a", follower.number());
    db.checkpoint().unwrap();
    put(&db, 1, 50);
    db.keep_followers(&[]);
    db.checkpoint().unwrap();
    assert_eq!(list_segments(&RealFs, &dir.path().join("head/wal")).unwrap(), []);
}

#[test]
fn ended_series_keep_their_labels_for_who_is_behind_even_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    db.follow("a").unwrap();
    put(&db, 1, 10);
    // Samples of the second block range let the first go into a block, and series 1 with it.
    put(&db, 2, 2 * HOUR_MS + 10);
    put(&db, 2, 4 * HOUR_MS - 10);
    put(&db, 2, 5 * HOUR_MS + 20);
    db.compact().unwrap();
    assert_eq!(db.head_stats(0).cardinality.series, 1, "series 1 is gone from the head");
    put(&db, 3, 5 * HOUR_MS + 30);
    let expected = vec![
        sample(1, 10),
        sample(2, 2 * HOUR_MS + 10),
        sample(2, 4 * HOUR_MS - 10),
        sample(2, 5 * HOUR_MS + 20),
        sample(3, 5 * HOUR_MS + 30),
    ];
    let mut follower = db.follow("a").unwrap();
    assert_eq!(drain(&mut *follower), (expected.clone(), 0));
    db.checkpoint().unwrap();
    db.maintain();
    drop((follower, db));
    let db = open(dir.path());
    // A new series may have the number of one that is gone.
    put(&db, 4, 5 * HOUR_MS + 40);
    let mut follower = db.follow("a").unwrap();
    let expected = [expected, vec![sample(4, 5 * HOUR_MS + 40)]].concat();
    assert_eq!(drain(&mut *follower), (expected, 0));
}

#[test]
fn damage_costs_the_commits_that_it_hits() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let mut follower = db.follow("a").unwrap();
    for timestamp in [10, 20, 30] {
        put(&db, 1, timestamp);
    }
    db.checkpoint().unwrap();
    put(&db, 1, 40);
    let (_, path) = list_segments(&RealFs, &dir.path().join("head/wal")).unwrap().remove(0);
    let mut bytes = std::fs::read(&path).unwrap();
    let second = HEADER_BYTES + frame::stored_bytes(&bytes[HEADER_BYTES..]).unwrap();
    bytes[second + frame::HEADER_BYTES + 2] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let expected = vec![sample(1, 10), sample(1, 30), sample(1, 40)];
    assert_eq!(drain(&mut *follower), (expected, 1));
}

#[test]
fn a_damaged_file_of_followers_lets_them_begin_anew() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    db.follow("a").unwrap();
    put(&db, 1, 10);
    db.maintain();
    drop(db);
    std::fs::write(dir.path().join("head/followers"), "nonsense").unwrap();
    let db = open(dir.path());
    let mut follower = db.follow("a").unwrap();
    put(&db, 1, 20);
    assert_eq!(drain(&mut *follower), (vec![sample(1, 20)], 0));
}

#[test]
fn who_waits_wakes_for_a_commit_and_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let mut follower = db.follow("a").unwrap();
    let stopped = Arc::new(AtomicBool::new(false));
    let (ready, seen) = std::sync::mpsc::channel();
    let waiting = Arc::clone(&stopped);
    let thread = std::thread::spawn(move || {
        follower.wait(&waiting);
        ready.send(drain(&mut *follower).0).unwrap();
        follower.wait(&waiting);
    });
    put(&db, 1, 10);
    assert_eq!(seen.recv().unwrap(), [sample(1, 10)]);
    stopped.store(true, Ordering::Release);
    db.wake_followers();
    thread.join().unwrap();
}

/// What happens to a database with a follower.
#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<usize>),
    Checkpoint,
    Read(usize),
    Confirm,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => proptest::collection::vec(0usize..5, 1..6).prop_map(Step::Commit),
        1 => Just(Step::Checkpoint),
        2 => (1usize..5).prop_map(Step::Read),
        1 => Just(Step::Confirm),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn every_commit_is_seen_once_between_restarts_and_none_is_missing(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let small = || Options { background: false, wal_segment_bytes: 300, ..Options::default() };
        let mut db = open_with(dir.path(), small(), Arc::new(RealFs)).unwrap();
        let mut follower = db.follow("a").unwrap();
        // By number of the commit, its samples.
        let mut all: BTreeMap<u64, Samples> = BTreeMap::new();
        let (mut timestamp, mut next, mut confirmed) = (0, 1, 0);
        let check = |follower: &mut dyn LogFollower, all: &BTreeMap<u64, Samples>, next: &mut u64| {
            let mut commit = LogCommit::default();
            if follower.next(&mut commit).unwrap() {
                let mut found: Samples = commit.floats.iter().map(|sample| {
                    (follower.labels(sample.series).unwrap(), sample.timestamp_ms, sample.value.to_bits())
                }).collect();
                found.sort();
                assert_eq!((commit.number, commit.lost, &found), (*next, 0, &all[next]));
                *next += 1;
                return true;
            }
            false
        };
        for step in steps {
            match step {
                Step::Commit(series) => {
                    timestamp += 1;
                    let mut batch = Batch::default();
                    let mut stored = BTreeMap::new();
                    for series in series {
                        stored.insert(series, sample(series, timestamp));
                    }
                    for series in stored.keys() {
                        let key = batch.add_series(labels(*series));
                        batch.floats.push(FloatSample { series: key, timestamp_ms: timestamp, value: timestamp as f64 });
                    }
                    db.commit(&batch).unwrap();
                    let mut stored: Samples = stored.into_values().collect();
                    stored.sort();
                    all.insert(follower.last_number(), stored);
                }
                Step::Checkpoint => db.checkpoint().unwrap(),
                Step::Read(count) => for _ in 0..count {
                    check(&mut *follower, &all, &mut next);
                },
                Step::Confirm => {
                    confirmed = follower.number();
                    db.confirm("a", confirmed);
                }
                Step::Restart => {
                    db.close().unwrap();
                    drop((follower, db));
                    db = open_with(dir.path(), small(), Arc::new(RealFs)).unwrap();
                    follower = db.follow("a").unwrap();
                    next = confirmed + 1;
                }
            }
        }
        while check(&mut *follower, &all, &mut next) {}
        prop_assert_eq!(next, follower.last_number() + 1);
    }
}
