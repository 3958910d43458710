//! Kubernetes: an API that lists in pages, watches, forgets versions and breaks.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;
use futures::stream;
use scrape::discovery::Discovery;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Asked, Reply, Server, now, start, targets, until, until_asked};

/// How many objects a page of a list has.
const PAGE_OBJECTS: usize = 2;

/// What the API serves.
#[derive(Clone, Default)]
struct Cluster {
    version: u64,
    /// Resource, namespace and object, in order of their names.
    objects: Vec<(&'static str, &'static str, Value)>,
    /// Version, resource, namespace, type and object.
    events: Vec<(u64, &'static str, &'static str, &'static str, Value)>,
    /// Versions below this are forgotten.
    remembered_from: u64,
    is_broken: bool,
}

impl Cluster {
    fn put(&mut self, resource: &'static str, namespace: &'static str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if !namespace.is_empty() {
            object["metadata"]["namespace"] = json!(namespace);
        }
        let name = object["metadata"]["name"].clone();
        let is_other = |other: &(&str, &str, Value)| {
            !(other.0 == resource && other.1 == namespace && other.2["metadata"]["name"] == name)
        };
        let count = self.objects.len();
        self.objects.retain(is_other);
        let kind = if self.objects.len() < count { "MODIFIED" } else { "ADDED" };
        self.objects.push((resource, namespace, object.clone()));
        self.events.push((self.version, resource, namespace, kind, object));
    }

    fn delete(&mut self, resource: &'static str, name: &str) {
        self.version += 1;
        let at = self
            .objects
            .iter()
            .position(|(r, _, object)| *r == resource && object["metadata"]["name"] == name);
        let (resource, namespace, mut object) = self.objects.remove(at.unwrap());
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.events.push((self.version, resource, namespace, "DELETED", object));
    }

