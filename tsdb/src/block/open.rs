//! An open block: mapped, immutable but for its tombstones.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::cancel::Cancel;
use model::matcher::Matcher;
use model::storage::{SelectHints, StorageError};
use model::time::TimestampMs;
use parking_lot::RwLock;
use ulid::Ulid;

use super::chunks::ChunkReader;
use super::dir;
use super::index::{ChunkMeta, IndexReader};
use super::meta::BlockMeta;
use super::series_set::BlockSeriesSet;
use super::tombstones::{Interval, Tombstones, kept};
use crate::error::{check, corrupt};
use crate::fs::Fs;
use crate::select::{label_names, label_values, postings_for_matchers};

/// How many series are looked at between two looks at the cancel flag.
const CANCEL_EVERY: usize = 1024;

/// A block. Views that were taken of it stay valid when its directory is removed.
#[derive(Debug)]
pub struct Block {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    index: IndexReader,
    chunks: ChunkReader,
    mutable: RwLock<Mutable>,
    /// Bytes of the files when the block was opened.
    size_bytes: u64,
}

/// What a deletion or a failed compaction changes. Both halves are replaced, never changed in place.
#[derive(Clone, Debug)]
struct Mutable {
    meta: Arc<BlockMeta>,
    tombstones: Arc<Tombstones>,
}

impl Block {
    /// Opens the block in a directory.
    ///
    /// # Errors
    ///
    /// [`StorageError::Corrupt`] with the file and the place where its damage was met; damage of series and
    /// chunks is met only when those are read.
    pub fn open(fs: Arc<dyn Fs>, path: &Path) -> Result<Arc<Self>, StorageError> {
        let meta = BlockMeta::read(fs.as_ref(), path)?;
        let index = IndexReader::open(fs.as_ref(), path)?;
        let chunks = ChunkReader::open(fs.as_ref(), path)?;
        let tombstones = Arc::new(Tombstones::read(fs.as_ref(), path)?);
        if path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(dir::ulid_of)
            .is_some_and(|u| u != meta.ulid)
        {
            return Err(corrupt(&path.join(super::meta::FILE_NAME), 0, format!("ulid is {}", meta.ulid)));
        }
        let size_bytes = dir::size_bytes(fs.as_ref(), path)?;
        let mutable = RwLock::new(Mutable { meta: Arc::new(meta), tombstones });
        Ok(Arc::new(Block { fs, path: path.to_owned(), index, chunks, mutable, size_bytes }))
    }

    /// The block's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The block's name.
    pub fn ulid(&self) -> Ulid {
        self.meta().ulid
    }

    /// What is known of the block.
    pub fn meta(&self) -> Arc<BlockMeta> {
        Arc::clone(&self.mutable.read().meta)
    }

    /// What is deleted.
    pub fn tombstones(&self) -> Arc<Tombstones> {
        Arc::clone(&self.mutable.read().tombstones)
    }

    /// The index.
    pub fn index(&self) -> &IndexReader {
        &self.index
    }

    /// The chunks.
    pub fn chunks(&self) -> &ChunkReader {
        &self.chunks
    }

    /// Bytes of the files when the block was opened.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The series that satisfy all matchers and have chunks with undeleted samples in the range of the
    /// hints; ascending by label set.
    pub fn select(
        self: &Arc<Self>,
        matchers: &[Matcher],
        hints: &SelectHints,
    ) -> Result<BlockSeriesSet, StorageError> {
        let tombstones = self.tombstones();
        let mut ids = postings_for_matchers(&self.index, matchers, &hints.cancel)?;
        let limit = if hints.limit == 0 { usize::MAX } else { hints.limit };
        let (mut kept_count, mut chunks) = (0, Vec::new());
        for nth in 0..ids.len() {
            if nth.is_multiple_of(CANCEL_EVERY) {
                check(&hints.cancel)?;
            }
            let id = ids[nth];
            self.index.chunks(id, &mut chunks)?;
            if kept_count < limit && has_samples(&chunks, hints, tombstones.of(u64::from(id))) {
                ids[kept_count] = id;
                kept_count += 1;
            }
        }
        ids.truncate(kept_count);
        Ok(BlockSeriesSet::new(Arc::clone(self), ids, tombstones, &hints.cancel))
    }

