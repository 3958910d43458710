//! Which blocks are to be removed: those that compaction replaced, those that are empty, those that are too
//! old, and the oldest of those that take too much room.
//!
//! Prometheus 3.14 is the model (`deletableBlocks` of tsdb/db.go).

use std::collections::BTreeSet;

use ulid::Ulid;

use crate::block::meta::BlockMeta;

/// What is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Retention {
    /// Blocks that end this long before the newest one does, in ms, are removed; 0: never.
    pub time_ms: i64,
    /// The oldest blocks go when everything together is larger than this many bytes; 0: never.
    pub size_bytes: u64,
    /// Likewise, as a share of the file system in percent; overrides `size_bytes`; 0: never.
    pub percentage: f64,
}

impl Retention {
    /// The limit of size on a file system of this many bytes; 0: none.
    pub fn size_limit_bytes(&self, file_system_bytes: u64) -> u64 {
        if self.percentage > 0.0 {
            (file_system_bytes as f64 * self.percentage / 100.0) as u64
        } else {
            self.size_bytes
        }
    }
}

/// A block, as far as retention cares.
#[derive(Clone, Copy, Debug)]
pub struct StoredBlock<'m> {
    /// What is known of it.
    pub meta: &'m BlockMeta,
    /// Bytes of its files.
    pub size_bytes: u64,
}

/// Blocks to be removed, each in the first list that names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Replaced by a compaction, or empty.
    pub replaced: BTreeSet<Ulid>,
    /// Too old.
    pub by_time: BTreeSet<Ulid>,
    /// In excess of the size.
    pub by_size: BTreeSet<Ulid>,
}

impl Expired {
    /// All of them.
    pub fn all(&self) -> BTreeSet<Ulid> {
        self.replaced.iter().chain(&self.by_time).chain(&self.by_size).copied().collect()
    }
}

/// The blocks to be removed. `other_bytes` is the size of everything that isn't a block: log and head chunks.
/// `replaced` may name parents that aren't among the blocks, such as damaged ones.
pub fn expired(
    blocks: &[StoredBlock<'_>],
    retention: &Retention,
    other_bytes: u64,
    file_system_bytes: u64,
) -> Expired {
    let mut expired = Expired::default();
    for block in blocks {
        let compaction = &block.meta.compaction;
        expired.replaced.extend(compaction.parents.iter().map(|parent| parent.ulid));
        if compaction.deletable {
            expired.replaced.insert(block.meta.ulid);
        }
    }
    let mut newest_first: Vec<&StoredBlock<'_>> =
        blocks.iter().filter(|block| !expired.replaced.contains(&block.meta.ulid)).collect();
    newest_first.sort_by_key(|block| std::cmp::Reverse(block.meta.max_time));
    let newest_end = newest_first.first().map_or(0, |block| block.meta.max_time);
    let size_limit = retention.size_limit_bytes(file_system_bytes);
    let mut size_bytes = other_bytes;
    for block in newest_first {
        size_bytes += block.size_bytes;
        let age_ms = newest_end.saturating_sub(block.meta.max_time);
        if retention.time_ms > 0 && age_ms >= retention.time_ms {
            expired.by_time.insert(block.meta.ulid);
        } else if size_limit > 0 && size_bytes > size_limit {
            // Sizes only add up, so every older block is in excess as well.
            expired.by_size.insert(block.meta.ulid);
        }
    }
    expired
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of 10 ms and 100 bytes, oldest first.
    fn metas(count: u64) -> Vec<BlockMeta> {
        (0..count)
            .map(|n| BlockMeta::new(Ulid::from_parts(n, 0), 10 * n as i64, 10 * n as i64 + 10))
            .collect()
    }

    fn times(ulids: &BTreeSet<Ulid>) -> Vec<u64> {
        ulids.iter().map(|ulid| ulid.timestamp_ms()).collect()
    }

    fn stored(metas: &[BlockMeta]) -> Vec<StoredBlock<'_>> {
        metas.iter().map(|meta| StoredBlock { meta, size_bytes: 100 }).collect()
    }

    #[test]
    fn blocks_expire_by_time_and_size() {
        let metas = metas(5);
        let none: &[u64] = &[];
        for (time_ms, size_bytes, percentage, by_time, by_size) in [
            (0, 0, 0.0, none, none),
            (41, 0, 0.0, none, none),
            (40, 0, 0.0, &[0], none),
            (1, 0, 0.0, &[0, 1, 2, 3], none),
            (0, 550, 0.0, none, none),
            (0, 549, 0.0, none, &[0]),
            (0, 349, 0.0, none, &[0, 1, 2]),
            (0, 1, 0.0, none, &[0, 1, 2, 3, 4]),
            (0, 1, 90.0, none, none),
            (0, 0, 35.0, none, &[0, 1]),
            (30, 349, 0.0, &[0, 1], &[2]),
        ] {
            let retention = Retention { time_ms, size_bytes, percentage };
            let expired = expired(&stored(&metas), &retention, 50, 1000);
            assert_eq!(times(&expired.by_time), by_time, "{retention:?}");
            assert_eq!(times(&expired.by_size), by_size, "{retention:?}");
        }
    }

    #[test]
    fn replaced_and_empty_blocks_go_and_take_no_room() {
        let mut metas = metas(4);
        metas[3].compaction.parents = vec![metas[0].desc(), metas[1].desc()];
        metas[2].compaction.deletable = true;
        let retention = Retention { size_bytes: 100, ..Retention::default() };
        let expired = expired(&stored(&metas), &retention, 0, 0);
        assert_eq!(times(&expired.replaced), [0, 1, 2]);
        assert!(expired.by_size.is_empty());
        assert_eq!(expired.all().len(), 3);
    }
}
