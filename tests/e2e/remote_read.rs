//! Samples that others read, and that are read from others.

use std::process::Command;

use model::time::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::client::Client;
use crate::program::{Program, free_port};
use crate::server::{Home, Server, wait_for};

/// A server with a gauge `depth` of two queues: five samples each, of the last five seconds, the newest 50 and 500.
fn filled(home: &Home) -> Server {
    let server = Server::start(home, &["--web.enable-otlp-receiver"]);
    let now_ms = SystemClock.now_ms();
    let point = |queue: &str, age: i64, value: i64| {
        json!({
            "attributes": [{ "key": "queue", "value": { "stringValue": queue } }],
            "timeUnixNano": (now_ms - age * 1_000) * 1_000_000,
            "asInt": value,
        })
    };
    let points: Vec<Value> = (0..5)
        .rev()
        .flat_map(|age| [point("a", age, (5 - age) * 10), point("b", age, (5 - age) * 100)])
        .collect();
    let metrics = json!([{ "name": "depth", "gauge": { "dataPoints": points } }]);
    let body = json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": metrics }] }] }).to_string();
    let json = "Content-Type: application/json\r\n";
    let (status, _, answer) = server.exchange("/api/v1/otlp/v1/metrics", json, body.as_bytes());
    assert_eq!((status, answer.as_slice()), (200, &b"{}"[..]));
    server
}

fn reading(address: &str) -> String {
    format!("remote_read:\n- url: http://{address}/api/v1/read\n  read_recent: true\n")
}

/// Range sums need every sample, not just the last.
const SUMS: [(&str, f64); 3] = [
    ("depth{queue=\"a\"}", 50.0),
    ("sum_over_time(depth{queue=\"a\"}[5m])", 150.0),
    ("sum(sum_over_time(depth[5m]))", 1650.0),
];

#[test]
fn queries_are_answered_with_another_servers_samples() {
    let home = Home::new("");
    let other = filled(&home);
    let second = Home::new(&reading(other.address()));
    let server = Server::start(&second, &[]);
    for (expression, value) in SUMS {
        assert_eq!(server.value(expression), Some(value), "{expression}");
    }
    let url = format!("http://{}/api/v1/read", other.address());
    // One who is gone is a warning, and the rest is answered.
    other.kill();
    let (status, body) = server.get("/api/v1/query?query=vector(1)%2Bscalar(absent(depth))");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200, "{body}");
    assert_eq!(answer["data"]["result"][0]["value"][1], "2", "{body}");
    let warning = answer["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with(&format!("remote_read: {url}: error sending request: ")), "{warning}");
}

#[test]
fn prometheus_reads_what_this_server_has() {
    let home = Home::new("");
    let other = filled(&home);
    let second = Home::new(&reading(other.address()));
    let (port, program) = (free_port(), std::env::var("PROMETHEUS").unwrap_or("prometheus".to_owned()));
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new(program);
    command.current_dir(second.path()).args([
        &format!("--web.listen-address={address}"),
        &format!("--storage.tsdb.path={}", second.data().display()),
        "--config.file=prometheus.yml",
    ]);
    let Some(_prometheus) = Program::start(&mut command) else {
        eprintln!("left out: prometheus isn't installed");
        return;
    };
    let prometheus = Client::new(address);
    wait_for("readiness of Prometheus", || (prometheus.get("/-/ready").0 == 200).then_some(()));
    for (expression, value) in SUMS {
        assert_eq!(prometheus.value(expression), Some(value), "{expression}");
    }
}

#[test]
fn both_types_of_answers_are_given_over_http() {
    let home = Home::new("");
    let server = filled(&home);
    // ReadRequest { queries { start 0, end the largest, matcher __name__ = depth }, accepted types }
    let matcher = [&[0x12, 8][..], b"__name__", &[0x1a, 5], b"depth"].concat();
    let mut query = vec![0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x1a];
    query.push(u8::try_from(matcher.len()).unwrap());
    query.extend(matcher);
    let mut message = vec![0x0a, u8::try_from(query.len()).unwrap()];
    message.extend(query);
    let ask = |accepted: &[u8]| {
        let message = [&message, accepted].concat();
        let body = snap::raw::Encoder::new().compress_vec(&message).unwrap();
        let (status, head, body) = server.exchange("/api/v1/read", "Content-Encoding: snappy\r\n", &body);
        assert_eq!(status, 200, "{head}");
        (head.to_ascii_lowercase(), body)
    };
    let labels = b"queue";
    let (head, body) = ask(&[0x10, 0]);
    assert!(
        head.contains("content-type: application/x-protobuf") && head.contains("content-encoding: snappy")
    );
    let samples = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
    let named = |bytes: &[u8]| bytes.windows(labels.len()).filter(|window| window == labels).count();
    assert_eq!(named(&samples), 2);
    let newest = 500_f64.to_le_bytes();
    assert!(samples.windows(newest.len()).any(|window| window == newest));
    let (head, frames) = ask(&[0x10, 1, 0x10, 0]);
    let streamed = "content-type: application/x-streamed-protobuf; proto=prometheus.chunkedreadresponse";
    assert!(head.contains(streamed), "{head}");
    assert_eq!(named(&frames), 2);
}
