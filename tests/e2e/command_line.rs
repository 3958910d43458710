//! Starting, and refusing to.

use crate::server::{Home, Server};

#[test]
fn a_wrong_configuration_ends_the_program_before_anything_is_started() {
    let home = Home::new("scrape_configs:\n- job_name: a\n  static_configs:\n  - targts: [x]\n");
    let output = home.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(
        log.contains("prometheus.yml:4:5: scrape_configs[0].static_configs[0].targts: unknown field"),
        "{log}"
    );
    assert!(!home.data().exists());

    let output = home.run(&["--config.file=none.yml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("none.yml: No such file or directory"));
}

#[test]
fn what_is_not_there_yet_is_refused_by_name() {
    let home = Home::new("tracing:\n  endpoint: x\n");
    let output = home.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("prometheus.yml:2:3: tracing: no traces are made yet"), "{log}");

    let output = home.run(&["--agent"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("flag --agent is not supported yet"));
}

#[test]
fn an_address_in_use_is_refused() {
    let home = Home::new("");
    let server = Server::start(&home, &[]);
    let other = Home::new("");
    let output = other.run(&[&format!("--web.listen-address={}", server.address())]);
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains(&format!("unable to start listener on {}", server.address())), "{log}");
}

#[test]
fn the_program_shows_what_it_was_told() {
    let home = Home::new("global: {external_labels: {zone: a}}\n");
    let server = Server::start(
        &home,
        &["--query.timeout=7s", "--web.external-url=http://x/prom", "--web.route-prefix=/"],
    );
    let flags = server.data("/api/v1/status/flags");
    assert_eq!(flags["query.timeout"], "7s");
    assert_eq!(flags["storage.tsdb.retention.time"], "15d");
    let yaml = server.data("/api/v1/status/config");
    assert!(yaml["yaml"].as_str().unwrap().contains("external_labels:\n    zone: a\n"), "{yaml}");
    assert!(server.data("/api/v1/status/buildinfo")["version"].as_str().unwrap().starts_with("3.14.0"));
    assert_eq!(server.metric("prometheus_ready"), 1.0);
    assert!(server.metric("process_resident_memory_bytes") > 0.0);
}
