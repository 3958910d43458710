//! Targets of a Docker Swarm: its services, tasks or nodes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use client::ClientError;
use model::labels::Labels;
use serde::Deserialize;

use super::api::Api;
use super::config::{DockerSwarmSdConfig, SwarmRole};
use crate::discovery::Context;
use crate::discovery::group::TargetGroup;
use crate::discovery::json::null_is_default;
use crate::discovery::meta::{MetaLabels, host_port};
use crate::discovery::refresh::Refresh;

const PREFIX: &str = "__meta_dockerswarm_";
const SOURCE: &str = "DockerSwarm";

/// Lists what a swarm has.
pub(crate) struct SwarmDiscovery {
    api: Api,
    config: DockerSwarmSdConfig,
}

impl SwarmDiscovery {
    pub(crate) fn new(config: &DockerSwarmSdConfig, context: &Context) -> Result<Self, ClientError> {
        let api = Api::new(&config.engine, "dockerswarm_sd", context)?;
        Ok(SwarmDiscovery { api, config: config.clone() })
    }

    fn port(&self) -> u16 {
        self.config.engine.port
    }
}

impl Refresh for SwarmDiscovery {
    const MECHANISM: &'static str = "dockerswarm";

    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, String> {
        let targets = match self.config.role {
            SwarmRole::Services => self.services().await?,
            SwarmRole::Tasks => self.tasks().await?,
            SwarmRole::Nodes => self.nodes().await?,
        };
        Ok(vec![TargetGroup { targets, labels: Labels::empty(), source: SOURCE.to_owned() }])
    }
}

