//! Commits: a batch is checked, logged and applied, all of it or nothing.
//!
//! 1. Label sets are looked up; those that aren't there and will have a sample become series.
//! 2. Samples are ordered by shard and series, and the shards they touch are locked.
//! 3. Each is checked against its series' newest sample, or the one before it in the batch. What is accepted
//!    is gathered in columns, the form in which it is logged.
//! 4. One frame goes to the log. If that fails, nothing was stored.
//! 5. The columns are appended to the chunks.

use model::labels::Labels;
use model::storage::{
    AppendError, Batch, BatchList, Committed, FloatSample, Rejected, SeriesKey, SeriesRef, StorageError,
};
use model::time::TimestampMs;
use model::value::STALE_NAN;
use parking_lot::MutexGuard;
use roaring::RoaringBitmap;

use super::index::{Index, LabelsHash};
use super::series::{Kind, Record};
use super::shard::{SHARDS, Shard, shard_of};
use super::{Head, series_ref, split_ref};
use crate::metrics::FLOAT;
use crate::wal::record::{self, FloatColumns, ID_MAX, SectionKind};

/// A sample on its way, ordered by shard and series.
#[derive(Clone, Copy, Debug)]
struct Op {
    /// Shard in the upper half, id in the lower.
    key: u64,
    /// Index into the floats, and behind them into the ended series.
    item: u32,
}

impl Op {
    fn new(id: u32, item: usize) -> Self {
        Op { key: (shard_of(id) as u64) << 32 | u64::from(id), item: item as u32 }
    }

    fn id(self) -> u32 {
        self.key as u32
    }

    fn shard(self) -> usize {
        (self.key >> 32) as usize
    }
}

/// Buffers that commits use again and again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    ops: Vec<Op>,
    /// Of each shard the samples accepted.
    floats: Vec<FloatColumns>,
    record: Vec<u8>,
}

/// Scratch with larger buffers than this isn't kept: one giant request mustn't hold its memory for ever.
const SCRATCH_OPS_MAX: usize = 1 << 17;

/// What may be appended, as of the beginning of a commit.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Older samples can't be appended in order.
    min_valid: TimestampMs,
    /// Newest sample of the head.
    head_max: TimestampMs,
    /// See [`crate::Options::out_of_order_time_window_ms`].
    window: i64,
}

/// What becomes of a sample.
enum Verdict {
    Append,
    /// The series has this very sample.
    Drop,
    Reject(AppendError),
}

impl Limits {
    /// Of a sample of a series that has none.
    fn check_first(&self, timestamp: TimestampMs) -> Result<(), AppendError> {
        if timestamp >= self.min_valid { Ok(()) } else { Err(self.too_old(timestamp)) }
    }

    /// Why a sample that can't be appended in order can't be appended at all.
    fn too_old(&self, timestamp: TimestampMs) -> AppendError {
        if self.window > 0 {
            AppendError::TooOld
        } else if timestamp < self.min_valid {
            AppendError::OutOfBounds
        } else {
            AppendError::OutOfOrder
        }
    }

    /// Of a float of a series whose newest sample is a float.
    fn check(&self, newest: (TimestampMs, f64), timestamp: TimestampMs, value: f64) -> Verdict {
        if timestamp >= self.min_valid {
            if timestamp > newest.0 {
                return Verdict::Append;
            }
            if timestamp == newest.0 {
                let same = newest.1.to_bits() == value.to_bits();
                let (existing, new) = (newest.1, value);
                let duplicate = AppendError::Duplicate { timestamp_ms: timestamp, existing, new };
                return if same { Verdict::Drop } else { Verdict::Reject(duplicate) };
            }
        }
        Verdict::Reject(self.too_old(timestamp))
    }
}

/// The label sets of a batch that may be new, as series.
#[derive(Debug, Default)]
struct NewSeries {
    ids: Vec<Option<u32>>,
    created: RoaringBitmap,
}

/// The shards that a commit touches.
type Locked<'a> = [Option<MutexGuard<'a, Shard>>; SHARDS];