    /// Forgets everything before now, as a server does after a while.
    fn forget(&mut self) {
        self.version += 1;
        self.remembered_from = self.version;
        self.events.clear();
    }
}

/// The resource and the namespace that a path is of; no namespace stands for all.
fn of_path(path: &str) -> (String, Option<String>) {
    let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let resource = parts.pop().unwrap().to_owned();
    let at = parts.iter().position(|part| *part == "namespaces");
    (resource, at.and_then(|at| parts.get(at + 1)).map(|namespace| (*namespace).to_owned()))
}

fn list(cluster: &Cluster, asked: &Asked) -> Reply {
    let (resource, namespace) = of_path(&asked.path);
    let wanted = |o: &&(&str, &str, Value)| o.0 == resource && namespace.as_deref().is_none_or(|n| n == o.1);
    let objects: Vec<&Value> = cluster.objects.iter().filter(wanted).map(|(.., object)| object).collect();
    let from: usize = asked.query.get("continue").map_or(0, |token| token.parse().unwrap());
    let to = objects.len().min(from + PAGE_OBJECTS);
    let token = if to < objects.len() { to.to_string() } else { String::new() };
    let metadata = json!({"resourceVersion": cluster.version.to_string(), "continue": token});
    let body = json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": objects[from..to]});
    now(200, body.to_string())
}

/// The events of a watch after a version, one a line, until the version is forgotten.
fn watch(catalog: watch::Receiver<Cluster>, asked: &Asked) -> Reply {
    let (resource, namespace) = of_path(&asked.path);
    let version: u64 = asked.query["resourceVersion"].parse().unwrap();
    let line = |kind: &str, object: Value| format!("{}\n", json!({"type": kind, "object": object}));
    let gone = json!({"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old"});
    let state = (catalog, Some(version));
    let events = stream::unfold(state, move |(mut catalog, version)| {
        let (resource, namespace, gone) = (resource.clone(), namespace.clone(), gone.clone());
        async move {
            let version = version?;
            let cluster = catalog.wait_for(|cluster| cluster.version > version).await.ok()?.clone();
            if cluster.is_broken {
                return None;
            }
            if version < cluster.remembered_from {
                return Some((Ok::<_, std::io::Error>(line("ERROR", gone)), (catalog, None)));
            }
            let mut lines = String::new();
            for (at, r, n, kind, object) in &cluster.events {
                if *at > version
                    && *r == resource
                    && namespace.as_deref().is_none_or(|namespace| namespace == *n)
                {
                    lines += &line(kind, object.clone());
                }
            }
            // A bookmark takes the watch past what isn't its own.
            let metadata = json!({"resourceVersion": cluster.version.to_string()});
            lines += &line(
                "BOOKMARK",
                json!({"metadata": metadata, "spec": {"containers": []}, "addressType": "IPv4", "endpoints": []}),
            );
            Some((Ok(lines), (catalog, Some(cluster.version))))
        }
    });
    let response = Response::builder().header("content-type", "application/json");
    Box::pin(std::future::ready(response.body(Body::from_stream(events)).unwrap()))
}

fn api(cluster: &Arc<watch::Sender<Cluster>>) -> Server {
    let cluster = Arc::clone(cluster);
    Server::new(move |asked: Asked| -> Reply {
        let state = cluster.borrow().clone();
        if state.is_broken {
            return now(503, r#"{"kind": "Status", "status": "Failure", "message": "broken", "code": 503}"#);
        }
        if asked.query.contains_key("watch") {
            watch(cluster.subscribe(), &asked)
        } else {
            list(&state, &asked)
        }
    })
}

/// A cluster, its API, and the discovery of a job there.
async fn world(
    objects: Vec<(&'static str, &'static str, Value)>,
    yaml: &str,
) -> (Arc<watch::Sender<Cluster>>, Server, Discovery) {
    let mut cluster = Cluster::default();
    for (resource, namespace, object) in objects {
        cluster.put(resource, namespace, object);
    }
    let cluster = Arc::new(watch::Sender::new(cluster));
    let server = api(&cluster);
    let address = server.listen().await;
    let discovery = start(&format!(
        "kubernetes_sd_configs: [{{api_server: 'http://{address}/prefix', bearer_token: secret, {yaml}}}]"
    ));
    (cluster, server, discovery)
}

fn pod(name: &str, ip: &str) -> Value {
    json!({
        "metadata": {"name": name, "uid": "u1", "labels": {"app.x/y": "web"}, "annotations": {"note": "n"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "u2", "controller": true}]},
        "spec": {"nodeName": "node1",
            "containers": [
                {"name": "web", "image": "web:1", "ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}], "env": [{"name": "A"}]},
                {"name": "log", "image": "log:1"}],
            "initContainers": [{"name": "setup", "image": "setup:1", "ports": [{"containerPort": 9, "protocol": "UDP"}]}]},
        "status": {"podIP": ip, "hostIP": "192.168.0.1", "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "web", "containerID": "docker://1", "image": "web:1", "imageID": "", "ready": true, "restartCount": 0}]},
    })
}

fn node() -> Value {
    json!({
        "metadata": {"name": "node1", "labels": {"zone": "z1"}, "annotations": {"a": "b"}},
        "spec": {"providerID": "cloud:///1"},
        "status": {
            "addresses": [{"type": "Hostname", "address": "host1"}, {"type": "InternalIP", "address": "10.0.0.1"}],
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "MemoryPressure", "status": "False"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}},
    })
}

fn service() -> Value {
    json!({
        "metadata": {"name": "web", "labels": {"team": "a"}},
        "spec": {"type": "LoadBalancer", "clusterIP": "10.1.0.1", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "3.3.3.3"}, {"ip": "4.4.4.4"}]}},
    })
}

fn endpoints() -> Value {
    json!({
        "metadata": {"name": "web", "labels": {"e": "f"}},
        "subsets": [{
            "addresses": [{"ip": "10.2.0.1", "nodeName": "node1", "hostname": "h", "targetRef": {"kind": "Pod", "name": "p1", "namespace": "a"}}],
            "notReadyAddresses": [{"ip": "10.2.0.9"}],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}],
    })
}

fn endpoint_slice(name: &str, family: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": family,
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "appProtocol": "h2c"}],
        "endpoints": [{"addresses": ["10.2.0.1"], "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": "node1", "zone": "z1", "hostname": "h", "deprecatedTopology": {"kubernetes.io/hostname": "n"},
            "targetRef": {"kind": "Pod", "name": "p1", "namespace": "a"}}],
    })
}

fn owned(name: &str, kind: &str, owner: &str) -> Value {
    json!({"metadata": {"name": name, "ownerReferences": [
        {"apiVersion": "v1", "kind": kind, "name": owner, "uid": "u", "controller": true}]}})
}

/// The value of a label in a target's text.
fn value<'a>(target: &'a str, label: &str) -> &'a str {
    let start = format!("{label}=\"");
    target.split(&start).nth(1).map_or("", |rest| rest.split('"').next().unwrap())
}

fn addresses(found: &[String]) -> Vec<&str> {
    found.iter().map(|target| value(target, "__address__")).collect()
}

