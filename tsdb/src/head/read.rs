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
use super::series::{Kind, Record, Sealed};
use super::shard::{Shard, shard_of};
use super::symbols::{SymbolId, SymbolReader};
use crate::chunk::{ChunkError, Encoding, xor};
use crate::head_chunks::HeadChunkReader;
use crate::select::postings_for_matchers;

/// More open chunks than this in one selection are refused; offsets in them are 32 bits wide.
const SELECTION_BYTES_MAX: usize = u32::MAX as usize - (64 << 20);

/// A series of a selection.
#[derive(Clone, Debug)]
struct Selected {
    /// Symbols of its label pairs in [`HeadSeries::pairs`].
    pairs: Range<u32>,
    /// Its full chunks in [`HeadSeries::sealed`], oldest first.
    sealed: Range<u32>,
    /// Its open chunk in [`HeadSeries::open_bytes`].
    open: Range<u32>,
    open_min_t: TimestampMs,
    newest: (TimestampMs, f64),
    kind: Kind,
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
        if !record.has(Record::LIVE) || record.kind == Kind::None {
            return;
        }
        let (sealed_from, open_from) = (self.sealed.len(), self.open_bytes.len());
        let newest = (record.xor.last_timestamp(), record.xor.last_value());
        let open = !record.place.is_none();
        if open && record.chunk_min_t <= hints.maxt && newest.0 >= hints.mint {
            let bytes = &shard.buffers.get(record.place)[..record.xor.byte_len()];
            self.open_bytes.extend_from_slice(bytes);
            record.xor.finish(&mut self.open_bytes[open_from..]);
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
        if self.sealed.len() == sealed_from && self.open_bytes.len() == open_from {
            return;
        }
        let pairs_from = self.pairs.len();
        self.pairs.extend(index.pairs(id));
        self.series.push(Selected {
            pairs: pairs_from as u32..self.pairs.len() as u32,
            sealed: sealed_from as u32..self.sealed.len() as u32,
            open: open_from as u32..self.open_bytes.len() as u32,
            open_min_t: record.chunk_min_t,
            newest,
            kind: record.kind,
        });
    }

    fn pairs(&self, series: usize) -> &[(SymbolId, SymbolId)] {
        let Range { start, end } = self.series[series].pairs;
        &self.pairs[start as usize..end as usize]
    }

    fn corrupt(&self, place: &str, error: ChunkError) -> StorageError {
        StorageError::Corrupt { file: place.to_owned(), offset: 0, what: error.to_string() }
    }

    fn read_sealed(
        &self,
        sealed: &Sealed,
        mint: TimestampMs,
        maxt: TimestampMs,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        let mut data = Vec::new();
        let encoding = self.reader.read(sealed.location, &mut data)?;
        debug_assert_eq!(encoding, Encoding::Xor);
        xor::decode_into(&data, mint, maxt, &mut out.timestamps, &mut out.values)
            .map_err(|error| self.corrupt("head chunk", error))
    }

    fn read_open(
        &self,
        series: &Selected,
        mint: TimestampMs,
        maxt: TimestampMs,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        let bytes = &self.open_bytes[series.open.start as usize..series.open.end as usize];
        if bytes.is_empty() {
            return Ok(());
        }
        xor::decode_into(bytes, mint, maxt, &mut out.timestamps, &mut out.values)
            .map_err(|error| self.corrupt("open chunk in memory", error))
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
        let sealed = self.sealed(series);
        for (at, chunk) in sealed.iter().enumerate() {
            let next = sealed.get(at + 1).map(|next| next.min_t);
            if chunk.min_t <= maxt && next.is_none_or(|next| next > mint) {
                self.read_sealed(chunk, mint, maxt, out)?;
            }
        }
        self.read_open(series, mint, maxt, out)
    }

    fn last(
        &self,
        series: usize,
        mint: TimestampMs,
        maxt: TimestampMs,
    ) -> Result<Option<(TimestampMs, SampleValue)>, StorageError> {
        let series = &self.series[series];
        let (newest, value) = series.newest;
        if newest <= maxt && series.kind == Kind::Float {
            return Ok((newest >= mint).then_some((newest, SampleValue::Float(value))));
        }
        let mut columns = SampleColumns::default();
        if series.open_min_t <= maxt {
            self.read_open(series, mint, maxt, &mut columns)?;
        }
        for chunk in self.sealed(series).iter().rev().filter(|chunk| chunk.min_t <= maxt) {
            if !columns.is_empty() {
                break;
            }
            self.read_sealed(chunk, mint, maxt, &mut columns)?;
        }
        let newest = columns.timestamps.last().zip(columns.values.last());
        Ok(newest.map(|(timestamp, value)| (*timestamp, SampleValue::Float(*value))))
    }
}
