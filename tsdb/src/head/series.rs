//! What the head keeps for each series: one cache line, and a node for each full chunk.

use model::time::TimestampMs;

use super::buffers::Place;
use crate::chunk::xor;
use crate::head_chunks::Location;

/// What a series' newest sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// There is no sample yet.
    None,
    /// A float.
    Float,
    /// A histogram of integer or float counts.
    Histogram,
}

/// The hot record of a series: all that an append of a float touches beside the end of the chunk's buffer.
///
/// The state of the open float chunk holds the newest float, which instant queries read without decoding. It
/// stays after the chunk was sealed.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Record {
    /// Of the open float chunk; its last sample is the series' newest: of a histogram its time and sum.
    pub(crate) xor: xor::AppendState,
    /// Time of the open chunk's first sample.
    pub(crate) chunk_min_t: TimestampMs,
    /// A sample at or after this time begins a new chunk.
    pub(crate) next_cut_t: TimestampMs,
    /// Buffer of the open float chunk; [`Place::NONE`] if none is open.
    pub(crate) place: Place,
    /// The newest full chunk, [`SealedChunks::NONE`] if there is none.
    pub(crate) sealed: u32,
    /// Index of the open histogram chunk in its slab, [`Record::NO_HISTOGRAM`] if none is open.
    pub(crate) histogram: u32,
    /// Which of the series that had this id one after the other this is; never 0.
    pub(crate) generation: u16,
    /// Of the newest sample.
    pub(crate) kind: Kind,
    /// Bits of [`Record::LOGGED`] and so on.
    pub(crate) flags: u8,
}

impl Record {
    /// No open histogram chunk.
    pub(crate) const NO_HISTOGRAM: u32 = u32::MAX;
    /// There is a series.
    pub(crate) const LIVE: u8 = 1;
    /// The log or a checkpoint has the series' labels.
    pub(crate) const LOGGED: u8 = 2;
    /// The end of the open histogram chunk was predicted.
    pub(crate) const PREDICTED: u8 = 4;
    /// The newest sample is a staleness marker.
    pub(crate) const STALE: u8 = 8;

    /// A place without a series.
    pub(crate) const fn vacant() -> Self {
        Record {
            xor: xor::AppendState::new(),
            chunk_min_t: 0,
            next_cut_t: 0,
            place: Place::NONE,
            sealed: SealedChunks::NONE,
            histogram: Record::NO_HISTOGRAM,
            generation: 0,
            kind: Kind::None,
            flags: 0,
        }
    }

    #[inline]
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn set(&mut self, flag: u8, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }

    /// Whether a chunk is open.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        !self.place.is_none() || self.histogram != Record::NO_HISTOGRAM
    }

    /// Makes the place that of a new series.
    pub(crate) fn occupy(&mut self, generation: u16) {
        *self = Record { generation, flags: Record::LIVE, ..Record::vacant() };
    }

    /// The generation of the next series at this place.
    pub(crate) fn next_generation(&self) -> u16 {
        self.generation.checked_add(1).unwrap_or(1)
    }
}

/// A full chunk of a series: its place, its beginning, and the one before it. It ends before the next one
/// begins; where exactly is in the chunk.
///
/// ```text
/// location 48 bits │ min time 48 bits │ previous 32 bits
/// ```
#[derive(Clone, Copy, Debug)]
struct Node {
    location: [u16; 3],
    min_t: [u16; 3],
    previous: u32,
}

/// Times outside ±2⁴⁷ ms, 4459 years, are held as the nearest within; the lowest one means "any time before".
const MIN_T_MAX: i64 = (1 << 47) - 1;
const MIN_T_MIN: i64 = -(1 << 47);

fn pack(bits: u64) -> [u16; 3] {
    [bits as u16, (bits >> 16) as u16, (bits >> 32) as u16]
}

fn unpack(words: [u16; 3]) -> u64 {
    u64::from(words[0]) | u64::from(words[1]) << 16 | u64::from(words[2]) << 32
}

impl Node {
    fn new(location: Location, min_t: TimestampMs, previous: u32) -> Self {
        let min_t = min_t.clamp(MIN_T_MIN, MIN_T_MAX) as u64 & ((1 << 48) - 1);
        Node { location: pack(location.to_bits()), min_t: pack(min_t), previous }
    }

    fn location(&self) -> Location {
        Location::from_bits(unpack(self.location))
    }

    fn min_t(&self) -> TimestampMs {
        match (unpack(self.min_t) << 16) as i64 >> 16 {
            MIN_T_MIN => i64::MIN,
            time => time,
        }
    }
}

