//! Writes an index from a stream of series.
//!
//! Symbols come first in the file, but are known last. So series are spooled to a file beside the index, with
//! their label pairs as numbers, and put in place when all symbols are known; one pass over the spool more
//! for every batch of postings. In memory are each distinct text and pair once, four bytes per series, and a
//! batch of postings. (Prometheus reads its sources twice instead.)

use std::path::PathBuf;

use hashbrown::HashMap;
use model::labels::Labels;
use model::storage::StorageError;

use super::{
    ChunkMeta, FILE_NAME, KEY_TEXTS, MAGIC, POSTINGS_ALIGNMENT, SERIES_ALIGNMENT, TOC_BYTES, Toc, VERSION,
};
use crate::block::output::Output;
use crate::block::symbols::SymbolCollector;
use crate::codec::{Cursor, put_prefixed_bytes, put_uvarint, put_varint};
use crate::error::{corrupt, invalid, io};
use crate::fs::{ByteView, Fs};
use crate::postings::SeriesId;

/// The most entries of a batch of postings: 64 MiB.
const BATCH_ENTRIES_MAX: u64 = 16 << 20;

/// A label pair, by the numbers of its texts.
type Pair = (u32, u32);

/// Takes series in order and writes the index of a block.
#[derive(Debug)]
pub(crate) struct IndexWriter {
    path: PathBuf,
    spool: Output,
    symbols: SymbolCollector,
    /// The number of each pair: its place in `pairs`.
    pair_numbers: HashMap<Pair, u32, foldhash::fast::RandomState>,
    pairs: Vec<Pair>,
    /// How many series have each pair.
    counts: Vec<u32>,
    series_count: u32,
    last: Option<Labels>,
    record: Vec<u8>,
    body: Vec<u8>,
}

impl IndexWriter {
    /// Begins the index of the block in a directory.
    pub(crate) fn create(fs: &dyn Fs, block_dir: &std::path::Path) -> Result<Self, StorageError> {
        let path = block_dir.join(FILE_NAME);
        let mut symbols = SymbolCollector::default();
        // Prometheus counts the texts of the pair of the list of all series among the symbols.
        symbols.intern("");
        Ok(IndexWriter {
            spool: Output::create(fs, path.with_extension("spool"))?,
            path,
            symbols,
            pair_numbers: HashMap::default(),
            pairs: Vec::new(),
            counts: Vec::new(),
            series_count: 0,
            last: None,
            record: Vec::new(),
            body: Vec::new(),
        })
    }

    /// Adds a series; label sets ascend, chunks are in order of time.
    pub(crate) fn add_series(&mut self, labels: &Labels, chunks: &[ChunkMeta]) -> Result<(), StorageError> {
        if self.last.as_ref().is_some_and(|last| last >= labels) {
            let why = format!("out-of-order series added with label set {labels}");
            return Err(invalid("write", &self.path, why));
        }
        self.body.clear();
        put_uvarint(&mut self.body, labels.len() as u64);
        for (name, value) in labels {
            let pair = (self.symbols.intern(name), self.symbols.intern(value));
            let new = self.pairs.len() as u32;
            let number = *self.pair_numbers.entry(pair).or_insert(new);
            if number == new {
                self.pairs.push(pair);
                self.counts.push(0);
            }
            self.counts[number as usize] += 1;
            put_uvarint(&mut self.body, u64::from(number));
        }
        put_chunks(&mut self.body, chunks);
        self.record.clear();
        put_prefixed_bytes(&mut self.record, &self.body);
        self.spool.put(&self.record)?;
        self.series_count += 1;
        self.last = Some(labels.clone());
        Ok(())
    }

    /// Writes the index and makes it survive a power loss.
    pub(crate) fn finish(mut self, fs: &dyn Fs) -> Result<(), StorageError> {
        self.spool.flush()?;
        let spool_path = self.spool.path().to_owned();
        let spool = fs.view(&spool_path).map_err(io("open", &spool_path))?;
        let mut output = Output::create(fs, self.path.clone())?;
        output.put(&MAGIC.to_be_bytes())?;
        output.put(&[VERSION])?;

        let mut toc = Toc { symbols: output.position(), ..Toc::default() };
        self.symbols.write(&mut output)?;
        let ranks = self.symbols.ranks();
        toc.series = output.position();
        let ids = self.write_series(&mut output, &spool, &ranks)?;
        toc.label_indices = output.position();
        output.align(POSTINGS_ALIGNMENT)?;
        toc.postings = output.position();
        let order = self.pairs_in_order(&ranks);
        let offsets = self.write_postings(&mut output, &spool, &ids, &order)?;
        toc.postings_offsets = output.position();
        toc.label_offsets = output.position();
        self.write_offsets(&mut output, toc.postings, &order, &offsets)?;
        output.put(&toc.encode())?;
        output.finish()?;
        drop(spool);
        fs.remove_file(&spool_path).map_err(io("remove", &spool_path))
    }

