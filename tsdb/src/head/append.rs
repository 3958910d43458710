//! Commits: a batch is checked, logged and applied, all of it or nothing.
//!
//! 1. Label sets are looked up; those that aren't there and will have a sample become series.
//! 2. Samples are ordered by shard and series, and the shards they touch are locked.
//! 3. Each is checked against its series' newest sample, or the one before it in the batch. What is accepted
//!    is gathered in columns, the form in which it is logged.
//! 4. Metadata is left out where it is what is known.
//! 5. One frame goes to the log. If that fails, nothing was stored.
//! 6. The columns are appended to the chunks.

use model::labels::Labels;
use model::storage::{
    AppendError, Batch, BatchList, Committed, FloatSample, Rejected, SeriesKey, SeriesRef, StorageError,
};
use model::time::TimestampMs;
use parking_lot::MutexGuard;

use super::exemplars::Accepted;
use super::families::{Claim, FamilyChanges};
use super::series::{Kind, Record};
use super::shard::{SHARDS, Shard, shard_of};
use super::{Head, out_of_order, series_ref, split_ref};
use crate::metrics::{FLOAT, HISTOGRAM};
use crate::wal::record::{self, HistogramRow, SectionKind, ShardSamples};
use limits::{Limits, Verdict};
pub(super) use new_series::NewSeries;
use new_series::collect_unlogged;
use newest::{Newest, append_late};
use sample::{Candidate, Items, Op, Value};

mod limits;
mod new_series;
mod newest;
mod sample;

/// Buffers that commits use again and again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    ops: Vec<Op>,
    /// Of each shard the samples accepted.
    samples: Vec<ShardSamples>,
    record: Vec<u8>,
}

/// Scratch with larger buffers than this isn't kept: one giant request mustn't hold its memory for ever.
const SCRATCH_OPS_MAX: usize = 1 << 17;

/// What a commit stores beside samples.
struct Others {
    exemplars: Accepted,
    families: FamilyChanges,
}

