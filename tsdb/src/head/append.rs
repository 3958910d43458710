//! Commits: a batch is checked, logged and applied, all of it or nothing.
//!
//! 1. Label sets are looked up; those that aren't there and will have a sample become series.
//! 2. Samples are ordered by shard and series, and the shards they touch are locked.
//! 3. Each is checked against its series' newest sample, or the one before it in the batch. What is accepted
//!    is gathered in columns, the form in which it is logged.
//! 4. One frame goes to the log. If that fails, nothing was stored.
//! 5. The columns are appended to the chunks.

use model::histogram::{FloatHistogram, Histogram};
use model::labels::Labels;
use model::storage::{
    AppendError, Batch, BatchList, Committed, FloatSample, HistogramValue, Rejected, SeriesKey, SeriesRef,
    StorageError,
};
use model::time::TimestampMs;
use model::value::{STALE_NAN, is_stale_nan};
use parking_lot::MutexGuard;
use roaring::RoaringBitmap;

use super::index::{Index, LabelsHash};
use super::series::{Kind, Record};
use super::shard::{SHARDS, Shard, shard_of};
use super::{Head, out_of_order, series_ref, split_ref};
use crate::chunk::histogram::HistogramAppender;
use crate::metrics::{FLOAT, HISTOGRAM};
use crate::wal::record::{self, HistogramRow, ID_MAX, SectionKind, ShardSamples};

/// A sample on its way, ordered by shard and series.
#[derive(Clone, Copy, Debug)]
struct Op {
    /// Shard in the upper half, id in the lower.
    key: u64,
    /// Index into the floats, behind them into the histograms, and behind those into the ended series.
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
    samples: Vec<ShardSamples>,
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
    /// It is older than others, but within the window.
    AppendLate,
    /// The series has this very sample.
    Drop,
    Reject(AppendError),
}

/// A sample of a batch.
#[derive(Clone, Copy, Debug)]
enum Value<'b> {
    Float(f64),
    Histogram(&'b HistogramValue),
    /// The series ended.
    End,
}

/// A sample of a batch, with what is needed to check it.
#[derive(Clone, Copy, Debug)]
struct Candidate<'b> {
    list: BatchList,
    index: usize,
    /// `None` for label sets of the batch.
    known: Option<SeriesRef>,
    timestamp: TimestampMs,
    value: Value<'b>,
}

/// The samples of a batch as one sequence.
#[derive(Clone, Copy, Debug)]
struct Items<'b>(&'b Batch);

impl<'b> Items<'b> {
    fn get(self, item: u32) -> Candidate<'b> {
        let mut index = item as usize;
        if let Some(FloatSample { series, timestamp_ms, value }) = self.0.floats.get(index) {
            let (known, value) = (known(*series), Value::Float(*value));
            return Candidate { list: BatchList::Floats, index, known, timestamp: *timestamp_ms, value };
        }
        index -= self.0.floats.len();
        if let Some(sample) = self.0.histograms.get(index) {
            let (known, timestamp) = (known(sample.series), sample.timestamp_ms);
            let value = Value::Histogram(&sample.value);
            return Candidate { list: BatchList::Histograms, index, known, timestamp, value };
        }
        index -= self.0.histograms.len();
        let (series, timestamp) = self.0.ended[index];
        Candidate { list: BatchList::Floats, index, known: Some(series), timestamp, value: Value::End }
    }

    /// Series and times of the samples that may belong to new series.
    fn keys(self) -> impl Iterator<Item = (BatchList, usize, SeriesKey, TimestampMs)> + 'b {
        let floats = self.0.floats.iter().enumerate();
        let histograms = self.0.histograms.iter().enumerate();
        floats
            .map(|(at, s)| (BatchList::Floats, at, s.series, s.timestamp_ms))
            .chain(histograms.map(|(at, s)| (BatchList::Histograms, at, s.series, s.timestamp_ms)))
    }
}

fn known(series: SeriesKey) -> Option<SeriesRef> {
    match series {
        SeriesKey::Known(series) => Some(series),
        SeriesKey::New(_) => None,
    }
}

impl Limits {
    /// Of a sample of a series that has none.
    fn check_first(&self, timestamp: TimestampMs) -> Verdict {
        if timestamp >= self.min_valid { Verdict::Append } else { self.check_late(timestamp) }
    }

    /// Of a sample that can't be appended in order.
    fn check_late(&self, timestamp: TimestampMs) -> Verdict {
        if self.window > 0 && timestamp >= self.head_max.saturating_sub(self.window) {
            Verdict::AppendLate
        } else if self.window > 0 {
            Verdict::Reject(AppendError::TooOld)
        } else if timestamp < self.min_valid {
            Verdict::Reject(AppendError::OutOfBounds)
        } else {
            Verdict::Reject(AppendError::OutOfOrder)
        }
    }

