//! `/federate`: the newest sample of each selected series, for another server to scrape.
//!
//! Only the local storage is read: what is federated must be this server's own. Families are told apart by
//! name and kind; floats have no type. Native histograms are written as protobuf alone, for clients that ask for
//! it; those with custom bounds become classic ones.

use std::sync::Arc;

use axum::body::Body;
use http::header::{CONTENT_ENCODING, HeaderValue, VARY};
use http::{Response, StatusCode};
use model::histogram::{CounterResetHint, FloatHistogram};
use model::labels::{Labels, METRIC_NAME};
use model::storage::{SampleValue, SelectHints, StorageError};
use model::time::TimestampMs;
use model::value::is_stale_nan;

use crate::call::Call;
use crate::compress::{COMPRESSED_BYTES_MIN, Encoding};
use crate::exposition::{Accepted, Delimited, Exposition, Format, Kind, Names, Value};
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
    let accepted = Accepted::of(&call.headers, &[Format::Text, Format::Protobuf]);
    let external = app.parts.config.external_labels();
    let body = match accepted.format {
        Format::Protobuf => write_protobuf(&newest, &external, accepted.names),
        _ => write_text(&newest, &external, accepted).into_bytes(),
    };
    let encoding = match Encoding::accepted(&call.headers) {
        _ if body.len() < COMPRESSED_BYTES_MIN => Encoding::Identity,
        accepted => accepted,
    };
    let mut response = with_type(accepted.content_type(), encoding.compress(body));
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(name) = encoding.name() {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
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

impl Newest {
    /// The family that the sample belongs to; a name can have several.
    fn family(&self) -> (&str, Kind) {
        let kind = match &self.value {
            SampleValue::Float(_) => Kind::Untyped,
            SampleValue::Histogram(h) if h.counter_reset_hint == CounterResetHint::Gauge => {
                Kind::GaugeHistogram
            }
            SampleValue::Histogram(_) => Kind::Histogram,
        };
        (self.labels.metric_name(), kind)
    }
}

/// The families of samples that are sorted by name; samples without a name have none.
fn families(newest: &[Newest]) -> impl Iterator<Item = &[Newest]> {
    newest
        .chunk_by(|a, b| a.family() == b.family())
        .filter(|family| !family[0].labels.metric_name().is_empty())
}

fn write_text(newest: &[Newest], external: &Labels, accepted: Accepted) -> String {
    let mut exposition = Exposition::new(accepted);
    for family in families(newest) {
        let mut begun = false;
        for sample in family {
            let (name, labels) = (sample.labels.metric_name(), told_labels(&sample.labels, external));
            let is_custom = match &sample.value {
                SampleValue::Float(_) => false,
                SampleValue::Histogram(histogram) if histogram.has_custom_buckets() => true,
                SampleValue::Histogram(_) => continue,
            };
            if !std::mem::replace(&mut begun, true) {
                exposition.kind(name, if is_custom { "histogram" } else { "untyped" });
            }
            match &sample.value {
                SampleValue::Float(value) => {
                    exposition.line(name, "", labels.iter().copied(), *value, Some(sample.timestamp_ms));
                }
                SampleValue::Histogram(histogram) => {
                    write_classic(&mut exposition, name, &labels, histogram, sample.timestamp_ms);
                }
            }
        }
    }
    exposition.finish()
}

fn write_protobuf(newest: &[Newest], external: &Labels, names: Names) -> Vec<u8> {
    let mut messages = Delimited::new(names);
    for family in families(newest) {
        let (name, kind) = family[0].family();
        messages.begin(name, "", kind);
        for sample in family {
            let labels = told_labels(&sample.labels, external);
            let (labels, at) = (labels.into_iter(), Some(sample.timestamp_ms));
            match &sample.value {
                SampleValue::Float(value) => messages.metric(labels, Value::Number(kind, *value), at),
                SampleValue::Histogram(histogram) if histogram.has_custom_buckets() => {
                    let buckets = &cumulative_buckets(histogram);
                    let (count, sum) = (histogram.count, histogram.sum);
                    messages.metric(labels, Value::Classic { count, sum, buckets }, at);
                }
                SampleValue::Histogram(histogram) => messages.metric(labels, Value::Native(histogram), at),
            }
        }
        messages.end();
    }
    messages.finish()
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
    for (bound, cumulative) in cumulative_buckets(histogram) {
        let bound = model::float_text::general(bound);
        let labels = labels.iter().copied().chain([("le", bound.as_str())]);
        exposition.line(name, "_bucket", labels, cumulative, at);
    }
    let all = labels.iter().copied().chain([("le", "+Inf")]);
    exposition.line(name, "_bucket", all, histogram.count, at);
    exposition.line(name, "_sum", labels.iter().copied(), histogram.sum, at);
    exposition.line(name, "_count", labels.iter().copied(), histogram.count, at);
}

/// The upper bounds of a histogram with custom buckets, with how many observations are below each.
fn cumulative_buckets(histogram: &FloatHistogram) -> Vec<(f64, f64)> {
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
    let sums = counts.into_iter().map(|count| {
        cumulative += count;
        cumulative
    });
    histogram.custom_values.iter().copied().zip(sums).collect()
}
