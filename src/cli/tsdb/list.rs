//! `tsdb list`.

use std::sync::Arc;

use jiff::Timestamp;
use model::byte_size::ByteSize;
use model::duration::format_ms;
use model::time::TimestampMs;
use tsdb::block::Block;

const HEADER: [&str; 8] =
    ["BLOCK ULID", "MIN TIME", "MAX TIME", "DURATION", "NUM SAMPLES", "NUM CHUNKS", "NUM SERIES", "SIZE"];

/// Prints a table, a line for each block.
pub(super) fn print(blocks: &[Arc<Block>], human_readable: bool) -> anyhow::Result<()> {
    let mut rows = vec![HEADER.map(str::to_owned)];
    for block in blocks {
        let meta = block.meta();
        rows.push([
            meta.ulid.to_string(),
            time(meta.min_time, human_readable),
            time(meta.max_time, human_readable),
            format_ms(meta.max_time - meta.min_time),
            meta.stats.num_samples.to_string(),
            meta.stats.num_chunks.to_string(),
            meta.stats.num_series.to_string(),
            size(block.size_bytes(), human_readable),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADER.len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    Ok(())
}

fn time(at_ms: TimestampMs, human_readable: bool) -> String {
    match Timestamp::from_millisecond(at_ms) {
        Ok(time) if human_readable => time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string(),
        _ => at_ms.to_string(),
    }
}

fn size(bytes: u64, human_readable: bool) -> String {
    if human_readable { ByteSize(bytes).to_string() } else { format!("{bytes}B") }
}
