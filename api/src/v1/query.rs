//! `/query` and `/query_range`.

use std::sync::Arc;
use std::time::Duration;

use promql::engine::{QueryError, QueryRequest, QueryResult, QueryStats, StatsLevel};
use promql::value::Value;

use crate::call::Call;
use crate::error::{ApiError, ErrorType};
use crate::go_text;
use crate::json::{JsonOut, write_query_value};
use crate::params::{Form, nanos_to_millis, parse_duration, parse_time};
use crate::respond::{Answer, ApiResult};
use crate::running::RunningQuery;
use crate::server::App;

use super::TRUNCATED;

/// The most steps of a range query, beside the first.
const STEPS_MAX: i64 = 11_000;
/// The most annotations of a level that are told.
const ANNOTATIONS_MAX: usize = 10;

/// `/query`: a query at one time.
pub(crate) fn instant(app: &Arc<App>, call: &Call) -> ApiResult {
    let limit = call.form.limit()?;
    let request = instant_request(app, call)?;
    run(app, call, &request, limit)
}

/// `/query_range`: a query at every step of a range of time.
pub(crate) fn range(app: &Arc<App>, call: &Call) -> ApiResult {
    let limit = call.form.limit()?;
    let request = range_request(call)?;
    run(app, call, &request, limit)
}

/// The query that the parameters of `/query` ask for.
pub(super) fn instant_request(app: &App, call: &Call) -> Result<QueryRequest, ApiError> {
    let at_ms = call.form.time("time")?.unwrap_or_else(|| app.parts.clock.now_ms());
    with_shared_parameters(call, QueryRequest::instant(call.form.get("query"), at_ms))
}

/// The query that the parameters of `/query_range` ask for.
pub(super) fn range_request(call: &Call) -> Result<QueryRequest, ApiError> {
    let form = &call.form;
    let time = |name| parse_time(form.get(name)).map_err(|cause| ApiError::param(name, cause));
    let start_ms = time("start")?;
    let end_ms = time("end")?;
    if end_ms < start_ms {
        return Err(ApiError::param("end", "end timestamp must not be before start time"));
    }
    let step_nanos = parse_duration(form.get("step")).map_err(|cause| ApiError::param("step", cause))?;
    if step_nanos <= 0 {
        return Err(ApiError::param(
            "step",
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ));
    }
    let range_nanos = i128::from(end_ms - start_ms) * 1_000_000;
    if range_nanos / i128::from(step_nanos) > i128::from(STEPS_MAX) {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query \
             resolution (?step=XX)",
        ));
    }
    // Steps are whole milliseconds; shorter ones than one there can't be.
    let step_ms = nanos_to_millis(step_nanos).max(1);
    with_shared_parameters(call, QueryRequest::range(form.get("query"), start_ms, end_ms, step_ms))
}

/// Adds the parameters that both kinds of queries have.
fn with_shared_parameters(call: &Call, mut request: QueryRequest) -> Result<QueryRequest, ApiError> {
    request.timeout = timeout(&call.form)?;
    request.lookback_delta_ms = lookback(&call.form)?;
    request.cancel = call.cancel.clone();
    request.origin = Some(call.origin());
    request.stats = stats_level(call.form.get("stats")).0.unwrap_or_default();
    Ok(request)
}

/// Evaluates a query.
fn run(app: &App, call: &Call, request: &QueryRequest, limit: usize) -> ApiResult {
    let (stats, stats_warning) = stats_level(call.form.get("stats"));
    if let Ok(expr) = app.parts.engine.parse(&request.query) {
        app.usage.record(&expr, app.parts.clock.now_ms());
    }
    let listed = app.running.list(RunningQuery {
        query: request.query.clone(),
        time: request.time,
        client: call.client.map(|address| address.to_string()).unwrap_or_default(),
        begun_ms: app.parts.clock.now_ms(),
        cancel: request.cancel.clone(),
    });
    let QueryResult { mut value, annotations, stats: counted } =
        app.parts.engine.query(&*app.parts.storage, request).map_err(query_error)?;
    drop(listed);
    let mut warnings = capped(annotations.warnings(&request.query), "warning");
    let infos = capped(annotations.infos(&request.query), "info");
    if truncate(&mut value, limit) {
        warnings.push(TRUNCATED.to_owned());
    }
    warnings.extend(stats_warning);
    let data = move |out: &mut JsonOut<'_>| {
        out.open_object();
        write_query_value(out, value);
        if stats.is_some() {
            write_stats(out, &counted);
        }
        out.close_object();
    };
    Ok(Answer { data: Some(Box::new(data)), warnings, infos })
}

