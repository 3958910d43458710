//! The series that report on each scrape: `up` and its like.

use std::sync::Arc;

use model::labels::{Labels, LabelsBuilder, METRIC_NAME};
use model::metadata::{Metadata, MetricFamily, MetricType};
use model::storage::{Batch, FloatSample, SeriesKey, SeriesRef};
use model::time::TimestampMs;

use crate::ingest::Pending;

/// Name, help and unit of the series, in the order of [`Report`]'s values.
const SERIES: [(&str, &str, &str); 8] = [
    ("up", "Health of the scrape target. 1 means the target is healthy, 0 if the scrape failed.", ""),
    ("scrape_duration_seconds", "Duration of the last scrape in seconds.", "seconds"),
    ("scrape_samples_scraped", "Number of samples last scraped from the target.", ""),
    (
        "scrape_samples_post_metric_relabeling",
        "Number of samples remaining after metric relabeling was applied.",
        "",
    ),
    ("scrape_series_added", "Number of series in the last scrape.", ""),
    ("scrape_timeout_seconds", "The configured scrape timeout for a target.", "seconds"),
    ("scrape_sample_limit", "The configured sample limit for a target. 0 means no limit.", ""),
    (
        "scrape_body_size_bytes",
        "The uncompressed size of the last scrape response, if successful. Scrapes failing because body_size_limit is exceeded report -1, other scrape failures report 0.",
        "bytes",
    ),
];
/// The first so many are always there, the others with `extra_scrape_metrics`.
const STANDARD_COUNT: usize = 5;

/// What is to be reported of one scrape.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    pub(crate) timestamp_ms: TimestampMs,
    /// Whether the job wants the extra series.
    pub(crate) with_extra: bool,
    pub(crate) is_up: bool,
    pub(crate) duration_seconds: f64,
    pub(crate) scraped: u64,
    pub(crate) kept: u64,
    pub(crate) series_added: u64,
    pub(crate) timeout_seconds: f64,
    pub(crate) sample_limit: u64,
    /// −1 for a body that was too long.
    pub(crate) body_bytes: f64,
}

/// The refs of a target's reporting series.
#[derive(Debug, Default)]
pub(crate) struct ReportSeries {
    refs: [Option<SeriesRef>; SERIES.len()],
}

impl ReportSeries {
    /// Adds a report to a batch.
    pub(crate) fn append(
        &self,
        report: &Report,
        labels: &Labels,
        batch: &mut Batch,
        pending: &mut Vec<Pending>,
    ) {
        let values = [
            f64::from(u8::from(report.is_up)),
            report.duration_seconds,
            report.scraped as f64,
            report.kept as f64,
            report.series_added as f64,
            report.timeout_seconds,
            report.sample_limit as f64,
            report.body_bytes,
        ];
        let count = if report.with_extra { SERIES.len() } else { STANDARD_COUNT };
        for (index, value) in values.into_iter().take(count).enumerate() {
            let series = match self.refs[index] {
                Some(series) => SeriesKey::Known(series),
                None => {
                    pending.push(Pending::Report(index));
                    let key = batch.add_series(series_labels(labels, index));
                    batch.metadata.push((key, Arc::new(family(index))));
                    key
                }
            };
            batch.floats.push(FloatSample { series, timestamp_ms: report.timestamp_ms, value });
        }
    }

    /// Keeps, or forgets, the ref of a series.
    pub(crate) fn set(&mut self, index: usize, series: Option<SeriesRef>) {
        self.refs[index] = series;
    }

    /// Forgets series that the storage has forgotten.
    pub(crate) fn forget(&mut self, unknown: &hashbrown::HashSet<SeriesRef>) {
        for series in &mut self.refs {
            if series.is_some_and(|series| unknown.contains(&series)) {
                *series = None;
            }
        }
    }

    /// The series that exist.
    pub(crate) fn iter(&self) -> impl Iterator<Item = SeriesRef> {
        self.refs.iter().flatten().copied()
    }
}

fn series_labels(target: &Labels, index: usize) -> Labels {
    let mut builder = LabelsBuilder::from_labels(target);
    builder.set(METRIC_NAME, SERIES[index].0);
    builder.build()
}

fn family(index: usize) -> MetricFamily {
    let (name, help, unit) = SERIES[index];
    let (metric_type, help, unit) = (MetricType::Gauge, help.to_owned(), unit.to_owned());
    MetricFamily { name: name.to_owned(), metadata: Metadata { metric_type, help, unit } }
}
