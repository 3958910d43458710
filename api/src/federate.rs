//! `/federate`: the newest sample of each selected series, for another server to scrape.
//!
//! Only the local storage is read: what is federated must be this server's own. Families are told apart by
//! name and kind; floats have no type. Native histograms can't be written as text and are left out; those
//! with custom bounds become classic ones.

use std::sync::Arc;

use axum::body::Body;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use http::{HeaderMap, Response, StatusCode};
use model::histogram::FloatHistogram;
use model::labels::{Labels, METRIC_NAME};
use model::storage::{SampleValue, SelectHints, StorageError};
use model::time::TimestampMs;
use model::value::is_stale_nan;

use crate::call::Call;
use crate::compress::{COMPRESSED_BYTES_MIN, Encoding};
use crate::exposition::{Exposition, Format, Names};
use crate::respond::{plain_error, with_type};
use crate::selector;
use crate::server::App;

/// The label that a series without an instance gets, empty, so that the federating server doesn't add its own.
const INSTANCE: &str = "instance";

/// A series and its newest sample.
struct Newest {
    labels: Labels,
    timestamp_ms: TimestampMs,
    value: SampleValue,
}

/// `/federate`.
pub(crate) fn federate(app: &Arc<App>, call: &Call) -> Response<Body> {
    let selectors = match selector::parse_all(call.form.all("match[]")) {
        Ok(selectors) => selectors,
        Err(cause) => return plain_error(StatusCode::BAD_REQUEST, &cause),
    };
    let newest = match newest(app, call, &selectors) {
        Ok(newest) => newest,
        Err(error) => {
            app.metrics.federation_errors.inc();
            let status = match error {
                StorageError::NotReady => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            return plain_error(status, &error.to_string());
        }
    };
    let names = accepted_names(&call.headers);
    let text = write(&newest, &app.parts.config.external_labels(), names).into_bytes();
    let encoding = match Encoding::accepted(&call.headers) {
        _ if text.len() < COMPRESSED_BYTES_MIN => Encoding::Identity,
        accepted => accepted,
    };
    let mut response = with_type(Format::Text.content_type(), encoding.compress(text));
    if names == Names::Quoted {
        let content_type = "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8";
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(name) = encoding.name() {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

/// Whether the client takes names of any kind, as `escaping=allow-utf-8` says.
fn accepted_names(headers: &HeaderMap) -> Names {
    let mut lists = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let says_so =
        |entry: &str| entry.trim_start().starts_with("text/plain") && entry.contains("escaping=allow-utf-8");
    if lists.any(|list| list.split(',').any(says_so)) { Names::Quoted } else { Names::Underscored }
}

/// The newest samples within the lookback, sorted by metric name.
fn newest(
    app: &App,
    call: &Call,
    selectors: &[Vec<model::matcher::Matcher>],
) -> Result<Vec<Newest>, StorageError> {
    let maxt = app.parts.clock.now_ms();
    let mint = maxt - app.options.lookback_ms + 1;
    let querier = app.parts.local_storage.querier(mint, maxt)?;
    let hints = SelectHints::new(mint, maxt, &call.cancel);
    let mut found = Vec::new();
    for matchers in selectors {
        let set = querier.select(matchers, &hints)?;
        for series in 0..set.len() {
            let Some((timestamp_ms, value)) = set.last(series, mint, maxt)? else { continue };
            let is_stale = match &value {
                SampleValue::Float(value) => is_stale_nan(*value),
                SampleValue::Histogram(histogram) => histogram.is_stale(),
            };
            if !is_stale {
                found.push(Newest { labels: set.labels(series), timestamp_ms, value });
            }
        }
    }
    found.sort_by(|a, b| (a.labels.metric_name(), &a.labels).cmp(&(b.labels.metric_name(), &b.labels)));
    found.dedup_by(|a, b| a.labels == b.labels);
    Ok(found)
}

fn write(newest: &[Newest], external: &Labels, names: Names) -> String {
    let mut exposition = Exposition::new(Format::Text).with_names(names);
    let mut family = ("", false);
    for sample in newest {
        let name = sample.labels.metric_name();
        let is_classic = match &sample.value {
            SampleValue::Float(_) => false,
            SampleValue::Histogram(histogram) if histogram.has_custom_buckets() => true,
            SampleValue::Histogram(_) => continue,
        };
        if name.is_empty() {
            continue;
        }
        if family != (name, is_classic) {
            family = (name, is_classic);
            exposition.kind(name, if is_classic { "histogram" } else { "untyped" });
        }
        let labels = told_labels(&sample.labels, external);
        match &sample.value {
            SampleValue::Float(value) => {
                exposition.line(name, "", labels.iter().copied(), *value, Some(sample.timestamp_ms));
            }
            SampleValue::Histogram(histogram) => {
                write_classic(&mut exposition, name, &labels, histogram, sample.timestamp_ms);
            }
        }
    }
    exposition.finish()
}

/// The labels of a series without its name, then external ones that it lacks; an instance that nobody has is
/// an empty external one.
fn told_labels<'a>(labels: &'a Labels, external: &'a Labels) -> Vec<(&'a str, &'a str)> {
    let mut lacking: Vec<_> = external.iter().filter(|(name, _)| !labels.has(name)).collect();
    if !labels.has(INSTANCE) && !external.has(INSTANCE) {
        let at = lacking.partition_point(|(name, _)| *name < INSTANCE);
        lacking.insert(at, (INSTANCE, ""));
    }
    labels.iter().filter(|(name, _)| *name != METRIC_NAME).chain(lacking).collect()
}

/// Writes a histogram with custom bounds as a classic one.
fn write_classic(
    exposition: &mut Exposition,
    name: &str,
    labels: &[(&str, &str)],
    histogram: &FloatHistogram,
    timestamp_ms: TimestampMs,
) {
    let at = Some(timestamp_ms);
    let mut counts = vec![0.0; histogram.custom_values.len()];
    let mut index = 0_usize;
    let mut buckets = histogram.positive_buckets.iter();
    for span in &histogram.positive_spans {
        index = index.saturating_add_signed(span.offset as isize);
        for count in buckets.by_ref().take(span.length as usize) {
            if let Some(slot) = counts.get_mut(index) {
                *slot += count;
            }
            index += 1;
        }
    }
    let mut cumulative = 0.0;
    for (bound, count) in histogram.custom_values.iter().zip(counts) {
        cumulative += count;
        let bound = model::float_text::general(*bound);
        let labels = labels.iter().copied().chain([("le", bound.as_str())]);
        exposition.line(name, "_bucket", labels, cumulative, at);
    }
    let all = labels.iter().copied().chain([("le", "+Inf")]);
    exposition.line(name, "_bucket", all, histogram.count, at);
    exposition.line(name, "_sum", labels.iter().copied(), histogram.sum, at);
    exposition.line(name, "_count", labels.iter().copied(), histogram.count, at);
}
