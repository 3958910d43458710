//! One request, and what its answer means.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use client::Client;
use client::aws::SigV4;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use model::time::{Clock, TimestampMs};

use super::config::EndpointConfig;
use super::item::Counts;
use crate::write::Version;

const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");
const RETRY_ATTEMPT: HeaderName = HeaderName::from_static("retry-attempt");
const SAMPLES_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS_WRITTEN: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");
/// How much of an answer that says no is shown.
const ERROR_BYTES_MAX: usize = 1024;

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Posted {
    /// It was taken; of 2.0 so much of it was stored, if the answer says.
    Taken(Option<Counts>),
    /// It may be taken later; the answer may say when.
    Later(String, Option<Duration>),
    /// It won't be taken; of 2.0 so much of it was stored nevertheless.
    Refused(String, Option<Counts>),
}

/// Posts requests to an endpoint.
#[derive(Debug)]
pub(super) struct Poster {
    client: Arc<Client>,
    signing: Option<SigV4>,
    url: String,
    timeout: Duration,
    headers: HeaderMap,
    version: Version,
    retries_429: bool,
}

impl Poster {
    /// # Errors
    ///
    /// The configuration can't be used, as with certificates that aren't there.
    pub(super) fn new(config: &EndpointConfig, user_agent: &str) -> Result<Self, String> {
        let options = client::Options {
            name: "remote_storage_write_client".to_owned(),
            user_agent: user_agent.to_owned(),
            unix_socket: None,
            metrics: None,
            round_robin_dns: config.round_robin_dns,
        };
        let client = Arc::new(Client::new(&config.http_client, options).map_err(|error| error.to_string())?);
        let signing = config.sigv4.clone().map(|config| SigV4::new(config, &client));
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
            headers.insert(name, HeaderValue::from_str(value).map_err(|error| error.to_string())?);
        }
        let (content_type, version) = match config.version {
            Version::V1 => ("application/x-protobuf", "0.1.0"),
            Version::V2 => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(VERSION, HeaderValue::from_static(version));
        Ok(Poster {
            client,
            signing,
            url: config.url.clone(),
            timeout: config.remote_timeout.0,
            headers,
            version: config.version,
            retries_429: config.queue.retry_on_http_429,
        })
    }

    /// Posts a body; `attempt` counts from 0.
    pub(super) async fn post(&self, body: Bytes, attempt: usize, clock: &dyn Clock) -> Posted {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        match self.url.parse() {
            Ok(uri) => *request.uri_mut() = uri,
            Err(_) => return Posted::Refused(format!("invalid URL {:?}", self.url), None),
        }
        request.headers_mut().clone_from(&self.headers);
        if attempt > 0 {
            request.headers_mut().insert(RETRY_ATTEMPT, HeaderValue::from(attempt));
        }
        match tokio::time::timeout(self.timeout, self.exchange(request, clock)).await {
            Ok(posted) => posted,
            Err(_) => Posted::Later(format!("Post {:?}: context deadline exceeded", self.url), None),
        }
    }

    async fn exchange(&self, mut request: Request<Bytes>, clock: &dyn Clock) -> Posted {
        if let Some(signing) = &self.signing {
            // Credentials may come later, like anything that a request needs.
            request = match signing.sign(request).await {
                Ok(signed) => signed,
                Err(error) => return Posted::Later(format!("Post {:?}: {error}", self.url), None),
            };
        }
        let response = match self.client.send(request).await {
            Ok(response) => response,
            Err(error) => return Posted::Later(format!("Post {:?}: {error}", self.url), None),
        };
        let status = response.status();
        let written = (self.version == Version::V2).then(|| written(response.headers())).flatten();
        let retry_after = retry_after(response.headers(), clock.now_ms());
        if status.is_success() {
            // Read to its end, so that the connection can be used again.
            drop(first_bytes(response).await);
            return Posted::Taken(written);
        }
        let text = first_bytes(response).await;
        let text = text.lines().next().unwrap_or_default();
        let what = format!("server returned HTTP status {status}: {text}");
        let later = status.is_server_error() || (status == StatusCode::TOO_MANY_REQUESTS && self.retries_429);
        if later { Posted::Later(what, retry_after) } else { Posted::Refused(what, written) }
    }
}

/// The beginning of an answer's body.
async fn first_bytes(response: Response<Incoming>) -> String {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(&data[..data.len().min(ERROR_BYTES_MAX - bytes.len())]);
        }
        if bytes.len() == ERROR_BYTES_MAX {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the answer says was stored; `None` if it says nothing.
fn written(headers: &HeaderMap) -> Option<Counts> {
    let count = |name: &HeaderName| headers.get(name)?.to_str().ok()?.parse().ok();
    let (samples, histograms, exemplars) =
        (count(&SAMPLES_WRITTEN), count(&HISTOGRAMS_WRITTEN), count(&EXEMPLARS_WRITTEN));
    samples.or(histograms).or(exemplars)?;
    Some(Counts {
        samples: samples.unwrap_or(0),
        histograms: histograms.unwrap_or(0),
        exemplars: exemplars.unwrap_or(0),
    })
}

/// When to come again: seconds, or a date.
fn retry_after(headers: &HeaderMap, now_ms: TimestampMs) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(secs) = text.parse() {
        return Some(Duration::from_secs(secs));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let wait_ms = at.as_millisecond().saturating_sub(now_ms);
    Some(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wait = |text: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            retry_after(&headers, 784_111_777_000)
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:47 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), 0), None);
    }
}
