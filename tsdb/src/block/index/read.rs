//! Reads a mapped index.
//!
//! When it is opened, the sections that every search needs — symbols and postings offsets — are walked once and
//! their checksums verified; series and lists of postings are verified whenever they are read, which costs less
//! than remembering which ones were. In memory stays where every eighth symbol and every 32nd label pair is.

use std::ops::Range;
use std::path::{Path, PathBuf};

use model::labels::Labels;
use model::storage::StorageError;

use super::{
    CRC_BYTES, ChunkMeta, FILE_NAME, HEADER_BYTES, KEY_TEXTS, MAGIC, SERIES_ALIGNMENT, TOC_BYTES, VERSION,
};
use crate::block::chunks::ChunkRef;
use crate::block::symbols::{Symbol, Symbols};
use crate::codec::{Cursor, DecodeError};
use crate::error::{corrupt, io};
use crate::fs::{ByteView, Fs};
use crate::postings::{Postings, SeriesId};
use crate::select::{LabelIndex, PostingsRef, ValueVisitor};

/// Every which value of a name has its place remembered.
const STRIDE: u32 = 32;

/// Where the sections of an index are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Toc {
    /// Symbols.
    pub symbols: u64,
    /// The first series.
    pub series: u64,
    /// A relic.
    pub label_indices: u64,
    /// A relic.
    pub label_offsets: u64,
    /// The first list of postings.
    pub postings: u64,
    /// The table of offsets of lists of postings.
    pub postings_offsets: u64,
}

impl Toc {
    /// Reads the end of an index.
    fn decode(index: &[u8]) -> Result<Self, DecodeError> {
        let at = index.len().checked_sub(TOC_BYTES).filter(|at| *at >= HEADER_BYTES);
        let at = at.ok_or(DecodeError { what: "index is too short", at: index.len() })?;
        let mut cursor = Cursor::new(index);
        cursor.take(at)?;
        let toc = Toc {
            symbols: cursor.u64()?,
            series: cursor.u64()?,
            label_indices: cursor.u64()?,
            label_offsets: cursor.u64()?,
            postings: cursor.u64()?,
            postings_offsets: cursor.u64()?,
        };
        if cursor.u32()? != crc32c::crc32c(&index[at..index.len() - CRC_BYTES]) {
            return Err(DecodeError { what: "checksum of the table of contents doesn't match", at });
        }
        Ok(toc)
    }
}

/// The values of one label name in the postings offsets.
#[derive(Debug)]
struct NameEntry {
    /// Where its first entry begins, in the content of the table.
    begin: u32,
    /// Where its last entry ends.
    end: u32,
    /// Number of values.
    values: u32,
    /// Which of [`IndexReader::marks`] are its: the first value and every [`STRIDE`]th after it.
    marks: Range<u32>,
}

/// An entry of the postings offsets.
struct OffsetEntry<'a> {
    name: &'a str,
    value: &'a str,
    list: PostingsRef,
}

/// The index of a block.
#[derive(Debug)]
pub struct IndexReader {
    path: PathBuf,
    bytes: ByteView,
    toc: Toc,
    symbols: Symbols,
    symbols_at: Range<usize>,
    offsets_at: Range<usize>,
    /// Sorted by name.
    names: Vec<NameEntry>,
    /// Where remembered entries begin in the content of the table of postings offsets.
    marks: Vec<u32>,
    /// The list of all series.
    all: PostingsRef,
}

impl IndexReader {
    /// Maps the index of the block in a directory.
    pub fn open(fs: &dyn Fs, block_dir: &Path) -> Result<Self, StorageError> {
        let path = block_dir.join(FILE_NAME);
        let bytes = fs.view(&path).map_err(io("open", &path))?;
        Self::from_view(bytes, path)
    }

