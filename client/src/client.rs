//! A pooled HTTP client with the credentials, headers, proxies and redirects of its configuration.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, LOCATION, PROXY_AUTHORIZATION, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as PooledClient;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use url::Url;

use crate::auth;
use crate::config::HttpClientConfig;
use crate::connect::{Connector, Dial};
use crate::error::ClientError;
use crate::metrics::DialMetrics;
use crate::oauth2::TokenSource;
use crate::proxy::ProxyChoice;
use crate::tls::TlsSource;

/// Redirects that are followed before the client gives up, as in Go.
const REDIRECTS_MAX: usize = 10;
/// How long an unused connection is kept: longer than any usual scrape interval.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// The most bytes that an HTTP/1 connection buffers: enough for a typical response in a few reads, little
/// enough for ten thousand idle connections.
const READ_BUFFER_BYTES_MAX: usize = 64 << 10;

/// What a client is, beside its configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who uses the client; the label `dialer_name` of the connection metrics.
    pub name: String,
    /// The header `User-Agent`.
    pub user_agent: String,
    /// A socket that is dialled in place of every host.
    pub unix_socket: Option<String>,
    /// Whether each connection goes to the next of the host's addresses, instead of the first that answers.
    pub round_robin_dns: bool,
    /// Where connections are counted.
    pub metrics: Option<DialMetrics>,
}

/// A pooled HTTP client. Cheap to share behind an `Arc`; connections are kept for each host.
#[derive(Debug)]
pub struct Client {
    config: HttpClientConfig,
    user_agent: HeaderValue,
    tls: Arc<TlsSource>,
    proxies: Arc<ProxyChoice>,
    dial: Dial,
    pooled: ArcSwap<Pooled>,
    tokens: Option<TokenSource>,
}

/// Connections that were made with one state of the certificate files.
#[derive(Debug)]
struct Pooled {
    tls_generation: u64,
    client: PooledClient<Connector, Full<Bytes>>,
}

impl Client {
    /// A client; reads its certificate files once, so that a missing one is found at once.
    pub fn new(config: &HttpClientConfig, options: Options) -> Result<Self, ClientError> {
        let user_agent = HeaderValue::from_str(&options.user_agent)
            .map_err(|_| ClientError::Config(format!("invalid user agent {:?}", options.user_agent)))?;
        let tls =
            Arc::new(TlsSource::new(config.tls_config.clone().unwrap_or_default(), config.enable_http2));
        tls.check()?;
        let proxies = Arc::new(ProxyChoice::new(&config.proxy)?);
        let dial = Dial::new(&options);
        let tokens = config.oauth2.as_ref().map(|oauth2| TokenSource::new(oauth2, &options)).transpose()?;
        let pooled = pool(0, &dial, &tls, &proxies);
        Ok(Client {
            config: config.clone(),
            user_agent,
            tls,
            proxies,
            dial,
            pooled: ArcSwap::from_pointee(pooled),
            tokens,
        })
    }

