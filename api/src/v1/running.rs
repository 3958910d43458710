//! `/status/queries` and `/admin/queries/cancel`: the queries that run, and ending one. Beyond the reference.

use std::sync::Arc;

use promql::engine::QueryTime;

use crate::call::Call;
use crate::error::{ApiError, ErrorType};
use crate::go_text;
use crate::json::JsonOut;
use crate::respond::{Answer, ApiResult};
use crate::running::RunningQuery;
use crate::server::App;

use super::admin::refuse_unless_enabled;

/// `/status/queries`: queries that clients wait for, the oldest first.
pub(crate) fn queries(app: &Arc<App>, _: &Call) -> ApiResult {
    let now_ms = app.parts.clock.now_ms();
    let running = app.running.all();
    Ok(Answer::data(move |out| {
        out.open_array();
        for (id, query) in &running {
            write_query(out, *id, query, now_ms);
        }
        out.close_array();
    }))
}

/// `/admin/queries/cancel`: ends the query whose number is the parameter `id`.
pub(crate) fn cancel(app: &Arc<App>, call: &Call) -> ApiResult {
    refuse_unless_enabled(app)?;
    let text = call.form.get("id");
    let id = text.parse().map_err(|_| {
        ApiError::param("id", format!("cannot parse {} to the number of a query", go_text::quoted(text)))
    })?;
    if app.running.cancel(id) {
        return Ok(Answer::nothing());
    }
    Err(ApiError::new(ErrorType::NotFound, format!("no query with number {id} is running")))
}

fn write_query(out: &mut JsonOut<'_>, id: u64, query: &RunningQuery, now_ms: i64) {
    out.open_object();
    out.key("id").integer(id);
    out.key("query").string(&query.query);
    match query.time {
        QueryTime::Instant { at_ms } => {
            out.key("time").timestamp(at_ms);
        }
        QueryTime::Range { start_ms, end_ms, step_ms } => {
            out.key("start").timestamp(start_ms);
            out.key("end").timestamp(end_ms);
            out.key("step").timestamp(step_ms);
        }
    }
    out.key("client").string(&query.client);
    out.key("begun").timestamp(query.begun_ms);
    out.key("runningSeconds").float((now_ms - query.begun_ms).max(0) as f64 / 1e3);
    out.close_object();
}
