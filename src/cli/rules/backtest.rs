//! `rules backtest`: when alerts would have been pending, firing and resolved.
//!
//! The history is read as `tsdb dump` reads it. What the rules store meanwhile goes to a database of its own in a
//! directory that is removed at the end, so that a long replay needs no more memory than a server would.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use api::params::parse_time;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use model::cancel::Cancel;
use model::duration::PromDuration;
use model::storage::{Appender, Queryable};
use model::time::{Clock, SystemClock, TimestampMs};
use prometheus::Registry;
use promql::engine::{Engine, EngineOptions};
use promql::features::Features;
use rules::backtest::{Backtest, BacktestOptions, Episode, Failure};
use rules::file::{CheckOptions, GroupConfig};
use rules::template::Environment;
use serde_json::json;
use tsdb::fs::{Fs, RealFs};
use tsdb::retention::Retention;
use tsdb::tools::StoredData;
use tsdb::{Db, Options};

use crate::cli::tsdb::progress::{Unit, bar};

/// What is replayed.
#[derive(Args)]
pub(in crate::cli) struct BacktestArgs {
    /// The first time, as seconds or RFC 3339
    #[arg(long, value_parser = parse_time)]
    from: TimestampMs,
    /// The last time, as seconds or RFC 3339; now by default
    #[arg(long, value_parser = parse_time)]
    to: Option<TimestampMs>,
    /// The data directory; it is only read, and a server may be using it
    #[arg(long, default_value = "data/")]
    data: PathBuf,
    /// Where directories may be made for what reading the log and replaying rules write, which are removed at the
    /// end; the data directory if nothing is said
    #[arg(long)]
    sandbox_dir_root: Option<PathBuf>,
    /// The evaluation interval of groups that name none
    #[arg(long, default_value = "1m")]
    evaluation_interval: PromDuration,
    /// How far back groups are evaluated that name no offset
    #[arg(long, default_value = "0s")]
    query_offset: PromDuration,
    /// How to print the alerts
    #[arg(long, default_value = "text")]
    format: Format,
    /// The rule files
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each alert
    Text,
    /// A list of objects
    Json,
}

/// Prints the alerts; the rules that couldn't be evaluated, in words.
pub(super) fn run(args: &BacktestArgs, features: Features) -> anyhow::Result<Vec<String>> {
    ensure!(!args.evaluation_interval.is_zero(), "--evaluation-interval must be greater than 0");
    let to_ms = args.to.unwrap_or_else(|| SystemClock.now_ms());
    ensure!(args.from <= to_ms, "--from must not be later than --to");
    // Opening the sandbox would make a directory that isn't there, which nobody wants of a mistyped path.
    ensure!(args.data.is_dir(), "{} isn't a data directory", args.data.display());
    let files = groups(&args.files, features)?;
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let cancel = Cancel::new();
    let sandbox_root = args.sandbox_dir_root.as_ref().unwrap_or(&args.data);
    let history = StoredData::open(&fs, &args.data, sandbox_root, std::process::id(), &cancel)
        .with_context(|| format!("open {}", args.data.display()))?;
    let results = Results::open(&fs, sandbox_root, offset_max_ms(args, &files))?;
    let options = BacktestOptions {
        engine: Arc::new(Engine::new(EngineOptions { features, ..EngineOptions::default() })),
        history: Arc::new(history),
        results: Arc::clone(&results.db) as Arc<dyn Queryable>,
        appender: Arc::clone(&results.db) as Arc<dyn Appender>,
        from_ms: args.from,
        to_ms,
        evaluation_interval_ms: args.evaluation_interval.as_millis(),
        query_offset_ms: args.query_offset.as_millis(),
        environment: Environment::default(),
    };
    let backtest = Backtest::new(options, &files);
    let bar = bar(backtest.slots(), Unit::Evaluations, false);
    let replay = backtest.run(&cancel, || bar.inc(1));
    bar.finish_and_clear();
    let replay = replay?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    match args.format {
        Format::Text => print_text(&replay.episodes, &mut out)?,
        Format::Json => print_json(&replay.episodes, &mut out)?,
    }
    out.flush().context("write output")?;
    Ok(replay.failures.into_iter().map(in_words).collect())
}

