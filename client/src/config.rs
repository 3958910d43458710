//! The HTTP client block of the configuration file: credentials, TLS, proxies, headers, redirects.
//!
//! The block has no key of its own: its fields stand among those of the section that has a client. serde's
//! `flatten` would turn off the check for unknown fields, so [`inline_http_client!`](crate::inline_http_client)
//! writes the fields into a section's struct, and [`Written::checked`] makes an [`HttpClientConfig`] of them.
//!
//! Names, defaults and error texts are those of prometheus/common's `config.HTTPClientConfig`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, de};

pub use self::auth::{Authorization, BasicAuth, OAuth2};
pub use self::header::{Header, RESERVED_HEADERS};
pub use self::secret::Secret;
pub use self::tls::{TlsConfig, TlsVersion};

mod auth;
mod header;
mod secret;
mod tls;

/// Why an HTTP client block isn't one. The texts are those of the reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Fields that contradict each other.
    #[error("{0}")]
    Conflict(&'static str),
    /// A header that the client sets itself; quoted.
    #[error("setting header {0:?} is not allowed")]
    ReservedHeader(String),
    /// A header that HTTP can't carry.
    #[error("invalid HTTP header {0:?}")]
    InvalidHeader(String),
    /// A URL that isn't one.
    #[error("parse {url:?}: {reason}")]
    Url {
        /// The text.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A TLS setting that can't be fulfilled.
    #[error("{0}")]
    Tls(String),
}

/// A checked HTTP client block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HttpClientConfig {
    /// User name and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// An `Authorization` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// A token fetched from a token endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    /// Certificates and versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<TlsConfig>,
    /// Whether redirects are followed, ten at most.
    pub follow_redirects: bool,
    /// Whether HTTP/2 is offered over TLS.
    pub enable_http2: bool,
    /// Through whom to go.
    #[serde(flatten)]
    pub proxy: ProxyConfig,
    /// Headers of every request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub http_headers: BTreeMap<String, Header>,
}

impl Default for HttpClientConfig {
    fn default() -> Self {
        HttpClientConfig {
            basic_auth: None,
            authorization: None,
            oauth2: None,
            tls_config: None,
            follow_redirects: true,
            enable_http2: true,
            proxy: ProxyConfig::default(),
            http_headers: BTreeMap::new(),
        }
    }
}

impl HttpClientConfig {
    /// Takes relative paths as relative to `directory`.
    pub fn set_directory(&mut self, directory: &Path) {
        if let Some(auth) = &mut self.basic_auth {
            join(directory, &mut auth.username_file);
            join(directory, &mut auth.password_file);
        }
        if let Some(auth) = &mut self.authorization {
            join(directory, &mut auth.credentials_file);
        }
        if let Some(oauth2) = &mut self.oauth2 {
            oauth2.set_directory(directory);
        }
        if let Some(tls) = &mut self.tls_config {
            tls.set_directory(directory);
        }
        for file in self.http_headers.values_mut().flat_map(|header| &mut header.files) {
            join(directory, file);
        }
    }

    /// Every file that the block names, so that a check of the configuration can look for them.
    pub fn files(&self) -> Vec<(FileUse, &str)> {
        use FileUse::{Credentials, Other};
        let mut files: Vec<(FileUse, &str)> = Vec::new();
        let mut others: Vec<&str> = Vec::new();
        others.extend(self.basic_auth.iter().flat_map(|a| [&*a.username_file, &*a.password_file]));
        files.extend(self.authorization.iter().map(|a| (Credentials, &*a.credentials_file)));
        if let Some(oauth2) = &self.oauth2 {
            others.extend([&*oauth2.client_secret_file, &*oauth2.client_certificate_key_file]);
            others.extend(oauth2.tls_config.iter().flat_map(TlsConfig::files).map(|(_, file)| file));
        }
        others.extend(self.http_headers.values().flat_map(|h| h.files.iter().map(String::as_str)));
        files.extend(self.tls_config.iter().flat_map(TlsConfig::files));
        files.extend(others.into_iter().map(|file| (Other, file)));
        files.retain(|(_, file)| !file.is_empty());
        files
    }
}

/// What a file is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileUse {
    /// The credentials of `authorization`.
    Credentials,
    /// The certificate by which servers know the client.
    ClientCertificate,
    /// Its key.
    ClientKey,
    /// Any other.
    Other,
}

impl<'de> Deserialize<'de> for HttpClientConfig {
    /// Reads a file that is nothing but the block (`promtool --http.config.file`).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::inline_http_client! {
            struct Alone {}
        }
        Alone::deserialize(deserializer)?.http_client(true).map_err(de::Error::custom)
    }
}

/// Through whom to go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProxyConfig {
    /// The proxy, `""` for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub proxy_url: String,
    /// Hosts, domains, addresses and networks to which one goes directly, separated by commas.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub no_proxy: String,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` decide instead.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub proxy_from_environment: bool,
    /// Headers for the proxy with `CONNECT`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
}

