//! `/metrics`: the program's own metrics.

use std::sync::Arc;

use axum::body::Body;
use http::Response;
use http::header::{CONTENT_ENCODING, HeaderValue};

use crate::call::Call;
use crate::compress::Encoding;
use crate::exposition::{Accepted, Delimited, Exposition, Format};
use crate::readiness::Phase;
use crate::respond::with_type;
use crate::server::App;

/// `/metrics`.
pub(crate) fn metrics(app: &Arc<App>, call: &Call) -> Response<Body> {
    app.metrics.ready.set(f64::from(u8::from(app.parts.readiness.phase() == Phase::Ready)));
    let offered = [Format::Text, Format::OpenMetrics, Format::Protobuf];
    let accepted = Accepted::of(&call.headers, &offered);
    let families = app.parts.registry.gather();
    app.metrics.scrapes.with_label_values(&["200"]).inc();
    let body = if accepted.format == Format::Protobuf {
        let mut messages = Delimited::new(accepted.names);
        families.iter().for_each(|family| messages.registered(family));
        messages.finish()
    } else {
        let mut exposition = Exposition::new(accepted);
        families.iter().for_each(|family| exposition.family(family));
        exposition.finish().into_bytes()
    };
    let encoding = Encoding::accepted(&call.headers);
    let mut response = with_type(accepted.content_type(), encoding.compress(body));
    if let Some(name) = encoding.name() {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}
