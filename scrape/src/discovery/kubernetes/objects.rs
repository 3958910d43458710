//! The objects of a cluster that are kept, as far as targets need them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Endpoints, Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use serde::de::DeserializeOwned;

use super::config::Role;

/// Namespace and name; the namespace is empty for what is in none.
pub(super) type Key = (String, String);

/// A kind of objects that are kept.
pub(super) trait Kind:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
    /// The role in which objects of the kind become targets, if there is one.
    const ROLE: Option<Role>;

    /// Where objects of the kind are kept.
    fn store(objects: &mut Objects) -> &mut Store<Self>;

    /// Takes away the large parts that targets have no use for.
    fn prune(&mut self) {}

    /// Whether targets of other objects can't tell the two apart.
    fn looks_like(&self, _other: &Self) -> bool {
        false
    }
}

/// Everything that is kept of a cluster.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) pods: Store<Pod>,
    pub(super) services: Store<Service>,
    pub(super) endpoints: Store<Endpoints>,
    pub(super) endpoint_slices: Store<EndpointSlice>,
    pub(super) ingresses: Store<Ingress>,
    pub(super) nodes: Store<Node>,
    pub(super) namespaces: Store<Namespace>,
    pub(super) replica_sets: Store<ReplicaSet>,
    pub(super) jobs: Store<Job>,
}

/// Objects of one kind.
#[derive(Debug)]
pub(super) struct Store<K> {
    by_key: BTreeMap<Key, Arc<K>>,
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Store { by_key: BTreeMap::new() }
    }
}

impl<K> Store<K> {
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&K> {
        self.by_key.get(&(namespace.to_owned(), name.to_owned())).map(Arc::as_ref)
    }

    pub(super) fn put(&mut self, key: Key, object: K) -> Option<Arc<K>> {
        self.by_key.insert(key, Arc::new(object))
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<K>> {
        self.by_key.remove(key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.by_key.keys()
    }

    /// The keys in a namespace.
    pub(super) fn keys_in(&self, namespace: &str) -> impl Iterator<Item = &Key> {
        let from = (namespace.to_owned(), String::new());
        let keys = self.by_key.range(from..).map(|(key, _)| key);
        keys.take_while(move |key| key.0 == namespace)
    }
}

/// The key of an object.
pub(super) fn key(meta: &ObjectMeta) -> Key {
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

/// The object that manages this one.
pub(super) fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

impl Kind for Pod {
    const ROLE: Option<Role> = Some(Role::Pod);

    fn store(objects: &mut Objects) -> &mut Store<Self> {
        &mut objects.pods
    }

    fn prune(&mut self) {
        if let Some(spec) = &mut self.spec {
            spec.volumes = None;
            spec.affinity = None;
            spec.tolerations = None;
            let containers = spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten());
            containers.for_each(prune_container);
        }
        if let Some(status) = &mut self.status {
            let statuses = status.container_statuses.iter_mut().chain(&mut status.init_container_statuses);
            statuses.flatten().for_each(prune_status);
        }
    }
}

fn prune_container(container: &mut Container) {
    let Container { name, image, ports, .. } = std::mem::take(container);
    *container = Container { name, image, ports, ..Container::default() };
}

fn prune_status(status: &mut ContainerStatus) {
    let ContainerStatus { name, container_id, .. } = std::mem::take(status);
    *status = ContainerStatus { name, container_id, ..ContainerStatus::default() };
}

impl Kind for Service {
    const ROLE: Option<Role> = Some(Role::Service);

    fn store(objects: &mut Objects) -> &mut Store<Self> {
        &mut objects.services
    }
}

impl Kind for Endpoints {
    const ROLE: Option<Role> = Some(Role::Endpoints);

    fn store(objects: &mut Objects) -> &mut Store<Self> {
        &mut objects.endpoints
    }
}

impl Kind for EndpointSlice {
    const ROLE: Option<Role> = Some(Role::EndpointSlice);

    fn store(objects: &mut Objects) -> &mut Store<Self> {
        &mut objects.endpoint_slices
    }
}

impl Kind for Ingress {
    const ROLE: Option<Role> = Some(Role::Ingress);

    fn store(objects: &mut Objects) -> &mut Store<Self> {
        &mut objects.ingresses
    }
}

impl Kind for Node {
    const ROLE: Option<Role> = Some(Role::Node);

    fn store(objects: &mut Objects) -> &mut Store<Self> {
        &mut objects.nodes
    }

    fn prune(&mut self) {
        if let Some(status) = &mut self.status {
            status.images = None;
        }
    }

    fn looks_like(&self, other: &Self) -> bool {
        has_labels_of(&self.metadata, &other.metadata)
    }
}

impl Kind for Namespace {
    const ROLE: Option<Role> = None;

    fn store(objects: &mut Objects) -> &mut Store<Self> {
        &mut objects.namespaces
    }

    fn looks_like(&self, other: &Self) -> bool {
        has_labels_of(&self.metadata, &other.metadata)
    }
}

impl Kind for ReplicaSet {
    const ROLE: Option<Role> = None;

    fn store(objects: &mut Objects) -> &mut Store<Self> {
        &mut objects.replica_sets
    }

    fn prune(&mut self) {
        (self.spec, self.status) = Default::default();
    }

    fn looks_like(&self, other: &Self) -> bool {
        controller(&self.metadata) == controller(&other.metadata)
    }
}

impl Kind for Job {
    const ROLE: Option<Role> = None;

    fn store(objects: &mut Objects) -> &mut Store<Self> {
        &mut objects.jobs
    }

    fn prune(&mut self) {
        (self.spec, self.status) = (None, None);
    }

    fn looks_like(&self, other: &Self) -> bool {
        controller(&self.metadata) == controller(&other.metadata)
    }
}

fn has_labels_of(one: &ObjectMeta, other: &ObjectMeta) -> bool {
    one.labels == other.labels && one.annotations == other.annotations
}