fn count(count: usize) -> impl Fn(&[String]) -> bool {
    move |found| found.len() == count
}

#[tokio::test]
async fn pods_are_targets_and_know_their_node_namespace_and_deployment() {
    let objects = vec![
        ("pods", "a", pod("p1", "10.2.0.1")),
        ("pods", "a", pod("starting", "")),
        ("nodes", "", node()),
        ("namespaces", "", json!({"metadata": {"name": "a", "labels": {"owner": "o"}}})),
        ("replicasets", "a", owned("rs", "Deployment", "web")),
    ];
    let yaml = "role: pod, attach_metadata: {node: true, namespace: true, deployment: true}";
    let (_cluster, server, mut discovery) = world(objects, yaml).await;
    let found = until(&mut discovery, "the pod", |found| !found.is_empty()).await;
    assert_eq!(addresses(&found), ["10.2.0.1", "10.2.0.1:80", "10.2.0.1:9"]);
    assert_eq!(
        found[1],
        concat!(
            r#"{__address__="10.2.0.1:80", __meta_kubernetes_namespace="a", __meta_kubernetes_namespace_label_owner="o", "#,
            r#"__meta_kubernetes_namespace_labelpresent_owner="true", __meta_kubernetes_node_annotation_a="b", "#,
            r#"__meta_kubernetes_node_annotationpresent_a="true", __meta_kubernetes_node_label_zone="z1", "#,
            r#"__meta_kubernetes_node_labelpresent_zone="true", __meta_kubernetes_node_name="node1", "#,
            r#"__meta_kubernetes_pod_annotation_note="n", __meta_kubernetes_pod_annotationpresent_note="true", "#,
            r#"__meta_kubernetes_pod_container_id="docker://1", __meta_kubernetes_pod_container_image="web:1", "#,
            r#"__meta_kubernetes_pod_container_init="false", __meta_kubernetes_pod_container_name="web", "#,
            r#"__meta_kubernetes_pod_container_port_name="http", __meta_kubernetes_pod_container_port_number="80", "#,
            r#"__meta_kubernetes_pod_container_port_protocol="TCP", __meta_kubernetes_pod_controller_kind="ReplicaSet", "#,
            r#"__meta_kubernetes_pod_controller_name="rs", __meta_kubernetes_pod_deployment_name="web", "#,
            r#"__meta_kubernetes_pod_host_ip="192.168.0.1", __meta_kubernetes_pod_ip="10.2.0.1", "#,
            r#"__meta_kubernetes_pod_label_app_x_y="web", __meta_kubernetes_pod_labelpresent_app_x_y="true", "#,
            r#"__meta_kubernetes_pod_name="p1", __meta_kubernetes_pod_node_name="node1", "#,
            r#"__meta_kubernetes_pod_phase="Running", __meta_kubernetes_pod_ready="true", __meta_kubernetes_pod_uid="u1"}"#
        )
    );
    assert_eq!(value(&found[2], "__meta_kubernetes_pod_container_init"), "true");
    let asked = server.asked();
    assert!(asked.iter().all(|asked| asked.headers["authorization"] == "Bearer secret"));
    assert!(asked.iter().all(|asked| asked.path.starts_with("/prefix/api")), "{asked:#?}");
}

#[tokio::test]
async fn services_are_targets() {
    let (_cluster, _, mut discovery) = world(vec![("services", "a", service())], "role: service").await;
    let found = until(&mut discovery, "the service", count(1)).await;
    assert_eq!(
        found,
        [concat!(
            r#"{__address__="web.a.svc:80", __meta_kubernetes_namespace="a", __meta_kubernetes_service_cluster_ip="10.1.0.1", "#,
            r#"__meta_kubernetes_service_label_team="a", __meta_kubernetes_service_labelpresent_team="true", "#,
            r#"__meta_kubernetes_service_loadbalancer_ip="3.3.3.3,4.4.4.4", __meta_kubernetes_service_name="web", "#,
            r#"__meta_kubernetes_service_port_name="http", __meta_kubernetes_service_port_number="80", "#,
            r#"__meta_kubernetes_service_port_protocol="TCP", __meta_kubernetes_service_type="LoadBalancer"}"#
        )]
    );
}