/// A full chunk of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// Where it is.
    pub(crate) location: Location,
    /// Time of its first sample.
    pub(crate) min_t: TimestampMs,
}

/// The full chunks of all series of a shard: singly linked lists, newest first, 16 bytes a chunk.
#[derive(Debug, Default)]
pub(crate) struct SealedChunks {
    nodes: Vec<Node>,
    free: Vec<u32>,
}

impl SealedChunks {
    /// The end of a list.
    pub(crate) const NONE: u32 = u32::MAX;

    /// Puts a chunk before a list; returns the new list.
    pub(crate) fn push(&mut self, list: u32, sealed: Sealed) -> u32 {
        let node = Node::new(sealed.location, sealed.min_t, list);
        match self.free.pop() {
            Some(at) => {
                self.nodes[at as usize] = node;
                at
            }
            None => {
                if self.nodes.len() == self.nodes.capacity() {
                    // A quarter more, not double: these are megabytes.
                    self.nodes.reserve_exact(self.nodes.len() / 4 + 64);
                }
                self.nodes.push(node);
                self.nodes.len() as u32 - 1
            }
        }
    }

    /// The chunks of a list, newest first.
    pub(crate) fn iter(&self, list: u32) -> impl Iterator<Item = Sealed> + '_ {
        let mut at = list;
        std::iter::from_fn(move || {
            let node = self.nodes.get(at as usize)?;
            at = node.previous;
            Some(Sealed { location: node.location(), min_t: node.min_t() })
        })
    }

    /// Bytes of the nodes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>() + self.free.capacity() * size_of::<u32>()
    }

    /// Number of chunks in all lists.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Cuts off the chunks without a sample at or after `mint`: those for which `ends_before(min time of the
    /// chunk, min time of the next one)` says so, where `next` is the beginning of what follows the list.
    /// Returns the new list and calls `dropped` for each.
    pub(crate) fn truncate(
        &mut self,
        list: u32,
        next: TimestampMs,
        ends_before: impl Fn(TimestampMs, TimestampMs) -> bool,
        mut dropped: impl FnMut(Location),
    ) -> u32 {
        let (mut at, mut next) = (list, next);
        let mut last_kept = None;
        while at != Self::NONE {
            let node = &self.nodes[at as usize];
            if ends_before(node.min_t(), next) {
                break;
            }
            last_kept = Some(at);
            next = node.min_t();
            at = node.previous;
        }
        if let Some(kept) = last_kept {
            self.nodes[kept as usize].previous = Self::NONE;
        }
        let gone = at;
        while at != Self::NONE {
            dropped(self.nodes[at as usize].location());
            self.free.push(at);
            at = self.nodes[at as usize].previous;
        }
        if gone == list { Self::NONE } else { list }
    }
}

/// An append state whose newest sample is this one, for a series without an open chunk.
pub(crate) fn state_of(newest: (TimestampMs, f64)) -> xor::AppendState {
    let mut state = xor::AppendState::new();
    xor::append(&mut state, &mut [0; xor::HEADER_BYTES + xor::SAMPLE_BYTES_MAX], newest.0, newest.1);
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_cache_line_and_a_node_sixteen_bytes() {
        assert_eq!(size_of::<Record>(), 64);
        assert_eq!(size_of::<Node>(), 16);
    }

    #[test]
    fn truncation_drops_the_chunks_that_end_before_the_time() {
        let mut chunks = SealedChunks::default();
        let mut list = SealedChunks::NONE;
        for i in 0..5 {
            list = chunks.push(list, Sealed { location: Location::from_bits(i), min_t: 10 * i as i64 });
        }
        let mut dropped = Vec::new();
        list = chunks.truncate(list, 50, |_, next| next <= 20, |location| dropped.push(location.to_bits()));
        assert_eq!(dropped, [1, 0]);
        assert_eq!(chunks.iter(list).map(|sealed| sealed.min_t).collect::<Vec<_>>(), [40, 30, 20]);
        list = chunks.truncate(list, 50, |min_t, _| min_t < 50, |_| {});
        assert_eq!((list, chunks.len()), (SealedChunks::NONE, 0));
    }

    #[test]
    fn times_beyond_the_ages_stay_on_their_side() {
        for (time, held) in [(-5, -5), (i64::MIN, i64::MIN), (i64::MAX, MIN_T_MAX), (1 << 46, 1 << 46)] {
            assert_eq!(Node::new(Location::from_bits(1), time, 0).min_t(), held);
        }
    }
}
