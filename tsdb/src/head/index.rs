//! The index of the head: which series there are, found by label set, by label pair and by id.
//!
//! A label set is a *shape*, the list of its names, which thousands of series share, and one symbol for each
//! value:
//!
//! ```text
//! entries[id] ──► arena: │ shape u32 │ value u32 │ value u32 │ …
//! shapes[shape] ──► names: │ symbol u32 │ symbol u32 │ …            ascending by name
//! ```
//!
//! The table from label set to id holds ids only; its keys are the entries, compared text by text. All of it
//! changes only when series come and go, so one lock for readers and writers does.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use model::labels::{Labels, METRIC_NAME};
use roaring::RoaringBitmap;

use super::postings::HeadPostings;
use super::symbols::{SymbolId, SymbolReader, Symbols};

/// An entry without a series.
const NO_LABELS: u32 = u32::MAX;
/// The arena is rewritten when more than this many of its words, and more than half of it, are garbage.
const GARBAGE_WORDS_MIN: usize = 1 << 16;
/// How many of the series added last are remembered: more than a few commits create while a selection
/// searches, few enough to be checked in a millisecond or two.
const RECENT_MAX: usize = 1 << 14;

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where the labels begin in the arena, or [`NO_LABELS`].
    labels: u32,
    /// Upper half of the label set's hash, so that the table grows without looking at labels.
    hash: u32,
}

#[derive(Debug, Default)]
struct Shape {
    names: Box<[SymbolId]>,
    series: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Index {
    symbols: Symbols,
    shapes: Vec<Shape>,
    free_shapes: Vec<u32>,
    shape_ids: hashbrown::HashMap<Box<[SymbolId]>, u32>,
    arena: Vec<u32>,
    garbage_words: usize,
    entries: Vec<Entry>,
    free_ids: Vec<u32>,
    by_labels: HashTable<u32>,
    postings: HeadPostings,
    hasher: RandomState,
    /// The series added last, in that order; at most [`RECENT_MAX`].
    recent: VecDeque<u32>,
    version: IndexVersion,
}

/// Tells whether an [`Index`] changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexVersion {
    /// Series added so far.
    additions: u64,
    /// How often series were removed: while it stays the same, an id means the same series.
    removals: u64,
}

/// The hash of a label set within one [`Index`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabelsHash(u32);