impl ProxyConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let has_url = !self.proxy_url.is_empty();
        let conflicts = [
            (
                self.proxy_from_environment && has_url,
                "if proxy_from_environment is configured, proxy_url must not be configured",
            ),
            (
                self.proxy_from_environment && !self.no_proxy.is_empty(),
                "if proxy_from_environment is configured, no_proxy must not be configured",
            ),
            (
                !self.no_proxy.is_empty() && !has_url,
                "if no_proxy is configured, proxy_url must also be configured",
            ),
            (
                !self.proxy_connect_header.is_empty() && !has_url && !self.proxy_from_environment,
                "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured",
            ),
        ];
        refuse_conflicts(conflicts)?;
        if has_url {
            check_url(&self.proxy_url)?;
        }
        Ok(())
    }
}

/// The block's fields as they are written, before they are checked against each other.
#[derive(Debug, Default)]
pub struct Written {
    /// As in [`HttpClientConfig`]; likewise below.
    pub basic_auth: Option<BasicAuth>,
    /// See above.
    pub authorization: Option<Authorization>,
    /// See above.
    pub oauth2: Option<OAuth2>,
    /// The older way to write `authorization.credentials`.
    pub bearer_token: Option<Secret>,
    /// The older way to write `authorization.credentials_file`.
    pub bearer_token_file: Option<String>,
    /// See above.
    pub tls_config: Option<TlsConfig>,
    /// See above.
    pub follow_redirects: Option<bool>,
    /// See above.
    pub enable_http2: Option<bool>,
    /// See above.
    pub proxy_url: Option<String>,
    /// See above.
    pub no_proxy: Option<String>,
    /// See above.
    pub proxy_from_environment: Option<bool>,
    /// See above.
    pub proxy_connect_header: Option<BTreeMap<String, Vec<Secret>>>,
    /// See above.
    pub http_headers: Option<BTreeMap<String, Header>>,
}

impl Written {
    /// Checks the fields and fills in the defaults; `http2_by_default` is `false` in remote write only.
    pub fn checked(self, http2_by_default: bool) -> Result<HttpClientConfig, ConfigError> {
        let token = self.bearer_token.unwrap_or_default();
        let token_file = self.bearer_token_file.unwrap_or_default();
        let has_token = !token.is_empty() || !token_file.is_empty();
        let conflicts = [
            (
                !token.is_empty() && !token_file.is_empty(),
                "at most one of bearer_token & bearer_token_file must be configured",
            ),
            (
                has_token && (self.basic_auth.is_some() || self.oauth2.is_some()),
                "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
            ),
            (
                has_token && self.authorization.is_some(),
                "authorization is not compatible with bearer_token & bearer_token_file",
            ),
            (
                [self.basic_auth.is_some(), self.oauth2.is_some(), self.authorization.is_some()]
                    .iter()
                    .filter(|is_set| **is_set)
                    .count()
                    > 1,
                "at most one of basic_auth, oauth2 & authorization must be configured",
            ),
        ];
        refuse_conflicts(conflicts)?;
        let mut authorization = self.authorization;
        if has_token {
            authorization = Some(Authorization::bearer(token, token_file));
        }
        let config = HttpClientConfig {
            basic_auth: self.basic_auth,
            authorization,
            oauth2: self.oauth2,
            tls_config: self.tls_config,
            follow_redirects: self.follow_redirects.unwrap_or(true),
            enable_http2: self.enable_http2.unwrap_or(http2_by_default),
            proxy: ProxyConfig {
                proxy_url: self.proxy_url.unwrap_or_default(),
                no_proxy: self.no_proxy.unwrap_or_default(),
                proxy_from_environment: self.proxy_from_environment.unwrap_or(false),
                proxy_connect_header: self.proxy_connect_header.unwrap_or_default(),
            },
            http_headers: self.http_headers.unwrap_or_default(),
        };
        config.check()?;
        Ok(config)
    }
}

impl HttpClientConfig {
    fn check(&self) -> Result<(), ConfigError> {
        if let Some(auth) = &self.basic_auth {
            auth.check()?;
        }
        if let Some(auth) = &self.authorization {
            auth.check()?;
        }
        if let Some(oauth2) = &self.oauth2 {
            oauth2.check()?;
        }
        if let Some(tls) = &self.tls_config {
            tls.check()?;
        }
        self.proxy.check()?;
        header::check(&self.http_headers)
    }
}