#[tokio::test]
async fn nodes_are_targets_by_way_of_a_kubeconfig_file() {
    let mut cluster = Cluster::default();
    cluster.put("nodes", "", node());
    let server = api(&Arc::new(watch::Sender::new(cluster)));
    let address = server.listen().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "u", "user": {"token": "from-file"}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
    });
    std::fs::write(file.path(), kubeconfig.to_string()).unwrap();
    let path = file.path().display();
    let mut discovery = start(&format!("kubernetes_sd_configs: [{{role: node, kubeconfig_file: '{path}'}}]"));
    let found = until(&mut discovery, "the node", count(1)).await;
    assert_eq!(
        found,
        [concat!(
            r#"{__address__="10.0.0.1:10250", __meta_kubernetes_node_address_Hostname="host1", "#,
            r#"__meta_kubernetes_node_address_InternalIP="10.0.0.1", __meta_kubernetes_node_annotation_a="b", "#,
            r#"__meta_kubernetes_node_annotationpresent_a="true", __meta_kubernetes_node_condition_memorypressure="false", "#,
            r#"__meta_kubernetes_node_condition_ready="true", __meta_kubernetes_node_label_zone="z1", "#,
            r#"__meta_kubernetes_node_labelpresent_zone="true", __meta_kubernetes_node_name="node1", "#,
            r#"__meta_kubernetes_node_provider_id="cloud:///1", instance="node1"}"#
        )]
    );
    assert!(server.asked().iter().all(|asked| asked.headers["authorization"] == "Bearer from-file"));
}

#[tokio::test]
async fn ingresses_are_targets_at_their_paths() {
    let ingress = json!({
        "metadata": {"name": "i"},
        "spec": {"ingressClassName": "nginx", "tls": [{"hosts": ["*.example"]}], "rules": [
            {"host": "a.example", "http": {"paths": [
                {"path": "/x", "pathType": "Prefix", "backend": {}}, {"pathType": "Prefix", "backend": {}}]}},
            {"host": "plain"}]},
    });
    let (_cluster, _, mut discovery) = world(vec![("ingresses", "a", ingress)], "role: ingress").await;
    let found = until(&mut discovery, "the ingress", count(3)).await;
    assert_eq!(
        found[1],
        concat!(
            r#"{__address__="a.example", __meta_kubernetes_ingress_class_name="nginx", __meta_kubernetes_ingress_host="a.example", "#,
            r#"__meta_kubernetes_ingress_name="i", __meta_kubernetes_ingress_path="/x", "#,
            r#"__meta_kubernetes_ingress_scheme="https", __meta_kubernetes_namespace="a"}"#
        )
    );
    assert_eq!(value(&found[0], "ingress_path"), "/");
    assert_eq!((value(&found[2], "ingress_scheme"), value(&found[2], "ingress_host")), ("http", "plain"));
}

#[tokio::test]
async fn endpoints_are_targets_with_the_pods_behind_them() {
    let objects = vec![
        ("pods", "a", pod("p1", "10.2.0.1")),
        ("services", "a", service()),
        ("endpoints", "a", endpoints()),
        ("nodes", "", node()),
    ];
    let yaml = "role: endpoints, namespaces: {names: [a]}, attach_metadata: {node: true}, \
                selectors: [{role: endpoints, label: 'x=y', field: 'metadata.name!=z'}]";
    let (_cluster, server, mut discovery) = world(objects, yaml).await;
    let found = until(&mut discovery, "the endpoints", |found| !found.is_empty()).await;
    assert_eq!(addresses(&found), ["10.2.0.1:80", "10.2.0.1:9", "10.2.0.9:80"]);
    for (label, expected) in [
        ("endpoint_ready", "true"),
        ("endpoint_port_name", "http"),
        ("endpoint_port_protocol", "TCP"),
        ("endpoint_node_name", "node1"),
        ("endpoint_hostname", "h"),
        ("endpoint_address_target_kind", "Pod"),
        ("endpoint_address_target_name", "p1"),
        ("endpoints_name", "web"),
        ("endpoints_label_e", "f"),
        ("endpoints_labelpresent_e", "true"),
        ("service_name", "web"),
        ("service_label_team", "a"),
        ("node_label_zone", "z1"),
        ("pod_name", "p1"),
        ("pod_container_name", "web"),
        ("pod_container_port_number", "80"),
    ] {
        assert_eq!(value(&found[0], &format!("__meta_kubernetes_{label}")), expected, "{label}");
    }
    assert_eq!(value(&found[1], "__meta_kubernetes_pod_container_name"), "setup");
    assert_eq!(value(&found[1], "__meta_kubernetes_endpoint_ready"), "", "no endpoint but its pod");
    assert_eq!(value(&found[2], "__meta_kubernetes_endpoint_ready"), "false");
    let asked = server.asked();
    let asked = asked.iter().find(|asked| asked.path.ends_with("/namespaces/a/endpoints")).unwrap();
    assert_eq!((&*asked.query["labelSelector"], &*asked.query["fieldSelector"]), ("x=y", "metadata.name!=z"));
}

