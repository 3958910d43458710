//! What is written down of queries.

use rustix::process::Signal;
use serde_json::Value;

use crate::server::{Home, Server, wait_for};

const ENABLED: &str = "prometheus_engine_query_log_enabled";

#[test]
fn queries_of_clients_and_rules_are_logged_while_the_configuration_says_so() {
    let home =
        Home::new("global: {evaluation_interval: 100ms, query_log_file: query.log}\nrule_files: [r.yml]\n");
    std::fs::write(home.path().join("r.yml"), "groups: [{name: g, rules: [{record: a, expr: vector(7)}]}]\n")
        .unwrap();
    let server = Server::start(&home, &[]);
    assert_eq!(server.metric(ENABLED), 1.0);
    assert_eq!(server.get("/api/v1/query_range?query=1%2B1&start=0&end=9&step=3").0, 200);
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(home.path().join("query.log")).unwrap_or_default();
        text.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
    };
    let find = |query: &str| lines().into_iter().find(|line| line["params"]["query"] == query);
    let of_client = wait_for("the client's query", || find("1+1"));
    assert_eq!(of_client["msg"], "promql query logged");
    assert_eq!(of_client["params"]["end"], "1970-01-01T00:00:09.000Z");
    assert_eq!(of_client["params"]["step"], 3);
    let request = &of_client["httpRequest"];
    assert_eq!((&request["clientIP"], &request["method"]), (&"127.0.0.1".into(), &"GET".into()));
    assert_eq!(request["path"], "/api/v1/query_range");
    let of_rule = wait_for("the rule's query", || find("vector(7)"));
    assert_eq!(of_rule["ruleGroup"]["name"], "g");

    home.configure("");
    server.signal(Signal::HUP);
    wait_for("the end of the log", || (server.metric(ENABLED) == 0.0).then_some(()));
    server.get("/api/v1/query?query=8");
    assert_eq!(find("8"), None);
}

#[test]
fn queries_that_a_crash_caught_are_told_at_the_next_start() {
    let home = Home::new("");
    Server::start(&home, &[]).kill();
    let file = home.data().join("queries.active");
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 20_001);
    let mut left = std::fs::read(&file).unwrap();
    let entry = br#"{"query":"heavy","timestamp_sec":1}"#;
    left[1001..1001 + entry.len()].copy_from_slice(entry);
    left[2000] = b',';
    std::fs::write(&file, left).unwrap();
    let server = Server::start(&home, &[]);
    let log = server.log();
    assert!(
        log.contains("These queries didn't finish in prometheus' last run:") && log.contains("heavy"),
        "{log}"
    );
    assert_eq!(std::fs::read(&file).unwrap()[1001], 0);
}
