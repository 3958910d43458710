//! All samples of a data directory, those of the head included, for reading alone.
//!
//! Nothing in the directory is changed, and a server may be using it. What opening a head writes goes to a
//! sandbox directory, which goes when this is dropped: there the head's checkpoint and chunk files, which don't
//! change, have second names, and its log is copied. A head that Prometheus left is read as an import reads it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::cancel::Cancel;
use model::matcher::Matcher;
use model::storage::{Querier, Queryable, SelectHints, SeriesSet, StorageError};
use model::time::{Clock, ManualClock, TimestampMs};
use prometheus::Registry;

use super::{StoredBlocks, ToolError};
use crate::blocks::Blocks;
use crate::db::open::open_head;
use crate::error::io as io_error;
use crate::fs::Fs;
use crate::head::{ChunkRules, Head};
use crate::merge::merge;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::prometheus::{GatherOptions, Layout, gather};
use crate::querier::DbQuerier;
use crate::wal::checkpoint;

/// How often the head is read again because a server wrote a checkpoint meanwhile.
const ATTEMPTS_MAX: usize = 5;
/// A log is copied in pieces of this size.
const COPY_BYTES: usize = 1 << 20;

/// See the module.
#[derive(Debug)]
pub struct StoredData {
    blocks: StoredBlocks,
    heads: Vec<(Arc<Head>, Arc<Blocks>)>,
    _sandbox: Sandbox,
}

impl StoredData {
    /// Opens a data directory. The sandbox is made in `sandbox_root`, if one is needed, under a name that ends
    /// with `unique`.
    ///
    /// # Errors
    ///
    /// The directory can't be read, a block is damaged, or the sandbox can't be made.
    pub fn open(
        fs: &Arc<dyn Fs>,
        data_dir: &Path,
        sandbox_root: &Path,
        unique: u32,
        cancel: &Cancel,
    ) -> Result<Self, ToolError> {
        let sandbox =
            Sandbox { fs: Arc::clone(fs), dir: sandbox_root.join(format!("tmp_dbro_sandbox{unique}")) };
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(0));
        let metrics = Metrics::register(&Registry::new(), &clock).map_err(io::Error::other)?;
        let (metrics, options) = (Arc::new(metrics), Options::default());
        let mut heads = Vec::new();
        if fs.exists(&data_dir.join("head")) {
            heads.push(sandbox.open_head(data_dir, &options, &metrics)?);
        }
        if let Some(layout) = Layout::find(&**fs, data_dir).map_err(io_error("list", data_dir))? {
            let gather_options = GatherOptions {
                rules: ChunkRules {
                    range_ms: options.min_block_duration_ms,
                    samples: options.samples_per_chunk,
                },
                exemplars_max: 0,
                scratch_dir: sandbox.dir.join("import"),
            };
            heads.push(gather(fs, &layout, gather_options, &metrics, cancel)?.head);
        }
        // After the heads: what leaves one meanwhile is in a block then.
        let blocks = StoredBlocks::open(fs, data_dir)?;
        let no_blocks = || Arc::new(Blocks::new(Arc::clone(fs), data_dir.to_owned()));
        let heads = heads.into_iter().map(|head| (head, no_blocks())).collect();
        Ok(StoredData { blocks, heads, _sandbox: sandbox })
    }
}

/// A directory that goes with what is in it.
#[derive(Debug)]
struct Sandbox {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
}

