//! The database: a data directory, opened.
//!
//! ```text
//! <data>/lock                      flock: one process at a time
//! <data>/<ULID>/                   blocks, Prometheus's format
//! <data>/head/wal/NNNNNNNN         the log, see `wal`
//! <data>/head/checkpoint.NNNNNNNN  see `wal::checkpoint`
//! <data>/head/chunks/NNNNNN        full chunks of the head, see `head_chunks`
//! <data>/head/followers            who follows the log, see `wal::followers`
//! <data>/head/set-aside/           what was damaged
//! <data>/wal/ and others           the head of a Prometheus that was here before, see `prometheus`
//! ```

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use model::cancel::Cancel;
use model::exemplar::Exemplar;
use model::labels::Labels;
use model::matcher::Matcher;
use model::metadata::MetricFamily;
use model::storage::{Appender, Batch, Committed, Querier, Queryable, StorageError};
use model::time::{Clock, TimestampMs};
use parking_lot::Mutex;
use prometheus::Registry;

use crate::blocks::Blocks;
use crate::compact::{Compactor, CompactorOptions, UlidSource};
use crate::fs::{Fs, FsLock};
use crate::head::Head;
use crate::head::index::Cardinality;
use crate::head::memory::HeadMemory;
use crate::maintenance::Background;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::prometheus::Import;
use crate::querier::DbQuerier;
use crate::retention::Retention;
use crate::wal::checkpoint;
use damage::DAMAGE_MAX;
pub use damage::Damage;
pub(crate) use damage::{SET_ASIDE, move_aside};
pub use open::OpenError;
use open::{open_blocks, open_head};

mod damage;
pub(crate) mod open;

/// What `/api/v1/status/tsdb` tells of the head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadStats {
    /// Number of chunks.
    pub chunks: usize,
    /// Time of the oldest sample; `i64::MAX` if there is none.
    pub min_time_ms: TimestampMs,
    /// Time of the newest sample; `i64::MIN` if there is none.
    pub max_time_ms: TimestampMs,
    /// Numbers of series and the largest cardinalities.
    pub cardinality: Cardinality,
}

/// The file that is locked while the database is open. It is gone after a clean end.
const LOCK: &str = "lock";

/// See the module.
#[derive(Debug)]
pub struct Db {
    pub(crate) dir: PathBuf,
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) head: Arc<Head>,
    pub(crate) blocks: Arc<Blocks>,
    pub(crate) compactor: Compactor,
    pub(crate) cancel: Cancel,
    damage: Mutex<Vec<Damage>>,
    retention: Mutex<Retention>,
    background: Mutex<Option<Background>>,
    closed: AtomicBool,
    last_checkpoint_ms: AtomicI64,
    last_reload_ms: AtomicI64,
    /// One checkpoint, compaction or deletion at a time.
    pub(crate) maintenance: Mutex<()>,
    lock: Mutex<Option<Box<dyn FsLock>>>,
}