impl Head {
    /// See [`model::storage::Appender::commit`].
    pub(crate) fn commit(&self, batch: &Batch) -> Result<Committed, StorageError> {
        self.metrics.appenders_created.inc();
        self.metrics.active_appenders.inc();
        let mut scratch = self.scratch.lock().pop().unwrap_or_default();
        let result = self.commit_with(batch, &mut scratch);
        if scratch.ops.capacity() <= SCRATCH_OPS_MAX {
            self.scratch.lock().push(scratch);
        }
        self.metrics.active_appenders.dec();
        result
    }

    fn commit_with(&self, batch: &Batch, scratch: &mut Scratch) -> Result<Committed, StorageError> {
        let mut committed = Committed::default();
        // Held from the first look at the index on: series go only while nobody holds it.
        let gate = self.gate.read();
        let limits = self.limits(batch);
        let new = self.find_or_create(batch, &limits, &mut committed)?;
        self.order_samples(batch, &new, &limits, &mut scratch.ops, &mut committed);
        let result = {
            let mut locked = self.lock_shards(&scratch.ops);
            self.check_samples(batch, &limits, scratch, &mut locked, &mut committed);
            self.log_and_apply(batch, &new, scratch, &mut locked, &mut committed)
        };
        drop(gate);
        if !new.created.is_empty() {
            self.metrics.series_created.inc_by(new.created.len());
            self.remove_unused(&new.created);
        }
        committed.rejected.sort_by_key(|rejected| rejected.index);
        self.count_rejected(&committed.rejected);
        result.map(|()| committed)
    }

    fn limits(&self, batch: &Batch) -> Limits {
        let range = self.bounds.range();
        // The first sample of an empty head says where it begins.
        let first = || batch.floats.first().map(|sample| sample.timestamp_ms);
        let head_max = range.map(|range| range.1).or_else(first).unwrap_or(i64::MIN);
        let recent = head_max.saturating_sub(self.rules.range_ms / 2);
        Limits {
            min_valid: self.bounds.open_from().max(recent),
            head_max,
            window: self.bounds.out_of_order_window(),
        }
    }

    // ------------------------------------------------------------------------------------ new series

    fn find_or_create(
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
    fn remove_unused(&self, created: &RoaringBitmap) {
        let unused = |id: &u32| {
            let shard = self.shards[shard_of(*id)].lock();
            let record = shard.record(*id);
            record.kind == Kind::None && record.has(Record::LIVE)
        };
        if created.iter().any(|id| unused(&id)) {
            let _gate = self.gate.write();
            let mut index = self.index.write();
            let gone: RoaringBitmap = created.iter().filter(unused).collect();
            self.remove_series(&mut index, &gone);
        }
    }

    // ------------------------------------------------------------------------------------ order

    fn order_samples(
        &self,
        batch: &Batch,
        new: &NewSeries,
        limits: &Limits,
        ops: &mut Vec<Op>,
        committed: &mut Committed,
    ) {
        ops.clear();
        for (index, sample) in batch.floats.iter().enumerate() {
            match sample.series {
                SeriesKey::Known(series) => ops.push(Op::new(split_ref(series).0, index)),
                SeriesKey::New(at) => match new.ids.get(at as usize) {
                    Some(Some(id)) => ops.push(Op::new(*id, index)),
                    Some(None) => {
                        let empty = batch.new_series[at as usize].is_empty();
                        committed.reject(index, limits.reject_new(empty, sample.timestamp_ms));
                    }
                    None => committed.reject(index, AppendError::UnknownSeries),
                },
            }
        }
        let ended = batch.ended.iter().enumerate();
        ops.extend(ended.map(|(at, (series, _))| Op::new(split_ref(*series).0, batch.floats.len() + at)));
        if !ops.is_sorted_by_key(|op| op.key) {
            ops.sort_by_key(|op| op.key);
        }
    }

    fn lock_shards(&self, ops: &[Op]) -> Locked<'_> {
        let mut touched = [false; SHARDS];
        for op in ops {
            touched[op.shard()] = true;
        }
        std::array::from_fn(|shard| touched[shard].then(|| self.shards[shard].lock()))
    }

    // ------------------------------------------------------------------------------------ check

