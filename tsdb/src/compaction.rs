//! When the head is cut into blocks, blocks are compacted, and old ones go.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use model::cancel::Cancel;
use model::matcher::Matcher;
use model::storage::StorageError;
use model::time::TimestampMs;

use crate::block::Block;
use crate::block::meta::BlockMeta;
use crate::blocks;
use crate::chunk::sample_count;
use crate::codec::put_varint;
use crate::compact::{PlanOptions, SeriesSource, SourceSeries, plan, ranges};
use crate::db::{Damage, Db};
use crate::head::source::{HeadSource, Scope};
use crate::metrics::Metrics;
use crate::retention::{Expired, StoredBlock, expired};
use crate::wal::record::{SectionKind, put_section};

impl Db {
    /// Cuts blocks from the head as long as it is due, compacts blocks as long as there is a plan, takes in
    /// blocks that appeared in the directory, and removes those that are past retention.
    ///
    /// # Errors
    ///
    /// The first that occurs. What was done until then stays done.
    pub fn compact(&self) -> Result<(), StorageError> {
        let _one = self.maintenance.lock();
        let result =
            self.compact_head().and_then(|()| self.reload_blocks()).and_then(|()| self.compact_blocks());
        if matches!(result, Err(ref error) if !matches!(error, StorageError::Cancelled)) {
            self.metrics.compactions_failed.inc();
        }
        result
    }

    /// Cuts blocks while the head spans more than one and a half of them.
    fn compact_head(&self) -> Result<(), StorageError> {
        let range_ms = self.options.min_block_duration_ms;
        let mut cut = false;
        while let Some((min, max)) = self.head.bounds.range() {
            if max.saturating_sub(min) <= range_ms / 2 * 3 {
                break;
            }
            self.metrics.compactions_triggered.inc();
            self.cut_block(min, self.head.rules.range_end(min))?;
            cut = true;
        }
        if !cut {
            return Ok(());
        }
        self.compact_late()?;
        // A checkpoint now is small, and lets the log of what is in blocks go.
        self.checkpoint_locked()
    }

    /// Writes the samples that came out of order as blocks, and drops them from the head.
    fn compact_late(&self) -> Result<(), StorageError> {
        let range_ms = self.options.min_block_duration_ms;
        let late = self.head.seal_late();
        let chunks = || late.values().flatten();
        let (Some(min), Some(max)) = (chunks().map(|c| c.min_t).min(), chunks().map(|c| c.max_t).max())
        else {
            return Ok(());
        };
        let mut mint = self.head.rules.range_end(min).saturating_sub(range_ms);
        if mint > min {
            // Before 1970 ranges end at their multiples too.
            mint = mint.saturating_sub(range_ms);
        }
        let mut written = Vec::new();
        while mint <= max {
            let maxt = mint.saturating_add(range_ms);
            if chunks().any(|chunk| chunk.min_t < maxt && chunk.max_t >= mint) {
                let started_ms = self.clock.now_ms();
                let hints = ["from-out-of-order"];
                let meta = self.write_head(Scope::Late(late.clone()), (mint, maxt), &hints)?;
                self.note_compaction(started_ms, meta.as_ref());
                if let Some(meta) = meta {
                    written.push(self.blocks.open_block(meta.ulid)?);
                }
            }
            mint = maxt;
        }
        let mut open = self.blocks.write();
        written.into_iter().for_each(|block| blocks::insert(&mut open, block));
        self.head.drop_late(&late);
        Ok(())
    }

    /// Marks the samples in `[mint, maxt]`, both inclusive, of the series that satisfy all matchers as
    /// deleted. When this returns, the deletion survives the process.
    ///
    /// # Errors
    ///
    /// It may have been done in part.
    pub fn delete(
        &self,
        matchers: &[Matcher],
        mint: TimestampMs,
        maxt: TimestampMs,
        cancel: &Cancel,
    ) -> Result<(), StorageError> {
        let _one = self.maintenance.lock();
        for block in self.blocks.overlapping(mint, maxt) {
            block.delete(mint, maxt, matchers, cancel)?;
        }
        self.head.delete(matchers, mint, maxt, cancel)
    }

