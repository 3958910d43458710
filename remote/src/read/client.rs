//! One whom samples are read from.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use client::{Client, HttpClientConfig};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use model::duration::PromDuration;
use model::labels::{Labels, LabelsBuilder};
use model::matcher::{MatchOp, Matcher};
use model::time::TimestampMs;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::answer::{self, Frames, RemoteSeries};
use crate::protobuf::{put_bytes, put_varint_field};
use crate::snappy::decompress_within;

const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-read-version");
/// What streamed answers are.
const STREAMED: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
/// What whole answers are.
const SAMPLES: &str = "application/x-protobuf";
/// How much an answer may come to, as it arrives and, if it is compressed, after that: no query may fill the
/// memory by asking another server.
const ANSWER_BYTES_MAX: usize = 512 << 20;
/// How much of an answer that says no is shown.
const ERROR_BYTES_MAX: usize = 1024;
/// Beyond the usual ones.
const LONG_SECS: [f64; 4] = [25.0, 60.0, 120.0, 300.0];

/// Whom to read from, and what.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientConfig {
    /// What logs and metrics call it.
    pub name: String,
    /// Where to.
    pub url: String,
    /// How long an answer may take.
    pub remote_timeout: PromDuration,
    /// The longest frame of a streamed answer, in bytes.
    pub chunked_read_limit: u64,
    /// Sent with every request.
    pub headers: BTreeMap<String, String>,
    /// Ask also for times that the local storage has whole.
    pub read_recent: bool,
    /// Only selections with these labels are asked for.
    pub required_matchers: BTreeMap<String, String>,
    /// Asked for beside what a selection says, and taken out of answers.
    pub external_labels: Labels,
    /// Credentials, certificates, proxies.
    pub http_client: HttpClientConfig,
}

/// The metrics of all clients.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    queries: IntCounterVec,
    running: IntGaugeVec,
    duration: HistogramVec,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let opts = |name: &str, help: &str| Opts::new(format!("prometheus_remote_storage_{name}"), help);
        let mut buckets = prometheus::DEFAULT_BUCKETS.to_vec();
        buckets.extend(LONG_SECS);
        let duration = HistogramOpts::new(
            "prometheus_remote_storage_read_request_duration_seconds",
            "Histogram of the latency for remote read requests.",
        );
        let queries = opts("read_queries_total", "The total number of remote read queries.");
        let running = opts("remote_read_queries", "The number of in-flight remote read queries.");
        let metrics = Metrics {
            queries: IntCounterVec::new(queries, &["remote_name", "url", "response_type", "code"])?,
            running: IntGaugeVec::new(running, &["remote_name", "url"])?,
            duration: HistogramVec::new(duration.buckets(buckets), &["remote_name", "url", "response_type"])?,
        };
        registry.register(Box::new(metrics.queries.clone()))?;
        registry.register(Box::new(metrics.running.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        Ok(metrics)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) config: ClientConfig,
    client: Client,
    headers: HeaderMap,
    metrics: Metrics,
}

/// What a source is asked for.
#[derive(Debug)]
pub(super) struct Question {
    body: Bytes,
    /// Labels to take out of the answer.
    added: Vec<String>,
}

