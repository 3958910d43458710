//! `tsdb …`: what is in a data directory.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's answers")]

mod dump;
mod list;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, Subcommand};
use model::matcher::Matcher;
use model::time::TimestampMs;
use tsdb::block::{Block, dir};
use tsdb::fs::{Fs, RealFs};

use super::EXIT_FAILURE;

/// What to do with a data directory.
#[derive(Subcommand)]
pub(super) enum Tsdb {
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
        format: dump::Format,
    },
    /// Print the samples of the blocks as OpenMetrics
    DumpOpenmetrics {
        #[command(flatten)]
        what: Selection,
    },
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
    #[arg(long = "match", default_value = "{__name__=~'(?s:.*)'}")]
    selectors: Vec<String>,
    /// The data directory
    #[arg(default_value = "data/")]
    path: PathBuf,
}

impl Selection {
    fn matchers(&self) -> anyhow::Result<Vec<Vec<Matcher>>> {
        let parsed = self.selectors.iter().map(|selector| promql::parse::parse_selector(selector));
        parsed.collect::<Result<_, _>>().context("bad selector")
    }
}

/// Does it.
pub(super) fn run(what: Tsdb) -> ExitCode {
    let done = match what {
        Tsdb::List { human_readable, path } => {
            blocks(&path).and_then(|blocks| list::print(&blocks, human_readable))
        }
        Tsdb::Dump { what, format } => dump::print(&what, format),
        Tsdb::DumpOpenmetrics { what } => dump::print(&what, dump::Format::Openmetrics),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

/// The blocks of a data directory, oldest first. The directory isn't locked: a server may be using it.
fn blocks(path: &std::path::Path) -> anyhow::Result<Vec<Arc<Block>>> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let found = dir::list(&*fs, path)?;
    let opened = found.iter().map(|(_, path)| Block::open(Arc::clone(&fs), path));
    let mut blocks: Vec<_> = opened.collect::<Result<_, _>>()?;
    blocks.sort_by_key(|block| block.meta().min_time);
    Ok(blocks)
}
