//! The client against real servers: credentials, redirects, tokens, TLS, proxies.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::Request as ServerRequest;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use bytes::Bytes;
use client::{Client, HttpClientConfig, Options};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/ca.pem");
const SERVER_CERT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/server.pem");
const SERVER_KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/server.key");
const CLIENT_CERT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/client.pem");
const CLIENT_KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/client.key");

/// A server that says which `Authorization` and `X-Test` it got.
async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn echo() -> Router {
    Router::new().route(
        "/",
        get(|request: ServerRequest| async move {
            let value = |name: &str| {
                let value = request.headers().get(name).and_then(|v| v.to_str().ok());
                value.unwrap_or("-").to_owned()
            };
            format!("{} {}", value("authorization"), value("x-test"))
        }),
    )
}

fn client(yaml: &str) -> Client {
    let config: HttpClientConfig = serde_saphyr::from_str(yaml).unwrap();
    let options = Options {
        name: "test".to_owned(),
        user_agent: "test".to_owned(),
        unix_socket: None,
        round_robin_dns: false,
        metrics: None,
    };
    Client::new(&config, options).unwrap()
}

/// The status and body of a GET, or the error.
async fn fetch(client: &Client, url: &str) -> Result<(StatusCode, String), String> {
    let request = Request::get(url).body(Bytes::new()).unwrap();
    let response = client.send(request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

#[tokio::test]
async fn credentials_and_headers_are_sent() {
    let address = serve(echo()).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "first\n").unwrap();
    for (yaml, expected) in [
        ("basic_auth: {username: u, password: p}".to_owned(), "Basic dTpw -"),
        ("bearer_token: t".to_owned(), "Bearer t -"),
        ("authorization: {type: Token, credentials: c}".to_owned(), "Token c -"),
        ("http_headers: {X-Test: {values: [a], secrets: [b]}}".to_owned(), "- a"),
        (format!("authorization: {{credentials_file: {}}}", file.display()), "Bearer first -"),
    ] {
        let (_, body) = fetch(&client(&yaml), &format!("http://{address}/")).await.unwrap();
        assert_eq!(body, expected, "{yaml}");
    }
    let client = client(&format!("authorization: {{credentials_file: {}}}", file.display()));
    fetch(&client, &format!("http://{address}/")).await.unwrap();
    std::fs::write(&file, "second").unwrap();
    let (_, body) = fetch(&client, &format!("http://{address}/")).await.unwrap();
    assert_eq!(body, "Bearer second -", "a changed file counts at once");
}

#[tokio::test]
async fn redirects_are_followed_without_credentials_for_other_hosts() {
    let target = serve(echo()).await;
    let same = format!("http://{target}/");
    let other = format!("http://localhost:{}/", target.port());
    let router = Router::new()
        .route("/same", get(move || async move { Redirect::temporary(&same) }))
        .route("/other", get(move || async move { Redirect::temporary(&other) }))
        .route("/loop", get(|| async { Redirect::temporary("/loop") }));
    let address = serve(router).await;
    let with_token = client("bearer_token: t");
    assert_eq!(fetch(&with_token, &format!("http://{address}/same")).await.unwrap().1, "Bearer t -");
    assert_eq!(fetch(&with_token, &format!("http://{address}/other")).await.unwrap().1, "- -");
    let error = fetch(&with_token, &format!("http://{address}/loop")).await.unwrap_err();
    assert_eq!(error, "stopped after 10 redirects");
    let stays = client("follow_redirects: false");
    let (status, _) = fetch(&stays, &format!("http://{address}/same")).await.unwrap();
    assert_eq!(status, StatusCode::TEMPORARY_REDIRECT);
}

#[tokio::test]
async fn a_token_is_fetched_once_while_it_holds() {
    let asked = Arc::new(AtomicU64::new(0));
    let counter = asked.clone();
    let token = move |request: ServerRequest| async move {
        let authorization = request.headers()["authorization"].to_str().unwrap().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(authorization, "Basic aWQ6c2VjcmV0");
        assert_eq!(&body[..], b"grant_type=client_credentials&scope=a+b&x=y");
        let n = counter.fetch_add(1, Ordering::SeqCst);
        let answer = format!(r#"{{"access_token": "t{n}", "token_type": "bearer", "expires_in": 3600}}"#);
        ([("content-type", "application/json")], answer).into_response()
    };
    let address = serve(echo().route("/token", post(token))).await;
    let client = client(&format!(
        "oauth2: {{client_id: id, client_secret: secret, token_url: 'http://{address}/token', scopes: [a, b], endpoint_params: {{x: y}}}}"
    ));
    for _ in 0..3 {
        assert_eq!(fetch(&client, &format!("http://{address}/")).await.unwrap().1, "Bearer t0 -");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

/// A TLS server that answers once for each connection, and asks for a client certificate if it is to.
async fn serve_tls(asks_for_certificate: bool) -> SocketAddr {
    let chain: Vec<_> = CertificateDer::pem_file_iter(SERVER_CERT).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(SERVER_KEY).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if asks_for_certificate {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(CA).unwrap()).unwrap();
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        builder.with_client_cert_verifier(verifier.unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let config = builder.with_single_cert(chain, key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
                .await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

#[tokio::test]
async fn tls_trusts_whom_it_is_told_to() {
    let address = serve_tls(false).await;
    let url = format!("https://{address}/");
    let with_ca = client(&format!("tls_config: {{ca_file: {CA}}}"));
    assert_eq!(fetch(&with_ca, &url).await.unwrap().1, "ok");
    let insecure = client("tls_config: {insecure_skip_verify: true}");
    assert_eq!(fetch(&insecure, &url).await.unwrap().1, "ok");
    let wrong_name = client(&format!("tls_config: {{ca_file: {CA}, server_name: example.org}}"));
    let error = fetch(&wrong_name, &url).await.unwrap_err();
    assert!(error.starts_with("tls: "), "{error}");
    let strangers = client(&format!("tls_config: {{ca_file: {CLIENT_CERT}}}"));
    assert!(fetch(&strangers, &url).await.is_err(), "the server's certificate isn't of that authority");
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let address = serve_tls(true).await;
    let url = format!("https://{address}/");
    let with = client(&format!(
        "tls_config: {{ca_file: {CA}, cert_file: {CLIENT_CERT}, key_file: {CLIENT_KEY}, max_version: TLS12}}"
    ));
    assert_eq!(fetch(&with, &url).await.unwrap().1, "ok");
    let without = client(&format!("tls_config: {{ca_file: {CA}, max_version: TLS12}}"));
    assert!(fetch(&without, &url).await.is_err());
}

#[test]
fn a_missing_certificate_file_is_found_at_once() {
    let config: HttpClientConfig = serde_saphyr::from_str("tls_config: {ca_file: /no/such}").unwrap();
    let options = Options {
        name: String::new(),
        user_agent: "test".to_owned(),
        unix_socket: None,
        round_robin_dns: false,
        metrics: None,
    };
    let error = Client::new(&config, options).unwrap_err();
    assert!(error.to_string().starts_with("unable to read CA cert /no/such"), "{error}");
}

#[tokio::test]
async fn plain_requests_are_forwarded_by_the_proxy() {
    let proxy = Router::new().fallback(|request: ServerRequest| async move {
        let authorization = request.headers()["proxy-authorization"].to_str().unwrap().to_owned();
        format!("{} {authorization}", request.uri())
    });
    let address = serve(proxy).await;
    let client = client(&format!("proxy_url: 'http://u:p@{address}'"));
    let (_, body) = fetch(&client, "http://target.invalid/metrics").await.unwrap();
    assert_eq!(body, "http://target.invalid/metrics Basic dTpw");
}

/// A SOCKS server that asks for a password and is itself every host that is asked for; says what it was told.
async fn serve_socks() -> SocketAddr {
    async fn answer(stream: &mut TcpStream) -> std::io::Result<()> {
        let mut greeting = [0; 2];
        stream.read_exact(&mut greeting).await?;
        let mut methods = vec![0; usize::from(greeting[1])];
        stream.read_exact(&mut methods).await?;
        assert!(greeting[0] == 5 && methods.contains(&2));
        stream.write_all(&[5, 2]).await?;
        let mut login = [0; 5];
        stream.read_exact(&mut login).await?;
        assert_eq!(&login, b"\x01\x01u\x01p");
        stream.write_all(&[1, 0]).await?;
        let mut request = [0; 5];
        stream.read_exact(&mut request).await?;
        assert_eq!(request[..4], [5, 1, 0, 3], "connect, by name");
        let mut host = vec![0; usize::from(request[4])];
        stream.read_exact(&mut host).await?;
        let port = stream.read_u16().await?;
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let line = String::from_utf8_lossy(&head).lines().next().unwrap().to_owned();
        let body = format!("{}:{port} {line}", String::from_utf8_lossy(&host));
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(response.as_bytes()).await
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move { answer(&mut stream).await.unwrap() });
        }
    });
    address
}

#[tokio::test]
async fn a_socks_proxy_resolves_the_host_and_passes_the_request_on_as_it_is() {
    let address = serve_socks().await;
    for scheme in ["socks5", "socks5h"] {
        let client = client(&format!("proxy_url: '{scheme}://u:p@{address}'"));
        let (_, body) = fetch(&client, "http://target.invalid:9100/metrics").await.unwrap();
        assert_eq!(body, "target.invalid:9100 GET /metrics HTTP/1.1");
    }
}