#[derive(Debug, Deserialize)]
struct Node {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Spec", default)]
    spec: NodeSpec,
    #[serde(rename = "Description", default)]
    description: NodeDescription,
    #[serde(rename = "Status", default)]
    status: NodeStatus,
    #[serde(rename = "ManagerStatus")]
    manager: Option<ManagerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NodeSpec {
    role: String,
    availability: String,
    #[serde(deserialize_with = "null_is_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NodeDescription {
    hostname: String,
    platform: Platform,
    engine: EngineDescription,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Platform {
    #[serde(rename = "Architecture")]
    architecture: String,
    #[serde(rename = "OS")]
    os: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct EngineDescription {
    engine_version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NodeStatus {
    state: String,
    addr: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ManagerStatus {
    leader: bool,
    reachability: String,
    addr: String,
}

impl Node {
    /// What targets on the node know of it.
    fn labels(&self) -> MetaLabels {
        let mut labels = MetaLabels::new(PREFIX);
        labels
            .set("node_id", &self.id)
            .set("node_role", &self.spec.role)
            .set("node_address", &self.status.addr)
            .set("node_availability", &self.spec.availability)
            .set("node_hostname", &self.description.hostname)
            .set("node_platform_architecture", &self.description.platform.architecture)
            .set("node_platform_os", &self.description.platform.os)
            .set("node_status", &self.status.state)
            .set_each("node_label", &self.spec.labels);
        labels
    }
}

impl SwarmDiscovery {
    async fn nodes(&mut self) -> Result<Vec<Labels>, String> {
        let nodes: Vec<Node> = self.api.list("nodes", true).await?;
        let target = |node: &Node| {
            let mut labels = node.labels();
            labels
                .set("node_engine_version", &node.description.engine.engine_version)
                .set_address(&host_port(&node.status.addr, self.port()));
            if let Some(manager) = &node.manager {
                labels
                    .set_shown("node_manager_leader", manager.leader)
                    .set("node_manager_reachability", &manager.reachability)
                    .set("node_manager_address", &manager.addr);
            }
            labels.build()
        };
        Ok(nodes.iter().map(target).collect())
    }
}

#[derive(Debug, Deserialize)]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Spec", default)]
    spec: ServiceSpec,
    #[serde(rename = "Endpoint", default)]
    endpoint: ServiceEndpoint,
    #[serde(rename = "UpdateStatus")]
    update_status: Option<UpdateStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ServiceSpec {
    name: String,
    #[serde(deserialize_with = "null_is_default")]
    labels: BTreeMap<String, String>,
    mode: BTreeMap<String, serde_json::Value>,
    task_template: TaskSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TaskSpec {
    /// Plugins and attachments to networks have none.
    container_spec: Option<ContainerSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerSpec {
    image: String,
    hostname: String,
    #[serde(deserialize_with = "null_is_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServiceEndpoint {
    #[serde(rename = "Ports", deserialize_with = "null_is_default")]
    ports: Vec<Port>,
    #[serde(rename = "VirtualIPs", deserialize_with = "null_is_default")]
    virtual_ips: Vec<VirtualIp>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Port {
    name: String,
    protocol: String,
    published_port: u16,
    publish_mode: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct VirtualIp {
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "Addr")]
    addr: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct UpdateStatus {
    state: String,
}

impl Service {
    /// What the service's tasks know of it.
    fn labels(&self) -> MetaLabels {
        let modes = [("Global", "global"), ("Replicated", "replicated")];
        let is_mode = |name: &str| self.spec.mode.get(name).is_some_and(|mode| !mode.is_null());
        let mode = modes.into_iter().find(|(name, _)| is_mode(name)).map(|(_, mode)| mode);
        let mut labels = MetaLabels::new(PREFIX);
        labels
            .set("service_id", &self.id)
            .set("service_name", &self.spec.name)
            .set_some("service_mode", mode)
            .set_each("service_label", &self.spec.labels);
        labels
    }
}

impl SwarmDiscovery {
    async fn services(&mut self) -> Result<Vec<Labels>, String> {
        let services: Vec<Service> = self.api.list("services", true).await?;
        let networks = self.api.networks(PREFIX).await?;
        let mut targets = Vec::new();
        for service in &services {
            let mut common = service.labels();
            if let Some(container) = &service.spec.task_template.container_spec {
                common
                    .set("service_task_container_hostname", &container.hostname)
                    .set("service_task_container_image", &container.image);
            }
            if let Some(update) = &service.update_status {
                common.set("service_updating_status", &update.state);
            }
            // A network in which a service has no address of its own is none to reach it by.
            for virtual_ip in service.endpoint.virtual_ips.iter().filter(|ip| !ip.addr.is_empty()) {
                let mut common = common.clone();
                if let Some(network) = networks.get(&virtual_ip.network_id) {
                    common.extend(network);
                }
                let named = |port: &Port, labels: &mut MetaLabels| {
                    labels
                        .set("service_endpoint_port_name", &port.name)
                        .set("service_endpoint_port_publish_mode", &port.publish_mode);
                };
                let host = host(&virtual_ip.addr)?;
                targets.extend(at_ports(&host, &service.endpoint.ports, self.port(), &common, named));
            }
        }
        Ok(targets)
    }
}

/// The targets of an address: one for each TCP port, one at the port of the configuration if there is none.
fn at_ports(
    host: &str,
    ports: &[Port],
    other_port: u16,
    common: &MetaLabels,
    label: impl Fn(&Port, &mut MetaLabels),
) -> Vec<Labels> {
    let ports = ports.iter().filter(|port| port.protocol == "tcp");
    let mut targets: Vec<Labels> = ports
        .map(|port| {
            let mut labels = common.clone();
            label(port, &mut labels);
            labels.set_address(&host_port(host, port.published_port)).build()
        })
        .collect();
    if targets.is_empty() {
        targets.push(common.clone().set_address(&host_port(host, other_port)).build());
    }
    targets
}

/// The address in `address/bits`.
fn host(cidr: &str) -> Result<String, String> {
    let invalid = || format!("error while parsing address {cidr}: invalid CIDR address: {cidr}");
    let (host, _) = cidr.split_once('/').ok_or_else(invalid)?;
    let address: IpAddr = host.parse().map_err(|_| invalid())?;
    Ok(address.to_string())
}

#[derive(Debug, Deserialize)]
struct Task {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "ServiceID", default)]
    service_id: String,
    #[serde(rename = "NodeID", default)]
    node_id: String,
    #[serde(rename = "Slot", default)]
    slot: i64,
    #[serde(rename = "DesiredState", default)]
    desired_state: String,
    #[serde(rename = "Spec", default)]
    spec: TaskSpec,
    #[serde(rename = "Status", default)]
    status: TaskStatus,
    #[serde(rename = "NetworksAttachments", default, deserialize_with = "null_is_default")]
    attachments: Vec<Attachment>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TaskStatus {
    state: String,
    container_status: Option<ContainerStatus>,
    port_status: PortStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    #[serde(rename = "ContainerID")]
    container_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PortStatus {
    #[serde(deserialize_with = "null_is_default")]
    ports: Vec<Port>,
}

/// A task's end of a network.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Attachment {
    network: AttachedNetwork,
    #[serde(deserialize_with = "null_is_default")]
    addresses: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AttachedNetwork {
    #[serde(rename = "ID")]
    id: String,
}

impl Task {
    fn labels(&self) -> MetaLabels {
        let mut labels = MetaLabels::new(PREFIX);
        let container = self.status.container_status.as_ref();
        labels
            .set("task_id", &self.id)
            .set("task_desired_state", &self.desired_state)
            .set("task_state", &self.status.state)
            .set_shown("task_slot", self.slot)
            .set_some("task_container_id", container.map(|container| &container.container_id));
        if let Some(container) = &self.spec.container_spec {
            labels.set_each("container_label", &container.labels);
        }
        labels
    }
}

impl SwarmDiscovery {
    async fn tasks(&mut self) -> Result<Vec<Labels>, String> {
        let tasks: Vec<Task> = self.api.list("tasks", true).await?;
        let services: Vec<Service> = self.api.list("services", false).await?;
        let nodes: Vec<Node> = self.api.list("nodes", false).await?;
        let networks = self.api.networks(PREFIX).await?;
        let services: BTreeMap<&str, &Service> =
            services.iter().map(|service| (service.id.as_str(), service)).collect();
        let nodes: BTreeMap<&str, MetaLabels> =
            nodes.iter().map(|node| (node.id.as_str(), node.labels())).collect();
        let mut targets = Vec::new();
        for task in &tasks {
            let service = services.get(task.service_id.as_str());
            let mut common = task.labels();
            if let Some(service) = service {
                common.extend(&service.labels());
            }
            if let Some(node) = nodes.get(task.node_id.as_str()) {
                common.extend(node);
            }
            let ports = service.map(|service| service.endpoint.ports.as_slice()).unwrap_or_default();
            targets.extend(on_node(task, &common));
            targets.extend(in_networks(task, ports, self.port(), &common, &networks)?);
        }
        Ok(targets)
    }
}

/// Targets of a task at the ports that its node publishes.
fn on_node(task: &Task, common: &MetaLabels) -> Vec<Labels> {
    let ports = task.status.port_status.ports.iter().filter(|port| port.protocol == "tcp");
    let target = |port: &Port| {
        let address = host_port(common.value("node_address"), port.published_port);
        common.clone().set("task_port_publish_mode", &port.publish_mode).set_address(&address).build()
    };
    ports.map(target).collect()
}

/// Targets of a task at each of its addresses.
fn in_networks(
    task: &Task,
    ports: &[Port],
    other_port: u16,
    common: &MetaLabels,
    networks: &BTreeMap<String, MetaLabels>,
) -> Result<Vec<Labels>, String> {
    let named = |port: &Port, labels: &mut MetaLabels| {
        labels.set("task_port_publish_mode", &port.publish_mode);
    };
    let mut targets = Vec::new();
    for attachment in &task.attachments {
        let mut common = common.clone();
        if let Some(network) = networks.get(&attachment.network.id) {
            common.extend(network);
        }
        for address in &attachment.addresses {
            targets.extend(at_ports(&host(address)?, ports, other_port, &common, named));
        }
    }
    Ok(targets)
}
