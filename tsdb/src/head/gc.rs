//! Dropping what is in blocks.

use model::time::TimestampMs;
use roaring::RoaringBitmap;

use super::Head;
use super::series::{Record, SealedChunks};
use super::shard::{SHARDS, Shard};

impl Head {
    /// Drops the chunks without a sample at or after `mint`, and the series that have none left. Whoever
    /// reads such chunks already goes on reading them.
    pub(crate) fn truncate(&self, mint: TimestampMs) {
        self.metrics.truncations.inc();
        self.bounds.truncate(mint);
        let mut empty = RoaringBitmap::new();
        let end = self.index.read().id_end();
        for number in 0..SHARDS {
            let mut shard = self.shards[number].lock();
            for id in ids_of_shard(number, end) {
                if !shard.record(id).has(Record::LIVE) {
                    continue;
                }
                match self.truncate_series(&mut shard, id, mint) {
                    Some(_) => {}
                    None => drop(empty.insert(id)),
                }
            }
        }
        {
            let _gate = self.gate.write();
            self.collect_garbage(&empty);
        }
        if self.index.read().len() == 0 {
            self.bounds.set_empty();
        }
        if let Err(error) = self.chunks.remove_unused() {
            tracing::warn!(%error, "old head chunk files can't be removed");
        }
    }

    /// Returns the beginning of the oldest chunk left; `i64::MAX` if there are only samples out of order.
    fn truncate_series(&self, shard: &mut Shard, id: u32, mint: TimestampMs) -> Option<TimestampMs> {
        let record = *shard.record(id);
        let newest = record.xor.last_timestamp();
        let open = record.is_open();
        let next = if open { record.chunk_min_t } else { newest.saturating_add(1) };
        let aligned = self.bounds.chunks_aligned();
        let ends_before =
            |min_t, next| next <= mint || (aligned && min_t < mint && self.rules.range_end(min_t) <= mint);
        let list =
            shard.sealed.truncate(record.sealed, next, ends_before, |location| self.chunks.release(location));
        shard.record_mut(id).sealed = list;
        if open && newest < mint {
            shard.drop_open(id);
        }
        let oldest = shard.sealed.iter(list).last().map(|sealed| sealed.min_t);
        let oldest = oldest.or_else(|| (open && newest >= mint).then_some(record.chunk_min_t));
        oldest.or_else(|| shard.late.contains_key(&id).then_some(i64::MAX))
    }

    /// Removes series that still have no chunk. Whoever calls holds the gate, so that nothing is appended.
    pub(super) fn collect_garbage(&self, empty: &RoaringBitmap) {
        let mut index = self.index.write();
        let gone = empty.iter().filter(|&id| {
            let shard = self.shards[super::shard::shard_of(id)].lock();
            !shard.has_chunks(id)
        });
        let gone: RoaringBitmap = gone.collect();
        self.remove_series(&mut index, &gone);
    }
}

/// The ids below `end` that a shard has.
pub(crate) fn ids_of_shard(number: usize, end: u32) -> impl Iterator<Item = u32> {
    let page = super::shard::PAGE_SERIES as u32;
    let first_pages = (number as u32 * page..end).step_by(page as usize * SHARDS);
    first_pages.flat_map(move |first| first..end.min(first + page))
}

impl Shard {
    /// Whether a series has a chunk.
    pub(crate) fn has_chunks(&self, id: u32) -> bool {
        let record = self.record(id);
        record.is_open() || record.sealed != SealedChunks::NONE || self.late.contains_key(&id)
    }
}
