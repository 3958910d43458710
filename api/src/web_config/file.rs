//! The file's contents.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue};
use model::duration::PromDuration;
use serde::Deserialize;

/// Headers that may be set, with the values that they may have; an empty list allows any.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-XSS-Protection", &[]),
    ("Strict-Transport-Security", &[]),
];

/// Why a web configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum WebConfigError {
    /// A file can't be read.
    #[error("{file}: {source}")]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It isn't what the format demands.
    #[error("{file}: {what}")]
    Invalid {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
}

/// A web configuration file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfig {
    /// TLS; without it connections are plain.
    pub tls_server_config: Option<TlsServerConfig>,
    /// Settings of HTTP.
    pub http_server_config: HttpServerConfig,
    /// Users and the bcrypt hashes of their passwords; if there are any, every request must name one.
    pub basic_auth_users: BTreeMap<String, String>,
    /// How many requests are answered in a time.
    pub rate_limit: RateLimit,
}

/// `tls_server_config`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsServerConfig {
    /// Certificate chain as PEM.
    pub cert: String,
    /// Private key as PEM.
    pub key: String,
    /// File of the certificate chain.
    pub cert_file: PathBuf,
    /// File of the private key.
    pub key_file: PathBuf,
    /// Whether clients show certificates.
    pub client_auth_type: ClientAuth,
    /// Certificates that clients' ones must lead to, as PEM.
    pub client_ca: String,
    /// File of those.
    pub client_ca_file: PathBuf,
    /// Names of which a client's certificate must have one.
    pub client_allowed_sans: Vec<String>,
    /// The oldest version of TLS: `TLS12` or `TLS13`.
    pub min_version: String,
    /// The newest one.
    pub max_version: String,
    /// Cipher suites of TLS 1.2, by Go's names; all that are safe if there are none.
    pub cipher_suites: Vec<String>,
    /// Has no effect any more, as in Go.
    pub prefer_server_cipher_suites: bool,
    /// Key exchange groups, by Go's names; all if there are none.
    pub curve_preferences: Vec<String>,
}

impl Default for TlsServerConfig {
    fn default() -> Self {
        TlsServerConfig {
            cert: String::new(),
            key: String::new(),
            cert_file: PathBuf::new(),
            key_file: PathBuf::new(),
            client_auth_type: ClientAuth::default(),
            client_ca: String::new(),
            client_ca_file: PathBuf::new(),
            client_allowed_sans: Vec::new(),
            min_version: "TLS12".to_owned(),
            max_version: "TLS13".to_owned(),
            cipher_suites: Vec::new(),
            prefer_server_cipher_suites: true,
            curve_preferences: Vec::new(),
        }
    }
}

/// Whether clients show certificates; Go's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ClientAuth {
    /// They aren't asked.
    #[default]
    #[serde(alias = "")]
    NoClientCert,
    /// They are asked; what they show isn't checked.
    RequestClientCert,
    /// They must show one; it isn't checked.
    #[serde(alias = "RequireClientCert")]
    RequireAnyClientCert,
    /// If they show one it must be good.
    VerifyClientCertIfGiven,
    /// They must show a good one.
    RequireAndVerifyClientCert,
}

/// `http_server_config`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpServerConfig {
    /// Whether HTTP/2 is offered over TLS. A change of this takes a restart.
    pub http2: bool,
    /// Headers of every response.
    pub headers: BTreeMap<String, String>,
}

impl Default for HttpServerConfig {
    fn default() -> Self {
        HttpServerConfig { http2: true, headers: BTreeMap::new() }
    }
}

/// `rate_limit`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimit {
    /// One request is let through in this time; 0 is no limit.
    pub interval: PromDuration,
    /// How many may come at once.
    pub burst: u32,
}

impl WebConfig {
    /// Reads and checks a file. An empty one is a configuration without anything.
    pub fn load(file: &Path) -> Result<WebConfig, WebConfigError> {
        let text = read_text(file)?;
        let invalid = |what: String| WebConfigError::Invalid { file: file.to_owned(), what };
        let mut config = if text.trim().is_empty() {
            WebConfig::default()
        } else {
            serde_saphyr::from_str::<WebConfig>(&text).map_err(|error| invalid(error.to_string()))?
        };
        if let Some(tls) = &mut config.tls_server_config {
            let directory = file.parent().unwrap_or(Path::new(""));
            for path in [&mut tls.cert_file, &mut tls.key_file, &mut tls.client_ca_file] {
                if !path.as_os_str().is_empty() {
                    *path = directory.join(&*path);
                }
            }
            super::tls::server_config(tls, config.http_server_config.http2).map_err(|error| match error {
                WebConfigError::Invalid { what, .. } => invalid(what),
                read => read,
            })?;
        }
        config.headers().map_err(invalid)?;
        for (user, hash) in &config.basic_auth_users {
            let refused =
                |error| invalid(format!("basic_auth_users: password hash of user {user:?}: {error}"));
            hash.parse::<bcrypt::HashParts>().map_err(refused)?;
        }
        Ok(config)
    }

    /// The headers of every response.
    pub(super) fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.http_server_config.headers {
            let known = HEADERS.iter().find(|(known, _)| known == name);
            let (_, allowed) = known.ok_or_else(|| format!("HTTP header {name:?} can not be configured"))?;
            if value.is_empty() {
                continue;
            }
            if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
                return Err(format!("invalid value for {name}: expected one of {allowed:?}, got {value:?}"));
            }
            let refused = |_| format!("invalid value for {name}: {value:?}");
            let header: HeaderValue = value.parse().map_err(refused)?;
            headers.insert(name.parse::<HeaderName>().map_err(|error| error.to_string())?, header);
        }
        Ok(headers)
    }
}

/// The most bytes of a file; far more than certificates take.
const FILE_BYTES_MAX: u64 = 16 << 20;

pub(super) fn read_text(file: &Path) -> Result<String, WebConfigError> {
    let failed = |source| WebConfigError::Read { file: file.to_owned(), source };
    let length = std::fs::metadata(file).map_err(failed)?.len();
    if length > FILE_BYTES_MAX {
        return Err(WebConfigError::Invalid {
            file: file.to_owned(),
            what: format!("the file has more than {FILE_BYTES_MAX} bytes"),
        });
    }
    std::fs::read_to_string(file).map_err(failed)
}
