//! From the bytes of a series' labels in a request to the ref that the storage gave it.
//!
//! Keys are hashes of 128 bits with a secret seed, so that no copy of the labels is kept and nobody can make
//! two series collide. Entries live in two generations: what isn't asked for during a whole generation goes.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use model::metadata::MetricType;
use model::storage::SeriesRef;
use model::time::TimestampMs;
use parking_lot::Mutex;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

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

/// What is known of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) series: SeriesRef,
    /// The hash of the metadata that was stored last; 0 before any was.
    pub(super) metadata: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Cache {
    seed: u64,
    parts: Vec<Mutex<Part>>,
}

#[derive(Debug, Default)]
struct Part {
    young: HashMap<Key, Known, Identity>,
    old: HashMap<Key, Known, Identity>,
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
    pub(super) fn get(&self, key: Key) -> Option<Known> {
        let mut part = self.part(key).lock();
        if let Some(known) = part.young.get(&key) {
            return Some(*known);
        }
        let known = part.old.remove(&key)?;
        part.young.insert(key, known);
        Some(known)
    }

    /// The hash of metadata; never 0.
    pub(super) fn hash_metadata(&self, metric_type: MetricType, help: &str, unit: &str) -> u64 {
        let help = xxh3_64_with_seed(help.as_bytes(), self.seed);
        xxh3_64_with_seed(unit.as_bytes(), help ^ u64::from(metric_type.number())).max(1)
    }

    /// Notes the metadata that was stored of a series.
    pub(super) fn note_metadata(&self, key: Key, hash: u64) {
        if let Some(known) = self.part(key).lock().young.get_mut(&key) {
            known.metadata = hash;
        }
    }

    pub(super) fn insert(&self, key: Key, series: SeriesRef, now_ms: TimestampMs) {
        let mut part = self.part(key).lock();
        let is_full = part.young.len() >= GENERATION_LEN_MAX / PARTS;
        if is_full || now_ms - part.since_ms >= GENERATION_MS {
            part.old = std::mem::take(&mut part.young);
            part.since_ms = now_ms;
        }
        part.young.insert(key, Known { series, metadata: 0 });
    }

    /// Forgets a ref that the storage doesn't know any more.
    pub(super) fn remove(&self, key: Key, series: SeriesRef) {
        let mut part = self.part(key).lock();
        let Part { young, old, .. } = &mut *part;
        for generation in [young, old] {
            if let Entry::Occupied(entry) = generation.entry(key)
                && entry.get().series == series
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
