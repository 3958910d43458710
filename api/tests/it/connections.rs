//! What happens on connections: readiness, streaming, clients that leave or dawdle, the end of the server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::ApiOptions;
use api::readiness::Phase;
use flate2::read::{GzDecoder, ZlibDecoder};
use model::labels::Labels;
use std::io::Read;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{get, send};
use crate::fakes::{self, FakeStorage, NOW_MS};

/// So many series that their list fills many pieces of a streamed answer.
fn many_series() -> FakeStorage {
    let series = (0..20_000).map(|i| {
        let labels = Labels::from_pairs([("__name__", "many"), ("number", format!("{i:010}").as_str())]);
        (labels, vec![(NOW_MS - 1, f64::from(i))])
    });
    FakeStorage(Arc::new(series.collect::<BTreeMap<_, _>>()))
}

#[tokio::test]
async fn gated_endpoints_wait_for_readiness() {
    let parts = fakes::parts(fakes::samples());
    let readiness = parts.readiness.clone();
    let (address, _stop) = fakes::start(fakes::options(), parts).await;
    for (phase, status, stopping) in [
        (Phase::Starting, "503 Service Unavailable", Some("false")),
        (Phase::Ready, "200 OK", None),
        (Phase::Stopping, "503 Service Unavailable", Some("true")),
    ] {
        readiness.set(phase);
        for path in ["/-/ready", "/api/v1/labels", "/api/v1/status/config"] {
            let response = get(address, path).await;
            assert_eq!(response.status, status, "{path}");
            assert_eq!(response.header("x-prometheus-stopping"), stopping);
            assert!(stopping.is_none() || response.text() == "Service Unavailable");
        }
        for path in
            ["/-/healthy", "/metrics", "/version", "/api/v1/status/walreplay", "/api/v1/notifications"]
        {
            assert_eq!(get(address, path).await.status, "200 OK", "{path}");
        }
    }
}

#[tokio::test]
async fn long_answers_arrive_whole_whatever_their_encoding() {
    let (address, _stop) = fakes::start(fakes::options(), fakes::parts(many_series())).await;
    let path = "GET /api/v1/series?match[]=many HTTP/1.1";
    let plain = send(address, &[path], "").await;
    assert_eq!(plain.header("content-encoding"), None);
    let json: serde_json::Value = serde_json::from_slice(&plain.body).unwrap();
    assert_eq!(json["data"].as_array().unwrap().len(), 20_000);
    let gzip = send(address, &[path, "Accept-Encoding: gzip"], "").await;
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let mut unpacked = Vec::new();
    GzDecoder::new(gzip.body.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == plain.body);
    let deflate = send(address, &[path, "Accept-Encoding: br, deflate"], "").await;
    assert_eq!(deflate.header("content-encoding"), Some("deflate"));
    let mut unpacked = Vec::new();
    ZlibDecoder::new(deflate.body.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == plain.body);
}

#[tokio::test]
async fn short_answers_are_not_compressed() {
    let (address, _stop) = fakes::start(fakes::options(), fakes::parts(fakes::samples())).await;
    let response = send(address, &["GET /api/v1/labels HTTP/1.1", "Accept-Encoding: gzip"], "").await;
    assert_eq!(response.header("content-encoding"), None);
    assert_eq!(response.text(), r#"{"status":"success","data":["__name__","job","path"]}"#);
}

#[tokio::test]
async fn a_client_that_leaves_does_not_harm_others() {
    let (address, _stop) = fakes::start(fakes::options(), fakes::parts(many_series())).await;
    for _ in 0..20 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /api/v1/series?match[]=many HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut some = [0; 100];
        stream.read_exact(&mut some).await.unwrap();
    }
    assert_eq!(get(address, "/api/v1/labels").await.status, "200 OK");
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_order() {
    let (address, _stop) = fakes::start(fakes::options(), fakes::parts(fakes::samples())).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = |path: &str, end: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n{end}\r\n");
    let pipelined = request("/-/healthy", "")
        + &request("/api/v1/labels", "")
        + &request("/-/ready", "Connection: close\r\n");
    stream.write_all(pipelined.as_bytes()).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    let places: Vec<_> =
        ["Healthy.", r#"["__name__","job","path"]"#, "Ready."].map(|part| answers.find(part).unwrap()).into();
    assert!(places.is_sorted(), "{answers}");
}

#[tokio::test]
async fn silent_clients_are_cut_off() {
    let options = ApiOptions { read_timeout: Duration::from_millis(50), ..fakes::options() };
    let (address, _stop) = fakes::start(options, fakes::parts(fakes::samples())).await;
    for begun in [
        "",
        "GET /-/healthy HTTP/1.1\r\nHo",
        "POST /api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 10\r\n\r\nqu",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Reading to the end would last for ever if the server didn't close the connection.
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused() {
    let (address, _stop) = fakes::start(fakes::options(), fakes::parts(fakes::samples())).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "POST /api/v1/query HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 99999999999\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn the_limit_on_connections_makes_others_wait() {
    let options = ApiOptions { max_connections: 1, ..fakes::options() };
    let (address, _stop) = fakes::start(options, fakes::parts(fakes::samples())).await;
    let first = TcpStream::connect(address).await.unwrap();
    let waiting = tokio::spawn(async move { get(address, "/-/healthy").await.status });
    drop(first);
    assert_eq!(waiting.await.unwrap(), "200 OK");
}

#[tokio::test]
async fn notices_are_told_as_they_change() {
    let parts = fakes::parts(fakes::samples());
    let notifications = parts.notifications.clone();
    notifications.add("a <b>", "");
    let (address, stop) = fakes::start(fakes::options(), parts).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /api/v1/notifications/live HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut read = String::new();
    let mut buffer = [0; 4096];
    while !read.contains("\n\n") {
        let count = stream.read(&mut buffer).await.unwrap();
        read.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    assert!(read.to_lowercase().contains("content-type: text/event-stream"));
    assert!(
        read.contains(r#"data: {"text":"a \u003cb\u003e","date":"2015-07-01T20:10:51.781Z","active":true}"#)
    );
    // The fake program has room for one subscriber.
    assert_eq!(get(address, "/api/v1/notifications/live").await.status, "204 No Content");
    notifications.remove("a <b>");
    drop(stop);
    stream.read_to_string(&mut read).await.unwrap();
    assert!(read.contains(r#""active":false}"#), "{read}");
}

#[tokio::test]
async fn requests_are_counted_by_route() {
    let (address, _stop) = fakes::start(fakes::options(), fakes::parts(fakes::samples())).await;
    get(address, "/api/v1/label/job/values").await;
    get(address, "/api/v1/series").await;
    let metrics = get(address, "/metrics").await.text();
    for line in [
        r#"prometheus_http_requests_total{code="200",handler="/api/v1/label/:name/values"} 1"#,
        r#"prometheus_http_requests_total{code="400",handler="/api/v1/series"} 1"#,
        r#"prometheus_http_requests_total{code="200",handler="/api/v1/series"} 0"#,
        r#"prometheus_http_request_duration_seconds_count{handler="/api/v1/series"} 1"#,
        r#"prometheus_http_response_size_bytes_bucket{handler="/api/v1/label/:name/values",le="100"} 1"#,
        "prometheus_ready 1",
    ] {
        assert!(metrics.contains(&format!("{line}\n")), "{line} isn't in {metrics}");
    }
}
