//! The head as a source of a block: its series in order of their labels, cut to a time range.

use std::sync::Arc;

use hashbrown::HashMap;
use model::storage::{SampleColumns, StorageError};
use model::time::TimestampMs;

use super::Head;
use super::index::Index;
use super::out_of_order::LateChunk;
use super::series::Record;
use super::shard::shard_of;
use super::symbols::SymbolId;
use crate::block::ChunkData;
use crate::block::tombstones::{Interval, Tombstones, kept};
use crate::chunk::{ChunkError, Encoding, decode_into};
use crate::compact::{SeriesSource, SourceSeries};
use crate::head_chunks::{HeadChunkReader, Location};

/// What of the head is to be written.
#[derive(Debug)]
pub(crate) enum Scope {
    /// What came in order.
    InOrder,
    /// These chunks of samples that came out of order, by series.
    Late(HashMap<u32, Vec<LateChunk>>),
    /// Everything, also what is open.
    All,
}

/// See the module. A range of what came in order ends well before the head does, or nothing is appended any
/// more: what is read here is all there will be.
#[derive(Debug)]
pub(crate) struct HeadSource {
    head: Arc<Head>,
    scope: Scope,
    /// In order of their labels.
    ids: std::vec::IntoIter<u32>,
    reader: HeadChunkReader,
    tombstones: Arc<Tombstones>,
    /// The range, both ends inclusive.
    range: Interval,
    data: Vec<u8>,
}

/// What is needed of a series, copied under its shard's lock.
#[derive(Debug, Default)]
struct Snapshot {
    chunks: Vec<Location>,
    open: Vec<(Encoding, Vec<u8>)>,
}

impl HeadSource {
    /// The samples in `[mint, maxt)`.
    pub(crate) fn new(head: &Arc<Head>, scope: Scope, mint: TimestampMs, maxt: TimestampMs) -> Self {
        HeadSource {
            head: Arc::clone(head),
            ids: ids_by_labels(head, &scope).into_iter(),
            scope,
            reader: head.chunks.reader(),
            tombstones: Arc::clone(&head.tombstones.read()),
            range: Interval { mint, maxt: maxt.saturating_sub(1) },
            data: Vec::new(),
        }
    }

    fn snapshot(&self, id: u32) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let overlaps = |min_t, max_t| min_t <= self.range.maxt && max_t >= self.range.mint;
        if let Scope::Late(chunks) = &self.scope {
            let chunks = chunks.get(&id).into_iter().flatten();
            snapshot.chunks = chunks
                .filter(|chunk| overlaps(chunk.min_t, chunk.max_t))
                .map(|chunk| chunk.location)
                .collect();
            return snapshot;
        }
        let shard = self.head.shards[shard_of(id)].lock();
        let record = *shard.record(id);
        if !record.has(Record::LIVE) {
            return snapshot;
        }
        // From the newest on; a chunk ends before the one that came after it begins.
        let mut next = if record.is_open() { record.chunk_min_t } else { i64::MAX };
        for sealed in shard.sealed.iter(record.sealed) {
            if next <= self.range.mint {
                break;
            }
            next = sealed.min_t;
            if sealed.min_t <= self.range.maxt {
                snapshot.chunks.push(sealed.location);
            }
        }
        snapshot.chunks.reverse();
        if record.is_open() && record.chunk_min_t <= self.range.maxt {
            let mut bytes = Vec::new();
            snapshot.open.extend(shard.copy_open(&record, &mut bytes).map(|encoding| (encoding, bytes)));
        }
        if let (Scope::All, Some(late)) = (&self.scope, shard.late.get(&id)) {
            let late_chunks = late.sealed.iter().filter(|chunk| overlaps(chunk.min_t, chunk.max_t));
            snapshot.chunks.extend(late_chunks.map(|chunk| chunk.location));
            snapshot.open.extend(late.runs().into_iter().map(|run| (run.encoding, run.bytes)));
        }
        snapshot
    }

    /// Adds a chunk of a series.
    fn push(
        &self,
        encoding: Encoding,
        data: &[u8],
        kept: &[Interval],
        into: &mut SourceSeries,
    ) -> Result<(), StorageError> {
        let corrupt = |error: ChunkError| StorageError::Corrupt {
            file: "head chunk".to_owned(),
            offset: 0,
            what: error.to_string(),
        };
        let Some((mint, maxt)) = time_range(encoding, data).map_err(corrupt)? else { return Ok(()) };
        if maxt < self.range.mint || mint > self.range.maxt {
            return Ok(());
        }
        into.push_within(ChunkData { mint, maxt, encoding, bytes: data }, kept).map_err(corrupt)
    }

    /// Adds what was copied of a series. A damaged chunk is left out and named: the rest is worth a block.
    fn push_all(&mut self, id: u32, snapshot: Snapshot, into: &mut SourceSeries) -> Result<(), StorageError> {
        let deleted = self.tombstones.of(u64::from(id));
        let kept: Vec<Interval> = kept(self.range.mint, self.range.maxt, deleted).collect();
        let mut data = std::mem::take(&mut self.data);
        let chunks = snapshot.chunks.into_iter();
        let mut results: Vec<Result<(), StorageError>> = chunks
            .map(|location| {
                let (encoding, bytes) = self.reader.read(location, &mut data)?;
                self.push(encoding, bytes, &kept, into)
            })
            .collect();
        self.data = data;
        for (encoding, bytes) in &snapshot.open {
            results.push(self.push(*encoding, bytes, &kept, into));
        }
        for result in results {
            match result {
                Err(error @ StorageError::Corrupt { .. }) => {
                    self.head.metrics.mmap_chunk_corruptions.inc();
                    tracing::error!(series = %into.labels, %error, "head chunk is left out of the block");
                }
                other => other?,
            }
        }
        Ok(())
    }
}

