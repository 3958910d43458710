//! Programs that people scrape. Where one isn't installed, its test is left out and says so.

use std::process::Command;

use crate::client::Client;
use crate::program::{Program, free_port};
use crate::server::{Home, Server, wait_for};
use crate::target::{Target, job};

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

/// Python with its client library, to run a program that is told a port; `None` if it isn't installed.
#[expect(clippy::print_stderr, reason = "says what is left out")]
fn python(program: &str, port: u16) -> Option<Command> {
    let has_library = Command::new("python3").args(["-c", "import prometheus_client"]).output();
    if !has_library.is_ok_and(|output| output.status.success()) {
        eprintln!("left out: Python with prometheus_client isn't installed");
        return None;
    }
    let mut command = Command::new("python3");
    command.args(["-c", program, &port.to_string()]);
    Some(command)
}

#[test]
fn an_application_in_python_is_scraped() {
    let port = free_port();
    let Some(mut application) = python(APPLICATION, port) else { return };
    let _application = Program::start(&mut application).unwrap();
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

/// A counter whose increments tell of the trace that they belong to.
const TRACED: &str = "
import sys, time
from prometheus_client import Counter, start_http_server
orders = Counter('shop_orders', 'Orders.')
start_http_server(int(sys.argv[1]), addr='127.0.0.1')
while True:
    orders.inc(exemplar={'trace_id': 'abc'})
    time.sleep(0.01)
";

#[test]
fn an_application_in_python_gives_openmetrics_with_exemplars() {
    let port = free_port();
    let Some(mut application) = python(TRACED, port) else { return };
    let _application = Program::start(&mut application).unwrap();
    let home = Home::new(&job("shop", format!("127.0.0.1:{port}")));
    let server = Server::start(&home, &["--enable-feature=exemplar-storage"]);
    wait_for("a rate", || server.value("rate(shop_orders_total[1m])").filter(|rate| *rate > 0.0));
    let path = "/api/v1/query_exemplars?query=shop_orders_total&start=0&end=9999999999";
    let exemplars = wait_for("an exemplar", || server.data(path).get(0).cloned());
    assert_eq!(exemplars["seriesLabels"]["__name__"], "shop_orders_total");
    assert_eq!(exemplars["exemplars"][0]["labels"]["trace_id"], "abc");
}

/// Two workers, which count into files; the parent shows the sum of them.
const WORKERS: &str = "
import os, sys, time
from prometheus_client import CollectorRegistry, Counter, Gauge, multiprocess, start_http_server
jobs = Counter('mail_jobs', 'Jobs.', ['kind'])
busy = Gauge('mail_busy', 'Busy workers.', multiprocess_mode='all')
for worker in range(2):
    if os.fork() == 0:
        jobs.labels('send').inc(10)
        busy.set(1)
        os._exit(0)
for worker in range(2):
    os.wait()
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
start_http_server(int(sys.argv[1]), addr='127.0.0.1', registry=registry)
time.sleep(3600)
";

#[test]
fn an_application_of_several_processes_in_python_is_scraped() {
    let port = free_port();
    let Some(mut application) = python(WORKERS, port) else { return };
    let home = Home::new(&job("mail", format!("127.0.0.1:{port}")));
    let counters = home.path().join("counters");
    std::fs::create_dir(&counters).unwrap();
    let _application = Program::start(application.env("PROMETHEUS_MULTIPROC_DIR", counters)).unwrap();
    let server = Server::start(&home, &[]);
    wait_for("the sum of both", || server.value("mail_jobs_total{kind='send'}").filter(|sum| *sum == 20.0));
    assert_eq!(server.value("count(count by (pid) (mail_busy == 1))"), Some(2.0));
}

#[test]
fn the_blackbox_exporter_probes_what_relabelling_tells_it_to() {
    let (port, dead) = (free_port(), free_port());
    let alive = Target::serve_text(|_| String::new()).address();
    let home = Home::new(&format!(
        "global: {{scrape_interval: 2s, scrape_timeout: 2s}}
scrape_configs:
- job_name: blackbox
  metrics_path: /probe
  params: {{module: [web]}}
  static_configs: [{{targets: ['http://{alive}/', 'http://127.0.0.1:{dead}/']}}]
  relabel_configs:
  - {{source_labels: [__address__], target_label: __param_target}}
  - {{source_labels: [__param_target], target_label: instance}}
  - {{target_label: __address__, replacement: '127.0.0.1:{port}'}}
"
    ));
    let modules = home.path().join("blackbox.yml");
    std::fs::write(&modules, "modules: {web: {prober: http, http: {preferred_ip_protocol: ip4}}}\n").unwrap();
    let mut exporter = Command::new("prometheus-blackbox-exporter");
    exporter.arg(format!("--config.file={}", modules.display()));
    exporter.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let Some(_exporter) = Program::start(&mut exporter) else {
        eprintln!("left out: prometheus-blackbox-exporter isn't installed");
        return;
    };
    let server = Server::start(&home, &[]);
    let of = |metric: &str, address: &dyn std::fmt::Display| {
        server.value(&format!("{metric}{{job='blackbox',instance='http://{address}/'}}"))
    };
    wait_for("success", || of("probe_success", &alive).filter(|success| *success == 1.0));
    wait_for("the status", || of("probe_http_status_code", &alive).filter(|status| *status == 200.0));
    let dead = format!("127.0.0.1:{dead}");
    wait_for("failure", || of("probe_success", &dead).filter(|success| *success == 0.0));
    assert_eq!(of("up", &dead), Some(1.0), "the exporter itself is up");
}

#[test]
fn the_pushgateway_keeps_the_labels_of_those_who_push() {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut gateway = Command::new("prometheus-pushgateway");
    let Some(_gateway) = Program::start(gateway.arg(format!("--web.listen-address={address}"))) else {
        eprintln!("left out: prometheus-pushgateway isn't installed");
        return;
    };
    let pushed = "# TYPE backup_bytes gauge\nbackup_bytes{volume=\"home\"} 7\n";
    let client = Client::new(address.clone());
    wait_for("a push", || {
        let (status, _, _) = client.exchange("/metrics/job/backup/instance/db1", "", pushed.as_bytes());
        (status == 200).then_some(())
    });
    let home = Home::new(&format!(
        "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
- {{job_name: honoured, honor_labels: true, static_configs: [{{targets: ['{address}']}}]}}
- {{job_name: overridden, static_configs: [{{targets: ['{address}']}}]}}
"
    ));
    let server = Server::start(&home, &[]);
    wait_for("labels as pushed", || {
        server.value("backup_bytes{job='backup',instance='db1',volume='home'}").filter(|bytes| *bytes == 7.0)
    });
    let overridden = format!(
        "backup_bytes{{job='overridden',instance='{address}',exported_job='backup',exported_instance='db1'}}"
    );
    wait_for("labels of the target", || server.value(&overridden).filter(|bytes| *bytes == 7.0));
    let pushed_at = server.value("push_time_seconds{job='backup',instance='db1'}").unwrap();
    assert!(pushed_at > 1e9, "{pushed_at}");
    assert_eq!(server.value("up{job='honoured'}"), Some(1.0));
}
