//! Writes the blocks of compactions.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use model::cancel::Cancel;
use model::storage::StorageError;
use model::time::{Clock, TimestampMs};
use parking_lot::Mutex;
use ulid::Ulid;

use super::merge::MergedSource;
use super::plan::PARTIAL_HINTS;
use super::source::{BlockSource, SeriesSource, SourceSeries};
use crate::block::chunks::SEGMENT_BYTES_MAX;
use crate::block::meta::{BlockCompaction, BlockMeta};
use crate::block::{Block, BlockWriter};
use crate::error::check;
use crate::fs::Fs;

/// Makes names of blocks: the time by a clock, and chance by a seed.
#[derive(Debug)]
pub struct UlidSource {
    clock: Arc<dyn Clock>,
    random: Mutex<u64>,
}

impl UlidSource {
    /// Names of two sources with the same seed may be the same.
    pub fn new(clock: Arc<dyn Clock>, seed: u64) -> Self {
        UlidSource { clock, random: Mutex::new(seed) }
    }

    /// A new name.
    pub fn next_ulid(&self) -> Ulid {
        let mut state = self.random.lock();
        let random = u128::from(split_mix(&mut state)) << 64 | u128::from(split_mix(&mut state));
        Ulid::from_parts(self.clock.now_ms().max(0).unsigned_abs(), random)
    }
}

/// The next number of Steele's SplitMix64 generator.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// How blocks are written.
#[derive(Clone, Debug)]
pub struct CompactorOptions {
    /// A segment of chunks is cut before it gets larger than this.
    pub segment_bytes_max: u64,
    /// From which level on chunks of floats are filled up to 1024 bytes; `None`: never. What is given up is
    /// the time to decode a chunk for a single sample of it, some microseconds.
    pub rechunk_from_level: Option<u32>,
}

impl Default for CompactorOptions {
    fn default() -> Self {
        CompactorOptions { segment_bytes_max: SEGMENT_BYTES_MAX, rechunk_from_level: Some(2) }
    }
}

/// Writes blocks into a data directory. A compaction that fails or is cancelled leaves nothing behind.
#[derive(Debug)]
pub struct Compactor {
    fs: Arc<dyn Fs>,
    ulids: UlidSource,
    options: CompactorOptions,
}

impl Compactor {
    /// A compactor.
    pub fn new(fs: Arc<dyn Fs>, ulids: UlidSource, options: CompactorOptions) -> Self {
        Compactor { fs, ulids, options }
    }

    /// Writes the series of a source, whose samples are in `[min_time, max_time)`, as a block of level 1.
    /// `None` if there are none.
    pub fn write(
        &self,
        data_dir: &Path,
        source: &mut dyn SeriesSource,
        (min_time, max_time): (TimestampMs, TimestampMs),
        hints: &[&str],
        cancel: &Cancel,
    ) -> Result<Option<BlockMeta>, StorageError> {
        let mut meta = BlockMeta::new(self.ulids.next_ulid(), min_time, max_time);
        meta.compaction.hints = hints.iter().map(|hint| (*hint).to_owned()).collect();
        let mut merged = MergedSource::new(vec![Box::new(Borrowed(source))], false)?;
        self.write_block(data_dir, &mut merged, meta, cancel)
    }

    /// Writes what blocks hold as one block, which has them as its parents: whoever loads it removes them.
    /// `None` if nothing is left of them: then they are marked for removal.
    ///
    /// # Errors
    ///
    /// The blocks are as before; with [`StorageError::Corrupt`] they are marked, so that the plan doesn't choose
    /// them again.
    pub fn compact(
        &self,
        data_dir: &Path,
        blocks: &[Arc<Block>],
        cancel: &Cancel,
    ) -> Result<Option<BlockMeta>, StorageError> {
        let Some(meta) = self.compacted_meta(blocks) else { return Ok(None) };
        let rechunk = self.options.rechunk_from_level.is_some_and(|from| meta.compaction.level >= from);
        let written = self.write_merged(data_dir, blocks, meta, rechunk, cancel);
        match &written {
            Ok(None) => blocks.iter().try_for_each(|block| block.set_deletable())?,
            Err(StorageError::Corrupt { .. }) => {
                for block in blocks {
                    if let Err(error) = block.set_compaction_failed() {
                        tracing::warn!(block = %block.ulid(), %error, "can't mark a failed compaction");
                    }
                }
            }
            // A full disk isn't the fault of the blocks, and doesn't stay so.
            Ok(Some(_)) | Err(_) => {}
        }
        written
    }

