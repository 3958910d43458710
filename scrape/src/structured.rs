//! Samples that aren't lines: metrics of a protobuf exposition, and histograms gathered from lines.
//!
//! Such a sample's place in the cache is found by a key made of its name and labels. The expansion of a
//! metric into series is that of the reference: `_count`, `_sum`, then quantiles or buckets.

use std::borrow::Cow;

use model::labels::{BUCKET_LABEL, METRIC_NAME};
use model::metadata::MetricType;
use model::storage::{HistogramSample, HistogramValue, SeriesKey};
use model::time::TimestampMs;

use crate::cache::LineId;
use crate::error::ScrapeError;
use crate::histograms::{ClassicHistogram, HistogramLimits, check_custom, native};
use crate::ingest::Ingest;
use crate::parse::{
    ClassicBucket, Entry, Family, HistogramMessage, Metric, MetricValue, ProtobufEntry, ProtobufParser,
    RawExemplar, RawLabels, SummaryValue, openmetrics_float,
};

const QUANTILE_LABEL: &str = "quantile";
/// Stands between the parts of a key; no UTF-8 text has it.
const KEY_SEPARATOR: u8 = 0xff;

/// A series of a metric: the metric's name with a suffix, its labels and perhaps one more.
struct Series<'a> {
    name: &'a str,
    suffix: &'static str,
    labels: &'a RawLabels<'a>,
    extra: Option<(&'static str, &'a str)>,
    /// Histograms and floats of one name are different series of the exposition.
    is_histogram: bool,
}

impl Series<'_> {
    fn write_key(&self, key: &mut Vec<u8>) {
        key.clear();
        let labels = self.labels.iter().flat_map(|(name, value)| [&**name, &**value]);
        let extra = self.extra.iter().flat_map(|(name, value)| [*name, *value]);
        for part in [self.name, self.suffix].into_iter().chain(labels).chain(extra) {
            key.extend_from_slice(part.as_bytes());
            key.push(KEY_SEPARATOR);
        }
        key.push(u8::from(self.is_histogram));
    }

    fn raw_labels(&self) -> RawLabels<'_> {
        let name = (Cow::Borrowed(METRIC_NAME), Cow::Owned(format!("{}{}", self.name, self.suffix)));
        let labels =
            self.labels.iter().map(|(name, value)| (Cow::Borrowed(&**name), Cow::Borrowed(&**value)));
        let extra = self.extra.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value)));
        std::iter::once(name).chain(labels).chain(extra).collect()
    }
}

