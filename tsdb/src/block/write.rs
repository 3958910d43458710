//! Writes a block from a stream of series in order of their labels, in bounded memory.

use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::labels::Labels;
use model::storage::StorageError;
use model::time::TimestampMs;

use super::chunks::{ChunkWriter, RawChunk};
use super::dir;
use super::index::{ChunkMeta, IndexWriter};
use super::meta::{BlockMeta, BlockStats};
use super::tombstones::Tombstones;
use crate::chunk::{self, Encoding};
use crate::error::{invalid, io};
use crate::fs::Fs;

/// An encoded chunk on its way into a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkData<'a> {
    /// Time of the first sample.
    pub mint: TimestampMs,
    /// Time of the last sample.
    pub maxt: TimestampMs,
    /// How the bytes are to be read.
    pub encoding: Encoding,
    /// The samples.
    pub bytes: &'a [u8],
}

/// A block that is being written, in a directory that no reader looks at. Dropped unfinished, it removes
/// what it wrote.
#[derive(Debug)]
pub struct BlockWriter {
    fs: Arc<dyn Fs>,
    data_dir: PathBuf,
    tmp_dir: PathBuf,
    meta: BlockMeta,
    stats: BlockStats,
    /// `None` once they are finished.
    parts: Option<(ChunkWriter, IndexWriter)>,
    metas: Vec<ChunkMeta>,
}

impl BlockWriter {
    /// Begins a block in a data directory. Of the meta, counts are filled in later.
    pub fn create(
        fs: Arc<dyn Fs>,
        data_dir: &Path,
        meta: BlockMeta,
        segment_bytes_max: u64,
    ) -> Result<Self, StorageError> {
        let tmp_dir = data_dir.join(format!("{}{}", meta.ulid, dir::CREATION_SUFFIX));
        let mut writer = BlockWriter {
            fs,
            data_dir: data_dir.to_owned(),
            tmp_dir,
            meta,
            stats: BlockStats::default(),
            parts: None,
            metas: Vec::new(),
        };
        let (fs, tmp_dir) = (writer.fs.as_ref(), &writer.tmp_dir);
        fs.create_dir_all(tmp_dir).map_err(io("create", tmp_dir))?;
        let chunks = ChunkWriter::create(fs, tmp_dir, segment_bytes_max)?;
        writer.parts = Some((chunks, IndexWriter::create(fs, tmp_dir)?));
        Ok(writer)
    }

    /// Adds a series. Label sets ascend from call to call; chunks are in order of time and don't overlap. A
    /// series without chunks is left out.
    pub fn add_series<'c>(
        &mut self,
        labels: &Labels,
        chunks: impl IntoIterator<Item = ChunkData<'c>>,
    ) -> Result<(), StorageError> {
        let Some((segments, index)) = &mut self.parts else { return Ok(()) };
        self.metas.clear();
        for chunk in chunks {
            if self.metas.last().is_some_and(|before| before.maxt >= chunk.mint) || chunk.mint > chunk.maxt {
                let why = format!("chunks of series {labels} aren't in order of time");
                return Err(invalid("write", &self.tmp_dir, why));
            }
            let samples = u64::from(chunk::sample_count(chunk.encoding, chunk.bytes).map_err(|error| {
                invalid("write", &self.tmp_dir, format!("chunk of series {labels}: {error}"))
            })?);
            self.stats.num_samples += samples;
            if chunk.encoding.is_float() {
                self.stats.num_float_samples += samples;
            } else {
                self.stats.num_histogram_samples += samples;
            }
            let raw = RawChunk { encoding: chunk.encoding as u8, data: chunk.bytes };
            let at = segments.write(self.fs.as_ref(), raw)?;
            self.metas.push(ChunkMeta { mint: chunk.mint, maxt: chunk.maxt, at });
        }
        if self.metas.is_empty() {
            return Ok(());
        }
        self.stats.num_chunks += self.metas.len() as u64;
        self.stats.num_series += 1;
        index.add_series(labels, &self.metas)
    }

    /// Completes the block and gives it its name; when this returns, it survives a power loss. `None` if there
    /// are no series: then there is no block either.
    pub fn finish(mut self) -> Result<Option<BlockMeta>, StorageError> {
        let Some((chunks, index)) = self.parts.take() else { return Ok(None) };
        if self.stats.num_series == 0 {
            return Ok(None);
        }
        let fs = Arc::clone(&self.fs);
        chunks.finish(fs.as_ref())?;
        index.finish(fs.as_ref())?;
        self.meta.stats = mem::take(&mut self.stats);
        Tombstones::new().write(fs.as_ref(), &self.tmp_dir)?;
        self.meta.write(fs.as_ref(), &self.tmp_dir)?;
        let path = dir::path_of(&self.data_dir, self.meta.ulid);
        fs.rename(&self.tmp_dir, &path).map_err(io("rename", &self.tmp_dir))?;
        fs.sync_dir(&self.data_dir).map_err(io("sync", &self.data_dir))?;
        Ok(Some(self.meta.clone()))
    }
}

impl Drop for BlockWriter {
    fn drop(&mut self) {
        // Nothing is there any more after success. What can't be removed is at the next start.
        if self.fs.exists(&self.tmp_dir)
            && let Err(error) = self.fs.remove_dir_all(&self.tmp_dir)
        {
            tracing::warn!(dir = %self.tmp_dir.display(), %error, "can't remove an unfinished block");
        }
    }
}
