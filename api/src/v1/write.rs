//! `/write`: remote write.

use std::sync::Arc;

use axum::body::Body;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use remote::write::Headers;

use crate::call::Call;
use crate::respond::plain_error;
use crate::server::App;

/// How much of a request was stored: samples, histograms, exemplars.
const WRITTEN: [HeaderName; 3] = [
    HeaderName::from_static("x-prometheus-remote-write-samples-written"),
    HeaderName::from_static("x-prometheus-remote-write-histograms-written"),
    HeaderName::from_static("x-prometheus-remote-write-exemplars-written"),
];

/// `/write`.
pub(crate) fn write(app: &Arc<App>, call: &Call) -> Response<Body> {
    let Some(receiver) = &app.parts.write_receiver else {
        let what = "remote write receiver needs to be enabled with --web.enable-remote-write-receiver";
        return plain_error(StatusCode::NOT_FOUND, what);
    };
    let header = |name| call.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let headers =
        Headers { content_type: header(&CONTENT_TYPE), content_encoding: header(&CONTENT_ENCODING) };
    let outcome = receiver.receive(headers, &call.upload);
    let status = StatusCode::from_u16(outcome.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = if status.is_success() {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response
    } else {
        plain_error(status, &outcome.message)
    };
    for (name, count) in WRITTEN.iter().zip(outcome.written.into_iter().flatten()) {
        response.headers_mut().insert(name, HeaderValue::from(count));
    }
    if let Some(secs) = outcome.retry_after_secs {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(secs));
    }
    response
}
