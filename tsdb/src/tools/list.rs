//! `tsdb list`: a table of blocks.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::text::{base2_bytes, go_duration, go_time};
use super::{StoredBlocks, ToolError};
use crate::block::meta::BlockMeta;
use crate::fs::Fs;

const HEADER: [&str; 8] =
    ["BLOCK ULID", "MIN TIME", "MAX TIME", "DURATION", "NUM SAMPLES", "NUM CHUNKS", "NUM SERIES", "SIZE"];
/// The least width of a column but the last, as in promtool.
const COLUMN_WIDTH_MIN: usize = 13;
/// Blanks between columns at least, as in promtool.
const PADDING: usize = 2;

/// Prints the table of all blocks of a data directory, in order of time. `human_readable` says times and sizes
/// in units instead of milliseconds and bytes.
pub fn list(
    fs: &Arc<dyn Fs>,
    data_dir: &Path,
    human_readable: bool,
    out: &mut dyn Write,
) -> Result<(), ToolError> {
    let mut table = BlockTable::new(human_readable);
    for block in StoredBlocks::open(fs, data_dir)?.iter() {
        table.add(&block.meta(), block.size_bytes());
    }
    Ok(table.print(out)?)
}

/// A table of blocks, a line each.
#[derive(Debug)]
pub struct BlockTable {
    human_readable: bool,
    rows: Vec<[String; HEADER.len()]>,
}

impl BlockTable {
    /// A table of no blocks; see [`list`].
    pub fn new(human_readable: bool) -> Self {
        BlockTable { human_readable, rows: vec![HEADER.map(str::to_owned)] }
    }

    /// Adds a block.
    pub fn add(&mut self, meta: &BlockMeta, size_bytes: u64) {
        let time = |t: i64| if self.human_readable { go_time(t) } else { t.to_string() };
        let size = if self.human_readable { base2_bytes(size_bytes) } else { size_bytes.to_string() };
        self.rows.push([
            meta.ulid.to_string(),
            time(meta.min_time),
            time(meta.max_time),
            go_duration(meta.max_time - meta.min_time),
            meta.stats.num_samples.to_string(),
            meta.stats.num_chunks.to_string(),
            meta.stats.num_series.to_string(),
            size,
        ]);
    }

    /// Prints the header and all lines.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let last = HEADER.len() - 1;
        let width = |column: usize| {
            let longest = self.rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
            (longest + PADDING).max(COLUMN_WIDTH_MIN)
        };
        let widths: Vec<usize> = (0..last).map(width).collect();
        for row in &self.rows {
            for (cell, width) in row.iter().zip(&widths) {
                write!(out, "{cell:width$}")?;
            }
            writeln!(out, "{}", row[last])?;
        }
        Ok(())
    }
}
