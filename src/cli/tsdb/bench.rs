//! `tsdb bench write`: how fast samples go into storage.
//!
//! Series go in batches of a thousand, one thread for each, as scrapes 30 s apart; every value is 1000 above
//! the one before.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context;
use indicatif::ProgressBar;
use model::labels::Labels;
use model::storage::{Appender, Batch, FloatSample, SeriesKey, SeriesRef};
use model::time::SystemClock;
use prometheus::Registry;
use tsdb::fs::RealFs;
use tsdb::{Db, Options};

use super::progress::{Unit, bar};

const SERIES_PER_BATCH: usize = 1000;
/// All threads wait for each other after so many scrapes.
const SCRAPES_PER_ROUND: usize = 100;
const SCRAPE_INTERVAL_MS: i64 = 30_000;
const FIRST_VALUE: i64 = 123_456_789;
const VALUE_STEP: i64 = 1000;

/// What is written.
#[derive(clap::Args)]
pub(in crate::cli) struct BenchWrite {
    /// Where the storage goes; what is there is removed
    #[arg(long, default_value = "benchout")]
    out: PathBuf,
    /// How many series are read from the file
    #[arg(long, default_value_t = 10_000)]
    metrics: usize,
    /// How many scrapes there are of each
    #[arg(long, default_value_t = 3000)]
    scrapes: usize,
    /// Series: on each line a JSON object of labels
    #[arg(default_value = "../../tsdb/testdata/20kseries.json")]
    file: PathBuf,
}

/// Measures.
pub(super) fn run(what: &BenchWrite, out: &mut dyn Write) -> anyhow::Result<()> {
    let series = stage(out, "readData", |_| read_series(&what.file, what.metrics))?.0;
    let db = open(&what.out)?;
    let (total, seconds) = stage(out, "ingestScrapes", |out| {
        let bar = bar((series.len() * what.scrapes) as u64, Unit::Samples, false);
        let total = ingest(&db, &series, what.scrapes, &bar)?;
        bar.finish_and_clear();
        writeln!(out, "ingestion completed")?;
        Ok(total)
    })?;
    writeln!(out, " > total samples: {total}")?;
    writeln!(out, " > samples/sec: {}", total as f64 / seconds)?;
    stage(out, "stopStorage", |_| Ok(db.close()?))?;
    Ok(())
}

/// Does something and prints how long it took; returns that in seconds.
fn stage<T>(
    out: &mut dyn Write,
    name: &str,
    work: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<(T, f64)> {
    writeln!(out, ">> start stage={name}")?;
    out.flush()?;
    let started = Instant::now();
    let result = work(out)?;
    let taken = started.elapsed();
    writeln!(out, ">> completed stage={name} duration={taken:?}")?;
    Ok((result, taken.as_secs_f64()))
}

/// The first label sets of a file, each once.
fn read_series(file: &Path, count: usize) -> anyhow::Result<Vec<Labels>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("open {}", file.display()))?;
    let mut seen = std::collections::HashSet::new();
    let mut series = Vec::new();
    for (nth, line) in text.lines().enumerate() {
        if series.len() == count {
            break;
        }
        let pairs: std::collections::BTreeMap<String, String> =
            serde_json::from_str(line).with_context(|| format!("{}:{}", file.display(), nth + 1))?;
        let labels = Labels::from_pairs(pairs);
        if seen.insert(labels.clone()) {
            series.push(labels);
        }
    }
    Ok(series)
}

fn open(out_dir: &Path) -> anyhow::Result<Arc<Db>> {
    if out_dir.exists() {
        std::fs::remove_dir_all(out_dir).with_context(|| format!("remove {}", out_dir.display()))?;
    }
    // No compaction while it is measured, as in promtool; but the log is synced as ever.
    let options = Options { block_reload_interval_ms: i64::MAX, ..Options::default() };
    let (dir, clock) = (out_dir.join("storage"), Arc::new(SystemClock));
    Ok(Db::open(&dir, options, Arc::new(RealFs), clock, &Registry::new())?)
}

/// Writes all scrapes; returns the number of samples stored.
fn ingest(db: &Db, series: &[Labels], scrapes: usize, bar: &ProgressBar) -> anyhow::Result<u64> {
    let mut targets: Vec<Target<'_>> = series
        .chunks(SERIES_PER_BATCH)
        .map(|series| Target { series, refs: Vec::new(), value: FIRST_VALUE })
        .collect();
    let total = AtomicU64::new(0);
    for first in (0..scrapes).step_by(SCRAPES_PER_ROUND) {
        let round = first..scrapes.min(first + SCRAPES_PER_ROUND);
        std::thread::scope(|scope| {
            let threads: Vec<_> = targets
                .iter_mut()
                .map(|target| {
                    let (round, total) = (round.clone(), &total);
                    scope.spawn(move || {
                        for scrape in round {
                            let stored = target.scrape(db, (scrape as i64 + 1) * SCRAPE_INTERVAL_MS)?;
                            total.fetch_add(stored, Ordering::Relaxed);
                            bar.inc(stored);
                        }
                        Ok::<(), anyhow::Error>(())
                    })
                })
                .collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
        })?;
    }
    Ok(total.into_inner())
}

/// Series that are scraped together.
struct Target<'a> {
    series: &'a [Labels],
    /// What storage calls them, from the first scrape on.
    refs: Vec<SeriesRef>,
    value: i64,
}

impl Target<'_> {
    fn scrape(&mut self, db: &Db, timestamp_ms: i64) -> anyhow::Result<u64> {
        self.value += VALUE_STEP;
        let value = self.value as f64;
        let mut batch = Batch::default();
        if self.refs.is_empty() {
            batch.new_series = self.series.to_vec();
        }
        let key =
            |nth: usize| self.refs.get(nth).map_or(SeriesKey::New(nth as u32), |r| SeriesKey::Known(*r));
        batch.floats =
            (0..self.series.len()).map(|nth| FloatSample { series: key(nth), timestamp_ms, value }).collect();
        let committed = db.commit(&batch)?;
        if let Some(rejected) = committed.rejected.first() {
            anyhow::bail!("sample of {}: {}", self.series[rejected.index], rejected.error);
        }
        if self.refs.is_empty() {
            self.refs = committed.new_refs.into_iter().flatten().collect();
        }
        Ok(self.series.len() as u64)
    }
}
