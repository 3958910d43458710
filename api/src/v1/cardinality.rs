//! `/status/cardinality`: what the stored series are made of, at a time, for any selection. The reference has
//! only `/status/tsdb`, which speaks of the whole head and of now.
//!
//! A series counts if it has samples in `[time - window, time]`; it is active if it has some within the
//! lookback before `time`, and churned otherwise.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use model::labels::Labels;
use model::matcher::Matcher;
use model::storage::{SelectHints, SeriesSet, StorageError};
use model::time::TimestampMs;

use crate::call::Call;
use crate::error::{ApiError, ErrorType};
use crate::go_text;
use crate::json::JsonOut;
use crate::respond::{Answer, ApiResult};
use crate::selector;
use crate::server::App;

/// The window unless the request says otherwise.
const WINDOW_DEFAULT_MS: i64 = 60 * 60 * 1000;
/// Entries of each list unless the request says otherwise.
const LIMIT_DEFAULT: usize = 10;
/// After how many series the cancellation flag is looked at.
const SERIES_PER_LOOK: usize = 1024;

/// By what metric names are sorted.
#[derive(Clone, Copy)]
enum SortBy {
    Series,
    Churn,
    Bytes,
}

#[derive(Default)]
struct OfMetric {
    series: u64,
    active: u64,
    label_bytes: u64,
}

impl OfMetric {
    fn churned(&self) -> u64 {
        self.series.saturating_sub(self.active)
    }
}

#[derive(Default)]
struct OfLabel {
    series: u64,
    values: HashSet<String>,
    value_bytes: u64,
}

/// Counts over all series of a selection.
#[derive(Default)]
struct Counts {
    series: u64,
    active: u64,
    label_bytes: u64,
    metrics: HashMap<String, OfMetric>,
    labels: HashMap<String, OfLabel>,
    pairs: HashMap<(String, String), u64>,
}

impl Counts {
    fn add(&mut self, labels: &Labels) {
        let bytes = labels.size_bytes() as u64;
        self.series += 1;
        self.label_bytes += bytes;
        let metric = self.metrics.entry(labels.metric_name().to_owned()).or_default();
        metric.series += 1;
        metric.label_bytes += bytes;
        for (name, value) in labels {
            let label = self.labels.entry(name.to_owned()).or_default();
            label.series += 1;
            if !label.values.contains(value) {
                label.values.insert(value.to_owned());
                label.value_bytes += value.len() as u64;
            }
            *self.pairs.entry((name.to_owned(), value.to_owned())).or_default() += 1;
        }
    }

    fn add_active(&mut self, metric_name: &str) {
        self.active += 1;
        self.metrics.entry(metric_name.to_owned()).or_default().active += 1;
    }
}

/// `/status/cardinality`.
pub(crate) fn cardinality(app: &Arc<App>, call: &Call) -> ApiResult {
    let form = &call.form;
    let time_ms = form.time("time")?.unwrap_or_else(|| app.parts.clock.now_ms());
    let window_ms = form.duration("window")?.unwrap_or(WINDOW_DEFAULT_MS);
    if window_ms < app.options.lookback_ms {
        return Err(ApiError::param("window", "the window must not be shorter than the lookback delta"));
    }
    let limit = if form.get("limit").is_empty() { LIMIT_DEFAULT } else { form.limit()? };
    let sort_by = match form.get("sort_by") {
        "" | "series" => SortBy::Series,
        "churn" => SortBy::Churn,
        "bytes" => SortBy::Bytes,
        other => {
            let cause = format!("not supported value {}", go_text::quoted(other));
            return Err(ApiError::param("sort_by", cause));
        }
    };
    let mut selectors =
        selector::parse_all(form.all("match[]")).map_err(|cause| ApiError::param("match[]", cause))?;
    if selectors.is_empty() {
        selectors.push(Vec::new());
    }
    let counts = count(app, call, &selectors, time_ms, window_ms)
        .map_err(|error| ApiError::storage(&error, ErrorType::Execution))?;
    Ok(Answer::data(move |out| write(out, &counts, time_ms, sort_by, limit)))
}

