//! What a compaction of a day of 100,000 series takes: time, memory, and bytes for each sample before and after.
//! `cargo bench --bench compact -- 100000 12` says how many series and two-hour blocks. Not a criterion
//! benchmark: one run takes long enough.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measures")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use model::cancel::Cancel;
use model::labels::Labels;
use model::time::{ManualClock, TimestampMs};
use tsdb::block::ChunkData;
use tsdb::block::{Block, dir};
use tsdb::chunk::{Encoding, xor};
use tsdb::compact::{Compactor, CompactorOptions, SeriesSource, SourceSeries, UlidSource};
use tsdb::fs::RealFs;

const BLOCK_MS: TimestampMs = 2 * 3_600_000;
const STEP_MS: TimestampMs = 15_000;
/// As the head cuts them.
const CHUNK_SAMPLES: usize = 120;

/// Series as node-exporter has them: six of ten constant, two counters, two noisy gauges.
#[derive(Debug)]
struct Made {
    next: u64,
    series: u64,
    begin: TimestampMs,
}

impl Made {
    fn value(series: u64, t: TimestampMs) -> f64 {
        let step = (t / STEP_MS) as u64;
        let noise = (step ^ series).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        match series % 10 {
            0..=5 => series as f64,
            6 | 7 => (step * (series % 977)) as f64 + (noise % 16) as f64,
            _ => noise as f64 / 1024.0,
        }
    }
}

impl SeriesSource for Made {
    fn next(&mut self, into: &mut SourceSeries) -> Result<bool, model::storage::StorageError> {
        if self.next == self.series {
            return Ok(false);
        }
        let series = self.next;
        self.next += 1;
        into.reset(Labels::from_pairs([
            ("__name__", format!("node_metric_{:03}_total", series * 300 / self.series)),
            ("instance", format!("host-{series:07}.example.org:9100")),
            ("job", "node".to_owned()),
            ("mode", ["idle", "user", "system"][series as usize % 3].to_owned()),
        ]));
        let times: Vec<TimestampMs> = (self.begin..self.begin + BLOCK_MS).step_by(STEP_MS as usize).collect();
        for times in times.chunks(CHUNK_SAMPLES) {
            let values: Vec<f64> = times.iter().map(|t| Made::value(series, *t)).collect();
            let bytes = xor::encode(times, &values);
            let (mint, maxt) = (times[0], times[times.len() - 1]);
            into.push(ChunkData { mint, maxt, encoding: Encoding::Xor, bytes: &bytes });
        }
        Ok(true)
    }
}

/// A line of `/proc/self/status` in MiB.
fn status_mib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024
}

fn open(data_dir: &Path, meta: &tsdb::block::meta::BlockMeta) -> Arc<Block> {
    Block::open(Arc::new(RealFs), &dir::path_of(data_dir, meta.ulid)).expect("a good block")
}

fn main() {
    let mut numbers = std::env::args().filter_map(|arg| arg.parse::<u64>().ok());
    let series = numbers.next().unwrap_or(100_000);
    let count = numbers.next().unwrap_or(12);
    let data = tempfile::tempdir().expect("a temporary directory");
    let ulids = UlidSource::new(Arc::new(ManualClock::new(1)), 1);
    let compactor = Compactor::new(Arc::new(RealFs), ulids, CompactorOptions::default());
    let cancel = Cancel::new();
    let mut blocks = Vec::new();
    for nth in 0..count as i64 {
        let mut made = Made { next: 0, series, begin: nth * BLOCK_MS };
        let range = (nth * BLOCK_MS, (nth + 1) * BLOCK_MS);
        let meta = compactor.write(data.path(), &mut made, range, &[], &cancel).expect("a written block");
        blocks.push(open(data.path(), &meta.expect("a block with series")));
    }
    let per_sample = |blocks: &[Arc<Block>]| {
        let bytes: u64 = blocks.iter().map(|block| block.size_bytes()).sum();
        let samples: u64 = blocks.iter().map(|block| block.meta().stats.num_samples).sum();
        bytes as f64 / samples as f64
    };
    let before = (per_sample(&blocks), status_mib("RssAnon"));
    // The high-water mark begins anew.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let started = Instant::now();
    let meta = compactor.compact(data.path(), &blocks, &cancel).expect("a compaction");
    let elapsed = started.elapsed();
    let compacted = [open(data.path(), &meta.expect("a block with series"))];
    println!("{series} series in {count} blocks compacted in {:.1} s", elapsed.as_secs_f64());
    println!("bytes per sample: {:.3} before, {:.3} after", before.0, per_sample(&compacted));
    println!("anonymous memory: {} MiB before, {} MiB after", before.1, status_mib("RssAnon"));
    println!("resident memory at most: {} MiB, mapped files included", status_mib("VmHWM"));
}
