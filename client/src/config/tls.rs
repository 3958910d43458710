//! Certificates and protocol versions.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ConfigError, FileUse, Secret, join, refuse_conflicts};

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TlsVersion {
    /// TLS 1.0, which rustls doesn't speak.
    Tls10,
    /// TLS 1.1, which rustls doesn't speak.
    Tls11,
    /// TLS 1.2
    Tls12,
    /// TLS 1.3
    Tls13,
}

/// Whom to trust and what to show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Certificates of authorities, PEM; those of the system if neither this nor `ca_file` is set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca: String,
    /// A file with such certificates; read again when it changes, as are the others.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_file: String,
    /// The client's certificate, PEM.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert: String,
    /// A file with the client's certificate.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert_file: String,
    /// The client's key, PEM.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub key: Secret,
    /// A file with the client's key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key_file: String,
    /// The name that the server's certificate must have; that of the URL if it is empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server_name: String,
    /// Whether any certificate will do.
    pub insecure_skip_verify: bool,
    /// The oldest version to accept; TLS 1.2 by default and at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_version: Option<TlsVersion>,
    /// The newest version to accept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_version: Option<TlsVersion>,
}

impl TlsConfig {
    pub(super) fn set_directory(&mut self, directory: &Path) {
        join(directory, &mut self.ca_file);
        join(directory, &mut self.cert_file);
        join(directory, &mut self.key_file);
    }

    /// Files that the block names; `""` for those it doesn't.
    pub(super) fn files(&self) -> [(FileUse, &str); 3] {
        [
            (FileUse::Other, &self.ca_file),
            (FileUse::ClientCertificate, &self.cert_file),
            (FileUse::ClientKey, &self.key_file),
        ]
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let certificates = usize::from(!self.cert.is_empty()) + usize::from(!self.cert_file.is_empty());
        let keys = usize::from(!self.key.is_empty()) + usize::from(!self.key_file.is_empty());
        refuse_conflicts([
            (
                !self.ca.is_empty() && !self.ca_file.is_empty(),
                "at most one of ca and ca_file must be configured",
            ),
            (certificates > 1, "at most one of cert and cert_file must be configured"),
            (keys > 1, "at most one of key and key_file must be configured"),
            (
                certificates == 1 && keys == 0,
                "exactly one of key or key_file must be configured when a client certificate is configured",
            ),
            (
                keys == 1 && certificates == 0,
                "exactly one of cert or cert_file must be configured when a client key is configured",
            ),
        ])?;
        if let (Some(min), Some(max)) = (self.min_version, self.max_version)
            && max < min
        {
            return Err(ConfigError::Tls(
                "tls_config.max_version must be greater than or equal to tls_config.min_version if both are specified"
                    .to_owned(),
            ));
        }
        match self.max_version {
            Some(max @ (TlsVersion::Tls10 | TlsVersion::Tls11)) => Err(ConfigError::Tls(format!(
                "tls_config.max_version {}: versions before TLS12 are not supported",
                if max == TlsVersion::Tls10 { "TLS10" } else { "TLS11" }
            ))),
            _ => Ok(()),
        }
    }
}
