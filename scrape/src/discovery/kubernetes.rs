//! Discovery from Kubernetes: a group for each object of a role, which follows the cluster by watches.
//!
//! A task for each kind of objects and each namespace lists the objects and then watches them; `kube` takes care of
//! resource versions, bookmarks, and of listing again when the server has forgotten a version (410 Gone). What the
//! tasks tell goes into [`Objects`], and the groups that it may change are built anew. Nothing is said of a namespace
//! before everything that its targets need was listed once; a watch that fails changes nothing until it works again.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Endpoints, Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::access::Access;
pub use self::config::{KubernetesSdConfig, Role};
use self::objects::{Key, Kind, Objects, key};
use self::targets::Builder;
use super::group::TargetGroup;
use super::metrics::DiscoveryMetrics;
use super::{Context, Output};

mod access;
pub mod config;
mod endpoint_slice;
mod endpoints;
mod objects;
mod pod;
mod selector;
mod targets;

/// How long to wait after the way to the API could not be found.
const RETRY: Duration = Duration::from_secs(15);
/// How long a watch may say nothing: the server ends one after 290 s at the latest.
const SILENCE_MAX: Duration = Duration::from_secs(300);
/// Changes that wait to be taken in: watches that are ahead wait.
const CHANGES_WAITING_MAX: usize = 1024;

/// Follows one cluster.
pub(super) struct KubernetesDiscovery {
    config: KubernetesSdConfig,
    context: Context,
}

impl KubernetesDiscovery {
    pub(super) fn new(config: &KubernetesSdConfig, context: &Context) -> Self {
        KubernetesDiscovery { config: config.clone(), context: context.clone() }
    }

    pub(super) async fn run(self, output: Output) {
        let access = loop {
            match Access::open(&self.config, &self.context).await {
                Ok(access) => break access,
                Err(error) => {
                    tracing::error!(discovery = "kubernetes", config = %self.context.job_name, %error, "Cannot use the cluster's API");
                    note_failure(self.context.metrics.as_ref());
                    sleep(RETRY).await;
                }
            }
        };
        let (changes, mut changed) = mpsc::channel(CHANGES_WAITING_MAX);
        let watches = Watches::start(&self.config, &self.context, &access, changes);
        let mut cluster = Cluster {
            role: self.config.role,
            builder: Builder::new(&self.config),
            objects: Objects::default(),
            unlisted: watches.unlisted.clone(),
            dirty: Dirty::default(),
            hasher: RandomState::new(),
            sent: BTreeMap::new(),
        };
        while let Some(change) = changed.recv().await {
            change(&mut cluster);
            while let Ok(change) = changed.try_recv() {
                change(&mut cluster);
            }
            let groups = cluster.groups();
            if let Some(groups) = groups
                && !output.send(groups).await
            {
                return;
            }
        }
    }
}

fn note_failure(metrics: Option<&DiscoveryMetrics>) {
    if let Some(metrics) = metrics {
        metrics.kubernetes_failures.inc();
    }
}

/// What a watch has seen, to be taken in.
type Change = Box<dyn FnOnce(&mut Cluster) + Send>;

/// What a watch is of: the kind, and the namespace if it isn't all of them.
type WatchId = (&'static str, Option<String>);

/// The watches at work; they end when this is dropped.
struct Watches<'a> {
    config: &'a KubernetesSdConfig,
    context: &'a Context,
    client: kube::Client,
    changes: mpsc::Sender<Change>,
    unlisted: BTreeSet<WatchId>,
    tasks: JoinSet<()>,
}

impl<'a> Watches<'a> {
    /// Starts what the role needs.
    fn start(
        config: &'a KubernetesSdConfig,
        context: &'a Context,
        access: &Access,
        changes: mpsc::Sender<Change>,
    ) -> Self {
        let mut watches = Watches {
            config,
            context,
            client: access.client.clone(),
            changes,
            unlisted: BTreeSet::new(),
            tasks: JoinSet::new(),
        };
        let attached = config.attach_metadata;
        if config.role == Role::Node || (attached.node && config.role.has_pods()) {
            watches.add_cluster_wide::<Node>();
        }
        if attached.namespace && config.role != Role::Node {
            watches.add_cluster_wide::<Namespace>();
        }
        for namespace in namespaces(config, access) {
            watches.add_of_namespace(namespace.as_deref());
        }
        watches
    }

