//! Prometheus's programs.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

use std::ffi::OsString;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take before a test fails. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// Waits until there is something.
#[expect(clippy::disallowed_methods, reason = "what is waited for is another process")]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(GLANCE);
    }
}

/// A program, by the variable that may name another one.
fn program(variable: &str, name: &str) -> OsString {
    std::env::var_os(variable).unwrap_or_else(|| name.into())
}

/// Runs promtool; `None` if there is none.
pub(crate) fn promtool(args: &[&str]) -> Option<Output> {
    match Command::new(program("PROMTOOL", "promtool")).args(args).output() {
        Ok(output) => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "promtool {args:?}: {stderr}");
            Some(output)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("skipped: promtool isn't installed");
            None
        }
        Err(error) => panic!("promtool: {error}"),
    }
}

/// Lines of what a program printed, sorted.
pub(crate) fn lines(output: &[u8]) -> Vec<String> {
    let mut lines: Vec<String> =
        String::from_utf8(output.to_vec()).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// A running Prometheus. It is killed when it goes out of scope.
pub(crate) struct Prometheus {
    child: Child,
    address: String,
}

impl Prometheus {
    /// Starts a server on a data directory and waits until it is ready; `None` if there is no such program, or
    /// if it doesn't know one of the flags.
    pub(crate) fn start(home: &Path, config: &str, flags: &[&str]) -> Option<Prometheus> {
        std::fs::write(home.join("prometheus.yml"), config).unwrap();
        let spawned = Command::new(program("PROMETHEUS", "prometheus"))
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .args(["--web.listen-address=127.0.0.1:0", "--web.enable-lifecycle"])
            .args(flags)
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match spawned {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                println!("skipped: prometheus isn't installed");
                return None;
            }
            spawned => spawned.unwrap(),
        };
        let log = child.stderr.take().unwrap();
        match find_address(log) {
            Ok(address) => {
                let server = Prometheus { child, address };
                wait_for("a ready server", || {
                    server.get("/-/ready").filter(|answer| answer.contains("Ready"))
                });
                Some(server)
            }
            Err(log) => {
                // It may have ended already.
                let _ = child.kill();
                child.wait().unwrap();
                assert!(log.contains("unknown long flag"), "prometheus doesn't start: {log}");
                println!("skipped: this prometheus knows not all of {flags:?}");
                None
            }
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request; `None` if the server can't be reached. Returns the body of a good answer.
    fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\n{headers}Content-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let good = head.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
        good.then(|| body.to_owned())
    }

    pub(crate) fn get(&self, path: &str) -> Option<String> {
        self.request("GET", path, "", b"")
    }

    /// Takes in another configuration.
    pub(crate) fn reload(&self, home: &Path, config: &str) {
        std::fs::write(home.join("prometheus.yml"), config).unwrap();
        self.request("POST", "/-/reload", "", b"").unwrap();
    }

    /// The result of an instant query, of a millisecond.
    pub(crate) fn query(&self, query: &str, time_ms: i64) -> Value {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let time = format!("{}.{:03}", time_ms / 1000, time_ms % 1000);
        let path = format!("/api/v1/query?time={time}&query={escaped}");
        let body = self.get(&path).unwrap_or_else(|| panic!("no answer to {query}"));
        let answer: Value = serde_json::from_str(&body).unwrap();
        answer["data"]["result"].clone()
    }

    /// Sends samples of a series by remote write.
    pub(crate) fn write(&self, labels: &[(&str, &str)], samples: &[(i64, f64)]) {
        let mut series = Vec::new();
        for (name, value) in labels {
            let mut label = Vec::new();
            put_bytes(&mut label, 1, name.as_bytes());
            put_bytes(&mut label, 2, value.as_bytes());
            put_bytes(&mut series, 1, &label);
        }
        for (time, value) in samples {
            let mut sample = vec![1 << 3 | 1];
            sample.extend(value.to_bits().to_le_bytes());
            sample.push(2 << 3);
            tsdb::codec::put_uvarint(&mut sample, *time as u64);
            put_bytes(&mut series, 2, &sample);
        }
        let mut request = Vec::new();
        put_bytes(&mut request, 1, &series);
        let body = snap::raw::Encoder::new().compress_vec(&request).unwrap();
        let headers = "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n\
                       X-Prometheus-Remote-Write-Version: 0.1.0\r\n";
        assert!(self.request("POST", "/api/v1/write", headers, &body).is_some(), "remote write fails");
    }

    /// Ends the server as a power failure of the process would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A field of bytes of a protobuf message.
fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    tsdb::codec::put_prefixed_bytes(out, bytes);
}

/// The address that a server's log says it listens on; the log if it ends before. The rest is read and dropped.
fn find_address(log: impl Read + Send + 'static) -> Result<String, String> {
    let (found, address) = mpsc::channel();
    std::thread::spawn(move || {
        let mut seen = String::new();
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            let listening =
                line.split_once("msg=\"Listening on\"").and_then(|line| line.1.split_once("address="));
            if let Some((_, rest)) = listening {
                let address = rest.split(' ').next().unwrap_or(rest).to_owned();
                // If whoever asked has stopped waiting, nobody needs it.
                let _ = found.send(Ok(address));
            }
            if seen.len() < 1 << 16 {
                seen.push_str(&line);
                seen.push('\n');
            }
        }
        let _ = found.send(Err(seen));
    });
    address.recv_timeout(PATIENCE).unwrap_or_else(|_| Err("it doesn't say where it listens".to_owned()))
}
