//! A process that stores samples is killed with `SIGKILL`; the next one finds every acknowledged commit, once
//! and whole, and nothing else than perhaps the one commit that was on its way.
//!
//! The test program runs itself as the child, which says on its standard output what was acknowledged. What a
//! commit holds follows from its number, so that the parent needs nothing else to know what has to be there.
//! The environment variable `CRASH_RUNS` says how often to kill; the default takes some seconds.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests; the child talks")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::cancel::Cancel;
use model::labels::Labels;
use model::metadata::{Metadata, MetricFamily};
use model::storage::{Appender, Batch, FloatSample, Queryable, SampleColumns, SelectHints};
use model::time::ManualClock;
use prometheus::Registry;
use tsdb::fs::{Fs, RealFs};
use tsdb::{Db, Options};

use crate::deadly::{DeadlyFs, Death, Moment};

const START_MS: i64 = 1_700_000_000_000;
const INTERVAL_MS: i64 = 15_000;
/// A block is cut some twenty commits after the one before.
const BLOCK_MS: i64 = 20 * INTERVAL_MS;
/// Series that are in every commit.
const SERIES: usize = 12;
/// Commits of a child that isn't killed.
const COMMITS: u64 = 100;
/// Children that use a directory one after the other: each also recovers from the crash before.
const GENERATIONS: u64 = 4;
const RUNS_DEFAULT: u64 = 24;

const CHILD_DIR: &str = "CRASH_CHILD_DIR";
const CHILD_FIRST: &str = "CRASH_CHILD_FIRST";
const CHILD_DEATH: &str = "CRASH_CHILD_DEATH";
const CHILD_THREADS: &str = "CRASH_CHILD_THREADS";

type Content = BTreeMap<Labels, Vec<(i64, u64)>>;

fn runs() -> u64 {
    std::env::var("CRASH_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS_DEFAULT)
}

/// The next number of a generator whose state is any number (Steele's SplitMix64).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn labels(series: usize) -> Labels {
    Labels::from_pairs([("__name__", "crash_total".to_owned()), ("series", series.to_string())])
}

/// The samples of a commit: those of the lasting series, and one of a series that lives for five commits.
fn samples(commit: u64) -> Vec<(Labels, i64, f64)> {
    let time = START_MS + commit as i64 * INTERVAL_MS;
    let value = |series: usize| match series % 3 {
        0 => 1.0,
        1 => (commit * series as u64) as f64,
        _ => random(&mut (commit << 8 | series as u64)) as f64 / 7.0,
    };
    let passing = SERIES + (commit / 5) as usize;
    (0..SERIES).chain([passing]).map(|series| (labels(series), time, value(series))).collect()
}

/// What a commit says that its series are: something new every few commits.
fn family(commit: u64) -> Arc<MetricFamily> {
    let metadata = Metadata { help: format!("{:06}", commit / 7), ..Metadata::default() };
    Arc::new(MetricFamily { name: "crash_total".to_owned(), metadata })
}

/// What is there after so many commits.
fn expected(commits: u64) -> Content {
    let mut content = Content::new();
    for (labels, time, value) in (0..commits).flat_map(samples) {
        content.entry(labels).or_default().push((time, value.to_bits()));
    }
    content
}

fn content(db: &Db) -> Content {
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    let set = querier.select(&[], &SelectHints::new(i64::MIN, i64::MAX, &Cancel::new())).unwrap();
    let mut content = Content::new();
    for series in 0..set.len() {
        let mut columns = SampleColumns::default();
        set.read(series, i64::MIN, i64::MAX, &mut columns).unwrap();
        let bits = columns.values.iter().map(|value| value.to_bits());
        let samples: Vec<(i64, u64)> = columns.timestamps.iter().copied().zip(bits).collect();
        if !samples.is_empty() {
            content.insert(set.labels(series), samples);
        }
    }
    content
}

fn open(dir: &Path, fs: Arc<dyn Fs>, no_lockfile: bool) -> Arc<Db> {
    let options = Options {
        background: false,
        no_lockfile,
        // Segments, head chunks and blocks end often.
        wal_segment_bytes: 4 << 10,
        samples_per_chunk: 16,
        min_block_duration_ms: BLOCK_MS,
        max_block_duration_ms: 9 * BLOCK_MS,
        ..Options::default()
    };
    Db::open(dir, options, fs, Arc::new(ManualClock::new(START_MS)), &Registry::new()).unwrap()
}

// ----------------------------------------------------------------------------------------------- child

#[test]
#[ignore = "the child process of the other tests"]
fn child() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number(CHILD_FIRST).unwrap();
    let death = std::env::var(CHILD_DEATH).ok().map(|text| text.parse().unwrap());
    let fs = DeadlyFs::new(death);
    let db = open(Path::new(&dir), Arc::new(fs.clone()), false);
    if std::env::var_os(CHILD_THREADS).is_some() {
        commit_beside_maintenance(&db, first);
    } else {
        for commit in first..first + COMMITS {
            commit_one(&db, commit);
            maintain(&db, commit);
        }
        db.close().unwrap();
    }
    println!("\ncalls {}", fs.calls());
}

fn commit_one(db: &Db, commit: u64) {
    let mut batch = Batch::default();
    let family = family(commit);
    for (labels, timestamp_ms, value) in samples(commit) {
        let series = batch.add_series(labels);
        batch.floats.push(FloatSample { series, timestamp_ms, value });
        batch.metadata.push((series, Arc::clone(&family)));
    }
    assert!(db.commit(&batch).unwrap().rejected.is_empty());
    println!("\nacknowledged {commit}");
}

