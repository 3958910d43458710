//! The label sets of a batch that may be new, as series.

use model::labels::Labels;
use model::storage::{Batch, Committed, SeriesKey, StorageError};
use roaring::RoaringBitmap;

use super::limits::{Limits, Verdict};
use super::sample::Items;
use crate::head::Head;
use crate::head::index::{Index, LabelsHash};
use crate::head::series::{Kind, Record};
use crate::head::shard::{Shard, shard_of};
use crate::wal::record::{ID_MAX, ShardSamples};

/// The label sets of a batch that may be new, as series.
#[derive(Debug, Default)]
pub(in crate::head) struct NewSeries {
    pub(in crate::head) ids: Vec<Option<u32>>,
    pub(super) created: RoaringBitmap,
}

impl Head {
    pub(super) fn find_or_create(
        &self,
        batch: &Batch,
        limits: &Limits,
        committed: &mut Committed,
    ) -> Result<NewSeries, StorageError> {
        committed.new_refs = vec![None; batch.new_series.len()];
        if batch.new_series.is_empty() {
            return Ok(NewSeries::default());
        }
        let index = self.index.read();
        let hasher = index.hasher();
        let hashes: Vec<LabelsHash> =
            batch.new_series.iter().map(|labels| Index::hash(&hasher, labels)).collect();
        let mut ids: Vec<Option<u32>> =
            hashes.iter().zip(&batch.new_series).map(|(hash, labels)| index.find(*hash, labels)).collect();
        drop(index);
        let mut created = RoaringBitmap::new();
        if ids.iter().any(Option::is_none) {
            let wanted = wanted_series(batch, limits);
            let mut index = self.index.write();
            for (at, labels) in batch.new_series.iter().enumerate() {
                if ids[at].is_some() || !wanted[at] || labels.is_empty() {
                    continue;
                }
                // Another commit, or an earlier entry of this one, may have made it.
                let id = match index.find(hashes[at], labels) {
                    Some(id) => id,
                    None => {
                        let id = self.create_series(&mut index, hashes[at], labels)?;
                        created.insert(id);
                        id
                    }
                };
                ids[at] = Some(id);
            }
        }
        Ok(NewSeries { ids, created })
    }

    fn create_series(
        &self,
        index: &mut Index,
        hash: LabelsHash,
        labels: &Labels,
    ) -> Result<u32, StorageError> {
        if index.id_end() > ID_MAX {
            return Err(StorageError::Limit(format!("the head has its {ID_MAX} series")));
        }
        let id = index.create(hash, labels);
        self.shards[shard_of(id)].lock().create(id);
        Ok(id)
    }

    /// Removes those of the series just created that have no sample after all.
    pub(super) fn remove_unused(&self, created: &RoaringBitmap) {
        let unused = |id: &u32| {
            let shard = self.shards[shard_of(*id)].lock();
            let record = shard.record(*id);
            record.kind == Kind::None && record.has(Record::LIVE) && !shard.late.contains_key(id)
        };
        if created.iter().any(|id| unused(&id)) {
            let _gate = self.gate.write();
            let mut index = self.index.write();
            let gone: RoaringBitmap = created.iter().filter(unused).collect();
            self.remove_series(&mut index, &gone);
        }
    }
}

/// Which label sets have a sample that a new series takes.
fn wanted_series(batch: &Batch, limits: &Limits) -> Vec<bool> {
    let mut wanted = vec![false; batch.new_series.len()];
    for (_, _, series, timestamp) in Items(batch).keys() {
        if let SeriesKey::New(at) = series
            && let Some(wanted) = wanted.get_mut(at as usize)
            && !matches!(limits.check_first(timestamp), Verdict::Reject(_))
        {
            *wanted = true;
        }
    }
    wanted
}

/// The series of a shard that have a sample now and whose labels aren't in the log yet. Nobody can know the
/// ref of such a series, so all of them are among the label sets of the batch.
pub(super) fn collect_unlogged<'b>(
    batch: &'b Batch,
    new: &NewSeries,
    shard: usize,
    locked: &Shard,
    samples: &ShardSamples,
    out: &mut Vec<(u32, u16, &'b Labels)>,
) {
    for (id, labels) in new.ids.iter().zip(&batch.new_series) {
        let Some(id) = id.filter(|id| shard_of(*id) == shard) else { continue };
        let record = locked.record(id);
        if samples.has(id) && !record.has(Record::LOGGED) {
            out.push((id, record.generation, labels));
        }
    }
    out.sort_unstable_by_key(|(id, ..)| *id);
    out.dedup_by_key(|(id, ..)| *id);
}
