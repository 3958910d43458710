//! `/notifications` and `/notifications/live`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::Response;
use http::header::{CACHE_CONTROL, HeaderValue};
use hyper::body::Frame;
use tokio::sync::{mpsc, watch};

use crate::call::Call;
use crate::go_text;
use crate::json::{JsonOut, to_vec};
use crate::notifications::{Notification, Notifications};
use crate::respond::{Answer, ApiResult, no_content, with_type};
use crate::server::App;

/// `/notifications`: the notices that are up.
pub(crate) fn notifications(app: &Arc<App>, _: &Call) -> ApiResult {
    let current = app.parts.notifications.current();
    Ok(Answer::data(move |out| {
        out.open_array();
        current.iter().for_each(|notice| write(out, notice));
        out.close_array();
    }))
}

/// `/notifications/live`: the notices that are up, then every change, as server-sent events.
pub(crate) fn live(app: &Arc<App>, _: &Call) -> Response<Body> {
    let Some(changes) = app.parts.notifications.subscribe() else { return no_content() };
    let events = Events {
        changes,
        notifications: app.parts.notifications.clone(),
        end: Box::pin(stopped(app.stopping.subscribe())),
    };
    let mut response = with_type("text/event-stream", Body::new(events));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the server is gone, which is an end as well.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

fn write(out: &mut JsonOut<'_>, notice: &Notification) {
    out.open_object();
    out.key("text").string(&notice.text);
    // The reference has no such field; without one the answer is the same.
    if !notice.detail.is_empty() {
        out.key("detail").string(&notice.detail);
    }
    out.key("date").string(&go_text::rfc3339(Some(notice.date_ms)));
    out.key("active").bool(notice.active);
    out.close_object();
}

/// A body of events that ends with the server or the client.
struct Events {
    changes: mpsc::Receiver<Notification>,
    notifications: Notifications,
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Poll::Ready(change) = self.changes.poll_recv(cx) {
            let event = change.map(|notice| {
                let mut event = b"data: ".to_vec();
                event.append(&mut to_vec(|out| write(out, &notice)));
                event.extend_from_slice(b"\n\n");
                Ok(Frame::data(Bytes::from(event)))
            });
            return Poll::Ready(event);
        }
        self.end.as_mut().poll(cx).map(|()| None)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.changes.close();
        self.notifications.sweep();
    }
}
