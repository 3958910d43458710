//! `tsdb …`: what is in a data directory. Looking doesn't lock it: a server may be using it.

#![expect(clippy::print_stderr, reason = "the command line's answers")]

mod api_histogram;
mod backfill;
mod bench;
pub(super) mod progress;
mod rules;

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use model::cancel::Cancel;
use model::duration::PromDuration;
use model::matcher::Matcher;
use model::time::{SystemClock, TimestampMs};
use prometheus::Registry;
use promql::features::Features;
use tsdb::fs::{Fs, RealFs};
use tsdb::tools::{AnalyzeOptions, BlockTable, DumpFormat, DumpOptions, StoredData, analyze, dump, list};
use tsdb::{Db, Options};

use super::EXIT_FAILURE;
use progress::{Unit, bar};

/// What to do with a data directory.
#[derive(Subcommand)]
pub(super) enum Tsdb {
    /// Print what a block is made of: the newest, or the one of this name
    Analyze {
        /// Lines of each list
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Read the chunks as well
        #[arg(long)]
        extended: bool,
        /// A selector
        #[arg(long = "match", default_value = "")]
        selector: String,
        /// The data directory
        #[arg(default_value = "data/")]
        path: PathBuf,
        /// The block's name
        block: Option<String>,
    },
    /// List the blocks
    List {
        /// Print sizes and times as people read them
        #[arg(short = 'r', long)]
        human_readable: bool,
        /// The data directory
        #[arg(default_value = "data/")]
        path: PathBuf,
    },
    /// Print the samples
    Dump {
        #[command(flatten)]
        what: Selection,
        /// How to print them
        #[arg(long, default_value = "prom")]
        format: Format,
    },
    /// Print the samples as OpenMetrics
    DumpOpenmetrics {
        #[command(flatten)]
        what: Selection,
    },
    /// Write all that isn't in a block yet as blocks, so that Prometheus can go on with the directory. No server
    /// may be using it
    Flush {
        /// The time range of a block
        #[arg(long, default_value = "2h")]
        min_block_duration: PromDuration,
        /// The data directory
        #[arg(default_value = "data/")]
        path: PathBuf,
    },
    /// Make blocks of samples that come from elsewhere
    CreateBlocksFrom {
        /// The longest time range of a block
        #[arg(long, global = true, hide = true, default_value = "2h")]
        max_block_duration: PromDuration,
        #[command(subcommand)]
        what: Source,
    },
    /// Measure how fast storage is
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
}

/// Where samples come from.
#[derive(Subcommand)]
pub(super) enum Source {
    /// A file of OpenMetrics text
    Openmetrics(backfill::Openmetrics),
    /// Recording rules, evaluated by a server over a time that is past
    Rules(rules::Rules),
}

/// What is measured.
#[derive(Subcommand)]
pub(super) enum Bench {
    /// How fast samples are stored
    Write(bench::BenchWrite),
}

/// How samples are printed.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Format {
    /// A line for each sample: labels, value, time in milliseconds
    Prom,
    /// A line for each series: its labels as JSON
    Seriesjson,
}

/// Some samples of a data directory.
#[derive(Args)]
pub(super) struct Selection {
    /// Time of the oldest sample, in milliseconds
    #[arg(long, default_value_t = TimestampMs::MIN, allow_hyphen_values = true)]
    min_time: TimestampMs,
    /// Time of the newest sample, in milliseconds
    #[arg(long, default_value_t = TimestampMs::MAX, allow_hyphen_values = true)]
    max_time: TimestampMs,
    /// A selector; can be repeated
    #[arg(long = "match")]
    selectors: Vec<String>,
    /// Where a directory may be made for what reading the log writes, which is removed at the end; the data
    /// directory if nothing is said
    #[arg(long)]
    sandbox_dir_root: Option<PathBuf>,
    /// The data directory
    #[arg(default_value = "data/")]
    path: PathBuf,
}

/// Does it.
pub(super) fn run(what: Tsdb, features: Features) -> ExitCode {
    match print(what, features) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

fn print(what: Tsdb, features: Features) -> anyhow::Result<()> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let mut out = BufWriter::new(std::io::stdout().lock());
    match what {
        Tsdb::Analyze { limit, extended, selector, path, block } => {
            let matchers = if selector.is_empty() { Vec::new() } else { matchers(&selector)? };
            let options = AnalyzeOptions { block, matchers, selector, limit, extended };
            analyze(&fs, &path, &options, &Cancel::new(), &mut out)?;
        }
        Tsdb::List { human_readable, path } => list(&fs, &path, human_readable, &mut out)?,
        Tsdb::Dump { what, format } => {
            let format = match format {
                Format::Prom => DumpFormat::Prometheus,
                Format::Seriesjson => DumpFormat::SeriesJson,
            };
            print_samples(&fs, &what, format, &mut out)?;
        }
        Tsdb::DumpOpenmetrics { what } => print_samples(&fs, &what, DumpFormat::OpenMetrics, &mut out)?,
        Tsdb::Flush { min_block_duration, path } => flush(&fs, &path, min_block_duration, &mut out)?,
        Tsdb::CreateBlocksFrom { max_block_duration, what } => {
            let duration_max_ms = max_block_duration.as_millis();
            match what {
                Source::Openmetrics(what) => backfill::run(&what, duration_max_ms, &mut out)?,
                Source::Rules(what) => rules::run(&what, features, duration_max_ms, &mut out)?,
            }
        }
        Tsdb::Bench { what: Bench::Write(what) } => bench::run(&what, &mut out)?,
    }
    out.flush().context("write output")
}

fn print_samples(
    fs: &Arc<dyn Fs>,
    what: &Selection,
    format: DumpFormat,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let selectors = what.selectors.iter().map(|selector| matchers(selector)).collect::<Result<_, _>>()?;
    let options = DumpOptions { mint: what.min_time, maxt: what.max_time, selectors, format };
    let sandbox_root = what.sandbox_dir_root.as_ref().unwrap_or(&what.path);
    let cancel = Cancel::new();
    let data = StoredData::open(fs, &what.path, sandbox_root, std::process::id(), &cancel)?;
    let bar = bar(0, Unit::Series, true);
    dump(&data, &options, &cancel, out, &|done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    Ok(())
}

/// Writes the head as blocks and prints them.
fn flush(
    fs: &Arc<dyn Fs>,
    path: &Path,
    min_block_duration: PromDuration,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    // Opening makes a directory that isn't there, which nobody wants of a mistyped path.
    anyhow::ensure!(path.is_dir(), "{} isn't a data directory", path.display());
    let duration_ms = min_block_duration.as_millis();
    let options = Options {
        min_block_duration_ms: duration_ms,
        max_block_duration_ms: duration_ms.max(Options::default().max_block_duration_ms),
        background: false,
        ..Options::default()
    };
    let db = Db::open(path, options, Arc::clone(fs), Arc::new(SystemClock), &Registry::new())?;
    let before: Vec<_> = db.blocks().iter().map(|block| block.ulid()).collect();
    db.flush()?;
    db.close()?;
    // promtool looks at no directory without one.
    let log = path.join("wal");
    fs.create_dir_all(&log).with_context(|| format!("create {}", log.display()))?;
    let mut table = BlockTable::new(false);
    for block in db.blocks().iter().filter(|block| !before.contains(&block.ulid())) {
        table.add(&block.meta(), block.size_bytes());
    }
    Ok(table.print(out)?)
}

fn matchers(selector: &str) -> anyhow::Result<Vec<Matcher>> {
    promql::parse::parse_selector(selector).with_context(|| format!("bad selector {selector:?}"))
}
