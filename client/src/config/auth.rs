//! Who the client says it is.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ConfigError, ProxyConfig, Secret, TlsConfig, check_url, join, refuse_conflicts};

const GRANT_CLIENT_CREDENTIALS: &str = "client_credentials";
/// The grant in which the client signs a token with its private key (RFC 7523).
pub(crate) const GRANT_JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const BEARER: &str = "Bearer";

/// User name and password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuth {
    /// The user name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// A file with the user name, read for each request.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username_file: String,
    /// The password.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub password: Secret,
    /// A file with the password, read for each request.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub password_file: String,
}

impl BasicAuth {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        refuse_conflicts([
            (
                !self.username.is_empty() && !self.username_file.is_empty(),
                "at most one of basic_auth username, username_file & username_ref must be configured",
            ),
            (
                !self.password.is_empty() && !self.password_file.is_empty(),
                "at most one of basic_auth password, password_file & password_ref must be configured",
            ),
        ])
    }
}

/// An `Authorization` header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Authorization {
    /// The first word of the header.
    #[serde(rename = "type")]
    pub scheme: String,
    /// The rest of it.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub credentials: Secret,
    /// A file with the rest of it, read for each request.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub credentials_file: String,
}

impl Default for Authorization {
    fn default() -> Self {
        Authorization::bearer(Secret::default(), String::new())
    }
}

impl Authorization {
    pub(super) fn bearer(credentials: Secret, credentials_file: String) -> Self {
        Authorization { scheme: BEARER.to_owned(), credentials, credentials_file }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        refuse_conflicts([
            (
                !self.credentials.is_empty() && !self.credentials_file.is_empty(),
                "at most one of authorization credentials & credentials_file must be configured",
            ),
            (
                self.scheme.trim().eq_ignore_ascii_case("basic"),
                r#"authorization type cannot be set to "basic", use "basic_auth" instead"#,
            ),
        ])
    }
}

/// A token fetched from a token endpoint (RFC 6749 §4.4, RFC 7523).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OAuth2 {
    /// Who asks.
    pub client_id: String,
    /// `client_credentials`, which is the default, or [`GRANT_JWT_BEARER`].
    #[serde(skip_serializing_if = "String::is_empty")]
    pub grant_type: String,
    /// The client's secret.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub client_secret: Secret,
    /// A file with the client's secret, read for each token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_secret_file: String,
    /// The private key that signs the JWT, PEM.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub client_certificate_key: Secret,
    /// A file with that key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_certificate_key_file: String,
    /// The key's id, `kid` in the JWT's header.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_certificate_key_id: String,
    /// `RS256`, `RS384` or `RS512`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub signature_algorithm: String,
    /// The JWT's issuer; the client id if it is empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub iss: String,
    /// The JWT's audience; the token URL if it is empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub audience: String,
    /// Further claims of the JWT.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, serde_json::Value>,
    /// What the token shall allow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// The token endpoint.
    pub token_url: String,
    /// Further parameters of the token request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoint_params: BTreeMap<String, String>,
    /// TLS towards the token endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<TlsConfig>,
    /// The proxy towards the token endpoint.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub proxy_url: String,
    /// As in [`ProxyConfig`]; likewise below.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub no_proxy: String,
    /// See above.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub proxy_from_environment: bool,
    /// See above.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
}

impl OAuth2 {
    /// The proxy towards the token endpoint.
    pub fn proxy(&self) -> ProxyConfig {
        ProxyConfig {
            proxy_url: self.proxy_url.clone(),
            no_proxy: self.no_proxy.clone(),
            proxy_from_environment: self.proxy_from_environment,
            proxy_connect_header: self.proxy_connect_header.clone(),
        }
    }

    pub(super) fn set_directory(&mut self, directory: &Path) {
        join(directory, &mut self.client_secret_file);
        join(directory, &mut self.client_certificate_key_file);
        if let Some(tls) = &mut self.tls_config {
            tls.set_directory(directory);
        }
    }

    /// Whether the client signs a JWT.
    pub(crate) fn signs(&self) -> bool {
        self.grant_type == GRANT_JWT_BEARER
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let has_key = !self.client_certificate_key.is_empty() || !self.client_certificate_key_file.is_empty();
        let two_keys =
            !self.client_certificate_key.is_empty() && !self.client_certificate_key_file.is_empty();
        refuse_conflicts([
            (self.client_id.is_empty(), "oauth2 client_id cannot be empty"),
            (self.token_url.is_empty(), "oauth2 token_url cannot be empty"),
            (
                !self.client_secret.is_empty() && !self.client_secret_file.is_empty(),
                "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be configured using grant-type=client_credentials",
            ),
            (
                !["", GRANT_CLIENT_CREDENTIALS, GRANT_JWT_BEARER].contains(&&*self.grant_type),
                "oauth2 grant_type must be client_credentials or urn:ietf:params:oauth:grant-type:jwt-bearer",
            ),
            (
                self.signs() && !has_key,
                "oauth2 client_certificate_key or client_certificate_key_file must be configured using grant-type=urn:ietf:params:oauth:grant-type:jwt-bearer",
            ),
            (
                self.signs() && two_keys,
                "at most one of oauth2 client_certificate_key & client_certificate_key_file must be configured using grant-type=urn:ietf:params:oauth:grant-type:jwt-bearer",
            ),
            (
                !["", "RS256", "RS384", "RS512"].contains(&&*self.signature_algorithm),
                "valid signature algorithms are RS256, RS384 and RS512",
            ),
        ])?;
        check_url(&self.token_url)?;
        if let Some(tls) = &self.tls_config {
            tls.check()?;
        }
        self.proxy().check()
    }
}