    /// Writes all series and returns their ids.
    fn write_series(
        &mut self,
        output: &mut Output,
        spool: &ByteView,
        ranks: &[u32],
    ) -> Result<Vec<SeriesId>, StorageError> {
        let mut ids = Vec::with_capacity(self.series_count as usize);
        let mut records = Records::new(spool, self.spool.path());
        while let Some(record) = records.next()? {
            output.align(SERIES_ALIGNMENT)?;
            let Ok(id) = SeriesId::try_from(output.position() / SERIES_ALIGNMENT) else {
                return Err(invalid("write", output.path(), "index of more than 64 GiB".to_owned()));
            };
            ids.push(id);
            self.body.clear();
            put_uvarint(&mut self.body, record.pairs.len() as u64);
            for pair in record.pairs {
                let (name, value) = self.pairs[*pair as usize];
                put_uvarint(&mut self.body, u64::from(ranks[name as usize]));
                put_uvarint(&mut self.body, u64::from(ranks[value as usize]));
            }
            self.body.extend_from_slice(record.chunks);
            self.record.clear();
            put_prefixed_bytes(&mut self.record, &self.body);
            self.record.extend_from_slice(&crc32c::crc32c(&self.body).to_be_bytes());
            output.put(&self.record)?;
        }
        Ok(ids)
    }

    /// The pairs' numbers, sorted by name and value.
    fn pairs_in_order(&self, ranks: &[u32]) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.pairs.len() as u32).collect();
        order.sort_unstable_by_key(|number| {
            let (name, value) = self.pairs[*number as usize];
            (ranks[name as usize], ranks[value as usize])
        });
        order
    }

    /// Writes the list of all series and then those of the pairs; returns the offset of each pair's list.
    fn write_postings(
        &self,
        output: &mut Output,
        spool: &ByteView,
        ids: &[SeriesId],
        order: &[u32],
    ) -> Result<Vec<u64>, StorageError> {
        put_list(output, ids)?;
        let mut offsets = vec![0; self.pairs.len()];
        let mut rest = order;
        while !rest.is_empty() {
            let batch;
            (batch, rest) = rest.split_at(self.batch_len(rest));
            let lists = self.gather(spool, ids, batch)?;
            let mut lists = lists.as_slice();
            for number in batch {
                let list;
                (list, lists) = lists.split_at(self.counts[*number as usize] as usize);
                offsets[*number as usize] = output.position();
                put_list(output, list)?;
            }
        }
        Ok(offsets)
    }

    /// How many of the pairs go into the next batch: at least one.
    fn batch_len(&self, pairs: &[u32]) -> usize {
        let mut entries = 0;
        let fits = |number: &&u32| {
            entries += u64::from(self.counts[**number as usize]);
            entries <= BATCH_ENTRIES_MAX
        };
        pairs.iter().take_while(fits).count().max(1)
    }

    /// The lists of the pairs of a batch, one after the other.
    fn gather(
        &self,
        spool: &ByteView,
        ids: &[SeriesId],
        batch: &[u32],
    ) -> Result<Vec<SeriesId>, StorageError> {
        /// Of a pair that isn't in the batch.
        const NOWHERE: usize = usize::MAX;
        let mut next = vec![NOWHERE; self.pairs.len()];
        let mut total = 0;
        for number in batch {
            next[*number as usize] = total;
            total += self.counts[*number as usize] as usize;
        }
        let mut lists = vec![0; total];
        let mut records = Records::new(spool, self.spool.path());
        let mut ids = ids.iter();
        while let (Some(record), Some(id)) = (records.next()?, ids.next()) {
            for pair in record.pairs {
                let at = &mut next[*pair as usize];
                if *at != NOWHERE {
                    lists[*at] = *id;
                    *at += 1;
                }
            }
        }
        Ok(lists)
    }

    fn write_offsets(
        &self,
        output: &mut Output,
        all: u64,
        order: &[u32],
        offsets: &[u64],
    ) -> Result<(), StorageError> {
        let entry = |into: &mut Vec<u8>, name: &str, value: &str, offset: u64| {
            into.clear();
            into.push(KEY_TEXTS);
            put_prefixed_bytes(into, name.as_bytes());
            put_prefixed_bytes(into, value.as_bytes());
            put_uvarint(into, offset);
        };
        let entries = || {
            let pairs = order.iter().map(|number| {
                let (name, value) = self.pairs[*number as usize];
                (self.symbols.text(name), self.symbols.text(value), offsets[*number as usize])
            });
            std::iter::once(("", "", all)).chain(pairs)
        };
        let mut bytes = Vec::new();
        let mut len = size_of::<u32>();
        for (name, value, offset) in entries() {
            entry(&mut bytes, name, value, offset);
            len += bytes.len();
        }
        let Ok(len) = u32::try_from(len) else {
            return Err(invalid("write", output.path(), format!("postings offset table of {len} bytes")));
        };
        output.put(&len.to_be_bytes())?;
        let count = (self.pairs.len() as u32 + 1).to_be_bytes();
        output.put(&count)?;
        let mut crc = crc32c::crc32c(&count);
        for (name, value, offset) in entries() {
            entry(&mut bytes, name, value, offset);
            crc = crc32c::crc32c_append(crc, &bytes);
            output.put(&bytes)?;
        }
        output.put(&crc.to_be_bytes())
    }
}

