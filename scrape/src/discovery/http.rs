//! Discovery over HTTP: a server answers with a JSON list of target groups.

use bytes::Bytes;
use client::{Client, ClientError};
use http::{Method, Request, header};
use model::labels::{Labels, LabelsBuilder};
use tokio::time::timeout;

use super::Context;
use super::ask::ask;
use super::config::HttpSdConfig;
use super::group::{TargetGroup, Written};
use super::metrics::DiscoveryMetrics;
use super::refresh::Refresh;

const URL_LABEL: &str = "__meta_url";

/// Asks one URL.
pub(crate) struct HttpDiscovery {
    config: HttpSdConfig,
    client: Client,
    metrics: Option<DiscoveryMetrics>,
}

impl HttpDiscovery {
    pub(crate) fn new(config: &HttpSdConfig, context: &Context) -> Result<Self, ClientError> {
        let options = client::Options { name: "http_sd".to_owned(), ..context.client.clone() };
        let client = Client::new(&config.http_client, options)?;
        Ok(HttpDiscovery { config: config.clone(), client, metrics: context.metrics.clone() })
    }

    async fn ask(&self) -> Result<Vec<TargetGroup>, String> {
        let seconds = model::float_text::plain(self.config.refresh_interval.0.as_secs_f64());
        let request = Request::builder()
            .method(Method::GET)
            .uri(&self.config.url)
            .header(header::ACCEPT, "application/json")
            .header("X-Prometheus-Refresh-Interval-Seconds", seconds)
            .body(Bytes::new())
            .map_err(|error| error.to_string())?;
        let answer = ask(&self.client, request).await?.ok()?;
        let content_type = answer.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !is_json(content_type) {
            return Err(format!("unsupported content type {content_type:?}"));
        }
        groups(&answer.body, &self.config.url)
    }
}

impl Refresh for HttpDiscovery {
    const MECHANISM: &'static str = "http";

    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, String> {
        // An answer that comes after the next question is due is of no use.
        let answer = timeout(self.config.refresh_interval.0, self.ask()).await;
        let answer = answer.unwrap_or_else(|_| Err("context deadline exceeded".to_owned()));
        if let (Err(_), Some(metrics)) = (&answer, &self.metrics) {
            metrics.http_failures.inc();
        }
        answer
    }
}

/// `application/json`, perhaps in UTF-8.
fn is_json(content_type: &str) -> bool {
    let lower = content_type.to_ascii_lowercase();
    let (media_type, parameter) = lower.split_once(';').unwrap_or((&lower, ""));
    let parameter = parameter.trim().replace('"', "");
    media_type.trim() == "application/json" && (parameter.is_empty() || parameter == "charset=utf-8")
}

fn groups(body: &[u8], url: &str) -> Result<Vec<TargetGroup>, String> {
    let written: Vec<Option<Written>> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut groups = Vec::with_capacity(written.len());
    for (index, written) in written.into_iter().enumerate() {
        let written = written.ok_or_else(|| format!("nil target group item found (index {index})"))?;
        let mut group = written.into_group(format!("{url}:{index}"))?;
        group.labels = with_label(&group.labels, URL_LABEL, url);
        groups.push(group);
    }
    Ok(groups)
}

/// Labels with one more, if they don't have it.
pub(super) fn with_label(labels: &Labels, name: &str, value: &str) -> Labels {
    let mut builder = LabelsBuilder::from_labels(labels);
    builder.set(name, value);
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_and_know_their_url() {
        let groups = groups(br#"[{"targets": ["a:1", "b:2"], "labels": {"x": "y"}}]"#, "http://sd/").unwrap();
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].targets.len(), 2);
        assert_eq!(groups[0].labels.to_string(), r#"{__meta_url="http://sd/", x="y"}"#);
    }

    #[test]
    fn what_is_no_list_of_groups_is_refused() {
        for body in ["<html>", "{}", "[null]", r#"[{"targets": "a"}]"#, r#"[{"nope": 1}]"#] {
            assert!(groups(body.as_bytes(), "u").is_err(), "{body}");
        }
        for (content_type, expected) in [
            ("application/json", true),
            ("application/json; charset=utf-8", true),
            ("Application/JSON;charset=\"UTF-8\"", true),
            ("application/json; charset=latin1", false),
            ("text/html", false),
            ("", false),
        ] {
            assert_eq!(is_json(content_type), expected, "{content_type}");
        }
    }
}
