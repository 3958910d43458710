//! The head as a source of a block: its series in order of their labels, cut to a time range.

use std::sync::Arc;

use model::labels::Labels;
use model::storage::StorageError;
use model::time::TimestampMs;

use super::Head;
use super::index::Index;
use super::series::{Record, Sealed};
use super::shard::shard_of;
use super::symbols::SymbolId;
use crate::block::ChunkData;
use crate::block::tombstones::Interval;
use crate::chunk::{Encoding, xor};
use crate::compact::{SeriesSource, SourceSeries};
use crate::head_chunks::HeadChunkReader;

/// See the module. Only chunks that are full, or that no sample of the range can follow, are of use to a
/// block; so the range ends well before the head does.
#[derive(Debug)]
pub(crate) struct HeadSource {
    head: Arc<Head>,
    /// In order of their labels.
    ids: std::vec::IntoIter<u32>,
    reader: HeadChunkReader,
    /// The range, both ends inclusive.
    range: Interval,
    data: Vec<u8>,
}

impl HeadSource {
    /// The samples in `[mint, maxt)`.
    pub(crate) fn new(head: &Arc<Head>, mint: TimestampMs, maxt: TimestampMs) -> Self {
        HeadSource {
            head: Arc::clone(head),
            ids: ids_by_labels(head).into_iter(),
            reader: head.chunks.reader(),
            range: Interval { mint, maxt: maxt.saturating_sub(1) },
            data: Vec::new(),
        }
    }

    /// Copies what is needed of a series under its shard's lock.
    fn snapshot(&mut self, id: u32) -> Option<(Labels, Vec<Sealed>, bool)> {
        let shard = self.head.shards[shard_of(id)].lock();
        let record = *shard.record(id);
        if !record.has(Record::LIVE) {
            return None;
        }
        let mut sealed: Vec<Sealed> =
            shard.sealed.iter(record.sealed).filter(|sealed| sealed.min_t <= self.range.maxt).collect();
        sealed.reverse();
        let open = !record.place.is_none() && record.chunk_min_t <= self.range.maxt;
        if open {
            self.data.clear();
            self.data.extend_from_slice(shard.open_bytes(&record));
            record.xor.finish(&mut self.data);
        }
        drop(shard);
        (open || !sealed.is_empty()).then(|| (self.head.index.read().labels(id), sealed, open))
    }

    /// Adds a chunk of the series that `data` holds.
    fn push(
        &self,
        encoding: Encoding,
        data: &[u8],
        min_t: TimestampMs,
        into: &mut SourceSeries,
    ) -> Result<(), StorageError> {
        let corrupt = |error: crate::chunk::ChunkError| StorageError::Corrupt {
            file: "head chunk".to_owned(),
            offset: 0,
            what: error.to_string(),
        };
        let Some((max_t, _)) = xor::last_sample(data).map_err(corrupt)? else { return Ok(()) };
        if max_t < self.range.mint {
            return Ok(());
        }
        let chunk = ChunkData { mint: min_t, maxt: max_t, encoding, bytes: data };
        into.push_within(chunk, &[self.range]).map_err(corrupt)
    }
}

impl SeriesSource for HeadSource {
    fn next(&mut self, into: &mut SourceSeries) -> Result<bool, StorageError> {
        loop {
            let Some(id) = self.ids.next() else { return Ok(false) };
            let Some((labels, sealed, open)) = self.snapshot(id) else { continue };
            into.reset(labels);
            if open {
                let data = std::mem::take(&mut self.data);
                let min_t = first_time(&data);
                self.push(Encoding::Xor, &data, min_t, into)?;
                self.data = data;
            }
            for chunk in sealed {
                let mut data = std::mem::take(&mut self.data);
                match self.reader.read(chunk.location, &mut data) {
                    Ok(encoding) => self.push(encoding, &data, chunk.min_t, into)?,
                    // The rest is worth a block all the same; the damage is named.
                    Err(error @ StorageError::Corrupt { .. }) => {
                        self.head.metrics.mmap_chunk_corruptions.inc();
                        tracing::error!(series = %into.labels, %error, "head chunk is left out of the block");
                    }
                    Err(error) => return Err(error),
                }
                self.data = data;
            }
            return Ok(true);
        }
    }
}

/// Time of the first sample of a float chunk.
fn first_time(data: &[u8]) -> TimestampMs {
    crate::codec::Cursor::new(data.get(xor::HEADER_BYTES..).unwrap_or_default()).varint().unwrap_or(i64::MIN)
}

/// All series in order of their labels. Symbols are ranked once, so that comparing two series compares
/// numbers.
fn ids_by_labels(head: &Head) -> Vec<u32> {
    let index = head.index.read();
    let ranks = symbol_ranks(&index);
    let ids: Vec<u32> = Index::postings(&index).all().iter().collect();
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
