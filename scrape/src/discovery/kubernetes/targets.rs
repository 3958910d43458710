//! Target groups of objects, and the labels that groups of several roles share.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::networking::v1::{Ingress, IngressRule};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use model::labels::Labels;

use super::config::{AttachMetadata, KubernetesSdConfig, Role};
use super::objects::{Key, Objects};
use crate::discovery::group::TargetGroup;
use crate::discovery::meta::{MetaLabels, host_port, sanitized};

pub(super) const PREFIX: &str = "__meta_kubernetes_";

/// Kinds of a node's addresses, the one that is wanted most first.
const ADDRESS_TYPES: [&str; 6] =
    ["InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname"];

/// Builds groups of one role.
pub(super) struct Builder {
    pub(super) role: Role,
    pub(super) attached: AttachMetadata,
}

impl Builder {
    pub(super) fn new(config: &KubernetesSdConfig) -> Self {
        Builder { role: config.role, attached: config.attach_metadata }
    }

    /// The objects that have groups.
    pub(super) fn keys(&self, objects: &Objects) -> Vec<Key> {
        match self.role {
            Role::Pod => objects.pods.keys().cloned().collect(),
            Role::Service => objects.services.keys().cloned().collect(),
            Role::Endpoints => objects.endpoints.keys().cloned().collect(),
            Role::EndpointSlice => objects.endpoint_slices.keys().cloned().collect(),
            Role::Ingress => objects.ingresses.keys().cloned().collect(),
            Role::Node => objects.nodes.keys().cloned().collect(),
        }
    }

    /// Those of a namespace.
    pub(super) fn keys_in(&self, objects: &Objects, namespace: &str) -> Vec<Key> {
        match self.role {
            Role::Pod => objects.pods.keys_in(namespace).cloned().collect(),
            Role::Service => objects.services.keys_in(namespace).cloned().collect(),
            Role::Endpoints => objects.endpoints.keys_in(namespace).cloned().collect(),
            Role::EndpointSlice => objects.endpoint_slices.keys_in(namespace).cloned().collect(),
            Role::Ingress => objects.ingresses.keys_in(namespace).cloned().collect(),
            Role::Node => Vec::new(),
        }
    }

    /// The group of an object; without targets if there is no such object any more.
    pub(super) fn group(&self, objects: &Objects, key: &Key) -> TargetGroup {
        let (namespace, name) = (key.0.as_str(), key.1.as_str());
        let built = match self.role {
            Role::Pod => objects.pods.get(namespace, name).and_then(|pod| self.pod(objects, pod)),
            Role::Service => objects.services.get(namespace, name).map(service),
            Role::Endpoints => {
                objects.endpoints.get(namespace, name).map(|endpoints| self.endpoints(objects, endpoints))
            }
            Role::EndpointSlice => {
                objects.endpoint_slices.get(namespace, name).map(|slice| self.endpoint_slice(objects, slice))
            }
            Role::Ingress => objects.ingresses.get(namespace, name).map(ingress),
            Role::Node => objects.nodes.get(namespace, name).and_then(node),
        };
        let source = match self.role {
            Role::Pod => format!("pod/{namespace}/{name}"),
            Role::Service => format!("svc/{namespace}/{name}"),
            Role::Endpoints => format!("endpoints/{namespace}/{name}"),
            Role::EndpointSlice => format!("endpointslice/{namespace}/{name}"),
            Role::Ingress => format!("ingress/{namespace}/{name}"),
            Role::Node => format!("node/{name}"),
        };
        let Some(mut built) = built else { return TargetGroup { source, ..TargetGroup::default() } };
        if self.attached.namespace
            && let Some(namespace) = objects.namespaces.get("", namespace)
        {
            set_labels_and_annotations(&mut built.labels, "namespace", &namespace.metadata);
        }
        TargetGroup { targets: built.targets, labels: built.labels.build(), source }
    }

    /// Labels of the node of that name, if nodes are wanted and it is known.
    pub(super) fn set_node(&self, labels: &mut MetaLabels, objects: &Objects, name: Option<&str>) {
        if let Some(node) = name.filter(|_| self.attached.node).and_then(|name| objects.nodes.get("", name)) {
            set_object(labels, "node", &node.metadata);
        }
    }
}

/// What a group is made of.
pub(super) struct Built {
    pub(super) labels: MetaLabels,
    pub(super) targets: Vec<Labels>,
}

/// Name, labels and annotations of an object.
pub(super) fn set_object(labels: &mut MetaLabels, resource: &str, meta: &ObjectMeta) {
    labels.set_some(&format!("{resource}_name"), meta.name.as_ref());
    set_labels_and_annotations(labels, resource, meta);
}

fn set_labels_and_annotations(labels: &mut MetaLabels, resource: &str, meta: &ObjectMeta) {
    let mut set = |kind: &str, pairs: &Option<BTreeMap<String, String>>| {
        for (key, value) in pairs.iter().flatten() {
            let key = sanitized(key);
            labels.set(&format!("{resource}_{kind}_{key}"), value);
            labels.set(&format!("{resource}_{kind}present_{key}"), "true");
        }
    };
    set("label", &meta.labels);
    set("annotation", &meta.annotations);
}

/// What is told of a service.
pub(super) fn set_service(labels: &mut MetaLabels, service: &Service) {
    labels.set_some("namespace", service.metadata.namespace.as_ref());
    set_object(labels, "service", &service.metadata);
}