    fn check_samples(
        &self,
        batch: &Batch,
        limits: &Limits,
        scratch: &mut Scratch,
        locked: &mut Locked<'_>,
        committed: &mut Committed,
    ) {
        scratch.floats.resize_with(SHARDS, FloatColumns::default);
        scratch.floats.iter_mut().for_each(FloatColumns::clear);
        let mut at = 0;
        while let Some(first) = scratch.ops.get(at).copied() {
            let len = scratch.ops[at..].iter().take_while(|op| op.key == first.key).count();
            let ops = &scratch.ops[at..at + len];
            at += len;
            let Some(shard) = &locked[first.shard()] else { continue };
            let accepted = &mut scratch.floats[first.shard()];
            self.check_series(batch, limits, ops, shard.record(first.id()), accepted, committed);
        }
    }

    /// Checks the samples of one series.
    #[inline]
    fn check_series(
        &self,
        batch: &Batch,
        limits: &Limits,
        ops: &[Op],
        record: &Record,
        accepted: &mut FloatColumns,
        committed: &mut Committed,
    ) {
        let mut newest = match record.kind {
            Kind::None => None,
            _ => Some((record.xor.last_timestamp(), record.xor.last_value())),
        };
        for op in ops {
            let item = op.item as usize;
            let Some(sample) = batch.floats.get(item) else {
                let (series, timestamp) = batch.ended[item - batch.floats.len()];
                if names(record, series) && newest.is_some_and(|newest| timestamp > newest.0) {
                    accepted.push(op.id(), timestamp, STALE_NAN);
                    newest = Some((timestamp, STALE_NAN));
                }
                continue;
            };
            let FloatSample { series, timestamp_ms: timestamp, value } = *sample;
            if let SeriesKey::Known(series) = series
                && !names(record, series)
            {
                self.metrics.series_not_found.inc();
                committed.reject(item, AppendError::UnknownSeries);
                continue;
            }
            let verdict = match newest {
                Some(newest) => limits.check(newest, timestamp, value),
                None => limits.check_first(timestamp).map_or_else(Verdict::Reject, |()| Verdict::Append),
            };
            match verdict {
                Verdict::Append => {
                    accepted.push(op.id(), timestamp, value);
                    newest = Some((timestamp, value));
                }
                Verdict::Drop => {}
                Verdict::Reject(error) => {
                    self.observe_delay(limits, timestamp, &error);
                    committed.reject(item, error);
                }
            }
        }
    }

    fn observe_delay(&self, limits: &Limits, timestamp: TimestampMs, error: &AppendError) {
        if matches!(error, AppendError::OutOfOrder | AppendError::OutOfBounds | AppendError::TooOld) {
            self.metrics.ooo_delta.observe(limits.head_max.saturating_sub(timestamp) as f64 / 1000.0);
        }
    }

    // ------------------------------------------------------------------------------------ log, apply

    fn log_and_apply(
        &self,
        batch: &Batch,
        new: &NewSeries,
        scratch: &mut Scratch,
        locked: &mut Locked<'_>,
        committed: &mut Committed,
    ) -> Result<(), StorageError> {
        let Scratch { floats, record, .. } = scratch;
        record.clear();
        let mut unlogged: Vec<(u32, u16, &Labels)> = Vec::new();
        for (shard, samples) in floats.iter().enumerate() {
            let Some(locked) = &locked[shard] else { continue };
            unlogged.clear();
            collect_unlogged(batch, new, shard, locked, samples, &mut unlogged);
            if !unlogged.is_empty() {
                record::put_section(record, SectionKind::Series, shard, |out| {
                    record::put_series(out, unlogged.len(), unlogged.iter().copied());
                });
            }
            if !samples.is_empty() {
                record::put_section(record, SectionKind::Floats, shard, |out| {
                    record::put_floats(out, samples)
                });
            }
        }
        if record.is_empty() {
            self.fill_refs(new, locked, committed);
            return Ok(());
        }
        self.wal.append(record).inspect_err(|_| self.metrics.wal_writes_failed.inc())?;
        self.metrics.wal_records.inc();
        self.metrics.wal_bytes_written.inc_by(record.len() as u64);
        for (shard, samples) in floats.iter().enumerate() {
            let Some(locked) = &mut locked[shard] else { continue };
            self.apply_floats(locked, samples);
        }
        self.fill_refs(new, locked, committed);
        Ok(())
    }

