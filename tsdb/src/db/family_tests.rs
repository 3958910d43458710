//! Metadata: what is known of families is there as long as their series, through restarts.

use model::metadata::{Metadata, MetricType};
use model::storage::{FloatSample, SeriesKey, SeriesRef};

use super::tests::{commit, labels, open_with};
use super::*;
use crate::fs::sim::SimFs;
use crate::wal::checkpoint::HEADER_BYTES;
use crate::wal::frame::{self, Part, Parts};

const DIR: &str = "/data";
const START: TimestampMs = 1_700_000_000_000;

fn open(fs: &SimFs) -> Arc<Db> {
    let options = Options { background: false, ..Options::default() };
    open_with(Path::new(DIR), options, Arc::new(fs.clone())).unwrap()
}

fn family(name: &str, metric_type: MetricType, help: &str) -> Arc<MetricFamily> {
    let metadata = Metadata { metric_type, help: help.to_owned(), unit: "seconds".to_owned() };
    Arc::new(MetricFamily { name: name.to_owned(), metadata })
}

/// Name, type and help of all families, sorted.
fn families(db: &Db) -> Vec<(String, MetricType, String)> {
    let families = db.families();
    assert!(families.iter().all(|family| family.metadata.unit == "seconds"));
    let of = |family: &Arc<MetricFamily>| {
        (family.name.clone(), family.metadata.metric_type, family.metadata.help.clone())
    };
    let mut families: Vec<_> = families.iter().map(of).collect();
    families.sort_by(|a, b| (&a.0, &a.2).cmp(&(&b.0, &b.2)));
    families
}

fn gauge(help: &str) -> (String, MetricType, String) {
    ("metric".to_owned(), MetricType::Gauge, help.to_owned())
}

/// Commits a sample and metadata for each of some series.
fn tell(db: &Db, series: std::ops::Range<usize>, time: TimestampMs, help: &str) -> Vec<SeriesRef> {
    let family = family("metric", MetricType::Gauge, help);
    let mut batch = Batch::default();
    for i in series {
        let series = batch.add_series(labels(i));
        batch.floats.push(FloatSample { series, timestamp_ms: time, value: 1.0 });
        batch.metadata.push((series, Arc::clone(&family)));
    }
    db.commit(&batch).unwrap().new_refs.into_iter().flatten().collect()
}

fn log_bytes(db: &Db) -> u64 {
    db.head.wal.stats().size
}

#[test]
fn metadata_is_there_after_a_restart_from_the_log_and_from_a_checkpoint() {
    let fs = SimFs::new();
    let db = open(&fs);
    tell(&db, 0..1500, START, "old");
    tell(&db, 1400..1500, START + 1, "new");
    let expected = [gauge("new"), gauge("old")];
    assert_eq!(families(&db), expected);
    drop(db);
    let db = open(&fs);
    assert_eq!(families(&db), expected, "from the log");
    db.checkpoint().unwrap();
    tell(&db, 0..1, START + 2, "newest");
    drop(db);
    let db = open(&fs);
    assert_eq!(families(&db), [gauge("new"), gauge("newest"), gauge("old")], "from a checkpoint and the log");
    db.close().unwrap();
    drop(db);
    let db = open(&fs);
    tell(&db, 0..1500, START + 3, "new");
    assert_eq!(families(&db), [gauge("new")], "nobody uses the others any more");
}

#[test]
fn the_last_word_on_a_series_goes_and_what_is_known_is_not_logged_again() {
    let fs = SimFs::new();
    let db = open(&fs);
    let series = tell(&db, 0..1, START, "first")[0];
    let known = SeriesKey::Known(series);
    let say = |helps: &[&str]| {
        let told = helps.iter().map(|help| (known, family("metric", MetricType::Gauge, help)));
        db.commit(&Batch { metadata: told.collect(), ..Batch::default() }).unwrap();
    };
    say(&["second", "third"]);
    assert_eq!(families(&db), [gauge("third")]);
    let before = log_bytes(&db);
    say(&["second", "third"]);
    assert_eq!(log_bytes(&db), before);
    let unknown = SeriesKey::Known(SeriesRef(series.0.saturating_add(1)));
    let told = vec![
        (unknown, family("a", MetricType::Gauge, "of no series")),
        (SeriesKey::New(0), family("b", MetricType::Gauge, "of no sample")),
        (SeriesKey::New(7), family("c", MetricType::Gauge, "of nothing")),
    ];
    let new_series = vec![labels(7)];
    db.commit(&Batch { new_series, metadata: told, ..Batch::default() }).unwrap();
    assert_eq!((families(&db), log_bytes(&db)), (vec![gauge("third")], before));
}

