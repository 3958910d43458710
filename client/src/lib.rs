//! The HTTP client of everything that asks others: scraping, discovery, alertmanagers, remote write.
//!
//! - [`config`]: the block of the configuration file that stands inline in each of those sections.
//!
//! # Invariants
//!
//! - Secrets are never logged, printed or serialised.

pub mod config;

pub use config::HttpClientConfig;
