//! Selections: the series of the head as of one moment.
//!
//! A selection copies what can change: the state and bytes of open chunks and the lists of full ones. It
//! does so while no commit runs. Full chunks are read from their files when their series is read. Labels are
//! copied as symbols, whose texts stay as long as a selection may name them.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use model::labels::Labels;
use model::matcher::Matcher;
use model::storage::{LabelColumn, SampleColumns, SampleValue, SelectHints, SeriesSet, StorageError};
use model::time::TimestampMs;
use parking_lot::MutexGuard;

use super::Head;
use super::index::Index;
use super::out_of_order::{LateChunk, LateRun, decode_run};
use super::series::{Kind, Record, Sealed};
use super::shard::{Shard, shard_of};
use super::symbols::{SymbolId, SymbolReader};
use crate::block::tombstones::{Interval, Tombstones, kept};
use crate::chunk::{ChunkError, Encoding, decode_into};
use crate::head_chunks::{HeadChunkReader, Location};
use crate::merge::add_columns;
use crate::select::postings_for_matchers;

/// More open chunks than this in one selection are refused; offsets in them are 32 bits wide.
const SELECTION_BYTES_MAX: usize = u32::MAX as usize - (64 << 20);

/// A series of a selection.
#[derive(Clone, Debug)]
struct Selected {
    id: u32,
    /// Symbols of its label pairs in [`HeadSeries::pairs`].
    pairs: Range<u32>,
    /// Its full chunks in [`HeadSeries::sealed`], oldest first.
    sealed: Range<u32>,
    /// Its open chunk in [`HeadSeries::open_bytes`].
    open: Range<u32>,
    open_encoding: Encoding,
    open_min_t: TimestampMs,
    newest: (TimestampMs, f64),
    kind: Kind,
    late: Option<Box<Late>>,
}

/// What came out of order.
#[derive(Clone, Debug)]
struct Late {
    sealed: Vec<LateChunk>,
    open: Vec<LateRun>,
}

/// The selected series of the head.
#[derive(Debug)]
pub(crate) struct HeadSeries {
    head: Arc<Head>,
    series: Vec<Selected>,
    pairs: Vec<(SymbolId, SymbolId)>,
    sealed: Vec<Sealed>,
    open_bytes: Vec<u8>,
    reader: HeadChunkReader,
    tombstones: Arc<Tombstones>,
    /// Keeps the symbols from being given to other texts.
    _symbols: SymbolReader,
}

impl Head {
    /// The series that satisfy the matchers and may have samples in the time range of the hints.
    pub(crate) fn select(
        self: &Arc<Self>,
        matchers: &[Matcher],
        hints: &SelectHints,
    ) -> Result<HeadSeries, StorageError> {
        let index = self.index.read();
        let symbols = index.symbol_reader();
        let removals = index.removals();
        let mut ids = postings_for_matchers(&*index, matchers, &hints.cancel)?;
        drop(index);
        // From here on no commit is half done, and no series goes.
        let _gate = self.gate.write();
        let index = self.index.read();
        if index.removals() != removals {
            // Ids may have gone to other series since the search.
            ids = postings_for_matchers(&*index, matchers, &hints.cancel)?;
        }
        let mut set = HeadSeries {
            head: Arc::clone(self),
            series: Vec::new(),
            pairs: Vec::new(),
            sealed: Vec::new(),
            open_bytes: Vec::new(),
            reader: self.chunks.reader(),
            tombstones: Arc::clone(&self.tombstones.read()),
            _symbols: symbols,
        };
        for run in ids.chunk_by(|a, b| shard_of(*a) == shard_of(*b)) {
            if hints.cancel.is_cancelled() {
                return Err(StorageError::Cancelled);
            }
            let shard = self.shards[shard_of(run[0])].lock();
            for &id in run {
                if hints.limit > 0 && set.series.len() == hints.limit {
                    return Ok(set);
                }
                set.add(&index, &shard, id, hints);
            }
            if set.open_bytes.len() > SELECTION_BYTES_MAX {
                return Err(StorageError::Limit("selection takes more than 4 GiB of open chunks".to_owned()));
            }
        }
        Ok(set)
    }
}

