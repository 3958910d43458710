//! Buffers of open chunks, in size classes without holes.
//!
//! Chunks that begin together grow together, and so would leave every smaller class behind as holes. Here a
//! class has none: when a buffer is given back, the last buffer of its class moves into its place, and its
//! owner is told the new place. A buffer moves when it outgrows its class, a dozen times in the life of a
//! chunk, so that the copying costs less than a nanosecond a sample.
//!
//! ```text
//! class 3 (64 B):   page 0 │ buffer │ buffer │ …      page 1 │ buffer │ (free)
//!                   owners │ id     │ id     │ …             │ id     │
//! place: u32 = class in the upper 6 bits, index within the class in the lower 26
//! ```

/// Sizes of the classes in bytes. Close together at first, where nearly all chunks are; the last one holds
/// any float chunk that isn't cut yet ([`CHUNK_BYTES_MAX`]) and a sample.
const CLASSES: [usize; 24] = [
    32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 192, 224, 256, 288, 320, 384, 448, 512, 608, 704, 832,
    960, 1088,
];
/// Most bytes of a page: small enough that a half-filled page in each class and shard costs nothing that
/// counts, large enough that pages are few.
const PAGE_BYTES: usize = 16 << 10;
/// For each class how many buffers a page has, as a power of two: finding a buffer takes no division.
const PAGE_SHIFTS: [u32; CLASSES.len()] = {
    let mut shifts = [0; CLASSES.len()];
    let mut class = 0;
    while class < CLASSES.len() {
        shifts[class] = (PAGE_BYTES / CLASSES[class]).ilog2();
        class += 1;
    }
    shifts
};
/// Float chunks are cut before they outgrow this (Prometheus's limit for XOR chunks).
pub(crate) const CHUNK_BYTES_MAX: usize = 1024;

const INDEX_BITS: u32 = 26;

/// Where a buffer is. Changes when the buffer moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u32);

impl Place {
    /// No buffer.
    pub(crate) const NONE: Place = Place(u32::MAX);

    fn new(class: usize, index: usize) -> Self {
        debug_assert!(index < 1 << INDEX_BITS);
        Place((class as u32) << INDEX_BITS | index as u32)
    }

    #[inline]
    fn class(self) -> usize {
        (self.0 >> INDEX_BITS) as usize
    }

    #[inline]
    fn index(self) -> usize {
        (self.0 & ((1 << INDEX_BITS) - 1)) as usize
    }

    #[inline]
    pub(crate) fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// A buffer that moved: its owner has to note the new place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) owner: u32,
    pub(crate) to: Place,
}

#[derive(Debug)]
struct Class {
    size: usize,
    page_shift: u32,
    pages: Vec<Box<[u8]>>,
    owners: Vec<u32>,
}

impl Class {
    fn new(class: usize) -> Self {
        let (size, page_shift) = (CLASSES[class], PAGE_SHIFTS[class]);
        Class { size, page_shift, pages: Vec::new(), owners: Vec::new() }
    }

    /// Page and offset in the page of a buffer.
    #[inline]
    fn position(&self, index: usize) -> (usize, usize) {
        (index >> self.page_shift, (index & ((1 << self.page_shift) - 1)) * self.size)
    }

    #[inline]
    fn get(&self, index: usize) -> &[u8] {
        let (page, at) = self.position(index);
        &self.pages[page][at..at + self.size]
    }

    #[inline]
    fn get_mut(&mut self, index: usize) -> &mut [u8] {
        let (page, at) = self.position(index);
        &mut self.pages[page][at..at + self.size]
    }

    fn push(&mut self, owner: u32) -> usize {
        let index = self.owners.len();
        if self.position(index).0 == self.pages.len() {
            self.pages.push(vec![0; self.size << self.page_shift].into_boxed_slice());
        }
        self.owners.push(owner);
        index
    }

