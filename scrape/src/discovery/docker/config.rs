//! `docker_sd_configs` and `dockerswarm_sd_configs`.

use client::HttpClientConfig;
use model::duration::PromDuration;
use serde::{Deserialize, Deserializer, Serialize, de};
use url::Url;

const REFRESH_INTERVAL: PromDuration = PromDuration::from_secs(60);
const PORT: u16 = 80;
const HOST_NETWORKING_HOST: &str = "localhost";
/// The port of an engine whose URL has none.
const ENGINE_PORT: u16 = 2375;

/// What to ask a Docker engine, and how.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Engine {
    /// The engine's URL: `unix://`, `tcp://`, `http://` or `https://`.
    pub host: String,
    /// The port of targets that publish none.
    pub port: u16,
    /// What the engine is to choose by.
    pub filters: Vec<Filter>,
    /// How often to ask.
    pub refresh_interval: PromDuration,
    /// How to ask.
    #[serde(flatten)]
    pub http_client: HttpClientConfig,
}

/// Values of which one has to match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// What is looked at.
    pub name: String,
    /// The values.
    pub values: Vec<String>,
}

/// Containers of a Docker engine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DockerSdConfig {
    /// The engine.
    #[serde(flatten)]
    pub engine: Engine,
    /// The address of containers that have the host's network.
    pub host_networking_host: String,
    /// Whether a container in several networks is a target in the first of them only.
    pub match_first_network: bool,
}

/// What of a Docker Swarm becomes targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "Docker's own words")]
pub enum SwarmRole {
    Services,
    Tasks,
    Nodes,
}

/// Services, tasks or nodes of a Docker Swarm.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DockerSwarmSdConfig {
    /// An engine of the swarm.
    #[serde(flatten)]
    pub engine: Engine,
    /// What becomes targets.
    pub role: SwarmRole,
}

/// Where an engine listens.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listener {
    /// The URL before the paths of the API.
    pub(super) base: String,
    /// The socket that stands for every host.
    pub(super) unix_socket: Option<String>,
}

impl Engine {
    fn new(
        host: Option<String>,
        port: Option<u16>,
        filters: Option<Vec<Filter>>,
        refresh_interval: Option<PromDuration>,
        http_client: HttpClientConfig,
    ) -> Result<Self, String> {
        let engine = Engine {
            host: host.unwrap_or_default(),
            port: port.unwrap_or(PORT),
            filters: filters.unwrap_or_default(),
            refresh_interval: refresh_interval.unwrap_or(REFRESH_INTERVAL),
            http_client,
        };
        if engine.host.is_empty() {
            return Err("host missing".to_owned());
        }
        engine.listener()?;
        Ok(engine)
    }

    pub(super) fn listener(&self) -> Result<Listener, String> {
        let (scheme, rest) = self
            .host
            .split_once("://")
            .ok_or_else(|| format!("unable to parse docker host `{}`", self.host))?;
        if scheme == "unix" {
            let base = "http://localhost".to_owned();
            return Ok(Listener { base, unix_socket: Some(rest.to_owned()) });
        }
        let scheme = match scheme {
            "http" | "https" => scheme,
            // Certificates are of no use without encryption.
            "tcp" if self.http_client.tls_config.is_some() => "https",
            "tcp" => "http",
            other => return Err(format!("protocol {other:?} of docker host is not supported")),
        };
        let url = format!("{scheme}://{}", rest.trim_end_matches('/'));
        let mut url = Url::parse(&url).map_err(|error| format!("parse {:?}: {error}", self.host))?;
        if url.port().is_none() && self.host.starts_with("tcp:") {
            url.set_port(Some(ENGINE_PORT)).map_err(|()| format!("parse {:?}: no host", self.host))?;
        }
        Ok(Listener { base: url.as_str().trim_end_matches('/').to_owned(), unix_socket: None })
    }
}

client::inline_http_client! {
    struct WrittenDocker {
        host: Option<String>,
        port: Option<u16>,
        filters: Option<Vec<Filter>>,
        refresh_interval: Option<PromDuration>,
        host_networking_host: Option<String>,
        match_first_network: Option<bool>,
    }
}

impl<'de> Deserialize<'de> for DockerSdConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut written = WrittenDocker::deserialize(deserializer)?;
        let client = written.http_client(true).map_err(de::Error::custom)?;
        let engine =
            Engine::new(written.host, written.port, written.filters, written.refresh_interval, client);
        let host = written.host_networking_host;
        Ok(DockerSdConfig {
            engine: engine.map_err(de::Error::custom)?,
            host_networking_host: host.unwrap_or_else(|| HOST_NETWORKING_HOST.to_owned()),
            match_first_network: written.match_first_network.unwrap_or(true),
        })
    }
}

client::inline_http_client! {
    struct WrittenSwarm {
        host: Option<String>,
        role: Option<String>,
        port: Option<u16>,
        filters: Option<Vec<Filter>>,
        refresh_interval: Option<PromDuration>,
    }
}

impl<'de> Deserialize<'de> for DockerSwarmSdConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut written = WrittenSwarm::deserialize(deserializer)?;
        let client = written.http_client(true).map_err(de::Error::custom)?;
        let engine =
            Engine::new(written.host, written.port, written.filters, written.refresh_interval, client);
        let role = match written.role.as_deref().unwrap_or_default() {
            "services" => SwarmRole::Services,
            "tasks" => SwarmRole::Tasks,
            "nodes" => SwarmRole::Nodes,
            "" => return Err(de::Error::custom("role missing (one of: tasks, services, nodes)")),
            other => {
                let what = format!("invalid role {other}, expected tasks, services, or nodes");
                return Err(de::Error::custom(what));
            }
        };
        Ok(DockerSwarmSdConfig { engine: engine.map_err(de::Error::custom)?, role })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_found_in_every_way_of_writing_them() {
        for (yaml, base, socket) in [
            ("{host: 'unix:///var/run/docker.sock'}", "http://localhost", Some("/var/run/docker.sock")),
            ("{host: 'http://d:1/'}", "http://d:1", None),
            ("{host: 'tcp://d'}", "http://d:2375", None),
            ("{host: 'tcp://d:2376', tls_config: {insecure_skip_verify: true}}", "https://d:2376", None),
        ] {
            let config: DockerSdConfig = serde_saphyr::from_str(yaml).unwrap();
            let listener = config.engine.listener().unwrap();
            assert_eq!((&*listener.base, listener.unix_socket.as_deref()), (base, socket), "{yaml}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (yaml, expected) in [
            ("{role: tasks}", "host missing"),
            ("{host: 'http://d'}", "role missing (one of: tasks, services, nodes)"),
            ("{host: 'http://d', role: x}", "invalid role x, expected tasks, services, or nodes"),
            ("{host: 'npipe://d', role: tasks}", "npipe"),
            ("{host: d, role: tasks}", "unable to parse docker host `d`"),
            ("{host: 'http://d', role: tasks, match_first_network: true}", "match_first_network"),
        ] {
            let error = serde_saphyr::from_str::<DockerSwarmSdConfig>(yaml).unwrap_err().to_string();
            assert!(error.contains(expected), "{yaml}: {error}");
        }
    }
}