    /// Sends a request, with what the configuration adds to it, and follows redirects. The answer's body is
    /// still to be read; there is no timeout here.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Incoming>, ClientError> {
        let (parts, mut body) = request.into_parts();
        let (mut uri, mut method) = (parts.uri, parts.method);
        check_scheme(&uri)?;
        let origin = host_of(&uri);
        for _ in 0..=REDIRECTS_MAX {
            let trusted = is_same_site(&origin, &host_of(&uri));
            let headers = self.headers(&parts.headers, &uri, trusted).await?;
            let response = self.send_once(&method, &uri, headers, body.clone()).await?;
            let Some(next) = self.redirection(&response, &uri)? else { return Ok(response) };
            if changes_to_get(response.status(), &method) {
                method = Method::GET;
                body = Bytes::new();
            }
            uri = next;
        }
        Err(ClientError::Redirect(format!("stopped after {REDIRECTS_MAX} redirects")))
    }

    async fn send_once(
        &self,
        method: &Method,
        uri: &Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers;
        let pooled = self.pooled_for(uri)?;
        pooled.client.request(request).await.map_err(ClientError::from_pool)
    }

    /// The pool, a new one if the certificate files have changed.
    fn pooled_for(&self, uri: &Uri) -> Result<Arc<Pooled>, ClientError> {
        let pooled = self.pooled.load_full();
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Ok(pooled);
        }
        let generation = self.tls.refresh()?;
        if generation == pooled.tls_generation {
            return Ok(pooled);
        }
        let fresh = Arc::new(pool(generation, &self.dial, &self.tls, &self.proxies));
        self.pooled.store(fresh.clone());
        Ok(fresh)
    }

    /// The headers of a request. What proves who we are goes to trusted hosts only.
    async fn headers(&self, own: &HeaderMap, uri: &Uri, trusted: bool) -> Result<HeaderMap, ClientError> {
        let mut headers = own.clone();
        headers.remove(HOST);
        headers.insert(USER_AGENT, self.user_agent.clone());
        if trusted {
            for (name, header) in &self.config.http_headers {
                let name = HeaderName::from_bytes(name.as_bytes())
                    .map_err(|_| ClientError::Config(format!("invalid HTTP header {name:?}")))?;
                headers.remove(&name);
                for value in auth::header_values(header)? {
                    headers.append(&name, value);
                }
            }
            let authorization = match &self.tokens {
                Some(tokens) => Some(tokens.authorization().await?),
                None => auth::authorization(&self.config)?,
            };
            if let Some(value) = authorization.filter(|_| !headers.contains_key(AUTHORIZATION)) {
                headers.insert(AUTHORIZATION, value);
            }
        }
        if uri.scheme() == Some(&Scheme::HTTP)
            && !self.proxies.is_direct()
            && let Some(value) =
                self.proxies.for_url(&parse_url(uri)?).and_then(|proxy| proxy.authorization())
        {
            headers.insert(PROXY_AUTHORIZATION, value);
        }
        Ok(headers)
    }

    /// Where a response redirects to, if that is to be followed.
    fn redirection(&self, response: &Response<Incoming>, uri: &Uri) -> Result<Option<Uri>, ClientError> {
        let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
        let location = response.headers().get(LOCATION);
        let (true, true, Some(location)) = (self.config.follow_redirects, is_redirect, location) else {
            return Ok(None);
        };
        let text = location.to_str().unwrap_or_default();
        let next: Option<Uri> = parse_url(uri)?.join(text).ok().and_then(|next| next.as_str().parse().ok());
        match next {
            Some(next) if check_scheme(&next).is_ok() => Ok(Some(next)),
            _ => Err(ClientError::Redirect(format!("failed to parse Location header {text:?}"))),
        }
    }
}

fn pool(tls_generation: u64, dial: &Dial, tls: &Arc<TlsSource>, proxies: &Arc<ProxyChoice>) -> Pooled {
    let connector = Connector::new(dial.clone(), tls.clone(), proxies.clone());
    let client = PooledClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .http1_max_buf_size(READ_BUFFER_BYTES_MAX)
        .build(connector);
    Pooled { tls_generation, client }
}

fn check_scheme(uri: &Uri) -> Result<(), ClientError> {
    match uri.scheme() {
        Some(scheme) if [Scheme::HTTP, Scheme::HTTPS].contains(scheme) => Ok(()),
        Some(other) => Err(ClientError::Config(format!("unsupported protocol scheme {:?}", other.as_str()))),
        None => Err(ClientError::Url(uri.to_string())),
    }
}

fn parse_url(uri: &Uri) -> Result<Url, ClientError> {
    let text = uri.to_string();
    Url::parse(&text).map_err(|_| ClientError::Url(text))
}

fn host_of(uri: &Uri) -> String {
    uri.host().unwrap_or_default().to_ascii_lowercase()
}

/// Whether credentials for `origin` may go to `host`: the same, or a part of its domain.
fn is_same_site(origin: &str, host: &str) -> bool {
    origin == host || host.strip_suffix(origin).is_some_and(|rest| rest.ends_with('.'))
}

/// Whether the redirected request is a GET without a body.
fn changes_to_get(status: StatusCode, method: &Method) -> bool {
    matches!(status.as_u16(), 301..=303) && !matches!(*method, Method::GET | Method::HEAD)
}
