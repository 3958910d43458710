//! `/otlp/v1/metrics`: metrics of OpenTelemetry's.

use std::sync::Arc;

use axum::body::Body;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use remote::otlp::Headers;

use crate::call::Call;
use crate::respond::{plain_error, with_type};
use crate::server::App;

/// `/otlp/v1/metrics`.
pub(crate) fn metrics(app: &Arc<App>, call: &Call) -> Response<Body> {
    let Some(receiver) = &app.parts.otlp_receiver else {
        let what = "otlp write receiver needs to be enabled with --web.enable-otlp-receiver";
        return plain_error(StatusCode::NOT_FOUND, what);
    };
    let header = |name| call.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let headers =
        Headers { content_type: header(&CONTENT_TYPE), content_encoding: header(&CONTENT_ENCODING) };
    let outcome = receiver.receive(headers, &call.upload);
    let status = StatusCode::from_u16(outcome.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = if status.is_success() {
        with_type(outcome.content_type, outcome.body)
    } else {
        plain_error(status, &outcome.body)
    };
    if let Some(secs) = outcome.retry_after_secs {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(secs));
    }
    response
}
