//! Discovery, asked of small servers that speak as the real ones do.

mod consul;
mod docker;
mod ec2;
mod kubernetes;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, Uri};
use model::labels::LabelsBuilder;
use scrape::config::{GlobalScrapeDefaults, ScrapeConfig};
use scrape::discovery::{Context, Discovery};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A question that a server was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

pub(crate) type Reply = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// A server that answers as it is told, and remembers what it was asked.
#[derive(Clone)]
pub(crate) struct Server {
    answer: Arc<dyn Fn(Asked) -> Reply + Send + Sync>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) fn new(answer: impl Fn(Asked) -> Reply + Send + Sync + 'static) -> Self {
        Server { answer: Arc::new(answer), asked: Arc::default() }
    }

    /// Listens at a port of its own.
    pub(crate) async fn listen(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = self.router();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address
    }

    pub(crate) fn router(&self) -> Router {
        let server = self.clone();
        Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
            let query = query.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
            let asked = Asked { path: uri.path().to_owned(), query, headers, body };
            server.asked.lock().unwrap().push(asked.clone());
            (server.answer)(asked)
        })
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// An answer at once.
pub(crate) fn now(status: u16, body: impl Into<String>) -> Reply {
    let response = Response::builder().status(status).header("content-type", "application/json");
    let response = response.body(Body::from(body.into())).unwrap();
    Box::pin(std::future::ready(response))
}

/// Starts the discovery of a job, written in YAML.
pub(crate) fn start(yaml: &str) -> Discovery {
    let config: ScrapeConfig = serde_saphyr::from_str(&format!("{{job_name: j, {yaml}}}")).unwrap();
    let job = config.resolve(&GlobalScrapeDefaults::default()).unwrap();
    let client = client::Options {
        name: "test".to_owned(),
        user_agent: "test".to_owned(),
        unix_socket: None,
        round_robin_dns: false,
        metrics: None,
    };
    let context = Context { job_name: "j".to_owned(), client, metrics: None };
    Discovery::start(&job.discovery, &context).unwrap()
}

/// All targets with all of their labels, a line each, in order.
pub(crate) fn targets(discovery: &Discovery) -> Vec<String> {
    let mut lines = Vec::new();
    for group in discovery.groups() {
        for target in &group.targets {
            let mut labels = LabelsBuilder::from_labels(&group.labels);
            for (name, value) in target.iter() {
                labels.set(name, value);
            }
            lines.push(labels.build().to_string());
        }
    }
    lines.sort();
    lines
}

/// Waits until discovery has found what it should.
pub(crate) async fn until(
    discovery: &mut Discovery,
    what: &str,
    found: impl Fn(&[String]) -> bool,
) -> Vec<String> {
    loop {
        let known = targets(discovery);
        if discovery.complete() && found(&known) {
            return known;
        }
        if tokio::time::timeout(PATIENCE, discovery.changed()).await.is_err() {
            panic!("never: {what}\n{known:#?}");
        }
    }
}

/// Waits until something holds of what a server was asked.
pub(crate) async fn until_asked(server: &Server, what: &str, holds: impl Fn(&[Asked]) -> bool) {
    let wait = async {
        while !holds(&server.asked()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, wait).await.is_err() {
        panic!("never asked: {what}\n{:#?}", server.asked());
    }
}