#[test]
fn metadata_goes_with_the_last_series() {
    let fs = SimFs::new();
    let db = open(&fs);
    tell(&db, 0..3, START, "gone");
    tell(&db, 5..6, START + 10_000_000, "kept");
    db.head.truncate(START + 1);
    assert_eq!(families(&db), [gauge("kept")]);
    assert!(db.head_memory().families > 0);
}

#[test]
fn metadata_by_name_reaches_the_series_of_the_family() {
    let fs = SimFs::new();
    let db = open(&fs);
    let mut batch = Batch::default();
    for name in ["h_bucket", "h_sum", "h_other", "h_count"] {
        let series = batch.add_series(Labels::from_pairs([("__name__", name)]));
        batch.floats.push(FloatSample { series, timestamp_ms: START, value: 1.0 });
    }
    db.commit(&batch).unwrap();
    let announced = Batch {
        families: vec![
            family("h", MetricType::Histogram, "buckets"),
            family("h_count", MetricType::Gauge, "of its own"),
            family("unseen", MetricType::Gauge, "no series yet"),
        ],
        ..Batch::default()
    };
    db.commit(&announced).unwrap();
    let before = log_bytes(&db);
    db.commit(&announced).unwrap();
    assert_eq!(log_bytes(&db), before, "it isn't news");
    drop(db);
    let all = [
        ("h".to_owned(), MetricType::Histogram, "buckets".to_owned()),
        ("h_count".to_owned(), MetricType::Gauge, "of its own".to_owned()),
        ("unseen".to_owned(), MetricType::Gauge, "no series yet".to_owned()),
    ];
    let db = open(&fs);
    assert_eq!(families(&db), all, "from the log");
    db.checkpoint().unwrap();
    drop(db);
    let db = open(&fs);
    assert_eq!(families(&db), all, "from a checkpoint");
    db.head.families.lock().forget_announced();
    assert_eq!(families(&db), all[..2], "as long as there are series");
}

#[test]
fn a_checkpoint_of_before_there_was_metadata_is_read() {
    let fs = SimFs::new();
    let db = open(&fs);
    commit(&db, &[(0, START, 1.0), (1, START, 2.0)]).unwrap();
    db.close().unwrap();
    let content = tests::content(&db);
    drop(db);
    let is_checkpoint = |path: &Path| path.to_string_lossy().contains("checkpoint.");
    let (path, _) = fs.files().into_iter().find(|(path, _)| is_checkpoint(path)).unwrap();
    let bytes = fs.view(&path).unwrap().to_vec();
    let mut old = bytes[..HEADER_BYTES].to_vec();
    for part in Parts::new(&bytes, HEADER_BYTES) {
        let Part::Frame(frame) = part else { panic!("{part:?}") };
        match frame.payload[0] {
            // A page ends without the empty lists of families and of series, and there is no list of those announced.
            1 => frame::put(&mut old, frame.number, frame.payload.strip_suffix(&[0, 0]).unwrap()),
            5 => assert_eq!(*frame.payload, [5, 0]),
            _ => frame::put(&mut old, frame.number, &frame.payload),
        }
    }
    fs.remove_file(&path).unwrap();
    fs.create(&path).unwrap().append(&old).unwrap();
    let db = open(&fs);
    assert_eq!(tests::content(&db), content);
    assert!(db.damage().is_empty() && db.families().is_empty());
}
