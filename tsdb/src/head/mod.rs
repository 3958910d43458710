//! The head: the newest samples of all active series, in memory, and full chunks in files.
//!
//! # Locks, in the order they are taken
//!
//! 1. `gate`: a commit holds it shared, a selection exclusively while it notes the newest sample of each series.
//!    So a reader sees whole commits only, without an id at each sample.
//! 2. `index`: which series there are. Written only when series come and go.
//! 3. the shards, in order of their numbers: records and open chunks. A commit holds all it needs from the
//!    checks of its samples until they are in the log and in memory; so what a shard holds is exactly what
//!    the log says up to its last frame, which a checkpoint notes with each slice.
//! 4. `families`.
//! 5. the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use model::labels::Labels;
use model::storage::SeriesRef;
use model::time::TimestampMs;
use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;

use crate::head_chunks::HeadChunks;
use crate::metrics::Metrics;
use crate::wal::followers::Followers;
use crate::wal::record::{SectionKind, put_section, put_series};
use crate::wal::segment::Wal;

mod append;
mod buffers;
mod delete;
pub(crate) mod exemplars;
pub(crate) mod families;
mod gc;
pub(crate) mod index;
mod labels;
pub(crate) mod memory;
pub(crate) mod out_of_order;
mod postings;
pub(crate) mod read;
mod select;
pub(crate) mod series;
pub(crate) mod shard;
pub(crate) mod source;
mod symbols;

use crate::block::tombstones::{Interval, Tombstones};
use append::Scratch;
use exemplars::Exemplars;
use families::Families;
use index::Index;
use series::Record;
pub(crate) use shard::ChunkRules;
use shard::{SHARDS, Shard};

/// See the module.
#[derive(Debug)]
pub(crate) struct Head {
    gate: RwLock<()>,
    pub(crate) index: RwLock<Index>,
    pub(crate) shards: Vec<Mutex<Shard>>,
    pub(crate) wal: Wal,
    /// Who follows the log.
    pub(crate) followers: Followers,
    pub(crate) chunks: HeadChunks,
    pub(crate) rules: ChunkRules,
    pub(crate) bounds: Bounds,
    pub(crate) exemplars: Mutex<Exemplars>,
    /// Metadata.
    pub(crate) families: Mutex<Families>,
    /// What is deleted, by id of the series.
    pub(crate) tombstones: RwLock<Arc<Tombstones>>,
    pub(crate) metrics: Arc<Metrics>,
    /// Buffers of commits that aren't running.
    scratch: Mutex<Vec<Scratch>>,
}

/// The times that the head has and takes.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// Of the oldest sample; `i64::MAX` while there is none.
    min_t: AtomicI64,
    /// Of the newest sample; `i64::MIN` while there is none.
    max_t: AtomicI64,
    /// Of the oldest sample that came out of order; `i64::MAX` while there is none.
    late_min_t: AtomicI64,
    /// Samples before it are in blocks.
    truncated: AtomicI64,
    /// Samples before it are on their way into a block, and can't be appended any more.
    closed_before: AtomicI64,
    /// See [`crate::Options::out_of_order_time_window_ms`].
    out_of_order_window: AtomicI64,
    /// Whether all chunks end at multiples of the chunk range, which isn't so after a restart with another.
    chunks_aligned: AtomicBool,
}

impl Bounds {
    pub(crate) fn new(out_of_order_window: i64) -> Self {
        Bounds {
            min_t: AtomicI64::new(i64::MAX),
            max_t: AtomicI64::new(i64::MIN),
            late_min_t: AtomicI64::new(i64::MAX),
            truncated: AtomicI64::new(i64::MIN),
            closed_before: AtomicI64::new(i64::MIN),
            out_of_order_window: AtomicI64::new(out_of_order_window),
            chunks_aligned: AtomicBool::new(true),
        }
    }

    /// Times of the oldest and the newest sample.
    pub(crate) fn range(&self) -> Option<(TimestampMs, TimestampMs)> {
        let (min, max) = (self.min_t.load(Ordering::Acquire), self.max_t.load(Ordering::Acquire));
        (min <= max).then_some((min, max))
    }

    pub(crate) fn extend(&self, min: TimestampMs, max: TimestampMs) {
        self.min_t.fetch_min(min, Ordering::AcqRel);
        self.max_t.fetch_max(max, Ordering::AcqRel);
    }

    /// Times of the oldest and the newest sample, those that came out of order included.
    pub(crate) fn range_with_late(&self) -> Option<(TimestampMs, TimestampMs)> {
        let late = self.late_min_t.load(Ordering::Acquire);
        let (min, max) = (self.min_t.load(Ordering::Acquire), self.max_t.load(Ordering::Acquire));
        let min = min.min(late);
        (min <= max).then_some((min, max))
    }

    /// Notes a sample that came out of order.
    pub(crate) fn extend_late(&self, timestamp: TimestampMs) {
        self.late_min_t.fetch_min(timestamp, Ordering::AcqRel);
        self.max_t.fetch_max(timestamp, Ordering::AcqRel);
    }

    /// Sets the time of the oldest sample that came out of order.
    pub(crate) fn set_late_min_t(&self, timestamp: Option<TimestampMs>) {
        self.late_min_t.store(timestamp.unwrap_or(i64::MAX), Ordering::Release);
    }

    pub(crate) fn truncated(&self) -> TimestampMs {
        self.truncated.load(Ordering::Acquire)
    }

