//! The database: a data directory, opened.
//!
//! ```text
//! <data>/lock                      flock: one process at a time
//! <data>/<ULID>/                   blocks, Prometheus's format
//! <data>/head/wal/NNNNNNNN         the log, see `wal`
//! <data>/head/checkpoint.NNNNNNNN  see `wal::checkpoint`
//! <data>/head/chunks/NNNNNN        full chunks of the head, see `head_chunks`
//! <data>/head/set-aside/           what was damaged
//! <data>/wal/ and others           the head of a Prometheus that was here before, see `prometheus`
//! ```

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use model::cancel::Cancel;
use model::exemplar::Exemplar;
use model::labels::Labels;
use model::matcher::Matcher;
use model::storage::{Appender, Batch, Committed, Querier, Queryable, StorageError};
use model::time::{Clock, TimestampMs};
use parking_lot::Mutex;
use prometheus::Registry;

use crate::block;
use crate::blocks::Blocks;
use crate::compact::{Compactor, CompactorOptions, UlidSource};
use crate::fs::{Fs, FsLock};
use crate::head::index::Cardinality;
use crate::head::{ChunkRules, Head};
use crate::head_chunks::HeadChunks;
use crate::maintenance::Background;
use crate::metrics::Metrics;
use crate::options::{Options, WalSync};
use crate::prometheus::Import;
use crate::querier::DbQuerier;
use crate::wal::checkpoint::{self, Covered};
use crate::wal::replay::{self, Progress, Replayed};
use crate::wal::segment::Wal;

/// Why a database can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("data directory {path} is used by another process")]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The user may not write there.
    #[error("data directory {path} is not writable: {source}")]
    NotWritable {
        /// The directory.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// There is no room.
    #[error("no space left for data directory {path}: {source}")]
    DiskFull {
        /// The directory.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// Something else went wrong.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, and where.
        what: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// The options contradict each other.
    #[error("{0}")]
    Options(String),
    /// The registry has metrics of a database already.
    #[error("metrics of storage: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl OpenError {
    fn io(path: &Path, what: &str, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                OpenError::NotWritable { path, source }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::DiskFull { path, source },
            _ => OpenError::Io { what: format!("{what} {}", path.display()), source },
        }
    }
}

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

/// Damage that was found when the database was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where it begins, in bytes.
    pub from: usize,
    /// Where the next undamaged part begins.
    pub to: usize,
    /// What is wrong.
    pub what: String,
}

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
    damage: Vec<Damage>,
    background: Mutex<Option<Background>>,
    closed: AtomicBool,
    last_checkpoint_ms: AtomicI64,
    last_reload_ms: AtomicI64,
    /// One checkpoint, compaction or deletion at a time.
    pub(crate) maintenance: Mutex<()>,
    _lock: Option<Box<dyn FsLock>>,
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
        let lock = lock(&*fs, dir, &options, &metrics)?;
        let started_ms = clock.now_ms();
        let blocks = open_blocks(&fs, dir, &metrics)?;
        let (head, mut damage) = open_head(&fs, &head_dir, &wal_dir, &options, &metrics)?;
        damage.extend(blocks.1);
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
            options,
            metrics,
            head,
            blocks: Arc::new(blocks.0),
            compactor,
            cancel,
            damage,
            background: Mutex::new(None),
            closed: AtomicBool::new(false),
            maintenance: Mutex::new(()),
            _lock: lock,
        });
        db.set_aside_damage();
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

    /// What was found damaged when the database was opened. All else is there.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Copies what is damaged, and makes a checkpoint so that the next start doesn't find it again.
    fn set_aside_damage(&self) {
        if self.damage.is_empty() {
            return;
        }
        for damage in self.damage.iter().filter(|damage| damage.file.starts_with(self.dir.join("head"))) {
            let Damage { file, from, to, what } = damage;
            tracing::error!(file = %file.display(), from, to, what, "damage on disk, set aside");
            if let Err(error) = self.set_aside(damage) {
                tracing::error!(file = %file.display(), %error, "damaged bytes can't be copied");
                return;
            }
        }
        if let Err(error) = self.checkpoint() {
            tracing::error!(%error, "no checkpoint after damage: the next start will find it again");
        }
    }

    fn set_aside(&self, damage: &Damage) -> io::Result<()> {
        let dir = self.dir.join("head").join("set-aside");
        self.fs.create_dir_all(&dir)?;
        let bytes = self.fs.view(&damage.file)?;
        let name = damage.file.file_name().unwrap_or_default().to_string_lossy();
        let mut copy = self.fs.create(&dir.join(format!("{name}.{}-{}", damage.from, damage.to)))?;
        copy.append(bytes.get(damage.from..damage.to).unwrap_or_default())?;
        copy.sync_data()
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
        checkpoint::write(&self.head, &*self.fs, &self.dir.join("head"))
    }

    /// Makes all commits so far survive a power loss.
    ///
    /// # Errors
    ///
    /// If the log can't be synced, not even in a new segment.
    pub fn sync(&self) -> Result<(), StorageError> {
        let started_ms = self.clock.now_ms();
        let result = self.head.wal.sync();
        self.metrics.wal_fsync_duration.observe((self.clock.now_ms() - started_ms) as f64 / 1000.0);
        result
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
        self.head.exemplars.lock().resize(count);
    }

    /// Changes how far behind the newest sample others are accepted out of order, in milliseconds.
    pub fn set_out_of_order_time_window(&self, window_ms: i64) {
        self.head.bounds.set_out_of_order_window(window_ms);
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
        self.sync()?;
        self.checkpoint()
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

fn lock(
    fs: &dyn Fs,
    dir: &Path,
    options: &Options,
    metrics: &Metrics,
) -> Result<Option<Box<dyn FsLock>>, OpenError> {
    if options.no_lockfile {
        metrics.clean_start.set(-1);
        return Ok(None);
    }
    let path = dir.join("lock");
    metrics.clean_start.set(i64::from(!fs.exists(&path)));
    match fs.lock(&path) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(OpenError::Locked { path: dir.to_owned() })
        }
        Err(error) => Err(OpenError::io(dir, "lock", error)),
    }
}