    fn add_of_namespace(&mut self, namespace: Option<&str>) {
        match self.config.role {
            Role::Pod => self.add::<Pod>(namespace),
            Role::Service => self.add::<Service>(namespace),
            Role::Ingress => self.add::<Ingress>(namespace),
            Role::Endpoints => self.add::<Endpoints>(namespace),
            Role::EndpointSlice => self.add::<EndpointSlice>(namespace),
            Role::Node => {}
        }
        if matches!(self.config.role, Role::Endpoints | Role::EndpointSlice) {
            self.add::<Service>(namespace);
            self.add::<Pod>(namespace);
        }
        let attached = self.config.attach_metadata;
        if attached.deployment && self.config.role.has_pods() {
            self.add::<ReplicaSet>(namespace);
        }
        if attached.cronjob && self.config.role.has_pods() {
            self.add::<Job>(namespace);
        }
    }

    fn add_cluster_wide<K: Kind + Resource<Scope = ClusterResourceScope>>(&mut self) {
        self.watch::<K>(Api::all(self.client.clone()), None);
    }

    fn add<K: Kind + Resource<Scope = NamespaceResourceScope>>(&mut self, namespace: Option<&str>) {
        let api = match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        self.watch::<K>(api, namespace);
    }

    fn watch<K: Kind>(&mut self, api: Api<K>, namespace: Option<&str>) {
        let selector = K::ROLE.and_then(|role| self.config.selector(role));
        let mut config = watcher::Config::default();
        if let Some(selector) = selector {
            config.label_selector = Some(selector.label.clone()).filter(|label| !label.is_empty());
            config.field_selector = Some(selector.field.clone()).filter(|field| !field.is_empty());
        }
        let kind: &'static str = std::any::type_name::<K>();
        let id = (kind, namespace.map(str::to_owned));
        self.unlisted.insert(id.clone());
        let watch = Watch { api, config, id, context: self.context.clone(), changes: self.changes.clone() };
        self.tasks.spawn(watch.run());
    }
}

impl Role {
    /// Whether targets of the role have labels of pods.
    fn has_pods(self) -> bool {
        matches!(self, Role::Pod | Role::Endpoints | Role::EndpointSlice)
    }
}

/// The namespaces to watch: nothing stands for all of them.
fn namespaces(config: &KubernetesSdConfig, access: &Access) -> Vec<Option<String>> {
    let mut names: BTreeSet<String> = config.namespaces.names.iter().cloned().collect();
    if config.namespaces.own_namespace {
        names.extend(access.own_namespace.clone());
    }
    if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() }
}

/// Follows objects of one kind.
struct Watch<K> {
    api: Api<K>,
    config: watcher::Config,
    id: WatchId,
    context: Context,
    changes: mpsc::Sender<Change>,
}

impl<K: Kind> Watch<K> {
    async fn run(self) {
        loop {
            let stream = watcher(self.api.clone(), self.config.clone()).default_backoff();
            let mut stream = std::pin::pin!(stream);
            let mut listed = Vec::new();
            // A watch that keeps silent beyond its end is dead, and is begun anew.
            while let Ok(Some(event)) = timeout(SILENCE_MAX, stream.next()).await {
                let change = match event {
                    Ok(event) => self.change(event, &mut listed),
                    Err(error) => {
                        tracing::warn!(discovery = "kubernetes", config = %self.context.job_name, %error, "Failed to watch objects");
                        note_failure(self.context.metrics.as_ref());
                        None
                    }
                };
                if let Some(change) = change
                    && self.changes.send(change).await.is_err()
                {
                    return;
                }
            }
            note_failure(self.context.metrics.as_ref());
        }
    }

    /// The change that an event stands for. What is listed counts when the list is at its end.
    fn change(&self, event: Event<K>, listed: &mut Vec<(Key, K)>) -> Option<Change> {
        let pruned = |mut object: K| {
            object.meta_mut().managed_fields = None;
            object.prune();
            (key(object.meta()), object)
        };
        let metrics = self.context.metrics.clone();
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => listed.push(pruned(object)),
            Event::InitDone => {
                let (listed, id) = (std::mem::take(listed), self.id.clone());
                return Some(Box::new(move |cluster| cluster.relist(id, listed, metrics.as_ref())));
            }
            Event::Apply(object) => {
                let (key, object) = pruned(object);
                return Some(Box::new(move |cluster| cluster.put(key, object, metrics.as_ref())));
            }
            Event::Delete(object) => {
                let key = key(object.meta());
                return Some(Box::new(move |cluster| cluster.remove::<K>(&key, metrics.as_ref())));
            }
        }
        None
    }
}