impl Db {
    /// Opens the database in a directory, which is made if it isn't there. What the last run left in its log
    /// is replayed; what of it is damaged is set aside and named by [`Self::damage`], the log and metrics.
    ///
    /// # Errors
    ///
    /// If the directory can't be used at all.
    pub fn open(
        dir: &Path,
        options: Options,
        fs: Arc<dyn Fs>,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Arc<Db>, OpenError> {
        options.validate().map_err(OpenError::Options)?;
        let metrics = Arc::new(Metrics::register(registry, &clock)?);
        let head_dir = dir.join("head");
        let wal_dir = head_dir.join("wal");
        fs.create_dir_all(&wal_dir).map_err(|e| OpenError::io(dir, "create", e))?;
        let lock = open::lock(&*fs, dir, &options, &metrics)?;
        let started_ms = clock.now_ms();
        let blocks = open_blocks(&fs, dir, &metrics)?;
        let (head, mut damage) = open_head(&fs, &head_dir, &wal_dir, &options, &metrics)?;
        damage.extend(blocks.1);
        metrics.exemplars_max.set(options.max_exemplars as i64);
        metrics.replay_duration.set((clock.now_ms() - started_ms) as f64 / 1000.0);
        let ulids = UlidSource::new(Arc::clone(&clock), RandomState::new().hash_one(clock.now_ms()));
        let compactor_options = CompactorOptions {
            segment_bytes_max: options.chunk_segment_bytes,
            ..CompactorOptions::default()
        };
        let compactor = Compactor::new(Arc::clone(&fs), ulids, compactor_options);
        let cancel = Cancel::new();
        let import = Import {
            fs: &fs,
            data_dir: dir,
            head: &head,
            blocks: &blocks.0,
            compactor: &compactor,
            exemplars_max: options.max_exemplars,
            cancel: &cancel,
        };
        match import.run() {
            Ok(damaged) => damage.extend(damaged),
            Err(error) => {
                tracing::error!(%error, "Prometheus's head isn't imported: its files stay, the next start tries again");
            }
        }
        let db = Arc::new(Db {
            dir: dir.to_owned(),
            fs,
            last_checkpoint_ms: AtomicI64::new(clock.now_ms()),
            last_reload_ms: AtomicI64::new(clock.now_ms()),
            clock,
            retention: Mutex::default(),
            options,
            metrics,
            head,
            blocks: Arc::new(blocks.0),
            compactor,
            cancel,
            damage: Mutex::default(),
            background: Mutex::new(None),
            closed: AtomicBool::new(false),
            maintenance: Mutex::new(()),
            lock: Mutex::new(lock),
        });
        db.set_retention(db.options.retention);
        db.set_aside(&damage);
        db.note_damage(damage.into_iter());
        db.update_gauges();
        if db.options.background {
            let threads = Background::start(&db).map_err(|e| OpenError::io(dir, "start threads for", e))?;
            *db.background.lock() = Some(threads);
        }
        Ok(db)
    }

    /// When the last checkpoint was begun.
    pub(crate) fn last_checkpoint_ms(&self) -> TimestampMs {
        self.last_checkpoint_ms.load(Ordering::Relaxed)
    }

    /// When the blocks were last looked at.
    pub(crate) fn last_reload_ms(&self) -> TimestampMs {
        self.last_reload_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn note_reload(&self, now_ms: TimestampMs) {
        self.last_reload_ms.store(now_ms, Ordering::Relaxed);
    }

    /// What was found damaged since the database was opened; the first thousand. All else is there.
    pub fn damage(&self) -> Vec<Damage> {
        self.damage.lock().clone()
    }

    /// Number of commits that damage to the log has cost.
    pub fn lost_commits(&self) -> u64 {
        self.metrics.wal_lost_commits.get()
    }

    pub(crate) fn note_damage(&self, found: impl Iterator<Item = Damage>) {
        let mut all = self.damage.lock();
        let room = DAMAGE_MAX.saturating_sub(all.len());
        all.extend(found.take(room));
    }

    /// Copies what of the head is damaged, and makes a checkpoint so that the next start doesn't find it again.
    fn set_aside(&self, found: &[Damage]) {
        let head_dir = self.dir.join("head");
        let mut copied = false;
        for damage in found.iter().filter(|damage| damage.file.starts_with(&head_dir)) {
            let Damage { file, from, to, what } = damage;
            tracing::error!(file = %file.display(), from, to, what, "damage on disk, set aside");
            if let Err(error) = damage.copy_to(&*self.fs, &head_dir.join(SET_ASIDE)) {
                tracing::error!(file = %file.display(), %error, "damaged bytes can't be copied");
                return;
            }
            copied = true;
        }
        if copied && let Err(error) = self.checkpoint() {
            tracing::error!(%error, "no checkpoint after damage: the next start will find it again");
        }
    }

    /// What is kept.
    pub(crate) fn retention(&self) -> Retention {
        *self.retention.lock()
    }

    /// Changes what is kept. Blocks that are past it go when the directory is looked at next.
    pub fn set_retention(&self, retention: Retention) {
        *self.retention.lock() = retention;
        self.metrics.retention_limit_seconds.set(retention.time_ms / 1000);
        self.metrics.retention_limit_bytes.set(i64::try_from(retention.size_bytes).unwrap_or(i64::MAX));
        self.metrics.retention_limit_percentage.set(retention.percentage);
    }

    pub(crate) fn seconds_since(&self, started_ms: TimestampMs) -> f64 {
        (self.clock.now_ms() - started_ms) as f64 / 1000.0
    }

    /// Writes the head as a checkpoint, so that a restart needs the log only from here on.
    ///
    /// # Errors
    ///
    /// If it can't be written; the last one stays.
    pub fn checkpoint(&self) -> Result<(), StorageError> {
        let _one = self.maintenance.lock();
        self.checkpoint_locked()
    }

    /// As [`Self::checkpoint`], by who holds `maintenance`.
    pub(crate) fn checkpoint_locked(&self) -> Result<(), StorageError> {
        self.last_checkpoint_ms.store(self.clock.now_ms(), Ordering::Relaxed);
        let started_ms = self.clock.now_ms();
        let written = checkpoint::write(&self.head, &*self.fs, &self.dir.join("head"));
        self.metrics.wal_truncate_duration.observe(self.seconds_since(started_ms));
        written
    }

    /// Makes all commits so far survive a power loss.
    ///
    /// # Errors
    ///
    /// If the log can't be synced, not even in a new segment.
    pub fn sync(&self) -> Result<(), StorageError> {
        let started_ms = self.clock.now_ms();
        let result = self.head.wal.sync();
        self.metrics.wal_fsync_duration.observe(self.seconds_since(started_ms));
        result
    }

    /// Bytes of the head's structures.
    pub fn head_memory(&self) -> HeadMemory {
        self.head.memory()
    }

    /// What the head holds, with at most `limit` of each cardinality.
    pub fn head_stats(&self, limit: usize) -> HeadStats {
        let range = self.head.bounds.range();
        HeadStats {
            chunks: self.head.chunk_count(),
            min_time_ms: range.map_or(i64::MAX, |range| range.0),
            max_time_ms: range.map_or(i64::MIN, |range| range.1),
            cardinality: self.head.index.read().cardinality(limit),
        }
    }

    /// What is known of the families of the head's series, in no order; of one name there may be several that
    /// differ.
    pub fn families(&self) -> Vec<Arc<MetricFamily>> {
        self.head.families.lock().iter().map(Arc::clone).collect()
    }

    /// Exemplars in `[mint, maxt]`, both inclusive, of the series that satisfy all matchers of one of the
    /// selectors; by series in order of labels, each in order of time.
    pub fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        mint: TimestampMs,
        maxt: TimestampMs,
    ) -> Vec<(Labels, Vec<Exemplar>)> {
        self.head.exemplars.lock().select(selectors, mint, maxt)
    }

    /// Changes how many exemplars are kept; the oldest go.
    pub fn set_max_exemplars(&self, count: usize) {
        self.metrics.exemplars_max.set(count as i64);
        self.head.exemplars.lock().resize(count);
    }

    /// Changes how far behind the newest sample others are accepted out of order, in milliseconds.
    pub fn set_out_of_order_time_window(&self, window_ms: i64) {
        self.head.bounds.set_out_of_order_window(window_ms);
    }

    /// Writes down how far followers of the log are.
    pub(crate) fn save_followers(&self) {
        if let Err(error) = self.head.followers.save(&*self.fs, &self.dir.join("head")) {
            tracing::error!(%error, "after a restart some commits will be sent a second time");
        }
    }

    /// Writes a checkpoint and stops taking commits. Queries go on.
    ///
    /// # Errors
    ///
    /// If the checkpoint can't be written: the next start replays the log instead.
    pub fn close(&self) -> Result<(), StorageError> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.cancel.cancel();
        if let Some(background) = self.background.lock().take() {
            background.stop();
        }
        self.save_followers();
        self.sync()?;
        self.checkpoint()?;
        if let Some(lock) = self.lock.lock().take() {
            let path = self.dir.join(LOCK);
            self.fs.remove_file(&path).map_err(crate::error::io("remove", &path))?;
            drop(lock);
        }
        Ok(())
    }
}

impl Appender for Db {
    fn commit(&self, batch: &Batch) -> Result<Committed, StorageError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StorageError::NotReady);
        }
        self.head.commit(batch)
    }
}

impl Queryable for Db {
    fn querier(&self, mint: TimestampMs, maxt: TimestampMs) -> Result<Box<dyn Querier>, StorageError> {
        Ok(Box::new(DbQuerier::new(Arc::clone(&self.head), Arc::clone(&self.blocks), mint, maxt)))
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod family_tests;
#[cfg(test)]
pub(crate) mod tests;
