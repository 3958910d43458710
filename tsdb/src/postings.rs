//! Postings: ascending lists of series ids, and the set algebra that selections need.
//!
//! A list is borrowed from wherever it lives — a roaring bitmap or a short slice in the head, big-endian
//! numbers on the map of a block's index — and is never converted as a whole unless it is the answer. The
//! running set of a selection is a plain vector, which is narrowed in place. What is given up: word-parallel
//! intersection of two bitmaps; the running set is the smallest list, so that mattered little.

use roaring::RoaringBitmap;

/// Names a series within one index: the head's slot, or a block's offset divided by 16.
pub type SeriesId = u32;

/// An ascending list of series ids, each once.
#[derive(Clone, Copy, Debug)]
pub enum Postings<'a> {
    /// Numbers in memory.
    Ids(&'a [SeriesId]),
    /// Big-endian numbers on a map.
    BigEndian(&'a [[u8; 4]]),
    /// A bitmap.
    Roaring(&'a RoaringBitmap),
}

impl<'a> Postings<'a> {
    /// The list without ids.
    pub const EMPTY: Postings<'static> = Postings::Ids(&[]);

    /// Number of ids.
    pub fn len(&self) -> usize {
        match self {
            Postings::Ids(ids) => ids.len(),
            Postings::BigEndian(ids) => ids.len(),
            Postings::Roaring(bitmap) => bitmap.len() as usize,
        }
    }

    /// Whether there are no ids.
    pub fn is_empty(&self) -> bool {
        match self {
            Postings::Roaring(bitmap) => bitmap.is_empty(),
            _ => self.len() == 0,
        }
    }

    /// Appends all ids.
    pub fn append_to(&self, out: &mut Vec<SeriesId>) {
        match self {
            Postings::Ids(ids) => out.extend_from_slice(ids),
            Postings::BigEndian(ids) => out.extend(ids.iter().map(|id| u32::from_be_bytes(*id))),
            Postings::Roaring(bitmap) => out.extend(bitmap.iter()),
        }
    }

    /// A cursor before the first id.
    pub fn cursor(&self) -> PostingsCursor<'a> {
        match *self {
            Postings::Ids(ids) => PostingsCursor::Ids(SliceCursor { rest: ids }),
            Postings::BigEndian(ids) => PostingsCursor::BigEndian(SliceCursor { rest: ids }),
            Postings::Roaring(bitmap) => PostingsCursor::Roaring(bitmap.iter()),
        }
    }

    /// Keeps those of the ascending `ids` that are in the list.
    pub fn retain_in(&self, ids: &mut Vec<SeriesId>) {
        let mut cursor = self.cursor();
        ids.retain(|id| cursor.seek(*id) == Some(*id));
    }

    /// Removes those of the ascending `ids` that are in the list.
    pub fn remove_from(&self, ids: &mut Vec<SeriesId>) {
        let mut cursor = self.cursor();
        ids.retain(|id| cursor.seek(*id) != Some(*id));
    }

    /// Whether any of the ascending `ids` is in the list.
    pub fn intersects(&self, ids: &[SeriesId]) -> bool {
        let mut mine = self.cursor();
        let mut theirs = SliceCursor { rest: ids };
        let mut target = 0;
        loop {
            let Some(here) = mine.seek(target) else { return false };
            match theirs.seek(here) {
                None => return false,
                Some(there) if there == here => return true,
                Some(there) => target = there,
            }
        }
    }
}

/// The ids of several lists that have none in common, as the lists of one label's values do; ascending.
pub fn union_of_disjoint(lists: &[Postings<'_>]) -> Vec<SeriesId> {
    let mut ids = Vec::with_capacity(lists.iter().map(Postings::len).sum());
    for list in lists {
        list.append_to(&mut ids);
    }
    if lists.len() > 1 {
        // The stable sort merges runs that are ascending already.
        ids.sort();
    }
    ids
}

/// Goes through a list of postings, forward only.
pub enum PostingsCursor<'a> {
    /// See [`Postings::Ids`].
    Ids(SliceCursor<'a, u32>),
    /// See [`Postings::BigEndian`].
    BigEndian(SliceCursor<'a, [u8; 4]>),
    /// See [`Postings::Roaring`].
    Roaring(roaring::bitmap::Iter<'a>),
}

impl PostingsCursor<'_> {
    /// The first id at or after `target` that hasn't been passed; stays before it.
    #[inline]
    pub fn seek(&mut self, target: SeriesId) -> Option<SeriesId> {
        match self {
            PostingsCursor::Ids(cursor) => cursor.seek(target),
            PostingsCursor::BigEndian(cursor) => cursor.seek(target),
            PostingsCursor::Roaring(iter) => {
                iter.advance_to(target);
                iter.clone().next()
            }
        }
    }
}

/// An id as it lies in a slice.
trait StoredId: Copy {
    fn get(self) -> SeriesId;
}

impl StoredId for u32 {
    #[inline]
    fn get(self) -> SeriesId {
        self
    }
}

impl StoredId for [u8; 4] {
    #[inline]
    fn get(self) -> SeriesId {
        u32::from_be_bytes(self)
    }
}

/// Goes through an ascending slice.
#[derive(Debug)]
pub struct SliceCursor<'a, T> {
    rest: &'a [T],
}

#[expect(private_bounds, reason = "the two kinds of slices are those of the postings")]
impl<T: StoredId> SliceCursor<'_, T> {
    /// See [`PostingsCursor::seek`]. Gallops, so that the cost is logarithmic in the distance.
    #[inline]
    fn seek(&mut self, target: SeriesId) -> Option<SeriesId> {
        if self.rest.first()?.get() < target {
            let mut step = 1;
            while self.rest.get(step).is_some_and(|id| id.get() < target) {
                step *= 2;
            }
            // rest[step / 2] is below the target, rest[step] isn't, or doesn't exist.
            let window = &self.rest[step / 2..self.rest.len().min(step + 1)];
            let skip = step / 2 + window.partition_point(|id| id.get() < target);
            self.rest = &self.rest[skip..];
        }
        self.rest.first().map(|id| id.get())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn id_sets() -> impl Strategy<Value = BTreeSet<u32>> {
        prop_oneof![
            proptest::collection::btree_set(0u32..60, 0..40),
            proptest::collection::btree_set(0u32..200_000, 0..200),
            (0u32..1000, 0u32..3000).prop_map(|(from, len)| (from..from + len).collect()),
        ]
    }

    proptest! {
        #[test]
        fn every_representation_is_the_same_set(list in id_sets(), other in id_sets()) {
            let ids: Vec<u32> = list.iter().copied().collect();
            let big_endian: Vec<[u8; 4]> = ids.iter().map(|id| id.to_be_bytes()).collect();
            let bitmap: RoaringBitmap = ids.iter().copied().collect();
            for postings in [Postings::Ids(&ids), Postings::BigEndian(&big_endian), Postings::Roaring(&bitmap)] {
                prop_assert_eq!(postings.len(), list.len());
                prop_assert_eq!(postings.is_empty(), list.is_empty());
                let others: Vec<u32> = other.iter().copied().collect();
                let mut kept = others.clone();
                postings.retain_in(&mut kept);
                prop_assert_eq!(&kept, &list.intersection(&other).copied().collect::<Vec<_>>());
                prop_assert_eq!(postings.intersects(&others), !kept.is_empty());
                let mut left = others.clone();
                postings.remove_from(&mut left);
                prop_assert_eq!(left, other.difference(&list).copied().collect::<Vec<_>>());
                prop_assert_eq!(union_of_disjoint(&[postings]), ids.clone());
            }
        }

        #[test]
        fn the_union_of_disjoint_lists_is_ascending(owners in proptest::collection::vec(0usize..5, 0..300)) {
            let mut lists = vec![Vec::new(); 5];
            for (id, owner) in owners.iter().enumerate() {
                lists[*owner].push(id as u32);
            }
            let lists: Vec<Postings<'_>> = lists.iter().map(|ids| Postings::Ids(ids)).collect();
            prop_assert_eq!(union_of_disjoint(&lists), (0..owners.len() as u32).collect::<Vec<_>>());
        }
    }
}
