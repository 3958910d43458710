//! `tsdb analyze`: which labels a block's series come from, and how well its chunks are filled.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use hashbrown::HashMap;
use model::cancel::Cancel;
use model::labels::METRIC_NAME;
use model::matcher::Matcher;
use model::storage::{SampleColumns, StorageError};

use super::text::go_duration;
use super::{StoredBlocks, ToolError};
use crate::block::Block;
use crate::block::index::ChunkMeta;
use crate::block::symbols::Symbol;
use crate::chunk::{ChunkError, Encoding, decode_into, sample_count};
use crate::error::check;
use crate::fs::Fs;
use crate::postings::SeriesId;
use crate::select::postings_for_matchers;

/// What to analyze.
#[derive(Clone, Debug)]
pub struct AnalyzeOptions {
    /// The name of the block; `None`: the newest.
    pub block: Option<String>,
    /// Only series that satisfy these.
    pub matchers: Vec<Matcher>,
    /// The selector as it was written, to be printed.
    pub selector: String,
    /// Lines of each list at most.
    pub limit: usize,
    /// Whether to read the chunks as well.
    pub extended: bool,
}

impl Default for AnalyzeOptions {
    fn default() -> Self {
        AnalyzeOptions {
            block: None,
            matchers: Vec::new(),
            selector: String::new(),
            limit: 20,
            extended: false,
        }
    }
}

/// Prints the analysis of a block of a data directory.
pub fn analyze(
    fs: &Arc<dyn Fs>,
    data_dir: &Path,
    options: &AnalyzeOptions,
    cancel: &Cancel,
    out: &mut dyn Write,
) -> Result<(), ToolError> {
    let blocks = StoredBlocks::open(fs, data_dir)?;
    let block = match &options.block {
        None => blocks.iter().last().ok_or(ToolError::NoBlocks)?,
        Some(name) => {
            let named = blocks.iter().find(|block| block.ulid().to_string() == *name);
            named.ok_or_else(|| ToolError::NoSuchBlock(name.clone()))?
        }
    };
    let ids = postings_for_matchers(block.index(), &options.matchers, cancel)?;
    let counts = LabelCounts::gather(block, &ids, cancel)?;
    let meta = block.meta();
    writeln!(out, "Block ID: {}", meta.ulid)?;
    // A block has a resolution of one millisecond.
    writeln!(out, "Duration: {}", go_duration(meta.max_time - meta.min_time))?;
    writeln!(out, "Total Series: {}", meta.stats.num_series)?;
    if !options.matchers.is_empty() {
        writeln!(out, "Matcher: {}", options.selector)?;
    }
    writeln!(out, "Label names: {}", counts.names.len())?;
    if !options.matchers.is_empty() {
        writeln!(out, "Matched series: {}", ids.len())?;
    }
    writeln!(out, "Postings (unique label pairs): {}", counts.pairs.len())?;
    writeln!(out, "Postings entries (total label pairs): {}", counts.entries)?;
    counts.print(block, options.limit, out)?;
    if options.extended {
        ChunkSizes::gather(block, &ids, cancel)?.print(out)?;
    }
    Ok(())
}

/// Sums over the series that have a label, or a label pair.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    series: u64,
    /// Milliseconds of the block's time that the series don't cover.
    uncovered_ms: u64,
}

impl Sums {
    fn add(&mut self, uncovered_ms: u64) {
        self.series += 1;
        self.uncovered_ms = self.uncovered_ms.saturating_add(uncovered_ms);
    }
}

/// How often each label and each pair occurs.
#[derive(Debug, Default)]
struct LabelCounts {
    names: HashMap<Symbol, Sums, foldhash::fast::RandomState>,
    pairs: HashMap<(Symbol, Symbol), Sums, foldhash::fast::RandomState>,
    entries: u64,
}

impl LabelCounts {
    fn gather(block: &Block, ids: &[SeriesId], cancel: &Cancel) -> Result<Self, StorageError> {
        let meta = block.meta();
        let mut counts = LabelCounts::default();
        let mut chunks = Vec::new();
        for id in ids {
            check(cancel)?;
            block.index().chunks(*id, &mut chunks)?;
            let covered = match (chunks.first(), chunks.last()) {
                (Some(first), Some(last)) => last.maxt.abs_diff(first.mint),
                _ => 0,
            };
            let uncovered_ms = meta.max_time.abs_diff(meta.min_time).saturating_sub(covered);
            block.index().visit_symbols(*id, &mut |name, value| {
                counts.names.entry(name).or_default().add(uncovered_ms);
                counts.pairs.entry((name, value)).or_default().add(uncovered_ms);
                counts.entries += 1;
                Ok(())
            })?;
        }
        Ok(counts)
    }

    fn print(&self, block: &Block, limit: usize, out: &mut dyn Write) -> Result<(), ToolError> {
        let index = block.index();
        let meta = block.meta();
        let range_ms = meta.max_time.abs_diff(meta.min_time).max(1);
        let pair = |(name, value): (Symbol, Symbol)| -> Result<String, StorageError> {
            Ok(format!("{}={}", index.symbol(name)?, index.symbol(value)?))
        };
        let name = |name: Symbol| index.symbol(name).map(str::to_owned);

        let churn = self.pairs.iter().map(|(key, sums)| (sums.uncovered_ms / range_ms, *key));
        print_top("Label pairs most involved in churning", churn, pair, limit, out)?;
        let churn = self.names.iter().map(|(key, sums)| (sums.uncovered_ms / range_ms, *key));
        print_top("Label names most involved in churning", churn, name, limit, out)?;
        let common = self.pairs.iter().map(|(key, sums)| (sums.series, *key));
        print_top("Most common label pairs", common, pair, limit, out)?;

        let mut values: HashMap<Symbol, (u64, u64), foldhash::fast::RandomState> = HashMap::default();
        for (name, value) in self.pairs.keys() {
            let (count, text_bytes) = values.entry(*name).or_default();
            *count += 1;
            *text_bytes += index.symbol(*value)?.len() as u64;
        }
        let title = "Label names with highest cumulative label value length";
        print_top(title, values.iter().map(|(key, (_, bytes))| (*bytes, *key)), name, limit, out)?;
        let cardinality = values.iter().map(|(key, (count, _))| (*count, *key));
        print_top("Highest cardinality labels", cardinality, name, limit, out)?;

        let metric_name = index.find_symbol(METRIC_NAME)?;
        let metrics = self.pairs.iter().filter(|((name, _), _)| Some(*name) == metric_name);
        let metrics = metrics.map(|((_, value), sums)| (sums.series, *value));
        print_top("Highest cardinality metric names", metrics, name, limit, out)
    }
}

