//! `/query`: an expression and its value.

use std::sync::Arc;

use axum::body::Body;
use http::Response;
use model::float_text;
use model::labels::Labels;
use model::storage::SampleValue;
use promql::engine::{QueryRequest, QueryResult};
use promql::value::Value;

use crate::call::Call;
use crate::server::App;

use super::html::Html;
use super::page;

/// Series shown; a page with more helps nobody.
const SERIES_MAX: usize = 1000;
/// Samples of a range vector shown for each series.
const SAMPLES_MAX: usize = 20;

/// The page of queries. `g0.expr`, as in links to the reference's page, or `expr` is the expression.
pub(crate) fn query(app: &Arc<App>, call: &Call) -> Response<Body> {
    let expr = [call.form.get("expr"), call.form.get("g0.expr")].into_iter().find(|expr| !expr.is_empty());
    page(app, call, "/query", |html| {
        html.raw(
            "<form method=\"get\"><input type=\"hidden\" name=\"plain\"><textarea name=\"expr\" rows=\"3\" autofocus aria-label=\"Expression\">",
        );
        html.text(expr.unwrap_or_default()).raw("</textarea><p><button>Execute</button></p></form>");
        let Some(expr) = expr else { return };
        let mut request = QueryRequest::instant(expr, app.parts.clock.now_ms());
        request.cancel = call.cancel.clone();
        request.origin = Some(call.origin());
        match app.parts.engine.query(&*app.parts.storage, &request) {
            Err(error) => {
                html.raw("<p class=\"err\">").text(&error.to_string()).raw("</p>");
            }
            Ok(result) => write_result(html, &request.query, &result),
        }
    })
}

fn write_result(html: &mut Html, query: &str, result: &QueryResult) {
    let annotations = &result.annotations;
    for text in annotations.warnings(query).iter().chain(&annotations.infos(query)) {
        html.raw("<p class=\"notice\">").text(text).raw("</p>");
    }
    html.open_table(&["Series", "Value"]);
    let shown = match &result.value {
        Value::Scalar { value, .. } => write_row(html, "scalar", &float_text::api(*value)),
        Value::String { value, .. } => write_row(html, "string", value),
        Value::Vector { samples, .. } => {
            for (labels, value) in samples.iter().take(SERIES_MAX) {
                write_row(html, &name(labels), &value_text(value));
            }
            samples.len()
        }
        Value::Matrix(series) => {
            for (labels, columns) in series.iter().take(SERIES_MAX) {
                let samples = columns.timestamps.iter().zip(&columns.values).rev().take(SAMPLES_MAX);
                let texts =
                    samples.map(|(at, value)| format!("{} @{}", float_text::api(*value), *at as f64 / 1e3));
                write_row(html, &name(labels), &texts.collect::<Vec<_>>().join("\n"));
            }
            series.len()
        }
        // The request is for one time, so that there is no grid of steps.
        Value::Range { .. } => 0,
    };
    html.close_table();
    if shown > SERIES_MAX {
        html.element("p", &format!("{} more series aren't shown", shown - SERIES_MAX));
    }
}

fn write_row(html: &mut Html, name: &str, value: &str) -> usize {
    html.raw("<tr><td><code>").text(name).raw("</code></td><td>").text(value).raw("</td></tr>");
    1
}

fn name(labels: &Labels) -> String {
    labels.as_metric().to_string()
}

fn value_text(value: &SampleValue) -> String {
    match value {
        SampleValue::Float(value) => float_text::api(*value),
        SampleValue::Histogram(histogram) => format!(
            "native histogram: count {}, sum {}",
            float_text::api(histogram.count),
            float_text::api(histogram.sum)
        ),
    }
}