    /// Of a sample of a series whose newest sample is at this time; `same` compares the two if their times
    /// are equal, and says how they differ.
    fn check(
        &self,
        newest: TimestampMs,
        timestamp: TimestampMs,
        same: impl FnOnce() -> Result<(), AppendError>,
    ) -> Verdict {
        if timestamp >= self.min_valid && timestamp > newest {
            return Verdict::Append;
        }
        if timestamp >= self.min_valid && timestamp == newest {
            return same().map_or_else(Verdict::Reject, |()| Verdict::Drop);
        }
        self.check_late(timestamp)
    }
}

/// The label sets of a batch that may be new, as series.
#[derive(Debug, Default)]
pub(super) struct NewSeries {
    pub(super) ids: Vec<Option<u32>>,
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
        let exemplar_series =
            if batch.exemplars.is_empty() { Vec::new() } else { self.exemplar_series(batch) };
        let result = {
            let mut locked = self.lock_shards(&scratch.ops);
            self.check_samples(batch, &limits, scratch, &mut locked, &mut committed);
            self.log_and_apply(batch, &new, &exemplar_series, scratch, &mut locked, &mut committed)
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
            record.kind == Kind::None && record.has(Record::LIVE) && !shard.late.contains_key(id)
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
        scratch.samples.resize_with(SHARDS, ShardSamples::default);
        scratch.samples.iter_mut().for_each(ShardSamples::clear);
        let mut at = 0;
        while let Some(first) = scratch.ops.get(at).copied() {
            let len = scratch.ops[at..].iter().take_while(|op| op.key == first.key).count();
            let ops = &scratch.ops[at..at + len];
            at += len;
            let Some(shard) = &locked[first.shard()] else { continue };
            let accepted = &mut scratch.samples[first.shard()];
            self.check_series(Items(batch), limits, ops, shard, accepted, committed);
        }
    }

    /// Checks the samples of one series.
    #[inline]
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

    // ------------------------------------------------------------------------------------ log, apply

    fn log_and_apply(
        &self,
        batch: &Batch,
        new: &NewSeries,
        exemplar_series: &[Option<Labels>],
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
        let exemplars = self.check_exemplars(batch, exemplar_series, new, committed);
        exemplars.put(record);
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
        self.exemplars.lock().extend(exemplars);
        self.fill_refs(new, locked, committed);
        Ok(())
    }

