//! Targets of endpoint slices.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};

use super::endpoints::{SeenPods, node_of};
use super::objects::Objects;
use super::targets::{Builder, Built, PREFIX, set_object, set_service};
use crate::discovery::meta::{MetaLabels, host_port, sanitized};

/// The label that names the service of a slice.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

impl Builder {
    /// A target for each address and port, and for the other ports of the pods behind them.
    pub(super) fn endpoint_slice(&self, objects: &Objects, slice: &EndpointSlice) -> Built {
        let meta = &slice.metadata;
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let mut labels = MetaLabels::new(PREFIX);
        labels.set("namespace", namespace).set("endpointslice_address_type", &slice.address_type);
        set_object(&mut labels, "endpointslice", meta);
        let service = meta.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME));
        let service = service.and_then(|name| objects.services.get(namespace, name));
        if let Some(service) = service {
            set_service(&mut labels, service);
        }
        if service.is_some_and(|service| is_secondary(slice, service)) {
            return Built { labels, targets: Vec::new() };
        }
        let mut pods = SeenPods::default();
        let mut targets = Vec::new();
        for endpoint in slice.endpoints.iter().flatten() {
            for port in slice.ports.iter().flatten() {
                for address in &endpoint.addresses {
                    let mut target = target(address, endpoint, port);
                    let node = node_of(endpoint.target_ref.as_ref()).or(endpoint.node_name.as_deref());
                    self.set_node(&mut target, objects, node);
                    pods.attach(self, objects, endpoint.target_ref.as_ref(), port.port, &mut target);
                    targets.push(target.build());
                }
            }
        }
        targets.extend(pods.others(self, objects));
        Built { labels, targets }
    }
}

/// Whether a slice is of the second address family of a service: it has the targets of the first once more.
fn is_secondary(slice: &EndpointSlice, service: &Service) -> bool {
    let Some(spec) = &service.spec else { return false };
    let has_both = matches!(spec.ip_family_policy.as_deref(), Some("PreferDualStack" | "RequireDualStack"));
    let first = spec.ip_families.as_ref().and_then(|families| families.first());
    has_both && first.is_some_and(|first| *first != slice.address_type)
}

fn target(address: &str, endpoint: &Endpoint, port: &EndpointPort) -> MetaLabels {
    let mut target = MetaLabels::new(PREFIX);
    let reference = endpoint.target_ref.as_ref();
    let shown = |flag: Option<bool>| flag.map(|flag| flag.to_string());
    let conditions = endpoint.conditions.as_ref();
    let condition = |of: fn(&k8s_openapi::api::discovery::v1::EndpointConditions) -> Option<bool>| {
        shown(conditions.and_then(of))
    };
    target
        .set_address(&port.port.map_or_else(|| address.to_owned(), |port| host_port(address, port)))
        .set_some("endpointslice_port_name", port.name.as_ref())
        .set_some("endpointslice_port_protocol", port.protocol.as_ref())
        .set_some("endpointslice_port", port.port.map(|port| port.to_string()))
        .set_some("endpointslice_port_app_protocol", port.app_protocol.as_ref())
        .set_some("endpointslice_endpoint_conditions_ready", condition(|conditions| conditions.ready))
        .set_some("endpointslice_endpoint_conditions_serving", condition(|conditions| conditions.serving))
        .set_some(
            "endpointslice_endpoint_conditions_terminating",
            condition(|conditions| conditions.terminating),
        )
        .set_some("endpointslice_endpoint_hostname", endpoint.hostname.as_ref())
        .set_some("endpointslice_endpoint_node_name", endpoint.node_name.as_ref())
        .set_some("endpointslice_endpoint_zone", endpoint.zone.as_ref())
        .set_some(
            "endpointslice_address_target_kind",
            reference.and_then(|reference| reference.kind.as_ref()),
        )
        .set_some(
            "endpointslice_address_target_name",
            reference.and_then(|reference| reference.name.as_ref()),
        );
    for (key, value) in endpoint.deprecated_topology.iter().flatten() {
        let key = sanitized(key);
        target
            .set(&format!("endpointslice_endpoint_topology_{key}"), value)
            .set(&format!("endpointslice_endpoint_topology_present_{key}"), "true");
    }
    target
}
