//! A data directory goes from Prometheus to Ferula and back.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use model::cancel::Cancel;
use model::labels::Labels;
use model::storage::{Appender, Batch, FloatSample, Queryable, SampleColumns, SelectHints};
use model::time::{Clock, SystemClock};
use model::value::is_stale_nan;
use prometheus::Registry;
use serde_json::Value;
use tsdb::fs::RealFs;
use tsdb::tools::{DumpFormat, DumpOptions, StoredData, dump};
use tsdb::{Db, Options};

use crate::peers::{Prometheus, lines, wait_for};

const MINUTE_MS: i64 = 60_000;

fn open(dir: &Path) -> Arc<Db> {
    let options = Options { background: false, ..Options::default() };
    Db::open(dir, options, Arc::new(RealFs), Arc::new(SystemClock), &Registry::new()).unwrap()
}

/// Samples by series: times, and values as text, of a histogram its count and sum.
type Content = BTreeMap<Labels, BTreeMap<i64, String>>;

/// All samples but staleness markers, which no query gives.
fn content_of(storage: &dyn Queryable) -> Content {
    let cancel = Cancel::new();
    let querier = storage.querier(i64::MIN, i64::MAX).unwrap();
    let set = querier.select(&[], &SelectHints::new(i64::MIN, i64::MAX, &cancel)).unwrap();
    let mut content = Content::new();
    for nth in 0..set.len() {
        let mut columns = SampleColumns::default();
        set.read(nth, i64::MIN, i64::MAX, &mut columns).unwrap();
        let floats = columns.timestamps.iter().zip(&columns.values);
        let floats = floats.filter(|(_, value)| !is_stale_nan(**value));
        let mut samples: BTreeMap<i64, String> =
            floats.map(|(t, value)| (*t, format!("{value:?}"))).collect();
        for (t, histogram) in columns.histogram_timestamps.iter().zip(&columns.histograms) {
            if !histogram.is_stale() {
                samples.insert(*t, format!("{:?} {:?}", histogram.count, histogram.sum));
            }
        }
        if !samples.is_empty() {
            content.insert(set.labels(nth), samples);
        }
    }
    content
}

/// The series of a matrix.
fn content_of_matrix(matrix: &Value) -> Content {
    let millis = |sample: &Value| (sample[0].as_f64().unwrap() * 1000.0).round() as i64;
    let number = |text: &Value| text.as_str().unwrap().parse::<f64>().unwrap();
    let mut content = Content::new();
    for series in matrix.as_array().unwrap() {
        let labels = series["metric"].as_object().unwrap().iter();
        let labels = Labels::from_pairs(labels.map(|(name, value)| (name, value.as_str().unwrap())));
        let mut samples = BTreeMap::new();
        for sample in series["values"].as_array().into_iter().flatten() {
            samples.insert(millis(sample), format!("{:?}", number(&sample[1])));
        }
        for sample in series["histograms"].as_array().into_iter().flatten() {
            let (count, sum) = (number(&sample[1]["count"]), number(&sample[1]["sum"]));
            samples.insert(millis(sample), format!("{count:?} {sum:?}"));
        }
        content.insert(labels, samples);
    }
    content
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Both have the same samples; says what differs without printing all.
fn assert_same(ours: &Content, theirs: &Content, what: &str) {
    let only = |a: &Content, b: &Content| {
        let flat = a.iter().flat_map(|(labels, samples)| samples.iter().map(move |sample| (labels, sample)));
        let missing =
            flat.filter(|(labels, (t, value))| b.get(labels).and_then(|b| b.get(t)) != Some(*value));
        missing.map(|(labels, sample)| format!("{labels} {sample:?}")).collect::<Vec<_>>()
    };
    let (extra, missing) = (only(ours, theirs), only(theirs, ours));
    let few = |lines: &[String]| lines.iter().take(5).cloned().collect::<Vec<_>>();
    assert!(
        ours == theirs,
        "{what}: {} only ours: {:#?}; {} only theirs: {:#?}",
        extra.len(),
        few(&extra),
        missing.len(),
        few(&missing)
    );
}

const WINDOW: &str = "storage: {tsdb: {out_of_order_time_window: 1h}}\n";

/// A Prometheus that scraped itself, was sent samples in and out of order, and was killed: its data directory,
/// with a log of this compression.
fn killed_prometheus(home: &Path, flags: &[&str]) -> Option<()> {
    let flags =
        [flags, &["--web.enable-remote-write-receiver", "--enable-feature=native-histograms"]].concat();
    let server = Prometheus::start(home, WINDOW, &flags)?;
    let now = SystemClock.now_ms();
    // Enough for full chunks, over more than an hour.
    let times: Vec<i64> = (0..400).map(|i| now - 100 * MINUTE_MS + i * 15_000).collect();
    for (nth, times) in times.chunks(50).enumerate() {
        let samples: Vec<(i64, f64)> = times.iter().map(|t| (*t, (t % 977) as f64 / 8.0)).collect();
        for name in ["pushed_a", "pushed_b", "pushed_c"] {
            server.write(&[("__name__", name), ("part", "in order")], &samples);
        }
        let part = nth.to_string();
        server.write(&[("__name__", "pushed_once"), ("part", &part)], &samples[..1]);
    }
    // Between the others: enough for a full out-of-order chunk, and some more.
    let late: Vec<(i64, f64)> = times[320..].iter().map(|t| (t + 7000, -1.0)).collect();
    for name in ["pushed_a", "pushed_c"] {
        server.write(&[("__name__", name), ("part", "in order")], &late[..45]);
    }
    let address = server.address();
    let scraping = format!(
        "{WINDOW}scrape_configs:\n- {{job_name: self, scrape_interval: 50ms, scrape_timeout: 50ms, \
         static_configs: [{{targets: ['{address}']}}]}}\n"
    );
    server.reload(home, &scraping);
    wait_for("scrapes", || {
        let counted = server.query("max(count_over_time(up[5m]))", SystemClock.now_ms());
        counted[0]["value"][1].as_str()?.parse::<f64>().ok().filter(|count| *count >= 20.0)
    });
    server.kill();
    Some(())
}

/// What a killed Prometheus left is read here as it reads that itself: for reading alone, and taken over.
fn takes_over(flags: &[&str]) {
    let home = tempfile::tempdir().unwrap();
    if killed_prometheus(home.path(), flags).is_none() {
        return;
    }
    let data = home.path().join("data");
    let theirs = asked(home.path(), &data);
    let series = |name: &'static str| theirs.iter().filter(move |(labels, _)| labels.metric_name() == name);
    assert!(series("up").count() > 0 && series("pushed_once").count() == 8);
    assert!(series("pushed_a").flat_map(|(_, samples)| samples.values()).any(|value| value == "-1.0"));

    let fs: Arc<dyn tsdb::fs::Fs> = Arc::new(RealFs);
    let before = files(&data);
    let stored = StoredData::open(&fs, &data, home.path(), 1, &Cancel::new()).unwrap();
    assert_same(&content_of(&stored), &theirs, "for reading alone");
    let lines = dumped(&stored);
    drop(stored);
    assert_eq!(files(&data), before, "nothing was changed");

    let db = open(&data);
    assert_same(&content_of(&*db), &theirs, "taken over");
    let samples: u64 = db.blocks().iter().map(|block| block.meta().stats.num_samples).sum();
    assert_eq!(samples as usize, lines, "each sample is in one block");
    assert!(!data.join("wal").exists() && !data.join("chunks_head").exists());
    db.close().unwrap();
    drop(db);
    assert_same(&content_of(&*open(&data)), &theirs, "after another start");
    assert_same(&asked(home.path(), &data), &theirs, "back");
}

/// Number of samples that are dumped.
fn dumped(storage: &dyn Queryable) -> usize {
    let (mint, maxt) = (i64::MIN, i64::MAX);
    let options = DumpOptions { mint, maxt, selectors: Vec::new(), format: DumpFormat::Prometheus };
    let mut out = Vec::new();
    dump(storage, &options, &Cancel::new(), &mut out, &|_, _| {}).unwrap();
    lines(&out).len()
}

/// What a Prometheus answers that is started on a copy of a data directory.
fn asked(home: &Path, data: &Path) -> Content {
    let copy = home.join("copy");
    copy_all(data, &copy.join("data"));
    let server = Prometheus::start(&copy, WINDOW, &[]).unwrap();
    let answer = content_of_matrix(&server.query("{__name__=~\".+\"}[6h]", SystemClock.now_ms()));
    server.kill();
    std::fs::remove_dir_all(&copy).unwrap();
    answer
}

/// Names and lengths of all files.
fn files(dir: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert(entry.path().display().to_string(), entry.metadata().unwrap().len());
        }
    }
    found
}

