//! The head's index as selections and listings see it.

use model::storage::StorageError;

use super::index::Index;
use crate::postings::{Postings, SeriesId};
use crate::select::{LabelIndex, PostingsRef, ValueVisitor};

impl LabelIndex for Index {
    fn all(&self) -> Result<Postings<'_>, StorageError> {
        Ok(Postings::Roaring(Index::postings(self).all()))
    }

    fn postings(&self, name: &str, value: &str) -> Result<Postings<'_>, StorageError> {
        let symbols = self.symbols();
        let list = symbols
            .find(name)
            .zip(symbols.find(value))
            .and_then(|(name, value)| Index::postings(self).name(name)?.values.get(&value));
        Ok(list.map_or(Postings::EMPTY, |list| list.ids()))
    }

    /// The reference is the pair's symbols.
    fn postings_at(&self, list: PostingsRef) -> Result<Postings<'_>, StorageError> {
        let (name, value) = ((list.0 >> 32) as u32, list.0 as u32);
        let list = Index::postings(self).name(name).and_then(|name| name.values.get(&value));
        Ok(list.map_or(Postings::EMPTY, |list| list.ids()))
    }

    fn value_count(&self, name: &str) -> usize {
        let name = self.symbols().find(name).and_then(|name| Index::postings(self).name(name));
        name.map_or(0, |name| name.values.len())
    }

    fn visit_values<'a>(
        &'a self,
        name: &str,
        prefix: &str,
        visit: &mut ValueVisitor<'_, 'a>,
    ) -> Result<(), StorageError> {
        let Some(name) = self.symbols().find(name) else { return Ok(()) };
        let Some(values) = Index::postings(self).name(name) else { return Ok(()) };
        for symbol in values.values.keys() {
            let value = self.symbols().text(*symbol);
            let list = PostingsRef(u64::from(name) << 32 | u64::from(*symbol));
            if value.starts_with(prefix) && !visit(value, list) {
                break;
            }
        }
        Ok(())
    }

    fn visit_names<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) -> Result<(), StorageError> {
        for (name, _) in Index::postings(self).names() {
            visit(self.symbols().text(name));
        }
        Ok(())
    }

    fn visit_labels<'a>(
        &'a self,
        id: SeriesId,
        visit: &mut dyn FnMut(&'a str, &'a str),
    ) -> Result<(), StorageError> {
        for (name, value) in self.pairs(id) {
            visit(self.symbols().text(name), self.symbols().text(value));
        }
        Ok(())
    }
}