/// The groups of each file.
fn groups(files: &[PathBuf], features: Features) -> anyhow::Result<Vec<(PathBuf, Vec<GroupConfig>)>> {
    let options = CheckOptions { features, ..CheckOptions::default() };
    let mut groups = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        match rules::file::parse(&file.to_string_lossy(), &text, &options) {
            Ok(found) => groups.push((file.clone(), found)),
            Err(errors) => bail!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        }
    }
    Ok(groups)
}

/// How far a group may store samples behind those of the others.
fn offset_max_ms(args: &BacktestArgs, files: &[(PathBuf, Vec<GroupConfig>)]) -> i64 {
    let groups = files.iter().flat_map(|(_, groups)| groups);
    let offsets = groups.map(|group| group.query_offset.unwrap_or(args.query_offset).as_millis());
    offsets.max().unwrap_or(0)
}

/// A database for what rules store; it goes with its directory when this is dropped.
struct Results {
    db: Arc<Db>,
    fs: Arc<dyn Fs>,
    dir: PathBuf,
}

impl Results {
    fn open(fs: &Arc<dyn Fs>, sandbox_root: &Path, out_of_order_time_window_ms: i64) -> anyhow::Result<Self> {
        let dir = sandbox_root.join(format!("tmp_backtest_sandbox{}", std::process::id()));
        let options =
            Options { out_of_order_time_window_ms, retention: Retention::default(), ..Options::default() };
        let db = Db::open(&dir, options, Arc::clone(fs), Arc::new(SystemClock), &Registry::new())
            .with_context(|| format!("open {}", dir.display()))?;
        Ok(Results { db, fs: Arc::clone(fs), dir })
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        let closed = self.db.close().map_err(anyhow::Error::from);
        let removed = closed.and_then(|()| Ok(self.fs.remove_dir_all(&self.dir)?));
        if let Err(error) = removed {
            eprintln!("{} can't be removed: {error:#}", self.dir.display());
        }
    }
}

fn in_words(failure: Failure) -> String {
    let Failure { group, rule, slots, first_error } = failure;
    let times = if slots == 1 { "time" } else { "times" };
    format!("group {group:?}, rule {rule:?}: failed {slots} {times}, at first: {first_error}")
}

/// A line for each alert: pending, firing, ended, labels. Times are all as wide.
fn print_text(episodes: &[Episode], out: &mut dyn Write) -> anyhow::Result<()> {
    let mut line = |[pending, firing, ended]: [&str; 3], labels: &str| {
        writeln!(out, "{pending:<24}  {firing:<24}  {ended:<24}  {labels}")
    };
    line(["PENDING", "FIRING", "ENDED"], "LABELS")?;
    for episode in episodes {
        let pending = time(episode.pending_at_ms)?;
        let firing = episode.firing_at_ms.map(time).transpose()?;
        let ended = episode.ended_at_ms.map(time).transpose()?;
        let times = [&*pending, firing.as_deref().unwrap_or("never"), ended.as_deref().unwrap_or("goes on")];
        line(times, &episode.labels.to_string())?;
    }
    Ok(())
}

fn print_json(episodes: &[Episode], out: &mut dyn Write) -> anyhow::Result<()> {
    let shown = |episode: &Episode| -> anyhow::Result<serde_json::Value> {
        Ok(json!({
            "group": episode.group,
            "labels": episode.labels,
            "annotations": episode.annotations,
            "pendingAt": time(episode.pending_at_ms)?,
            "firingAt": episode.firing_at_ms.map(time).transpose()?,
            "endedAt": episode.ended_at_ms.map(time).transpose()?,
        }))
    };
    let shown = episodes.iter().map(shown).collect::<anyhow::Result<Vec<_>>>()?;
    serde_json::to_writer(&mut *out, &shown)?;
    Ok(writeln!(out)?)
}

/// RFC 3339, to the millisecond.
fn time(at_ms: TimestampMs) -> anyhow::Result<String> {
    Ok(format!("{:.3}", Timestamp::from_millisecond(at_ms)?))
}
