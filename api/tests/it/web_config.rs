//! TLS, passwords and headers, as the web configuration file sets them.
//!
//! The certificate in `testdata/api/tls` is for `localhost`, valid for a century, and trusted by nobody.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::web_config::WebConfig;
use api::{ApiOptions, ServerError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::{parse, send};
use crate::fakes;

fn tls_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/api/tls").canonicalize().unwrap()
}

/// A directory with a web configuration and the certificate beside it.
fn directory(config: &str) -> (tempfile::TempDir, ApiOptions) {
    let directory = tempfile::tempdir().unwrap();
    for file in ["server.crt", "server.key"] {
        std::fs::copy(tls_directory().join(file), directory.path().join(file)).unwrap();
    }
    let file = directory.path().join("web.yml");
    std::fs::write(&file, config).unwrap();
    let options = ApiOptions { web_config_file: Some(file), ..fakes::options() };
    (directory, options)
}

fn trusting_client(with_certificate: bool, alpn: &[&[u8]]) -> TlsConnector {
    let certificate = CertificateDer::from_pem_file(tls_directory().join("server.crt")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = if with_certificate {
        let key = PrivateKeyDer::from_pem_file(tls_directory().join("server.key")).unwrap();
        builder.with_client_auth_cert(vec![certificate], key).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// Gets `/-/healthy` over TLS; `None` if the connection fails.
async fn get_over_tls(address: SocketAddr, connector: &TlsConnector) -> Option<String> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = connector.connect(name, stream).await.ok()?;
    let request = b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    Some(parse(&answer).status)
}

#[tokio::test]
async fn requests_are_served_over_tls() {
    let (_directory, options) =
        directory("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n");
    let (address, _stop) = fakes::start(options, fakes::parts(fakes::samples())).await;
    let answer = get_over_tls(address, &trusting_client(false, &[])).await;
    assert_eq!(answer.as_deref(), Some("200 OK"));
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = trusting_client(false, &[b"h2"]);
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
}

#[tokio::test]
async fn clients_without_the_right_certificate_are_refused() {
    let tls = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";
    for (settings, without, with) in [
        ("client_auth_type: RequestClientCert", true, true),
        ("client_auth_type: RequireAnyClientCert", false, true),
        ("client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: server.crt", true, true),
        ("client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: server.crt", false, true),
        ("client_auth_type: RequireAnyClientCert\n  client_allowed_sans: [localhost]", false, true),
        ("client_auth_type: RequireAnyClientCert\n  client_allowed_sans: [other.example]", false, false),
    ] {
        let (_directory, options) = directory(&format!("{tls}  {settings}\n"));
        let (address, _stop) = fakes::start(options, fakes::parts(fakes::samples())).await;
        for (has_certificate, accepted) in [(false, without), (true, with)] {
            let answer = get_over_tls(address, &trusting_client(has_certificate, &[])).await;
            assert_eq!(answer.is_some(), accepted, "{settings}, certificate shown: {has_certificate}");
        }
    }
}

#[tokio::test]
async fn passwords_guard_every_endpoint() {
    let hash = bcrypt::hash("secret", 4).unwrap();
    let config = format!(
        "basic_auth_users:\n  alice: {hash}\nhttp_server_config:\n  headers:\n    X-Frame-Options: deny\n"
    );
    let (_directory, options) = directory(&config);
    let (address, _stop) = fakes::start(options, fakes::parts(fakes::samples())).await;
    for (authorization, status) in [
        ("", "401 Unauthorized"),
        ("Authorization: Basic YWxpY2U6c2VjcmV0", "200 OK"),
        ("Authorization: basic YWxpY2U6c2VjcmV0", "200 OK"),
        ("Authorization: Basic YWxpY2U6d3Jvbmc=", "401 Unauthorized"),
        ("Authorization: Basic Ym9iOnNlY3JldA==", "401 Unauthorized"),
        ("Authorization: Basic %%%", "401 Unauthorized"),
        ("Authorization: Bearer YWxpY2U6c2VjcmV0", "401 Unauthorized"),
    ] {
        for path in ["/-/healthy", "/metrics", "/api/v1/labels"] {
            let line = format!("GET {path} HTTP/1.1");
            let head: Vec<&str> =
                [line.as_str(), authorization].into_iter().filter(|h| !h.is_empty()).collect();
            let response = send(address, &head, "").await;
            assert_eq!(response.status, status, "{path} with {authorization:?}");
            assert_eq!(response.header("x-frame-options"), Some("deny"));
            let asks = response.header("www-authenticate");
            assert_eq!(asks, status.starts_with("401").then_some("Basic"));
        }
    }
}

#[tokio::test]
async fn a_changed_file_is_in_force_soon_and_a_bad_one_never() {
    let (directory, options) = directory("");
    let file = directory.path().join("web.yml");
    let (address, _stop) = fakes::start(options, fakes::parts(fakes::samples())).await;
    let status = || async { send(address, &["GET /-/healthy HTTP/1.1"], "").await.status };
    assert_eq!(status().await, "200 OK");
    let hash = bcrypt::hash("secret", 4).unwrap();
    std::fs::write(&file, format!("basic_auth_users: {{alice: '{hash}'}}\n")).unwrap();
    while status().await == "200 OK" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    std::fs::write(&file, "nonsense: true\n").unwrap();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(status().await, "401 Unauthorized");
}

#[test]
fn mistakes_are_named_with_the_file() {
    for (config, named) in [
        ("nonsense: 1\n", "nonsense"),
        ("tls_server_config: {key_file: server.key}\n", "missing one of cert or cert_file"),
        ("tls_server_config: {cert_file: server.crt, key_file: none.key}\n", "none.key"),
        ("tls_server_config: {cert_file: server.crt, key_file: server.key, min_version: TLS10}\n", "TLS10"),
        (
            "tls_server_config: {cert_file: server.crt, key_file: server.key, min_version: TLS13, max_version: TLS12}\n",
            "max_version is below min_version",
        ),
        (
            "tls_server_config: {cert_file: server.crt, key_file: server.key, cipher_suites: [X]}\n",
            "cipher: X",
        ),
        (
            "tls_server_config: {cert_file: server.crt, key_file: server.key, curve_preferences: [CurveP521]}\n",
            "CurveP521",
        ),
        (
            "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: server.crt}\n",
            "policy",
        ),
        ("http_server_config: {headers: {X-Other: a}}\n", "X-Other"),
        ("http_server_config: {headers: {X-Frame-Options: allow}}\n", "X-Frame-Options"),
        ("basic_auth_users: {alice: plain}\n", "alice"),
    ] {
        let (directory, options) = directory(config);
        let error = WebConfig::load(options.web_config_file.as_deref().unwrap()).unwrap_err().to_string();
        assert!(error.contains(named), "{config}: {error}");
        assert!(error.contains(&directory.path().display().to_string()), "{config}: {error}");
    }
}

#[tokio::test]
async fn a_server_with_a_bad_file_does_not_start() {
    let (_directory, options) = directory("nonsense: 1\n");
    let bound = api::Server::bind(options, fakes::parts(fakes::samples())).await;
    assert!(matches!(bound, Err(ServerError::WebConfig(_))));
}