/// The shards that a commit touches.
pub(super) type Locked<'a> = [Option<MutexGuard<'a, Shard>>; SHARDS];

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
        let exemplar_series =
            if batch.exemplars.is_empty() { Vec::new() } else { self.exemplar_series(batch) };
        let claims = self.family_claims(batch, &new);
        let result = {
            let mut locked = self.lock_shards(&scratch.ops, &claims);
            self.check_samples(batch, &limits, scratch, &mut locked, &mut committed);
            let families = self.family_changes(batch, &claims, &locked, &scratch.samples);
            let exemplars = self.check_exemplars(batch, &exemplar_series, &new, &mut committed);
            let others = Others { exemplars, families };
            self.log_and_apply(batch, &new, others, scratch, &mut locked, &mut committed)
        };
        drop(gate);
        if !new.created.is_empty() {
            self.metrics.series_created.inc_by(new.created.len());
            self.remove_unused(&new.created);
        }
        committed.rejected.sort_by_key(|rejected| (rejected.list as u8, rejected.index));
        self.count_rejected(&committed.rejected);
        result.map(|()| committed)
    }

    fn limits(&self, batch: &Batch) -> Limits {
        let range = self.bounds.range();
        // The first sample of an empty head says where it begins.
        let first = || Items(batch).keys().next().map(|key| key.3);
        let head_max = range.map(|range| range.1).or_else(first).unwrap_or(i64::MIN);
        let recent = head_max.saturating_sub(self.rules.range_ms / 2);
        Limits {
            min_valid: self.bounds.open_from().max(recent),
            head_max,
            window: self.bounds.out_of_order_window(),
        }
    }

    fn order_samples(
        &self,
        batch: &Batch,
        new: &NewSeries,
        limits: &Limits,
        ops: &mut Vec<Op>,
        committed: &mut Committed,
    ) {
        ops.clear();
        for (item, (list, index, series, timestamp)) in Items(batch).keys().enumerate() {
            match series {
                SeriesKey::Known(series) => ops.push(Op::new(split_ref(series).0, item)),
                SeriesKey::New(at) => match new.ids.get(at as usize) {
                    Some(Some(id)) => ops.push(Op::new(*id, item)),
                    Some(None) => {
                        let empty = batch.new_series[at as usize].is_empty();
                        committed.reject(list, index, limits.reject_new(empty, timestamp));
                    }
                    None => committed.reject(list, index, AppendError::UnknownSeries),
                },
            }
        }
        let before = batch.floats.len() + batch.histograms.len();
        let ended = batch.ended.iter().enumerate();
        ops.extend(ended.map(|(at, (series, _))| Op::new(split_ref(*series).0, before + at)));
        if !ops.is_sorted_by_key(|op| op.key) {
            ops.sort_by_key(|op| op.key);
        }
        if !batch.histograms.is_empty() {
            // A series may change its kind within a batch: its samples go by time.
            for same in ops.chunk_by_mut(|a, b| a.key == b.key).filter(|same| same.len() > 1) {
                same.sort_by_key(|op| match Items(batch).get(op.item) {
                    Candidate { value: Value::End, .. } => i64::MAX,
                    sample => sample.timestamp,
                });
            }
        }
    }

    fn lock_shards(&self, ops: &[Op], claims: &[Claim]) -> Locked<'_> {
        let mut touched = [false; SHARDS];
        for op in ops {
            touched[op.shard()] = true;
        }
        for claim in claims {
            touched[shard_of(claim.id)] = true;
        }
        std::array::from_fn(|shard| touched[shard].then(|| self.shards[shard].lock()))
    }

    fn check_samples(
        &self,
        batch: &Batch,
        limits: &Limits,
        scratch: &mut Scratch,
        locked: &mut Locked<'_>,
        committed: &mut Committed,
    ) {
        scratch.samples.resize_with(SHARDS, ShardSamples::default);
        scratch.samples.iter_mut().for_each(ShardSamples::clear);
        for ops in scratch.ops.chunk_by(|a, b| a.shard() == b.shard()) {
            let Some(shard) = &locked[ops[0].shard()] else { continue };
            let accepted = &mut scratch.samples[ops[0].shard()];
            let mut rest = ops;
            while let Some((first, others)) = rest.split_first() {
                let is_alone = others.first().is_none_or(|other| other.key != first.key);
                if is_alone && let Some(sample) = newer_float(batch, limits, *first, shard) {
                    accepted.floats.push(first.id(), sample.timestamp_ms, sample.value);
                    rest = others;
                    continue;
                }
                let len = rest.iter().take_while(|op| op.key == first.key).count();
                let (same, others) = rest.split_at(len);
                self.check_series(Items(batch), limits, same, shard, accepted, committed);
                rest = others;
            }
        }
    }

    /// Checks the samples of one series.
    fn check_series(
        &self,
        items: Items<'_>,
        limits: &Limits,
        ops: &[Op],
        shard: &Shard,
        accepted: &mut ShardSamples,
        committed: &mut Committed,
    ) {
        let Some(id) = ops.first().map(|op| op.id()) else { return };
        let record = shard.record(id);
        let mut newest = Newest::of(shard, record);
        for op in ops {
            let sample = items.get(op.item);
            if sample.known.is_some_and(|series| !names(record, series)) {
                if !matches!(sample.value, Value::End) {
                    self.metrics.series_not_found.inc();
                    committed.reject(sample.list, sample.index, AppendError::UnknownSeries);
                }
                continue;
            }
            match newest.check(limits, &sample) {
                Verdict::Append => newest.append(id, &sample, accepted),
                Verdict::AppendLate => append_late(shard, id, &sample, accepted, committed),
                Verdict::Drop => {}
                Verdict::Reject(error) => {
                    self.observe_delay(limits, sample.timestamp, &error);
                    committed.reject(sample.list, sample.index, error);
                }
            }
        }
    }

    fn observe_delay(&self, limits: &Limits, timestamp: TimestampMs, error: &AppendError) {
        if matches!(error, AppendError::OutOfOrder | AppendError::OutOfBounds | AppendError::TooOld) {
            self.metrics.ooo_delta.observe(limits.head_max.saturating_sub(timestamp) as f64 / 1000.0);
        }
    }

    fn log_and_apply(
        &self,
        batch: &Batch,
        new: &NewSeries,
        others: Others,
        scratch: &mut Scratch,
        locked: &mut Locked<'_>,
        committed: &mut Committed,
    ) -> Result<(), StorageError> {
        let Scratch { samples, record, .. } = scratch;
        record.clear();
        let mut unlogged: Vec<(u32, u16, &Labels)> = Vec::new();
        for (shard, samples) in samples.iter().enumerate() {
            let Some(locked) = &locked[shard] else { continue };
            unlogged.clear();
            collect_unlogged(batch, new, shard, locked, samples, &mut unlogged);
            if !unlogged.is_empty() {
                record::put_section(record, SectionKind::Series, shard, |out| {
                    record::put_series(out, unlogged.len(), unlogged.iter().copied());
                });
            }
            samples.put(record, shard);
        }
        others.families.put(record);
        others.exemplars.put(record);
        if record.is_empty() {
            self.fill_refs(new, locked, committed);
            return Ok(());
        }
        self.wal.append(record).inspect_err(|_| self.metrics.wal_writes_failed.inc())?;
        self.metrics.wal_records.inc();
        self.metrics.wal_bytes_written.inc_by(record.len() as u64);
        for (shard, samples) in samples.iter().enumerate() {
            if let Some(locked) = &mut locked[shard] {
                self.apply(locked, samples);
            }
        }
        self.apply_families(&others.families, locked);
        self.exemplars.lock().extend(others.exemplars);
        self.fill_refs(new, locked, committed);
        Ok(())
    }

    /// Appends samples that were checked.
    pub(crate) fn apply(&self, shard: &mut Shard, samples: &ShardSamples) {
        let ShardSamples { floats, histograms, late_floats, late_histograms } = samples;
        let (mut min, mut max) = (i64::MAX, i64::MIN);
        let mut rest = histograms.as_slice();
        for (id, timestamp, value) in floats.iter() {
            if !rest.is_empty() {
                // A series that has both gets them by time.
                let before = rest.partition_point(|row| (row.id, row.timestamp) < (id, timestamp));
                self.apply_histograms(shard, &rest[..before]);
                rest = &rest[before..];
            }
            shard.append_float(id, timestamp, value, &self.rules, &self.chunks);
            min = min.min(timestamp);
            max = max.max(timestamp);
        }
        self.apply_histograms(shard, rest);
        if !floats.is_empty() {
            self.bounds.extend(min, max);
            self.metrics.samples_appended.with_label_values(&[FLOAT]).inc_by(floats.len() as u64);
        }
        for (id, timestamp, value) in late_floats.iter() {
            self.apply_late(shard, id, timestamp, out_of_order::Value::Float(value), FLOAT);
        }
        for HistogramRow { id, timestamp, value } in late_histograms {
            let value = out_of_order::Value::Histogram(Box::new(value.clone()));
            self.apply_late(shard, *id, *timestamp, value, HISTOGRAM);
        }
    }

    fn apply_histograms(&self, shard: &mut Shard, rows: &[HistogramRow]) {
        if rows.is_empty() {
            return;
        }
        for HistogramRow { id, timestamp, value } in rows {
            shard.append_histogram(*id, *timestamp, value, &self.rules, &self.chunks);
            self.bounds.extend(*timestamp, *timestamp);
        }
        self.metrics.samples_appended.with_label_values(&[HISTOGRAM]).inc_by(rows.len() as u64);
    }

    fn apply_late(
        &self,
        shard: &mut Shard,
        id: u32,
        timestamp: TimestampMs,
        value: out_of_order::Value,
        kind: &str,
    ) {
        if shard.insert_late(id, timestamp, value, &self.chunks) {
            self.bounds.extend_late(timestamp);
            self.metrics.out_of_order_appended.with_label_values(&[kind]).inc();
        }
    }

    /// Gives back the refs of the series that have a sample. All of them are in the log by now.
    fn fill_refs(&self, new: &NewSeries, locked: &mut Locked<'_>, committed: &mut Committed) {
        for (at, id) in new.ids.iter().enumerate() {
            let Some(id) = *id else { continue };
            let Some(shard) = &mut locked[shard_of(id)] else { continue };
            let record = shard.record(id);
            let generation = record.generation;
            if record.kind != Kind::None || shard.late.contains_key(&id) {
                shard.record_mut(id).set(Record::LOGGED, true);
                committed.new_refs[at] = series_ref(id, generation);
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
            let histogram = rejected.list == BatchList::Histograms;
            metric.with_label_values(&[if histogram { HISTOGRAM } else { FLOAT }]).inc();
        }
    }
}

