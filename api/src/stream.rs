//! Answers in pieces of bytes, of handlers that may find out midway that they can't go on.
//!
//! The handler runs on a thread that may block and is never far ahead of the client. Until its first piece it
//! may still answer with an error; after that it can only break the connection, which the client sees as an
//! answer that isn't whole.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::{Response, StatusCode};
use hyper::body::Frame;
use tokio::sync::{mpsc, oneshot};

use crate::call::Call;
use crate::respond::{CancelOnDrop, plain_error, with_type};
use crate::server::App;

/// How many pieces may wait for the client.
const PIECES_AHEAD: usize = 4;

/// A handler that sends its answer piece by piece.
pub(crate) type StreamHandler = fn(&Arc<App>, &Call, Outlet);

/// An answer broke off.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BrokenOff(String);

type Piece = Result<Bytes, BrokenOff>;

/// What the reactor hears first.
enum First {
    Whole(Response<Body>),
    Begun(&'static str, mpsc::Receiver<Piece>),
}

/// The way from a handler to the client.
pub(crate) struct Outlet(State);

enum State {
    Unsent(oneshot::Sender<First>),
    Streaming(mpsc::Sender<Piece>),
    Gone,
}

impl Outlet {
    /// Sends a whole response; nothing may have been sent before.
    pub(crate) fn whole(self, response: Response<Body>) {
        if let State::Unsent(sender) = self.0 {
            // An error means that the client is gone.
            let _ = sender.send(First::Whole(response));
        }
    }

    /// Sends a piece of a body of this type; false if the client is gone.
    pub(crate) fn send(&mut self, content_type: &'static str, piece: Vec<u8>) -> bool {
        self.begin(content_type);
        let State::Streaming(pieces) = &self.0 else { return false };
        let sent = pieces.blocking_send(Ok(Bytes::from(piece))).is_ok();
        if !sent {
            self.0 = State::Gone;
        }
        sent
    }

    /// Everything was sent, which may have been nothing.
    pub(crate) fn end(mut self, content_type: &'static str) {
        self.begin(content_type);
    }

    /// Answers with an error, or breaks off.
    pub(crate) fn fail(self, response: Response<Body>, why: String) {
        match self.0 {
            State::Streaming(pieces) => {
                tracing::error!(error = why, "an answer broke off");
                let _ = pieces.blocking_send(Err(BrokenOff(why)));
            }
            _ => self.whole(response),
        }
    }

    fn begin(&mut self, content_type: &'static str) {
        self.0 = match std::mem::replace(&mut self.0, State::Gone) {
            State::Unsent(sender) => {
                let (pieces, rest) = mpsc::channel(PIECES_AHEAD);
                match sender.send(First::Begun(content_type, rest)) {
                    Ok(()) => State::Streaming(pieces),
                    Err(_) => State::Gone,
                }
            }
            other => other,
        };
    }
}

/// Runs a handler.
pub(crate) async fn stream(app: &Arc<App>, call: Call, handler: StreamHandler) -> Response<Body> {
    let guard = CancelOnDrop(call.cancel.clone());
    let (sender, receiver) = oneshot::channel();
    let app = Arc::clone(app);
    tokio::task::spawn_blocking(move || handler(&app, &call, Outlet(State::Unsent(sender))));
    match receiver.await {
        Ok(First::Whole(response)) => response,
        Ok(First::Begun(content_type, rest)) => {
            with_type(content_type, Body::new(Pieces { rest, _guard: guard }))
        }
        Err(_) => plain_error(StatusCode::INTERNAL_SERVER_ERROR, "the handler of the request failed"),
    }
}

/// A body that arrives piece by piece.
struct Pieces {
    rest: mpsc::Receiver<Piece>,
    _guard: CancelOnDrop,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.rest.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