    /// Appends samples that were checked.
    pub(crate) fn apply(&self, shard: &mut Shard, samples: &ShardSamples) {
        let ShardSamples { floats, histograms, late_floats, late_histograms } = samples;
        let (mut min, mut max) = (i64::MAX, i64::MIN);
        let mut rest = histograms.as_slice();
        for (id, timestamp, value) in floats.iter() {
            // A series that has both gets them by time.
            let before = rest.partition_point(|row| (row.id, row.timestamp) < (id, timestamp));
            self.apply_histograms(shard, &rest[..before]);
            rest = &rest[before..];
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

impl Limits {
    /// Why there is no series of a label set that a sample has.
    fn reject_new(&self, empty: bool, timestamp: TimestampMs) -> AppendError {
        match self.check_first(timestamp) {
            _ if empty => AppendError::InvalidLabels("empty labelset".to_owned()),
            Verdict::Reject(error) => error,
            _ => AppendError::UnknownSeries,
        }
    }
}

/// Whether a ref is of the series that a record is of.
#[inline]
fn names(record: &Record, series: SeriesRef) -> bool {
    u64::from(record.generation) == split_ref(series).1 && record.has(Record::LIVE)
}

/// The newest sample of a series while its samples of a batch are checked.
enum Newest<'a> {
    None,
    Float(TimestampMs, f64),
    /// Of an earlier commit.
    Stored(TimestampMs, Option<&'a HistogramAppender>),
    Histogram(TimestampMs, HistogramValue),
}

impl<'a> Newest<'a> {
    fn of(shard: &'a Shard, record: &Record) -> Self {
        let timestamp = record.xor.last_timestamp();
        match record.kind {
            Kind::None => Newest::None,
            Kind::Float => Newest::Float(timestamp, record.xor.last_value()),
            Kind::Histogram => Newest::Stored(timestamp, shard.histogram(record)),
        }
    }

    /// Time of the sample.
    fn timestamp(&self) -> Option<TimestampMs> {
        match self {
            Newest::None => None,
            Newest::Float(t, _) | Newest::Stored(t, _) | Newest::Histogram(t, _) => Some(*t),
        }
    }

    #[inline]
    fn check(&self, limits: &Limits, sample: &Candidate<'_>) -> Verdict {
        if let Value::Histogram(value) = sample.value
            && let Err(error) = validate(value)
        {
            return Verdict::Reject(error);
        }
        let Some(newest) = self.timestamp() else {
            return match sample.value {
                Value::End => Verdict::Drop,
                _ => limits.check_first(sample.timestamp),
            };
        };
        if matches!(sample.value, Value::End) {
            return if sample.timestamp > newest { Verdict::Append } else { Verdict::Drop };
        }
        limits.check(newest, sample.timestamp, || self.same(sample))
    }

    /// Whether a sample at the same time is the same.
    fn same(&self, sample: &Candidate<'_>) -> Result<(), AppendError> {
        let (same, existing, new) = match (self, sample.value) {
            (Newest::Float(_, old), Value::Float(new)) => (old.to_bits() == new.to_bits(), *old, new),
            (Newest::Histogram(_, old), Value::Histogram(new)) => (old == new, old.sum(), new.sum()),
            (Newest::Stored(_, Some(open)), Value::Histogram(new)) => {
                let old = open.last_value();
                (same_histogram(&old, new), old.sum(), new.sum())
            }
            (_, Value::Float(new)) => (is_stale_nan(new) && self.is_stale(), 0.0, new),
            (_, Value::Histogram(new)) => (false, 0.0, new.sum()),
            (_, Value::End) => (true, 0.0, 0.0),
        };
        let timestamp_ms = sample.timestamp;
        if same { Ok(()) } else { Err(AppendError::Duplicate { timestamp_ms, existing, new }) }
    }

    fn is_stale(&self) -> bool {
        match self {
            Newest::None => false,
            Newest::Float(_, value) => is_stale_nan(*value),
            Newest::Stored(_, open) => open.is_some_and(|open| open.last_value().is_stale()),
            Newest::Histogram(_, value) => value.is_stale(),
        }
    }

    /// Notes a sample among those accepted, and as the newest. A staleness marker takes the kind of the
    /// sample before it.
    #[inline]
    fn append(&mut self, id: u32, sample: &Candidate<'_>, accepted: &mut ShardSamples) {
        let timestamp = sample.timestamp;
        let value = match sample.value {
            Value::End => STALE_NAN,
            Value::Float(value) => value,
            Value::Histogram(value) => {
                accepted.histograms.push(HistogramRow { id, timestamp, value: value.clone() });
                *self = Newest::Histogram(timestamp, value.clone());
                return;
            }
        };
        if is_stale_nan(value) && matches!(self, Newest::Stored(..) | Newest::Histogram(..)) {
            let stale = Histogram { sum: STALE_NAN, ..Histogram::default() };
            let value = HistogramValue::Integer(stale);
            accepted.histograms.push(HistogramRow { id, timestamp, value: value.clone() });
            *self = Newest::Histogram(timestamp, value);
        } else {
            accepted.floats.push(id, timestamp, value);
            *self = Newest::Float(timestamp, value);
        }
    }
}

/// Whether two histograms say the same; what is known of counter resets may differ, as the store works it out
/// itself.
fn same_histogram(a: &HistogramValue, b: &HistogramValue) -> bool {
    match (a, b) {
        (HistogramValue::Integer(a), HistogramValue::Integer(b)) => {
            let hint = a.counter_reset_hint;
            let b = Histogram { counter_reset_hint: hint, ..b.clone() };
            *a == b || (a.is_stale() && b.is_stale())
        }
        (HistogramValue::Float(a), HistogramValue::Float(b)) => {
            let hint = a.counter_reset_hint;
            let b = FloatHistogram { counter_reset_hint: hint, ..b.clone() };
            *a == b || (a.is_stale() && b.is_stale())
        }
        _ => a.is_stale() && b.is_stale(),
    }
}

fn validate(value: &HistogramValue) -> Result<(), AppendError> {
    if value.is_stale() {
        return Ok(());
    }
    let checked = match value {
        HistogramValue::Integer(histogram) => histogram.validate(),
        HistogramValue::Float(histogram) => histogram.validate(),
    };
    checked.map_err(|error| AppendError::InvalidHistogram(error.to_string()))
}

/// Notes a sample that is out of order among those accepted, unless there is one at its time.
fn append_late(
    shard: &Shard,
    id: u32,
    sample: &Candidate<'_>,
    accepted: &mut ShardSamples,
    committed: &mut Committed,
) {
    let timestamp = sample.timestamp;
    if shard.late.get(&id).is_some_and(|late| late.has(timestamp)) {
        let new = match sample.value {
            Value::Histogram(value) => value.sum(),
            Value::Float(value) => value,
            Value::End => STALE_NAN,
        };
        let error = AppendError::Duplicate { timestamp_ms: timestamp, existing: new, new };
        committed.reject(sample.list, sample.index, error);
        return;
    }
    match sample.value {
        Value::Float(value) => accepted.late_floats.push(id, timestamp, value),
        Value::Histogram(value) => {
            accepted.late_histograms.push(HistogramRow { id, timestamp, value: value.clone() });
        }
        Value::End => {}
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
fn collect_unlogged<'b>(
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

/// Adds to what wasn't accepted.
pub(super) trait Reject {
    fn reject(&mut self, list: BatchList, index: usize, error: AppendError);
}

impl Reject for Committed {
    fn reject(&mut self, list: BatchList, index: usize, error: AppendError) {
        self.rejected.push(Rejected { list, index, error });
    }
}
