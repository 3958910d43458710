//! Alertmanagers: found by discovery, told over HTTP.

use std::sync::Arc;

use bytes::Bytes;
use client::Client;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request};
use model::labels::{Labels, LabelsBuilder};
use parking_lot::Mutex;
use rules::notify::{Cluster, Notifier, NotifierConfig, Post, Posted};
use scrape::discovery::group::TargetGroup;
use scrape::discovery::{self, Discovery};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::status::external_labels;
use crate::config::{AlertingConfig, Alertmanagers, Config};
use crate::reload::Part;
use crate::version;

/// Tells the Alertmanagers of the configuration.
#[derive(Debug)]
pub(super) struct Notifying {
    notifier: Arc<Notifier>,
    external_url: String,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    config: AlertingConfig,
    /// Tasks that follow discovery; they end when they are replaced.
    following: JoinSet<()>,
}

impl Notifying {
    pub(super) fn new(notifier: Arc<Notifier>, external_url: String, runtime: Handle) -> Self {
        Notifying { notifier, external_url, runtime, state: Mutex::default() }
    }
}

impl Part for Notifying {
    fn name(&self) -> &'static str {
        "notify"
    }

    fn apply(&self, config: &Config) -> Result<(), String> {
        let clusters = config.alerting.alertmanagers.iter().map(cluster).collect::<Result<Vec<_>, _>>()?;
        self.notifier.apply(NotifierConfig {
            external_labels: external_labels(config),
            external_url: self.external_url.clone(),
            alert_relabel: config.alerting.alert_relabel_configs.clone(),
            clusters,
        });
        let mut state = self.state.lock();
        if state.config == config.alerting && !state.following.is_empty() {
            return Ok(());
        }
        let _in_runtime = self.runtime.enter();
        let mut following = JoinSet::new();
        for (index, alertmanagers) in config.alerting.alertmanagers.iter().enumerate() {
            let context = discovery::Context {
                job_name: format!("config-{index}"),
                client: client_options(),
                metrics: None,
            };
            let discovery =
                Discovery::start(&alertmanagers.discovery, &context).map_err(|error| error.to_string())?;
            following.spawn(follow(discovery, index, Arc::clone(&self.notifier)));
        }
        *state = State { config: config.alerting.clone(), following };
        Ok(())
    }
}

/// Hands on what discovery finds, for as long as it is wanted.
async fn follow(mut discovery: Discovery, cluster: usize, notifier: Arc<Notifier>) {
    loop {
        discovery.changed().await;
        let targets: Vec<Labels> = discovery.groups().flat_map(targets).collect();
        notifier.set_targets(cluster, &targets);
    }
}

/// The labels of a group's targets; a target's own take precedence.
fn targets(group: &TargetGroup) -> impl Iterator<Item = Labels> {
    group.targets.iter().map(|target| {
        let mut labels = LabelsBuilder::from_labels(&group.labels);
        for (name, value) in target {
            labels.set(name, value);
        }
        labels.build()
    })
}

fn cluster(config: &Alertmanagers) -> Result<Cluster, String> {
    let client = Client::new(&config.http_client, client_options()).map_err(|error| error.to_string())?;
    Ok(Cluster {
        scheme: config.scheme.clone(),
        path_prefix: config.path_prefix.clone(),
        timeout: config.timeout.0,
        relabel: config.relabel_configs.clone(),
        alert_relabel: config.alert_relabel_configs.clone(),
        post: Arc::new(HttpPost(client)),
    })
}

fn client_options() -> client::Options {
    client::Options {
        name: "alertmanager".to_owned(),
        user_agent: format!("Ferula/{}", version::VERSION),
        unix_socket: None,
        round_robin_dns: false,
        metrics: None,
    }
}

/// Posts over HTTP.
#[derive(Debug)]
struct HttpPost(Client);

impl Post for HttpPost {
    fn post<'a>(&'a self, url: &'a str, body: Arc<[u8]>) -> Posted<'a> {
        Box::pin(async move {
            let request = Request::builder()
                .method(Method::POST)
                .uri(url)
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(Bytes::copy_from_slice(&body))
                .map_err(|error| error.to_string())?;
            let response = self.0.send(request).await.map_err(|error| error.to_string())?;
            Ok(response.status().as_u16())
        })
    }
}