    /// Reads an index that is mapped already; the path is for errors.
    pub fn from_view(bytes: ByteView, path: PathBuf) -> Result<Self, StorageError> {
        let damaged = |error: DecodeError| corrupt(&path, error.at as u64, error.what);
        let mut header = Cursor::new(&bytes);
        if header.u32().map_err(damaged)? != MAGIC {
            return Err(corrupt(&path, 0, "invalid magic number"));
        }
        if header.u8().map_err(damaged)? != VERSION {
            return Err(corrupt(&path, 4, "unknown index file version"));
        }
        let toc = Toc::decode(&bytes).map_err(damaged)?;
        let symbols_at = section(&bytes, toc.symbols).map_err(damaged)?;
        let offsets_at = section(&bytes, toc.postings_offsets).map_err(damaged)?;
        let symbols = Symbols::open(&bytes[symbols_at.clone()]);
        let symbols =
            symbols.map_err(|error| corrupt(&path, (symbols_at.start + error.at) as u64, error.what))?;
        let mut reader = IndexReader {
            path,
            bytes,
            toc,
            symbols,
            symbols_at,
            offsets_at,
            names: Vec::new(),
            marks: Vec::new(),
            all: PostingsRef(0),
        };
        reader.open_offsets()?;
        Ok(reader)
    }

    /// Walks the postings offsets and remembers every [`STRIDE`]th place.
    fn open_offsets(&mut self) -> Result<(), StorageError> {
        let content = &self.bytes[self.offsets_at.clone()];
        let (mut names, mut marks, mut all) = (Vec::<NameEntry>::new(), Vec::new(), None);
        let mut walk = || {
            let mut cursor = Cursor::new(content);
            let count = cursor.u32()?;
            let mut before: Option<OffsetEntry<'_>> = None;
            for _ in 0..count {
                let begin = cursor.position() as u32;
                let entry = offset_entry(&mut cursor)?;
                let key = (entry.name, entry.value);
                if before.as_ref().is_some_and(|before| (before.name, before.value) >= key) {
                    return Err(DecodeError { what: "label pairs aren't sorted", at: begin as usize });
                }
                if key == ("", "") {
                    all = Some(entry.list);
                    continue;
                }
                if before.as_ref().is_none_or(|before| before.name != entry.name) {
                    let marks = marks.len() as u32..marks.len() as u32;
                    names.push(NameEntry { begin, end: begin, values: 0, marks });
                }
                if let Some(name) = names.last_mut() {
                    if name.values.is_multiple_of(STRIDE) {
                        marks.push(begin);
                        name.marks.end += 1;
                    }
                    name.values += 1;
                    name.end = cursor.position() as u32;
                }
                before = Some(entry);
            }
            Ok(())
        };
        walk().map_err(|error| self.damaged_offsets(error))?;
        // Prometheus writes the list of all series always, and looks for it always.
        let no_list = || corrupt(&self.path, self.toc.postings_offsets, "there is no list of all series");
        self.all = all.ok_or_else(no_list)?;
        (self.names, self.marks) = (names, marks);
        Ok(())
    }

    /// Bytes of the file.
    pub fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Number of symbols.
    pub fn symbol_count(&self) -> u32 {
        self.symbols.len()
    }

    /// The text of a symbol.
    pub fn symbol(&self, symbol: Symbol) -> Result<&str, StorageError> {
        self.symbols.get(&self.bytes[self.symbols_at.clone()], symbol).map_err(|e| self.damaged_symbols(e))
    }

    /// The symbol of a text, if the block has it.
    pub fn find_symbol(&self, text: &str) -> Result<Option<Symbol>, StorageError> {
        self.symbols.find(&self.bytes[self.symbols_at.clone()], text).map_err(|e| self.damaged_symbols(e))
    }

    /// Visits the labels of a series, by their symbols, in order of their names.
    pub fn visit_symbols(
        &self,
        id: SeriesId,
        visit: &mut dyn FnMut(Symbol, Symbol) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let (at, content) = self.series_content(id)?;
        let mut cursor = Cursor::new(content);
        let damaged = |error: DecodeError| corrupt(&self.path, (at + error.at) as u64, error.what);
        for _ in 0..cursor.uvarint().map_err(damaged)? {
            let name = cursor.uvarint32().map_err(damaged)?;
            visit(name, cursor.uvarint32().map_err(damaged)?)?;
        }
        Ok(())
    }