    /// See [`model::storage::Querier::label_names`]; of the whole block.
    pub fn label_names(
        &self,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        label_names(&self.index, matchers, limit, cancel)
    }

    /// See [`model::storage::Querier::label_values`]; of the whole block.
    pub fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        label_values(&self.index, name, matchers, limit, cancel)
    }

    /// Marks the samples in `[mint, maxt]`, both inclusive, of the series that satisfy all matchers as
    /// deleted. When this returns, the deletion survives a power loss.
    pub fn delete(
        &self,
        mint: TimestampMs,
        maxt: TimestampMs,
        matchers: &[Matcher],
        cancel: &Cancel,
    ) -> Result<(), StorageError> {
        let ids = postings_for_matchers(&self.index, matchers, cancel)?;
        let mut mutable = self.mutable.write();
        let mut tombstones = Tombstones::clone(&mutable.tombstones);
        let mut chunks = Vec::new();
        for (nth, id) in ids.into_iter().enumerate() {
            if nth.is_multiple_of(CANCEL_EVERY) {
                check(cancel)?;
            }
            self.index.chunks(id, &mut chunks)?;
            if let (Some(first), Some(last)) = (chunks.first(), chunks.last()) {
                let interval = Interval { mint: mint.max(first.mint), maxt: maxt.min(last.maxt) };
                tombstones.add(u64::from(id), interval);
            }
        }
        if tombstones == *mutable.tombstones {
            return Ok(());
        }
        tombstones.write(self.fs.as_ref(), &self.path)?;
        let mut meta = BlockMeta::clone(&mutable.meta);
        meta.stats.num_tombstones = tombstones.len() as u64;
        // The deletion counts from here on, even if its number can't be written.
        mutable.tombstones = Arc::new(tombstones);
        self.replace_meta(&mut mutable, meta)
    }

    /// Remembers that a compaction of the block failed, so that it isn't tried for ever.
    pub fn set_compaction_failed(&self) -> Result<(), StorageError> {
        self.change_meta(|meta| meta.compaction.failed = true)
    }

    /// Marks the block, which has no samples left, for removal.
    pub fn set_deletable(&self) -> Result<(), StorageError> {
        self.change_meta(|meta| meta.compaction.deletable = true)
    }

    fn change_meta(&self, change: impl FnOnce(&mut BlockMeta)) -> Result<(), StorageError> {
        let mut mutable = self.mutable.write();
        let mut meta = BlockMeta::clone(&mutable.meta);
        change(&mut meta);
        self.replace_meta(&mut mutable, meta)
    }

    fn replace_meta(&self, mutable: &mut Mutable, meta: BlockMeta) -> Result<(), StorageError> {
        meta.write(self.fs.as_ref(), &self.path)?;
        mutable.meta = Arc::new(meta);
        Ok(())
    }

    /// Gives all files of the block a second name under `<dir>/<ULID>`.
    pub fn snapshot(&self, dir: &Path) -> Result<(), StorageError> {
        let target = dir::path_of(dir, self.ulid());
        // A deletion replaces files by renaming, so the snapshot keeps those of now.
        let _unchanged = self.mutable.read();
        dir::hard_link_all(self.fs.as_ref(), &self.path, &target)
    }
}

/// Whether any chunk may have samples in the range that aren't deleted.
fn has_samples(chunks: &[ChunkMeta], hints: &SelectHints, deleted: &[Interval]) -> bool {
    let mut in_range = chunks.iter().filter(|chunk| chunk.overlaps(hints.mint, hints.maxt));
    in_range.any(|chunk| {
        let (mint, maxt) = (chunk.mint.max(hints.mint), chunk.maxt.min(hints.maxt));
        deleted.is_empty() || kept(mint, maxt, deleted).next().is_some()
    })
}
