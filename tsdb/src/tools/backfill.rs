//! `tsdb create-blocks-from`: blocks out of samples in any order of time.
//!
//! The samples are gone through as often as it takes to hold no more than a bounded number of them: each time,
//! those of the oldest blocks that aren't written yet are gathered. Mostly that is once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hashbrown::HashMap;
use model::cancel::Cancel;
use model::histogram::FloatHistogram;
use model::labels::Labels;
use model::storage::{AppendError, SampleColumns, SampleValue, StorageError};
use model::time::TimestampMs;

use crate::block::meta::BlockMeta;
use crate::compact::{Compactor, SeriesSource, SourceSeries, ranges};
use crate::error::check;

/// How many samples are in memory at most before the newest block is put off: 512 MiB, if series are long.
const SAMPLES_MAX: usize = 32 << 20;
/// How many samples are taken between two looks at the cancel flag.
const CANCEL_EVERY: usize = 4096;
/// Two hours, as the head's blocks.
const BLOCK_DURATION_MS: i64 = 2 * 3_600_000;

/// A sample of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The series.
    pub labels: Labels,
    /// When.
    pub timestamp_ms: TimestampMs,
    /// What.
    pub value: SampleValue,
}

/// How blocks are made.
#[derive(Clone, Copy, Debug)]
pub struct BackfillOptions {
    /// Time range of a block; see [`compatible_block_duration`].
    pub block_duration_ms: i64,
    /// See the constant of this name; tests have less.
    samples_max: usize,
}

impl BackfillOptions {
    /// Blocks of this time range.
    pub fn new(block_duration_ms: i64) -> Self {
        BackfillOptions { block_duration_ms: block_duration_ms.max(1), samples_max: SAMPLES_MAX }
    }

    #[cfg(test)]
    pub(super) fn with_samples_max(self, samples_max: usize) -> Self {
        BackfillOptions { samples_max, ..self }
    }
}

/// Why no blocks were made of some input, whose own errors are `E`. Blocks that were written before stay.
#[derive(Debug, thiserror::Error)]
pub enum BackfillError<E: std::error::Error> {
    /// The input can't be read.
    #[error(transparent)]
    Input(E),
    /// A series has two values at one time.
    #[error("add sample of series {labels}: {error}")]
    Sample {
        /// The series.
        labels: Labels,
        /// What is wrong.
        error: AppendError,
    },
    /// A block can't be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The largest block duration that compaction fits in, for blocks of at most `max_ms`: two hours times a power
/// of three.
pub fn compatible_block_duration(max_ms: i64) -> i64 {
    ranges(BLOCK_DURATION_MS, max_ms).last().copied().unwrap_or(BLOCK_DURATION_MS)
}

/// As how many floats a histogram counts: about what one with some tens of buckets takes.
const HISTOGRAM_FLOATS: usize = 32;

/// The samples of one block, by series.
type Pending = HashMap<Labels, SeriesSamples, foldhash::fast::RandomState>;

/// The samples of one series.
#[derive(Debug, Default)]
struct SeriesSamples {
    floats: Vec<(TimestampMs, f64)>,
    histograms: Vec<(TimestampMs, Arc<FloatHistogram>)>,
}

impl SeriesSamples {
    fn push(&mut self, timestamp_ms: TimestampMs, value: SampleValue) {
        match value {
            SampleValue::Float(value) => self.floats.push((timestamp_ms, value)),
            SampleValue::Histogram(value) => self.histograms.push((timestamp_ms, value)),
        }
    }

    /// How much it counts towards the samples that are held at a time.
    fn weight(&self) -> usize {
        self.floats.len() + self.histograms.len() * HISTOGRAM_FLOATS
    }

    /// Brings the samples in order of time, each once. Fails if there are two values at one time.
    fn sort(&mut self) -> Result<(), AppendError> {
        let duplicate = |timestamp_ms, existing, new| AppendError::Duplicate { timestamp_ms, existing, new };
        self.floats.sort_by_key(|(t, _)| *t);
        self.floats.dedup_by(|a, b| a.0 == b.0 && a.1.to_bits() == b.1.to_bits());
        if let Some(pair) = self.floats.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(duplicate(pair[0].0, pair[0].1, pair[1].1));
        }
        self.histograms.sort_by_key(|(t, _)| *t);
        self.histograms.dedup_by(|a, b| a.0 == b.0 && a.1.equals(&b.1));
        if let Some(pair) = self.histograms.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(duplicate(pair[0].0, pair[0].1.sum, pair[1].1.sum));
        }
        for (t, histogram) in &self.histograms {
            if let Ok(nth) = self.floats.binary_search_by_key(t, |(t, _)| *t) {
                return Err(duplicate(*t, self.floats[nth].1, histogram.sum));
            }
        }
        Ok(())
    }

    /// The first and the last time of sorted samples.
    fn range(&self) -> Option<(TimestampMs, TimestampMs)> {
        let ends = [self.floats.first().map(|(t, _)| *t), self.histograms.first().map(|(t, _)| *t)];
        let first = ends.into_iter().flatten().min()?;
        let ends = [self.floats.last().map(|(t, _)| *t), self.histograms.last().map(|(t, _)| *t)];
        Some((first, ends.into_iter().flatten().max()?))
    }

    fn into_columns(self) -> SampleColumns {
        let (timestamps, values) = self.floats.into_iter().unzip();
        let (histogram_timestamps, histograms) = self.histograms.into_iter().unzip();
        SampleColumns { timestamps, values, histogram_timestamps, histograms, ..SampleColumns::default() }
    }
}

