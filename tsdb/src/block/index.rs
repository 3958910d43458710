//! The index of a block: symbols, the chunks of every series, and the series of every label pair.
//!
//! ```text
//! magic 0xbaaad700 u32 │ version 2 u8
//! symbols            see [`super::symbols`]
//! series             each at a multiple of 16 B; a series' id is its offset / 16
//! postings           each at a multiple of 4 B
//! postings offsets   where the list of each label pair is
//! TOC                the last 52 bytes
//!
//! series     len uvarint │ content │ CRC-32C over the content
//!   content  label count uvarint │ (name symbol uvarint, value symbol uvarint) …
//!            chunk count uvarint
//!            first chunk │ mint varint                 │ maxt − mint uvarint │ ref uvarint
//!            next chunks │ mint − maxt before uvarint  │ maxt − mint uvarint │ ref − ref before varint
//! postings   len u32 │ count u32 │ series id u32 … │ CRC-32C
//! offsets    len u32 │ count u32 │ (2 u8, name, value, offset uvarint) … │ CRC-32C
//! TOC        symbols, series, label indices, label offsets, postings, postings offsets: u64 each │ CRC-32C
//! ```
//!
//! Series are sorted by label set, so ids ascend with it. The first list, of the empty pair, has all series.
//! Label indices are a relic: their offsets are written as Prometheus does, and never read. The source is
//! tsdb/index of Prometheus 3.14. Version 1, which Prometheus wrote until 2.1, isn't read: its compactions have
//! rewritten such blocks since 2018.

mod read;
mod write;

pub use read::{IndexReader, Toc};
pub(crate) use write::IndexWriter;

use super::chunks::ChunkRef;
use model::time::TimestampMs;

/// The file's name.
pub const FILE_NAME: &str = "index";
const MAGIC: u32 = 0xbaaa_d700;
const VERSION: u8 = 2;
const HEADER_BYTES: usize = 5;
const SERIES_ALIGNMENT: u64 = 16;
const POSTINGS_ALIGNMENT: u64 = 4;
const TOC_BYTES: usize = 6 * 8 + CRC_BYTES;
const CRC_BYTES: usize = 4;
/// How many texts the key of an entry of the postings offsets has: a name and a value.
const KEY_TEXTS: u8 = 2;

/// A chunk as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkMeta {
    /// Time of the first sample.
    pub mint: TimestampMs,
    /// Time of the last sample.
    pub maxt: TimestampMs,
    /// Where it is.
    pub at: ChunkRef,
}

impl ChunkMeta {
    /// Whether the chunk may have samples in `[mint, maxt]`, both inclusive.
    pub fn overlaps(&self, mint: TimestampMs, maxt: TimestampMs) -> bool {
        self.mint <= maxt && mint <= self.maxt
    }
}

#[cfg(test)]
mod tests;