    /// The labels of a series.
    pub fn labels(&self, id: SeriesId) -> Result<Labels, StorageError> {
        let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(16);
        self.visit_labels(id, &mut |name, value| pairs.push((name, value)))?;
        if !pairs.is_sorted_by(|a, b| a.0 < b.0) || pairs.iter().any(|(_, value)| value.is_empty()) {
            return Err(corrupt(&self.path, series_offset(id), "labels of a series aren't sorted"));
        }
        Ok(Labels::from_sorted_pairs(pairs))
    }

    /// Replaces `out` by the chunks of a series, in order of time.
    pub fn chunks(&self, id: SeriesId, out: &mut Vec<ChunkMeta>) -> Result<(), StorageError> {
        out.clear();
        let (at, content) = self.series_content(id)?;
        decode_chunks(content, out).map_err(|error| corrupt(&self.path, (at + error.at) as u64, error.what))
    }

    /// The checked content of a series, and its offset.
    fn series_content(&self, id: SeriesId) -> Result<(usize, &[u8]), StorageError> {
        let offset = series_offset(id);
        let read = || {
            let mut cursor = Cursor::new(&self.bytes);
            cursor.take(usize::try_from(offset).unwrap_or(usize::MAX))?;
            let content = cursor.prefixed_bytes()?;
            let at = cursor.position() - content.len();
            if cursor.u32()? != crc32c::crc32c(content) {
                return Err(DecodeError { what: "checksum of a series doesn't match", at });
            }
            Ok((at, content))
        };
        read().map_err(|error| corrupt(&self.path, error.at as u64, error.what))
    }

    /// Where a name's entries are.
    fn find_name(&self, name: &str) -> Result<Option<&NameEntry>, StorageError> {
        let mut failed = None;
        let found = self.names.binary_search_by(|entry| match self.offset_entry_at(entry.begin) {
            Ok(at) => at.name.cmp(name),
            Err(error) => {
                failed = Some(error);
                std::cmp::Ordering::Less
            }
        });
        failed.map_or(Ok(found.ok().map(|nth| &self.names[nth])), Err)
    }

    fn offset_entry_at(&self, begin: u32) -> Result<OffsetEntry<'_>, StorageError> {
        let mut cursor = self.offsets_from(begin)?;
        offset_entry(&mut cursor).map_err(|error| self.damaged_offsets(error))
    }

    fn offsets_from(&self, begin: u32) -> Result<Cursor<'_>, StorageError> {
        let mut cursor = Cursor::new(&self.bytes[self.offsets_at.clone()]);
        cursor.take(begin as usize).map_err(|error| self.damaged_offsets(error))?;
        Ok(cursor)
    }

    /// Visits a name's entries in order, beginning with a value that isn't after `from`.
    fn visit_from<'a>(
        &'a self,
        entry: &NameEntry,
        from: &str,
        visit: &mut dyn FnMut(OffsetEntry<'a>) -> bool,
    ) -> Result<(), StorageError> {
        let marks = &self.marks[entry.marks.start as usize..entry.marks.end as usize];
        let (mut low, mut high) = (0, marks.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.offset_entry_at(marks[middle])?.value <= from {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let mut cursor =
            self.offsets_from(marks.get(low.saturating_sub(1)).copied().unwrap_or(entry.begin))?;
        while cursor.position() < entry.end as usize {
            let entry = offset_entry(&mut cursor).map_err(|error| self.damaged_offsets(error))?;
            if !visit(entry) {
                break;
            }
        }
        Ok(())
    }

    fn damaged_offsets(&self, error: DecodeError) -> StorageError {
        corrupt(&self.path, (self.offsets_at.start + error.at) as u64, error.what)
    }

    fn damaged_symbols(&self, error: DecodeError) -> StorageError {
        corrupt(&self.path, (self.symbols_at.start + error.at) as u64, error.what)
    }
}

impl LabelIndex for IndexReader {
    fn all(&self) -> Result<Postings<'_>, StorageError> {
        self.postings_at(self.all)
    }

    fn postings(&self, name: &str, value: &str) -> Result<Postings<'_>, StorageError> {
        let Some(entry) = self.find_name(name)? else { return Ok(Postings::EMPTY) };
        let mut list = None;
        self.visit_from(entry, value, &mut |entry| {
            if entry.value == value {
                list = Some(entry.list);
            }
            entry.value < value
        })?;
        list.map_or(Ok(Postings::EMPTY), |list| self.postings_at(list))
    }

    fn postings_at(&self, list: PostingsRef) -> Result<Postings<'_>, StorageError> {
        let read = || {
            let content = section(&self.bytes, list.0)?;
            let mut cursor = Cursor::new(&self.bytes[content.clone()]);
            let count = cursor.u32()? as usize;
            let (ids, rest) = cursor.take(cursor.remaining())?.as_chunks::<4>();
            if ids.len() != count || !rest.is_empty() {
                return Err(DecodeError { what: "length of a list of postings is wrong", at: content.start });
            }
            Ok(Postings::BigEndian(ids))
        };
        read().map_err(|error| corrupt(&self.path, error.at as u64, error.what))
    }

    fn value_count(&self, name: &str) -> usize {
        self.find_name(name).ok().flatten().map_or(0, |entry| entry.values as usize)
    }

    fn visit_values<'a>(
        &'a self,
        name: &str,
        prefix: &str,
        visit: &mut ValueVisitor<'_, 'a>,
    ) -> Result<(), StorageError> {
        let Some(entry) = self.find_name(name)? else { return Ok(()) };
        self.visit_from(entry, prefix, &mut |entry| {
            if entry.value.starts_with(prefix) {
                visit(entry.value, entry.list)
            } else {
                entry.value < prefix
            }
        })
    }

    fn visit_names<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) -> Result<(), StorageError> {
        for entry in &self.names {
            visit(self.offset_entry_at(entry.begin)?.name);
        }
        Ok(())
    }

    fn visit_labels<'a>(
        &'a self,
        id: SeriesId,
        visit: &mut dyn FnMut(&'a str, &'a str),
    ) -> Result<(), StorageError> {
        self.visit_symbols(id, &mut |name, value| {
            visit(self.symbol(name)?, self.symbol(value)?);
            Ok(())
        })
    }
}