impl Ingest<'_> {
    /// Reads a protobuf exposition to its end.
    pub(crate) fn read_protobuf(&mut self, body: &[u8]) -> Result<(), ScrapeError> {
        let mut parser = ProtobufParser::new(body);
        let mut family = Family::default();
        while let Some(entry) = parser.next_entry()? {
            match entry {
                ProtobufEntry::Family(next) => {
                    family = next;
                    self.note_family(&family);
                }
                ProtobufEntry::Metric(metric) => self.metric(&family, metric)?,
            }
        }
        self.check_sample_limit()
    }

    fn note_family(&mut self, family: &Family<'_>) {
        let name = || Cow::Borrowed(family.name);
        self.metadata_entry(&Entry::Type { family: name(), metric_type: family.metric_type });
        if !family.help.is_empty() {
            self.metadata_entry(&Entry::Help { family: name(), help: Cow::Borrowed(family.help) });
        }
        if !family.unit.is_empty() {
            self.metadata_entry(&Entry::Unit { family: name(), unit: Cow::Borrowed(family.unit) });
        }
    }

    fn metric(&mut self, family: &Family<'_>, metric: Metric<'_>) -> Result<(), ScrapeError> {
        let at = metric.timestamp_ms;
        let series = |suffix| Series {
            name: family.name,
            suffix,
            labels: &metric.labels,
            extra: None,
            is_histogram: false,
        };
        match metric.value {
            MetricValue::Single(value, exemplar) => self.float(&series(""), value, at, exemplar),
            MetricValue::Summary(summary) => self.summary(series, &summary, at),
            MetricValue::Histogram(histogram) => {
                let is_gauge = family.metric_type == MetricType::GaugeHistogram;
                self.histogram_message(series, *histogram, is_gauge, at)
            }
        }
    }

    fn summary<'b>(
        &mut self,
        series: impl Fn(&'static str) -> Series<'b>,
        summary: &SummaryValue,
        at: Option<TimestampMs>,
    ) -> Result<(), ScrapeError> {
        self.float(&series("_count"), summary.count as f64, at, None)?;
        self.float(&series("_sum"), summary.sum, at, None)?;
        for (quantile, value) in &summary.quantiles {
            let text = openmetrics_float(*quantile);
            let series = with_extra(series(""), QUANTILE_LABEL, &text);
            self.float(&series, *value, at, None)?;
        }
        Ok(())
    }

    fn histogram_message<'b>(
        &mut self,
        series: impl Fn(&'static str) -> Series<'b>,
        message: HistogramMessage<'_>,
        is_gauge: bool,
        at: Option<TimestampMs>,
    ) -> Result<(), ScrapeError> {
        let policy = self.histograms;
        let has_classic = !message.buckets.is_empty();
        let mut takes_classic = true;
        if message.is_native() && policy.native {
            let value = native(series("").name, &message, is_gauge, self.histogram_limits())?;
            let exemplars = native_exemplars(&message);
            self.histogram(&series(""), value, at, exemplars)?;
            takes_classic = policy.always_classic && has_classic;
        } else if policy.convert_classic && has_classic {
            self.converted(&series(""), gather(&message), at, bucket_exemplars(&message))?;
            takes_classic = policy.always_classic;
        }
        if takes_classic { self.classic(series, message, at) } else { Ok(()) }
    }

    /// The classic series of a histogram.
    fn classic<'b>(
        &mut self,
        series: impl Fn(&'static str) -> Series<'b>,
        mut message: HistogramMessage<'_>,
        at: Option<TimestampMs>,
    ) -> Result<(), ScrapeError> {
        let count = message.count();
        self.float(&series("_count"), count, at, None)?;
        self.float(&series("_sum"), message.sample_sum, at, None)?;
        if message.buckets.last().is_none_or(|bucket| bucket.upper_bound != f64::INFINITY) {
            let infinity =
                ClassicBucket { cumulative_count: count, upper_bound: f64::INFINITY, exemplar: None };
            message.buckets.push(infinity);
        }
        for bucket in message.buckets {
            let text = openmetrics_float(bucket.upper_bound);
            let series = with_extra(series("_bucket"), BUCKET_LABEL, &text);
            self.float(&series, bucket.cumulative_count, at, bucket.exemplar)?;
        }
        Ok(())
    }

    /// Appends a classic histogram as a native one with custom buckets, unless its parts contradict each
    /// other: then nothing is appended, as in the reference.
    fn converted(
        &mut self,
        series: &Series<'_>,
        classic: ClassicHistogram,
        at: Option<TimestampMs>,
        exemplars: Vec<RawExemplar<'_>>,
    ) -> Result<(), ScrapeError> {
        let Some(value) = classic.convert() else { return Ok(()) };
        check_custom(&value, self.histogram_limits())?;
        self.histogram(series, value, at, exemplars)
    }

    /// Appends a classic histogram that was gathered from lines; its name and labels are those of the lines
    /// without suffix and bound.
    pub(crate) fn gathered(
        &mut self,
        name: &str,
        labels: &RawLabels<'_>,
        classic: ClassicHistogram,
        at: Option<TimestampMs>,
        exemplars: Vec<RawExemplar<'_>>,
    ) -> Result<(), ScrapeError> {
        let series = Series { name, suffix: "", labels, extra: None, is_histogram: false };
        self.converted(&series, classic, at, exemplars)
    }

    fn histogram_limits(&self) -> HistogramLimits {
        let job = self.recipe.job;
        HistogramLimits::new(job.native_histogram_bucket_limit, job.native_histogram_min_bucket_factor)
    }

    fn float(
        &mut self,
        series: &Series<'_>,
        value: f64,
        at: Option<TimestampMs>,
        exemplar: Option<RawExemplar<'_>>,
    ) -> Result<(), ScrapeError> {
        let value = if value.is_nan() { model::value::NORMAL_NAN } else { value };
        self.structured(series, at, |ingest, line, key| ingest.append_float(line, key, value, at, exemplar))
    }

    fn histogram(
        &mut self,
        series: &Series<'_>,
        value: HistogramValue,
        at: Option<TimestampMs>,
        exemplars: Vec<RawExemplar<'_>>,
    ) -> Result<(), ScrapeError> {
        let series = Series { is_histogram: true, ..*series };
        self.structured(&series, at, |ingest, line, key| {
            ingest.append_histogram(line, key, value, at, exemplars)
        })
    }

    fn structured(
        &mut self,
        series: &Series<'_>,
        at: Option<TimestampMs>,
        append: impl FnOnce(&mut Self, LineId, SeriesKey) -> bool,
    ) -> Result<(), ScrapeError> {
        let mut key = std::mem::take(&mut self.key);
        series.write_key(&mut key);
        let line = self.place(&key);
        self.key = key;
        self.take(line, at, || series.raw_labels(), append)
    }

    fn append_histogram(
        &mut self,
        line: LineId,
        series: SeriesKey,
        value: HistogramValue,
        at: Option<TimestampMs>,
        mut exemplars: Vec<RawExemplar<'_>>,
    ) -> bool {
        let Some(timestamp_ms) = self.admit(line, at) else { return false };
        self.batch.histograms.push(HistogramSample { series, timestamp_ms, value });
        exemplars.retain(|exemplar| exemplar.timestamp_ms.is_some());
        exemplars.sort_by_key(|exemplar| exemplar.timestamp_ms);
        for exemplar in exemplars {
            self.append_exemplar(series, exemplar, timestamp_ms);
        }
        true
    }
}

fn with_extra<'a>(series: Series<'a>, name: &'static str, value: &'a str) -> Series<'a> {
    Series { extra: Some((name, value)), ..series }
}

fn gather(message: &HistogramMessage<'_>) -> ClassicHistogram {
    let mut classic = ClassicHistogram::default();
    for bucket in &message.buckets {
        classic.set_bucket(bucket.upper_bound, bucket.cumulative_count);
    }
    classic.set_count(message.count());
    classic.set_sum(message.sample_sum);
    classic
}

/// A native histogram's own exemplars, or those of its buckets.
fn native_exemplars<'b>(message: &HistogramMessage<'b>) -> Vec<RawExemplar<'b>> {
    if message.exemplars.is_empty() { bucket_exemplars(message) } else { message.exemplars.clone() }
}

fn bucket_exemplars<'b>(message: &HistogramMessage<'b>) -> Vec<RawExemplar<'b>> {
    message.buckets.iter().filter_map(|bucket| bucket.exemplar.clone()).collect()
}
