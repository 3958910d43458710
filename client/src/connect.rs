//! Connections: TCP or Unix socket, perhaps through a proxy, perhaps with TLS.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::ReadBufCursor;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use url::Url;

use crate::client::Options;
use crate::error::ClientError;
use crate::metrics::{DialCounters, OpenConnection};
use crate::proxy::{Proxy, ProxyChoice};
use crate::tls::TlsSource;

/// A stream of bytes both ways.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How hosts are reached.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    unix_socket: Option<String>,
    /// How many connections were made, if they go around the host's addresses.
    turns: Option<Arc<AtomicUsize>>,
    counters: Option<DialCounters>,
}

impl Dial {
    pub(crate) fn new(options: &Options) -> Self {
        Dial {
            unix_socket: options.unix_socket.clone(),
            turns: options.round_robin_dns.then(Arc::default),
            counters: options.metrics.as_ref().map(|metrics| metrics.of(&options.name)),
        }
    }

    /// Connects to a host, or to the socket that stands for all hosts.
    async fn connect(
        &self,
        host: &str,
        port: u16,
    ) -> Result<(Box<dyn Stream>, Option<OpenConnection>), ClientError> {
        let attempt = self.counters.as_ref().map(DialCounters::attempt);
        let connected: io::Result<Box<dyn Stream>> = match &self.unix_socket {
            Some(path) => UnixStream::connect(path).await.map(|stream| Box::new(stream) as _),
            None => self.connect_tcp(host, port).await.map(|stream| Box::new(stream) as _),
        };
        match connected {
            Ok(stream) => Ok((stream, attempt.map(|attempt| attempt.established()))),
            Err(error) => {
                if let Some(attempt) = attempt {
                    attempt.failed(&error);
                }
                let place = match &self.unix_socket {
                    Some(path) => format!("unix {path}"),
                    None => format!("tcp {host}:{port}"),
                };
                Err(ClientError::Connect(format!("dial {place}: {}", reason(&error))))
            }
        }
    }
}

impl Dial {
    async fn connect_tcp(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let stream = match &self.turns {
            None => TcpStream::connect((host, port)).await?,
            Some(turns) => {
                let mut addresses: Vec<_> = lookup_host((host, port)).await?.collect();
                let turn = turns.fetch_add(1, Ordering::Relaxed) % addresses.len().max(1);
                addresses.rotate_left(turn);
                TcpStream::connect(&*addresses).await?
            }
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// The error in Go's words where people know those.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        io::ErrorKind::TimedOut => "i/o timeout".to_owned(),
        _ => error.to_string(),
    }
}

/// Makes the pool's connections.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    dial: Dial,
    tls: Arc<TlsSource>,
    proxies: Arc<ProxyChoice>,
}

impl Connector {
    pub(crate) fn new(dial: Dial, tls: Arc<TlsSource>, proxies: Arc<ProxyChoice>) -> Self {
        Connector { dial, tls, proxies }
    }

    async fn connect(self, uri: Uri) -> Result<PooledStream, ClientError> {
        let url = Url::parse(&uri.to_string()).map_err(|_| ClientError::Url(uri.to_string()))?;
        let is_https = url.scheme() == "https";
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(80);
        let proxy = self.proxies.for_url(&url);
        let (stream, open) = match &proxy {
            None => self.dial.connect(host, port).await?,
            Some(proxy) => {
                let (stream, open) = self.dial.connect(proxy.host(), proxy.port()).await?;
                let stream = self.through(proxy, stream, host, port, is_https).await?;
                (stream, open)
            }
        };
        // A request that a proxy forwards, rather than tunnels, names the whole URL.
        let forwarded = !is_https && proxy.is_some_and(|proxy| !proxy.speaks_socks());
        if !is_https {
            return Ok(PooledStream { io: TokioIo::new(stream), forwarded, is_http2: false, _open: open });
        }
        let (stream, is_http2) = self.tls.connect(host, stream).await?;
        Ok(PooledStream { io: TokioIo::new(Box::new(stream)), forwarded, is_http2, _open: open })
    }

    /// Goes through a proxy to which there is a connection.
    async fn through(
        &self,
        proxy: &Proxy,
        stream: Box<dyn Stream>,
        host: &str,
        port: u16,
        is_https: bool,
    ) -> Result<Box<dyn Stream>, ClientError> {
        if proxy.speaks_socks() {
            return proxy.socks(stream, host, port).await;
        }
        let mut stream = stream;
        if proxy.speaks_tls() {
            let (encrypted, _) = self.tls.connect(proxy.host(), stream).await?;
            stream = Box::new(encrypted);
        }
        if is_https {
            proxy.tunnel(&mut stream, host, port).await?;
        }
        Ok(stream)
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = PooledStream;
    type Error = ClientError;
    type Future = Pin<Box<dyn Future<Output = Result<PooledStream, ClientError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// A connection as the pool keeps it.
pub(crate) struct PooledStream {
    io: TokioIo<Box<dyn Stream>>,
    forwarded: bool,
    is_http2: bool,
    _open: Option<OpenConnection>,
}

impl Connection for PooledStream {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.forwarded);
        if self.is_http2 { connected.negotiated_h2() } else { connected }
    }
}

impl hyper::rt::Read for PooledStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl hyper::rt::Write for PooledStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
