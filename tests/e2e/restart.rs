//! What was answered once is there after a crash.

use rustix::process::Signal;
use serde_json::Value;

use crate::server::{Home, Server, wait_for};
use crate::target::{Target, counter};

/// All samples of the counter, as times and values.
fn samples(server: &Server) -> Vec<Value> {
    let series = server.query("app_requests_total[1h]");
    series.first().map(|series| series["values"].as_array().unwrap().clone()).unwrap_or_default()
}

fn wait_for_samples(server: &Server, count: usize) -> Vec<Value> {
    wait_for("samples", || Some(samples(server)).filter(|samples| samples.len() >= count))
}

#[test]
fn every_sample_seen_before_a_kill_is_there_after_a_restart() {
    let target = Target::serve_text(counter);
    let home = Home::new(&target.config());
    let mut seen = Vec::new();
    // More than one round, so that a log which was replayed is replayed again.
    for round in 1..=3 {
        let server = Server::start(&home, &[]);
        let again = wait_for_samples(&server, seen.len());
        assert_eq!(again[..seen.len()], seen[..], "round {round}");
        seen = wait_for_samples(&server, seen.len() + 5);
        server.kill();
    }
    let server = Server::start(&home, &[]);
    let again = samples(&server);
    assert_eq!(again[..seen.len()], seen[..]);
    assert_eq!(server.value("up{job='app'}"), Some(1.0));
}

#[test]
fn every_sample_is_there_after_an_orderly_end() {
    let target = Target::serve_text(counter);
    let home = Home::new(&target.config());
    let server = Server::start(&home, &[]);
    let seen = wait_for_samples(&server, 5);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));

    let server = Server::start(&home, &[]);
    assert_eq!(samples(&server)[..seen.len()], seen[..]);
    assert_eq!(server.request("POST", "/-/quit").0, 200);
    assert_eq!(server.wait().code(), Some(0));
}