/// What nearly every sample is: a float that is newer than the newest sample of its series, a float too, so that
/// nothing else of it has to be checked.
#[inline]
fn newer_float<'b>(batch: &'b Batch, limits: &Limits, op: Op, shard: &Shard) -> Option<&'b FloatSample> {
    let sample = batch.floats.get(op.item as usize)?;
    let record = shard.record(op.id());
    let is_series = match sample.series {
        SeriesKey::Known(series) => names(record, series),
        SeriesKey::New(_) => true,
    };
    let is_newer =
        sample.timestamp_ms > record.xor.last_timestamp() && sample.timestamp_ms >= limits.min_valid;
    (is_series && record.kind == Kind::Float && is_newer).then_some(sample)
}

/// Whether a ref is of the series that a record is of.
#[inline]
pub(super) fn names(record: &Record, series: SeriesRef) -> bool {
    u64::from(record.generation) == split_ref(series).1 && record.has(Record::LIVE)
}

/// Adds to what wasn't accepted.
pub(super) trait Reject {
    fn reject(&mut self, list: BatchList, index: usize, error: AppendError);
}

impl Reject for Committed {
    fn reject(&mut self, list: BatchList, index: usize, error: AppendError) {
        self.rejected.push(Rejected { list, index, error });
    }
}
