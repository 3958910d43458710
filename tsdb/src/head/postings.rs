//! Postings of the head: for each label pair the ids of its series, ascending.
//!
//! Most pairs have one series, which needs no allocation. Short lists are sorted arrays, long ones roaring
//! bitmaps: series of one scrape get consecutive ids, so that `job` and `instance` are runs.

use hashbrown::HashMap;
use roaring::RoaringBitmap;

use super::symbols::SymbolId;
use crate::postings::Postings;

/// Lists up to this length are arrays: 4 bytes an id, where a bitmap costs about 60 bytes for each
/// container it touches.
const ARRAY_LEN_MAX: usize = 64;

/// The ids of one label pair.
#[derive(Debug)]
pub(crate) enum List {
    /// The only series that has the pair.
    One(u32),
    /// Several.
    Many(Box<Many>),
}

/// See [`List::Many`].
#[derive(Debug)]
pub(crate) enum Many {
    /// Sorted.
    Array(Vec<u32>),
    /// Long ones.
    Bitmap(RoaringBitmap),
}

impl List {
    fn insert(&mut self, id: u32) {
        match self {
            List::One(first) if *first == id => {}
            List::One(first) => {
                let pair = vec![id.min(*first), id.max(*first)];
                *self = List::Many(Box::new(Many::Array(pair)));
            }
            List::Many(many) => many.insert(id),
        }
    }

    /// Removes ids; says whether any is left.
    fn remove_all(&mut self, gone: &RoaringBitmap) -> bool {
        match self {
            List::One(id) => !gone.contains(*id),
            List::Many(many) => match &mut **many {
                Many::Array(ids) => {
                    ids.retain(|id| !gone.contains(*id));
                    match ids.as_slice() {
                        [] => return false,
                        [id] => *self = List::One(*id),
                        _ => ids.shrink_to_fit(),
                    }
                    true
                }
                Many::Bitmap(bitmap) => {
                    *bitmap -= gone;
                    !bitmap.is_empty()
                }
            },
        }
    }

    /// The ids.
    pub(crate) fn ids(&self) -> Postings<'_> {
        match self {
            List::One(id) => Postings::Ids(std::slice::from_ref(id)),
            List::Many(many) => match &**many {
                Many::Array(ids) => Postings::Ids(ids),
                Many::Bitmap(bitmap) => Postings::Roaring(bitmap),
            },
        }
    }
}

impl Many {
    fn heap_bytes(&self) -> usize {
        let ids = match self {
            Many::Array(ids) => ids.capacity() * size_of::<u32>(),
            Many::Bitmap(bitmap) => {
                let statistics = bitmap.statistics();
                let containers = statistics.n_bytes_array_containers
                    + statistics.n_bytes_run_containers
                    + statistics.n_bytes_bitset_containers;
                usize::try_from(containers).unwrap_or(usize::MAX)
            }
        };
        size_of::<Many>() + ids
    }

    fn insert(&mut self, id: u32) {
        match self {
            Many::Array(ids) => {
                if let Err(at) = ids.binary_search(&id) {
                    if ids.len() == ids.capacity() {
                        // A quarter more, not double: these arrays are many and rarely grow.
                        ids.reserve_exact(ids.len() / 4 + 2);
                    }
                    ids.insert(at, id);
                }
                if ids.len() > ARRAY_LEN_MAX {
                    *self = Many::Bitmap(ids.iter().copied().collect());
                }
            }
            Many::Bitmap(bitmap) => {
                bitmap.insert(id);
            }
        }
    }
}

/// The pairs of one label name.
#[derive(Debug, Default)]
pub(crate) struct NamePostings {
    /// By symbol of the value.
    pub(crate) values: HashMap<SymbolId, List>,
}

/// All postings of the head.
#[derive(Debug, Default)]
pub(crate) struct HeadPostings {
    names: HashMap<SymbolId, NamePostings>,
    all: RoaringBitmap,
}

impl HeadPostings {
    /// Bytes of all lists and of the tables that lead to them.
    pub(crate) fn heap_bytes(&self) -> usize {
        let of_list = |list: &List| match list {
            List::One(_) => 0,
            List::Many(many) => many.heap_bytes(),
        };
        let of_name = |name: &NamePostings| {
            name.values.allocation_size() + name.values.values().map(of_list).sum::<usize>()
        };
        self.names.allocation_size() + self.names.values().map(of_name).sum::<usize>()
    }

    /// Adds a series by its label pairs.
    pub(crate) fn insert(&mut self, id: u32, pairs: impl Iterator<Item = (SymbolId, SymbolId)>) {
        self.all.insert(id);
        for (name, value) in pairs {
            let values = &mut self.names.entry(name).or_default().values;
            values.entry(value).and_modify(|list| list.insert(id)).or_insert(List::One(id));
        }
    }

    /// Removes series from the lists of the pairs given, which must be all that the series have.
    pub(crate) fn remove(&mut self, gone: &RoaringBitmap, pairs: impl Iterator<Item = (SymbolId, SymbolId)>) {
        self.all -= gone;
        for (name, value) in pairs {
            let Some(values) = self.names.get_mut(&name) else { continue };
            if values.values.get_mut(&value).is_some_and(|list| !list.remove_all(gone)) {
                values.values.remove(&value);
            }
            if values.values.is_empty() {
                self.names.remove(&name);
            }
        }
    }

    /// All series.
    pub(crate) fn all(&self) -> &RoaringBitmap {
        &self.all
    }

    /// The pairs of a name.
    pub(crate) fn name(&self, name: SymbolId) -> Option<&NamePostings> {
        self.names.get(&name)
    }

    /// All names with their pairs, in no order.
    pub(crate) fn names(&self) -> impl Iterator<Item = (SymbolId, &NamePostings)> {
        self.names.iter().map(|(name, values)| (*name, values))
    }

    /// Makes long lists as small as they get.
    pub(crate) fn optimize(&mut self) {
        self.all.optimize();
        for values in self.names.values_mut() {
            for list in values.values.values_mut() {
                if let List::Many(many) = list
                    && let Many::Bitmap(bitmap) = &mut **many
                {
                    bitmap.optimize();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ids(list: &List) -> Vec<u32> {
        let mut out = Vec::new();
        list.ids().append_to(&mut out);
        out
    }

    proptest! {
        #[test]
        fn a_list_is_the_set_of_what_was_put_in_and_not_taken_out(
            put in proptest::collection::btree_set(0u32..500, 1..200),
            take in proptest::collection::btree_set(0u32..500, 0..400),
        ) {
            let mut postings = HeadPostings::default();
            for &id in put.iter().rev() {
                postings.insert(id, [(1, 2)].into_iter());
            }
            let list = &postings.name(1).unwrap().values[&2];
            prop_assert_eq!(ids(list), put.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(list.ids().len(), put.len());
            postings.optimize();
            postings.remove(&take.iter().copied().collect(), [(1, 2)].into_iter());
            let left: BTreeSet<u32> = put.difference(&take).copied().collect();
            let found = postings.name(1).map(|values| ids(&values.values[&2])).unwrap_or_default();
            prop_assert_eq!(found, left.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(postings.all().iter().collect::<BTreeSet<_>>(), left);
        }
    }
}
