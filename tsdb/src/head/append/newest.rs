//! The newest sample of a series, which its samples of a batch are checked against one after the other.

use model::histogram::{FloatHistogram, Histogram};
use model::storage::{AppendError, Committed, HistogramValue};
use model::time::TimestampMs;
use model::value::{STALE_NAN, is_stale_nan};

use super::Reject;
use super::limits::{Limits, Verdict};
use super::sample::{Candidate, Value};
use crate::chunk::histogram::HistogramAppender;
use crate::head::series::{Kind, Record};
use crate::head::shard::Shard;
use crate::wal::record::{HistogramRow, ShardSamples};

/// The newest sample of a series while its samples of a batch are checked.
pub(super) enum Newest<'a> {
    None,
    Float(TimestampMs, f64),
    /// Of an earlier commit.
    Stored(TimestampMs, Option<&'a HistogramAppender>),
    Histogram(TimestampMs, HistogramValue),
}

impl<'a> Newest<'a> {
    pub(super) fn of(shard: &'a Shard, record: &Record) -> Self {
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
    pub(super) fn check(&self, limits: &Limits, sample: &Candidate<'_>) -> Verdict {
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
    pub(super) fn append(&mut self, id: u32, sample: &Candidate<'_>, accepted: &mut ShardSamples) {
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
pub(super) fn append_late(
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
