//! `consul_sd_configs`.

use std::collections::BTreeMap;

use client::HttpClientConfig;
use client::config::{BasicAuth, Secret};
use model::duration::PromDuration;
use serde::{Deserialize, Deserializer, Serialize, de};

const SERVER: &str = "localhost:8500";
const TAG_SEPARATOR: &str = ",";
const REFRESH_INTERVAL: PromDuration = PromDuration::from_secs(30);

/// Targets that are registered in Consul.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConsulSdConfig {
    /// `host:port`, `http://…`, `https://…` or `unix://…`.
    pub server: String,
    /// What stands before the paths of the API.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path_prefix: String,
    /// What is sent as `X-Consul-Token`.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub token: Secret,
    /// Whose services; those of the server's own datacenter by default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub datacenter: String,
    /// The namespace, of which only Consul Enterprise has several.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The partition, of which only Consul Enterprise has several.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub partition: String,
    /// What stands between, before and after tags in their label.
    pub tag_separator: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Whether any server may answer, not only the leader.
    pub allow_stale: bool,
    /// The least time between two questions of a kind.
    pub refresh_interval: PromDuration,
    /// The services; all if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Tags that an instance has to have, all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Metadata that a node has to have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_meta: BTreeMap<String, String>,
    /// An expression that chooses among the services of the catalog.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter: String,
    /// An expression that chooses among the instances of a service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub health_filter: String,
    /// How to ask.
    #[serde(flatten)]
    pub http_client: HttpClientConfig,
}

client::inline_http_client! {
    struct Written {
        server: Option<String>,
        path_prefix: Option<String>,
        token: Option<Secret>,
        datacenter: Option<String>,
        namespace: Option<String>,
        partition: Option<String>,
        tag_separator: Option<String>,
        scheme: Option<String>,
        username: Option<String>,
        password: Option<Secret>,
        allow_stale: Option<bool>,
        refresh_interval: Option<PromDuration>,
        services: Option<Vec<String>>,
        tags: Option<Vec<String>>,
        node_meta: Option<BTreeMap<String, String>>,
        filter: Option<String>,
        health_filter: Option<String>,
    }
}

impl<'de> Deserialize<'de> for ConsulSdConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut written = Written::deserialize(deserializer)?;
        written.take_user().map_err(de::Error::custom)?;
        let http_client = written.http_client(true).map_err(de::Error::custom)?;
        let config = written.with(http_client);
        config.check().map_err(de::Error::custom)?;
        Ok(config)
    }
}

impl Written {
    /// `username` and `password` are an older way to write `basic_auth`.
    fn take_user(&mut self) -> Result<(), &'static str> {
        let username = self.username.take().unwrap_or_default();
        let password = self.password.take().unwrap_or_default();
        if username.is_empty() && password.is_empty() {
            return Ok(());
        }
        if self.basic_auth.is_some() {
            return Err(
                "at most one of consul SD configuration username and password and basic auth can be configured",
            );
        }
        self.basic_auth = Some(BasicAuth { username, password, ..BasicAuth::default() });
        Ok(())
    }

    fn with(self, http_client: HttpClientConfig) -> ConsulSdConfig {
        ConsulSdConfig {
            server: self.server.unwrap_or_else(|| SERVER.to_owned()),
            path_prefix: self.path_prefix.unwrap_or_default(),
            token: self.token.unwrap_or_default(),
            datacenter: self.datacenter.unwrap_or_default(),
            namespace: self.namespace.unwrap_or_default(),
            partition: self.partition.unwrap_or_default(),
            tag_separator: self.tag_separator.unwrap_or_else(|| TAG_SEPARATOR.to_owned()),
            scheme: self.scheme.unwrap_or_else(|| "http".to_owned()),
            allow_stale: self.allow_stale.unwrap_or(true),
            refresh_interval: self.refresh_interval.unwrap_or(REFRESH_INTERVAL),
            services: self.services.unwrap_or_default(),
            tags: self.tags.unwrap_or_default(),
            node_meta: self.node_meta.unwrap_or_default(),
            filter: self.filter.unwrap_or_default(),
            health_filter: self.health_filter.unwrap_or_default(),
            http_client,
        }
    }
}

/// Where a Consul server is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// The URL before the paths of the API.
    pub(super) base: String,
    /// The socket that stands for every host.
    pub(super) unix_socket: Option<String>,
}

impl ConsulSdConfig {
    fn check(&self) -> Result<(), String> {
        if self.server.trim().is_empty() {
            return Err("consul SD configuration requires a server address".to_owned());
        }
        let client = &self.http_client;
        if !self.token.is_empty() && (client.authorization.is_some() || client.oauth2.is_some()) {
            return Err(
                "at most one of consul SD token, authorization, or oauth2 can be configured".to_owned()
            );
        }
        self.server().map(drop)
    }

    pub(super) fn server(&self) -> Result<Server, String> {
        let prefix = self.path_prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        let (scheme, address) = match self.server.split_once("://") {
            Some(("unix", path)) => {
                let base = format!("http://localhost{prefix}");
                return Ok(Server { base, unix_socket: Some(path.to_owned()) });
            }
            // What asks for encryption, in either place, gets it.
            Some(("http", address)) => (&*self.scheme, address),
            Some(("https", address)) => ("https", address),
            Some((other, _)) => return Err(format!("unknown protocol scheme: {other}")),
            None => (&*self.scheme, &*self.server),
        };
        if !matches!(scheme, "http" | "https") {
            return Err(format!("unknown protocol scheme: {scheme}"));
        }
        let base = format!("{scheme}://{}{prefix}", address.trim_end_matches('/'));
        url::Url::parse(&base).map_err(|error| format!("parse {base:?}: {error}"))?;
        Ok(Server { base, unix_socket: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<ConsulSdConfig, String> {
        serde_saphyr::from_str(yaml).map_err(|error| error.to_string())
    }

    #[test]
    fn servers_are_found_in_every_way_of_writing_them() {
        for (yaml, base) in [
            ("{}", "http://localhost:8500"),
            ("{server: 'c:1', scheme: https, path_prefix: /x/}", "https://c:1/x"),
            ("{server: 'https://c:1/'}", "https://c:1"),
            ("{server: 'http://c:1', scheme: https}", "https://c:1"),
        ] {
            assert_eq!(read(yaml).unwrap().server().unwrap().base, base, "{yaml}");
        }
        let server = read("{server: 'unix:///run/consul.sock'}").unwrap().server().unwrap();
        assert_eq!(server.unix_socket.as_deref(), Some("/run/consul.sock"));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (yaml, expected) in [
            ("{server: ' '}", "consul SD configuration requires a server address"),
            ("{server: 'ftp://x'}", "unknown protocol scheme: ftp"),
            (
                "{username: a, basic_auth: {username: b}}",
                "at most one of consul SD configuration username and password and basic auth can be configured",
            ),
            (
                "{token: a, authorization: {credentials: b}}",
                "at most one of consul SD token, authorization, or oauth2 can be configured",
            ),
            ("{nope: 1}", "nope"),
        ] {
            let error = read(yaml).unwrap_err();
            assert!(error.contains(expected), "{yaml}: {error}");
        }
    }
}
