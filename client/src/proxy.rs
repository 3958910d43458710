//! Proxies: which one a URL goes through, and how.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_socks::tcp::Socks5Stream;
use url::{Host, Url};

use crate::auth::{basic_value, sensitive};
use crate::config::{ProxyConfig, Secret};
use crate::connect::Stream;
use crate::error::ClientError;

/// The port of a SOCKS proxy whose URL has none.
const SOCKS_PORT: u16 = 1080;
/// The most bytes of a proxy's answer to `CONNECT`.
const CONNECT_ANSWER_BYTES_MAX: usize = 8 << 10;

/// Decides for each URL.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProxyChoice {
    http: Option<Arc<Proxy>>,
    https: Option<Arc<Proxy>>,
    exceptions: Vec<Exception>,
}

/// A host, or many, to which one goes directly.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    Everything,
    Address { network: IpAddr, prefix_bits: u32 },
    Domain { name: String, with_itself: bool, port: Option<u16> },
}

impl ProxyChoice {
    pub(crate) fn new(config: &ProxyConfig) -> Result<Self, ClientError> {
        if config.proxy_from_environment {
            return Self::from_variables(|name| std::env::var(name).ok(), &config.proxy_connect_header);
        }
        let proxy = Proxy::new(&config.proxy_url, &config.proxy_connect_header)?.map(Arc::new);
        Ok(ProxyChoice { http: proxy.clone(), https: proxy, exceptions: exceptions(&config.no_proxy) })
    }

    fn from_variables(
        variable: impl Fn(&str) -> Option<String>,
        connect_headers: &BTreeMap<String, Vec<Secret>>,
    ) -> Result<Self, ClientError> {
        let either = |name: &str| {
            let value = variable(name).or_else(|| variable(&name.to_lowercase()));
            value.unwrap_or_default()
        };
        let proxy = |name| Proxy::new(&either(name), connect_headers).map(|proxy| proxy.map(Arc::new));
        Ok(ProxyChoice {
            http: proxy("HTTP_PROXY")?,
            https: proxy("HTTPS_PROXY")?,
            exceptions: exceptions(&either("NO_PROXY")),
        })
    }

    /// Whether there is no proxy at all.
    pub(crate) fn is_direct(&self) -> bool {
        self.http.is_none() && self.https.is_none()
    }

    /// The proxy for a URL, if it goes through one.
    pub(crate) fn for_url(&self, url: &Url) -> Option<Arc<Proxy>> {
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        let proxy = proxy.as_ref()?;
        let is_exception = self.exceptions.iter().any(|exception| exception.matches(url));
        if is_exception || is_local(url) { None } else { Some(proxy.clone()) }
    }
}

/// Go never asks a proxy for the machine itself.
fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn exceptions(list: &str) -> Vec<Exception> {
    list.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Exception::parse).collect()
}

impl Exception {
    fn parse(text: &str) -> Self {
        if text == "*" {
            return Exception::Everything;
        }
        if let Some((address, bits)) = text.split_once('/')
            && let (Ok(network), Ok(prefix_bits)) = (address.parse(), bits.parse())
        {
            return Exception::Address { network, prefix_bits };
        }
        if let Ok(network) = text.parse::<IpAddr>() {
            let prefix_bits = if network.is_ipv4() { 32 } else { 128 };
            return Exception::Address { network, prefix_bits };
        }
        let lower = text.to_ascii_lowercase();
        let (name, port) = match lower.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => (name.to_owned(), port.parse().ok()),
            _ => (lower, None),
        };
        let name = name.strip_prefix('*').unwrap_or(&name);
        let with_itself = !name.starts_with('.');
        Exception::Domain { name: name.trim_start_matches('.').to_owned(), with_itself, port }
    }

    fn matches(&self, url: &Url) -> bool {
        match self {
            Exception::Everything => true,
            Exception::Address { network, prefix_bits } => {
                let address = match url.host() {
                    Some(Host::Ipv4(address)) => IpAddr::V4(address),
                    Some(Host::Ipv6(address)) => IpAddr::V6(address),
                    _ => return false,
                };
                contains(*network, *prefix_bits, address)
            }
            Exception::Domain { name, with_itself, port } => {
                let host = url.host_str().unwrap_or_default();
                let is_under = host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
                (is_under || (*with_itself && host == name))
                    && (port.is_none() || *port == url.port_or_known_default())
            }
        }
    }
}

/// Whether the two agree in the first bits.
fn contains(network: IpAddr, prefix_bits: u32, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            prefix_bits == 0
                || (a.to_bits() ^ b.to_bits()).checked_shr(32u32.saturating_sub(prefix_bits)) == Some(0)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            prefix_bits == 0
                || (a.to_bits() ^ b.to_bits()).checked_shr(128u32.saturating_sub(prefix_bits)) == Some(0)
        }
        _ => false,
    }
}

/// One proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    url: Url,
    connect_headers: BTreeMap<String, Vec<Secret>>,
}

