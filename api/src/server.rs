//! Listeners and connections.
//!
//! All listeners share one limit on connections: when it is reached, new ones wait in the kernel's queue, so
//! that the server's memory is bounded. A connection that is silent for too long, in the middle of a request
//! or between two, is closed.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use model::storage::Queryable;
use model::time::Clock;
use promql::engine::Engine;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use crate::call::Client;
use crate::endpoints::{self, ENDPOINTS};
use crate::http_metrics::{EndpointMetrics, HttpMetrics};
use crate::notifications::Notifications;
use crate::options::ApiOptions;
use crate::pages::Index;
use crate::readiness::Readiness;
use crate::running::RunningQueries;
use crate::state::{
    AlertsSource, BuildInfo, ConfigSource, ExemplarSource, Lifecycle, RuntimeSource, StorageAdmin,
    StorageStatus, TargetsSource,
};
use crate::usage::Usage;
use crate::web_config::{WebConfigError, WebConfigWatch, guard};

/// How long requests in progress may take once the server is told to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait after the system refused to accept a connection, for want of file descriptors as a rule.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// The most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 1 << 20;
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests that one HTTP/2 connection may have in progress; Go's default.
const HTTP2_STREAMS_MAX: u32 = 250;

/// What the server speaks for. Everything may be asked before the storage is open; then it answers
/// `NotReady`, or has nothing.
#[derive(Clone, Debug)]
pub struct Parts {
    /// What queries read: the local storage and remote ones.
    pub storage: Arc<dyn Queryable>,
    /// What federation reads: the local storage alone.
    pub local_storage: Arc<dyn Queryable>,
    /// Keeps exemplars.
    pub exemplars: Arc<dyn ExemplarSource>,
    /// Answers remote reads.
    pub read_server: Arc<remote::read::Server>,
    /// Takes remote write; `None` if that isn't switched on.
    pub write_receiver: Option<Arc<remote::write::Receiver>>,
    /// Takes OTLP; `None` if that isn't switched on.
    pub otlp_receiver: Option<Arc<remote::otlp::Receiver>>,
    /// Answers queries.
    pub engine: Arc<Engine>,
    /// What is scraped.
    pub targets: Arc<dyn TargetsSource>,
    /// Rules, alerts, Alertmanagers.
    pub alerts: Arc<dyn AlertsSource>,
    /// How full the storage is.
    pub storage_status: Arc<dyn StorageStatus>,
    /// Changes what is stored.
    pub storage_admin: Arc<dyn StorageAdmin>,
    /// The configuration and the flags.
    pub config: Arc<dyn ConfigSource>,
    /// How the process is doing.
    pub runtime: Arc<dyn RuntimeSource>,
    /// Which program this is.
    pub build: BuildInfo,
    /// Reloads and ends the program.
    pub lifecycle: Arc<dyn Lifecycle>,
    /// The phase of the program's life.
    pub readiness: Readiness,
    /// Notices for the user.
    pub notifications: Notifications,
    /// The program's own metrics; the server adds those of HTTP.
    pub registry: prometheus::Registry,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Why the server can't run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A listen address isn't one, or can't be had.
    #[error("unable to start listener on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The web configuration file can't be used.
    #[error("{0}")]
    WebConfig(#[from] WebConfigError),
    /// A metric is registered already.
    #[error("registering the server's metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// What handlers know.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) options: ApiOptions,
    pub(crate) parts: Parts,
    pub(crate) metrics: HttpMetrics,
    /// One for each of [`ENDPOINTS`].
    pub(crate) endpoint_metrics: Vec<EndpointMetrics>,
    /// The full page's document, if the program has it.
    pub(crate) index: Option<Index>,
    /// Which metrics have been asked for.
    pub(crate) usage: Usage,
    /// The queries that clients wait for.
    pub(crate) running: RunningQueries,
    /// Set to true when the server ends: answers without an end are then ended.
    pub(crate) stopping: watch::Sender<bool>,
}

/// A server whose listeners are open.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    router: Router,
    web_config: Option<Arc<WebConfigWatch>>,
    listeners: Vec<TcpListener>,
}

impl Server {
    /// Opens the listeners. Connections are accepted by [`Server::run`].
    pub async fn bind(options: ApiOptions, parts: Parts) -> Result<Server, ServerError> {
        let web_config = options.web_config_file.as_deref().map(WebConfigWatch::open).transpose()?;
        let web_config = web_config.map(Arc::new);
        let mut listeners = Vec::with_capacity(options.listen_addresses.len());
        for address in &options.listen_addresses {
            listeners.push(listen(address).await?);
        }
        let app = Arc::new(App::new(options, parts)?);
        let mut router = endpoints::router(&app);
        if let Some(watch) = web_config.clone() {
            router = router
                .layer(middleware::from_fn(move |request, next| guard(Arc::clone(&watch), request, next)));
        }
        Ok(Server { app, router, web_config, listeners })
    }