    /// The oldest sample that can be appended in order.
    pub(crate) fn open_from(&self) -> TimestampMs {
        self.truncated().max(self.closed_before.load(Ordering::Acquire))
    }

    /// Notes that samples before `mint` are in blocks.
    pub(crate) fn truncate(&self, mint: TimestampMs) {
        self.truncated.fetch_max(mint, Ordering::AcqRel);
        if self.min_t.load(Ordering::Acquire) != i64::MAX {
            self.min_t.fetch_max(mint, Ordering::AcqRel);
        }
    }

    /// Notes that there is no sample.
    pub(crate) fn set_empty(&self) {
        self.min_t.store(i64::MAX, Ordering::Release);
    }

    /// See [`Self::chunks_aligned`].
    pub(crate) fn forget_chunk_range(&self) {
        self.chunks_aligned.store(false, Ordering::Release);
    }

    /// Whether a chunk that begins before a multiple of the chunk range ends before it.
    pub(crate) fn chunks_aligned(&self) -> bool {
        self.chunks_aligned.load(Ordering::Acquire)
    }

    pub(crate) fn out_of_order_window(&self) -> i64 {
        self.out_of_order_window.load(Ordering::Acquire)
    }

    pub(crate) fn set_out_of_order_window(&self, window_ms: i64) {
        self.out_of_order_window.store(window_ms, Ordering::Release);
    }
}

impl Head {
    /// A head without series.
    pub(crate) fn new(
        wal: Wal,
        chunks: HeadChunks,
        rules: ChunkRules,
        out_of_order_window: i64,
        max_exemplars: usize,
        metrics: Arc<Metrics>,
    ) -> Self {
        Head {
            gate: RwLock::new(()),
            index: RwLock::new(Index::new()),
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::new())).collect(),
            wal,
            followers: Followers::default(),
            chunks,
            rules,
            bounds: Bounds::new(out_of_order_window),
            exemplars: Mutex::new(Exemplars::new(max_exemplars)),
            families: Mutex::default(),
            tombstones: RwLock::new(Arc::new(Tombstones::new())),
            metrics,
            scratch: Mutex::new(Vec::new()),
        }
    }

    /// Lets nobody append before `mint` in order from now on. When this returns, nobody does.
    pub(crate) fn close_before(&self, mint: TimestampMs) {
        self.bounds.closed_before.fetch_max(mint, Ordering::AcqRel);
        // Commits that began before are through.
        drop(self.gate.write());
    }

    /// Number of chunks, open and full.
    pub(crate) fn chunk_count(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().chunk_count()).sum()
    }

    /// Removes series and what they hold.
    fn remove_series(&self, index: &mut Index, gone: &RoaringBitmap) {
        if gone.is_empty() {
            return;
        }
        self.tell_followers(index, gone);
        self.forget_tombstones(gone);
        for id in gone {
            self.remove_from(&mut self.shards[shard::shard_of(id)].lock(), id);
        }
        index.remove(gone);
        self.metrics.series_removed.inc_by(gone.len());
    }
}

impl Head {
    /// Writes to the log which series go, with their labels: who follows it may still be at their samples, and
    /// their ids will be others'.
    fn tell_followers(&self, index: &Index, gone: &RoaringBitmap) {
        if self.followers.is_empty() {
            return;
        }
        let is_logged = |id: &u32| {
            let shard = self.shards[shard::shard_of(*id)].lock();
            shard.record(*id).has(Record::LOGGED)
        };
        let gone: Vec<(u32, Labels)> =
            gone.iter().filter(is_logged).map(|id| (id, index.labels(id))).collect();
        for part in gone.chunks(GONE_SERIES_MAX) {
            let mut record = Vec::new();
            put_section(&mut record, SectionKind::Gone, 0, |out| {
                put_series(out, part.len(), part.iter().map(|(id, labels)| (*id, 0, labels)));
            });
            let number = self.wal.append(&record).unwrap_or_else(|error| {
                self.metrics.wal_writes_failed.inc();
                tracing::error!(%error, "the log doesn't say that series are gone: followers know it until a restart");
                self.wal.number() + 1
            });
            for (id, labels) in part {
                self.followers.add_gone(*id, number, labels.clone());
            }
        }
    }

    /// Adds tombstones.
    pub(crate) fn add_tombstones(&self, added: &[(u32, Interval)]) {
        let mut tombstones = self.tombstones.write();
        let mut changed = Tombstones::clone(&tombstones);
        for (id, interval) in added {
            changed.add(u64::from(*id), *interval);
        }
        *tombstones = Arc::new(changed);
    }

    fn forget_tombstones(&self, gone: &RoaringBitmap) {
        let mut tombstones = self.tombstones.write();
        if tombstones.is_empty() {
            return;
        }
        let mut kept = Tombstones::new();
        for (id, intervals) in tombstones.iter().filter(|(id, _)| !gone.contains(*id as u32)) {
            intervals.iter().for_each(|interval| kept.add(id, *interval));
        }
        *tombstones = Arc::new(kept);
    }
}

/// Series of one record that says which are gone: some megabytes.
const GONE_SERIES_MAX: usize = 10_000;

/// The ref of a series: its generation in the upper half, its id in the lower.
fn series_ref(id: u32, generation: u16) -> Option<SeriesRef> {
    std::num::NonZeroU64::new(u64::from(generation) << 32 | u64::from(id)).map(SeriesRef)
}

/// Id and generation of a ref.
#[inline]
fn split_ref(series: SeriesRef) -> (u32, u64) {
    (series.0.get() as u32, series.0.get() >> 32)
}
