//! `/format_query` and `/parse_query`: what the parser makes of a query.

use std::sync::Arc;

use promql::ast::Expr;

use crate::call::Call;
use crate::error::ApiError;
use crate::respond::{Answer, ApiResult};
use crate::server::App;

fn parsed(app: &App, call: &Call) -> Result<Expr, ApiError> {
    let features = &app.parts.engine.options().features;
    promql::parse::parse(call.form.get("query"), features).map_err(|cause| ApiError::param("query", cause))
}

/// `/format_query`: the query as the printer lays it out.
pub(crate) fn format_query(app: &Arc<App>, call: &Call) -> ApiResult {
    let text = promql::print::pretty(&parsed(app, call)?);
    Ok(Answer::data(move |out| out.string(&text)))
}

/// `/parse_query`: the syntax tree.
pub(crate) fn parse_query(app: &Arc<App>, call: &Call) -> ApiResult {
    let tree = promql::ast_json::to_json(&parsed(app, call)?);
    Ok(Answer::data(move |out| out.value(&tree)))
}
