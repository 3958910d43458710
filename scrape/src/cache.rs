//! The memory of a target's lines: what each of them led to the last time.
//!
//! Targets expose the same lines in the same order. The cache is the list of those lines, each as a keyed
//! hash of its bytes and what it stands for; a scrape walks the exposition and the list side by side. While
//! both agree nothing is parsed but values, nothing is looked up, moved or allocated. Where they part, the
//! list is built anew from there on, with a table that finds lines at other places.
//!
//! ```text
//! exposition   a{x="1"} 5 │ a{x="2"} 7 │ b 1
//! slots        #a{x="1"}  │ #a{x="2"}  │ #b        # = 8-byte hash + length, 24 bytes in all
//!              → series 12│ → series 13│ → dropped
//! ```
//!
//! Given up: the lines themselves. Two lines of one target that are equal in length and in a hash under a
//! secret key would be taken for one; with a million lines that has a chance of 1 in 40 million.

use hashbrown::{HashMap, HashTable};
use model::storage::SeriesRef;
use std::num::NonZeroU64;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What a line stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineState {
    /// A sample of a series that the storage knows.
    Series(SeriesRef),
    /// A sample that relabelling drops.
    Dropped,
    /// A sample that the storage hasn't accepted: its labels are needed again.
    Unaccepted,
    /// A comment.
    Comment,
    /// Metadata of the family with this number; whether it is the type.
    Family(u32, bool),
}

/// A line of the current scrape, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineId(u32);

/// One line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    hash: u64,
    /// The series ref or the family's number.
    payload: u64,
    len: u32,
    kind: Kind,
    /// Whether the series ends when the line goes away, as of the scrapes with even and odd numbers.
    tracked: [bool; 2],
    /// Whether an earlier line of the scrape stands for the same series.
    repeated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Series,
    Dropped,
    Unaccepted,
    Comment,
    Family,
    FamilyType,
}

impl Slot {
    pub(crate) fn new(hash: u64, len: usize, state: LineState) -> Self {
        let mut slot = Slot {
            hash,
            payload: 0,
            len: len as u32,
            kind: Kind::Comment,
            tracked: [false; 2],
            repeated: false,
        };
        slot.set_state(state);
        slot
    }

    pub(crate) fn set_state(&mut self, state: LineState) {
        (self.kind, self.payload) = match state {
            LineState::Series(series) => (Kind::Series, series.0.get()),
            LineState::Dropped => (Kind::Dropped, 0),
            LineState::Unaccepted => (Kind::Unaccepted, 0),
            LineState::Comment => (Kind::Comment, 0),
            LineState::Family(id, false) => (Kind::Family, u64::from(id)),
            LineState::Family(id, true) => (Kind::FamilyType, u64::from(id)),
        };
    }