    /// Removes a buffer; the last one takes its place.
    fn swap_remove(&mut self, index: usize) -> Option<u32> {
        let last = self.owners.len() - 1;
        if index != last {
            let ((from_page, from), (to_page, to)) = (self.position(last), self.position(index));
            if from_page == to_page {
                self.pages[from_page].copy_within(from..from + self.size, to);
            } else {
                let (low, high) = self.pages.split_at_mut(from_page);
                low[to_page][to..to + self.size].copy_from_slice(&high[0][from..from + self.size]);
            }
        }
        self.owners.swap_remove(index);
        // One page stays in hand, or a chunk at the edge would allocate and free it all the time.
        self.pages.truncate((last >> self.page_shift) + 2);
        (index != last).then(|| self.owners[index])
    }
}

/// The buffers of one shard.
#[derive(Debug)]
pub(crate) struct Buffers {
    classes: [Class; CLASSES.len()],
}

impl Buffers {
    pub(crate) fn new() -> Self {
        Buffers { classes: std::array::from_fn(Class::new) }
    }

    /// Bytes of all pages and of the lists of their owners.
    pub(crate) fn heap_bytes(&self) -> usize {
        let of_class = |class: &Class| {
            class.pages.len() * (class.size << class.page_shift) + class.owners.capacity() * size_of::<u32>()
        };
        self.classes.iter().map(of_class).sum()
    }

    /// A zeroed buffer of at least `len` bytes.
    ///
    /// # Panics
    ///
    /// If `len` is above the largest class.
    pub(crate) fn allocate(&mut self, owner: u32, len: usize) -> Place {
        let class = CLASSES.partition_point(|&size| size < len);
        let index = self.classes[class].push(owner);
        self.classes[class].get_mut(index).fill(0);
        Place::new(class, index)
    }

    /// Gives a buffer back.
    pub(crate) fn free(&mut self, place: Place) -> Option<Moved> {
        let owner = self.classes[place.class()].swap_remove(place.index())?;
        Some(Moved { owner, to: place })
    }

    /// Moves the content into a larger buffer, with room for at least `len` bytes; zeroes follow it.
    pub(crate) fn grow(&mut self, place: Place, len: usize) -> (Place, Option<Moved>) {
        let owner = self.classes[place.class()].owners[place.index()];
        let new = self.allocate(owner, len);
        let (low, high) = self.classes.split_at_mut(new.class());
        let from = low[place.class()].get(place.index());
        high[0].get_mut(new.index())[..from.len()].copy_from_slice(from);
        (new, self.free(place))
    }

    #[inline]
    pub(crate) fn get(&self, place: Place) -> &[u8] {
        self.classes[place.class()].get(place.index())
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, place: Place) -> &mut [u8] {
        self.classes[place.class()].get_mut(place.index())
    }

    /// Size of a buffer.
    #[inline]
    pub(crate) fn capacity(place: Place) -> usize {
        CLASSES[place.class()]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn buffers_keep_their_content_while_others_come_grow_and_go(
            steps in proptest::collection::vec((0u32..40, 0usize..600), 1..400),
        ) {
            let mut buffers = Buffers::new();
            let mut places: BTreeMap<u32, (Place, usize)> = BTreeMap::new();
            for (owner, len) in steps {
                let moved = match places.get(&owner).copied() {
                    None => {
                        let place = buffers.allocate(owner, len);
                        prop_assert!(buffers.get(place).iter().all(|byte| *byte == 0));
                        buffers.get_mut(place)[..len].fill(owner as u8);
                        places.insert(owner, (place, len));
                        None
                    }
                    Some((place, old)) if Buffers::capacity(place) < len => {
                        let (place, moved) = buffers.grow(place, len);
                        buffers.get_mut(place)[old..len].fill(owner as u8);
                        places.insert(owner, (place, len));
                        moved
                    }
                    Some((place, _)) => {
                        places.remove(&owner);
                        buffers.free(place)
                    }
                };
                if let Some(Moved { owner, to }) = moved {
                    places.get_mut(&owner).unwrap().0 = to;
                }
                for (owner, (place, len)) in &places {
                    prop_assert!(buffers.get(*place)[..*len].iter().all(|byte| *byte == *owner as u8));
                }
            }
        }
    }
}
