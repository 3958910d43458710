//! Endpoints for those who run the server: is it alive, is it ready, reload, end.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Response, StatusCode};

use crate::call::Call;
use crate::json::to_vec;
use crate::respond::{redirect, text};
use crate::server::App;
use crate::v1::status::write_build_info;

/// `/`: leads to the page of queries.
pub(crate) fn root(app: &Arc<App>, _: &Call) -> Response<Body> {
    redirect(StatusCode::FOUND, &format!("{}/query", external_path(app)))
}

/// `/graph`: where the page of queries was in older versions.
pub(crate) fn graph(app: &Arc<App>, call: &Call) -> Response<Body> {
    let query = call.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    redirect(StatusCode::FOUND, &format!("{}/query{query}", external_path(app)))
}

/// The path under which clients see the server, without a slash at its end.
pub(crate) fn external_path(app: &App) -> &str {
    app.options.external_url.path().trim_end_matches('/')
}

/// `/-/healthy`: the process runs.
pub(crate) fn healthy(_: &Arc<App>, _: &Call) -> Response<Body> {
    text(StatusCode::OK, "Prometheus Server is Healthy.\n")
}

/// `/-/ready`: the gate before it says when not.
pub(crate) fn ready(_: &Arc<App>, _: &Call) -> Response<Body> {
    text(StatusCode::OK, "Prometheus Server is Ready.\n")
}

/// `/-/reload`: loads the configuration again.
pub(crate) fn reload(app: &Arc<App>, call: &Call) -> Response<Body> {
    if let Some(refusal) = lifecycle_refusal(app, call) {
        return refusal;
    }
    match app.parts.lifecycle.reload() {
        Ok(()) => Response::new(Body::empty()),
        Err(error) => crate::respond::plain_error(
            StatusCode::INTERNAL_SERVER_ERROR,
            &format!("failed to reload config: {error}"),
        ),
    }
}

/// `/-/quit`: ends the program.
pub(crate) fn quit(app: &Arc<App>, call: &Call) -> Response<Body> {
    if let Some(refusal) = lifecycle_refusal(app, call) {
        return refusal;
    }
    let first = app.parts.lifecycle.quit();
    let words = if first { "Requesting termination... Goodbye!" } else { "Termination already in progress." };
    text(StatusCode::OK, words)
}

fn lifecycle_refusal(app: &App, call: &Call) -> Option<Response<Body>> {
    if call.method == Method::GET {
        return Some(text(StatusCode::METHOD_NOT_ALLOWED, "Only POST or PUT requests allowed"));
    }
    let refused = !app.options.enable_lifecycle;
    refused.then(|| text(StatusCode::FORBIDDEN, "Lifecycle API is not enabled."))
}

/// `/version`.
pub(crate) fn version(app: &Arc<App>, _: &Call) -> Response<Body> {
    let mut body = to_vec(|out| write_build_info(out, &app.parts.build));
    body.push(b'\n');
    text(StatusCode::OK, body)
}