#[tokio::test]
async fn endpoint_slices_are_targets_unless_they_are_of_the_second_family() {
    let mut service = service();
    service["spec"]["ipFamilyPolicy"] = json!("PreferDualStack");
    service["spec"]["ipFamilies"] = json!(["IPv4", "IPv6"]);
    let objects = vec![
        ("pods", "a", pod("p1", "10.2.0.1")),
        ("services", "a", service),
        ("endpointslices", "a", endpoint_slice("s4", "IPv4")),
        ("endpointslices", "a", endpoint_slice("s6", "IPv6")),
    ];
    let (_cluster, _, mut discovery) = world(objects, "role: endpointslice").await;
    let found = until(&mut discovery, "the slice", |found| !found.is_empty()).await;
    assert_eq!(addresses(&found), ["10.2.0.1:80", "10.2.0.1:9"]);
    for (label, expected) in [
        ("endpointslice_name", "s4"),
        ("endpointslice_address_type", "IPv4"),
        ("endpointslice_label_kubernetes_io_service_name", "web"),
        ("endpointslice_port", "80"),
        ("endpointslice_port_name", "http"),
        ("endpointslice_port_protocol", "TCP"),
        ("endpointslice_port_app_protocol", "h2c"),
        ("endpointslice_endpoint_conditions_ready", "true"),
        ("endpointslice_endpoint_conditions_serving", "true"),
        ("endpointslice_endpoint_conditions_terminating", "false"),
        ("endpointslice_endpoint_hostname", "h"),
        ("endpointslice_endpoint_node_name", "node1"),
        ("endpointslice_endpoint_zone", "z1"),
        ("endpointslice_endpoint_topology_kubernetes_io_hostname", "n"),
        ("endpointslice_endpoint_topology_present_kubernetes_io_hostname", "true"),
        ("endpointslice_address_target_kind", "Pod"),
        ("endpointslice_address_target_name", "p1"),
        ("service_name", "web"),
        ("pod_ready", "true"),
    ] {
        assert_eq!(value(&found[0], &format!("__meta_kubernetes_{label}")), expected, "{label}");
    }
}

#[tokio::test]
async fn the_cluster_is_followed_through_changes_forgotten_versions_and_failures() {
    let objects = vec![
        ("services", "a", service()),
        ("endpoints", "a", endpoints()),
        ("pods", "a", pod("p0", "10.2.0.5")),
        ("pods", "a", pod("p2", "10.2.0.6")),
        ("pods", "a", pod("p3", "10.2.0.7")),
    ];
    let (cluster, server, mut discovery) = world(objects, "role: endpoints").await;
    until(&mut discovery, "the endpoints without their pod", count(2)).await;
    assert!(server.asked().iter().any(|asked| asked.query.contains_key("continue")), "pods come in pages");
    cluster.send_modify(|cluster| cluster.put("pods", "a", pod("p1", "10.2.0.1")));
    until(&mut discovery, "the pod behind them", count(3)).await;
    cluster.send_modify(|cluster| {
        let mut changed = service();
        changed["metadata"]["labels"]["team"] = json!("b");
        cluster.put("services", "a", changed);
    });
    let team = |team: &'static str| {
        move |found: &[String]| {
            found.iter().all(|target| value(target, "__meta_kubernetes_service_label_team") == team)
        }
    };
    until(&mut discovery, "the service's new label", team("b")).await;
    // What happens while versions are forgotten is found by listing again.
    cluster.send_modify(|cluster| {
        cluster.delete("pods", "p1");
        cluster.forget();
    });
    until(&mut discovery, "the pod is gone", count(2)).await;

    cluster.send_modify(|cluster| (cluster.is_broken, cluster.version) = (true, cluster.version + 1));
    let before = server.asked().len();
    until_asked(&server, "again after a failure", |asked| asked.len() > before + 3).await;
    assert_eq!(targets(&discovery).len(), 2, "the last good groups stand");
    cluster.send_modify(|cluster| {
        cluster.is_broken = false;
        cluster.forget();
        cluster.delete("endpoints", "web");
    });
    until(&mut discovery, "the endpoints are gone", count(0)).await;
}
