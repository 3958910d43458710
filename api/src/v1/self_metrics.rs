//! `/status/self_metrics`: the program's own metrics as JSON, in the notation that protobuf's JSON mapping
//! gives `io.prometheus.client.MetricFamily`: 64-bit integers are strings, and so are NaN and the infinities.

use std::sync::Arc;

use model::regex::AnchoredRegex;
use prometheus::proto::{Metric, MetricFamily, MetricType};

use crate::call::Call;
use crate::error::ApiError;
use crate::json::JsonOut;
use crate::respond::{Answer, ApiResult};
use crate::server::App;

/// `/status/self_metrics`.
pub(crate) fn self_metrics(app: &Arc<App>, call: &Call) -> ApiResult {
    let pattern = match call.form.get("metric_name_pattern") {
        "" => None,
        text => {
            Some(AnchoredRegex::new(text).map_err(|cause| ApiError::param("metric_name_pattern", cause))?)
        }
    };
    let mut families = app.parts.registry.gather();
    families.retain(|family| pattern.as_ref().is_none_or(|pattern| pattern.is_match(family.name())));
    Ok(Answer::data(move |out| {
        out.open_array();
        families.iter().for_each(|family| write_family(out, family));
        out.close_array();
    }))
}

fn write_family(out: &mut JsonOut<'_>, family: &MetricFamily) {
    let kind = family.get_field_type();
    out.open_object();
    out.key("name").string(family.name());
    out.key("help").string(family.help());
    out.key("type").string(match kind {
        MetricType::COUNTER => "COUNTER",
        MetricType::GAUGE => "GAUGE",
        MetricType::SUMMARY => "SUMMARY",
        MetricType::HISTOGRAM => "HISTOGRAM",
        MetricType::UNTYPED => "UNTYPED",
    });
    out.key("metric").open_array();
    family.get_metric().iter().for_each(|metric| write_metric(out, kind, metric));
    out.close_array();
    out.close_object();
}

fn write_metric(out: &mut JsonOut<'_>, kind: MetricType, metric: &Metric) {
    out.open_object();
    if !metric.get_label().is_empty() {
        out.key("label").open_array();
        for pair in metric.get_label() {
            out.open_object();
            out.key("name").string(pair.name());
            out.key("value").string(pair.value());
            out.close_object();
        }
        out.close_array();
    }
    match kind {
        MetricType::COUNTER => write_value(out, "counter", metric.get_counter().get_value()),
        MetricType::GAUGE => write_value(out, "gauge", metric.get_gauge().get_value()),
        MetricType::SUMMARY => write_summary(out, metric),
        MetricType::HISTOGRAM => write_histogram(out, metric),
        // The registry has no untyped metrics.
        MetricType::UNTYPED => {}
    }
    out.close_object();
}

fn write_value(out: &mut JsonOut<'_>, key: &'static str, value: f64) {
    out.key(key).open_object();
    number(out.key("value"), value);
    out.close_object();
}

fn write_summary(out: &mut JsonOut<'_>, metric: &Metric) {
    let summary = metric.get_summary();
    out.key("summary").open_object();
    out.key("sampleCount").string(&summary.sample_count().to_string());
    number(out.key("sampleSum"), summary.sample_sum());
    if !summary.get_quantile().is_empty() {
        out.key("quantile").open_array();
        for quantile in summary.get_quantile() {
            out.open_object();
            number(out.key("quantile"), quantile.quantile());
            number(out.key("value"), quantile.value());
            out.close_object();
        }
        out.close_array();
    }
    out.close_object();
}

fn write_histogram(out: &mut JsonOut<'_>, metric: &Metric) {
    let histogram = metric.get_histogram();
    out.key("histogram").open_object();
    out.key("sampleCount").string(&histogram.get_sample_count().to_string());
    number(out.key("sampleSum"), histogram.get_sample_sum());
    out.key("bucket").open_array();
    for bucket in histogram.get_bucket() {
        out.open_object();
        out.key("cumulativeCount").string(&bucket.cumulative_count().to_string());
        number(out.key("upperBound"), bucket.upper_bound());
        out.close_object();
    }
    out.close_array();
    out.close_object();
}

fn number(out: &mut JsonOut<'_>, value: f64) {
    match value {
        value if value.is_nan() => out.string("NaN"),
        f64::INFINITY => out.string("Infinity"),
        f64::NEG_INFINITY => out.string("-Infinity"),
        value => out.float(value),
    }
}
