//! Work that goes on behind commits and queries: syncing the log, and on a clock's ticks checkpoints,
//! compaction and retention.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use model::storage::StorageError;
use parking_lot::{Condvar, Mutex};
use prometheus::IntCounter;

use crate::db::Db;
use crate::options::WalSync;

/// How often the clock is asked whether work is due.
const TICK: Duration = Duration::from_secs(1);

/// Tells threads to end.
#[derive(Debug, Default)]
struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Waits; returns whether to go on.
    fn wait(&self, time: Duration) -> bool {
        let mut stopped = self.stopped.lock();
        if !*stopped {
            self.changed.wait_for(&mut stopped, time);
        }
        !*stopped
    }
}

/// The threads of an open database. They hold the database only while they work.
#[derive(Debug)]
pub(crate) struct Background {
    stop: Arc<Stop>,
    threads: Vec<JoinHandle<()>>,
}

impl Background {
    /// Starts the threads.
    pub(crate) fn start(db: &Arc<Db>) -> std::io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let mut threads = vec![spawn("tsdb-maintain", db, &stop, TICK, Db::maintain)?];
        if let WalSync::Every { interval_ms } = db.options.wal_sync {
            let sync = |db: &Db| {
                if let Err(error) = db.sync() {
                    tracing::error!(%error, "commits of the last moments may not survive a power loss");
                }
            };
            threads.push(spawn("tsdb-sync", db, &stop, Duration::from_millis(interval_ms), sync)?);
        }
        Ok(Background { stop, threads })
    }

    /// Tells the threads to end and waits until they have.
    pub(crate) fn stop(mut self) {
        self.signal();
        let here = std::thread::current().id();
        for thread in self.threads.drain(..).filter(|thread| thread.thread().id() != here) {
            if thread.join().is_err() {
                tracing::error!("a thread of storage panicked");
            }
        }
    }

    fn signal(&self) {
        *self.stop.stopped.lock() = true;
        self.stop.changed.notify_all();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.signal();
    }
}

fn spawn(
    name: &str,
    db: &Arc<Db>,
    stop: &Arc<Stop>,
    interval: Duration,
    work: impl Fn(&Db) + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let (db, stop): (Weak<Db>, _) = (Arc::downgrade(db), Arc::clone(stop));
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        while stop.wait(interval) {
            let Some(db) = db.upgrade() else { return };
            work(&db);
        }
    })
}

/// Brings a counter to what was counted elsewhere.
fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

impl Db {
    /// Does what is due by the clock. The database's own thread calls it every second.
    pub fn maintain(&self) {
        let now_ms = self.clock.now_ms();
        if now_ms.saturating_sub(self.last_reload_ms()) >= self.options.block_reload_interval_ms {
            self.note_reload(now_ms);
            if let Err(error) = self.compact()
                && !matches!(error, StorageError::Cancelled)
            {
                tracing::error!(%error, "compaction failed");
            }
        }
        if now_ms.saturating_sub(self.last_checkpoint_ms()) >= self.options.checkpoint_interval_ms
            && let Err(error) = self.checkpoint()
        {
            tracing::error!(%error, "no checkpoint: a restart will take longer");
        }
        self.head.chunks.release_pages();
        self.update_gauges();
        self.save_followers();
    }

    /// Sets what the shards count.
    fn update_head_counts(&self) {
        let (metrics, head) = (&self.metrics, &self.head);
        let (mut chunks, mut created, mut stale, mut histograms, mut buckets) = (0, 0, 0, 0, 0);
        for shard in &head.shards {
            let shard = shard.lock();
            let counts = shard.counts();
            chunks += shard.chunk_count() as u64;
            created += counts.chunks_created;
            stale += counts.stale;
            histograms += counts.histograms;
            buckets += shard.histogram_buckets();
        }
        metrics.head_chunks.set(chunks as i64);
        raise(&metrics.chunks_created, created);
        raise(&metrics.chunks_removed, created - chunks);
        raise(&metrics.mmap_chunks, head.chunks.appended());
        metrics.stale_series.set(stale as i64);
        metrics.native_histogram_series.set(histograms as i64);
        metrics.native_histogram_buckets.set(buckets as i64);
    }

    /// Sets the gauges that nobody sets on the way.
    pub(crate) fn update_gauges(&self) {
        let (metrics, head) = (&self.metrics, &self.head);
        let wal = head.wal.stats();
        metrics.wal_segment.set(wal.segment.into());
        metrics.wal_bytes.set(wal.size as i64);
        metrics.head_chunks_bytes.set(head.chunks.size_bytes() as i64);
        self.update_head_counts();
        let index = head.index.read();
        metrics.series.set(index.len() as i64);
        metrics.symbol_table_bytes.set(index.symbols().text_bytes() as i64);
        drop(index);
        let ring = head.exemplars.lock();
        let (exemplars, with_exemplars) = ring.counts();
        metrics.exemplars_in_storage.set(exemplars as i64);
        metrics.exemplars_series.set(with_exemplars as i64);
        metrics.exemplars_last_timestamp.set(ring.oldest().unwrap_or(0) as f64 / 1000.0);
        drop(ring);
        let blocks = self.blocks.all();
        metrics.blocks_loaded.set(blocks.len() as i64);
        metrics.storage_blocks_bytes.set(blocks.iter().map(|block| block.size_bytes() as i64).sum());
        let oldest = blocks.first().map(|block| block.meta().min_time);
        let lowest = oldest.or_else(|| head.bounds.range().map(|range| range.0)).unwrap_or(0);
        metrics.lowest_timestamp.set(lowest);
        metrics.lowest_timestamp_seconds.set(lowest as f64 / 1000.0);
        let (min, max) = head.bounds.range().unwrap_or((0, 0));
        metrics.head_min_time.set(min);
        metrics.head_max_time.set(max);
        metrics.head_min_time_seconds.set(min as f64 / 1000.0);
        metrics.head_max_time_seconds.set(max as f64 / 1000.0);
    }
}
