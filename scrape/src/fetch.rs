//! The request to a target and the body of its answer.

use bytes::Bytes;
use client::Client;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt;

use crate::body::{BodySink, Gunzip};
use crate::config::{JobConfig, ScrapeProtocol};
use crate::error::ScrapeError;
use crate::target::Target;

/// The weight of the first format of the `Accept` header, in tenths.
const FIRST_WEIGHT: usize = 6;
static TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");

/// In which format a target answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    OpenMetrics,
    Protobuf,
}

/// The headers of every request to a target.
pub(crate) fn request_headers(job: &JobConfig, target: &Target) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let encoding = if job.enable_compression { "gzip" } else { "identity" };
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding));
    let timeout = model::float_text::plain(target.timeout.as_secs_f64());
    for (name, value) in [(header::ACCEPT, accept(job)), (TIMEOUT_HEADER.clone(), timeout)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    headers
}

/// What the job prefers, in falling order.
fn accept(job: &JobConfig) -> String {
    let mut parts = Vec::new();
    let mut weight = FIRST_WEIGHT;
    for protocol in &job.scrape_protocols {
        let escaping = match protocol.knows_escaping() {
            true => format!(";escaping={}", job.metric_name_escaping_scheme.as_str()),
            false => String::new(),
        };
        parts.push(format!("{}{escaping};q=0.{weight}", protocol.media_type()));
        weight = weight.saturating_sub(1).max(1);
    }
    parts.push(format!("*/*;q=0.{weight}"));
    parts.join(",")
}

/// Asks a target and reads its answer, decompressed, into `body`. `None` stands for an empty answer, whose
/// format nobody asks for.
pub(crate) async fn fetch(
    client: &Client,
    headers: &HeaderMap,
    job: &JobConfig,
    target: &Target,
    body: &mut Vec<u8>,
    gunzip: &mut Gunzip,
) -> Result<Option<Format>, ScrapeError> {
    let request_failed = |source| ScrapeError::Request { url: target.url.clone(), source };
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = Method::GET;
    *request.headers_mut() = headers.clone();
    *request.uri_mut() =
        target.url.parse().map_err(|_| request_failed(client::ClientError::Url(target.url.clone())))?;
    let response = client.send(request).await.map_err(request_failed)?;
    let (parts, mut incoming) = response.into_parts();
    if parts.status != StatusCode::OK {
        return Err(ScrapeError::Status(parts.status.to_string()));
    }
    let is_zipped = parts.headers.get(header::CONTENT_ENCODING).is_some_and(|value| value == "gzip");
    let mut sink = BodySink::new(body, gunzip, job.body_size_limit.0, is_zipped);
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| ScrapeError::Body(broken(&error)))?;
        if let Some(chunk) = frame.data_ref() {
            sink = sink.push(chunk)?;
        }
    }
    sink.finish()?;
    if body.is_empty() {
        return Ok(None);
    }
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.map(|value| String::from_utf8_lossy(value.as_bytes()));
    format_of(content_type.as_deref().unwrap_or(""), job.fallback_scrape_protocol).map(Some)
}

/// What Go says of an answer that ends too early.
fn broken(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_body_write_aborted() {
        "unexpected EOF".to_owned()
    } else {
        error.to_string()
    }
}

/// The format that a `Content-Type` names, or the one to fall back on.
fn format_of(content_type: &str, fallback: Option<ScrapeProtocol>) -> Result<Format, ScrapeError> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let cause = match media_type.as_str() {
        "application/openmetrics-text" => return Ok(Format::OpenMetrics),
        "application/vnd.google.protobuf" => return Ok(Format::Protobuf),
        "text/plain" => return Ok(Format::Text),
        "" => "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target".to_owned(),
        other if other.contains(' ') || other.ends_with('/') => format!(
            "cannot parse Content-Type {content_type:?} and no fallback_scrape_protocol for target: mime: expected token after slash"
        ),
        _ => format!(
            "received unsupported Content-Type {content_type:?} and no fallback_scrape_protocol specified for target"
        ),
    };
    match fallback {
        Some(ScrapeProtocol::PrometheusProto) => Ok(Format::Protobuf),
        Some(ScrapeProtocol::OpenMetricsText001 | ScrapeProtocol::OpenMetricsText100) => {
            Ok(Format::OpenMetrics)
        }
        Some(ScrapeProtocol::PrometheusText004 | ScrapeProtocol::PrometheusText100) => Ok(Format::Text),
        None => Err(ScrapeError::ContentType(cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{GlobalScrapeDefaults, ScrapeConfig};

    fn job(yaml: &str) -> JobConfig {
        let config: ScrapeConfig = serde_saphyr::from_str(yaml).unwrap();
        config.resolve(&GlobalScrapeDefaults::default()).unwrap()
    }

    #[test]
    fn formats_are_asked_for_as_the_reference_does() {
        assert_eq!(
            accept(&job("job_name: j")),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        assert_eq!(
            accept(&job("{job_name: j, scrape_protocols: [PrometheusProto]}")),
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,*/*;q=0.5"
        );
    }

    #[test]
    fn the_content_type_decides_and_the_fallback_helps() {
        assert_eq!(format_of("text/plain; version=0.0.4", None).unwrap(), Format::Text);
        assert_eq!(format_of("Application/OpenMetrics-Text;version=1", None).unwrap(), Format::OpenMetrics);
        let fallback = Some(ScrapeProtocol::PrometheusText004);
        assert_eq!(format_of("text/html", fallback).unwrap(), Format::Text);
        for (content_type, text) in [
            ("", "non-compliant scrape target sending blank Content-Type"),
            ("text/", "cannot parse Content-Type \"text/\""),
            ("text", "received unsupported Content-Type \"text\""),
            ("text/html", "received unsupported Content-Type \"text/html\""),
        ] {
            assert!(format_of(content_type, None).unwrap_err().to_string().starts_with(text));
        }
    }
}