    /// The addresses that the listeners got; tells the port where the flag said 0.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Serves until `shutdown` is done, then lets requests in progress finish, but not for ever.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let permits = Arc::new(Semaphore::new(self.app.options.max_connections.max(1)));
        let graceful = Arc::new(GracefulShutdown::new());
        let connections = Connections {
            router: self.router,
            web_config: self.web_config,
            permits,
            read_timeout: self.app.options.read_timeout,
        };
        let mut accepting = tokio::task::JoinSet::new();
        for listener in self.listeners {
            accepting.spawn(accept(listener, connections.clone(), Arc::clone(&graceful)));
        }
        shutdown.await;
        accepting.shutdown().await;
        self.app.stopping.send_replace(true);
        let graceful = Arc::into_inner(graceful).expect("the tasks that shared it have ended");
        if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await.is_err() {
            warn!("closing connections whose requests didn't end in time");
        }
    }
}

impl App {
    fn new(options: ApiOptions, parts: Parts) -> Result<App, ServerError> {
        let metrics = HttpMetrics::new(&parts.registry)?;
        let endpoint_metrics = ENDPOINTS.iter().map(|endpoint| metrics.endpoint(endpoint.pattern)).collect();
        Ok(App {
            index: Index::new(&options),
            options,
            parts,
            metrics,
            endpoint_metrics,
            usage: Usage::default(),
            running: RunningQueries::default(),
            stopping: watch::Sender::new(false),
        })
    }
}

/// Opens a listener. `:9090` means every interface.
async fn listen(address: &str) -> Result<TcpListener, ServerError> {
    let full = if address.starts_with(':') { format!("[::]{address}") } else { address.to_owned() };
    let listener = TcpListener::bind(&full).await;
    let listener = match listener {
        // Without IPv6 the wildcard is that of IPv4.
        Err(_) if address.starts_with(':') => TcpListener::bind(format!("0.0.0.0{address}")).await,
        other => other,
    };
    let listener = listener.map_err(|source| ServerError::Listen { address: address.to_owned(), source })?;
    if let Ok(local) = listener.local_addr() {
        info!(address = %local, "listening for connections");
    }
    Ok(listener)
}

/// What every connection needs.
#[derive(Clone)]
struct Connections {
    router: Router,
    web_config: Option<Arc<WebConfigWatch>>,
    permits: Arc<Semaphore>,
    read_timeout: Duration,
}

/// Accepts connections for ever.
async fn accept(listener: TcpListener, connections: Connections, graceful: Arc<GracefulShutdown>) {
    loop {
        let Ok(permit) = Arc::clone(&connections.permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, client)) => {
                let client = Client(client.ip().to_canonical());
                tokio::spawn(serve(stream, client, connections.clone(), graceful.watcher(), permit));
            }
            Err(error) => {
                warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Serves one connection to its end; it counts against the limit until then.
async fn serve(
    stream: TcpStream,
    client: Client,
    connections: Connections,
    watcher: Watcher,
    _permit: OwnedSemaphorePermit,
) {
    // Answers are written whole; waiting for more to send with them only delays them.
    let _ = stream.set_nodelay(true);
    let Some(tls) = connections.web_config.as_ref().and_then(|watch| watch.current().tls.clone()) else {
        return serve_http1(stream, client, connections, watcher).await;
    };
    let handshake = TlsAcceptor::from(tls).accept(stream);
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
            serve_http2(stream, client, connections, watcher).await;
        }
        Ok(Ok(stream)) => serve_http1(stream, client, connections, watcher).await,
        Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
        Err(_) => debug!("a TLS handshake took too long"),
    }
}

/// The router for one connection: requests are told whose they are.
#[derive(Clone)]
struct OfClient {
    client: Client,
    router: TowerToHyperService<Router>,
}

impl Service<Request<Incoming>> for OfClient {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.client);
        self.router.call(request)
    }
}

async fn serve_http1<S>(stream: S, client: Client, connections: Connections, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(connections.read_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .pipeline_flush(true);
    let service = OfClient { client, router: TowerToHyperService::new(connections.router) };
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        debug!(%error, "a connection ended with an error");
    }
}

async fn serve_http2<S>(stream: S, client: Client, connections: Connections, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(connections.read_timeout))
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_concurrent_streams(HTTP2_STREAMS_MAX);
    let service = OfClient { client, router: TowerToHyperService::new(connections.router) };
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        debug!(%error, "a connection ended with an error");
    }
}
