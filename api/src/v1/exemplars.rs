//! `/query_exemplars`: exemplars of the series that an expression selects.

use std::sync::Arc;

use crate::call::Call;
use crate::error::{ApiError, ErrorType};
use crate::json::JsonOut;
use crate::params::{MAX_TIME_MS, MIN_TIME_MS};
use crate::respond::{Answer, ApiResult};
use crate::server::App;
use crate::state::SeriesExemplars;
use crate::usage::collect_selectors;

/// `/query_exemplars`.
pub(crate) fn query_exemplars(app: &Arc<App>, call: &Call) -> ApiResult {
    let (mint, maxt) = call.form.time_range(MIN_TIME_MS, MAX_TIME_MS)?;
    if maxt < mint {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let features = &app.parts.engine.options().features;
    let expr = promql::parse::parse(call.form.get("query"), features).map_err(ApiError::bad_data)?;
    let mut selectors = Vec::new();
    collect_selectors(&expr, &mut selectors);
    let wanted: Vec<_> = selectors.into_iter().map(<[_]>::to_vec).collect();
    if wanted.is_empty() {
        return Ok(Answer::nothing());
    }
    let found = app
        .parts
        .exemplars
        .exemplars(mint, maxt, &wanted)
        .map_err(|error| ApiError::storage(&error, ErrorType::Execution))?;
    Ok(Answer::data(move |out| {
        out.open_array();
        for series in &found {
            write_series(out, series);
            if out.is_broken() {
                return;
            }
        }
        out.close_array();
    }))
}

fn write_series(out: &mut JsonOut<'_>, series: &SeriesExemplars) {
    out.open_object();
    out.key("seriesLabels").labels(&series.series);
    out.key("exemplars").open_array();
    for exemplar in &series.exemplars {
        out.open_object();
        out.key("labels").labels(&exemplar.labels);
        out.key("value").float_string(exemplar.value);
        out.key("timestamp").timestamp(exemplar.timestamp_ms.unwrap_or_default());
        out.close_object();
    }
    out.close_array();
    out.close_object();
}
