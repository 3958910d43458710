//! Asking a server.

use std::io::{Read, Write};
use std::net::TcpStream;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::server::PATIENCE;

/// Asks the server at an address.
pub(crate) struct Client {
    address: String,
}

impl Client {
    pub(crate) fn new(address: String) -> Client {
        Client { address }
    }

    /// `host:port`
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request without a body; the status and the body of the answer, 0 if there is none.
    pub(crate) fn request(&self, method: &str, path: &str) -> (u16, String) {
        request(&self.address, method, path).unwrap_or_default()
    }

    /// Sends a form.
    pub(crate) fn post(&self, path: &str, form: &str) -> (u16, String) {
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        send(&self.address, "POST", path, kind, form).unwrap_or_default()
    }

    /// Posts bytes, and gives back the status, the head and the bytes of the answer.
    pub(crate) fn exchange(&self, path: &str, headers: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
        exchange(&self.address, "POST", path, headers, body).unwrap_or_default()
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.request("GET", path)
    }

    /// `data` of an answer of the API.
    pub(crate) fn data(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        let answer: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {status} {body}"));
        assert_eq!(answer["status"], "success", "{path}: {body}");
        answer["data"].clone()
    }

    /// The elements of the answer to an instant query.
    pub(crate) fn query(&self, expression: &str) -> Vec<Value> {
        let query = utf8_percent_encode(expression, NON_ALPHANUMERIC);
        self.data(&format!("/api/v1/query?query={query}"))["result"].as_array().unwrap().clone()
    }

    /// The value of the only element of an instant query's answer, if there is one.
    pub(crate) fn value(&self, expression: &str) -> Option<f64> {
        let result = self.query(expression);
        assert!(result.len() < 2, "{expression} gave {result:?}");
        Some(result.first()?["value"][1].as_str()?.parse().unwrap())
    }

    /// One value of a metric of the server itself.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics");
        let line =
            text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        line.unwrap_or_else(|| panic!("no metric {name}")).rsplit(' ').next().unwrap().parse().unwrap()
    }
}

/// One request without a body.
fn request(address: &str, method: &str, path: &str) -> std::io::Result<(u16, String)> {
    send(address, method, path, "", "")
}

/// One request of HTTP/1.0, whose answer ends with the connection.
fn send(
    address: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> std::io::Result<(u16, String)> {
    let (status, _, body) = exchange(address, method, path, headers, body.as_bytes())?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// As [`send`], with bytes; with the answer's head.
fn exchange(
    address: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> std::io::Result<(u16, String, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\n\r\n"
    )?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok((status, head, answer.get(end + 4..).unwrap_or_default().to_vec()))
}
