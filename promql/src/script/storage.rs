//! A storage for tests: series in a map, samples in a map, nothing clever.
//!
//! It keeps what it is given, staleness markers and start timestamps included, and lets samples come in any
//! order. Counter-reset hints of histograms come back as from the reference's chunks: a histogram that could be
//! appended to the chunk of the one before it is known not to follow a reset, of others nothing is known. What
//! differs from a real storage: nothing outlives the process, and a sample may not be replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock};

use model::cancel::Cancel;
use model::histogram::{CounterResetHint, FloatHistogram};
use model::labels::Labels;
use model::matcher::{Matcher, all_match};
use model::storage::{
    AppendError, LabelColumn, Querier, Queryable, SampleColumns, SampleValue, SelectHints, SeriesSet,
    StorageError,
};
use model::time::TimestampMs;
use model::value::{STALE_NAN, is_stale_nan};

/// A sample as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its value.
    pub value: SampleValue,
    /// When the counting of what it counts began; 0 if that isn't known.
    pub start_timestamp_ms: TimestampMs,
}

type Samples = BTreeMap<TimestampMs, Sample>;
type Series = BTreeMap<Labels, Arc<Samples>>;

/// See the module.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    /// Replaced as a whole by writers, so that a querier's view doesn't change.
    series: RwLock<Arc<Series>>,
}