/// Prints the entries with the highest numbers; equal ones in order of their texts' symbols, which is that of
/// the texts.
fn print_top<K: Ord + Copy>(
    title: &str,
    entries: impl Iterator<Item = (u64, K)>,
    text: impl Fn(K) -> Result<String, StorageError>,
    limit: usize,
    out: &mut dyn Write,
) -> Result<(), ToolError> {
    writeln!(out, "\n{title}:")?;
    let mut entries: Vec<(u64, K)> = entries.collect();
    entries.sort_unstable_by_key(|(number, key)| (std::cmp::Reverse(*number), *key));
    for (number, key) in entries.into_iter().take(limit) {
        writeln!(out, "{number} {}", text(key)?)?;
    }
    Ok(())
}

/// Sizes of chunks, a number for each.
#[derive(Debug, Default)]
struct ChunkSizes {
    chunks: usize,
    float_samples: Vec<usize>,
    float_bytes: Vec<usize>,
    histogram_samples: Vec<usize>,
    histogram_bytes: Vec<usize>,
    histogram_buckets: Vec<usize>,
}

impl ChunkSizes {
    fn gather(block: &Block, ids: &[SeriesId], cancel: &Cancel) -> Result<Self, StorageError> {
        let mut sizes = ChunkSizes::default();
        let mut chunks = Vec::new();
        for id in ids {
            check(cancel)?;
            block.index().chunks(*id, &mut chunks)?;
            for chunk in &chunks {
                sizes.add(block, chunk)?;
            }
        }
        Ok(sizes)
    }

    fn add(&mut self, block: &Block, chunk: &ChunkMeta) -> Result<(), StorageError> {
        let damaged = |error: ChunkError| block.chunks().corrupt(chunk.at, error);
        let raw = block.chunks().get(chunk.at)?;
        let encoding = Encoding::from_u8(raw.encoding).map_err(damaged)?;
        let samples = usize::from(sample_count(encoding, raw.data).map_err(damaged)?);
        self.chunks += 1;
        if encoding.is_float() {
            self.float_samples.push(samples);
            self.float_bytes.push(raw.data.len());
        } else {
            let mut columns = SampleColumns::default();
            decode_into(encoding, raw.data, i64::MIN, i64::MAX, &mut columns).map_err(damaged)?;
            let buckets = |h: &Arc<model::histogram::FloatHistogram>| {
                h.positive_buckets.len() + h.negative_buckets.len()
            };
            self.histogram_samples.push(samples);
            self.histogram_bytes.push(raw.data.len());
            self.histogram_buckets.push(columns.histograms.iter().map(buckets).sum());
        }
        Ok(())
    }

    fn print(self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\nCompaction analysis:\n")?;
        for (title, sizes) in [
            ("samples per float chunk", self.float_samples),
            ("bytes per float chunk", self.float_bytes),
            ("samples per histogram chunk", self.histogram_samples),
            ("bytes per histogram chunk", self.histogram_bytes),
            ("buckets per histogram chunk", self.histogram_buckets),
        ] {
            print_distribution(title, sizes, self.chunks, out)?;
        }
        Ok(())
    }
}

/// Prints how many of the numbers are in which range, with a bar of one `#` for each percent of `total`.
fn print_distribution(
    title: &str,
    mut numbers: Vec<usize>,
    total: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    numbers.sort_unstable();
    let (Some(min), Some(max)) = (numbers.first().copied(), numbers.last().copied()) else {
        return writeln!(out, "{title}: N/A\n");
    };
    let (start, end, step) = bars(min, max);
    let mut counts = vec![0; (end - start) / step + 1];
    for number in &numbers {
        counts[(number - start) / step] += 1;
    }
    let average = numbers.iter().sum::<usize>() / numbers.len();
    writeln!(out, "{title} (min/avg/max): {min}/{average}/{max}")?;
    let digits = |number: usize| number.to_string().len();
    let (left, right) = (digits(end), digits(end + step));
    let count_width = digits(counts.iter().copied().max().unwrap_or(0));
    for (nth, count) in counts.iter().enumerate() {
        let (from, to) = (nth * step + start + 1, (nth + 1) * step + start);
        let bar = "#".repeat(100 * count / total);
        writeln!(out, "[{from:left$}, {to:right$}]: {count:count_width$} {bar}")?;
    }
    writeln!(out)
}

/// Where the ranges of a distribution begin and end, and how wide each is; as in promtool.
fn bars(min: usize, max: usize) -> (usize, usize, usize) {
    /// Ranges get no wider than ten times this.
    const STEP_MAX: usize = 10_000;
    let tenth = (max - min) / 10;
    let mut step = 10;
    while step < tenth && step <= STEP_MAX {
        step *= 10;
    }
    (min - min % step, max - max % step + step, step)
}
