//! Prometheus's head becomes blocks, and its files go.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::cancel::Cancel;
use model::storage::{Batch, StorageError};
use model::time::TimestampMs;

use super::gather::{Found, Gathered};
use super::{GatherOptions, Layout, gather, remove_scratch};
use crate::blocks::{self, Blocks};
use crate::compact::{BlockSource, Compactor, Difference, SeriesSource};
use crate::db::Damage;
use crate::error::io;
use crate::fs::Fs;
use crate::head::Head;
use crate::head::exemplars::Stored;
use crate::head::source::{HeadSource, Scope};

/// Where files go that aren't needed any more.
const DOOMED: &str = "prometheus-head.tmp-for-deletion";
/// Where damaged files go.
const SET_ASIDE: &str = "set-aside";
/// The beginning of their directory's name, before a number.
const SET_ASIDE_PREFIX: &str = "prometheus-head.";
/// Full chunks of the scratch head, in the directory of our head.
const SCRATCH: &str = "import";
/// Exemplars that are logged at a time.
const EXEMPLARS_PER_COMMIT: usize = 1000;

/// What an import works on.
#[derive(Debug)]
pub(crate) struct Import<'a> {
    pub(crate) fs: &'a Arc<dyn Fs>,
    pub(crate) data_dir: &'a Path,
    pub(crate) head: &'a Head,
    pub(crate) blocks: &'a Blocks,
    pub(crate) compactor: &'a Compactor,
    pub(crate) exemplars_max: usize,
    pub(crate) cancel: &'a Cancel,
}

impl Import<'_> {
    /// Takes in the head that Prometheus left, if it left one; returns what of it was damaged.
    ///
    /// # Errors
    ///
    /// Nothing of Prometheus's is gone then; what is in blocks stays there.
    pub(crate) fn run(&self) -> Result<Vec<Damage>, StorageError> {
        let fs = &**self.fs;
        let doomed = self.data_dir.join(DOOMED);
        remove_scratch(fs, &doomed).map_err(io("remove", &doomed))?;
        let scratch_dir = self.data_dir.join("head").join(SCRATCH);
        remove_scratch(fs, &scratch_dir).map_err(io("remove", &scratch_dir))?;
        let Some(layout) = Layout::find(fs, self.data_dir).map_err(io("list", self.data_dir))? else {
            return Ok(Vec::new());
        };
        tracing::info!(dir = %self.data_dir.display(), "importing the head that Prometheus left");
        let imported = self.import(&layout, &scratch_dir);
        if let Err(error) = remove_scratch(fs, &scratch_dir) {
            tracing::warn!(dir = %scratch_dir.display(), %error, "scratch of the import can't be removed");
        }
        let damage = imported?;
        self.retire(&layout, &damage)?;
        Ok(damage)
    }

    /// Reads everything and makes it durable.
    fn import(&self, layout: &Layout, scratch_dir: &Path) -> Result<Vec<Damage>, StorageError> {
        let options = GatherOptions {
            rules: self.head.rules,
            exemplars_max: self.exemplars_max,
            scratch_dir: scratch_dir.to_owned(),
        };
        let gathered = gather(self.fs, layout, options, &self.head.metrics, self.cancel)?;
        note_found(&gathered);
        for (begin, times) in &gathered.ranges {
            self.write_block(&gathered.head, *begin, *times)?;
        }
        // Its series are in blocks, so the families have none yet.
        let families = gathered.head.families.lock().iter().map(Arc::clone).collect();
        self.head.commit(&Batch { families, ..Batch::default() })?;
        self.log_exemplars(gathered.exemplars.into())?;
        Ok(gathered.damage)
    }

    /// Writes what no block has of a range, whose first and last sample are at `times`.
    fn write_block(
        &self,
        from: &Arc<Head>,
        begin: TimestampMs,
        times: (TimestampMs, TimestampMs),
    ) -> Result<(), StorageError> {
        let end = begin.saturating_add(from.rules.range_ms);
        let mut source: Box<dyn SeriesSource> = Box::new(HeadSource::new(from, Scope::All, begin, end));
        let known = self.blocks.overlapping(times.0, times.1);
        if !known.is_empty() {
            // Deleted samples too: they mustn't come back.
            let known = known.iter().map(|block| Ok(Box::new(BlockSource::with_deleted(block)?) as Box<_>));
            source = Box::new(Difference::new(source, known.collect::<Result<_, StorageError>>()?)?);
        }
        let range = (times.0, times.1.saturating_add(1));
        let written = self.compactor.write(self.data_dir, &mut *source, range, &[], self.cancel)?;
        if let Some(meta) = written {
            tracing::info!(
                block = %meta.ulid, mint = meta.min_time, maxt = meta.max_time,
                series = meta.stats.num_series, samples = meta.stats.num_samples,
                "wrote block of Prometheus's head"
            );
            let block = self.blocks.open_block(meta.ulid)?;
            blocks::insert(&mut self.blocks.write(), block);
        }
        Ok(())
    }

    fn log_exemplars(&self, exemplars: Vec<Stored>) -> Result<(), StorageError> {
        for some in exemplars.chunks(EXEMPLARS_PER_COMMIT) {
            self.head.import_exemplars(some)?;
        }
        self.head.wal.sync()
    }

    /// Puts the files out of the way, and removes them if all of them could be read.
    fn retire(&self, layout: &Layout, damage: &[Damage]) -> Result<(), StorageError> {
        let fs = &**self.fs;
        let target = if damage.is_empty() { self.data_dir.join(DOOMED) } else { self.set_aside_dir() };
        fs.create_dir_all(&target).map_err(io("create", &target))?;
        for part in &layout.parts {
            let Some(name) = part.file_name() else { continue };
            fs.rename(part, &target.join(name)).map_err(io("rename", part))?;
        }
        for dir in [&target, self.data_dir] {
            fs.sync_dir(dir).map_err(io("sync", dir))?;
        }
        if damage.is_empty() {
            return fs.remove_dir_all(&target).map_err(io("remove", &target));
        }
        tracing::warn!(
            dir = %target.display(), places = damage.len(),
            "Prometheus's head was damaged: what could be read is imported, the files are kept"
        );
        Ok(())
    }

    /// A directory that isn't there yet.
    fn set_aside_dir(&self) -> PathBuf {
        let aside = self.data_dir.join(SET_ASIDE);
        let path = |number: u32| aside.join(format!("{SET_ASIDE_PREFIX}{number}"));
        (1..).map(path).find(|path| !self.fs.exists(path)).unwrap_or(aside)
    }
}

fn note_found(gathered: &Gathered) {
    let Found {
        files,
        floats,
        histograms,
        from_chunks,
        exemplars,
        metadata,
        tombstones,
        unknown_refs,
        invalid_histograms,
    } = gathered.found;
    let series = gathered.head.index.read().len();
    let (mint, maxt) = gathered.head.bounds.range().unwrap_or_default();
    tracing::info!(
        files,
        series,
        floats,
        histograms,
        from_chunks,
        exemplars,
        metadata,
        tombstones,
        mint,
        maxt,
        "read Prometheus's head"
    );
    if unknown_refs > 0 {
        tracing::warn!(unknown_refs, "Prometheus's head has samples of series that it doesn't define");
    }
    if invalid_histograms > 0 {
        tracing::warn!(invalid_histograms, "histograms in Prometheus's log are invalid and left out");
    }
}
