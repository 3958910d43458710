//! Asking a server, for commands that do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use client::{Client, HttpClientConfig, Options};
use http::{HeaderMap, Request, StatusCode};
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
        let (status, body) = self.get_bytes(path, form)?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// The same, with a body that may be no text.
    pub(super) fn get_bytes(
        &self,
        path: &str,
        form: &[(&str, String)],
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let mut url = self.url(path);
        if !form.is_empty() {
            url.query_pairs_mut().extend_pairs(form.iter().map(|(name, value)| (name, value)));
        }
        let request = Request::get(url.as_str()).body(Bytes::new())?;
        self.send(request, TIMEOUT).with_context(|| format!("Get \"{url}\""))
    }

    /// Sends a body to a path.
    pub(super) fn post(
        &self,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let url = self.url(path);
        let mut request = Request::post(url.as_str()).body(body)?;
        *request.headers_mut() = headers;
        self.send(request, timeout).with_context(|| format!("Post \"{url}\""))
    }

    /// A path below the server's own.
    fn url(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        url.set_query(query);
        url
    }

    fn send(&self, request: Request<Bytes>, timeout: Duration) -> anyhow::Result<(StatusCode, Bytes)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let asked = tokio::time::timeout(timeout, self.ask(request)).await;
            asked.with_context(|| format!("no answer within {} s", timeout.as_secs()))?
        })
    }

    async fn ask(&self, request: Request<Bytes>) -> anyhow::Result<(StatusCode, Bytes)> {
        let options = Options {
            name: "promtool".to_owned(),
            user_agent: format!("promtool/{}", version::SPOKEN),
            unix_socket: None,
            round_robin_dns: false,
            metrics: None,
        };
        let client = Client::new(&self.config, options)?;
        let response = client.send(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}