    /// Appends samples that were checked.
    pub(crate) fn apply_floats(&self, shard: &mut Shard, samples: &FloatColumns) {
        let (mut min, mut max) = (i64::MAX, i64::MIN);
        for (id, timestamp, value) in samples.iter() {
            shard.append_float(id, timestamp, value, &self.rules, &self.chunks);
            min = min.min(timestamp);
            max = max.max(timestamp);
        }
        if !samples.is_empty() {
            self.bounds.extend(min, max);
            self.metrics.samples_appended.with_label_values(&[FLOAT]).inc_by(samples.len() as u64);
        }
    }

    /// Gives back the refs of the series that have a sample. All of them are in the log by now.
    fn fill_refs(&self, new: &NewSeries, locked: &mut Locked<'_>, committed: &mut Committed) {
        for (at, id) in new.ids.iter().enumerate() {
            let Some(id) = *id else { continue };
            let Some(shard) = &mut locked[shard_of(id)] else { continue };
            let record = shard.record_mut(id);
            if record.kind != Kind::None {
                record.set(Record::LOGGED, true);
                committed.new_refs[at] = series_ref(id, record.generation);
            }
        }
    }

    fn count_rejected(&self, rejected: &[Rejected]) {
        for rejected in rejected {
            let metric = match rejected.error {
                AppendError::OutOfOrder => &self.metrics.out_of_order_samples,
                AppendError::OutOfBounds => &self.metrics.out_of_bound_samples,
                AppendError::TooOld => &self.metrics.too_old_samples,
                _ => continue,
            };
            metric.with_label_values(&[FLOAT]).inc();
        }
    }
}

impl Limits {
    /// Why there is no series of a label set that a sample has.
    fn reject_new(&self, empty: bool, timestamp: TimestampMs) -> AppendError {
        match self.check_first(timestamp) {
            _ if empty => AppendError::InvalidLabels("empty labelset".to_owned()),
            Err(error) => error,
            Ok(()) => AppendError::UnknownSeries,
        }
    }
}

/// Whether a ref is of the series that a record is of.
#[inline]
fn names(record: &Record, series: SeriesRef) -> bool {
    u64::from(record.generation) == split_ref(series).1 && record.has(Record::LIVE)
}

/// Which label sets have a sample that a new series takes.
fn wanted_series(batch: &Batch, limits: &Limits) -> Vec<bool> {
    let mut wanted = vec![false; batch.new_series.len()];
    for sample in &batch.floats {
        if let SeriesKey::New(at) = sample.series
            && let Some(wanted) = wanted.get_mut(at as usize)
            && limits.check_first(sample.timestamp_ms).is_ok()
        {
            *wanted = true;
        }
    }
    wanted
}

/// The series of a shard that have a sample now and whose labels aren't in the log yet. Nobody can know the
/// ref of such a series, so all of them are among the label sets of the batch.
fn collect_unlogged<'b>(
    batch: &'b Batch,
    new: &NewSeries,
    shard: usize,
    locked: &Shard,
    samples: &FloatColumns,
    out: &mut Vec<(u32, u16, &'b Labels)>,
) {
    for (id, labels) in new.ids.iter().zip(&batch.new_series) {
        let Some(id) = id.filter(|id| shard_of(*id) == shard) else { continue };
        let record = locked.record(id);
        let sampled = samples.ids.binary_search(&id).is_ok();
        if sampled && !record.has(Record::LOGGED) {
            out.push((id, record.generation, labels));
        }
    }
    out.sort_unstable_by_key(|(id, ..)| *id);
    out.dedup_by_key(|(id, ..)| *id);
}

/// Adds to what wasn't accepted.
trait Reject {
    fn reject(&mut self, index: usize, error: AppendError);
}

impl Reject for Committed {
    fn reject(&mut self, index: usize, error: AppendError) {
        self.rejected.push(Rejected { list: BatchList::Floats, index, error });
    }
}
