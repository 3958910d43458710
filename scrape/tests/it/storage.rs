//! A storage in memory, as simple as the seam allows.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Mutex;

use model::labels::Labels;
use model::metadata::MetricFamily;
use model::storage::{
    AppendError, Appender, Batch, BatchList, Committed, HistogramValue, Rejected, SeriesKey, SeriesRef,
    StorageError,
};
use model::value::STALE_NAN;

/// What was stored of one series: floats as they are, histograms by their debug text.
pub(crate) type Samples = Vec<(i64, String)>;

#[derive(Debug, Default)]
pub(crate) struct MemoryStorage(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    refs: BTreeMap<Labels, SeriesRef>,
    series: BTreeMap<SeriesRef, (Labels, Samples)>,
    next_ref: u64,
    exemplars: Vec<String>,
    metadata: Vec<String>,
}

impl MemoryStorage {
    /// The values of the series that a selector such as `up{job="a"}` names exactly.
    pub(crate) fn values(&self, metric: &str) -> Vec<String> {
        self.samples(metric).into_iter().map(|(_, value)| value).collect()
    }

    pub(crate) fn samples(&self, metric: &str) -> Samples {
        let inner = self.0.lock().unwrap();
        let found = inner.series.values().find(|(labels, _)| labels.as_metric().to_string() == metric);
        found.map(|(_, samples)| samples.clone()).unwrap_or_default()
    }

    /// All series, as selectors.
    pub(crate) fn series(&self) -> Vec<String> {
        let inner = self.0.lock().unwrap();
        inner.series.values().map(|(labels, _)| labels.as_metric().to_string()).collect()
    }

    pub(crate) fn exemplars(&self) -> Vec<String> {
        self.0.lock().unwrap().exemplars.clone()
    }

    /// What was said of series, each time: metric, family, type, help.
    pub(crate) fn metadata(&self) -> Vec<String> {
        self.0.lock().unwrap().metadata.clone()
    }

    /// Forgets all refs, as a head does that has dropped its series.
    pub(crate) fn forget_refs(&self) {
        let mut inner = self.0.lock().unwrap();
        inner.refs.clear();
        let old = std::mem::take(&mut inner.series);
        for (labels, samples) in old.into_values() {
            inner.next_ref += 1;
            let series = SeriesRef(NonZeroU64::new(inner.next_ref).unwrap());
            inner.series.insert(series, (labels.clone(), samples));
            inner.refs.insert(labels, series);
        }
    }
}

impl Inner {
    fn resolve(
        &mut self,
        key: SeriesKey,
        new: &[Labels],
        refs: &mut [Option<SeriesRef>],
    ) -> Option<SeriesRef> {
        match key {
            SeriesKey::Known(series) => self.series.contains_key(&series).then_some(series),
            SeriesKey::New(index) => {
                let labels = new[index as usize].clone();
                let series = *self.refs.entry(labels.clone()).or_insert_with(|| {
                    self.next_ref += 1;
                    SeriesRef(NonZeroU64::new(self.next_ref).unwrap())
                });
                self.series.entry(series).or_insert_with(|| (labels, Vec::new()));
                refs[index as usize] = Some(series);
                Some(series)
            }
        }
    }

    fn append(&mut self, series: SeriesRef, at: i64, value: String) -> Result<(), AppendError> {
        let samples = &mut self.series.get_mut(&series).unwrap().1;
        match samples.last() {
            Some((last, _)) if *last > at => Err(AppendError::OutOfOrder),
            Some((last, existing)) if *last == at && *existing == value => Ok(()),
            Some((last, _)) if *last == at => {
                Err(AppendError::Duplicate { timestamp_ms: at, existing: 0.0, new: 0.0 })
            }
            _ => {
                samples.push((at, value));
                Ok(())
            }
        }
    }
}

impl Appender for MemoryStorage {
    fn commit(&self, batch: &Batch) -> Result<Committed, StorageError> {
        let mut inner = self.0.lock().unwrap();
        let mut refs = vec![None; batch.new_series.len()];
        let mut rejected = Vec::new();
        let floats =
            batch.floats.iter().map(|s| (BatchList::Floats, s.series, s.timestamp_ms, text(s.value)));
        let histograms = batch.histograms.iter().map(|s| {
            let value = match &s.value {
                HistogramValue::Integer(h) => format!("{h:?}"),
                HistogramValue::Float(h) => format!("{h:?}"),
            };
            (BatchList::Histograms, s.series, s.timestamp_ms, value)
        });
        let mut index = 0;
        let mut list_before = BatchList::Floats;
        for (list, key, at, value) in floats.chain(histograms) {
            if list != list_before {
                index = 0;
                list_before = list;
            }
            let outcome = match inner.resolve(key, &batch.new_series, &mut refs) {
                None => Err(AppendError::UnknownSeries),
                Some(series) => inner.append(series, at, value),
            };
            if let Err(error) = outcome {
                rejected.push(Rejected { list, index, error });
            }
            index += 1;
        }
        for (series, at) in &batch.ended {
            if inner.series.contains_key(series) {
                let _ = inner.append(*series, *at, text(STALE_NAN));
            }
        }
        inner.exemplars.extend(batch.exemplars.iter().map(|(_, exemplar)| format!("{exemplar:?}")));
        for (key, family) in &batch.metadata {
            let metric = match key {
                SeriesKey::New(at) => batch.new_series[*at as usize].metric_name(),
                SeriesKey::Known(series) => inner.series[series].0.metric_name(),
            };
            let MetricFamily { name, metadata } = &**family;
            let told = format!("{metric} {name} {} {}", metadata.metric_type, metadata.help);
            inner.metadata.push(told);
        }
        Ok(Committed { new_refs: refs, rejected })
    }
}

fn text(value: f64) -> String {
    if model::value::is_stale_nan(value) { "stale".to_owned() } else { model::float_text::api(value) }
}
