//! Reading what was selected, see [`super::select`].

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use model::cancel::Cancel;
use model::labels::Labels;
use model::storage::{LabelColumn, SampleColumns, SampleValue, SeriesSet, StorageError};
use model::time::TimestampMs;

use super::Head;
use super::out_of_order::{LateSamples, decode_run};
use super::series::{Kind, Sealed};
use super::symbols::{SymbolId, SymbolReader};
use crate::block::tombstones::{Interval, Tombstones, kept};
use crate::chunk::{ChunkError, Encoding, decode_into};
use crate::error::check;
use crate::head_chunks::{HeadChunkReader, Location};
use crate::merge::add_columns;

/// How many chunks, some thousand samples, are read between two looks at the cancel flag.
const CANCEL_EVERY: usize = 64;

/// A series of a selection.
#[derive(Clone, Debug)]
pub(super) struct Selected {
    pub(super) id: u32,
    /// Symbols of its label pairs in [`HeadSeries::pairs`].
    pub(super) pairs: Range<u32>,
    /// Its full chunks in [`HeadSeries::sealed`], oldest first.
    pub(super) sealed: Range<u32>,
    /// Its open chunk in [`HeadSeries::open_bytes`].
    pub(super) open: Range<u32>,
    /// Of the open chunk, if it may have samples in the range.
    pub(super) open_encoding: Option<Encoding>,
    pub(super) open_min_t: TimestampMs,
    /// The newest sample in order. Chunks may have others after it, which don't belong to the selection.
    pub(super) newest: (TimestampMs, f64),
    /// Of the newest sample in order.
    pub(super) kind: Kind,
    /// What came out of order.
    pub(super) late: Option<Arc<LateSamples>>,
}

/// The selected series of the head.
#[derive(Debug)]
pub(crate) struct HeadSeries {
    head: Arc<Head>,
    pub(super) series: Vec<Selected>,
    pub(super) pairs: Vec<(SymbolId, SymbolId)>,
    pub(super) sealed: Vec<Sealed>,
    pub(super) open_bytes: Vec<u8>,
    /// Has the files of all full chunks.
    pub(super) reader: HeadChunkReader,
    tombstones: Arc<Tombstones>,
    cancel: Cancel,
    /// Keeps the symbols from being given to other texts.
    _symbols: SymbolReader,
}

impl HeadSeries {
    /// A selection without series.
    pub(super) fn new(
        head: &Arc<Head>,
        tombstones: &Arc<Tombstones>,
        symbols: &SymbolReader,
        cancel: &Cancel,
    ) -> Self {
        HeadSeries {
            head: Arc::clone(head),
            series: Vec::new(),
            pairs: Vec::new(),
            sealed: Vec::new(),
            open_bytes: Vec::new(),
            reader: HeadChunkReader::default(),
            tombstones: Arc::clone(tombstones),
            cancel: cancel.clone(),
            _symbols: symbols.clone(),
        }
    }

    fn pairs(&self, series: usize) -> &[(SymbolId, SymbolId)] {
        let Range { start, end } = self.series[series].pairs;
        &self.pairs[start as usize..end as usize]
    }

    /// Reads a full chunk; `buffer` is for the bytes of one that isn't mapped.
    fn read_chunk(
        &self,
        location: Location,
        within: Interval,
        buffer: &mut Vec<u8>,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        let (encoding, bytes) = self.reader.read(location, buffer)?;
        decode_into(encoding, bytes, within.mint, within.maxt, out)
            .map_err(|error| corrupt("head chunk", error))
    }

    fn read_open(
        &self,
        series: &Selected,
        within: Interval,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        let Some(encoding) = series.open_encoding else { return Ok(()) };
        let bytes = &self.open_bytes[series.open.start as usize..series.open.end as usize];
        decode_into(encoding, bytes, within.mint, within.maxt, out)
            .map_err(|error| corrupt("open chunk in memory", error))
    }

    /// Reads the samples of a series that came in order.
    fn read_in_order(
        &self,
        series: &Selected,
        within: Interval,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        let within = Interval { maxt: within.maxt.min(series.newest.0), ..within };
        let sealed = self.sealed(series);
        let mut buffer = Vec::new();
        for (at, chunk) in sealed.iter().enumerate() {
            if at.is_multiple_of(CANCEL_EVERY) {
                check(&self.cancel)?;
            }
            let next = sealed.get(at + 1).map(|next| next.min_t);
            if chunk.min_t <= within.maxt && next.is_none_or(|next| next > within.mint) {
                self.read_chunk(chunk.location, within, &mut buffer, out)?;
            }
        }
        self.read_open(series, within, out)
    }