impl LabelsHash {
    /// The table wants 64 bits whose upper ones differ.
    fn spread(self) -> u64 {
        u64::from(self.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl Index {
    pub(crate) fn new() -> Self {
        Index {
            symbols: Symbols::new(),
            shapes: Vec::new(),
            free_shapes: Vec::new(),
            shape_ids: hashbrown::HashMap::new(),
            arena: Vec::new(),
            garbage_words: 0,
            entries: Vec::new(),
            free_ids: Vec::new(),
            by_labels: HashTable::new(),
            postings: HeadPostings::default(),
            hasher: RandomState::default(),
            recent: VecDeque::new(),
            version: IndexVersion::default(),
        }
    }

    /// The hash function of this index, for hashing label sets without holding the index.
    pub(crate) fn hasher(&self) -> RandomState {
        self.hasher.clone()
    }

    /// The hash of a label set.
    pub(crate) fn hash(hasher: &RandomState, labels: &Labels) -> LabelsHash {
        LabelsHash((hasher.hash_one(labels) >> 32) as u32)
    }

    /// The series of a label set.
    pub(crate) fn find(&self, hash: LabelsHash, labels: &Labels) -> Option<u32> {
        self.by_labels
            .find(hash.spread(), |&id| {
                self.entries[id as usize].hash == hash.0 && self.has_labels(id, labels)
            })
            .copied()
    }

    fn has_labels(&self, id: u32, labels: &Labels) -> bool {
        let mut pairs = self.pairs(id);
        let mut wanted = labels.iter();
        loop {
            match (pairs.next(), wanted.next()) {
                (None, None) => return true,
                (Some((name, value)), Some(pair)) => {
                    if (self.symbols.text(name), self.symbols.text(value)) != pair {
                        return false;
                    }
                }
                _ => return false,
            }
        }
    }

    /// Adds a series whose label set isn't there yet, under the next free id.
    pub(crate) fn create(&mut self, hash: LabelsHash, labels: &Labels) -> u32 {
        let id = self.free_ids.pop().unwrap_or(self.entries.len() as u32);
        self.create_as(id, hash, labels);
        id
    }

    /// Adds a series under an id of its own, for replay; the ids left out become free ones only with
    /// [`Self::find_free_ids`].
    pub(crate) fn create_as(&mut self, id: u32, hash: LabelsHash, labels: &Labels) {
        let at = id as usize;
        if self.entries.len() <= at {
            self.entries.resize(at + 1, Entry { labels: NO_LABELS, hash: 0 });
        }
        let names: Vec<SymbolId> = labels.iter().map(|(name, _)| self.symbols.acquire(name)).collect();
        let shape = self.acquire_shape(&names);
        let offset = self.arena.len() as u32;
        self.arena.push(shape);
        for (_, value) in labels {
            let value = self.symbols.acquire(value);
            self.arena.push(value);
        }
        self.entries[at] = Entry { labels: offset, hash: hash.0 };
        let entries = &self.entries;
        self.by_labels.insert_unique(hash.spread(), id, |&id| LabelsHash(entries[id as usize].hash).spread());
        let values = self.arena[offset as usize + 1..].iter().copied();
        self.postings.insert(id, names.iter().copied().zip(values));
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(id);
        self.version.additions += 1;
    }

    /// The shape of names, which were acquired once each; a shape holds its names once.
    fn acquire_shape(&mut self, names: &[SymbolId]) -> u32 {
        if let Some(&shape) = self.shape_ids.get(names) {
            for &name in names {
                self.symbols.release(name);
            }
            self.shapes[shape as usize].series += 1;
            return shape;
        }
        let shape = self.free_shapes.pop().unwrap_or_else(|| {
            self.shapes.push(Shape::default());
            self.shapes.len() as u32 - 1
        });
        self.shapes[shape as usize] = Shape { names: names.into(), series: 1 };
        self.shape_ids.insert(names.into(), shape);
        shape
    }

    /// Removes series. Their ids are given out again; whoever names them by more than the id has to check
    /// the generation.
    pub(crate) fn remove(&mut self, gone: &RoaringBitmap) {
        self.version.removals += 1;
        let mut pairs = std::collections::HashSet::new();
        for id in gone {
            pairs.extend(self.pairs(id));
        }
        self.postings.remove(gone, pairs.into_iter());
        for id in gone {
            self.remove_entry(id);
        }
        // Popped from the end: the lowest first, so that new series get consecutive ids.
        self.free_ids.sort_unstable_by(|a, b| b.cmp(a));
        self.symbols.reclaim();
        if self.garbage_words > GARBAGE_WORDS_MIN && self.garbage_words > self.arena.len() / 2 {
            self.rewrite_arena();
        }
        self.postings.optimize();
    }

    fn remove_entry(&mut self, id: u32) {
        let entry = std::mem::replace(&mut self.entries[id as usize], Entry { labels: NO_LABELS, hash: 0 });
        if entry.labels == NO_LABELS {
            return;
        }
        if let Ok(found) = self.by_labels.find_entry(LabelsHash(entry.hash).spread(), |other| *other == id) {
            found.remove();
        }
        let at = entry.labels as usize;
        let shape = self.arena[at];
        let len = self.shapes[shape as usize].names.len();
        for &value in &self.arena[at + 1..=at + len] {
            self.symbols.release(value);
        }
        self.garbage_words += len + 1;
        self.release_shape(shape);
        self.free_ids.push(id);
    }

    fn release_shape(&mut self, shape: u32) {
        let entry = &mut self.shapes[shape as usize];
        entry.series -= 1;
        if entry.series > 0 {
            return;
        }
        let names = std::mem::take(&mut entry.names);
        for &name in &names {
            self.symbols.release(name);
        }
        self.shape_ids.remove(&names);
        self.free_shapes.push(shape);
    }

    fn rewrite_arena(&mut self) {
        let mut arena = Vec::with_capacity(self.arena.len() - self.garbage_words);
        for entry in self.entries.iter_mut().filter(|entry| entry.labels != NO_LABELS) {
            let at = entry.labels as usize;
            let len = self.shapes[self.arena[at] as usize].names.len();
            entry.labels = arena.len() as u32;
            arena.extend_from_slice(&self.arena[at..=at + len]);
        }
        self.arena = arena;
        self.garbage_words = 0;
    }

    /// Makes every id that has no series a free one. Once, after replay.
    pub(crate) fn find_free_ids(&mut self) {
        self.free_ids = (0..self.entries.len() as u32).rev().filter(|&id| !self.contains(id)).collect();
        self.postings.optimize();
    }

    /// Whether there is a series of this id.
    pub(crate) fn contains(&self, id: u32) -> bool {
        self.entries.get(id as usize).is_some_and(|entry| entry.labels != NO_LABELS)
    }

    /// Symbols of the label pairs of a series, ascending by name.
    pub(crate) fn pairs(&self, id: u32) -> impl Iterator<Item = (SymbolId, SymbolId)> + Clone + '_ {
        let (names, values) = self.label_words(id);
        names.iter().copied().zip(values.iter().copied())
    }

    fn label_words(&self, id: u32) -> (&[SymbolId], &[SymbolId]) {
        let at = self.entries[id as usize].labels as usize;
        if at == NO_LABELS as usize {
            return (&[], &[]);
        }
        let names = &*self.shapes[self.arena[at] as usize].names;
        (names, &self.arena[at + 1..=at + names.len()])
    }

    /// The label set of a series; empty if there is no such series.
    pub(crate) fn labels(&self, id: u32) -> Labels {
        Labels::from_sorted_pairs(
            self.pairs(id).map(|(name, value)| (self.symbols.text(name), self.symbols.text(value))),
        )
    }

    /// Changes when series come or go.
    pub(crate) fn version(&self) -> IndexVersion {
        self.version
    }

    /// The series added since then; `None` if some were removed, or more added than are remembered.
    pub(crate) fn added_since(&self, then: IndexVersion) -> Option<impl Iterator<Item = u32> + '_> {
        let added = usize::try_from(self.version.additions - then.additions).unwrap_or(usize::MAX);
        let known = self.version.removals == then.removals && added <= self.recent.len();
        known.then(|| self.recent.range(self.recent.len() - added..).copied())
    }

    /// Bytes of label sets as symbols, and of the table that finds them.
    pub(crate) fn label_bytes(&self) -> usize {
        self.arena.capacity() * size_of::<u32>()
            + self.entries.capacity() * size_of::<Entry>()
            + self.by_labels.allocation_size()
            + self.free_ids.capacity() * size_of::<u32>()
    }

    /// Number of series.
    pub(crate) fn len(&self) -> usize {
        self.by_labels.len()
    }

    /// One more than the highest id there ever was.
    pub(crate) fn id_end(&self) -> u32 {
        self.entries.len() as u32
    }

    /// The postings.
    pub(crate) fn postings(&self) -> &HeadPostings {
        &self.postings
    }

    /// The symbols.
    pub(crate) fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// See [`Symbols::reader`].
    pub(crate) fn symbol_reader(&self) -> SymbolReader {
        self.symbols.reader()
    }

    /// Series, label pairs and the largest cardinalities, at most `limit` of each.
    pub(crate) fn cardinality(&self, limit: usize) -> Cardinality {
        let mut all = Cardinality { series: self.len(), ..Cardinality::default() };
        for (name, pairs) in self.postings.names() {
            let name = self.symbols.text(name);
            all.label_pairs += pairs.values.len();
            let mut bytes = 0;
            for (value, list) in &pairs.values {
                let value = self.symbols.text(*value);
                let series = list.ids().len() as u64;
                bytes += value.len() as u64 * series;
                if name == METRIC_NAME {
                    all.series_by_metric_name.push((value.to_owned(), series));
                }
                keep_pair(&mut all.series_by_label_pair, limit, series, || format!("{name}={value}"));
            }
            all.values_by_label_name.push((name.to_owned(), pairs.values.len() as u64));
            all.bytes_by_label_name.push((name.to_owned(), bytes));
        }
        for list in [
            &mut all.series_by_metric_name,
            &mut all.values_by_label_name,
            &mut all.bytes_by_label_name,
            &mut all.series_by_label_pair,
        ] {
            sort_largest(list);
            list.truncate(limit);
        }
        all
    }
}

/// Largest first; equal ones by name.
fn sort_largest(list: &mut [(String, u64)]) {
    list.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
}

/// Adds to a list that is cut back to its largest now and then, so that it stays short.
fn keep_pair(list: &mut Vec<(String, u64)>, limit: usize, count: u64, name: impl FnOnce() -> String) {
    list.push((name(), count));
    if list.len() > 4 * limit.max(256) {
        sort_largest(list);
        list.truncate(limit);
    }
}

/// What `/api/v1/status/tsdb` tells of label sets. Lists are largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// Number of series.
    pub series: usize,
    /// Number of distinct label pairs.
    pub label_pairs: usize,
    /// Metric names with their numbers of series.
    pub series_by_metric_name: Vec<(String, u64)>,
    /// Label names with their numbers of distinct values.
    pub values_by_label_name: Vec<(String, u64)>,
    /// Label names with the bytes of their values, counted for each series.
    pub bytes_by_label_name: Vec<(String, u64)>,
    /// Label pairs, as `name=value`, with their numbers of series.
    pub series_by_label_pair: Vec<(String, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(index: &mut Index, labels: &Labels) -> u32 {
        let hash = Index::hash(&index.hasher(), labels);
        assert_eq!(index.find(hash, labels), None);
        index.create(hash, labels)
    }

    fn find(index: &Index, labels: &Labels) -> Option<u32> {
        index.find(Index::hash(&index.hasher(), labels), labels)
    }

    #[test]
    fn series_are_found_by_their_labels_until_they_are_removed() {
        let mut index = Index::new();
        let sets: Vec<Labels> = (0..200)
            .map(|i| {
                Labels::from_pairs([("__name__", "up".into()), ("i", format!("{i}")), ("x", "y".into())])
            })
            .collect();
        for (i, labels) in sets.iter().enumerate() {
            assert_eq!(add(&mut index, labels), i as u32);
        }
        index.remove(&(0..100).collect());
        for (i, labels) in sets.iter().enumerate() {
            let there = (i >= 100).then_some(i as u32);
            assert_eq!(find(&index, labels), there);
            assert_eq!(index.labels(i as u32) == *labels, there.is_some());
        }
        assert_eq!(index.len(), 100);
        assert_eq!(add(&mut index, &sets[150].without(&["x"])), 0, "the lowest free id is used first");
        assert_eq!(index.cardinality(10).series_by_metric_name, [("up".to_owned(), 101)]);
        let i = index.symbols().find("i").unwrap();
        assert_eq!(index.postings().name(i).unwrap().values.len(), 100);
    }

    #[test]
    fn churn_leaves_no_symbols_behind() {
        let mut index = Index::new();
        for round in 0..5 {
            for i in 0..1000 {
                add(&mut index, &Labels::from_pairs([("n", format!("{round}-{i}"))]));
            }
            index.remove(&(0..1000).collect());
        }
        index.remove(&RoaringBitmap::new());
        assert_eq!(index.symbols().text_bytes(), 0);
        assert_eq!(index.id_end(), 1000);
        assert_eq!(index.cardinality(10), Cardinality::default());
    }
}
