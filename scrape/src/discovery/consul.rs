//! Discovery from Consul: a group for each service, which follows the service by blocking queries.
//!
//! A query tells the index of the state that was seen last, and the server answers when there is another. The
//! list of services is followed only if the configuration doesn't name them all; a task follows each service.
//! A query that fails is asked again, and changes nothing meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::ClientError;
use model::labels::Labels;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use self::api::{Api, Check, Instance};
pub use self::config::ConsulSdConfig;
use super::group::TargetGroup;
use super::meta::{MetaLabels, host_port};
use super::{Context, Output};

mod api;
pub mod config;

/// How long to wait after a failure, unless the refresh interval is shorter.
const RETRY: Duration = Duration::from_secs(15);

const PREFIX: &str = "__meta_consul_";

/// Discovers the services of one Consul server.
pub(super) struct ConsulDiscovery {
    api: Arc<Api>,
    config: Arc<ConsulSdConfig>,
    job_name: String,
}

impl ConsulDiscovery {
    pub(super) fn new(config: &ConsulSdConfig, context: &Context) -> Result<Self, ClientError> {
        let api = Arc::new(Api::new(config, context)?);
        Ok(ConsulDiscovery { api, config: Arc::new(config.clone()), job_name: context.job_name.clone() })
    }

    pub(super) async fn run(self, output: Output) {
        let datacenter = self.datacenter().await;
        let mut watches = Watches { discovery: self, datacenter, output, by_service: BTreeMap::new() };
        let config = Arc::clone(&watches.discovery.config);
        if config.services.is_empty() || !config.tags.is_empty() || !config.filter.is_empty() {
            watches.follow_catalog().await;
        } else {
            for name in &config.services {
                watches.add(name);
            }
            watches.output.closed().await;
        }
    }

    async fn datacenter(&self) -> String {
        if !self.config.datacenter.is_empty() {
            return self.config.datacenter.clone();
        }
        loop {
            match self.api.datacenter().await {
                Ok(datacenter) => return datacenter,
                Err(error) => {
                    tracing::error!(discovery = "consul", config = %self.job_name, %error, "Error retrieving datacenter name");
                    sleep(retry(&self.config)).await;
                }
            }
        }
    }
}

fn retry(config: &ConsulSdConfig) -> Duration {
    RETRY.min(config.refresh_interval.0)
}

/// The services that are followed.
struct Watches {
    discovery: ConsulDiscovery,
    datacenter: String,
    output: Output,
    /// For each service the task that follows it.
    by_service: BTreeMap<String, JoinSet<()>>,
}

impl Watches {
    /// Follows the list of services.
    async fn follow_catalog(&mut self) {
        let mut index = 0;
        loop {
            let next = Instant::now() + self.discovery.config.refresh_interval.0;
            match self.discovery.api.services(index).await {
                Ok(services) if services.index != 0 && services.index == index => {}
                Ok(services) => {
                    index = next_index(index, services.index);
                    if !self.set(&services.value).await {
                        return;
                    }
                }
                Err(error) => {
                    let config = &self.discovery.job_name;
                    tracing::error!(discovery = "consul", %config, %error, "Error refreshing service list");
                    sleep(retry(&self.discovery.config)).await;
                }
            }
            sleep_until(next).await;
        }
    }

    /// Follows these services and no others. Says whether anybody is still interested.
    async fn set(&mut self, services: &BTreeMap<String, Vec<String>>) -> bool {
        let config = Arc::clone(&self.discovery.config);
        let is_wanted = |name: &String| config.services.is_empty() || config.services.contains(name);
        let has_tags = |tags: &[String]| config.tags.iter().all(|tag| tags.contains(tag));
        for (name, tags) in services {
            if is_wanted(name) && has_tags(tags) {
                self.add(name);
            }
        }
        let gone: Vec<String> =
            self.by_service.keys().filter(|name| !services.contains_key(*name)).cloned().collect();
        let mut groups = Vec::new();
        for name in gone {
            // Its task has to be at an end before the group is taken back, or it might bring it again.
            if let Some(mut watch) = self.by_service.remove(&name) {
                watch.shutdown().await;
            }
            groups.push(TargetGroup { source: name, ..TargetGroup::default() });
        }
        if self.by_service.is_empty() || !groups.is_empty() {
            return self.output.send(groups).await;
        }
        true
    }

    fn add(&mut self, name: &str) {
        if self.by_service.contains_key(name) {
            return;
        }
        let mut labels = MetaLabels::new(PREFIX);
        labels.set("service", name).set("dc", &self.datacenter);
        let watch = Watch {
            api: Arc::clone(&self.discovery.api),
            config: Arc::clone(&self.discovery.config),
            job_name: self.discovery.job_name.clone(),
            name: name.to_owned(),
            labels: labels.build(),
        };
        let mut task = JoinSet::new();
        task.spawn(watch.run(self.output.clone()));
        self.by_service.insert(name.to_owned(), task);
    }
}

