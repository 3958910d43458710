//! The head's index as selections and listings see it.

use model::storage::StorageError;

use super::index::Index;
use crate::postings::{Postings, SeriesId};
use crate::select::{LabelIndex, ValueVisitor};

impl LabelIndex for Index {
    fn all(&self) -> Result<Postings<'_>, StorageError> {
        Ok(Postings::Roaring(Index::postings(self).all()))
    }

    fn postings(&self, name: &str, value: &str) -> Result<Postings<'_>, StorageError> {
        let symbols = self.symbols();
        let list = symbols.find(name).zip(symbols.find(value)).and_then(|(name, value)| {
            Index::postings(self).name(name)?.values.get(&value)
        });
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
        let name = self.symbols().find(name).and_then(|name| Index::postings(self).name(name));
        for (value, list) in name.iter().flat_map(|name| &name.values) {
            let value = self.symbols().text(*value);
            if value.starts_with(prefix) && !visit(value, list.ids()) {
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
