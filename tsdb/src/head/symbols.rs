//! Symbols: every label name and value of the head once, by a small number.
//!
//! A symbol lives as long as a series uses it: it counts its uses. Its number is given to another text only
//! after every selection that may still name it is gone, see [`Symbols::reader`]; under churn the table
//! therefore stays as large as what is alive. Given up: a symbol is an allocation of its own, a few bytes
//! more than in an arena, for being able to free it alone.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

/// Number of a symbol.
pub(crate) type SymbolId = u32;

/// A selection that may name symbols keeps one of these.
#[derive(Clone, Debug)]
pub(crate) struct SymbolReader(#[expect(dead_code, reason = "counts the readers by being held")] Arc<()>);

#[derive(Debug, Default)]
struct Symbol {
    text: Box<str>,
    uses: u32,
}

/// Symbols that nobody uses any more, but that readers from before may still name.
#[derive(Debug)]
struct Retired {
    readers: Arc<()>,
    ids: Vec<SymbolId>,
}

/// The table of symbols.
#[derive(Debug)]
pub(crate) struct Symbols {
    symbols: Vec<Symbol>,
    ids: HashTable<SymbolId>,
    free: Vec<SymbolId>,
    /// Freed since the last turn of [`Symbols::reclaim`].
    unused: Vec<SymbolId>,
    retired: Vec<Retired>,
    readers: Arc<()>,
    text_bytes: usize,
    hasher: RandomState,
}

impl Symbols {
    pub(crate) fn new() -> Self {
        Symbols {
            symbols: Vec::new(),
            ids: HashTable::new(),
            free: Vec::new(),
            unused: Vec::new(),
            retired: Vec::new(),
            readers: Arc::new(()),
            text_bytes: 0,
            hasher: RandomState::new(),
        }
    }

    /// The symbol of a text, if there is one.
    pub(crate) fn find(&self, text: &str) -> Option<SymbolId> {
        let hash = self.hasher.hash_one(text);
        self.ids.find(hash, |id| &*self.symbols[*id as usize].text == text).copied()
    }

    /// The symbol of a text, used once more.
    pub(crate) fn acquire(&mut self, text: &str) -> SymbolId {
        if let Some(id) = self.find(text) {
            self.symbols[id as usize].uses += 1;
            return id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.symbols.push(Symbol::default());
            self.symbols.len() as SymbolId - 1
        });
        self.symbols[id as usize] = Symbol { text: text.into(), uses: 1 };
        self.text_bytes += text.len();
        let (symbols, hasher) = (&self.symbols, &self.hasher);
        self.ids.insert_unique(hasher.hash_one(text), id, |id| hasher.hash_one(&*symbols[*id as usize].text));
        id
    }

    /// Uses a symbol once less.
    pub(crate) fn release(&mut self, id: SymbolId) {
        let symbol = &mut self.symbols[id as usize];
        symbol.uses -= 1;
        if symbol.uses > 0 {
            return;
        }
        let hash = self.hasher.hash_one(&*symbol.text);
        if let Ok(entry) = self.ids.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        self.unused.push(id);
    }

    /// Bytes of the table and the texts.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.symbols.capacity() * size_of::<Symbol>() + self.ids.allocation_size() + self.text_bytes
    }

    /// The text of a symbol.
    pub(crate) fn text(&self, id: SymbolId) -> &str {
        &self.symbols[id as usize].text
    }

    /// Keeps the numbers of all symbols of now from being given to other texts.
    pub(crate) fn reader(&self) -> SymbolReader {
        SymbolReader(Arc::clone(&self.readers))
    }

    /// Frees unused symbols that no reader can name.
    pub(crate) fn reclaim(&mut self) {
        if !self.unused.is_empty() {
            let readers = std::mem::take(&mut self.readers);
            self.retired.push(Retired { readers, ids: std::mem::take(&mut self.unused) });
        }
        // A reader may name what was retired after it came: the oldest readers hold up the rest.
        let gone = self.retired.iter().take_while(|r| Arc::strong_count(&r.readers) == 1).count();
        for retired in self.retired.drain(..gone) {
            for id in retired.ids {
                let text = std::mem::take(&mut self.symbols[id as usize].text);
                self.text_bytes -= text.len();
                self.free.push(id);
            }
        }
    }

    /// One more than the largest number of a symbol.
    pub(crate) fn id_end(&self) -> SymbolId {
        self.symbols.len() as SymbolId
    }

    /// Bytes of all texts.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_not_reused_while_a_reader_may_name_it() {
        let mut symbols = Symbols::new();
        let a = symbols.acquire("a");
        let reader = symbols.reader();
        symbols.release(a);
        symbols.reclaim();
        assert_eq!(symbols.find("a"), None);
        assert_ne!(symbols.acquire("b"), a);
        assert_eq!(symbols.text(a), "a");
        drop(reader);
        symbols.reclaim();
        assert_eq!(symbols.acquire("c"), a);
        assert_eq!(symbols.text_bytes(), 2);
    }
}
