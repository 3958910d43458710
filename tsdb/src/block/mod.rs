//! Blocks: immutable directories with the samples of a time range, in Prometheus's format, byte for byte, so
//! that moving in and out is a `mv`.
//!
//! ```text
//! 01HZX3…/            a ULID: when the block was made, and chance
//! ├── meta.json       time range, counts, what the block was made of        [`meta`]
//! ├── index           labels → series → chunks                              [`index`]
//! ├── chunks/000001…  samples                                               [`chunks`]
//! └── tombstones      what was deleted since                                [`tombstones`]
//! ```
//!
//! A block is written under the name `<ULID>.tmp-for-creation`, synced and renamed; it is removed by renaming
//! it to `<ULID>.tmp-for-deletion` first. So a directory with a plain ULID is complete, whenever the power
//! went. Files are mapped: what a block costs in memory is a sample of its index, about a byte per label
//! pair; the rest is the page cache's business.

pub mod chunks;
pub mod dir;
pub mod index;
pub mod meta;
mod open;
mod output;
mod series_set;
pub mod symbols;
#[cfg(test)]
pub(crate) mod testing;
pub mod tombstones;
mod write;

pub use open::Block;
pub use series_set::BlockSeriesSet;
pub use write::{BlockWriter, ChunkData};

#[cfg(test)]
mod tests;
