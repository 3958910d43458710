//! Targets of pods, and what targets of other roles tell of the pods behind them.

use k8s_openapi::api::core::v1::{Container, ContainerPort, ContainerStatus, Pod};
use model::labels::Labels;

use super::objects::{Objects, controller};
use super::targets::{Builder, Built, PREFIX, set_object};
use crate::discovery::meta::{MetaLabels, host_port};

impl Builder {
    /// A target for each port of each container, one for a container without.
    pub(super) fn pod(&self, objects: &Objects, pod: &Pod) -> Option<Built> {
        let ip = ip(pod)?;
        let node_name = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
        if self.attached.node && objects.nodes.get("", node_name).is_none() {
            // The selector of nodes has left it out.
            return None;
        }
        let mut labels = MetaLabels::new(PREFIX);
        self.set_pod(&mut labels, objects, pod);
        labels.set_some("namespace", pod.metadata.namespace.as_ref());
        self.set_node(&mut labels, objects, Some(node_name));
        let mut targets = Vec::new();
        for (container, is_init) in containers(pod) {
            let mut common = MetaLabels::new(PREFIX);
            common
                .set_address(ip)
                .set("pod_container_name", &container.name)
                .set_some("pod_container_image", container.image.as_ref())
                .set_some("pod_container_id", container_id(pod, container, is_init))
                .set_shown("pod_container_init", is_init);
            let ports = container.ports.as_deref().unwrap_or_default();
            if ports.is_empty() {
                targets.push(common.build());
            }
            targets.extend(ports.iter().map(|port| {
                let mut target = common.clone();
                target.set_address(&host_port(ip, port.container_port));
                set_port(&mut target, port);
                target.build()
            }));
        }
        Some(Built { labels, targets })
    }

    /// What is told of a pod.
    pub(super) fn set_pod(&self, labels: &mut MetaLabels, objects: &Objects, pod: &Pod) {
        let status = pod.status.as_ref();
        labels
            .set_some("pod_ip", ip(pod))
            .set("pod_ready", &ready(pod))
            .set_some("pod_phase", status.and_then(|status| status.phase.as_ref()))
            .set_some("pod_node_name", pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()))
            .set_some("pod_host_ip", status.and_then(|status| status.host_ip.as_ref()))
            .set_some("pod_uid", pod.metadata.uid.as_ref());
        set_object(labels, "pod", &pod.metadata);
        self.set_controller(labels, objects, pod);
    }

    /// What manages a pod, and what manages that in turn.
    fn set_controller(&self, labels: &mut MetaLabels, objects: &Objects, pod: &Pod) {
        let Some(owner) = controller(&pod.metadata) else { return };
        labels.set("pod_controller_kind", &owner.kind).set("pod_controller_name", &owner.name);
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let name_of =
            |kind: &str, meta| controller(meta).filter(|owner| owner.kind == kind).map(|owner| &owner.name);
        match owner.kind.as_str() {
            "ReplicaSet" if self.attached.deployment => {
                let replica_set = objects.replica_sets.get(namespace, &owner.name);
                let deployment = replica_set.and_then(|set| name_of("Deployment", &set.metadata));
                labels.set_some("pod_deployment_name", deployment);
            }
            "Job" => {
                if self.attached.job {
                    labels.set("pod_job_name", &owner.name);
                }
                let job = objects.jobs.get(namespace, &owner.name).filter(|_| self.attached.cronjob);
                labels.set_some("pod_cronjob_name", job.and_then(|job| name_of("CronJob", &job.metadata)));
            }
            _ => {}
        }
    }

    /// Targets for the ports of a pod's containers that `seen` isn't true of: its service doesn't know them.
    pub(super) fn other_ports(
        &self,
        objects: &Objects,
        pod: &Pod,
        seen: impl Fn(i32) -> bool,
    ) -> Vec<Labels> {
        let Some(ip) = ip(pod) else { return Vec::new() };
        let mut targets = Vec::new();
        for (container, is_init) in containers(pod) {
            for port in container.ports.iter().flatten().filter(|port| !seen(port.container_port)) {
                let mut target = MetaLabels::new(PREFIX);
                target.set_address(&host_port(ip, port.container_port));
                set_container(&mut target, container, port, is_init);
                self.set_pod(&mut target, objects, pod);
                targets.push(target.build());
            }
        }
        targets
    }
}

/// What is told of the container that listens at a port of a pod.
pub(super) fn set_container_at(labels: &mut MetaLabels, pod: &Pod, port: i32) {
    for (container, is_init) in containers(pod) {
        let listening = container.ports.iter().flatten().find(|other| other.container_port == port);
        if let Some(listening) = listening {
            set_container(labels, container, listening, is_init);
        }
    }
}

fn set_container(labels: &mut MetaLabels, container: &Container, port: &ContainerPort, is_init: bool) {
    labels
        .set("pod_container_name", &container.name)
        .set_some("pod_container_image", container.image.as_ref())
        .set_shown("pod_container_init", is_init);
    set_port(labels, port);
}

fn set_port(labels: &mut MetaLabels, port: &ContainerPort) {
    labels
        .set_shown("pod_container_port_number", port.container_port)
        .set("pod_container_port_name", port.name.as_deref().unwrap_or_default())
        .set("pod_container_port_protocol", port.protocol.as_deref().unwrap_or_default());
}

/// A pod's address, which it doesn't have while it starts or once it was evicted.
fn ip(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.pod_ip.as_deref().filter(|ip| !ip.is_empty())
}

/// All containers, with whether they run before the others.
fn containers(pod: &Pod) -> impl Iterator<Item = (&Container, bool)> {
    let spec = pod.spec.iter();
    let regular = spec.clone().flat_map(|spec| &spec.containers).map(|container| (container, false));
    let init = spec.flat_map(|spec| spec.init_containers.iter().flatten()).map(|container| (container, true));
    regular.chain(init)
}

fn container_id<'a>(pod: &'a Pod, container: &Container, is_init: bool) -> Option<&'a String> {
    let status = pod.status.as_ref()?;
    let statuses: &Option<Vec<ContainerStatus>> =
        if is_init { &status.init_container_statuses } else { &status.container_statuses };
    let status = statuses.iter().flatten().find(|status| status.name == container.name)?;
    status.container_id.as_ref()
}

fn ready(pod: &Pod) -> String {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready");
    ready.map_or_else(|| "unknown".to_owned(), |condition| condition.status.to_lowercase())
}
