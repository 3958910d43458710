//! A question to an HTTP API, and its whole answer.

use bytes::Bytes;
use client::Client;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;

/// The most bytes of an answer: a hundred thousand targets with many labels each.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// The most bytes of a failed answer that are told.
const TOLD_BYTES_MAX: usize = 256;

/// What an API answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Sends a request and reads the answer to its end.
pub(super) async fn ask(client: &Client, request: Request<Bytes>) -> Result<Answer, String> {
    let response = client.send(request).await.map_err(|error| error.to_string())?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| error.to_string())?;
    Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
}

/// Asks for a URL.
pub(super) async fn get(client: &Client, url: &str) -> Result<Answer, String> {
    let request = Request::get(url).body(Bytes::new()).map_err(|error| error.to_string())?;
    ask(client, request).await
}

impl Answer {
    /// The answer, if the API did what was asked.
    pub(super) fn ok(self) -> Result<Self, String> {
        if self.status == StatusCode::OK {
            return Ok(self);
        }
        let told = self.body.get(..TOLD_BYTES_MAX).unwrap_or(&self.body);
        let told = String::from_utf8_lossy(told);
        match told.trim() {
            "" => Err(format!("server returned HTTP status {}", self.status)),
            told => Err(format!("server returned HTTP status {}: {told}", self.status)),
        }
    }

    /// The body as JSON.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.body).map_err(|error| format!("unexpected answer: {error}"))
    }
}
