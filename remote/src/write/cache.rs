//! From the bytes of a series' labels in a request to the ref that the storage gave it.
//!
//! Keys are hashes of 128 bits with a secret seed, so that no copy of the labels is kept and nobody can make
//! two series collide. Entries live in two generations: what isn't asked for during a whole generation goes.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use model::storage::SeriesRef;
use model::time::TimestampMs;
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The least age of a generation when it is followed by the next. Senders repeat a series every few minutes
/// at most.
const GENERATION_MS: i64 = 10 * 60_000;
/// The most entries of a generation: at about 40 bytes each they take 160 MiB.
const GENERATION_LEN_MAX: usize = 4 << 20;
/// Parts with a lock each, so that requests don't wait for each other.
const PARTS: usize = 16;

/// The hash of a series' labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(u128);

/// See the module.
#[derive(Debug)]
pub(super) struct Cache {
    seed: u64,
    parts: Vec<Mutex<Part>>,
}

#[derive(Debug, Default)]
struct Part {
    young: HashMap<Key, SeriesRef, Identity>,
    old: HashMap<Key, SeriesRef, Identity>,
    since_ms: TimestampMs,
}

impl Cache {
    pub(super) fn new() -> Self {
        // The standard library's hasher is seeded at random.
        let seed = RandomState::new().hash_one(0);
        Cache { seed, parts: (0..PARTS).map(|_| Mutex::default()).collect() }
    }

    pub(super) fn key(&self, labels: &[u8]) -> Key {
        Key(xxh3_128_with_seed(labels, self.seed))
    }

    fn part(&self, key: Key) -> &Mutex<Part> {
        &self.parts[(key.0 >> 64) as usize % PARTS]
    }

    #[inline]
    pub(super) fn get(&self, key: Key) -> Option<SeriesRef> {
        let mut part = self.part(key).lock();
        if let Some(series) = part.young.get(&key) {
            return Some(*series);
        }
        let series = part.old.remove(&key)?;
        part.young.insert(key, series);
        Some(series)
    }

    pub(super) fn insert(&self, key: Key, series: SeriesRef, now_ms: TimestampMs) {
        let mut part = self.part(key).lock();
        let is_full = part.young.len() >= GENERATION_LEN_MAX / PARTS;
        if is_full || now_ms - part.since_ms >= GENERATION_MS {
            part.old = std::mem::take(&mut part.young);
            part.since_ms = now_ms;
        }
        part.young.insert(key, series);
    }

    /// Forgets a ref that the storage doesn't know any more.
    pub(super) fn remove(&self, key: Key, series: SeriesRef) {
        let mut part = self.part(key).lock();
        let Part { young, old, .. } = &mut *part;
        for generation in [young, old] {
            if let Entry::Occupied(entry) = generation.entry(key)
                && *entry.get() == series
            {
                entry.remove();
            }
        }
    }
}

/// Keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct Identity;

impl BuildHasher for Identity {
    type Hasher = IdentityHasher;

    fn build_hasher(&self) -> IdentityHasher {
        IdentityHasher(0)
    }
}

struct IdentityHasher(u64);

impl std::hash::Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}
