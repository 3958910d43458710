//! `tsdb create-blocks-from openmetrics`: blocks out of a file of OpenMetrics text.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use indicatif::ProgressBar;
use model::cancel::Cancel;
use model::labels::LabelsBuilder;
use model::time::{Clock, SystemClock, TimestampMs};
use scrape::parse::{Entry, Lines, OpenMetricsParser, ParseError};
use tsdb::block::{Block, dir};
use tsdb::compact::{Compactor, CompactorOptions, UlidSource};
use tsdb::fs::{Fs, RealFs};
use tsdb::tools::{BackfillOptions, BlockTable, Sample, compatible_block_duration, create_blocks};

use super::progress::{Unit, bar};

/// How blocks are made of a file.
#[derive(clap::Args)]
pub(in crate::cli) struct Openmetrics {
    /// Print sizes and times as people read them
    #[arg(short = 'r', long)]
    human_readable: bool,
    /// Don't print the blocks
    #[arg(short, long)]
    quiet: bool,
    /// A label that every series gets, name=value; can be repeated
    #[arg(long = "label", value_parser = label)]
    labels: Vec<(String, String)>,
    /// The file; each of its samples needs a timestamp
    input: std::path::PathBuf,
    /// Where the blocks go
    #[arg(default_value = "data/")]
    output: std::path::PathBuf,
}

fn label(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    pair.ok_or_else(|| format!("expected KEY=VALUE got '{text}'"))
}

/// Why a file can't be read.
#[derive(Debug, thiserror::Error)]
enum InputError {
    #[error("next")]
    Parse(#[from] ParseError),
    #[error("expected timestamp for series {0}, got none")]
    NoTimestamp(String),
}

/// Makes the blocks, none longer than `duration_max_ms`.
pub(super) fn run(what: &Openmetrics, duration_max_ms: i64, out: &mut dyn Write) -> anyhow::Result<()> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let input = fs.view(&what.input).with_context(|| format!("open {}", what.input.display()))?;
    check_times(&input).context("getting min and max timestamp")?;
    fs.create_dir_all(&what.output).with_context(|| format!("create {}", what.output.display()))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let seed = u64::from(std::process::id()) << 32 ^ clock.now_ms() as u64;
    let compactor =
        Compactor::new(Arc::clone(&fs), UlidSource::new(clock, seed), CompactorOptions::default());
    let options = BackfillOptions::new(compatible_block_duration(duration_max_ms));
    let bar = bar(input.len() as u64, Unit::Bytes, false);
    let open = || {
        bar.set_position(0);
        Ok(Samples { parser: OpenMetricsParser::new(&input), what, len: input.len(), bar: &bar })
    };
    let mut metas = Vec::new();
    let created = create_blocks(&compactor, &what.output, options, open, &Cancel::new(), |meta| {
        metas.push(meta.clone())
    });
    bar.finish_and_clear();
    created.context("block creation")?;
    if what.quiet || metas.is_empty() {
        return Ok(());
    }
    let mut table = BlockTable::new(what.human_readable);
    for meta in &metas {
        table.add(meta, size_of_block(&fs, &what.output, meta.ulid)?);
    }
    Ok(table.print(out)?)
}

fn size_of_block(fs: &Arc<dyn Fs>, output: &Path, ulid: ulid::Ulid) -> anyhow::Result<u64> {
    Ok(Block::open(Arc::clone(fs), &dir::path_of(output, ulid))?.size_bytes())
}

/// Fails before anything is written if a sample has no timestamp, or the text isn't OpenMetrics.
fn check_times(input: &[u8]) -> Result<(), InputError> {
    let mut parser = OpenMetricsParser::new(input);
    while let Some(entry) = parser.next_entry()? {
        if let Entry::Sample(sample) = entry {
            timestamp(&sample)?;
        }
    }
    Ok(())
}

fn timestamp(sample: &scrape::parse::Sample<'_>) -> Result<TimestampMs, InputError> {
    let series = || String::from_utf8_lossy(sample.series).into_owned();
    sample.timestamp_ms.ok_or_else(|| InputError::NoTimestamp(series()))
}

/// The samples of a text.
struct Samples<'a> {
    parser: OpenMetricsParser<'a>,
    what: &'a Openmetrics,
    len: usize,
    bar: &'a ProgressBar,
}

impl Samples<'_> {
    fn next_sample(&mut self) -> Result<Option<Sample>, InputError> {
        while let Some(entry) = self.parser.next_entry()? {
            let Entry::Sample(sample) = entry else { continue };
            let timestamp_ms = timestamp(&sample)?;
            let mut labels = LabelsBuilder::new();
            for (name, value) in self.parser.labels() {
                labels.set(&name, &value);
            }
            for (name, value) in &self.what.labels {
                labels.set(name, value);
            }
            self.bar.set_position((self.len - self.parser.rest().len()) as u64);
            return Ok(Some(Sample { labels: labels.build(), timestamp_ms, value: sample.value }));
        }
        Ok(None)
    }
}

impl Iterator for Samples<'_> {
    type Item = Result<Sample, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_sample().transpose()
    }
}
