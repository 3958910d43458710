//! One view of the head and the blocks.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::cancel::Cancel;
use model::matcher::Matcher;
use model::storage::{Querier, SelectHints, Selection, SeriesSet, StorageError};
use model::time::TimestampMs;

use crate::block::Block;
use crate::blocks::Blocks;
use crate::head::Head;
use crate::head::read::HeadSeries;
use crate::merge::merge;
use crate::select;

/// See [`model::storage::Querier`]. What is selected together is of one moment: a commit is in it as a whole or
/// not at all, and a block that is cut from the head is in it once.
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
        let mut sets = self.select_all(&[Selection { matchers, hints: hints.clone() }])?;
        Ok(sets.remove(0))
    }

    fn select_all(&self, selections: &[Selection<'_>]) -> Result<Vec<Box<dyn SeriesSet>>, StorageError> {
        let clamped: Vec<Selection<'_>> = selections
            .iter()
            .map(|Selection { matchers, hints }| {
                let (mint, maxt) = (hints.mint.max(self.mint), hints.maxt.min(self.maxt));
                Selection { matchers, hints: SelectHints { mint, maxt, ..hints.clone() } }
            })
            .collect();
        // While blocks are held, none is added, and so nothing leaves the head that isn't in one of these.
        let blocks = self.blocks.read();
        let of_head = self.head.select_all(&clamped)?;
        let blocks = Vec::clone(&blocks);
        clamped
            .iter()
            .zip(of_head)
            .map(|(selection, of_head)| merge_with(&blocks, selection, of_head))
            .collect()
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

/// A selection from the blocks and what it has of the head as one set.
fn merge_with(
    blocks: &[Arc<Block>],
    selection: &Selection<'_>,
    of_head: HeadSeries,
) -> Result<Box<dyn SeriesSet>, StorageError> {
    let Selection { matchers, hints } = selection;
    let mut sets: Vec<Box<dyn SeriesSet>> = Vec::new();
    for block in blocks.iter().filter(|block| block.meta().overlaps(hints.mint, hints.maxt)) {
        sets.push(Box::new(block.select(matchers, hints)?));
    }
    sets.push(Box::new(of_head));
    merge(sets, hints)
}
