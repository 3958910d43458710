//! `/read`: remote read.

use std::sync::Arc;

use http::StatusCode;
use http::header::{CONTENT_ENCODING, HeaderValue};
use remote::read::{Answer, Refusal};

use crate::call::Call;
use crate::respond::{plain_error, with_type};
use crate::server::App;
use crate::stream::Outlet;

/// What frames of chunks are.
const STREAMED: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";

/// `/read`.
pub(crate) fn read(app: &Arc<App>, call: &Call, mut outlet: Outlet) {
    let external = app.parts.config.external_labels();
    let answer = app.parts.read_server.read(&call.upload, &external, &call.cancel);
    let refused = match answer {
        Ok(Answer::Samples(body)) => {
            let mut response = with_type("application/x-protobuf", body);
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
            return outlet.whole(response);
        }
        Ok(Answer::Chunks(stream)) => match stream.write(&mut |frame| outlet.send(STREAMED, frame)) {
            Ok(()) => return outlet.end(STREAMED),
            Err(error) => Refusal::from(error),
        },
        Err(refusal) => refusal,
    };
    let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    outlet.fail(plain_error(status, &refused.message), refused.message);
}