    #[inline]
    pub(crate) fn state(&self) -> LineState {
        match self.kind {
            Kind::Series => match NonZeroU64::new(self.payload) {
                Some(series) => LineState::Series(SeriesRef(series)),
                None => LineState::Unaccepted,
            },
            Kind::Dropped => LineState::Dropped,
            Kind::Unaccepted => LineState::Unaccepted,
            Kind::Comment => LineState::Comment,
            Kind::Family => LineState::Family(self.payload as u32, false),
            Kind::FamilyType => LineState::Family(self.payload as u32, true),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    pub(crate) fn is_repeated(&self) -> bool {
        self.repeated
    }

    fn series(&self) -> Option<SeriesRef> {
        match self.state() {
            LineState::Series(series) => Some(series),
            _ => None,
        }
    }
}

/// All lines of a target, in the order of its last scrape.
#[derive(Debug)]
pub(crate) struct LineCache {
    /// The key of the hash.
    seed: u64,
    slots: Vec<Slot>,
    /// The slot that the next line is expected to be.
    cursor: usize,
    /// Which of [`Slot::tracked`] is this scrape's.
    parity: usize,
    /// Set once the exposition has parted from the list.
    rebuild: Option<Box<Rebuild>>,
}

#[derive(Debug)]
struct Rebuild {
    fresh: Vec<Slot>,
    /// For each of the old slots whether it is among the fresh ones.
    taken: Vec<bool>,
    /// Old slots by hash.
    index: HashTable<u32>,
}

impl LineCache {
    pub(crate) fn new(seed: u64) -> Self {
        LineCache { seed, slots: Vec::new(), cursor: 0, parity: 0, rebuild: None }
    }

    #[inline]
    pub(crate) fn hash(&self, line: &[u8]) -> u64 {
        xxh3_64_with_seed(line, self.seed)
    }

    /// Begins a scrape.
    pub(crate) fn begin(&mut self) {
        self.cursor = 0;
        self.parity ^= 1;
        self.rebuild = None;
    }

    /// Begins a second pass over the body of the scrape that was just finished.
    pub(crate) fn begin_again(&mut self) {
        self.cursor = 0;
        self.rebuild = None;
    }

    /// The expected slot, if what follows in the exposition begins with its line.
    #[inline]
    pub(crate) fn expected_at(&self, rest: &[u8]) -> Option<Slot> {
        let slot = self.slots.get(self.cursor)?;
        let line = rest.get(..slot.len())?;
        if self.hash(line) != slot.hash || self.is_taken(self.cursor) {
            return None;
        }
        Some(*slot)
    }

    fn is_taken(&self, at: usize) -> bool {
        self.rebuild.as_ref().is_some_and(|rebuild| rebuild.taken[at])
    }

    /// Notes that the expected line was there.
    #[inline]
    pub(crate) fn advance(&mut self) -> LineId {
        let at = self.cursor;
        self.cursor += 1;
        let line = match &mut self.rebuild {
            None => at,
            Some(rebuild) => {
                rebuild.taken[at] = true;
                rebuild.fresh.push(self.slots[at]);
                rebuild.fresh.len() - 1
            }
        };
        LineId(line as u32)
    }

    /// Finds a line wherever it stood the last time, and notes that it was there.
    pub(crate) fn locate(&mut self, hash: u64, len: usize) -> Option<LineId> {
        let is_same = |slot: &Slot| slot.hash == hash && slot.len() == len;
        if self.slots.get(self.cursor).is_some_and(is_same) && !self.is_taken(self.cursor) {
            return Some(self.advance());
        }
        let slots = &self.slots;
        let rebuild = self.rebuild.get_or_insert_with(|| Box::new(Rebuild::new(slots, self.cursor)));
        let found =
            rebuild.index.find(hash, |at| is_same(&slots[*at as usize]) && !rebuild.taken[*at as usize]);
        self.cursor = *found? as usize;
        Some(self.advance())
    }

    /// Adds a line that wasn't there the last time; [`Self::locate`] has said so.
    pub(crate) fn insert(&mut self, slot: Slot) -> LineId {
        let slots = &self.slots;
        let rebuild = self.rebuild.get_or_insert_with(|| Box::new(Rebuild::new(slots, self.cursor)));
        rebuild.fresh.push(slot);
        LineId(rebuild.fresh.len() as u32 - 1)
    }

    /// A line of this scrape.
    #[inline]
    pub(crate) fn slot_mut(&mut self, line: LineId) -> &mut Slot {
        match &mut self.rebuild {
            None => &mut self.slots[line.0 as usize],
            Some(rebuild) => &mut rebuild.fresh[line.0 as usize],
        }
    }

    /// Says whether the line's series ends when the line goes away. To be said of each line with a series in
    /// each scrape.
    #[inline]
    pub(crate) fn track(&mut self, line: LineId, is_tracked: bool) {
        let parity = self.parity;
        self.slot_mut(line).tracked[parity] = is_tracked;
    }

    /// Ends a scrape that went well. Appends to `ended` the series that were tracked and have no line now.
    pub(crate) fn finish(&mut self, ended: &mut Vec<SeriesRef>) {
        let previous = self.parity ^ 1;
        let mut gone: HashMap<SeriesRef, bool> = HashMap::new();
        let mut note = |slot: &Slot| {
            if let Some(series) = slot.series() {
                *gone.entry(series).or_insert(false) |= slot.tracked[previous];
            }
        };
        match self.rebuild.take() {
            None => self.slots.drain(self.cursor..).for_each(|slot| note(&slot)),
            Some(rebuild) => {
                let left = self.slots.iter().zip(&rebuild.taken).filter(|(_, taken)| !**taken);
                left.for_each(|(slot, _)| note(slot));
                self.slots = rebuild.fresh;
                self.slots.shrink_to_fit();
            }
        }
        if gone.is_empty() {
            return;
        }
        // A series may live on under another line, which then is its first one.
        for slot in &mut self.slots {
            if let Some(series) = slot.series()
                && gone.remove(&series).is_some()
            {
                slot.repeated = false;
            }
        }
        ended.extend(gone.into_iter().filter(|(_, is_tracked)| *is_tracked).map(|(series, _)| series));
    }

    /// Ends a scrape that failed: the list stays as it was. Appends to `ended` all series that were tracked.
    pub(crate) fn abort(&mut self, ended: &mut Vec<SeriesRef>) {
        let previous = self.parity ^ 1;
        self.rebuild = None;
        let tracked = self.slots.iter().filter(|slot| slot.tracked[previous]);
        let before = ended.len();
        ended.extend(tracked.filter_map(Slot::series));
        ended[before..].sort_unstable();
        ended.dedup();
        for slot in &mut self.slots {
            slot.tracked = [false; 2];
        }
    }

    /// The series that are tracked since the last scrape.
    pub(crate) fn tracked(&self) -> Vec<SeriesRef> {
        let tracked = self.slots.iter().filter(|slot| slot.tracked[self.parity]);
        let mut series: Vec<SeriesRef> = tracked.filter_map(Slot::series).collect();
        series.sort_unstable();
        series.dedup();
        series
    }

    /// Marks lines whose series is also that of an earlier line, where one of `new` is concerned; says how
    /// many there are.
    pub(crate) fn mark_repeated(&mut self, new: impl Iterator<Item = SeriesRef>) -> usize {
        let mut seen: HashMap<SeriesRef, bool> = new.map(|series| (series, false)).collect();
        let mut repeated = 0;
        for slot in &mut self.slots {
            if let Some(was_seen) = slot.series().and_then(|series| seen.get_mut(&series)) {
                slot.repeated = *was_seen;
                repeated += usize::from(*was_seen);
                *was_seen = true;
            }
        }
        repeated
    }

    /// Forgets a series that the storage has forgotten: its lines need their labels again.
    pub(crate) fn forget(&mut self, unknown: &hashbrown::HashSet<SeriesRef>) {
        for slot in &mut self.slots {
            if slot.series().is_some_and(|series| unknown.contains(&series)) {
                slot.set_state(LineState::Unaccepted);
            }
        }
    }
}

impl Rebuild {
    /// Takes over the first `agreed` slots, which the exposition has confirmed.
    fn new(slots: &[Slot], agreed: usize) -> Self {
        let mut taken = vec![false; slots.len()];
        taken[..agreed].fill(true);
        let mut index = HashTable::with_capacity(slots.len() - agreed);
        for at in agreed..slots.len() {
            index.insert_unique(slots[at].hash, at as u32, |other| slots[*other as usize].hash);
        }
        let mut fresh = Vec::with_capacity(slots.len() + 1);
        fresh.extend_from_slice(&slots[..agreed]);
        Rebuild { fresh, taken, index }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn series(n: u64) -> SeriesRef {
        SeriesRef(NonZeroU64::new(n + 1).unwrap())
    }

    /// Feeds lines to a cache, each a name with its series; returns the series that ended.
    fn scrape(cache: &mut LineCache, lines: &[(String, u64)], fails: bool) -> BTreeSet<u64> {
        cache.begin();
        for (name, id) in lines {
            let line = match cache.expected_at(format!("{name} 1").as_bytes()) {
                Some(slot) if slot.len() == name.len() => cache.advance(),
                _ => {
                    let hash = cache.hash(name.as_bytes());
                    match cache.locate(hash, name.len()) {
                        Some(line) => line,
                        None => cache.insert(Slot::new(hash, name.len(), LineState::Unaccepted)),
                    }
                }
            };
            cache.slot_mut(line).set_state(LineState::Series(series(*id)));
            cache.track(line, true);
        }
        let mut ended = Vec::new();
        if fails {
            cache.abort(&mut ended)
        } else {
            cache.finish(&mut ended)
        }
        let ended: Vec<u64> = ended.into_iter().map(|s| s.0.get() - 1).collect();
        assert_eq!(ended.iter().collect::<BTreeSet<_>>().len(), ended.len(), "no series ends twice");
        ended.into_iter().collect()
    }

    #[test]
    fn a_slot_is_small() {
        assert_eq!(size_of::<Slot>(), 24);
    }

    #[test]
    fn the_second_line_of_a_series_is_repeated_until_the_first_goes() {
        let mut cache = LineCache::new(7);
        let lines: Vec<_> =
            ["a", "b", "c"].into_iter().zip([1, 2, 1]).map(|(n, s)| (n.to_owned(), s)).collect();
        scrape(&mut cache, &lines, false);
        assert_eq!(cache.mark_repeated([series(1), series(2)].into_iter()), 1);
        assert_eq!(cache.slots.iter().map(Slot::is_repeated).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(scrape(&mut cache, &lines[1..], false), BTreeSet::new());
        assert_eq!(cache.slots.iter().map(Slot::is_repeated).collect::<Vec<_>>(), [false, false]);
    }

    proptest! {
        /// The model is a set: series of the last scrape that aren't in this one have ended.
        #[test]
        fn series_end_as_in_a_set(
            scrapes in proptest::collection::vec(
                (proptest::collection::vec(0u64..12, 0..14), proptest::bool::weighted(0.2)), 1..12),
        ) {
            let mut cache = LineCache::new(1);
            let mut previous: BTreeSet<u64> = BTreeSet::new();
            for (ids, fails) in scrapes {
                // Two names lead to one series, so that lines and series differ.
                let lines: Vec<_> = ids.iter().map(|id| (format!("line{id}"), id / 2)).collect();
                let current: BTreeSet<u64> = lines.iter().map(|(_, id)| *id).collect();
                let ended = scrape(&mut cache, &lines, fails);
                if fails {
                    prop_assert_eq!(&ended, &previous);
                    previous.clear();
                } else {
                    prop_assert_eq!(&ended, &previous.difference(&current).copied().collect());
                    let expected: BTreeMap<_, _> = lines.iter().cloned().collect();
                    prop_assert_eq!(cache.slots.len(), lines.len());
                    prop_assert!(expected.len() <= lines.len());
                    previous = current;
                }
                let tracked: BTreeSet<u64> = cache.tracked().into_iter().map(|s| s.0.get() - 1).collect();
                prop_assert_eq!(&tracked, &previous);
            }
        }
    }
}
