//! What `ferula tsdb …` does, in the words and columns of promtool. Everything is printed to a [`io::Write`] that
//! the caller gives; nothing here starts a server or changes the data directory.

use std::io;

use model::storage::StorageError;

mod analyze;
mod backfill;
mod blocks;
mod dump;
mod list;
mod stored;
mod text;

pub use analyze::{AnalyzeOptions, analyze};
pub use backfill::{BackfillError, BackfillOptions, Sample, compatible_block_duration, create_blocks};
pub use blocks::StoredBlocks;
pub use dump::{DumpFormat, DumpOptions, dump};
pub use list::{BlockTable, list};
pub use stored::StoredData;

#[cfg(test)]
mod tests;

/// Why a tool gave up.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The data directory can't be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The output can't be written.
    #[error("write output: {0}")]
    Output(#[from] io::Error),
    /// The directory has no blocks.
    #[error("no blocks found")]
    NoBlocks,
    /// No block has this name.
    #[error("block {0} not found")]
    NoSuchBlock(String),
}
