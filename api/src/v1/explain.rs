//! `/explain`: how a query is evaluated. The reference has no such endpoint.
//!
//! It takes the parameters of `/query`, or those of `/query_range` if `start` is among them. With
//! `analyze=true` the query is run, and each operator tells what it did.

use std::sync::Arc;

use promql::engine::StatsLevel;

use crate::call::Call;
use crate::error::{ApiError, ErrorType};
use crate::go_text;
use crate::respond::{Answer, ApiResult};
use crate::server::App;

use super::query::{instant_request, query_error, range_request};

/// `/explain`.
pub(crate) fn explain(app: &Arc<App>, call: &Call) -> ApiResult {
    let is_range = !call.form.get("start").is_empty();
    let mut request = if is_range { range_request(call)? } else { instant_request(app, call)? };
    let analyze = match call.form.get("analyze") {
        "" => false,
        text => go_text::parse_bool(text).map_err(|cause| ApiError::param("analyze", cause))?,
    };
    let plan = if analyze {
        request.stats = StatsLevel::Analyse;
        let result = app.parts.engine.query(&*app.parts.storage, &request).map_err(query_error)?;
        result.stats.plan.ok_or_else(|| ApiError::new(ErrorType::Internal, "the query ran without a plan"))?
    } else {
        app.parts.engine.explain(&request).map_err(query_error)?
    };
    let text = plan.to_string();
    let tree = serde_json::to_value(&plan).map_err(|error| ApiError::new(ErrorType::Internal, error))?;
    Ok(Answer::data(move |out| {
        out.open_object();
        out.key("text").string(&text);
        out.key("plan").value(&tree);
        out.close_object();
    }))
}
