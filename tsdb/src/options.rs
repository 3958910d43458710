//! How a database is to behave. Durations are milliseconds.

use std::sync::Arc;

use crate::retention::Retention;
use crate::wal::replay::ReplayProgress;

const HOUR_MS: i64 = 3_600_000;

/// See the module.
#[derive(Clone, Debug)]
pub struct Options {
    /// The time range of a block cut from the head, `--storage.tsdb.min-block-duration`.
    pub min_block_duration_ms: i64,
    /// The longest time range of a block, `--storage.tsdb.max-block-duration`.
    pub max_block_duration_ms: i64,
    /// What is kept, until [`crate::Db::set_retention`] says otherwise.
    pub retention: Retention,
    /// How far behind the newest sample of the head others are accepted out of order; 0: not at all.
    pub out_of_order_time_window_ms: i64,
    /// How many samples a chunk should have, `--storage.tsdb.samples-per-chunk`.
    pub samples_per_chunk: u32,
    /// Bytes of a chunk file in a block, `--storage.tsdb.max-block-chunk-segment-size`.
    pub chunk_segment_bytes: u64,
    /// Bytes of a log segment.
    pub wal_segment_bytes: u64,
    /// When commits are made to survive a power loss.
    pub wal_sync: WalSync,
    /// How often the head is written as a checkpoint; bounds what a restart has to replay.
    pub checkpoint_interval_ms: i64,
    /// How many exemplars are kept; 0: none.
    pub max_exemplars: usize,
    /// Don't lock the data directory, `--storage.tsdb.no-lockfile`.
    pub no_lockfile: bool,
    /// Whether overlapping blocks are merged, `--storage.tsdb.allow-overlapping-compaction`.
    pub overlapping_compaction: bool,
    /// How often the directory is looked at for blocks, and for work.
    pub block_reload_interval_ms: i64,
    /// Whether threads of the database sync the log and call [`crate::Db::maintain`]; without them its owner
    /// has to.
    pub background: bool,
    /// Tells others how far the log has been replayed while the database is being opened.
    pub replay_progress: Arc<ReplayProgress>,
}

/// When commits are made to survive a power loss. They survive the end of the process in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalSync {
    /// At most so long after they were acknowledged.
    Every {
        /// Milliseconds.
        interval_ms: u64,
    },
    /// Before they are acknowledged.
    Always,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            min_block_duration_ms: 2 * HOUR_MS,
            max_block_duration_ms: 36 * HOUR_MS,
            retention: Retention { time_ms: 15 * 24 * HOUR_MS, ..Retention::default() },
            out_of_order_time_window_ms: 0,
            samples_per_chunk: 120,
            chunk_segment_bytes: 512 << 20,
            wal_segment_bytes: 128 << 20,
            wal_sync: WalSync::Every { interval_ms: 1000 },
            checkpoint_interval_ms: 2 * 60_000,
            max_exemplars: 100_000,
            no_lockfile: false,
            overlapping_compaction: true,
            block_reload_interval_ms: 60_000,
            background: true,
            replay_progress: Arc::default(),
        }
    }
}

impl Options {
    /// What doesn't make sense.
    ///
    /// # Errors
    ///
    /// The first thing found, in words for the user.
    pub fn validate(&self) -> Result<(), String> {
        for (name, value) in [
            ("min-block-duration", self.min_block_duration_ms),
            ("max-block-duration", self.max_block_duration_ms),
            ("block-reload-interval", self.block_reload_interval_ms),
            ("checkpoint interval", self.checkpoint_interval_ms),
        ] {
            if value <= 0 {
                return Err(format!("{name} has to be above 0"));
            }
        }
        if self.max_block_duration_ms < self.min_block_duration_ms {
            return Err("max-block-duration can't be below min-block-duration".to_owned());
        }
        if self.samples_per_chunk == 0 {
            return Err("samples-per-chunk has to be above 0".to_owned());
        }
        Ok(())
    }
}