impl Sandbox {
    /// Opens the head as it is now.
    fn open_head(
        &self,
        data_dir: &Path,
        options: &Options,
        metrics: &Arc<Metrics>,
    ) -> Result<Arc<Head>, ToolError> {
        let dir = self.dir.join("head");
        let from = data_dir.join("head");
        for attempt in 1.. {
            match self.copy_head(&from, &dir) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS_MAX => {
                    self.fs.remove_dir_all(&dir).map_err(io_error("remove", &dir))?;
                }
                Err(error) => return Err(io_error("copy to a sandbox", &from)(error).into()),
            }
        }
        let (head, damage) =
            open_head(&self.fs, &dir, &dir.join("wal"), options, metrics).map_err(io::Error::other)?;
        for damage in damage {
            let file = damage.file.strip_prefix(&self.dir).unwrap_or(&damage.file);
            tracing::warn!(file = %data_dir.join(file).display(), what = damage.what, "damage on disk");
        }
        Ok(head)
    }

    /// Copies a head: [`io::ErrorKind::NotFound`] if it changed meanwhile, so that the parts don't fit.
    fn copy_head(&self, from: &Path, to: &Path) -> io::Result<()> {
        let fs = &*self.fs;
        fs.create_dir_all(&to.join("wal"))?;
        fs.create_dir_all(&to.join("chunks"))?;
        let newest = || Ok::<_, io::Error>(checkpoint::list(fs, from)?.pop());
        let before = newest()?;
        if let Some((_, path)) = &before {
            self.link(path, to)?;
        }
        if fs.exists(&from.join("chunks")) {
            for entry in fs.list(&from.join("chunks"))? {
                self.link(&entry.path, &to.join("chunks"))?;
            }
        }
        for entry in fs.list(&from.join("wal"))? {
            self.copy(&entry.path, &to.join("wal"))?;
        }
        if newest()? == before { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Gives a file a second name, or copies it where that can't be.
    fn link(&self, file: &Path, to_dir: &Path) -> io::Result<()> {
        let Some(name) = file.file_name() else { return Ok(()) };
        match self.fs.hard_link(file, &to_dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => self.copy(file, to_dir),
            result => result,
        }
    }

    fn copy(&self, file: &Path, to_dir: &Path) -> io::Result<()> {
        let Some(name) = file.file_name() else { return Ok(()) };
        let source = self.fs.open(file)?;
        let mut copy = self.fs.create(&to_dir.join(name))?;
        // The file may grow meanwhile; what is copied of it is a beginning.
        let len = source.len()?;
        let mut buffer = vec![0; COPY_BYTES];
        let mut at = 0;
        while at < len {
            let now = (len - at).min(COPY_BYTES as u64) as usize;
            source.read_exact_at(&mut buffer[..now], at)?;
            copy.append(&buffer[..now])?;
            at += now as u64;
        }
        Ok(())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.fs.exists(&self.dir)
            && let Err(error) = self.fs.remove_dir_all(&self.dir)
        {
            tracing::warn!(dir = %self.dir.display(), %error, "sandbox can't be removed");
        }
    }
}

impl Queryable for StoredData {
    fn querier(&self, mint: TimestampMs, maxt: TimestampMs) -> Result<Box<dyn Querier>, StorageError> {
        let mut parts = vec![self.blocks.querier(mint, maxt)?];
        for (head, no_blocks) in &self.heads {
            parts.push(Box::new(DbQuerier::new(Arc::clone(head), Arc::clone(no_blocks), mint, maxt)));
        }
        Ok(Box::new(Union(parts)))
    }
}

/// Several queriers as one.
#[derive(Debug)]
struct Union(Vec<Box<dyn Querier>>);

impl Union {
    fn list(
        &self,
        limit: usize,
        of: impl Fn(&dyn Querier) -> Result<Vec<String>, StorageError>,
    ) -> Result<Vec<String>, StorageError> {
        let mut union = BTreeSet::new();
        for part in &self.0 {
            union.extend(of(&**part)?);
        }
        let limit = if limit == 0 { usize::MAX } else { limit };
        Ok(union.into_iter().take(limit).collect())
    }
}

impl Querier for Union {
    fn select(&self, matchers: &[Matcher], hints: &SelectHints) -> Result<Box<dyn SeriesSet>, StorageError> {
        let sets = self.0.iter().map(|part| part.select(matchers, hints));
        merge(sets.collect::<Result<_, StorageError>>()?, hints)
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        self.list(limit, |part| part.label_names(matchers, limit, cancel))
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        self.list(limit, |part| part.label_values(name, matchers, limit, cancel))
    }
}