/// Opens the blocks; names those that are damaged.
fn open_blocks(fs: &Arc<dyn Fs>, dir: &Path, metrics: &Metrics) -> Result<(Blocks, Vec<Damage>), OpenError> {
    let error =
        |what: &'static str| move |e: StorageError| OpenError::io(dir, what, io::Error::other(e.to_string()));
    let removed = block::dir::remove_leftovers(&**fs, dir).map_err(error("clean up"))?;
    if !removed.is_empty() {
        tracing::info!(dirs = ?removed, "removed unfinished blocks");
    }
    let blocks = Blocks::new(Arc::clone(fs), dir.to_owned());
    metrics.reloads.inc();
    let bad = blocks.reload().map_err(error("list blocks of"))?;
    if !bad.is_empty() {
        metrics.reloads_failed.inc();
    }
    let damage = bad.into_iter().map(|bad| {
        let what = bad.error.to_string();
        Damage { file: bad.path, from: 0, to: 0, what }
    });
    Ok((blocks, damage.collect()))
}

/// Opens the head of a directory; names what is damaged.
pub(crate) fn open_head(
    fs: &Arc<dyn Fs>,
    head_dir: &Path,
    wal_dir: &Path,
    options: &Options,
    metrics: &Arc<Metrics>,
) -> Result<(Arc<Head>, Vec<Damage>), OpenError> {
    let error = |what: &'static str| move |e: io::Error| OpenError::io(head_dir, what, e);
    checkpoint::remove_unfinished(&**fs, head_dir).map_err(error("clean up"))?;
    let chunks =
        HeadChunks::open(Arc::clone(fs), head_dir.join("chunks")).map_err(error("open chunks of"))?;
    let rules = ChunkRules { range_ms: options.min_block_duration_ms, samples: options.samples_per_chunk };
    // Nothing is logged during replay; the log is opened for writing behind it.
    let open_wal = |next_segment, number, size| {
        let (dir, always) = (wal_dir.to_owned(), options.wal_sync == WalSync::Always);
        Wal::new(Arc::clone(fs), dir, next_segment, number, size, options.wal_segment_bytes, always)
    };
    let mut head = Head::new(
        open_wal(1, 0, 0),
        chunks,
        rules,
        options.out_of_order_time_window_ms,
        options.max_exemplars,
        Arc::clone(metrics),
    );
    let mut damage = Vec::new();
    let mut covered = Covered::default();
    if let Some((_, path)) = checkpoint::list(&**fs, head_dir).map_err(error("list"))?.pop() {
        let bytes = fs.view(&path).map_err(error("read checkpoint of"))?;
        covered = checkpoint::read(&head, &bytes);
        damage.extend(covered.damage.drain(..).map(|(from, to, what)| Damage {
            file: path.clone(),
            from,
            to,
            what,
        }));
    }
    let replayed = replay::replay(&head, &**fs, wal_dir, &covered, &Progress::default())
        .map_err(error("replay the log of"))?;
    note_replay(&replayed, &covered, metrics);
    damage.extend(replayed.damage.into_iter().map(|(file, from, to, what)| Damage { file, from, to, what }));
    metrics.wal_corruptions.inc_by(damage.len() as u64);
    head.wal = open_wal(replayed.next_segment, replayed.number, replayed.size);
    head.index.get_mut().find_free_ids();
    if head.bounds.truncated() > i64::MIN {
        head.truncate(head.bounds.truncated());
    }
    head.chunks.remove_unused().map_err(error("clean up chunks of"))?;
    Ok((Arc::new(head), damage))
}

fn note_replay(replayed: &Replayed, covered: &Covered, metrics: &Metrics) {
    metrics.wal_lost_commits.inc_by(replayed.lost_commits);
    metrics.wal_unknown_refs.with_label_values(&["samples"]).inc_by(replayed.unknown_refs);
    metrics.mmap_chunk_corruptions.inc_by(covered.missing_chunks as u64);
    if replayed.lost_commits > 0 {
        tracing::error!(commits = replayed.lost_commits, "commits lost to damage of the log");
    }
    if replayed.unknown_refs > 0 {
        tracing::error!(
            samples = replayed.unknown_refs,
            "samples in the log of series that it doesn't define"
        );
    }
    if covered.missing_chunks > 0 {
        tracing::error!(chunks = covered.missing_chunks, "files of head chunks are missing");
    }
    tracing::info!(commits = replayed.frames, bytes = replayed.size, "replayed the log");
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
pub(crate) mod tests;