    /// Writes the blocks that have deleted samples without them.
    ///
    /// # Errors
    ///
    /// The first that occurs. What was done until then stays done.
    pub fn clean_tombstones(&self) -> Result<(), StorageError> {
        let _one = self.maintenance.lock();
        let started_ms = self.clock.now_ms();
        for block in self.blocks.all() {
            self.compactor.clean_tombstones(&self.dir, &block, &self.cancel)?;
        }
        let result = self.reload_blocks();
        self.metrics.tombstone_cleanup.observe(self.seconds_since(started_ms));
        result
    }

    /// Puts all blocks into another directory of the file system, by second names of their files, and the
    /// head as a block, if that is wanted.
    ///
    /// # Errors
    ///
    /// If a file can't be linked or written. What is there until then stays.
    pub fn snapshot(&self, dir: &Path, with_head: bool) -> Result<(), StorageError> {
        let _one = self.maintenance.lock();
        self.fs.create_dir_all(dir).map_err(crate::error::io("create", dir))?;
        for block in self.blocks.all() {
            block.snapshot(dir)?;
        }
        if let (true, Some((min, max))) = (with_head, self.head.bounds.range_with_late()) {
            let end = max.saturating_add(1);
            let mut source = HeadSource::new(&self.head, Scope::All, min, end);
            self.compactor.write(dir, &mut source, (min, end), &[], &self.cancel)?;
        }
        Ok(())
    }

    /// Writes all of the head as blocks and empties it, so that Prometheus finds everything. The last block
    /// ends with the newest sample: Prometheus takes no samples from before the end of a block.
    ///
    /// # Errors
    ///
    /// What isn't in a block yet stays in the head.
    pub fn flush(&self) -> Result<(), StorageError> {
        let _one = self.maintenance.lock();
        while let Some((min, max)) = self.head.bounds.range() {
            self.cut_block(min, self.head.rules.range_end(min).min(max.saturating_add(1)))?;
        }
        self.compact_late()?;
        self.checkpoint_locked()
    }

    /// Writes `[mint, maxt)` of the head as a block and drops it from the head.
    fn cut_block(&self, mint: TimestampMs, maxt: TimestampMs) -> Result<(), StorageError> {
        let started_ms = self.clock.now_ms();
        self.head.close_before(maxt);
        let meta = self.write_head(Scope::InOrder, (mint, maxt), &[])?;
        let written = meta.map(|meta| self.blocks.open_block(meta.ulid)).transpose()?;
        self.note_compaction(started_ms, written.as_ref().map(|block| block.meta()).as_deref());
        let mut record = Vec::new();
        put_section(&mut record, SectionKind::Truncate, 0, |out| put_varint(out, maxt));
        {
            // A selection sees the samples in the head or in the block.
            let mut open = self.blocks.write();
            if let Some(block) = written {
                blocks::insert(&mut open, block);
            }
            self.head.wal.append(&record).inspect_err(|_| self.metrics.truncations_failed.inc())?;
            self.head.bounds.truncate(maxt);
        }
        let started_ms = self.clock.now_ms();
        self.head.truncate(maxt);
        self.head.families.lock().forget_announced();
        self.metrics.gc_duration.observe(self.seconds_since(started_ms));
        Ok(())
    }

    /// Writes `[mint, maxt)` of the head as a block; `None` if there is nothing.
    fn write_head(
        &self,
        scope: Scope,
        (mint, maxt): (TimestampMs, TimestampMs),
        hints: &[&str],
    ) -> Result<Option<BlockMeta>, StorageError> {
        let inner = HeadSource::new(&self.head, scope, mint, maxt);
        let mut source = Observed { inner, metrics: &self.metrics };
        self.metrics.compaction_populating_block.set(1);
        let written = self.compactor.write(&self.dir, &mut source, (mint, maxt), hints, &self.cancel);
        self.metrics.compaction_populating_block.set(0);
        written
    }

    fn note_compaction(&self, started_ms: TimestampMs, meta: Option<&BlockMeta>) {
        self.metrics.compactions.inc();
        let seconds = self.seconds_since(started_ms);
        self.metrics.compaction_duration.observe(seconds);
        if let Some(meta) = meta {
            tracing::info!(
                block = %meta.ulid, mint = meta.min_time, maxt = meta.max_time, level = meta.compaction.level,
                samples = meta.stats.num_samples, seconds, "wrote block"
            );
        }
    }

