//! Checkpoints: the head as of the log's frames, written while commits go on.
//!
//! A checkpoint is made of memory, never by reading the log again, so damage to the log can't keep the log
//! from being shortened. The head is copied page by page, each under its shard's lock for as long as the
//! copying takes; with each page goes the number of the last frame that it covers. Replay skips older frames
//! for that page. A page is written with its labels and texts: nothing in one frame refers to another.
//!
//! ```text
//! head/checkpoint.NNNNNNNN      "FERULACP" │ version u8 │ 7×0 │ frame*        see `frame`; numbered from 0
//!
//! frame 0     0 u8 │ frame of the log u64: covered by all pages │ truncated (varint ms) │ block range (varint ms)
//! page        1 u8 │ page u32 │ frame of the log u64: covered │ len u32 │ series, see `record` │ state*
//!             │ metadata, see `record`; nothing in those of older versions
//! tombstones  3 u8 │ as in `record`
//! exemplars   4 u8 │ as in `record`
//! families    5 u8 │ as in `record`
//! last frame  2 u8
//!
//! state, in the order of the series:
//!   kind u8          of the newest sample: 0 none, 1 float, 2 histogram │ flags u8: bit 0 stale
//!   newest           time varint │ value u64, of a histogram its sum
//!   open chunk       encoding u8, 0: none │ min time varint │ next cut varint │ len uvarint │ chunk, len bytes
//!   full chunks      count uvarint │ (location uvarint │ min time varint)*, oldest first
//!   out of order     count uvarint │ (location uvarint │ min time varint │ max time varint)*
//!                    count uvarint │ (encoding u8 │ len uvarint │ chunk, len bytes)*
//! ```
//!
//! It is written under another name, synced and renamed; then the log before it and older checkpoints go.

use std::io;
use std::path::{Path, PathBuf};

use crate::fs::Fs;
pub(crate) use read::{Covered, read, replay_exemplars, replay_families};
pub(crate) use state::Restored;
pub(crate) use write::write;

mod read;
mod state;
mod write;

pub(crate) const MAGIC: &[u8; 8] = b"FERULACP";
const VERSION: u8 = 1;
pub(crate) const HEADER_BYTES: usize = 16;
const NAME_PREFIX: &str = "checkpoint.";
const TEMPORARY_SUFFIX: &str = ".tmp";

const KIND_HEADER: u8 = 0;
const KIND_PAGE: u8 = 1;
const KIND_END: u8 = 2;
const KIND_TOMBSTONES: u8 = 3;
const KIND_EXEMPLARS: u8 = 4;
const KIND_FAMILIES: u8 = 5;

/// The checkpoints of a directory by number, oldest first.
pub(crate) fn list(fs: &dyn Fs, dir: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let entries = fs.list(dir)?.into_iter();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| Some((entry.name.strip_prefix(NAME_PREFIX)?.parse().ok()?, entry.path)))
        .collect();
    found.sort();
    Ok(found)
}

/// Removes checkpoints that weren't finished.
pub(crate) fn remove_unfinished(fs: &dyn Fs, dir: &Path) -> io::Result<()> {
    for entry in fs.list(dir)? {
        if entry.name.starts_with(NAME_PREFIX) && entry.name.ends_with(TEMPORARY_SUFFIX) {
            fs.remove_file(&entry.path)?;
        }
    }
    Ok(())
}