impl SeriesSource for HeadSource {
    fn next(&mut self, into: &mut SourceSeries) -> Result<bool, StorageError> {
        loop {
            let Some(id) = self.ids.next() else { return Ok(false) };
            let snapshot = self.snapshot(id);
            if snapshot.chunks.is_empty() && snapshot.open.is_empty() {
                continue;
            }
            into.reset(self.head.index.read().labels(id));
            self.push_all(id, snapshot, into)?;
            return Ok(true);
        }
    }
}

/// Times of the first and the last sample of a chunk.
fn time_range(encoding: Encoding, data: &[u8]) -> Result<Option<(TimestampMs, TimestampMs)>, ChunkError> {
    let mut columns = SampleColumns::default();
    decode_into(encoding, data, i64::MIN, i64::MAX, &mut columns)?;
    let times = if encoding.is_float() { &columns.timestamps } else { &columns.histogram_timestamps };
    Ok(times.first().copied().zip(times.last().copied()))
}

/// All series in order of their labels. Symbols are ranked once, so that comparing two series compares
/// numbers.
fn ids_by_labels(head: &Head, scope: &Scope) -> Vec<u32> {
    let index = head.index.read();
    let ranks = symbol_ranks(&index);
    let ids: Vec<u32> = match scope {
        Scope::Late(chunks) => chunks.keys().copied().filter(|id| index.contains(*id)).collect(),
        _ => Index::postings(&index).all().iter().collect(),
    };
    let mut keys: Vec<(SymbolId, SymbolId)> = Vec::new();
    let mut series: Vec<(u32, u32, u32)> = Vec::with_capacity(ids.len());
    for id in ids {
        let from = keys.len() as u32;
        keys.extend(index.pairs(id).map(|(name, value)| (ranks[name as usize], ranks[value as usize])));
        series.push((id, from, keys.len() as u32));
    }
    drop(index);
    let key = |of: &(u32, u32, u32)| &keys[of.1 as usize..of.2 as usize];
    series.sort_unstable_by(|a, b| key(a).cmp(key(b)));
    series.into_iter().map(|(id, ..)| id).collect()
}

/// The place of each symbol in the order of texts.
fn symbol_ranks(index: &Index) -> Vec<u32> {
    let symbols = index.symbols();
    let mut ids: Vec<SymbolId> = (0..symbols.id_end()).collect();
    ids.sort_unstable_by(|a, b| symbols.text(*a).cmp(symbols.text(*b)));
    let mut ranks = vec![0; ids.len()];
    for (rank, id) in ids.into_iter().enumerate() {
        ranks[id as usize] = rank as u32;
    }
    ranks
}