/// A target for each port of a service.
fn service(service: &Service) -> Built {
    let mut labels = MetaLabels::new(PREFIX);
    set_service(&mut labels, service);
    let meta = &service.metadata;
    let (name, namespace) = (meta.name.as_deref(), meta.namespace.as_deref());
    let host = format!("{}.{}.svc", name.unwrap_or_default(), namespace.unwrap_or_default());
    let Some(spec) = &service.spec else { return Built { labels, targets: Vec::new() } };
    let kind = spec.type_.as_deref().unwrap_or_default();
    let targets = spec.ports.iter().flatten().map(|port| {
        let mut target = MetaLabels::new(PREFIX);
        target
            .set_address(&host_port(&host, port.port))
            .set_some("service_port_name", port.name.as_ref())
            .set_shown("service_port_number", port.port)
            .set_some("service_port_protocol", port.protocol.as_ref())
            .set("service_type", kind);
        match kind {
            "ExternalName" => target.set_some("service_external_name", spec.external_name.as_ref()),
            _ => target.set_some("service_cluster_ip", spec.cluster_ip.as_ref()),
        };
        if kind == "LoadBalancer" {
            target.set("service_loadbalancer_ip", &load_balancer_ips(service));
        }
        target.build()
    });
    Built { labels, targets: targets.collect() }
}

/// The addresses of a load balancer, or else the one that was asked for.
fn load_balancer_ips(service: &Service) -> String {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.and_then(|status| status.ingress.as_ref()).into_iter().flatten();
    let ips: Vec<&str> =
        ingress.filter_map(|ingress| ingress.ip.as_deref()).filter(|ip| !ip.is_empty()).collect();
    if !ips.is_empty() {
        return ips.join(",");
    }
    let wanted = service.spec.as_ref().and_then(|spec| spec.load_balancer_ip.clone());
    wanted.unwrap_or_default()
}

/// The target that a node's kubelet is, if the node has an address.
fn node(node: &Node) -> Option<Built> {
    let mut labels = MetaLabels::new(PREFIX);
    let provider = node.spec.as_ref().and_then(|spec| spec.provider_id.as_ref());
    labels.set_some("node_provider_id", provider);
    let status = node.status.as_ref();
    for condition in status.iter().flat_map(|status| status.conditions.iter().flatten()) {
        let name = sanitized(&condition.type_.to_lowercase());
        labels.set(&format!("node_condition_{name}"), &condition.status.to_lowercase());
    }
    set_object(&mut labels, "node", &node.metadata);
    let status = status?;
    let addresses = || status.addresses.iter().flatten();
    let of_type = |kind: &str| addresses().find(|address| address.type_ == kind);
    let Some(address) = ADDRESS_TYPES.iter().find_map(|kind| of_type(kind)) else {
        tracing::warn!(discovery = "kubernetes", node = ?node.metadata.name, "No node address found");
        return None;
    };
    let kubelet = status.daemon_endpoints.as_ref().and_then(|daemons| daemons.kubelet_endpoint.as_ref());
    let port = kubelet.map_or(0, |kubelet| kubelet.port);
    let mut target = MetaLabels::new(PREFIX);
    target.set_address(&host_port(&address.address, port));
    target.set_plain("instance", node.metadata.name.as_deref().unwrap_or_default());
    for address in addresses() {
        // The first address of a kind counts.
        let first = of_type(&address.type_).unwrap_or(address);
        target.set(&format!("node_address_{}", sanitized(&address.type_)), &first.address);
    }
    Some(Built { labels, targets: vec![target.build()] })
}

/// A target for each path of an ingress.
fn ingress(ingress: &Ingress) -> Built {
    let mut labels = MetaLabels::new(PREFIX);
    let spec = ingress.spec.as_ref();
    labels
        .set_some("namespace", ingress.metadata.namespace.as_ref())
        .set_some("ingress_class_name", spec.and_then(|spec| spec.ingress_class_name.as_ref()));
    set_object(&mut labels, "ingress", &ingress.metadata);
    let tls = spec.and_then(|spec| spec.tls.as_ref()).into_iter().flatten();
    let patterns: Vec<&String> = tls.flat_map(|tls| tls.hosts.iter().flatten()).collect();
    let mut targets = Vec::new();
    for rule in spec.iter().flat_map(|spec| spec.rules.iter().flatten()) {
        let host = rule.host.as_deref().unwrap_or_default();
        let is_encrypted = patterns.iter().any(|pattern| matches_host(pattern, host));
        for path in paths(rule) {
            let mut target = MetaLabels::new(PREFIX);
            target
                .set_address(host)
                .set("ingress_scheme", if is_encrypted { "https" } else { "http" })
                .set("ingress_host", host)
                .set("ingress_path", path);
            targets.push(target.build());
        }
    }
    Built { labels, targets }
}

/// The paths of a rule; `/` stands for one that isn't told.
fn paths(rule: &IngressRule) -> Vec<&str> {
    let Some(http) = &rule.http else { return vec!["/"] };
    let paths = http.paths.iter().map(|path| path.path.as_deref().unwrap_or_default());
    paths.map(|path| if path.is_empty() { "/" } else { path }).collect()
}

/// Whether a pattern, whose first part may be `*`, is that of a host.
fn matches_host(pattern: &str, host: &str) -> bool {
    let is_wildcard = || {
        let rest = pattern.strip_prefix("*.")?;
        let (_, domain) = host.split_once('.')?;
        Some(rest == domain)
    };
    pattern == host || is_wildcard().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_part_of_a_host() {
        for (pattern, host, expected) in [
            ("a.b", "a.b", true),
            ("*.b", "a.b", true),
            ("*.b", "x.a.b", false),
            ("*.b", "b", false),
            ("a.*", "a.b", false),
            ("*", "a", false),
        ] {
            assert_eq!(matches_host(pattern, host), expected, "{pattern} {host}");
        }
    }
}
