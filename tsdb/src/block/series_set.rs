//! Series selected from a block.

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashMap;
use model::cancel::Cancel;
use model::labels::Labels;
use model::storage::{LabelColumn, SampleColumns, SampleValue, SeriesSet, StorageError};
use model::time::TimestampMs;

use super::Block;
use super::index::ChunkMeta;
use super::tombstones::{Interval, Tombstones, kept};
use crate::chunk::{self, ChunkError, Encoding};
use crate::error::check;
use crate::postings::SeriesId;

/// How many chunks, some thousand samples, are read between two looks at the cancel flag.
const CANCEL_EVERY: usize = 64;

/// See [`Block::select`]. Every series was decoded and verified when it was selected.
#[derive(Debug)]
pub struct BlockSeriesSet {
    block: Arc<Block>,
    /// Ascending, and so ascending by label set.
    ids: Vec<SeriesId>,
    tombstones: Arc<Tombstones>,
    cancel: Cancel,
}

impl BlockSeriesSet {
    pub(super) fn new(
        block: Arc<Block>,
        ids: Vec<SeriesId>,
        tombstones: Arc<Tombstones>,
        cancel: &Cancel,
    ) -> Self {
        BlockSeriesSet { block, ids, tombstones, cancel: cancel.clone() }
    }

    /// The chunks of a series, and what of it is deleted.
    fn chunks(&self, series: usize) -> Result<(Vec<ChunkMeta>, &[Interval]), StorageError> {
        let id = self.ids[series];
        let mut chunks = Vec::new();
        self.block.index().chunks(id, &mut chunks)?;
        Ok((chunks, self.tombstones.of(u64::from(id))))
    }

    /// Appends the samples of a chunk that are within an interval.
    fn decode(
        &self,
        chunk: &ChunkMeta,
        within: Interval,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        let chunks = self.block.chunks();
        let raw = chunks.get(chunk.at)?;
        let damaged = |error: ChunkError| chunks.corrupt(chunk.at, error);
        let encoding = Encoding::from_u8(raw.encoding).map_err(damaged)?;
        chunk::decode_into(encoding, raw.data, within.mint, within.maxt, out).map_err(damaged)
    }

    /// The index of each series' value of a label in a dictionary.
    fn column(&self, name: &str) -> Result<LabelColumn<'_>, StorageError> {
        let index = self.block.index();
        let mut column = LabelColumn { values: vec![Cow::Borrowed("")], ids: vec![0; self.ids.len()] };
        let Some(wanted) = index.find_symbol(name)? else { return Ok(column) };
        let mut numbers: HashMap<u32, u32, foldhash::fast::RandomState> = HashMap::default();
        for (id, slot) in self.ids.iter().zip(&mut column.ids) {
            let mut found = None;
            index.visit_symbols(*id, &mut |name, value| {
                if name == wanted {
                    found = Some(value);
                }
                Ok(())
            })?;
            let Some(value) = found else { continue };
            *slot = match numbers.get(&value) {
                Some(number) => *number,
                None => {
                    let number = column.values.len() as u32;
                    column.values.push(Cow::Borrowed(index.symbol(value)?));
                    numbers.insert(value, number);
                    number
                }
            };
        }
        Ok(column)
    }
}

impl SeriesSet for BlockSeriesSet {
    fn len(&self) -> usize {
        self.ids.len()
    }

    fn labels(&self, series: usize) -> Labels {
        // The entry was verified when the series was selected. If the disk gave other bytes since, the name
        // is lost, and reading the samples says why.
        self.block.index().labels(self.ids[series]).unwrap_or_default()
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        let nothing = || LabelColumn { values: vec![Cow::Borrowed("")], ids: vec![0; self.ids.len()] };
        self.column(name).unwrap_or_else(|_| nothing())
    }

    fn read(
        &self,
        series: usize,
        mint: TimestampMs,
        maxt: TimestampMs,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        let (chunks, deleted) = self.chunks(series)?;
        for within in kept(mint, maxt, deleted) {
            let mut begin = within.mint;
            let in_range = chunks.iter().filter(|chunk| chunk.overlaps(within.mint, within.maxt));
            for (nth, chunk) in in_range.enumerate() {
                if nth.is_multiple_of(CANCEL_EVERY) {
                    check(&self.cancel)?;
                }
                // Chunks don't overlap. Where another's writer thought otherwise, the first one counts.
                let within = Interval { mint: begin, maxt: within.maxt };
                self.decode(chunk, within, out)?;
                begin = begin.max(chunk.maxt.saturating_add(1));
            }
        }
        Ok(())
    }

    fn last(
        &self,
        series: usize,
        mint: TimestampMs,
        maxt: TimestampMs,
    ) -> Result<Option<(TimestampMs, SampleValue)>, StorageError> {
        let (chunks, deleted) = self.chunks(series)?;
        let ranges: Vec<Interval> = kept(mint, maxt, deleted).collect();
        let mut columns = SampleColumns::default();
        for within in ranges.into_iter().rev() {
            for chunk in chunks.iter().rev().filter(|chunk| chunk.overlaps(within.mint, within.maxt)) {
                self.decode(chunk, within, &mut columns)?;
                if let Some(last) = pop_last(&mut columns) {
                    return Ok(Some(last));
                }
            }
        }
        Ok(None)
    }
}

/// The newest sample of the columns.
fn pop_last(columns: &mut SampleColumns) -> Option<(TimestampMs, SampleValue)> {
    let float = columns.timestamps.last().copied().zip(columns.values.last().copied());
    let histogram = columns.histogram_timestamps.last().copied().zip(columns.histograms.pop());
    match (float, histogram) {
        (Some((t, _)), Some((ht, histogram))) if ht > t => Some((ht, SampleValue::Histogram(histogram))),
        (None, Some((t, histogram))) => Some((t, SampleValue::Histogram(histogram))),
        (Some((t, value)), _) => Some((t, SampleValue::Float(value))),
        (None, None) => None,
    }
}
