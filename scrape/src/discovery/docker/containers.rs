//! Targets of a Docker engine: its containers, in each network and at each port.

use std::collections::BTreeMap;

use client::ClientError;
use model::labels::Labels;
use serde::Deserialize;

use super::api::Api;
use super::config::DockerSdConfig;
use crate::discovery::Context;
use crate::discovery::group::TargetGroup;
use crate::discovery::json::null_is_default;
use crate::discovery::meta::{MetaLabels, host_port};
use crate::discovery::refresh::Refresh;

const PREFIX: &str = "__meta_docker_";
const SOURCE: &str = "Docker";

/// Lists the containers of one engine.
pub(crate) struct DockerDiscovery {
    api: Api,
    config: DockerSdConfig,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    id: String,
    #[serde(default, deserialize_with = "null_is_default")]
    names: Vec<String>,
    #[serde(default)]
    image: String,
    #[serde(rename = "ImageID", default)]
    image_id: String,
    #[serde(default, deserialize_with = "null_is_default")]
    ports: Vec<Port>,
    #[serde(default, deserialize_with = "null_is_default")]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    host_config: HostConfig,
    #[serde(default, deserialize_with = "null_is_default")]
    network_settings: NetworkSettings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    network_mode: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettings {
    #[serde(deserialize_with = "null_is_default")]
    networks: BTreeMap<String, Option<Endpoint>>,
}

/// A container's end of a network.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Endpoint {
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Port {
    #[serde(rename = "IP")]
    ip: String,
    private_port: u16,
    public_port: u16,
    #[serde(rename = "Type")]
    protocol: String,
}

impl DockerDiscovery {
    pub(crate) fn new(config: &DockerSdConfig, context: &Context) -> Result<Self, ClientError> {
        let api = Api::new(&config.engine, "docker_sd", context)?;
        Ok(DockerDiscovery { api, config: config.clone() })
    }
}

impl Refresh for DockerDiscovery {
    const MECHANISM: &'static str = "docker";

    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, String> {
        let containers: Vec<Container> = self.api.list("containers/json", true).await?;
        let networks = self.api.networks(PREFIX).await?;
        let by_id: BTreeMap<&str, &Container> =
            containers.iter().map(|container| (container.id.as_str(), container)).collect();
        let mut targets = Vec::new();
        for container in containers.iter().filter(|container| !container.names.is_empty()) {
            let common = container.labels();
            for endpoint in endpoints(container, &by_id, self.config.match_first_network) {
                let mut common = common.clone();
                common.set("network_ip", endpoint.ip());
                if let Some(network) = networks.get(&endpoint.network_id) {
                    common.extend(network);
                }
                targets.extend(self.targets(container, endpoint, &common));
            }
        }
        Ok(vec![TargetGroup { targets, labels: Labels::empty(), source: SOURCE.to_owned() }])
    }
}

impl DockerDiscovery {
    /// The targets of a container in a network: one for each TCP port, one without if there is none.
    fn targets(&self, container: &Container, endpoint: &Endpoint, common: &MetaLabels) -> Vec<Labels> {
        let ports = container.ports.iter().filter(|port| port.protocol == "tcp");
        let mut targets: Vec<Labels> = ports
            .map(|port| {
                let mut labels = common.clone();
                labels.set_address(&host_port(endpoint.ip(), port.private_port));
                labels.set_shown("port_private", port.private_port);
                if port.public_port > 0 {
                    labels.set_shown("port_public", port.public_port).set("port_public_ip", &port.ip);
                }
                labels.build()
            })
            .collect();
        if targets.is_empty() {
            let has_host_network = container.host_config.network_mode == "host";
            let mut labels = common.clone();
            labels.set_address(&match has_host_network {
                true => self.config.host_networking_host.clone(),
                false => host_port(endpoint.ip(), self.config.engine.port),
            });
            targets.push(labels.build());
        }
        targets
    }
}

/// The networks that a container is in, its own or those of the container whose network it shares.
fn endpoints<'a>(
    container: &'a Container,
    by_id: &BTreeMap<&str, &'a Container>,
    only_first: bool,
) -> Vec<&'a Endpoint> {
    let mut sharing = container;
    // Each container is gone to once at most, however they name each other.
    for _ in 0..by_id.len() {
        let other = sharing.host_config.network_mode.strip_prefix("container:");
        match other.and_then(|id| by_id.get(id)) {
            Some(other) if sharing.network_settings.networks.is_empty() => sharing = other,
            _ => break,
        }
    }
    let networks = sharing.network_settings.networks.values().flatten();
    networks.take(if only_first { 1 } else { usize::MAX }).collect()
}

impl Endpoint {
    fn ip(&self) -> &str {
        if self.ip_address.is_empty() { &self.global_ipv6_address } else { &self.ip_address }
    }
}

impl Container {
    fn labels(&self) -> MetaLabels {
        let mut labels = MetaLabels::new(PREFIX);
        labels
            .set("container_id", &self.id)
            .set_some("container_name", self.names.first())
            .set("container_network_mode", &self.host_config.network_mode)
            .set("container_image", &self.image)
            .set("container_image_id", &self.image_id)
            .set_each("container_label", &self.labels);
        labels
    }
}