/// Declares a section of the configuration file whose fields stand beside those of an HTTP client: the struct
/// with `Deserialize`, strict about unknown fields, and a method `http_client(http2_by_default)` that takes
/// the client's fields out of it and checks them. The section's own fields need defaults.
#[macro_export]
macro_rules! inline_http_client {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Default, ::serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        $vis struct $name {
            $($(#[$field_meta])* $field_vis $field: $type,)*
            basic_auth: Option<$crate::config::BasicAuth>,
            authorization: Option<$crate::config::Authorization>,
            oauth2: Option<$crate::config::OAuth2>,
            bearer_token: Option<$crate::config::Secret>,
            bearer_token_file: Option<String>,
            tls_config: Option<$crate::config::TlsConfig>,
            follow_redirects: Option<bool>,
            enable_http2: Option<bool>,
            proxy_url: Option<String>,
            no_proxy: Option<String>,
            proxy_from_environment: Option<bool>,
            proxy_connect_header:
                Option<::std::collections::BTreeMap<String, Vec<$crate::config::Secret>>>,
            http_headers: Option<::std::collections::BTreeMap<String, $crate::config::Header>>,
        }

        impl $name {
            /// Takes out the HTTP client block and checks it.
            fn http_client(
                &mut self,
                http2_by_default: bool,
            ) -> Result<$crate::config::HttpClientConfig, $crate::config::ConfigError> {
                $crate::config::Written {
                    basic_auth: self.basic_auth.take(),
                    authorization: self.authorization.take(),
                    oauth2: self.oauth2.take(),
                    bearer_token: self.bearer_token.take(),
                    bearer_token_file: self.bearer_token_file.take(),
                    tls_config: self.tls_config.take(),
                    follow_redirects: self.follow_redirects.take(),
                    enable_http2: self.enable_http2.take(),
                    proxy_url: self.proxy_url.take(),
                    no_proxy: self.no_proxy.take(),
                    proxy_from_environment: self.proxy_from_environment.take(),
                    proxy_connect_header: self.proxy_connect_header.take(),
                    http_headers: self.http_headers.take(),
                }
                .checked(http2_by_default)
            }
        }
    };
}

/// Refuses the first pair whose condition holds.
fn refuse_conflicts<const N: usize>(conflicts: [(bool, &'static str); N]) -> Result<(), ConfigError> {
    match conflicts.into_iter().find(|(holds, _)| *holds) {
        Some((_, text)) => Err(ConfigError::Conflict(text)),
        None => Ok(()),
    }
}

fn check_url(text: &str) -> Result<(), ConfigError> {
    match url::Url::parse(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(ConfigError::Url { url: text.to_owned(), reason: error.to_string() }),
    }
}

/// Makes a relative path relative to `directory`; `""` stays as it is.
pub fn join(directory: &Path, file: &mut String) {
    if !file.is_empty() && Path::new(file.as_str()).is_relative() {
        *file = directory.join(&*file).to_string_lossy().into_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<HttpClientConfig, String> {
        serde_saphyr::from_str(yaml).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_block_has_the_defaults() {
        assert_eq!(read("{}").unwrap(), HttpClientConfig::default());
    }

    #[test]
    fn a_bearer_token_is_an_authorization() {
        let config = read("bearer_token: xyz").unwrap();
        let authorization = config.authorization.unwrap();
        assert_eq!((&*authorization.scheme, authorization.credentials.expose()), ("Bearer", "xyz"));
    }

    #[test]
    fn secrets_are_not_written() {
        let config =
            read("basic_auth: {username: u, password: hunter2}\nhttp_headers: {X-A: {secrets: [s3cret]}}");
        let config = config.unwrap();
        let text = serde_saphyr::to_string(&config).unwrap();
        assert!(text.contains("password: <secret>"), "{text}");
        for text in [text, format!("{config:?}")] {
            assert!(!text.contains("hunter2") && !text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn contradictions_are_refused_in_the_words_of_the_reference() {
        for (yaml, text) in [
            ("no_such_field: 1", "no_such_field"),
            (
                "{basic_auth: {username: a}, authorization: {credentials: x}}",
                "at most one of basic_auth, oauth2 & authorization must be configured",
            ),
            (
                "{bearer_token: a, basic_auth: {username: a}}",
                "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
            ),
            (
                "authorization: {type: Basic}",
                r#"authorization type cannot be set to "basic", use "basic_auth" instead"#,
            ),
            ("no_proxy: a", "if no_proxy is configured, proxy_url must also be configured"),
            ("http_headers: {Host: {values: [a]}}", r#"setting header "Host" is not allowed"#),
            ("oauth2: {client_id: a}", "oauth2 token_url cannot be empty"),
            (
                "tls_config: {cert_file: a}",
                "exactly one of key or key_file must be configured when a client certificate is configured",
            ),
            ("tls_config: {min_version: TLS14}", "TLS14"),
            ("tls_config: {max_version: TLS11}", "TLS11"),
        ] {
            let error = read(yaml).unwrap_err();
            assert!(error.contains(text), "{yaml}: {error}");
        }
    }

    #[test]
    fn relative_paths_are_taken_from_the_directory() {
        let mut config = read("{authorization: {credentials_file: a}, tls_config: {ca_file: /b}}").unwrap();
        config.set_directory(Path::new("/etc/x"));
        assert_eq!(config.files(), [(FileUse::Credentials, "/etc/x/a"), (FileUse::Other, "/b")]);
    }
}