fn series_offset(id: SeriesId) -> u64 {
    u64::from(id) * SERIES_ALIGNMENT
}

/// The checked content of a section: behind its length, before its checksum.
fn section(index: &[u8], offset: u64) -> Result<Range<usize>, DecodeError> {
    let mut cursor = Cursor::new(index);
    cursor.take(usize::try_from(offset).unwrap_or(usize::MAX))?;
    let len = cursor.u32()? as usize;
    let start = cursor.position();
    let content = cursor.take(len)?;
    if cursor.u32()? != crc32c::crc32c(content) {
        return Err(DecodeError { what: "checksum of a section doesn't match", at: start });
    }
    Ok(start..start + len)
}

fn offset_entry<'a>(cursor: &mut Cursor<'a>) -> Result<OffsetEntry<'a>, DecodeError> {
    if cursor.u8()? != KEY_TEXTS {
        return Err(cursor.error("key of a list of postings isn't a label pair"));
    }
    Ok(OffsetEntry { name: cursor.text()?, value: cursor.text()?, list: PostingsRef(cursor.uvarint()?) })
}

/// Reads the chunks of a series out of its content.
fn decode_chunks(content: &[u8], out: &mut Vec<ChunkMeta>) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(content);
    for _ in 0..cursor.uvarint()? {
        cursor.uvarint32()?;
        cursor.uvarint32()?;
    }
    let count = cursor.uvarint()?;
    for _ in 0..count {
        let chunk = match out.last() {
            None => {
                let mint = cursor.varint()?;
                let maxt = mint.wrapping_add(cursor.uvarint()? as i64);
                ChunkMeta { mint, maxt, at: ChunkRef(cursor.uvarint()?) }
            }
            Some(before) => {
                let mint = before.maxt.wrapping_add(cursor.uvarint()? as i64);
                let maxt = mint.wrapping_add(cursor.uvarint()? as i64);
                ChunkMeta { mint, maxt, at: ChunkRef(before.at.0.wrapping_add(cursor.varint()? as u64)) }
            }
        };
        if chunk.mint > chunk.maxt {
            return Err(cursor.error("chunk ends before it begins"));
        }
        out.push(chunk);
    }
    Ok(())
}