/// Writes blocks into a directory, oldest first, and names each to `written`. `open` begins the input anew.
pub fn create_blocks<E, I>(
    compactor: &Compactor,
    dir: &Path,
    options: BackfillOptions,
    mut open: impl FnMut() -> Result<I, E>,
    cancel: &Cancel,
    mut written: impl FnMut(&BlockMeta),
) -> Result<(), BackfillError<E>>
where
    E: std::error::Error,
    I: Iterator<Item = Result<Sample, E>>,
{
    let mut from = Some(TimestampMs::MIN);
    while let Some(begin) = from {
        let input = open().map_err(BackfillError::Input)?;
        let gathered = gather(input, begin, options, cancel)?;
        from = gathered.next;
        for samples in gathered.blocks.into_values() {
            if let Some(meta) = write_block(compactor, dir, samples, cancel)? {
                written(&meta);
            }
        }
    }
    Ok(())
}

/// What a pass over the input gathers.
struct Gathered {
    /// By the blocks' beginnings.
    blocks: BTreeMap<TimestampMs, Pending>,
    /// Where the next pass has to begin, if there is one.
    next: Option<TimestampMs>,
}

/// The samples of the oldest blocks from a time on.
fn gather<E: std::error::Error>(
    input: impl Iterator<Item = Result<Sample, E>>,
    from: TimestampMs,
    options: BackfillOptions,
    cancel: &Cancel,
) -> Result<Gathered, BackfillError<E>> {
    let mut blocks: BTreeMap<TimestampMs, Pending> = BTreeMap::new();
    let mut held = 0;
    let mut next = None;
    for (nth, sample) in input.enumerate() {
        if nth.is_multiple_of(CANCEL_EVERY) {
            check(cancel)?;
        }
        let Sample { labels, timestamp_ms, value } = sample.map_err(BackfillError::Input)?;
        let duration = options.block_duration_ms;
        let begin = timestamp_ms.div_euclid(duration).saturating_mul(duration);
        if begin < from || next.is_some_and(|next| begin >= next) {
            continue;
        }
        held += if matches!(value, SampleValue::Float(_)) { 1 } else { HISTOGRAM_FLOATS };
        blocks.entry(begin).or_default().entry(labels).or_default().push(timestamp_ms, value);
        if held > options.samples_max
            && blocks.len() > 1
            && let Some((begin, dropped)) = blocks.pop_last()
        {
            held -= dropped.values().map(SeriesSamples::weight).sum::<usize>();
            next = Some(begin);
        }
    }
    Ok(Gathered { blocks, next })
}

fn write_block<E: std::error::Error>(
    compactor: &Compactor,
    dir: &Path,
    samples: Pending,
    cancel: &Cancel,
) -> Result<Option<BlockMeta>, BackfillError<E>> {
    let mut series: Vec<(Labels, SeriesSamples)> = samples.into_iter().collect();
    series.sort_by(|a, b| a.0.cmp(&b.0));
    let (mut min_time, mut max_time) = (TimestampMs::MAX, TimestampMs::MIN);
    for (labels, samples) in &mut series {
        samples.sort().map_err(|error| BackfillError::Sample { labels: labels.clone(), error })?;
        if let Some((first, last)) = samples.range() {
            min_time = min_time.min(first);
            max_time = max_time.max(last);
        }
    }
    let mut source = SortedSamples { series: series.into_iter() };
    Ok(compactor.write(dir, &mut source, (min_time, max_time.saturating_add(1)), &[], cancel)?)
}

/// Samples in memory, in order of labels and time.
#[derive(Debug)]
struct SortedSamples {
    series: std::vec::IntoIter<(Labels, SeriesSamples)>,
}

impl SeriesSource for SortedSamples {
    fn next(&mut self, into: &mut SourceSeries) -> Result<bool, StorageError> {
        let Some((labels, samples)) = self.series.next() else { return Ok(false) };
        into.reset(labels);
        into.push_samples(samples.into_columns());
        Ok(true)
    }
}
