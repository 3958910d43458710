//! What the flags `--web.*` say.

use std::path::PathBuf;
use std::time::Duration;

use model::regex::AnchoredRegex;
use url::Url;

/// Settings of the server. [`ApiOptions::default`] has the defaults of the reference.
#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// `--web.listen-address`, such as `0.0.0.0:9090` or `:9090`; each gets a listener.
    pub listen_addresses: Vec<String>,
    /// `--web.config.file`: TLS, users and headers.
    pub web_config_file: Option<PathBuf>,
    /// `--web.read-timeout`: how long a request may take to arrive, and how long a connection may idle.
    pub read_timeout: Duration,
    /// `--web.max-connections`, over all listeners.
    pub max_connections: usize,
    /// `--web.max-notifications-subscribers`.
    pub max_notification_subscribers: usize,
    /// `--web.external-url`: where clients reach the server.
    pub external_url: Url,
    /// `--web.route-prefix`, normalised: `""`, or `/x` without a slash at its end.
    pub route_prefix: String,
    /// `--web.enable-lifecycle`.
    pub enable_lifecycle: bool,
    /// `--web.enable-admin-api`.
    pub enable_admin_api: bool,
    /// The feature `search-api`.
    pub enable_search_api: bool,
    /// `--web.search.max-limit`; 0 is no limit.
    pub search_limit_max: usize,
    /// `--web.cors.origin`.
    pub cors_origin: AnchoredRegex,
    /// `--web.page-title`.
    pub page_title: String,
    /// The full page; without it plain pages are served.
    pub page: Option<&'static ui::Page>,
    /// `--query.lookback-delta` in milliseconds, for federation.
    pub lookback_ms: i64,
}

/// `--web.read-timeout` by default.
const READ_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// `--query.lookback-delta` by default.
const LOOKBACK_MS: i64 = 5 * 60 * 1000;

impl Default for ApiOptions {
    fn default() -> Self {
        ApiOptions {
            listen_addresses: vec!["0.0.0.0:9090".to_owned()],
            web_config_file: None,
            read_timeout: READ_TIMEOUT,
            max_connections: 512,
            max_notification_subscribers: 16,
            external_url: Url::parse("http://localhost:9090/").expect("a constant URL"),
            route_prefix: String::new(),
            enable_lifecycle: false,
            enable_admin_api: false,
            enable_search_api: false,
            search_limit_max: 10_000,
            cors_origin: AnchoredRegex::new(".*").expect("a constant expression"),
            page_title: "Prometheus Time Series Collection and Processing Server".to_owned(),
            page: None,
            lookback_ms: LOOKBACK_MS,
        }
    }
}

/// `prefix` as routes want it: `""`, or a slash before and none after.
pub fn normalised_prefix(prefix: &str) -> String {
    match prefix.trim_matches('/') {
        "" => String::new(),
        path => format!("/{path}"),
    }
}
