//! `/metrics`: the program's own metrics.

use std::sync::Arc;

use axum::body::Body;
use http::Response;
use http::header::{CONTENT_ENCODING, HeaderValue};

use crate::call::Call;
use crate::compress::Encoding;
use crate::exposition::{Exposition, Format};
use crate::readiness::Phase;
use crate::respond::with_type;
use crate::server::App;

/// `/metrics`.
pub(crate) fn metrics(app: &Arc<App>, call: &Call) -> Response<Body> {
    app.metrics.ready.set(f64::from(u8::from(app.parts.readiness.phase() == Phase::Ready)));
    let format = Format::negotiate(&call.headers);
    let mut exposition = Exposition::new(format);
    app.parts.registry.gather().iter().for_each(|family| exposition.family(family));
    app.metrics.scrapes.with_label_values(&["200"]).inc();
    let text = exposition.finish().into_bytes();
    if Encoding::accepted(&call.headers) != Encoding::Gzip {
        return with_type(format.content_type(), text);
    }
    let mut response = with_type(format.content_type(), Encoding::Gzip.compress(text));
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
}