#[test]
fn a_killed_prometheus_with_a_snappy_log_is_taken_over() {
    takes_over(&["--storage.tsdb.wal-compression"]);
}

#[test]
fn a_killed_prometheus_with_a_zstd_log_is_taken_over() {
    takes_over(&["--storage.tsdb.wal-compression", "--storage.tsdb.wal-compression-type=zstd"]);
}

#[test]
fn a_killed_prometheus_with_a_plain_log_is_taken_over() {
    takes_over(&["--no-storage.tsdb.wal-compression"]);
}

/// Five hours of samples, up to now.
fn committed(db: &Db, now: i64) -> Content {
    let mut content = Content::new();
    for i in 0..300_i64 {
        let timestamp_ms = now - (299 - i) * MINUTE_MS;
        let mut batch = Batch::default();
        for nth in 0..5 {
            let labels = Labels::from_pairs([("__name__", "metric".to_owned()), ("nth", nth.to_string())]);
            let value = (i * nth) as f64 / 4.0;
            content.entry(labels.clone()).or_default().insert(timestamp_ms, format!("{value:?}"));
            let series = batch.add_series(labels);
            batch.floats.push(FloatSample { series, timestamp_ms, value });
        }
        assert!(db.commit(&batch).unwrap().rejected.is_empty());
    }
    content
}

#[test]
fn prometheus_serves_what_is_flushed_and_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let now = SystemClock.now_ms();
    let db = open(&data);
    let mut expected = committed(&db, now);
    db.compact().unwrap();
    db.flush().unwrap();
    db.close().unwrap();
    drop(db);
    let flags = ["--web.enable-remote-write-receiver"];
    let Some(server) = Prometheus::start(home.path(), "global: {}\n", &flags) else { return };
    assert_same(&content_of_matrix(&server.query("metric[6h]", now)), &expected, "flushed");
    let nth = Labels::from_pairs([("__name__", "metric"), ("nth", "3")]);
    server.write(&[("__name__", "metric"), ("nth", "3")], &[(now + 1, 0.5)]);
    expected.get_mut(&nth).unwrap().insert(now + 1, "0.5".to_owned());
    assert_same(&content_of_matrix(&server.query("metric[6h]", now + 1)), &expected, "new samples are taken");
    server.kill();

    let db = open(&data);
    assert_same(&content_of(&*db), &expected, "and come back here");
}
