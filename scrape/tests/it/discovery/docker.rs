//! Docker: an engine with containers, a swarm with services, tasks and nodes.

use axum::body::Body;
use axum::http::Response;
use serde_json::{Value, json};

use super::{Asked, Reply, Server, now, start, until};

/// A path, and what is listed there.
type List = (&'static str, fn() -> Value);

/// An engine that lists what it is given at `path`, and networks.
fn engine(lists: &'static [List]) -> Server {
    Server::new(move |asked: Asked| -> Reply {
        if asked.path == "/_ping" {
            let response = Response::builder().header("Api-Version", "1.44").body(Body::from("OK"));
            return Box::pin(std::future::ready(response.unwrap()));
        }
        let path = asked.path.strip_prefix("/v1.44/").unwrap_or("the version is missing");
        if path == "networks" {
            return now(200, networks().to_string());
        }
        match lists.iter().find(|(name, _)| *name == path) {
            Some((_, list)) => now(200, list().to_string()),
            None => now(404, r#"{"message": "page not found"}"#),
        }
    })
}

fn networks() -> Value {
    json!([
        {"Id": "net1", "Name": "front", "Scope": "local", "Internal": false, "Ingress": true,
         "Labels": {"zone.name": "a"}},
        {"Id": "net2", "Name": "back", "Scope": "swarm", "Internal": true, "Ingress": false, "Labels": null},
    ])
}

fn containers() -> Value {
    json!([
        {"Id": "c1", "Names": ["/web"], "Image": "web:1", "ImageID": "sha256:1", "Labels": {"com.x-y": "v"},
         "Ports": [
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"PrivatePort": 53, "Type": "udp"},
         ],
         "HostConfig": {"NetworkMode": "front"},
         "NetworkSettings": {"Networks": {
            "front": {"NetworkID": "net1", "IPAddress": "172.0.0.2"},
            "other": {"NetworkID": "net2", "IPAddress": "172.1.0.2"},
         }}},
        {"Id": "c2", "Names": ["/sidecar"], "Ports": null, "HostConfig": {"NetworkMode": "container:c1"},
         "NetworkSettings": {"Networks": {}}},
        {"Id": "c3", "Names": ["/host"], "Ports": [], "HostConfig": {"NetworkMode": "host"},
         "NetworkSettings": {"Networks": {"host": {"NetworkID": "h", "IPAddress": ""}}}},
        {"Id": "c4", "Names": [], "NetworkSettings": {"Networks": {"front": {"NetworkID": "net1"}}}},
        {"Id": "c5", "Names": ["/loop"], "HostConfig": {"NetworkMode": "container:c5"}},
    ])
}

const WEB: &str = concat!(
    r#"{__address__="172.0.0.2:80", __meta_docker_container_id="c1", __meta_docker_container_image="web:1", "#,
    r#"__meta_docker_container_image_id="sha256:1", __meta_docker_container_label_com_x_y="v", "#,
    r#"__meta_docker_container_name="/web", __meta_docker_container_network_mode="front", "#,
    r#"__meta_docker_network_id="net1", __meta_docker_network_ingress="true", "#,
    r#"__meta_docker_network_internal="false", __meta_docker_network_ip="172.0.0.2", "#,
    r#"__meta_docker_network_label_zone_name="a", __meta_docker_network_name="front", "#,
    r#"__meta_docker_network_scope="local", __meta_docker_port_private="80", "#,
    r#"__meta_docker_port_public="8080", __meta_docker_port_public_ip="0.0.0.0"}"#
);

#[tokio::test]
async fn containers_are_targets_at_their_ports() {
    let server = engine(&[("containers/json", containers)]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("docker.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let router = server.router();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let mut discovery = start(&format!(
        "docker_sd_configs: [{{host: 'unix://{}', host_networking_host: me, port: 90, \
         filters: [{{name: status, values: [running]}}]}}]",
        path.display()
    ));
    let found = until(&mut discovery, "containers", |found| !found.is_empty()).await;
    assert_eq!(found[0], WEB);
    assert!(
        found[1].starts_with(r#"{__address__="172.0.0.2:90", __meta_docker_container_id="c2""#),
        "{found:?}"
    );
    assert!(found[2].starts_with(r#"{__address__="me", __meta_docker_container_id="c3""#), "{found:?}");
    assert_eq!(found.len(), 3, "{found:#?}");
    let asked = server.asked();
    let filters =
        asked.iter().find(|asked| asked.path.ends_with("containers/json")).unwrap().query["filters"].clone();
    assert_eq!(filters, r#"{"status":{"running":true}}"#);
}

#[tokio::test]
async fn containers_are_targets_in_each_network_if_that_is_wanted() {
    let address = engine(&[("containers/json", containers)]).listen().await;
    let mut discovery =
        start(&format!("docker_sd_configs: [{{host: 'tcp://{address}', match_first_network: false}}]"));
    let found = until(&mut discovery, "containers", |found| !found.is_empty()).await;
    let addresses: Vec<&str> = found.iter().map(|target| target.split('"').nth(1).unwrap()).collect();
    assert_eq!(addresses, ["172.0.0.2:80", "172.0.0.2:80", "172.1.0.2:80", "172.1.0.2:80", "localhost"]);
}

fn services() -> Value {
    json!([
        {"ID": "s1", "Spec": {"Name": "web", "Labels": {"a-b": "c"}, "Mode": {"Replicated": {"Replicas": 2}},
         "TaskTemplate": {"ContainerSpec": {"Image": "web:1", "Hostname": "h"}}},
         "UpdateStatus": {"State": "completed"},
         "Endpoint": {"VirtualIPs": [{"NetworkID": "net2", "Addr": "10.0.1.2/24"}, {"NetworkID": "net1"}],
          "Ports": [
            {"Name": "http", "Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8000, "PublishMode": "ingress"},
            {"Protocol": "udp", "TargetPort": 53, "PublishedPort": 53, "PublishMode": "ingress"},
         ]}},
        {"ID": "s2", "Spec": {"Name": "plugin", "Mode": {"Global": {}}, "TaskTemplate": {}},
         "Endpoint": {"VirtualIPs": [{"NetworkID": "net2", "Addr": "10.0.1.3/24"}]}},
    ])
}

fn nodes() -> Value {
    json!([
        {"ID": "n1", "Spec": {"Role": "manager", "Availability": "active", "Labels": {"rack": "r1"}},
         "Description": {"Hostname": "host1", "Platform": {"Architecture": "x86_64", "OS": "linux"},
         "Engine": {"EngineVersion": "24.0"}}, "Status": {"State": "ready", "Addr": "192.168.0.1"},
         "ManagerStatus": {"Leader": true, "Reachability": "reachable", "Addr": "192.168.0.1:2377"}},
    ])
}

fn tasks() -> Value {
    json!([
        {"ID": "t1", "ServiceID": "s1", "NodeID": "n1", "Slot": 2, "DesiredState": "running",
         "Spec": {"ContainerSpec": {"Image": "web:1", "Labels": {"k": "v"}}},
         "Status": {"State": "running", "ContainerStatus": {"ContainerID": "c9"},
          "PortStatus": {"Ports": [{"Protocol": "tcp", "PublishedPort": 9000, "PublishMode": "host"}]}},
         "NetworksAttachments": [{"Network": {"ID": "net2"}, "Addresses": ["10.0.1.9/24"]}]},
        {"ID": "t2", "ServiceID": "s2", "NodeID": "n2", "Status": {"State": "pending", "PortStatus": {}},
         "NetworksAttachments": [{"Network": {"ID": "net2"}, "Addresses": ["10.0.1.10/24"]}]},
    ])
}

const SWARM: &[List] = &[("services", services), ("nodes", nodes), ("tasks", tasks)];

async fn swarm(role: &str) -> Vec<String> {
    let address = engine(SWARM).listen().await;
    let mut discovery =
        start(&format!("dockerswarm_sd_configs: [{{host: 'http://{address}', role: {role}, port: 90}}]"));
    until(&mut discovery, role, |found| !found.is_empty()).await
}

#[tokio::test]
async fn services_of_a_swarm_are_targets_at_their_virtual_addresses() {
    assert_eq!(
        swarm("services").await,
        [
            concat!(
                r#"{__address__="10.0.1.2:8000", __meta_dockerswarm_network_id="net2", "#,
                r#"__meta_dockerswarm_network_ingress="false", __meta_dockerswarm_network_internal="true", "#,
                r#"__meta_dockerswarm_network_name="back", __meta_dockerswarm_network_scope="swarm", "#,
                r#"__meta_dockerswarm_service_endpoint_port_name="http", "#,
                r#"__meta_dockerswarm_service_endpoint_port_publish_mode="ingress", "#,
                r#"__meta_dockerswarm_service_id="s1", __meta_dockerswarm_service_label_a_b="c", "#,
                r#"__meta_dockerswarm_service_mode="replicated", __meta_dockerswarm_service_name="web", "#,
                r#"__meta_dockerswarm_service_task_container_hostname="h", "#,
                r#"__meta_dockerswarm_service_task_container_image="web:1", "#,
                r#"__meta_dockerswarm_service_updating_status="completed"}"#
            ),
            concat!(
                r#"{__address__="10.0.1.3:90", __meta_dockerswarm_network_id="net2", "#,
                r#"__meta_dockerswarm_network_ingress="false", __meta_dockerswarm_network_internal="true", "#,
                r#"__meta_dockerswarm_network_name="back", __meta_dockerswarm_network_scope="swarm", "#,
                r#"__meta_dockerswarm_service_id="s2", __meta_dockerswarm_service_mode="global", "#,
                r#"__meta_dockerswarm_service_name="plugin"}"#
            ),
        ]
    );
}

#[tokio::test]
async fn nodes_of_a_swarm_are_targets() {
    assert_eq!(
        swarm("nodes").await,
        [concat!(
            r#"{__address__="192.168.0.1:90", __meta_dockerswarm_node_address="192.168.0.1", "#,
            r#"__meta_dockerswarm_node_availability="active", __meta_dockerswarm_node_engine_version="24.0", "#,
            r#"__meta_dockerswarm_node_hostname="host1", __meta_dockerswarm_node_id="n1", "#,
            r#"__meta_dockerswarm_node_label_rack="r1", __meta_dockerswarm_node_manager_address="192.168.0.1:2377", "#,
            r#"__meta_dockerswarm_node_manager_leader="true", "#,
            r#"__meta_dockerswarm_node_manager_reachability="reachable", "#,
            r#"__meta_dockerswarm_node_platform_architecture="x86_64", "#,
            r#"__meta_dockerswarm_node_platform_os="linux", __meta_dockerswarm_node_role="manager", "#,
            r#"__meta_dockerswarm_node_status="ready"}"#
        )]
    );
}

#[tokio::test]
async fn tasks_of_a_swarm_are_targets_at_their_node_and_in_their_networks() {
    let found = swarm("tasks").await;
    assert_eq!(found.len(), 3, "{found:#?}");
    assert_eq!(
        found[0],
        r#"{__address__="10.0.1.10:90", __meta_dockerswarm_network_id="net2", __meta_dockerswarm_network_ingress="false", __meta_dockerswarm_network_internal="true", __meta_dockerswarm_network_name="back", __meta_dockerswarm_network_scope="swarm", __meta_dockerswarm_service_id="s2", __meta_dockerswarm_service_mode="global", __meta_dockerswarm_service_name="plugin", __meta_dockerswarm_task_id="t2", __meta_dockerswarm_task_slot="0", __meta_dockerswarm_task_state="pending"}"#
    );
    assert!(
        found[1].starts_with(r#"{__address__="10.0.1.9:8000", __meta_dockerswarm_container_label_k="v""#)
    );
    assert_eq!(
        found[2],
        concat!(
            r#"{__address__="192.168.0.1:9000", __meta_dockerswarm_container_label_k="v", "#,
            r#"__meta_dockerswarm_node_address="192.168.0.1", __meta_dockerswarm_node_availability="active", "#,
            r#"__meta_dockerswarm_node_hostname="host1", __meta_dockerswarm_node_id="n1", "#,
            r#"__meta_dockerswarm_node_label_rack="r1", __meta_dockerswarm_node_platform_architecture="x86_64", "#,
            r#"__meta_dockerswarm_node_platform_os="linux", __meta_dockerswarm_node_role="manager", "#,
            r#"__meta_dockerswarm_node_status="ready", __meta_dockerswarm_service_id="s1", "#,
            r#"__meta_dockerswarm_service_label_a_b="c", __meta_dockerswarm_service_mode="replicated", "#,
            r#"__meta_dockerswarm_service_name="web", __meta_dockerswarm_task_container_id="c9", "#,
            r#"__meta_dockerswarm_task_desired_state="running", __meta_dockerswarm_task_id="t1", "#,
            r#"__meta_dockerswarm_task_port_publish_mode="host", __meta_dockerswarm_task_slot="2", "#,
            r#"__meta_dockerswarm_task_state="running"}"#
        )
    );
}
