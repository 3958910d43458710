//! Servers that take samples from each other.

use std::io::Write;
use std::process::Command;

use remote::protobuf::{put_bytes, put_double, put_packed_sint64, put_sint32, put_varint, put_varint_field};
use serde_json::Value;

use crate::client::Client;
use crate::program::{Program, free_port};
use crate::server::{Home, Server, wait_for};
use crate::target::Target;

/// A family with one metric: a native histogram of integers.
fn histogram_family() -> Vec<u8> {
    let mut histogram = Vec::new();
    put_varint_field(&mut histogram, 1, 7);
    put_double(&mut histogram, 2, 18.5);
    put_sint32(&mut histogram, 5, 1);
    put_double(&mut histogram, 6, 0.001);
    put_varint_field(&mut histogram, 7, 1);
    let mut span = Vec::new();
    put_sint32(&mut span, 1, 2);
    put_varint_field(&mut span, 2, 3);
    put_bytes(&mut histogram, 12, &span);
    put_packed_sint64(&mut histogram, 13, &[1, 2, -1]);
    let mut metric = Vec::new();
    put_bytes(&mut metric, 7, &histogram);
    let mut family = Vec::new();
    put_bytes(&mut family, 1, b"took_seconds");
    put_varint_field(&mut family, 3, 4);
    put_bytes(&mut family, 4, &metric);
    let mut delimited = Vec::new();
    put_varint(&mut delimited, family.len() as u64);
    delimited.extend(family);
    delimited
}

/// Answers with [`histogram_family`].
fn histogram_target() -> Target {
    Target::serve(|_, mut stream| {
        let body = histogram_family();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.google.protobuf; \
             proto=io.prometheus.client.MetricFamily; encoding=delimited\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        // A client that went away has been told enough.
        let _ = stream.write_all(&[head.as_bytes(), &body].concat());
    })
}

/// A configuration that takes everything of the job `app` from a server.
fn federation(address: &str, protocols: &str) -> String {
    format!(
        "scrape_configs:\n- job_name: federate\n  honor_labels: true\n  scrape_interval: 100ms\n  scrape_timeout: 100ms\n  \
         metrics_path: /federate\n  params:\n    'match[]': ['{{job=\"app\"}}']\n{protocols}  \
         static_configs:\n  - targets: ['{address}']\n"
    )
}

#[test]
fn native_histograms_are_federated() {
    let target = histogram_target();
    let native = "  scrape_native_histograms: true\n  scrape_protocols: [PrometheusProto]\n";
    let home =
        Home::new(&target.config().replace("  scrape_interval", &format!("{native}  scrape_interval")));
    let source = Server::start(&home, &[]);
    let histogram = |server: &Server| -> Option<Value> {
        let result = server.query("took_seconds");
        Some(result.first()?["histogram"][1].clone())
    };
    let scraped = wait_for("a histogram", || histogram(&source));
    assert_eq!(scraped["count"], "7");
    let other = Home::new(&federation(source.address(), native));
    let federated = Server::start(&other, &[]);
    assert_eq!(wait_for("the histogram at the other", || histogram(&federated)), scraped);
    assert_eq!(federated.query("took_seconds")[0]["metric"], source.query("took_seconds")[0]["metric"]);
}

#[test]
fn prometheus_federates_from_here() {
    let target = Target::serve_text(|_| "# TYPE depth gauge\ndepth{queue=\"a\"} 2.5\n".to_owned());
    let home = Home::new(&target.config());
    let source = Server::start(&home, &[]);
    wait_for("a sample", || source.value("depth"));
    let other = Home::new(&federation(source.address(), ""));
    let port = free_port();
    let mut command = Command::new("prometheus");
    // Debian's package has a default path outside of the working directory.
    command.current_dir(other.path()).args([
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=peer",
        &format!("--web.listen-address=127.0.0.1:{port}"),
    ]);
    let Some(_prometheus) = Program::start(&mut command) else {
        eprintln!("left out: prometheus isn't installed");
        return;
    };
    let peer = Client::new(format!("127.0.0.1:{port}"));
    wait_for("the other server", || (peer.get("/-/ready").0 == 200).then_some(()));
    assert_eq!(wait_for("a sample there", || peer.value("depth")), 2.5);
    assert_eq!(peer.query("depth")[0]["metric"], source.query("depth")[0]["metric"]);
}
