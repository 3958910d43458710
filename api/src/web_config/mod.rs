//! The web configuration file (`--web.config.file`): TLS, users, headers, a limit on the rate of requests.
//!
//! The format is that of the Prometheus exporter toolkit. The file, and the certificates that it names, are
//! read again when they change; a change that can't be used is logged, and what was in force stays so.

mod file;
mod guard;
mod tls;
mod watch;

pub use file::{ClientAuth, HttpServerConfig, RateLimit, TlsServerConfig, WebConfig, WebConfigError};
pub(crate) use guard::guard;
pub(crate) use watch::WebConfigWatch;
