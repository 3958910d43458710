//! Opening a data directory: the lock, the blocks, the head as its checkpoint and its log have it.
//!
//! Nothing that is wrong with a file keeps the rest from being served. What does keep a database from being
//! opened: another process has the directory, it can't be written to at all, or it can't be listed. A full
//! disk isn't among these: what is there is served, commits are refused until there is room, and retention,
//! which makes room, goes on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::storage::StorageError;

use super::LOCK;
use super::damage::{Damage, SET_ASIDE, move_aside};
use crate::block;
use crate::blocks::Blocks;
use crate::fs::{Fs, FsLock};
use crate::head::{ChunkRules, Head};
use crate::head_chunks::HeadChunks;
use crate::metrics::Metrics;
use crate::options::{Options, WalSync};
use crate::wal::checkpoint::{self, Covered};
use crate::wal::followers::Followers;
use crate::wal::replay::{self, Replayed};
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
    pub(super) fn io(path: &Path, what: &str, source: io::Error) -> Self {
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

pub(super) fn lock(
    fs: &dyn Fs,
    dir: &Path,
    options: &Options,
    metrics: &Metrics,
) -> Result<Option<Box<dyn FsLock>>, OpenError> {
    if options.no_lockfile {
        metrics.clean_start.set(-1);
        return Ok(None);
    }
    let path = dir.join(LOCK);
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
pub(super) fn open_blocks(
    fs: &Arc<dyn Fs>,
    dir: &Path,
    metrics: &Metrics,
) -> Result<(Blocks, Vec<Damage>), OpenError> {
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
    let damage = bad.iter().map(|bad| Damage::of_file(&bad.path, &bad.error)).collect();
    Ok((blocks, damage))
}

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
    let mut damage = head.chunks.unreadable().to_vec();
    let covered = read_checkpoint(&**fs, head_dir, &head, &mut damage).map_err(error("list"))?;
    let dirs = (wal_dir, &*head_dir.join(SET_ASIDE));
    let replayed = replay::replay(&head, &**fs, dirs, &covered, &options.replay_progress)
        .map_err(error("replay the log of"))?;
    note_replay(&replayed, &covered, metrics);
    damage.extend(replayed.damage);
    metrics.wal_corruptions.inc_by(damage.len() as u64);
    head.wal = open_wal(replayed.next_segment, replayed.number, replayed.size);
    head.followers =
        Followers::load(&**fs, head_dir, replayed.number).map_err(error("read followers of the log of"))?;
    head.index.get_mut().find_free_ids();
    if head.bounds.truncated() > i64::MIN {
        head.truncate(head.bounds.truncated());
    }
    head.chunks.remove_unused().map_err(error("clean up chunks of"))?;
    Ok((Arc::new(head), damage))
}

/// Reads the newest checkpoint that can be read.
fn read_checkpoint(
    fs: &dyn Fs,
    head_dir: &Path,
    head: &Head,
    damage: &mut Vec<Damage>,
) -> io::Result<Covered> {
    for (_, path) in checkpoint::list(fs, head_dir)?.into_iter().rev() {
        let error = match fs.view(&path) {
            Ok(bytes) => {
                let mut covered = checkpoint::read(head, &bytes);
                damage.extend(covered.damage.drain(..).map(|(from, to, what)| Damage {
                    file: path.clone(),
                    from,
                    to,
                    what,
                }));
                return Ok(covered);
            }
            Err(error) => error,
        };
        tracing::error!(file = %path.display(), %error, "checkpoint can't be read");
        damage.push(Damage::of_file(&path, error));
        if let Err(error) = move_aside(fs, &path, &head_dir.join(SET_ASIDE)) {
            tracing::error!(file = %path.display(), %error, "checkpoint can't be set aside");
        }
    }
    Ok(Covered::default())
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
