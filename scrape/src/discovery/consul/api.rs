//! Consul's API: what is asked, and what its answers say.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use client::Client;
use http::{HeaderValue, Request};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};
use url::Url;

use super::config::ConsulSdConfig;
use crate::discovery::Context;
use crate::discovery::ask::ask;
use crate::discovery::json::null_is_default;
use crate::discovery::metrics::DiscoveryMetrics;

/// How long the server may hold an answer back while nothing changes.
const WAIT: Duration = Duration::from_secs(2 * 60);
/// How much longer than that an answer may take: the server adds up to a sixteenth, and then it has to come here.
const ANSWER_GRACE: Duration = Duration::from_secs(15);

/// What is asked for, as the labels of the metrics have it.
#[derive(Clone, Copy, Debug)]
struct Call {
    endpoint: &'static str,
    call: &'static str,
}

/// An answer with the index of the state that it tells; a later question with this index is answered when the
/// state has changed.
#[derive(Debug)]
pub(super) struct Indexed<T> {
    pub(super) index: u64,
    pub(super) value: T,
}

/// The instance of a service on a node, with its checks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Instance {
    pub(super) node: Node,
    pub(super) service: Service,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Node {
    pub(super) node: String,
    pub(super) address: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) meta: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) tagged_addresses: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Service {
    #[serde(rename = "ID")]
    pub(super) id: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) tags: Vec<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) address: String,
    #[serde(default)]
    pub(super) port: i64,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) meta: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) namespace: String,
    #[serde(default)]
    pub(super) partition: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Check {
    #[serde(rename = "CheckID", default)]
    pub(super) check_id: String,
    #[serde(default)]
    pub(super) status: String,
}

/// Asks a Consul server.
pub(super) struct Api {
    client: Client,
    base: String,
    token: Option<HeaderValue>,
    config: ConsulSdConfig,
    metrics: Option<DiscoveryMetrics>,
}

impl Api {
    pub(super) fn new(config: &ConsulSdConfig, context: &Context) -> Result<Self, client::ClientError> {
        let server = config.server().map_err(client::ClientError::Config)?;
        let options = client::Options {
            name: "consul_sd".to_owned(),
            unix_socket: server.unix_socket.or_else(|| context.client.unix_socket.clone()),
            ..context.client.clone()
        };
        let client = Client::new(&config.http_client, options)?;
        let token = Some(config.token.expose()).filter(|token| !token.is_empty());
        let token = token.map(HeaderValue::from_str).transpose();
        let mut token = token.map_err(|_| client::ClientError::Config("invalid token".to_owned()))?;
        if let Some(token) = &mut token {
            token.set_sensitive(true);
        }
        let metrics = context.metrics.clone();
        Ok(Api { client, base: server.base, token, config: config.clone(), metrics })
    }

    /// The datacenter of the server itself.
    pub(super) async fn datacenter(&self) -> Result<String, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Agent {
            config: AgentConfig,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct AgentConfig {
            datacenter: String,
        }
        let agent: Indexed<Agent> = self.ask(None, &["v1", "agent", "self"], &[]).await?;
        Ok(agent.value.config.datacenter)
    }

    /// The tags of all services of the catalog, by name.
    pub(super) async fn services(
        &self,
        index: u64,
    ) -> Result<Indexed<BTreeMap<String, Vec<String>>>, String> {
        let query = self.query(index, &self.config.filter);
        let call = Call { endpoint: "catalog", call: "services" };
        let services: Indexed<BTreeMap<String, Option<Vec<String>>>> =
            self.ask(Some(call), &["v1", "catalog", "services"], &query).await?;
        let value = services.value.into_iter().map(|(name, tags)| (name, tags.unwrap_or_default()));
        Ok(Indexed { index: services.index, value: value.collect() })
    }

    /// The instances of a service.
    pub(super) async fn instances(
        &self,
        service: &str,
        index: u64,
    ) -> Result<Indexed<Vec<Instance>>, String> {
        let mut query = self.query(index, &self.config.health_filter);
        query.extend(self.config.tags.iter().map(|tag| ("tag", tag.clone())));
        let call = Call { endpoint: "health", call: "service" };
        self.ask(Some(call), &["v1", "health", "service", service], &query).await
    }

    /// The parameters of a question that is answered when the state is another than that of `index`.
    fn query(&self, index: u64, filter: &str) -> Vec<(&'static str, String)> {
        let mut query = vec![("wait", format!("{}ms", WAIT.as_millis()))];
        if index > 0 {
            query.push(("index", index.to_string()));
        }
        if self.config.allow_stale {
            query.push(("stale", String::new()));
        }
        if !filter.is_empty() {
            query.push(("filter", filter.to_owned()));
        }
        let pairs = self.config.node_meta.iter();
        query.extend(pairs.map(|(key, value)| ("node-meta", format!("{key}:{value}"))));
        query
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        call: Option<Call>,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Indexed<T>, String> {
        let request = self.request(path, query)?;
        let started = Instant::now();
        let answer = timeout(WAIT + ANSWER_GRACE, ask(&self.client, request)).await;
        if let (Some(metrics), Some(call)) = (&self.metrics, call) {
            metrics.note_consul_call(call.endpoint, call.call, started.elapsed());
        }
        let answer = answer.map_err(|_| "context deadline exceeded".to_owned()).flatten();
        let answer = answer.and_then(|answer| answer.ok());
        let answer = answer.and_then(|answer| {
            let index = answer.headers.get("x-consul-index").and_then(|index| index.to_str().ok());
            let index = index.and_then(|index| index.parse().ok()).unwrap_or(0);
            Ok(Indexed { index, value: answer.json()? })
        });
        if let (Err(_), Some(metrics)) = (&answer, &self.metrics) {
            metrics.consul_failures.inc();
        }
        answer
    }

    fn request(&self, path: &[&str], query: &[(&str, String)]) -> Result<Request<Bytes>, String> {
        let mut url = Url::parse(&self.base).map_err(|error| error.to_string())?;
        url.path_segments_mut()
            .map_err(|()| "the server has no path".to_owned())?
            .pop_if_empty()
            .extend(path);
        let place = [
            ("dc", &self.config.datacenter),
            ("ns", &self.config.namespace),
            ("partition", &self.config.partition),
        ];
        let place = place.into_iter().filter(|(_, value)| !value.is_empty());
        let pairs = place.map(|(name, value)| (name, value.as_str()));
        let pairs = pairs.chain(query.iter().map(|(name, value)| (*name, value.as_str())));
        let pairs: Vec<_> = pairs.collect();
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        let mut request = Request::get(url.as_str()).body(Bytes::new()).map_err(|error| error.to_string())?;
        if let Some(token) = &self.token {
            request.headers_mut().insert("x-consul-token", token.clone());
        }
        Ok(request)
    }
}
