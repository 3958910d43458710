//! The HTTP client of everything that asks others: scraping, discovery, alertmanagers, remote write.
//!
//! - [`config`]: the block of the configuration file that stands inline in each of those sections.
//! - [`aws`]: requests signed for Amazon.
//! - [`Client`]: connections that are kept and used again, with the credentials, certificates, proxies and
//!   headers of such a block.
//!
//! # Invariants
//!
//! - Secrets are never logged, printed or serialised.
//! - Files with credentials count as they are now: they are read for each request, or when they change.
//! - Requests have no timeout here; who asks knows how long the answer is of use.

pub use self::client::{Client, Options};
pub use self::config::HttpClientConfig;
pub use self::error::ClientError;
pub use self::metrics::DialMetrics;

mod auth;
pub mod aws;
mod client;
pub mod config;
mod connect;
mod error;
mod metrics;
mod oauth2;
mod proxy;
mod tls;