fn count(
    app: &App,
    call: &Call,
    selectors: &[Vec<Matcher>],
    time_ms: TimestampMs,
    window_ms: i64,
) -> Result<Counts, StorageError> {
    let mut counts = Counts::default();
    each_series(app, call, selectors, time_ms - window_ms, time_ms, |labels| counts.add(labels))?;
    let active_from = time_ms - app.options.lookback_ms + 1;
    each_series(app, call, selectors, active_from, time_ms, |labels| {
        counts.add_active(labels.metric_name())
    })?;
    Ok(counts)
}

/// Visits the series of the selectors, those that satisfy several once.
fn each_series(
    app: &App,
    call: &Call,
    selectors: &[Vec<Matcher>],
    mint: TimestampMs,
    maxt: TimestampMs,
    mut visit: impl FnMut(&Labels),
) -> Result<(), StorageError> {
    let querier = app.parts.storage.querier(mint, maxt)?;
    let hints = SelectHints::new(mint, maxt, &call.cancel);
    let mut known = HashSet::new();
    for matchers in selectors {
        let set: Box<dyn SeriesSet> = querier.select(matchers, &hints)?;
        for series in 0..set.len() {
            if series.is_multiple_of(SERIES_PER_LOOK) && call.cancel.is_cancelled() {
                return Err(StorageError::Cancelled);
            }
            let labels = set.labels(series);
            if selectors.len() == 1 || known.insert(labels.clone()) {
                visit(&labels);
            }
        }
    }
    Ok(())
}

/// The entries with the largest keys, from the largest down, equals by name.
fn largest<K: Ord, V>(entries: &HashMap<K, V>, limit: usize, key: impl Fn(&V) -> u64) -> Vec<(&K, &V)> {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by(|(name_a, a), (name_b, b)| key(b).cmp(&key(a)).then_with(|| name_a.cmp(name_b)));
    sorted.truncate(if limit == 0 { usize::MAX } else { limit });
    sorted
}

fn write(out: &mut JsonOut<'_>, counts: &Counts, time_ms: TimestampMs, sort_by: SortBy, limit: usize) {
    out.open_object();
    out.key("time").timestamp(time_ms);
    out.key("totals").open_object();
    out.key("series").integer(counts.series);
    out.key("activeSeries").integer(counts.active);
    out.key("churnedSeries").integer(counts.series.saturating_sub(counts.active));
    out.key("metricNames").integer(counts.metrics.keys().filter(|name| !name.is_empty()).count());
    out.key("labelNames").integer(counts.labels.len());
    out.key("labelPairs").integer(counts.pairs.len());
    out.key("labelBytes").integer(counts.label_bytes);
    out.close_object();
    let metric_key = |metric: &OfMetric| match sort_by {
        SortBy::Series => metric.series,
        SortBy::Churn => metric.churned(),
        SortBy::Bytes => metric.label_bytes,
    };
    out.key("byMetricName").open_array();
    for (name, metric) in largest(&counts.metrics, limit, metric_key) {
        out.open_object();
        out.key("name").string(name);
        out.key("series").integer(metric.series);
        out.key("active").integer(metric.active);
        out.key("churned").integer(metric.churned());
        out.key("labelBytes").integer(metric.label_bytes);
        out.close_object();
    }
    out.close_array();
    out.key("byLabelName").open_array();
    for (name, label) in largest(&counts.labels, limit, |label| label.values.len() as u64) {
        out.open_object();
        out.key("name").string(name);
        out.key("values").integer(label.values.len());
        out.key("series").integer(label.series);
        out.key("valueBytes").integer(label.value_bytes);
        out.close_object();
    }
    out.close_array();
    out.key("byLabelPair").open_array();
    let pairs = largest(&counts.pairs, limit, |series| *series);
    for ((name, value), series) in pairs {
        out.open_object();
        out.key("name").string(name);
        out.key("value").string(value);
        out.key("series").integer(*series);
        out.close_object();
    }
    out.close_array();
    out.close_object();
}