/// What may have changed since groups were built.
#[derive(Default)]
struct Dirty {
    all: bool,
    namespaces: BTreeSet<String>,
    keys: BTreeSet<Key>,
}

/// What is known of a cluster, and what was told of it.
struct Cluster {
    role: Role,
    builder: Builder,
    objects: Objects,
    /// The watches that haven't listed yet what there is.
    unlisted: BTreeSet<WatchId>,
    dirty: Dirty,
    hasher: RandomState,
    /// For each object that has a group, the hash of it: what is the same isn't sent again.
    sent: BTreeMap<Key, u64>,
}

impl Cluster {
    fn relist<K: Kind>(&mut self, id: WatchId, listed: Vec<(Key, K)>, metrics: Option<&DiscoveryMetrics>) {
        let now: BTreeSet<&Key> = listed.iter().map(|(key, _)| key).collect();
        let store = K::store(&mut self.objects);
        let before: Vec<Key> = match &id.1 {
            Some(namespace) => store.keys_in(namespace).cloned().collect(),
            None => store.keys().cloned().collect(),
        };
        let gone: Vec<Key> = before.into_iter().filter(|key| !now.contains(key)).collect();
        for key in gone {
            self.remove::<K>(&key, metrics);
        }
        for (key, object) in listed {
            self.put(key, object, metrics);
        }
        if self.unlisted.remove(&id) {
            self.dirty.all = true;
        }
    }

    fn put<K: Kind>(&mut self, key: Key, object: K, metrics: Option<&DiscoveryMetrics>) {
        let store = K::store(&mut self.objects);
        let same = store.get(&key.0, &key.1).is_some_and(|before| object.looks_like(before));
        let before = store.put(key.clone(), object);
        let event = if before.is_some() { "update" } else { "add" };
        note_event::<K>(event, metrics);
        if K::ROLE == Some(self.role) || !same {
            self.mark::<K>(key);
        }
    }

    fn remove<K: Kind>(&mut self, key: &Key, metrics: Option<&DiscoveryMetrics>) {
        if K::store(&mut self.objects).remove(key).is_some() {
            note_event::<K>("delete", metrics);
            self.mark::<K>(key.clone());
        }
    }

    /// Marks what an object of a kind may change.
    fn mark<K: Kind>(&mut self, key: Key) {
        let is_namespace = K::kind(&()) == Namespace::kind(&());
        if K::ROLE == Some(self.role) {
            self.dirty.keys.insert(key);
        } else if is_namespace {
            self.dirty.namespaces.insert(key.1);
        } else if key.0.is_empty() {
            self.dirty.all = true;
        } else {
            self.dirty.namespaces.insert(key.0);
        }
    }

    /// Whether everything was listed that targets in a namespace need.
    fn is_listed(&self, namespace: &str) -> bool {
        self.unlisted.iter().all(|(_, other)| other.as_ref().is_some_and(|other| other != namespace))
    }

    /// The groups that have changed; nothing if there is nothing to say yet.
    fn groups(&mut self) -> Option<Vec<TargetGroup>> {
        let dirty = std::mem::take(&mut self.dirty);
        let mut keys: BTreeSet<Key> = dirty.keys;
        if dirty.all {
            keys.extend(self.builder.keys(&self.objects));
            keys.extend(self.sent.keys().cloned());
        }
        for namespace in &dirty.namespaces {
            keys.extend(self.builder.keys_in(&self.objects, namespace));
        }
        keys.retain(|key| self.is_listed(&key.0));
        let mut groups = Vec::new();
        for key in keys {
            let group = self.builder.group(&self.objects, &key);
            let hash = self.hasher.hash_one((&group.labels, &group.targets));
            let before = match group.targets.is_empty() {
                true => self.sent.remove(&key),
                false => self.sent.insert(key, hash),
            };
            let is_news = if group.targets.is_empty() { before.is_some() } else { before != Some(hash) };
            if is_news {
                groups.push(group);
            }
        }
        // The first word may be that there is nothing.
        let is_first_word = dirty.all && self.unlisted.is_empty();
        (is_first_word || !groups.is_empty()).then_some(groups)
    }
}

fn note_event<K: Kind>(event: &str, metrics: Option<&DiscoveryMetrics>) {
    if let (Some(role), Some(metrics)) = (K::ROLE, metrics) {
        metrics.kubernetes_events.with_label_values(&[role.name(), event]).inc();
    }
}