    /// Writes a block without what is deleted in it; it keeps its level and sources and has the old block as
    /// its parent. `None` if nothing is deleted, or if nothing is left: then the old block is marked for
    /// removal.
    pub fn clean_tombstones(
        &self,
        data_dir: &Path,
        block: &Arc<Block>,
        cancel: &Cancel,
    ) -> Result<Option<BlockMeta>, StorageError> {
        if block.tombstones().is_empty() {
            return Ok(None);
        }
        let old = block.meta();
        let compaction = BlockCompaction {
            deletable: false,
            failed: false,
            parents: vec![old.desc()],
            ..old.compaction.clone()
        };
        let ulid = self.ulids.next_ulid();
        let meta = BlockMeta { compaction, ..BlockMeta::new(ulid, old.min_time, old.max_time) };
        let written = self.write_merged(data_dir, std::slice::from_ref(block), meta, false, cancel)?;
        if written.is_none() {
            block.set_deletable()?;
        }
        Ok(written)
    }

    /// The meta of the block that others are compacted into.
    fn compacted_meta(&self, blocks: &[Arc<Block>]) -> Option<BlockMeta> {
        let mut metas: Vec<Arc<BlockMeta>> = blocks.iter().map(|block| block.meta()).collect();
        metas.sort_by_key(|meta| meta.min_time);
        let min_time = metas.iter().map(|meta| meta.min_time).min()?;
        let max_time = metas.iter().map(|meta| meta.max_time).max()?;
        let level = metas.iter().map(|meta| meta.compaction.level).max()?;
        let sources: BTreeSet<Ulid> = metas.iter().flat_map(|meta| meta.compaction.sources.clone()).collect();
        let is_part = |hint: &&str| metas.iter().all(|meta| meta.has_hint(hint));
        let hints = PARTIAL_HINTS.into_iter().filter(is_part).map(str::to_owned).collect();
        let mut meta = BlockMeta::new(self.ulids.next_ulid(), min_time, max_time);
        meta.compaction = BlockCompaction {
            level: level.saturating_add(1),
            sources: sources.into_iter().collect(),
            parents: metas.iter().map(|meta| meta.desc()).collect(),
            hints,
            ..BlockCompaction::default()
        };
        Some(meta)
    }

    fn write_merged(
        &self,
        data_dir: &Path,
        blocks: &[Arc<Block>],
        meta: BlockMeta,
        rechunk: bool,
        cancel: &Cancel,
    ) -> Result<Option<BlockMeta>, StorageError> {
        let sources =
            blocks.iter().map(|block| Ok(Box::new(BlockSource::new(block)?) as Box<dyn SeriesSource>));
        let mut merged = MergedSource::new(sources.collect::<Result<_, StorageError>>()?, rechunk)?;
        self.write_block(data_dir, &mut merged, meta, cancel)
    }

    fn write_block(
        &self,
        data_dir: &Path,
        merged: &mut MergedSource<'_>,
        meta: BlockMeta,
        cancel: &Cancel,
    ) -> Result<Option<BlockMeta>, StorageError> {
        let fs = Arc::clone(&self.fs);
        let mut writer = BlockWriter::create(fs, data_dir, meta, self.options.segment_bytes_max)?;
        let mut series = SourceSeries::new();
        while merged.next(&mut series)? {
            check(cancel)?;
            writer.add_series(&series.labels, series.chunks())?;
        }
        check(cancel)?;
        writer.finish()
    }
}

/// Lends a source to a merge.
#[derive(Debug)]
struct Borrowed<'s>(&'s mut dyn SeriesSource);

impl SeriesSource for Borrowed<'_> {
    fn next(&mut self, into: &mut SourceSeries) -> Result<bool, StorageError> {
        self.0.next(into)
    }
}
