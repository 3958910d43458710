//! Asking a server, for commands that do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use client::{Client, HttpClientConfig, Options};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use url::Url;

use crate::config::yaml;
use crate::version;

/// How long a server may take to answer: the longest query, and some more.
const TIMEOUT: Duration = Duration::from_secs(150);

/// A server to ask.
#[derive(Debug)]
pub(super) struct Server {
    url: Url,
    config: HttpClientConfig,
}

impl Server {
    /// The server at a URL, which may go without a scheme; `config` is a file with an HTTP client block.
    pub(super) fn new(url: &str, config: Option<&PathBuf>) -> anyhow::Result<Server> {
        let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let url = Url::parse(&full).with_context(|| format!("parse {full:?}"))?;
        if config.is_some() && !url.username().is_empty() {
            bail!("cannot set base auth in the server URL and use a http.config.file at the same time");
        }
        let mut client = match config {
            Some(file) => yaml::read::<HttpClientConfig>(file)?,
            None => HttpClientConfig::default(),
        };
        if let Some(file) = config {
            client.set_directory(file.parent().unwrap_or(Path::new("")));
        }
        Ok(Server { url, config: client })
    }

    /// Sends a request for a path with a form; the status and the body of the answer.
    pub(super) fn get(&self, path: &str, form: &[(&str, String)]) -> anyhow::Result<(StatusCode, String)> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        if !form.is_empty() {
            url.query_pairs_mut().extend_pairs(form.iter().map(|(name, value)| (name, value)));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let asked = tokio::time::timeout(TIMEOUT, self.ask(&url)).await;
            asked.with_context(|| format!("Get \"{url}\": no answer within {} s", TIMEOUT.as_secs()))?
        })
    }

    async fn ask(&self, url: &Url) -> anyhow::Result<(StatusCode, String)> {
        let options = Options {
            name: "promtool".to_owned(),
            user_agent: format!("promtool/{}", version::SPOKEN),
            unix_socket: None,
            round_robin_dns: false,
            metrics: None,
        };
        let client = Client::new(&self.config, options)?;
        let request = Request::get(url.as_str()).body(Bytes::new())?;
        let response = client.send(request).await.with_context(|| format!("Get \"{url}\""))?;
        let status = response.status();
        let body = response.into_body().collect().await.with_context(|| format!("Get \"{url}\""))?;
        Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    }
}
