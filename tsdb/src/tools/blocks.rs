//! The blocks of a data directory, for reading alone.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use model::cancel::Cancel;
use model::matcher::Matcher;
use model::storage::{Querier, Queryable, SelectHints, SeriesSet, StorageError};
use model::time::TimestampMs;

use crate::block::{Block, dir};
use crate::fs::Fs;
use crate::merge::merge;

/// Blocks in order of time, as they were when they were opened. Nothing is locked or changed.
#[derive(Clone, Debug)]
pub struct StoredBlocks(Vec<Arc<Block>>);

impl StoredBlocks {
    /// Opens all blocks of a data directory.
    ///
    /// # Errors
    ///
    /// The directory can't be read, or a block is damaged: then it is named.
    pub fn open(fs: &Arc<dyn Fs>, data_dir: &Path) -> Result<Self, StorageError> {
        let listed = dir::list(fs.as_ref(), data_dir)?;
        let opened = listed.iter().map(|(_, path)| Block::open(Arc::clone(fs), path));
        let mut blocks = opened.collect::<Result<Vec<_>, _>>()?;
        blocks.sort_by_key(|block| (block.meta().min_time, block.ulid()));
        Ok(StoredBlocks(blocks))
    }

    /// The blocks.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Block>> {
        self.0.iter()
    }

    fn union(
        &self,
        limit: usize,
        list: impl Fn(&Block) -> Result<Vec<String>, StorageError>,
    ) -> Result<Vec<String>, StorageError> {
        let mut union = BTreeSet::new();
        for block in &self.0 {
            union.extend(list(block)?);
        }
        let limit = if limit == 0 { usize::MAX } else { limit };
        Ok(union.into_iter().take(limit).collect())
    }
}

impl Queryable for StoredBlocks {
    fn querier(&self, mint: TimestampMs, maxt: TimestampMs) -> Result<Box<dyn Querier>, StorageError> {
        let blocks = self.iter().filter(|block| block.meta().overlaps(mint, maxt));
        Ok(Box::new(StoredBlocks(blocks.cloned().collect())))
    }
}

impl Querier for StoredBlocks {
    fn select(&self, matchers: &[Matcher], hints: &SelectHints) -> Result<Box<dyn SeriesSet>, StorageError> {
        let sets =
            self.iter().map(|block| Ok(Box::new(block.select(matchers, hints)?) as Box<dyn SeriesSet>));
        merge(sets.collect::<Result<_, StorageError>>()?, hints)
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        self.union(limit, |block| block.label_names(matchers, limit, cancel))
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        self.union(limit, |block| block.label_values(name, matchers, limit, cancel))
    }
}
