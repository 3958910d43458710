//! `tsdb …`: what is in a data directory. The directory isn't locked: a server may be using it.

#![expect(clippy::print_stderr, reason = "the command line's answers")]

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use model::cancel::Cancel;
use model::matcher::Matcher;
use model::time::TimestampMs;
use tsdb::fs::{Fs, RealFs};
use tsdb::tools::{AnalyzeOptions, DumpFormat, DumpOptions, StoredBlocks, analyze, dump, list};

use super::EXIT_FAILURE;

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
    /// Print the samples of the blocks
    Dump {
        #[command(flatten)]
        what: Selection,
        /// How to print them
        #[arg(long, default_value = "prom")]
        format: Format,
    },
    /// Print the samples of the blocks as OpenMetrics
    DumpOpenmetrics {
        #[command(flatten)]
        what: Selection,
    },
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
    /// The data directory
    #[arg(default_value = "data/")]
    path: PathBuf,
}

/// Does it.
pub(super) fn run(what: Tsdb) -> ExitCode {
    match print(what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

fn print(what: Tsdb) -> anyhow::Result<()> {
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
    Ok(dump(&StoredBlocks::open(fs, &what.path)?, &options, &Cancel::new(), out)?)
}

fn matchers(selector: &str) -> anyhow::Result<Vec<Matcher>> {
    promql::parse::parse_selector(selector).with_context(|| format!("bad selector {selector:?}"))
}