    /// Reads all samples of a series that aren't deleted.
    fn read_within(
        &self,
        series: &Selected,
        within: Interval,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        let Some(late) = &series.late else { return self.read_in_order(series, within, out) };
        let overlaps = |min_t: TimestampMs, max_t: TimestampMs| min_t <= within.maxt && max_t >= within.mint;
        let mut merged = SampleColumns::default();
        self.read_in_order(series, within, &mut merged)?;
        let mut buffer = Vec::new();
        for chunk in late.sealed.iter().filter(|chunk| overlaps(chunk.min_t, chunk.max_t)) {
            let mut columns = SampleColumns::default();
            self.read_chunk(chunk.location, within, &mut buffer, &mut columns)?;
            add_columns(&mut merged, columns);
        }
        for run in late.runs().iter().filter(|run| overlaps(run.min_t, run.max_t)) {
            let mut columns = SampleColumns::default();
            decode_run(run, within.mint, within.maxt, &mut columns)
                .map_err(|error| corrupt("samples out of order in memory", error))?;
            add_columns(&mut merged, columns);
        }
        add_columns(out, merged);
        Ok(())
    }

    /// The full chunks of a series, oldest first.
    fn sealed(&self, series: &Selected) -> &[Sealed] {
        &self.sealed[series.sealed.start as usize..series.sealed.end as usize]
    }
}

impl SeriesSet for HeadSeries {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, series: usize) -> Labels {
        let index = self.head.index.read();
        let symbols = index.symbols();
        Labels::from_sorted_pairs(
            self.pairs(series).iter().map(|(name, value)| (symbols.text(*name), symbols.text(*value))),
        )
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        let index = self.head.index.read();
        let mut column = LabelColumn { values: vec![Cow::Borrowed("")], ids: Vec::with_capacity(self.len()) };
        let mut ids: HashMap<SymbolId, u32> = HashMap::new();
        // A name may be without a symbol now and have had one when the series were selected, so that names
        // are compared by text, once for each symbol. There are few of them: looking through all beats hashing.
        let (mut wanted, mut others): (Option<SymbolId>, Vec<SymbolId>) = (None, Vec::new());
        for series in 0..self.len() {
            let mut is_name = |symbol: SymbolId| {
                if wanted.is_some() || others.contains(&symbol) {
                    return wanted == Some(symbol);
                }
                let found = index.symbols().text(symbol) == name;
                if found {
                    wanted = Some(symbol);
                } else {
                    others.push(symbol);
                }
                found
            };
            let value = self.pairs(series).iter().find(|pair| is_name(pair.0)).map(|pair| pair.1);
            column.ids.push(value.map_or(0, |value| {
                *ids.entry(value).or_insert_with(|| {
                    column.values.push(Cow::Owned(index.symbols().text(value).to_owned()));
                    column.values.len() as u32 - 1
                })
            }));
        }
        column
    }

    fn read(
        &self,
        series: usize,
        mint: TimestampMs,
        maxt: TimestampMs,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        let series = &self.series[series];
        for within in kept(mint, maxt, self.tombstones.of(u64::from(series.id))) {
            self.read_within(series, within, out)?;
        }
        Ok(())
    }

    fn last(
        &self,
        series: usize,
        mint: TimestampMs,
        maxt: TimestampMs,
    ) -> Result<Option<(TimestampMs, SampleValue)>, StorageError> {
        let series = &self.series[series];
        let deleted = self.tombstones.of(u64::from(series.id));
        let (newest, value) = series.newest;
        let plain = deleted.is_empty() && series.late.is_none();
        if plain && newest <= maxt && series.kind == Kind::Float {
            return Ok((newest >= mint).then_some((newest, SampleValue::Float(value))));
        }
        let mut columns = SampleColumns::default();
        let ranges: Vec<Interval> = kept(mint, maxt, deleted).collect();
        for within in ranges.into_iter().rev() {
            if plain {
                self.read_newest(series, within, &mut columns)?;
            } else {
                self.read_within(series, within, &mut columns)?;
            }
            if !columns.is_empty() {
                break;
            }
        }
        Ok(newest_of(&mut columns))
    }
}

impl HeadSeries {
    /// Reads the newest chunk that has samples in the range.
    fn read_newest(
        &self,
        series: &Selected,
        within: Interval,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        let within = Interval { maxt: within.maxt.min(series.newest.0), ..within };
        if series.open_min_t <= within.maxt {
            self.read_open(series, within, out)?;
        }
        let mut buffer = Vec::new();
        for chunk in self.sealed(series).iter().rev().filter(|chunk| chunk.min_t <= within.maxt) {
            if !out.is_empty() {
                break;
            }
            self.read_chunk(chunk.location, within, &mut buffer, out)?;
        }
        Ok(())
    }
}

/// The newest sample of columns.
fn newest_of(columns: &mut SampleColumns) -> Option<(TimestampMs, SampleValue)> {
    let histogram = columns.histogram_timestamps.last().copied().zip(columns.histograms.pop());
    let float = columns.timestamps.last().copied().zip(columns.values.last().copied());
    match (float, histogram) {
        (Some((t, value)), histogram) if histogram.as_ref().is_none_or(|(at, _)| *at < t) => {
            Some((t, SampleValue::Float(value)))
        }
        (_, histogram) => histogram.map(|(t, value)| (t, SampleValue::Histogram(value))),
    }
}

fn corrupt(place: &str, error: ChunkError) -> StorageError {
    StorageError::Corrupt { file: place.to_owned(), offset: 0, what: error.to_string() }
}
