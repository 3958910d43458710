//! Targets of endpoints, and what they share with those of endpoint slices.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, Endpoints, ObjectReference, Pod};
use model::labels::Labels;

use super::objects::{Key, Objects};
use super::pod::set_container_at;
use super::targets::{Builder, Built, PREFIX, set_object, set_service};
use crate::discovery::meta::{MetaLabels, host_port};

/// What Kubernetes says of endpoints that have more addresses than fit.
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";

/// The pods behind targets, each with the ports that are targets already.
#[derive(Default)]
pub(super) struct SeenPods<'a>(BTreeMap<Key, (&'a Pod, BTreeSet<i32>)>);

impl<'a> SeenPods<'a> {
    /// Tells a target of the pod behind it, if there is one.
    pub(super) fn attach(
        &mut self,
        builder: &Builder,
        objects: &'a Objects,
        reference: Option<&ObjectReference>,
        port: Option<i32>,
        target: &mut MetaLabels,
    ) {
        let reference = reference.filter(|reference| reference.kind.as_deref() == Some("Pod"));
        let namespace = reference.and_then(|reference| reference.namespace.as_deref()).unwrap_or_default();
        let name = reference.and_then(|reference| reference.name.as_deref()).unwrap_or_default();
        let Some(pod) = objects.pods.get(namespace, name) else { return };
        builder.set_pod(target, objects, pod);
        let (_, ports) =
            self.0.entry((namespace.to_owned(), name.to_owned())).or_insert((pod, BTreeSet::new()));
        if let Some(port) = port {
            set_container_at(target, pod, port);
            ports.insert(port);
        }
    }

    /// Targets for all ports of the pods that aren't targets yet.
    pub(super) fn others(&self, builder: &Builder, objects: &Objects) -> Vec<Labels> {
        let pods = self.0.values();
        pods.flat_map(|(pod, ports)| builder.other_ports(objects, pod, |port| ports.contains(&port)))
            .collect()
    }
}

impl Builder {
    /// A target for each address and port, and for the other ports of the pods behind them.
    pub(super) fn endpoints(&self, objects: &Objects, endpoints: &Endpoints) -> Built {
        let meta = &endpoints.metadata;
        let (namespace, name) =
            (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
        let mut labels = MetaLabels::new(PREFIX);
        labels.set("namespace", namespace);
        if let Some(service) = objects.services.get(namespace, name) {
            set_service(&mut labels, service);
        }
        set_object(&mut labels, "endpoints", meta);
        warn_of_capacity(endpoints);
        let mut pods = SeenPods::default();
        let mut targets = Vec::new();
        for subset in endpoints.subsets.iter().flatten() {
            for port in subset.ports.iter().flatten() {
                let ready = subset.addresses.iter().flatten().map(|address| (address, true));
                let others = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
                for (address, is_ready) in ready.chain(others) {
                    let mut target = target(address, port, is_ready);
                    let node = address.node_name.as_deref().or_else(|| node_of(address.target_ref.as_ref()));
                    self.set_node(&mut target, objects, node);
                    pods.attach(self, objects, address.target_ref.as_ref(), Some(port.port), &mut target);
                    targets.push(target.build());
                }
            }
        }
        targets.extend(pods.others(self, objects));
        Built { labels, targets }
    }
}

/// The name of the node that is referred to, if it is a node.
pub(super) fn node_of(reference: Option<&ObjectReference>) -> Option<&str> {
    reference.filter(|reference| reference.kind.as_deref() == Some("Node"))?.name.as_deref()
}

fn target(address: &EndpointAddress, port: &EndpointPort, is_ready: bool) -> MetaLabels {
    let mut target = MetaLabels::new(PREFIX);
    let reference = address.target_ref.as_ref();
    target
        .set_address(&host_port(&address.ip, port.port))
        .set_some("endpoint_port_name", port.name.as_ref())
        .set_some("endpoint_port_protocol", port.protocol.as_ref())
        .set_shown("endpoint_ready", is_ready)
        .set_some("endpoint_address_target_kind", reference.and_then(|reference| reference.kind.as_ref()))
        .set_some("endpoint_address_target_name", reference.and_then(|reference| reference.name.as_ref()))
        .set_some("endpoint_node_name", address.node_name.as_ref())
        .set_some("endpoint_hostname", address.hostname.as_ref());
    target
}

fn warn_of_capacity(endpoints: &Endpoints) {
    let label = endpoints.metadata.labels.as_ref().and_then(|labels| labels.get(OVER_CAPACITY));
    let annotation =
        endpoints.metadata.annotations.as_ref().and_then(|annotations| annotations.get(OVER_CAPACITY));
    let what = match label.or(annotation).map(String::as_str) {
        Some("truncated") => "has been truncated",
        Some("warning") => "is near the limit",
        _ => return,
    };
    tracing::warn!(
        discovery = "kubernetes",
        endpoints = ?endpoints.metadata.name,
        "Number of endpoints in one Endpoints object exceeds 1000 and {what}, please use \"role: endpointslice\" instead",
    );
}
