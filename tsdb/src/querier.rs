//! One view of the head and the blocks.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::cancel::Cancel;
use model::matcher::Matcher;
use model::storage::{Querier, SelectHints, SeriesSet, StorageError};
use model::time::TimestampMs;

use crate::block::Block;
use crate::blocks::Blocks;
use crate::head::Head;
use crate::merge::merge;
use crate::select;

/// See [`model::storage::Querier`]. Each selection is of one moment: a commit is in it as a whole or not at
/// all, and a block that is cut from the head is in it once.
#[derive(Debug)]
pub(crate) struct DbQuerier {
    head: Arc<Head>,
    blocks: Arc<Blocks>,
    mint: TimestampMs,
    maxt: TimestampMs,
}

impl DbQuerier {
    pub(crate) fn new(head: Arc<Head>, blocks: Arc<Blocks>, mint: TimestampMs, maxt: TimestampMs) -> Self {
        DbQuerier { head, blocks, mint, maxt }
    }

    /// Whether the head may have samples in the range.
    fn head_overlaps(&self, mint: TimestampMs, maxt: TimestampMs) -> bool {
        self.head.bounds.range_with_late().is_some_and(|(min, max)| min <= maxt && max >= mint)
    }

    /// The union of what the head and the blocks list.
    fn list(
        &self,
        limit: usize,
        of_head: impl FnOnce(&crate::head::index::Index) -> Result<Vec<String>, StorageError>,
        of_block: impl Fn(&Block) -> Result<Vec<String>, StorageError>,
    ) -> Result<Vec<String>, StorageError> {
        let mut lists = Vec::new();
        for block in self.blocks.overlapping(self.mint, self.maxt) {
            lists.push(of_block(&block)?);
        }
        if self.head_overlaps(self.mint, self.maxt) {
            lists.push(of_head(&self.head.index.read())?);
        }
        if lists.len() == 1 {
            return Ok(lists.remove(0));
        }
        let union: BTreeSet<String> = lists.into_iter().flatten().collect();
        let limit = if limit == 0 { usize::MAX } else { limit };
        Ok(union.into_iter().take(limit).collect())
    }
}

impl Querier for DbQuerier {
    fn select(&self, matchers: &[Matcher], hints: &SelectHints) -> Result<Box<dyn SeriesSet>, StorageError> {
        let hints =
            SelectHints { mint: hints.mint.max(self.mint), maxt: hints.maxt.min(self.maxt), ..hints.clone() };
        let mut sets: Vec<Box<dyn SeriesSet>> = Vec::new();
        // While blocks are held, none is added, and so nothing leaves the head.
        let blocks = self.blocks.read();
        let overlapping: Vec<Arc<Block>> =
            blocks.iter().filter(|block| block.meta().overlaps(hints.mint, hints.maxt)).cloned().collect();
        let of_head = if self.head_overlaps(hints.mint, hints.maxt) {
            Some(self.head.select(matchers, &hints)?)
        } else {
            None
        };
        drop(blocks);
        for block in overlapping {
            sets.push(Box::new(block.select(matchers, &hints)?));
        }
        if let Some(set) = of_head {
            sets.push(Box::new(set));
        }
        Ok(merge(sets, hints.limit))
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        self.list(
            limit,
            |index| select::label_names(index, matchers, limit, cancel),
            |block| block.label_names(matchers, limit, cancel),
        )
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        self.list(
            limit,
            |index| select::label_values(index, name, matchers, limit, cancel),
            |block| block.label_values(name, matchers, limit, cancel),
        )
    }
}
