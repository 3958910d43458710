//! Programs that people scrape. Where one isn't installed, its test is left out and says so.

use std::process::Command;

use crate::program::{Program, free_port};
use crate::server::{Home, Server, wait_for};
use crate::target::job;

#[test]
fn the_server_scrapes_itself() {
    let port = free_port();
    let home = Home::new(&job("prometheus", format!("127.0.0.1:{port}")));
    let server = Server::start(&home, &[&format!("--web.listen-address=127.0.0.1:{port}")]);
    wait_for("two scrapes", || server.value("rate(prometheus_http_requests_total{handler='/metrics'}[5m])"));
    assert_eq!(server.value("up"), Some(1.0));
    assert_eq!(server.value("count(prometheus_build_info)"), Some(1.0));
    wait_for("its own series", || {
        server.value("prometheus_tsdb_head_series").filter(|series| *series > 100.0)
    });
}

#[test]
fn the_node_exporter_is_scraped() {
    let port = free_port();
    let address = format!("--web.listen-address=127.0.0.1:{port}");
    let Some(_exporter) = Program::start(Command::new("prometheus-node-exporter").arg(address)) else {
        eprintln!("left out: prometheus-node-exporter isn't installed");
        return;
    };
    let home = Home::new(&job("node", format!("127.0.0.1:{port}")));
    let server = Server::start(&home, &[]);
    wait_for("a scrape", || server.value("up").filter(|up| *up == 1.0));
    wait_for("a rate", || server.value("count(rate(node_cpu_seconds_total[5m]))"));
    assert!(server.value("scrape_samples_scraped").unwrap() > 100.0);
    assert!(server.value("count(sum by (mode) (node_cpu_seconds_total))").unwrap() >= 4.0);
    assert_eq!(server.value("count(node_uname_info)"), Some(1.0));
}

/// A counter, a gauge, a histogram and a summary, moved a little all the time.
const APPLICATION: &str = "
import sys, time
from prometheus_client import Counter, Gauge, Histogram, Summary, start_http_server
requests = Counter('ml_requests', 'Requests.', ['path'])
depth = Gauge('ml_queue_depth', 'Depth.')
latency = Histogram('ml_latency_seconds', 'Latency.', buckets=[0.1, 0.5, 1])
size = Summary('ml_size_bytes', 'Size.')
start_http_server(int(sys.argv[1]), addr='127.0.0.1')
while True:
    for path in ('/predict', '/train'):
        requests.labels(path).inc()
    depth.inc()
    latency.observe(0.3)
    size.observe(100)
    time.sleep(0.01)
";

#[test]
fn an_application_in_python_is_scraped() {
    let has_library = Command::new("python3").args(["-c", "import prometheus_client"]).output();
    if !has_library.is_ok_and(|output| output.status.success()) {
        eprintln!("left out: Python with prometheus_client isn't installed");
        return;
    }
    let port = free_port();
    let _application =
        Program::start(Command::new("python3").args(["-c", APPLICATION, &port.to_string()])).unwrap();
    let home = Home::new(&job("ml", format!("127.0.0.1:{port}")));
    let server = Server::start(&home, &[]);
    wait_for("rates", || server.value("sum(rate(ml_requests_total[1m]))").filter(|rate| *rate > 0.0));
    assert_eq!(server.value("count(sum by (path) (ml_requests_total))"), Some(2.0));
    let quantile = server.value("histogram_quantile(0.5, rate(ml_latency_seconds_bucket[1m]))").unwrap();
    assert!((0.1..=0.5).contains(&quantile), "{quantile}");
    assert_eq!(server.value("ml_size_bytes_sum / ml_size_bytes_count"), Some(100.0));
    wait_for("a prediction", || {
        server.value("predict_linear(ml_queue_depth[1m], 60) - ml_queue_depth").filter(|more| *more > 0.0)
    });
    wait_for("an offset", || {
        server.value("ml_queue_depth - ml_queue_depth offset 1s").filter(|more| *more > 0.0)
    });
}
