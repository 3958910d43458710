//! Deleting from the head, and handing over what came out of order.

use std::sync::Arc;

use hashbrown::HashMap;
use model::cancel::Cancel;
use model::matcher::Matcher;
use model::storage::StorageError;
use model::time::TimestampMs;
use roaring::RoaringBitmap;

use super::Head;
use super::out_of_order::LateChunk;
use super::series::{Kind, Record};
use super::shard::shard_of;
use crate::block::tombstones::Interval;
use crate::select::postings_for_matchers;
use crate::wal::record::{SectionKind, put_section, put_tombstones};

impl Head {
    /// Marks samples in `[mint, maxt]` as deleted: those that are there, not those to come.
    pub(crate) fn delete(
        &self,
        matchers: &[Matcher],
        mint: TimestampMs,
        maxt: TimestampMs,
        cancel: &Cancel,
    ) -> Result<(), StorageError> {
        // Nothing is appended and no series goes until the tombstones are there.
        let _gate = self.gate.write();
        let ids = postings_for_matchers(&*self.index.read(), matchers, cancel)?;
        let mut deleted = Vec::new();
        for id in ids {
            let shard = self.shards[shard_of(id)].lock();
            let record = shard.record(id);
            let newest = match record.kind {
                Kind::None => i64::MIN,
                _ => record.xor.last_timestamp(),
            };
            let late = shard.late.get(&id).and_then(|late| late.max_t()).unwrap_or(i64::MIN);
            let interval = Interval { mint, maxt: maxt.min(newest.max(late)) };
            if record.has(Record::LIVE) && interval.mint <= interval.maxt {
                deleted.push((id, interval));
            }
        }
        if deleted.is_empty() {
            return Ok(());
        }
        let mut record = Vec::new();
        put_section(&mut record, SectionKind::Tombstones, 0, |out| put_tombstones(out, &deleted));
        self.wal.append(&record)?;
        self.add_tombstones(&deleted);
        Ok(())
    }

    /// Makes chunks of all samples that came out of order; returns them by series.
    pub(crate) fn seal_late(&self) -> HashMap<u32, Vec<LateChunk>> {
        let mut all = HashMap::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
            for (id, late) in &mut shard.late {
                let late = Arc::make_mut(late);
                late.seal(&self.chunks);
                all.insert(*id, late.sealed.clone());
            }
        }
        all
    }

    /// Drops chunks of samples that came out of order, and the series that have nothing else.
    pub(crate) fn drop_late(&self, gone: &HashMap<u32, Vec<LateChunk>>) {
        let mut empty = RoaringBitmap::new();
        for (id, chunks) in gone {
            let mut shard = self.shards[shard_of(*id)].lock();
            let Some(late) = shard.late.get_mut(id) else { continue };
            let late = Arc::make_mut(late);
            late.sealed.retain(|chunk| !chunks.contains(chunk));
            chunks.iter().for_each(|chunk| self.chunks.release(chunk.location));
            if late.is_empty() {
                shard.late.remove(id);
                if !shard.has_chunks(*id) {
                    empty.insert(*id);
                }
            }
        }
        let _gate = self.gate.write();
        let oldest = self.shards.iter().filter_map(|shard| {
            let shard = shard.lock();
            shard.late.values().filter_map(|late| late.min_t()).min()
        });
        self.bounds.set_late_min_t(oldest.min());
        self.collect_garbage(&empty);
    }
}