impl Proxy {
    fn new(text: &str, connect_headers: &BTreeMap<String, Vec<Secret>>) -> Result<Option<Self>, ClientError> {
        if text.is_empty() {
            return Ok(None);
        }
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&with_scheme)
            .map_err(|error| ClientError::Config(format!("invalid proxy URL {text:?}: {error}")))?;
        match url.scheme() {
            "http" | "https" | "socks5" | "socks5h" => {
                Ok(Some(Proxy { url, connect_headers: connect_headers.clone() }))
            }
            other => Err(ClientError::Config(format!(
                "proxy scheme {other:?} is not supported, supported are: http, https, socks5, socks5h"
            ))),
        }
    }

    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    pub(crate) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(SOCKS_PORT)
    }

    /// Whether it passes on bytes of any kind, and knows nothing of requests.
    pub(crate) fn speaks_socks(&self) -> bool {
        self.url.scheme().starts_with("socks")
    }

    pub(crate) fn speaks_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// User and password, if the proxy's URL has them.
    fn credentials(&self) -> Option<(String, String)> {
        if self.url.username().is_empty() {
            return None;
        }
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Some((decode(self.url.username()), decode(self.url.password().unwrap_or_default())))
    }

    /// The header that says who we are, if the proxy's URL does.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let (user, password) = self.credentials().filter(|_| !self.speaks_socks())?;
        sensitive(&basic_value(&user, &password)).ok()
    }

    /// Asks a SOCKS proxy for a connection to a host, whose name it resolves.
    pub(crate) async fn socks(
        &self,
        stream: Box<dyn Stream>,
        host: &str,
        port: u16,
    ) -> Result<Box<dyn Stream>, ClientError> {
        let plain_host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let connected = match self.credentials() {
            None => Socks5Stream::connect_with_socket(stream, (plain_host, port)).await,
            Some((user, password)) => {
                let target = (plain_host, port);
                Socks5Stream::connect_with_password_and_socket(stream, target, &user, &password).await
            }
        };
        let connected = connected.map_err(|error| {
            let (proxy, proxy_port) = (self.host(), self.port());
            ClientError::Connect(format!("socks connect tcp {proxy}:{proxy_port}->{host}:{port}: {error}"))
        })?;
        Ok(connected.into_inner())
    }

    /// Asks the proxy for a connection to a host.
    pub(crate) async fn tunnel(
        &self,
        stream: &mut Box<dyn Stream>,
        host: &str,
        port: u16,
    ) -> Result<(), ClientError> {
        let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        for (name, values) in &self.connect_headers {
            for value in values {
                request += &format!("{name}: {}\r\n", value.expose());
            }
        }
        if let Some(value) = self.authorization() {
            request += &format!("Proxy-Authorization: {}\r\n", value.to_str().unwrap_or_default());
        }
        request += "\r\n";
        let failed = |reason: String| ClientError::Connect(format!("proxyconnect tcp: {reason}"));
        stream.write_all(request.as_bytes()).await.map_err(|error| failed(error.to_string()))?;
        let mut answer = Vec::new();
        // One byte at a time: what follows the answer belongs to the host behind the proxy.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() >= CONNECT_ANSWER_BYTES_MAX {
                return Err(failed("answer too long".to_owned()));
            }
            let byte = stream.read_u8().await.map_err(|error| failed(error.to_string()))?;
            answer.push(byte);
        }
        let answer = String::from_utf8_lossy(&answer);
        let status_line = answer.lines().next().unwrap_or_default();
        match status_line.split_once(' ') {
            Some((_, status)) if status.starts_with("200") => Ok(()),
            Some((_, status)) => Err(failed(status.to_owned())),
            None => Err(failed(format!("malformed answer {status_line:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_names_domains_addresses_and_networks() {
        let config = ProxyConfig {
            proxy_url: "http://user:p%40ss@proxy:3128".to_owned(),
            no_proxy: "example.org, .internal, 10.0.0.0/8, 192.168.1.5, port.io:8080".to_owned(),
            ..ProxyConfig::default()
        };
        let choice = ProxyChoice::new(&config).unwrap();
        for (url, is_direct) in [
            ("http://example.org/", true),
            ("http://a.example.org/", true),
            ("http://badexample.org/", false),
            ("http://internal/", false),
            ("http://x.internal/", true),
            ("https://10.200.1.1/", true),
            ("http://11.0.0.1/", false),
            ("http://192.168.1.5:9100/", true),
            ("http://192.168.1.6/", false),
            ("http://port.io:8080/", true),
            ("http://port.io/", false),
            ("http://localhost:1/", true),
            ("http://127.0.0.1/", true),
        ] {
            assert_eq!(choice.for_url(&Url::parse(url).unwrap()).is_none(), is_direct, "{url}");
        }
        let proxy = choice.for_url(&Url::parse("http://a/").unwrap()).unwrap();
        assert_eq!(proxy.authorization().unwrap().to_str().unwrap(), basic_value("user", "p@ss"));
    }

    #[test]
    fn variables_of_the_environment_are_told_apart_by_scheme() {
        let variable = |name: &str| match name {
            "http_proxy" => Some("a:1".to_owned()),
            "HTTPS_PROXY" => Some("http://b:2".to_owned()),
            "NO_PROXY" => Some("*".to_owned()),
            _ => None,
        };
        let mut choice = ProxyChoice::from_variables(variable, &BTreeMap::new()).unwrap();
        let host = |choice: &ProxyChoice, url: &str| {
            choice.for_url(&Url::parse(url).unwrap()).map(|proxy| (proxy.host().to_owned(), proxy.port()))
        };
        assert_eq!(host(&choice, "http://x/"), None);
        choice.exceptions.clear();
        assert_eq!(host(&choice, "http://x/"), Some(("a".to_owned(), 1)));
        assert_eq!(host(&choice, "https://x/"), Some(("b".to_owned(), 2)));
    }
}
