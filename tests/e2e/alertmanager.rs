//! From a rule to a webhook by way of a real Alertmanager. Where it isn't installed, this is left out and says so.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::client::Client;
use crate::program::{Program, free_port};
use crate::server::{Home, Server, wait_for};
use crate::target::Target;

/// Alerts go out a group for each name; those called `Muted` don't while there is one called `Maintenance`.
const ROUTES: &str = "
route:
  receiver: test
  group_by: [alertname]
  group_wait: 0s
  group_interval: 100ms
  repeat_interval: 1h
inhibit_rules:
  - source_matchers: [alertname = Maintenance]
    target_matchers: [alertname = Muted]
";

const RULES: &str = "
groups:
  - name: load
    interval: 200ms
    rules:
      - alert: Maintenance
        expr: vector(1)
      - alert: High
        expr: load > 5
        for: 1s
        labels: {severity: page}
        annotations: {summary: '{{ $labels.job }} is at {{ $value }}'}
      - alert: Muted
        expr: muted > 5
";

/// Receives Alertmanager's notifications.
struct Webhook {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    fn start() -> Webhook {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if let Some(body) = answer(stream) {
                    kept.lock().unwrap().push(body);
                }
            }
        });
        Webhook { address, received }
    }

    fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    /// The notification of this alert with this status, of those from the `first` on.
    fn wait_for(&self, first: usize, alert: &str, status: &str) -> Value {
        wait_for(&format!("{alert} to be {status}"), || {
            let received = self.received.lock().unwrap();
            let is_it = |body: &&Value| body["groupLabels"]["alertname"] == alert && body["status"] == status;
            received[first..].iter().find(is_it).cloned()
        })
    }
}

/// Reads a request and answers it; its body.
fn answer(stream: TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()?;
    serde_json::from_slice(&body).ok()
}

/// An Alertmanager on a port of its own that sends to the webhook.
fn start_alertmanager(home: &Home, port: u16, webhook: &Webhook) -> Option<Program> {
    let url = format!("http://{}/", webhook.address);
    let receiver = format!("receivers: [{{name: test, webhook_configs: [{{url: '{url}'}}]}}]\n");
    std::fs::write(home.path().join("alertmanager.yml"), receiver + ROUTES).unwrap();
    let mut command = Command::new("prometheus-alertmanager");
    command.current_dir(home.path()).args([
        "--config.file=alertmanager.yml",
        "--storage.path=alertmanager",
        "--cluster.listen-address=",
        &format!("--web.listen-address=127.0.0.1:{port}"),
    ]);
    let program = Program::start(&mut command)?;
    let client = Client::new(format!("127.0.0.1:{port}"));
    wait_for("Alertmanager", || (client.get("/-/ready").0 == 200).then_some(()));
    Some(program)
}

fn start_ferula(home: &Home) -> Server {
    Server::start(
        home,
        &[
            "--web.external-url=http://ferula.example/",
            "--rules.alert.resend-delay=5s",
            "--rules.alert.for-grace-period=1s",
        ],
    )
}

/// The active alert of this name in the API.
fn alert(server: &Server, name: &str) -> Option<Value> {
    let alerts = server.data("/api/v1/alerts");
    alerts["alerts"].as_array().unwrap().iter().find(|alert| alert["labels"]["alertname"] == name).cloned()
}

/// Since when an alert is active, to the second: what outlives a restart.
fn active_since(alert: &Value) -> String {
    alert["activeAt"].as_str().unwrap()[..19].to_owned()
}

#[test]
fn an_alert_goes_by_way_of_alertmanager_to_a_webhook_and_is_resolved() {
    let webhook = Webhook::start();
    let [load, muted] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let gauges = [("load", Arc::clone(&load)), ("muted", Arc::clone(&muted))];
    let target = Target::serve_text(move |_| {
        let mut text = String::new();
        for (name, is_high) in &gauges {
            let value = if is_high.load(Ordering::SeqCst) { 9 } else { 1 };
            let _ = writeln!(text, "# TYPE {name} gauge\n{name} {value}");
        }
        text
    });
    let port = free_port();
    let home = Home::new(&format!(
        "{}rule_files: [rules.yml]\nalerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]}}\n",
        target.config()
    ));
    std::fs::write(home.path().join("rules.yml"), RULES).unwrap();
    if start_alertmanager(&home, port, &webhook).is_none() {
        eprintln!("left out: prometheus-alertmanager isn't installed");
        return;
    }

    // Alertmanager is down. Alerts go from pending to firing, and their notifications are lost.
    let server = start_ferula(&home);
    wait_for("a series of alerts", || server.value("ALERTS{alertname='Maintenance'}"));
    load.store(true, Ordering::SeqCst);
    wait_for("a firing alert", || server.value("ALERTS{alertname='High', alertstate='firing'}"));
    assert!(server.value("count_over_time(ALERTS{alertname='High', alertstate='pending'}[10m])").is_some());
    wait_for("failures", || {
        let (_, metrics) = server.get("/metrics");
        let is_failure =
            |line: &str| line.starts_with("prometheus_notifications_errors_total{") && !line.ends_with(" 0");
        metrics.lines().any(is_failure).then_some(())
    });

    // It is up again: what still fires is sent again.
    let before = webhook.count();
    let _alertmanager = start_alertmanager(&home, port, &webhook);
    let firing = webhook.wait_for(before, "High", "firing");
    let sent = &firing["alerts"][0];
    assert_eq!(sent["labels"]["severity"], "page");
    assert_eq!(sent["annotations"], json!({"summary": "app is at 9"}));
    assert_eq!(sent["generatorURL"], "http://ferula.example/graph?g0.expr=load+%3E+5&g0.tab=1");
    let active = alert(&server, "High").unwrap();
    assert_eq!(active["state"], "firing");

    // A crash in between: the alert goes on where it was.
    server.kill();
    let server = start_ferula(&home);
    wait_for("the state of before", || {
        alert(&server, "High").filter(|alert| active_since(alert) == active_since(&active))
    });
    wait_for("a firing alert", || alert(&server, "High").filter(|alert| alert["state"] == "firing"));

    // What Alertmanager inhibits is known to it.
    muted.store(true, Ordering::SeqCst);
    let alertmanager = Client::new(format!("127.0.0.1:{port}"));
    wait_for("an inhibited alert", || {
        let (_, alerts) = alertmanager.get("/api/v2/alerts");
        let alerts: Value = serde_json::from_str(&alerts).ok()?;
        let is_it = |alert: &&Value| {
            alert["labels"]["alertname"] == "Muted" && alert["status"]["state"] == "suppressed"
        };
        alerts.as_array()?.iter().find(is_it).cloned()
    });

    let before = webhook.count();
    load.store(false, Ordering::SeqCst);
    let resolved = webhook.wait_for(before, "High", "resolved");
    assert_eq!(resolved["alerts"][0]["labels"], sent["labels"]);
    wait_for("the end of the alert", || alert(&server, "High").is_none().then_some(()));
}