/// Appends the chunks of a series as the index has them.
fn put_chunks(out: &mut Vec<u8>, chunks: &[ChunkMeta]) {
    put_uvarint(out, chunks.len() as u64);
    let mut before: Option<&ChunkMeta> = None;
    for chunk in chunks {
        match before {
            None => put_varint(out, chunk.mint),
            Some(before) => put_uvarint(out, chunk.mint.wrapping_sub(before.maxt) as u64),
        }
        put_uvarint(out, chunk.maxt.wrapping_sub(chunk.mint) as u64);
        match before {
            None => put_uvarint(out, chunk.at.0),
            Some(before) => put_varint(out, chunk.at.0.wrapping_sub(before.at.0) as i64),
        }
        before = Some(chunk);
    }
}

/// Writes a list of postings.
fn put_list(output: &mut Output, ids: &[SeriesId]) -> Result<(), StorageError> {
    let mut bytes = Vec::with_capacity(12 + 4 * ids.len());
    bytes.extend_from_slice(&(4 + 4 * ids.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&(ids.len() as u32).to_be_bytes());
    for id in ids {
        bytes.extend_from_slice(&id.to_be_bytes());
    }
    let crc = crc32c::crc32c(&bytes[4..]);
    bytes.extend_from_slice(&crc.to_be_bytes());
    output.put(&bytes)
}

/// A spooled series.
struct Record<'a> {
    pairs: &'a [u32],
    /// As in the index.
    chunks: &'a [u8],
}

/// Reads the spool from its beginning.
struct Records<'a> {
    cursor: Cursor<'a>,
    path: &'a std::path::Path,
    pairs: Vec<u32>,
}

impl<'a> Records<'a> {
    fn new(spool: &'a [u8], path: &'a std::path::Path) -> Self {
        Records { cursor: Cursor::new(spool), path, pairs: Vec::new() }
    }

    fn next(&mut self) -> Result<Option<Record<'_>>, StorageError> {
        if self.cursor.is_empty() {
            return Ok(None);
        }
        self.pairs.clear();
        let mut read = || {
            let mut body = Cursor::new(self.cursor.prefixed_bytes()?);
            for _ in 0..body.uvarint()? {
                self.pairs.push(body.uvarint32()?);
            }
            body.take(body.remaining())
        };
        let chunks = read().map_err(|error| corrupt(self.path, error.at as u64, error.what))?;
        Ok(Some(Record { pairs: &self.pairs, chunks }))
    }
}

impl Toc {
    fn encode(&self) -> [u8; TOC_BYTES] {
        let fields = [
            self.symbols,
            self.series,
            self.label_indices,
            self.label_offsets,
            self.postings,
            self.postings_offsets,
        ];
        let mut bytes = [0; TOC_BYTES];
        for (slot, field) in bytes.chunks_exact_mut(8).zip(fields) {
            slot.copy_from_slice(&field.to_be_bytes());
        }
        let crc = crc32c::crc32c(&bytes[..TOC_BYTES - 4]);
        bytes[TOC_BYTES - 4..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }
}