fn maintain(db: &Db, step: u64) {
    match step % 40 {
        7 | 30 => db.checkpoint().unwrap(),
        16 => db.sync().unwrap(),
        33 => db.compact().unwrap(),
        _ => {}
    }
}

/// Commits until it is killed, while another thread never rests.
fn commit_beside_maintenance(db: &Db, first: u64) {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for step in (0..).take_while(|_| !ended.load(Ordering::Relaxed)) {
                maintain(db, step);
            }
        });
        (first..first + 100 * COMMITS).for_each(|commit| commit_one(db, commit));
        ended.store(true, Ordering::Relaxed);
    });
}

// ---------------------------------------------------------------------------------------------- parent

/// How a child comes to its end.
#[derive(Clone, Copy, Debug)]
enum End {
    /// By itself.
    Own,
    /// At a call.
    At(Death),
    /// By the parent, when it has seen so many acknowledgements.
    After(u64),
}

fn start(dir: &Path, first: u64, end: End) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["crash::child", "--exact", "--ignored", "--nocapture"]);
    command.env(CHILD_DIR, dir).env(CHILD_FIRST, first.to_string());
    match end {
        End::Own => {}
        End::At(Death { call, moment }) => drop(command.env(CHILD_DEATH, format!("{call} {moment:?}"))),
        End::After(_) => drop(command.env(CHILD_THREADS, "1")),
    }
    command.stdout(Stdio::piped()).spawn().unwrap()
}

/// What a child has left.
struct Left {
    /// One more than the last commit that was acknowledged.
    acknowledged: u64,
    /// Calls that changed something, if the child came to its own end.
    calls: Option<u64>,
}

/// Runs a child on a directory that holds the commits before `first`.
fn run(dir: &Path, first: u64, end: End) -> Left {
    let mut child = start(dir, first, end);
    let mut left = Left { acknowledged: first, calls: None };
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(commit) = line.strip_prefix("acknowledged ") {
            assert_eq!(commit.parse(), Ok(left.acknowledged));
            left.acknowledged += 1;
            if matches!(end, End::After(acknowledged) if left.acknowledged == first + acknowledged) {
                child.kill().unwrap();
            }
        } else if let Some(calls) = line.strip_prefix("calls ") {
            left.calls = calls.parse().ok();
        }
    }
    let status = child.wait().unwrap();
    assert!(status.success() || status.signal() == Some(9), "{end:?}: {status}");
    assert_eq!(status.success(), left.calls.is_some(), "{end:?}");
    left
}

/// Checks what is in the directory; returns the number of commits.
fn check(dir: &Path, acknowledged: u64, what: &str) -> u64 {
    // The other test's children would have our lock for a moment, between fork and exec.
    let db = open(dir, Arc::new(RealFs), true);
    assert_eq!(db.damage(), [], "{what}");
    let found = content(&db);
    let newest = db.families().into_iter().max_by(|a, b| a.metadata.help.cmp(&b.metadata.help));
    if found == expected(acknowledged) {
        assert_eq!(newest, acknowledged.checked_sub(1).map(family), "{what}");
        return acknowledged;
    }
    for (labels, samples) in expected(acknowledged) {
        let there = found.get(&labels).cloned().unwrap_or_default();
        assert!(there.starts_with(&samples), "{what}: {labels} has {there:?} instead of {samples:?}");
    }
    assert!(found == expected(acknowledged + 1), "{what}: more is there than was sent");
    assert_eq!(newest, Some(family(acknowledged)), "{what}");
    acknowledged + 1
}

/// Kills children one after the other in directories that they share by [`GENERATIONS`].
fn kill_and_check(ends: impl Iterator<Item = End>) {
    let ends: Vec<End> = ends.collect();
    for ends in ends.chunks(GENERATIONS as usize) {
        let dir = tempfile::tempdir().unwrap();
        let mut commits = 0;
        for (generation, end) in ends.iter().enumerate() {
            let left = run(dir.path(), commits, *end);
            commits = check(dir.path(), left.acknowledged, &format!("{end:?} in generation {generation}"));
        }
    }
}

#[test]
fn killed_at_any_time_nothing_acknowledged_is_lost_or_doubled() {
    let mut state = 1;
    kill_and_check((0..runs()).map(|_| End::After(1 + random(&mut state) % (3 * COMMITS))));
}

#[test]
fn killed_at_any_call_nothing_acknowledged_is_lost_or_doubled() {
    let dir = tempfile::tempdir().unwrap();
    let whole = run(dir.path(), 0, End::Own);
    assert_eq!(check(dir.path(), whole.acknowledged, "not killed"), COMMITS);
    let points = whole.calls.unwrap() * Moment::ALL.len() as u64;
    // With fewer runs than points they are spread over all of them, and every moment has its turn.
    let step = (points / runs()).max(1);
    let step = if step > 1 && step.is_multiple_of(Moment::ALL.len() as u64) { step + 1 } else { step };
    kill_and_check((0..runs().min(points)).map(|run| {
        let point = run * step % points;
        let moments = Moment::ALL.len() as u64;
        End::At(Death { call: point / moments, moment: Moment::ALL[(point % moments) as usize] })
    }));
}
