//! Consul: a catalog that changes, whose questions are held until it does.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Asked, Reply, Server, now, start, until, until_asked};

/// What the server knows: an index, and for each service its instances.
#[derive(Clone, Default)]
struct Catalog {
    index: u64,
    services: Vec<(&'static str, Vec<&'static str>, Vec<Value>)>,
    is_broken: bool,
}

impl Catalog {
    fn answer(&self, path: &str) -> Response<Body> {
        let body = match path.rsplit('/').next().unwrap() {
            "services" => {
                let services = self.services.iter().map(|(name, tags, _)| ((*name).to_owned(), json!(tags)));
                Value::Object(services.collect())
            }
            name => {
                let service = self.services.iter().find(|(other, ..)| *other == name);
                service.map_or(json!([]), |(.., instances)| json!(instances))
            }
        };
        let status = if self.is_broken { 500 } else { 200 };
        let response = Response::builder().status(status).header("X-Consul-Index", self.index.to_string());
        response.body(Body::from(body.to_string())).unwrap()
    }
}

/// A server that holds questions with the present index until the catalog changes.
fn server(catalog: &Arc<watch::Sender<Catalog>>) -> Server {
    let catalog = Arc::clone(catalog);
    Server::new(move |asked: Asked| -> Reply {
        if asked.path == "/v1/agent/self" {
            return now(200, r#"{"Config": {"Datacenter": "dc1"}}"#);
        }
        let mut catalog = catalog.subscribe();
        Box::pin(async move {
            let index: u64 = asked.query.get("index").map_or(0, |index| index.parse().unwrap());
            let catalog = catalog.wait_for(|catalog| catalog.index != index).await.unwrap();
            catalog.answer(&asked.path)
        })
    })
}

fn instance(id: &str, address: &str) -> Value {
    json!({
        "Node": {"Node": "n", "Address": "10.0.0.9", "Meta": null, "TaggedAddresses": null},
        "Service": {"ID": id, "Tags": ["prod"], "Address": address, "Port": 80, "Meta": {"team": "a"}},
        "Checks": [{"CheckID": "c", "Status": "critical"}],
    })
}

fn count(count: usize) -> impl Fn(&[String]) -> bool {
    move |targets| targets.len() == count
}

#[tokio::test]
async fn services_come_change_and_go_with_the_catalog() {
    let catalog = Catalog {
        index: 7,
        services: vec![
            ("web", vec!["prod"], vec![instance("w1", "10.0.0.1")]),
            ("db", vec!["test"], vec![instance("d1", "10.0.0.2")]),
        ],
        is_broken: false,
    };
    let catalog = Arc::new(watch::Sender::new(catalog));
    let server = server(&catalog);
    let address = server.listen().await;
    let mut discovery = start(&format!(
        "consul_sd_configs: [{{server: '{address}', token: t, tags: [prod], node_meta: {{k: v}}, \
         filter: 'f', refresh_interval: 1ms}}]"
    ));
    let found = until(&mut discovery, "one service", count(1)).await;
    assert_eq!(
        found,
        [concat!(
            r#"{__address__="10.0.0.1:80", __meta_consul_address="10.0.0.9", __meta_consul_dc="dc1", "#,
            r#"__meta_consul_health="critical", __meta_consul_node="n", __meta_consul_service="web", "#,
            r#"__meta_consul_service_address="10.0.0.1", __meta_consul_service_id="w1", "#,
            r#"__meta_consul_service_metadata_team="a", __meta_consul_service_port="80", "#,
            r#"__meta_consul_tags=",prod,"}"#
        )]
    );
    // Questions are held now: an instance more is told at once.
    catalog.send_modify(|catalog| {
        catalog.index = 8;
        catalog.services[0].2.push(instance("w2", "fd00::1"));
    });
    let found = until(&mut discovery, "an instance more", count(2)).await;
    assert!(found[1].starts_with(r#"{__address__="[fd00::1]:80""#), "{found:?}");
    catalog.send_modify(|catalog| {
        catalog.index = 9;
        catalog.services.remove(0);
    });
    until(&mut discovery, "the service is gone", count(0)).await;

    let asked = server.asked();
    assert!(asked.iter().all(|asked| asked.headers["x-consul-token"] == "t"));
    let catalog = asked.iter().find(|asked| asked.path == "/v1/catalog/services").unwrap();
    let has = |asked: &Asked, name: &str, value: &str| asked.query.get(name).is_some_and(|v| v == value);
    assert!(has(catalog, "wait", "120000ms") && has(catalog, "filter", "f") && has(catalog, "stale", ""));
    assert!(has(catalog, "node-meta", "k:v"));
    let health = asked.iter().find(|asked| asked.path == "/v1/health/service/web").unwrap();
    assert!(has(health, "tag", "prod") && !health.query.contains_key("filter"), "{health:?}");
    assert!(
        !asked.iter().any(|asked| asked.path.ends_with("/db")),
        "a service without the tag is not asked for"
    );
}

#[tokio::test]
async fn failures_and_an_index_that_goes_back_lose_nothing() {
    let services = vec![("web", vec![], vec![instance("w1", "10.0.0.1")])];
    let catalog = Arc::new(watch::Sender::new(Catalog { index: 70, services, is_broken: false }));
    let server = server(&catalog);
    let address = server.listen().await;
    let mut discovery = start(&format!(
        "consul_sd_configs: [{{server: 'http://{address}', datacenter: d, allow_stale: false, \
         services: [web], refresh_interval: 1ms}}]"
    ));
    until(&mut discovery, "the service", count(1)).await;
    catalog.send_modify(|catalog| (catalog.index, catalog.is_broken) = (71, true));
    let before = server.asked().len();
    until_asked(&server, "again after a failure", |asked| asked.len() > before + 3).await;
    assert_eq!(super::targets(&discovery).len(), 1, "the last good group stands");
    catalog.send_modify(|catalog| {
        (catalog.index, catalog.is_broken) = (5, false);
        catalog.services[0].2.push(instance("w2", "10.0.0.2"));
    });
    until(&mut discovery, "what the restored server says", count(2)).await;
    let asked = server.asked();
    assert!(asked.iter().all(|asked| asked.path == "/v1/health/service/web"), "only what is named is asked");
    assert!(asked.iter().all(|asked| asked.query["dc"] == "d" && !asked.query.contains_key("stale")));
}