/// The parameter `timeout`. A negative one has passed already, as zero has.
fn timeout(form: &Form) -> Result<Option<Duration>, ApiError> {
    let millis = form.duration("timeout")?;
    Ok(millis.map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or(0))))
}

/// The parameter `lookback_delta` in milliseconds; only a positive one counts.
fn lookback(form: &Form) -> Result<Option<i64>, ApiError> {
    let text = form.get("lookback_delta");
    if text.is_empty() {
        return Ok(None);
    }
    let nanos = parse_duration(text)
        .map_err(|cause| ApiError::bad_data(format!("error parsing lookback delta duration: {cause}")))?;
    Ok(Some(nanos_to_millis(nanos)).filter(|millis| *millis > 0))
}

/// Which statistics the parameter `stats` asks for, and a warning if it does so in a way that will go.
fn stats_level(text: &str) -> (Option<StatsLevel>, Option<String>) {
    match text {
        "" => (None, None),
        "true" => (Some(StatsLevel::Basic), None),
        "all" => (Some(StatsLevel::All), None),
        other => {
            let warning = format!(
                "value {} for parameter \"stats\" is deprecated and will be rejected in the next major \
                 release, use \"true\" or \"all\"",
                go_text::quoted(other)
            );
            (Some(StatsLevel::Basic), Some(warning))
        }
    }
}

/// The first annotations, and how many more there are.
fn capped(mut texts: Vec<String>, level: &str) -> Vec<String> {
    if texts.len() > ANNOTATIONS_MAX {
        let more = texts.len() - ANNOTATIONS_MAX;
        texts.truncate(ANNOTATIONS_MAX);
        texts.push(format!("{more} more {level} annotations omitted"));
    }
    texts
}

/// Cuts the series of a value at `limit` (0: no limit). Returns whether any were cut.
fn truncate(value: &mut Value, limit: usize) -> bool {
    fn cut<T>(list: &mut Vec<T>, limit: usize) -> bool {
        let is_long = list.len() > limit;
        list.truncate(limit);
        is_long
    }
    match value {
        _ if limit == 0 => false,
        Value::Vector { samples, .. } => cut(samples, limit),
        Value::Matrix(series) => cut(series, limit),
        Value::Range { series, .. } => cut(series, limit),
        Value::Scalar { .. } | Value::String { .. } => false,
    }
}

/// The error of a query as clients see it.
pub(crate) fn query_error(error: QueryError) -> ApiError {
    match &error {
        QueryError::Parse(cause) | QueryError::InvalidParameter(cause) => ApiError::param("query", cause),
        QueryError::Timeout(_) => ApiError::new(ErrorType::Timeout, error),
        QueryError::Canceled(_) => ApiError::new(ErrorType::Canceled, error),
        QueryError::Storage(cause) => {
            let kind = ApiError::storage(cause, ErrorType::Internal).kind;
            ApiError::new(kind, error)
        }
        QueryError::Execution(_) | QueryError::TooManySamples(_) | QueryError::Memory(_) => {
            ApiError::new(ErrorType::Execution, error)
        }
    }
}

fn write_stats(out: &mut JsonOut<'_>, stats: &QueryStats) {
    let timings = &stats.timings;
    out.key("stats").open_object();
    out.key("timings").open_object();
    out.key("evalTotalTime").float(timings.eval_total.as_secs_f64());
    out.key("resultSortTime").float(timings.result_sort.as_secs_f64());
    out.key("queryPreparationTime").float(timings.prepare.as_secs_f64());
    out.key("innerEvalTime").float(timings.inner_eval.as_secs_f64());
    out.key("execQueueTime").float(timings.queue.as_secs_f64());
    out.key("execTotalTime").float(timings.exec_total.as_secs_f64());
    out.close_object();
    out.key("samples").open_object();
    if !stats.samples_per_step.is_empty() {
        out.key("totalQueryableSamplesPerStep").open_array();
        for (at_ms, samples) in &stats.samples_per_step {
            out.open_array();
            out.timestamp(*at_ms);
            out.integer(*samples);
            out.close_array();
        }
        out.close_array();
    }
    out.key("totalQueryableSamples").integer(stats.samples_total);
    out.key("samplesRead").integer(stats.samples_read);
    out.key("peakSamples").integer(stats.samples_peak);
    out.close_object();
    out.close_object();
}
