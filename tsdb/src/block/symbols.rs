//! The symbol table of an index: every label name and value once, ascending, named by its ordinal.
//!
//! ```text
//! ┌─────────┬───────────┬─────────────────────────────┬───────────┐
//! │ len u32 │ count u32 │ (length uvarint, bytes) …   │ CRC-32C   │
//! └─────────┴───────────┴─────────────────────────────┴───────────┘
//! ```
//!
//! In memory stays where every eighth text begins: half a byte per symbol, and at most seven texts to step
//! over. (Prometheus keeps every 32nd.)

use std::hash::BuildHasher;

use hashbrown::HashTable;
use model::storage::StorageError;

use super::output::Output;
use crate::codec::{Cursor, DecodeError, put_prefixed_bytes, uvarint_len};
use crate::error::invalid;

/// Every which text's place is remembered.
const STRIDE: u32 = 8;

/// The ordinal of a text in a symbol table.
pub type Symbol = u32;

/// Looks symbols up. The bytes, which aren't kept here, are those of the whole section behind its length.
#[derive(Debug)]
pub struct Symbols {
    count: u32,
    /// Where every [`STRIDE`]th text begins in the section.
    offsets: Vec<u32>,
}

impl Symbols {
    /// Walks the section once; every text is checked.
    pub fn open(section: &[u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(section);
        let count = cursor.u32()?;
        let mut offsets = Vec::new();
        for nth in 0..count {
            if nth % STRIDE == 0 {
                offsets.push(cursor.position() as u32);
            }
            cursor.text()?;
        }
        Ok(Symbols { count, offsets })
    }

    /// Number of symbols.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there are no symbols.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The text of a symbol.
    #[inline]
    pub fn get<'a>(&self, section: &'a [u8], symbol: Symbol) -> Result<&'a str, DecodeError> {
        let mut cursor = Cursor::new(section);
        if symbol >= self.count {
            return Err(cursor.error("there is no such symbol"));
        }
        cursor.take(self.offsets[(symbol / STRIDE) as usize] as usize)?;
        for _ in 0..symbol % STRIDE {
            cursor.prefixed_bytes()?;
        }
        cursor.text()
    }

    /// The symbol of a text, if it is in the table.
    pub fn find(&self, section: &[u8], text: &str) -> Result<Option<Symbol>, DecodeError> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(section, middle)?.cmp(text) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(Some(middle)),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }
}

/// Collects texts, each once, while a block is written; they are numbered as they come.
#[derive(Debug, Default)]
pub(crate) struct SymbolCollector {
    text: String,
    /// Where each text ends.
    ends: Vec<usize>,
    table: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
}

impl SymbolCollector {
    /// The number of a text; a new one if it is new.
    pub(crate) fn intern(&mut self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text);
        if let Some(number) = self.table.find(hash, |number| self.text(*number) == text) {
            return *number;
        }
        let number = self.ends.len() as u32;
        self.text.push_str(text);
        self.ends.push(self.text.len());
        let (text, ends, hasher) = (&self.text, &self.ends, &self.hasher);
        let rehash = |number: &u32| hasher.hash_one(text_at(text, ends, *number));
        self.table.insert_unique(hash, number, rehash);
        number
    }

    /// The text of a number.
    pub(crate) fn text(&self, number: u32) -> &str {
        text_at(&self.text, &self.ends, number)
    }

    /// For each text, by its number, its ordinal among the sorted ones.
    pub(crate) fn ranks(&self) -> Vec<Symbol> {
        let mut ranks = vec![0; self.ends.len()];
        for (rank, number) in self.sorted().into_iter().enumerate() {
            ranks[number as usize] = rank as u32;
        }
        ranks
    }

    fn sorted(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..self.ends.len() as u32).collect();
        numbers.sort_unstable_by_key(|number| self.text(*number));
        numbers
    }

    /// Writes the section.
    pub(crate) fn write(&self, output: &mut Output) -> Result<(), StorageError> {
        let text_len = |number| self.text(number).len();
        let numbers = 0..self.ends.len() as u32;
        let len: usize = numbers.map(|n| text_len(n) + uvarint_len(text_len(n) as u64)).sum();
        let Ok(len) = u32::try_from(len + size_of::<u32>()) else {
            return Err(invalid("write", output.path(), format!("symbol table of {len} bytes")));
        };
        output.put(&len.to_be_bytes())?;
        let mut piece = (self.ends.len() as u32).to_be_bytes().to_vec();
        let mut crc = 0;
        for number in self.sorted() {
            put_prefixed_bytes(&mut piece, self.text(number).as_bytes());
            crc = crc32c::crc32c_append(crc, &piece);
            output.put(&piece)?;
            piece.clear();
        }
        // Without symbols the piece still holds the count.
        crc = crc32c::crc32c_append(crc, &piece);
        output.put(&piece)?;
        output.put(&crc.to_be_bytes())
    }
}

fn text_at<'a>(text: &'a str, ends: &[usize], number: u32) -> &'a str {
    let nth = number as usize;
    let begin = if nth == 0 { 0 } else { ends[nth - 1] };
    &text[begin..ends[nth]]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::fs::{Fs, RealFs};

    proptest! {
        #[test]
        fn symbols_are_sorted_and_found(texts in proptest::collection::vec("[a-c]{0,3}", 0..100)) {
            let mut collector = SymbolCollector::default();
            let numbers: Vec<u32> = texts.iter().map(|text| collector.intern(text)).collect();
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("symbols");
            let mut output = Output::create(&RealFs, path.clone()).unwrap();
            collector.write(&mut output).unwrap();
            output.finish().unwrap();
            let bytes = RealFs.view(&path).unwrap();
            let section = &bytes[4..bytes.len() - 4];
            prop_assert_eq!(crc32c::crc32c(section).to_be_bytes(), &bytes[bytes.len() - 4..]);

            let symbols = Symbols::open(section).unwrap();
            let sorted: BTreeSet<&str> = texts.iter().map(String::as_str).collect();
            prop_assert_eq!(symbols.len() as usize, sorted.len());
            for (ordinal, text) in sorted.iter().enumerate() {
                prop_assert_eq!(symbols.get(section, ordinal as u32).unwrap(), *text);
                prop_assert_eq!(symbols.find(section, text).unwrap(), Some(ordinal as u32));
            }
            prop_assert_eq!(symbols.find(section, "d").unwrap(), None);
            prop_assert!(symbols.get(section, symbols.len()).is_err());
            let ranks = collector.ranks();
            for (text, number) in texts.iter().zip(numbers) {
                prop_assert_eq!(symbols.get(section, ranks[number as usize]).unwrap(), text);
                prop_assert_eq!(collector.text(number), text);
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(count in 0u32..20, bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut section = count.to_be_bytes().to_vec();
            section.extend_from_slice(&bytes);
            if let Ok(symbols) = Symbols::open(&section) {
                for symbol in 0..symbols.len() {
                    prop_assert!(symbols.get(&section, symbol).is_ok());
                }
            }
            let _ = Symbols::open(&bytes);
        }
    }
}