impl HeadSeries {
    /// Adds a series, if it may have samples in the range.
    fn add(&mut self, index: &Index, shard: &MutexGuard<'_, Shard>, id: u32, hints: &SelectHints) {
        let record = shard.record(id);
        if !record.has(Record::LIVE) {
            return;
        }
        let late = select_late(shard, id, hints);
        if record.kind == Kind::None && late.is_none() {
            return;
        }
        let (sealed_from, open_from) = (self.sealed.len(), self.open_bytes.len());
        let newest = (record.xor.last_timestamp(), record.xor.last_value());
        let open = record.is_open();
        let mut open_encoding = Encoding::None;
        if open && record.chunk_min_t <= hints.maxt && newest.0 >= hints.mint {
            open_encoding = shard.copy_open(record, &mut self.open_bytes).unwrap_or(Encoding::None);
        }
        let mut next = if open { record.chunk_min_t } else { newest.0.saturating_add(1) };
        for sealed in shard.sealed.iter(record.sealed) {
            if next <= hints.mint {
                break;
            }
            next = sealed.min_t;
            if sealed.min_t <= hints.maxt {
                self.sealed.push(sealed);
            }
        }
        self.sealed[sealed_from..].reverse();
        if self.sealed.len() == sealed_from && self.open_bytes.len() == open_from && late.is_none() {
            return;
        }
        let pairs_from = self.pairs.len();
        self.pairs.extend(index.pairs(id));
        self.series.push(Selected {
            id,
            pairs: pairs_from as u32..self.pairs.len() as u32,
            sealed: sealed_from as u32..self.sealed.len() as u32,
            open: open_from as u32..self.open_bytes.len() as u32,
            open_encoding,
            open_min_t: record.chunk_min_t,
            newest,
            kind: record.kind,
            late,
        });
    }

    fn pairs(&self, series: usize) -> &[(SymbolId, SymbolId)] {
        let Range { start, end } = self.series[series].pairs;
        &self.pairs[start as usize..end as usize]
    }

    /// Reads a full chunk.
    fn read_chunk(
        &self,
        location: Location,
        within: Interval,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        let mut data = Vec::new();
        let encoding = self.reader.read(location, &mut data)?;
        decode_into(encoding, &data, within.mint, within.maxt, out)
            .map_err(|error| corrupt("head chunk", error))
    }

    fn read_open(
        &self,
        series: &Selected,
        within: Interval,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        let bytes = &self.open_bytes[series.open.start as usize..series.open.end as usize];
        decode_into(series.open_encoding, bytes, within.mint, within.maxt, out)
            .map_err(|error| corrupt("open chunk in memory", error))
    }

    /// Reads the samples of a series that came in order.
    fn read_in_order(
        &self,
        series: &Selected,
        within: Interval,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        let sealed = self.sealed(series);
        for (at, chunk) in sealed.iter().enumerate() {
            let next = sealed.get(at + 1).map(|next| next.min_t);
            if chunk.min_t <= within.maxt && next.is_none_or(|next| next > within.mint) {
                self.read_chunk(chunk.location, within, out)?;
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
        let mut merged = SampleColumns::default();
        self.read_in_order(series, within, &mut merged)?;
        for chunk in &late.sealed {
            let mut columns = SampleColumns::default();
            self.read_chunk(chunk.location, within, &mut columns)?;
            add_columns(&mut merged, columns);
        }
        for run in &late.open {
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
        // are compared by text, once for each symbol.
        let mut names: HashMap<SymbolId, bool> = HashMap::new();
        for series in 0..self.len() {
            let mut is_name = |symbol: SymbolId| {
                *names.entry(symbol).or_insert_with(|| index.symbols().text(symbol) == name)
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
        if series.open_min_t <= within.maxt {
            self.read_open(series, within, out)?;
        }
        for chunk in self.sealed(series).iter().rev().filter(|chunk| chunk.min_t <= within.maxt) {
            if !out.is_empty() {
                break;
            }
            self.read_chunk(chunk.location, within, out)?;
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

/// Copies what a series has out of order in the range.
fn select_late(shard: &Shard, id: u32, hints: &SelectHints) -> Option<Box<Late>> {
    if shard.late.is_empty() {
        return None;
    }
    let late = shard.late.get(&id)?;
    let overlaps = |min_t: TimestampMs, max_t: TimestampMs| min_t <= hints.maxt && max_t >= hints.mint;
    let sealed: Vec<LateChunk> =
        late.sealed.iter().filter(|chunk| overlaps(chunk.min_t, chunk.max_t)).copied().collect();
    let open: Vec<LateRun> = late.runs().into_iter().filter(|run| overlaps(run.min_t, run.max_t)).collect();
    (!sealed.is_empty() || !open.is_empty()).then(|| Box::new(Late { sealed, open }))
}

fn corrupt(place: &str, error: ChunkError) -> StorageError {
    StorageError::Corrupt { file: place.to_owned(), offset: 0, what: error.to_string() }
}