/// The index to ask with. One that went back, as after the server's state was restored, says nothing of what has
/// changed since.
fn next_index(before: u64, now: u64) -> u64 {
    if now < before { 0 } else { now }
}

/// Follows one service.
struct Watch {
    api: Arc<Api>,
    config: Arc<ConsulSdConfig>,
    job_name: String,
    name: String,
    labels: Labels,
}

impl Watch {
    async fn run(self, output: Output) {
        let mut index = 0;
        loop {
            let next = Instant::now() + self.config.refresh_interval.0;
            match self.api.instances(&self.name, index).await {
                Ok(instances) if instances.index != 0 && instances.index == index => {}
                Ok(instances) => {
                    index = next_index(index, instances.index);
                    if !output.send(vec![self.group(&instances.value)]).await {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!(discovery = "consul", config = %self.job_name, service = %self.name, %error, "Error refreshing service");
                    sleep(retry(&self.config)).await;
                }
            }
            sleep_until(next).await;
        }
    }

    fn group(&self, instances: &[Instance]) -> TargetGroup {
        let targets = instances.iter().map(|instance| target(instance, &self.config.tag_separator));
        TargetGroup { targets: targets.collect(), labels: self.labels.clone(), source: self.name.clone() }
    }
}

fn target(instance: &Instance, separator: &str) -> Labels {
    let (node, service) = (&instance.node, &instance.service);
    // A service may run elsewhere than on the node that has registered it.
    let host = if service.address.is_empty() { &node.address } else { &service.address };
    // With a separator at both ends an expression needn't care where among the tags one stands.
    let tags = format!("{separator}{}{separator}", service.tags.join(separator));
    let mut labels = MetaLabels::new(PREFIX);
    labels
        .set_address(&host_port(host, service.port))
        .set("address", &node.address)
        .set("node", &node.node)
        .set("namespace", &service.namespace)
        .set("partition", &service.partition)
        .set("tags", &tags)
        .set("service_address", &service.address)
        .set_shown("service_port", service.port)
        .set("service_id", &service.id)
        .set("health", health(&instance.checks))
        .set_each("metadata", &node.meta)
        .set_each("service_metadata", &service.meta)
        .set_each("tagged_address", &node.tagged_addresses);
    labels.build()
}

/// The worst of the checks; empty if one says what is unknown.
fn health(checks: &[Check]) -> &'static str {
    const FROM_GOOD_TO_BAD: [&str; 4] = ["passing", "warning", "critical", "maintenance"];
    let mut worst = 0;
    for check in checks {
        let is_maintenance =
            check.check_id == "_node_maintenance" || check.check_id.starts_with("_service_maintenance:");
        let status = if is_maintenance { "maintenance" } else { check.status.as_str() };
        match FROM_GOOD_TO_BAD.iter().position(|known| *known == status) {
            Some(rank) => worst = worst.max(rank),
            None => return "",
        }
    }
    FROM_GOOD_TO_BAD[worst]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_counts() {
        for (checks, expected) in [
            (&[][..], "passing"),
            (&[("a", "passing"), ("b", "warning")], "warning"),
            (&[("a", "critical"), ("b", "warning")], "critical"),
            (&[("_service_maintenance:x", "critical")], "maintenance"),
            (&[("a", "odd")], ""),
        ] {
            let checks: Vec<Check> = checks
                .iter()
                .map(|(id, status)| Check { check_id: (*id).to_owned(), status: (*status).to_owned() })
                .collect();
            assert_eq!(health(&checks), expected);
        }
    }

    #[test]
    fn instances_become_targets() {
        let json = r#"{"Node": {"Node": "n1", "Address": "10.0.0.1", "Meta": {"rack": "r-1"},
            "TaggedAddresses": {"lan": "10.0.0.1"}},
            "Service": {"ID": "web-1", "Tags": ["a", "b"], "Address": "", "Port": 80, "Meta": null,
            "Namespace": "default"}, "Checks": null}"#;
        let instance: Instance = serde_json::from_str(json).unwrap();
        let target = target(&instance, ",").to_string();
        assert_eq!(
            target,
            concat!(
                r#"{__address__="10.0.0.1:80", __meta_consul_address="10.0.0.1", __meta_consul_health="passing", "#,
                r#"__meta_consul_metadata_rack="r-1", __meta_consul_namespace="default", __meta_consul_node="n1", "#,
                r#"__meta_consul_service_id="web-1", __meta_consul_service_port="80", "#,
                r#"__meta_consul_tagged_address_lan="10.0.0.1", __meta_consul_tags=",a,b,"}"#
            )
        );
    }
}