    /// Compacts blocks while there is a plan.
    fn compact_blocks(&self) -> Result<(), StorageError> {
        let options = PlanOptions {
            ranges: ranges(self.options.min_block_duration_ms, self.options.max_block_duration_ms),
            overlapping: self.options.overlapping_compaction,
        };
        loop {
            let all = self.blocks.all();
            let metas: Vec<BlockMeta> = all.iter().map(|block| BlockMeta::clone(&block.meta())).collect();
            let planned = plan(&metas, &options);
            if planned.is_empty() {
                return Ok(());
            }
            let started_ms = self.clock.now_ms();
            let parts: Vec<Arc<Block>> =
                all.into_iter().filter(|block| planned.contains(&block.ulid())).collect();
            self.require_room(parts.iter().map(|block| block.size_bytes()).sum())?;
            self.metrics.compactions_triggered.inc();
            if parts.windows(2).any(|pair| pair[0].meta().max_time > pair[1].meta().min_time) {
                self.metrics.vertical_compactions.inc();
            }
            let meta = self.compactor.compact(&self.dir, &parts, &self.cancel)?;
            self.note_compaction(started_ms, meta.as_ref());
            self.reload_blocks()?;
        }
    }

    /// A compaction that fills the disk takes the log's room, and would begin again and again.
    fn require_room(&self, bytes: u64) -> Result<(), StorageError> {
        let free = self.fs.space(&self.dir).map_err(crate::error::io("measure", &self.dir))?.available;
        if free >= bytes {
            return Ok(());
        }
        let what =
            format!("compact {bytes} bytes of blocks in {} with {free} bytes free", self.dir.display());
        Err(StorageError::Io { what, source: Arc::new(io::ErrorKind::StorageFull.into()) })
    }

    /// Looks for blocks in the directory, and removes those that were replaced or are past retention.
    pub(crate) fn reload_blocks(&self) -> Result<(), StorageError> {
        self.metrics.reloads.inc();
        let bad = self.blocks.reload().inspect_err(|_| self.metrics.reloads_failed.inc())?;
        if !bad.is_empty() {
            self.metrics.reloads_failed.inc();
            self.note_damage(bad.iter().map(|bad| Damage::of_file(&bad.path, &bad.error)));
        }
        let Expired { replaced, by_time, by_size } = self.expired()?;
        self.metrics.time_retentions.inc_by(u64::from(!by_time.is_empty()));
        self.metrics.size_retentions.inc_by(u64::from(!by_size.is_empty()));
        let gone: BTreeSet<_> = replaced.into_iter().chain(by_time).chain(by_size).collect();
        if !gone.is_empty() {
            tracing::info!(blocks = gone.len(), "removing blocks that were replaced or are past retention");
        }
        self.blocks.remove(&gone)
    }

    fn expired(&self) -> Result<Expired, StorageError> {
        let retention = self.retention();
        let total = if retention.percentage > 0.0 {
            self.fs.space(&self.dir).map_err(crate::error::io("measure", &self.dir))?.total
        } else {
            0
        };
        let all = self.blocks.all();
        let metas: Vec<_> = all.iter().map(|block| (block.meta(), block.size_bytes())).collect();
        let stored: Vec<StoredBlock<'_>> =
            metas.iter().map(|(meta, size_bytes)| StoredBlock { meta, size_bytes: *size_bytes }).collect();
        let other = self.head.wal.stats().size + self.head.chunks.size_bytes();
        Ok(expired(&stored, &retention, other, total))
    }

    /// The blocks that are open, oldest first.
    pub fn blocks(&self) -> Vec<Arc<Block>> {
        self.blocks.all()
    }
}

/// A source whose chunks are counted in the metrics of first compactions.
#[derive(Debug)]
struct Observed<'m> {
    inner: HeadSource,
    metrics: &'m Metrics,
}

impl SeriesSource for Observed<'_> {
    fn next(&mut self, into: &mut SourceSeries) -> Result<bool, StorageError> {
        let found = self.inner.next(into)?;
        if found {
            for chunk in into.chunks() {
                self.metrics.compaction_chunk_size.observe(chunk.bytes.len() as f64);
                if let Ok(samples) = sample_count(chunk.encoding, chunk.bytes) {
                    self.metrics.compaction_chunk_samples.observe(f64::from(samples));
                }
                // Milliseconds, whatever the name says: so are the bounds of its buckets, here as there.
                self.metrics.compaction_chunk_range.observe((chunk.maxt - chunk.mint) as f64);
            }
        }
        Ok(found)
    }
}
