//! From what a handler gives back to an HTTP response.
//!
//! The handler and the encoder run on a thread that may block; the reactor waits for the first piece. An
//! answer that fits into one piece becomes a response with its length; a longer one is sent piece by piece
//! through a short channel, so that the encoder is never far ahead of the client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Frame;
use model::cancel::Cancel;
use tokio::sync::{mpsc, oneshot};

use crate::call::Call;
use crate::compress::{COMPRESSED_BYTES_MIN, Compressor, Encoding};
use crate::envelope;
use crate::error::{ApiError, ErrorType};
use crate::json::{JsonOut, Sink};
use crate::server::App;

/// How many pieces may wait for the client.
const PIECES_AHEAD: usize = 4;

/// Writes an answer's data.
pub(crate) type WriteData = Box<dyn FnOnce(&mut JsonOut<'_>) + Send>;
/// What a handler of the API gives back.
pub(crate) type ApiResult = Result<Answer, ApiError>;
/// A handler of the API.
pub(crate) type ApiHandler = fn(&Arc<App>, &Call) -> ApiResult;

/// A success.
#[derive(Default)]
pub(crate) struct Answer {
    /// Writes the data; without it the response is an empty 204.
    pub data: Option<WriteData>,
    /// What may be wrong with the data.
    pub warnings: Vec<String>,
    /// What may be wrong with the question.
    pub infos: Vec<String>,
}

impl Answer {
    /// An answer with data.
    pub(crate) fn data(write: impl FnOnce(&mut JsonOut<'_>) + Send + 'static) -> Answer {
        Answer { data: Some(Box::new(write)), ..Answer::default() }
    }

    /// An answer without anything.
    pub(crate) fn nothing() -> Answer {
        Answer::default()
    }
}

/// Sets the flag when it is dropped: the client went away, or everything has been sent.
#[derive(Debug)]
pub(crate) struct CancelOnDrop(pub(crate) Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The first thing that the reactor hears of an answer.
enum First {
    Whole { status: StatusCode, encoding: Encoding, bytes: Vec<u8> },
    Begun { first: Vec<u8>, rest: mpsc::Receiver<Bytes> },
}

/// Answers a call of the API.
pub(crate) async fn api(
    app: &Arc<App>,
    call: Call,
    handler: ApiHandler,
    encoding: Encoding,
) -> Response<Body> {
    let guard = CancelOnDrop(call.cancel.clone());
    let (sender, receiver) = oneshot::channel();
    let app = Arc::clone(app);
    tokio::task::spawn_blocking(move || answer(&app, &call, handler, encoding, sender));
    match receiver.await {
        Ok(First::Whole { status: StatusCode::NO_CONTENT, .. }) => no_content(),
        Ok(First::Whole { status, encoding, bytes }) => json(status, encoding, Body::from(bytes)),
        Ok(First::Begun { first, rest }) => {
            let body = Pieces { first: Some(Bytes::from(first)), rest, _guard: guard };
            json(StatusCode::OK, encoding, Body::new(UnsyncBoxBody::new(body)))
        }
        Err(_) => {
            // The handler panicked; the panic hook has told where.
            let error = ApiError::new(ErrorType::Internal, "the handler of the request failed");
            api_error(&error)
        }
    }
}

/// Runs the handler and encodes what it gives back.
fn answer(
    app: &Arc<App>,
    call: &Call,
    handler: ApiHandler,
    encoding: Encoding,
    sender: oneshot::Sender<First>,
) {
    let whole = |status, bytes| First::Whole { status, encoding: Encoding::Identity, bytes };
    match handler(app, call) {
        Err(error) => {
            let _ = sender.send(whole(error.kind.status(), envelope::error(&error)));
        }
        Ok(Answer { data: None, .. }) => {
            let _ = sender.send(whole(StatusCode::NO_CONTENT, Vec::new()));
        }
        Ok(answer) => {
            let mut sink = ResponseSink::new(encoding, sender);
            let mut out = JsonOut::new(Vec::with_capacity(512), &mut sink);
            envelope::write_success(&mut out, answer);
            let rest = out.into_rest();
            sink.finish(rest);
        }
    }
}

/// Sends chunks to the reactor, compressed if so asked.
struct ResponseSink {
    encoding: Encoding,
    compressor: Compressor,
    outlet: Outlet,
}

/// The way to the reactor.
enum Outlet {
    Unsent(oneshot::Sender<First>),
    Streaming(mpsc::Sender<Bytes>),
    Gone,
}

impl ResponseSink {
    fn new(encoding: Encoding, sender: oneshot::Sender<First>) -> Self {
        ResponseSink { encoding, compressor: Compressor::Identity, outlet: Outlet::Unsent(sender) }
    }

    fn finish(mut self, rest: Vec<u8>) {
        let unstarted = matches!(self.compressor, Compressor::Identity);
        let bytes = match (unstarted, self.encoding) {
            (true, Encoding::Identity) => rest,
            (true, _) if rest.len() < COMPRESSED_BYTES_MIN => {
                self.encoding = Encoding::Identity;
                rest
            }
            (true, encoding) => encoding.compress(rest),
            (false, _) => self.compressor.finish(rest),
        };
        match self.outlet {
            Outlet::Unsent(sender) => {
                let _ = sender.send(First::Whole { status: StatusCode::OK, encoding: self.encoding, bytes });
            }
            Outlet::Streaming(sender) => {
                let _ = sender.blocking_send(Bytes::from(bytes));
            }
            Outlet::Gone => {}
        }
    }
}

impl Sink for ResponseSink {
    fn take(&mut self, chunk: Vec<u8>) -> Option<Vec<u8>> {
        if self.encoding != Encoding::Identity && matches!(self.compressor, Compressor::Identity) {
            self.compressor = Compressor::new(self.encoding);
        }
        self.compressor.push(chunk, &mut self.outlet)
    }
}

impl Sink for Outlet {
    fn take(&mut self, chunk: Vec<u8>) -> Option<Vec<u8>> {
        let capacity = chunk.capacity();
        match std::mem::replace(self, Outlet::Gone) {
            Outlet::Unsent(sender) => {
                let (pieces, rest) = mpsc::channel(PIECES_AHEAD);
                sender.send(First::Begun { first: chunk, rest }).ok()?;
                *self = Outlet::Streaming(pieces);
            }
            Outlet::Streaming(pieces) => {
                pieces.blocking_send(Bytes::from(chunk)).ok()?;
                *self = Outlet::Streaming(pieces);
            }
            Outlet::Gone => return None,
        }
        Some(Vec::with_capacity(capacity))
    }
}

/// A body that arrives piece by piece.
struct Pieces {
    first: Option<Bytes>,
    rest: mpsc::Receiver<Bytes>,
    _guard: CancelOnDrop,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        self.rest.poll_recv(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}

fn json(status: StatusCode, encoding: Encoding, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(name) = encoding.name() {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

/// An error of the API, from a handler that writes its own response.
pub(crate) fn api_error(error: &ApiError) -> Response<Body> {
    json(error.kind.status(), Encoding::Identity, Body::from(envelope::error(error)))
}

/// An empty 204.
pub(crate) fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// A body with its type.
pub(crate) fn with_type(content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = with_type("text/plain; charset=utf-8", body);
    *response.status_mut() = status;
    response
}

/// An error as Go's `http.Error` writes it: a line of plain text that no browser may take for something else.
pub(crate) fn plain_error(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = text(status, format!("{message}\n"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A redirection. What can't stand in a header leads to the root.
pub(crate) fn redirect(status: StatusCode, location: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, location);
    response
}
