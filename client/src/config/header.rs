//! Headers that the configuration adds to every request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ConfigError, Secret};

/// Headers that the client sets itself, in lower case.
pub const RESERVED_HEADERS: &[&str] = &[
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "www-authenticate",
    "x-prometheus-remote-read-version",
    "x-prometheus-remote-write-version",
    "x-prometheus-scrape-timeout-seconds",
];

/// Values of one header, sent in the order of these fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Header {
    /// Plain values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Values that aren't shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
    /// Files with a value each, read for each request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

pub(super) fn check(headers: &BTreeMap<String, Header>) -> Result<(), ConfigError> {
    for (name, header) in headers {
        if RESERVED_HEADERS.contains(&&*name.to_ascii_lowercase()) {
            return Err(ConfigError::ReservedHeader(name.clone()));
        }
        let values = header.values.iter().map(String::as_str);
        let mut all_values = values.chain(header.secrets.iter().map(Secret::expose));
        let valid = http::HeaderName::from_bytes(name.as_bytes()).is_ok()
            && all_values.all(|value| http::HeaderValue::from_str(value).is_ok());
        if !valid {
            return Err(ConfigError::InvalidHeader(name.clone()));
        }
    }
    Ok(())
}
