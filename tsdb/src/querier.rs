//! One view of the head and the blocks.

use std::sync::Arc;

use model::cancel::Cancel;
use model::matcher::Matcher;
use model::storage::{Querier, SelectHints, SeriesSet, StorageError};
use model::time::TimestampMs;

use crate::head::Head;
use crate::select;

/// See [`model::storage::Querier`].
#[derive(Debug)]
pub(crate) struct DbQuerier {
    head: Arc<Head>,
    mint: TimestampMs,
    maxt: TimestampMs,
}

impl DbQuerier {
    pub(crate) fn new(head: Arc<Head>, mint: TimestampMs, maxt: TimestampMs) -> Self {
        DbQuerier { head, mint, maxt }
    }

    /// Whether the head may have samples in the range.
    fn head_overlaps(&self) -> bool {
        self.head.bounds.range().is_some_and(|(min, max)| min <= self.maxt && max >= self.mint)
    }
}

impl Querier for DbQuerier {
    fn select(&self, matchers: &[Matcher], hints: &SelectHints) -> Result<Box<dyn SeriesSet>, StorageError> {
        let hints =
            SelectHints { mint: hints.mint.max(self.mint), maxt: hints.maxt.min(self.maxt), ..hints.clone() };
        Ok(Box::new(self.head.select(matchers, &hints)?))
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        if !self.head_overlaps() {
            return Ok(Vec::new());
        }
        select::label_names(&*self.head.index.read(), matchers, limit, cancel)
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        if !self.head_overlaps() {
            return Ok(Vec::new());
        }
        select::label_values(&*self.head.index.read(), name, matchers, limit, cancel)
    }
}