impl MemoryStorage {
    /// A storage without series.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.write() = Arc::default();
    }

    /// Adds samples to a series.
    ///
    /// # Errors
    ///
    /// The series has another value at one of the times. Samples before that one were added.
    pub fn append(
        &self,
        labels: &Labels,
        samples: impl IntoIterator<Item = (TimestampMs, Sample)>,
    ) -> Result<(), AppendError> {
        let mut all = self.write();
        let series = Arc::make_mut(Arc::make_mut(&mut all).entry(labels.clone()).or_default());
        for (timestamp_ms, sample) in samples {
            let before = series.range(..timestamp_ms).next_back().map(|(_, before)| &before.value);
            let sample = Sample { value: after(before, sample.value), ..sample };
            match series.get(&timestamp_ms) {
                Some(known) if !is_same(&known.value, &sample.value) => {
                    let (existing, new) = (as_float(&known.value), as_float(&sample.value));
                    return Err(AppendError::Duplicate { timestamp_ms, existing, new });
                }
                Some(_) => {}
                None => drop(series.insert(timestamp_ms, sample)),
            }
        }
        Ok(())
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Arc<Series>> {
        // A writer that panicked left a whole map behind: views are replaced at once.
        self.series.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The value as it is kept after the one before it.
fn after(before: Option<&SampleValue>, value: SampleValue) -> SampleValue {
    let Some(SampleValue::Histogram(before)) = before else { return with_hint(value, false) };
    match value {
        // A staleness marker is of the kind of the sample before it.
        SampleValue::Float(value) if is_stale_nan(value) => {
            SampleValue::Histogram(Arc::new(FloatHistogram { sum: STALE_NAN, ..FloatHistogram::default() }))
        }
        SampleValue::Float(value) => SampleValue::Float(value),
        SampleValue::Histogram(histogram) => {
            let continues = continues(before, &histogram);
            with_hint(SampleValue::Histogram(histogram), continues)
        }
    }
}

/// Whether a histogram could be appended to the chunk that ends with the one before it.
fn continues(before: &FloatHistogram, histogram: &FloatHistogram) -> bool {
    let told = [before.counter_reset_hint, histogram.counter_reset_hint];
    if told.contains(&CounterResetHint::Gauge) || told[1] == CounterResetHint::CounterReset {
        return false;
    }
    let compared = FloatHistogram { counter_reset_hint: CounterResetHint::Unknown, ..histogram.clone() };
    !before.is_stale()
        && before.schema == histogram.schema
        && before.zero_threshold == histogram.zero_threshold
        && before.custom_values == histogram.custom_values
        && !compared.detect_reset(before)
}

fn with_hint(value: SampleValue, continues: bool) -> SampleValue {
    let SampleValue::Histogram(histogram) = value else { return value };
    let hint = match histogram.counter_reset_hint {
        CounterResetHint::Gauge => CounterResetHint::Gauge,
        _ if continues => CounterResetHint::NotCounterReset,
        _ => CounterResetHint::Unknown,
    };
    SampleValue::Histogram(Arc::new(FloatHistogram { counter_reset_hint: hint, ..(*histogram).clone() }))
}

fn is_same(a: &SampleValue, b: &SampleValue) -> bool {
    match (a, b) {
        (SampleValue::Float(a), SampleValue::Float(b)) => a.to_bits() == b.to_bits(),
        (SampleValue::Histogram(a), SampleValue::Histogram(b)) => a == b,
        _ => false,
    }
}

fn as_float(value: &SampleValue) -> f64 {
    match value {
        SampleValue::Float(value) => *value,
        SampleValue::Histogram(histogram) => histogram.sum,
    }
}

// ---------------------------------------------------------------------------------------------- reading

impl Queryable for MemoryStorage {
    fn querier(&self, mint: TimestampMs, maxt: TimestampMs) -> Result<Box<dyn Querier>, StorageError> {
        let series = Arc::clone(&self.series.read().unwrap_or_else(std::sync::PoisonError::into_inner));
        Ok(Box::new(View { series, mint, maxt }))
    }
}

/// What the storage held when it was asked for.
#[derive(Debug)]
struct View {
    series: Arc<Series>,
    mint: TimestampMs,
    maxt: TimestampMs,
}

impl View {
    fn matching(&self, matchers: &[Matcher]) -> impl Iterator<Item = (&Labels, &Arc<Samples>)> {
        let in_range = |samples: &Samples| samples.range(self.mint..=self.maxt).next().is_some();
        let wanted = move |labels: &Labels| all_match(matchers, labels);
        self.series.iter().filter(move |(labels, samples)| wanted(labels) && in_range(samples))
    }
}

impl Querier for View {
    fn select(&self, matchers: &[Matcher], hints: &SelectHints) -> Result<Box<dyn SeriesSet>, StorageError> {
        if self.mint > self.maxt {
            return Ok(Box::new(Selected { series: Vec::new() }));
        }
        let limit = if hints.limit == 0 { usize::MAX } else { hints.limit };
        let series = self.matching(matchers).take(limit);
        let series = series.map(|(labels, samples)| (labels.clone(), Arc::clone(samples))).collect();
        Ok(Box::new(Selected { series }))
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        limit: usize,
        _cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        let names: BTreeSet<&str> =
            self.matching(matchers).flat_map(|(labels, _)| labels.iter().map(|(name, _)| name)).collect();
        Ok(limited(names, limit))
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
        _cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        let values: BTreeSet<&str> =
            self.matching(matchers).filter_map(|(labels, _)| labels.get(name)).collect();
        Ok(limited(values, limit))
    }
}

fn limited(texts: BTreeSet<&str>, limit: usize) -> Vec<String> {
    let limit = if limit == 0 { usize::MAX } else { limit };
    texts.into_iter().take(limit).map(str::to_owned).collect()
}

/// The series of a selection, by label set.
#[derive(Debug)]
struct Selected {
    series: Vec<(Labels, Arc<Samples>)>,
}

impl SeriesSet for Selected {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, series: usize) -> Labels {
        self.series[series].0.clone()
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        let mut column = LabelColumn { values: vec!["".into()], ids: Vec::new() };
        let mut ids: BTreeMap<&str, u32> = BTreeMap::from([("", 0)]);
        for (labels, _) in &self.series {
            let value = labels.value(name);
            let id = *ids.entry(value).or_insert_with(|| {
                column.values.push(value.into());
                column.values.len() as u32 - 1
            });
            column.ids.push(id);
        }
        column
    }

    fn read(
        &self,
        series: usize,
        mint: TimestampMs,
        maxt: TimestampMs,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        if mint > maxt {
            return Ok(());
        }
        for (timestamp_ms, sample) in self.series[series].1.range(mint..=maxt) {
            match &sample.value {
                SampleValue::Float(value) => {
                    out.timestamps.push(*timestamp_ms);
                    out.values.push(*value);
                    out.start_timestamps.push(sample.start_timestamp_ms);
                }
                SampleValue::Histogram(histogram) => {
                    out.histogram_timestamps.push(*timestamp_ms);
                    out.histograms.push(Arc::clone(histogram));
                    out.histogram_start_timestamps.push(sample.start_timestamp_ms);
                }
            }
        }
        Ok(())
    }

    fn last(
        &self,
        series: usize,
        mint: TimestampMs,
        maxt: TimestampMs,
    ) -> Result<Option<(TimestampMs, SampleValue)>, StorageError> {
        if mint > maxt {
            return Ok(None);
        }
        let last = self.series[series].1.range(mint..=maxt).next_back();
        Ok(last.map(|(timestamp_ms, sample)| (*timestamp_ms, sample.value.clone())))
    }
}