impl Source {
    /// # Errors
    ///
    /// The configuration can't be used, as with certificates that aren't there.
    pub(super) fn new(config: ClientConfig, user_agent: &str, metrics: &Metrics) -> Result<Self, String> {
        let options = client::Options {
            name: "remote_storage_read_client".to_owned(),
            user_agent: user_agent.to_owned(),
            unix_socket: None,
            metrics: None,
            round_robin_dns: false,
        };
        let client = Client::new(&config.http_client, options).map_err(|error| error.to_string())?;
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
            headers.insert(name, HeaderValue::from_str(value).map_err(|error| error.to_string())?);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(SAMPLES));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert(VERSION, HeaderValue::from_static("0.1.0"));
        Ok(Source { config, client, headers, metrics: metrics.clone() })
    }

    /// What to ask; `None` if this source isn't for such a selection. Times from `local_start_ms` on are in the
    /// local storage.
    pub(super) fn question(
        &self,
        matchers: &[Matcher],
        (mint, maxt): (TimestampMs, TimestampMs),
        local_start_ms: TimestampMs,
    ) -> Option<Question> {
        let is_met = |(name, value): (&String, &String)| {
            matchers.iter().any(|m| m.op() == MatchOp::Equal && m.name() == name && m.value() == value)
        };
        if !self.config.required_matchers.iter().all(is_met) {
            return None;
        }
        let maxt = if self.config.read_recent { maxt } else { maxt.min(local_start_ms) };
        if mint > maxt {
            return None;
        }
        let named = |name: &str| matchers.iter().any(|matcher| matcher.name() == name);
        let external = self.config.external_labels.iter().filter(|(name, _)| !named(name));
        let external: Vec<Matcher> = external.map(|(name, value)| Matcher::equal(name, value)).collect();
        let added = external.iter().map(|matcher| matcher.name().to_owned()).collect();
        let body = request(matchers.iter().chain(&external), mint, maxt);
        Some(Question { body, added })
    }

    /// Asks.
    ///
    /// # Errors
    ///
    /// There is no answer, or none that can be understood, in a sentence.
    pub(super) async fn ask(&self, question: &Question) -> Result<Vec<RemoteSeries>, String> {
        let labels = [self.config.name.as_str(), self.config.url.as_str()];
        let running = self.metrics.running.with_label_values(&labels);
        running.inc();
        let answered = tokio::time::timeout(self.config.remote_timeout.0, self.exchange(question)).await;
        running.dec();
        let series = match answered {
            Ok(answered) => answered,
            Err(_) => Err("context deadline exceeded".to_owned()),
        };
        let series = series.map_err(|error| format!("remote_read: {}: {error}", self.config.url))?;
        Ok(series.into_iter().map(|series| series.without(&question.added)).collect())
    }

    async fn exchange(&self, question: &Question) -> Result<Vec<RemoteSeries>, String> {
        let begun = Instant::now();
        let mut request = Request::new(question.body.clone());
        *request.method_mut() = Method::POST;
        *request.uri_mut() =
            self.config.url.parse().map_err(|_| format!("invalid URL {:?}", self.config.url))?;
        request.headers_mut().clone_from(&self.headers);
        let response =
            self.client.send(request).await.map_err(|error| format!("error sending request: {error}"))?;
        let status = response.status();
        if !status.is_success() {
            self.note("", status.as_str(), begun.elapsed());
            let mut body = Vec::new();
            read(response, &mut |piece| {
                body.extend_from_slice(&piece[..piece.len().min(ERROR_BYTES_MAX - body.len())]);
                Ok(body.len() < ERROR_BYTES_MAX)
            })
            .await?;
            let text = String::from_utf8_lossy(&body);
            return Err(format!("remote server returned http status {status}: {}", text.trim_end()));
        }
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let is = |expected: &str| content_type.starts_with(expected);
        let (kind, series) = if is(SAMPLES) {
            ("sampled", self.sampled(response).await)
        } else if is(STREAMED) {
            ("chunked", self.streamed(response).await)
        } else {
            return Err(format!("unsupported content type: {content_type}"));
        };
        self.note(kind, status.as_str(), begun.elapsed());
        series
    }

    fn note(&self, kind: &str, code: &str, took: Duration) {
        let (name, url) = (self.config.name.as_str(), self.config.url.as_str());
        self.metrics.queries.with_label_values(&[name, url, kind, code]).inc();
        self.metrics.duration.with_label_values(&[name, url, kind]).observe(took.as_secs_f64());
    }

    async fn sampled(&self, response: Response<Incoming>) -> Result<Vec<RemoteSeries>, String> {
        let mut body = Vec::new();
        read(response, &mut |piece| {
            check_len(body.len() + piece.len())?;
            body.extend_from_slice(piece);
            Ok(true)
        })
        .await?;
        let message = decompress_within(&body, ANSWER_BYTES_MAX)?;
        answer::samples(&message).map_err(|error| error.to_string())
    }

    async fn streamed(&self, response: Response<Incoming>) -> Result<Vec<RemoteSeries>, String> {
        let frame_bytes = usize::try_from(self.config.chunked_read_limit).unwrap_or(usize::MAX);
        let (mut frames, mut len) = (Frames::new(frame_bytes), 0);
        read(response, &mut |piece| {
            len += piece.len();
            check_len(len)?;
            frames.push(piece).map_err(|error| error.to_string())?;
            Ok(true)
        })
        .await?;
        frames.finish().map_err(|error| error.to_string())
    }
}

fn check_len(len: usize) -> Result<(), String> {
    match len {
        ..=ANSWER_BYTES_MAX => Ok(()),
        _ => Err(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes")),
    }
}

impl RemoteSeries {
    fn without(self, names: &[String]) -> Self {
        if names.is_empty() {
            return self;
        }
        let mut labels = LabelsBuilder::from_labels(&self.labels);
        labels.retain(|name, _| !names.iter().any(|taken| taken == name));
        RemoteSeries { labels: labels.build(), data: self.data }
    }
}

/// Hands out a body piece by piece, as long as `visit` says to go on.
async fn read(
    response: Response<Incoming>,
    visit: &mut (dyn FnMut(&[u8]) -> Result<bool, String> + Send),
) -> Result<(), String> {
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("error reading response: {error}"))?;
        if let Some(piece) = frame.data_ref()
            && !visit(piece)?
        {
            break;
        }
    }
    Ok(())
}

/// A compressed `ReadRequest` with one query; chunks are welcome, samples will do.
fn request<'m>(matchers: impl Iterator<Item = &'m Matcher>, mint: TimestampMs, maxt: TimestampMs) -> Bytes {
    let (mut query, mut part) = (Vec::new(), Vec::new());
    put_varint_field(&mut query, 1, mint.cast_unsigned());
    put_varint_field(&mut query, 2, maxt.cast_unsigned());
    for matcher in matchers {
        part.clear();
        let op = match matcher.op() {
            MatchOp::Equal => 0,
            MatchOp::NotEqual => 1,
            MatchOp::Regex => 2,
            MatchOp::NotRegex => 3,
        };
        put_varint_field(&mut part, 1, op);
        put_bytes(&mut part, 2, matcher.name().as_bytes());
        put_bytes(&mut part, 3, matcher.value().as_bytes());
        put_bytes(&mut query, 3, &part);
    }
    part.clear();
    put_varint_field(&mut part, 3, mint.cast_unsigned());
    put_varint_field(&mut part, 4, maxt.cast_unsigned());
    put_bytes(&mut query, 4, &part);
    let mut message = Vec::new();
    put_bytes(&mut message, 1, &query);
    put_varint_field(&mut message, 2, 1);
    put_varint_field(&mut message, 2, 0);
    // Fails only on messages of 4 GiB; matchers come from queries, which are bounded.
    Bytes::from(snap::raw::Encoder::new().compress_vec(&message).unwrap_or_default())
}
