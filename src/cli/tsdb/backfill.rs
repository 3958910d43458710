//! `tsdb create-blocks-from openmetrics`: blocks out of a file of OpenMetrics text; and how blocks are made of any
//! samples.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use indicatif::ProgressBar;
use model::cancel::Cancel;
use model::labels::LabelsBuilder;
use model::storage::SampleValue;
use model::time::{Clock, SystemClock, TimestampMs};
use scrape::parse::{Entry, Lines, OpenMetricsParser, ParseError};
use tsdb::block::meta::BlockMeta;
use tsdb::block::{Block, dir};
use tsdb::compact::{Compactor, CompactorOptions, UlidSource};
use tsdb::fs::{Fs, RealFs};
use tsdb::tools::{BackfillOptions, BlockTable, Sample, compatible_block_duration, create_blocks};

use super::progress::{Unit, bar};

/// How blocks are printed that were made.
#[derive(clap::Args)]
pub(in crate::cli) struct Output {
    /// Print sizes and times as people read them
    #[arg(short = 'r', long)]
    human_readable: bool,
    /// Don't print the blocks
    #[arg(short, long)]
    quiet: bool,
}

/// How blocks are made of a file.
#[derive(clap::Args)]
pub(in crate::cli) struct Openmetrics {
    #[command(flatten)]
    print: Output,
    /// A label that every series gets, name=value; can be repeated
    #[arg(long = "label", value_parser = label)]
    labels: Vec<(String, String)>,
    /// The file; each of its samples needs a timestamp
    input: PathBuf,
    /// Where the blocks go
    #[arg(default_value = "data/")]
    output: PathBuf,
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
    let mut blocks = Blocks::new(&what.output, compatible_block_duration(duration_max_ms))?;
    let bar = bar(input.len() as u64, Unit::Bytes, false);
    let open = || {
        bar.set_position(0);
        Ok::<_, InputError>(Samples {
            parser: OpenMetricsParser::new(&input),
            what,
            len: input.len(),
            bar: &bar,
        })
    };
    let written = blocks.write(open, &Cancel::new());
    bar.finish_and_clear();
    written?;
    blocks.print(&what.print, out)
}

/// Writes blocks into a directory.
pub(super) struct Blocks {
    fs: Arc<dyn Fs>,
    compactor: Compactor,
    options: BackfillOptions,
    dir: PathBuf,
    written: Vec<BlockMeta>,
}

impl Blocks {
    /// Blocks of a time range, in a directory that is made if it isn't there.
    pub(super) fn new(dir: &Path, duration_ms: i64) -> anyhow::Result<Self> {
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        fs.create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let seed = u64::from(std::process::id()) << 32 ^ clock.now_ms() as u64;
        let compactor =
            Compactor::new(Arc::clone(&fs), UlidSource::new(clock, seed), CompactorOptions::default());
        let options = BackfillOptions::new(duration_ms);
        Ok(Blocks { fs, compactor, options, dir: dir.to_owned(), written: Vec::new() })
    }

    /// Writes samples. `open` begins them anew, where there are more than are held at a time.
    pub(super) fn write<E, I>(
        &mut self,
        open: impl FnMut() -> Result<I, E>,
        cancel: &Cancel,
    ) -> anyhow::Result<()>
    where
        E: std::error::Error + Send + Sync + 'static,
        I: Iterator<Item = Result<Sample, E>>,
    {
        let written = &mut self.written;
        create_blocks(&self.compactor, &self.dir, self.options, open, cancel, |meta| {
            written.push(meta.clone())
        })
        .context("block creation")
    }

    /// Prints what was written.
    pub(super) fn print(&self, output: &Output, out: &mut dyn Write) -> anyhow::Result<()> {
        if output.quiet || self.written.is_empty() {
            return Ok(());
        }
        let mut table = BlockTable::new(output.human_readable);
        for meta in &self.written {
            let block = Block::open(Arc::clone(&self.fs), &dir::path_of(&self.dir, meta.ulid))?;
            table.add(meta, block.size_bytes());
        }
        Ok(table.print(out)?)
    }
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
            return Ok(Some(Sample {
                labels: labels.build(),
                timestamp_ms,
                value: SampleValue::Float(sample.value),
            }));
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
