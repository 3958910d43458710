//! `remote_write`: who is sent the samples, which, and how.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use client::HttpClientConfig;
use client::aws::SigV4Config;
use md5::{Digest, Md5};
use model::duration::PromDuration;
use model::labels::Labels;
use model::names::ValidationScheme;
use model::relabel;
use remote::write::Version;
use remote::write::sender::{EndpointConfig, MetadataConfig, QueueConfig};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::yaml::ConfigError;

const DEFAULT_TIMEOUT: PromDuration = PromDuration::from_secs(30);
/// Letters of the hash that names an endpoint without a name.
const HASH_NAME_LEN: usize = 6;

/// What to set instead of the header `Authorization`.
const AUTH_FIELDS: &str = "basic_auth, authorization, oauth2, sigv4, azuread or google_iam";

/// Headers that the sender or the HTTP client sets itself, in lower case.
const RESERVED_HEADERS: &[&str] = &[
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// The section as it is written.
pub(super) type WrittenRemoteWrite = Vec<Option<Spanned<RemoteWrite>>>;

/// One entry, complete but for what other sections say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RemoteWrite {
    #[serde(serialize_with = "without_password")]
    url: String,
    remote_timeout: PromDuration,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    write_relabel_configs: Vec<relabel::Config>,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    send_exemplars: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    send_native_histograms: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    round_robin_dns: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    failed_request_logging: bool,
    protobuf_message: &'static str,
    #[serde(skip)]
    version: Version,
    #[serde(flatten)]
    http_client: HttpClientConfig,
    queue_config: QueueConfig,
    metadata_config: MetadataConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    sigv4: Option<SigV4Config>,
    /// Ways to sign in that there is no part for yet.
    #[serde(skip)]
    unsupported: Vec<&'static str>,
}

client::inline_http_client! {
    /// An entry's fields as they are written.
    struct Written {
        url: Option<String>,
        remote_timeout: Option<PromDuration>,
        headers: Option<BTreeMap<String, String>>,
        write_relabel_configs: Option<Vec<Option<relabel::Config>>>,
        name: Option<String>,
        send_exemplars: Option<bool>,
        send_native_histograms: Option<bool>,
        round_robin_dns: Option<bool>,
        failed_request_logging: Option<bool>,
        protobuf_message: Option<String>,
        queue_config: Option<QueueConfig>,
        metadata_config: Option<MetadataConfig>,
        sigv4: Option<SigV4Config>,
        azuread: Option<Value>,
        google_iam: Option<Value>,
    }
}

impl<'de> Deserialize<'de> for RemoteWrite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RemoteWrite::new(Written::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl RemoteWrite {
    fn new(mut written: Written) -> Result<Self, String> {
        let url = written.url.take().filter(|url| !url.is_empty()).ok_or("url for remote_write is empty")?;
        url::Url::parse(&url).map_err(|error| format!("parse {url:?}: {error}"))?;
        let rules: Option<Vec<relabel::Config>> =
            written.write_relabel_configs.take().unwrap_or_default().into_iter().collect();
        let headers = written.headers.take().unwrap_or_default();
        check_headers(&headers, AUTH_FIELDS)?;
        let version = version(written.protobuf_message.as_deref())?;
        let queue_config = written.queue_config.take().unwrap_or_default();
        queue_config.validate()?;
        let metadata_config = written.metadata_config.take().unwrap_or_default();
        if metadata_config.send
            && (metadata_config.send_interval.is_zero() || metadata_config.max_samples_per_send == 0)
        {
            return Err("metadata_config send_interval and max_samples_per_send must be positive".to_owned());
        }
        let mut unsupported = check_auth(&written)?;
        let sigv4 = written.sigv4.take();
        if let Some(sigv4) = &sigv4 {
            sigv4.validate()?;
            if sigv4.use_fips_sts_endpoint {
                unsupported.push("sigv4.use_fips_sts_endpoint");
            }
        }
        Ok(RemoteWrite {
            url,
            remote_timeout: written.remote_timeout.unwrap_or(DEFAULT_TIMEOUT),
            headers,
            write_relabel_configs: rules.ok_or("empty or null relabeling rule in remote write config")?,
            name: written.name.take().unwrap_or_default(),
            send_exemplars: written.send_exemplars.unwrap_or_default(),
            send_native_histograms: written.send_native_histograms.unwrap_or_default(),
            round_robin_dns: written.round_robin_dns.unwrap_or_default(),
            failed_request_logging: written.failed_request_logging.unwrap_or_default(),
            protobuf_message: version.message(),
            version,
            http_client: written.http_client(false).map_err(|error| error.to_string())?,
            queue_config,
            metadata_config,
            sigv4,
            unsupported,
        })
    }

    /// The name, or a hash of the configuration in place of one.
    fn shown_name(&self) -> String {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        hash_name(self)
    }

    /// For the sender.
    pub(crate) fn endpoint(&self, external_labels: &Labels) -> EndpointConfig {
        EndpointConfig {
            name: self.shown_name(),
            url: self.url.clone(),
            remote_timeout: self.remote_timeout,
            headers: self.headers.clone(),
            external_labels: external_labels.clone(),
            write_relabel: self.write_relabel_configs.clone(),
            send_exemplars: self.send_exemplars,
            send_native_histograms: self.send_native_histograms,
            round_robin_dns: self.round_robin_dns,
            failed_request_logging: self.failed_request_logging,
            version: self.version,
            queue: self.queue_config.clone(),
            metadata: self.metadata_config.clone(),
            http_client: self.http_client.clone(),
            sigv4: self.sigv4.clone(),
        }
    }

    /// Fields whose work can't be done yet.
    pub(super) fn unsupported(&self) -> &[&'static str] {
        &self.unsupported
    }
}

/// A name for an entry without one.
pub(super) fn hash_name(entry: &impl Serialize) -> String {
    // What can be read can be written.
    let text = serde_saphyr::to_string(entry).unwrap_or_default();
    let hash: String = Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    hash[..HASH_NAME_LEN].to_owned()
}

/// Checks a section; relative paths become relative to the file's directory.
pub(super) fn check(
    file: &Path,
    written: Option<WrittenRemoteWrite>,
    scheme: ValidationScheme,
) -> Result<Vec<Spanned<RemoteWrite>>, ConfigError> {
    let mut names = BTreeSet::new();
    let mut sections = Vec::new();
    for (index, section) in written.unwrap_or_default().into_iter().enumerate() {
        let field = format!("remote_write[{index}]");
        let mut section = section.ok_or_else(|| ConfigError {
            field: field.clone(),
            ..ConfigError::of_file(file, "empty or null remote write config section")
        })?;
        let at = |what: String| ConfigError::at(file, section.referenced, field.clone(), what);
        let rules = &mut section.value.write_relabel_configs;
        rules.iter_mut().try_for_each(|rule| rule.validate(scheme)).map_err(|error| at(error.to_string()))?;
        section.value.http_client.set_directory(file.parent().unwrap_or(Path::new("")));
        let name = section.value.shown_name();
        if !names.insert(name.clone()) {
            let what = if section.value.name.is_empty() {
                let url = &section.value.url;
                format!("duplicate remote write configs are not allowed, found duplicate for URL: {url}")
            } else {
                format!("found multiple remote write configs with job name {name:?}")
            };
            return Err(at(what));
        }
        sections.push(section);
    }
    Ok(sections)
}

/// Writes a URL as the reference shows it.
pub(super) fn without_password<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    if let Ok(mut url) = url::Url::parse(text)
        && url.password().is_some()
        && url.set_password(Some("xxxxx")).is_ok()
    {
        return serializer.serialize_str(url.as_str());
    }
    serializer.serialize_str(text)
}

fn version(message: Option<&str>) -> Result<Version, String> {
    let Some(message) = message else { return Ok(Version::V1) };
    [Version::V1, Version::V2].into_iter().find(|version| version.message() == message).ok_or_else(|| {
        format!(
            "unknown type for remote write protobuf message {message}, supported: {}, {}",
            Version::V1.message(),
            Version::V2.message()
        )
    })
}

/// Refuses headers that aren't the user's to set, such as those of signing in: for that there are `auth_fields`.
pub(super) fn check_headers(headers: &BTreeMap<String, String>, auth_fields: &str) -> Result<(), String> {
    for (name, value) in headers {
        let lower = name.to_ascii_lowercase();
        if lower == "authorization" {
            return Err(format!("authorization header must be changed via the {auth_fields} parameter"));
        }
        if RESERVED_HEADERS.contains(&&*lower) {
            return Err(format!("{name} is a reserved header. It must not be changed"));
        }
        let is_valid = http::HeaderName::from_bytes(name.as_bytes()).is_ok()
            && http::HeaderValue::from_str(value).is_ok();
        if !is_valid {
            return Err(format!("invalid HTTP header {name:?}"));
        }
    }
    Ok(())
}

/// Refuses two ways to sign in; returns those that there is no part for.
fn check_auth(written: &Written) -> Result<Vec<&'static str>, String> {
    let ways = [
        ("basic_auth", written.basic_auth.is_some()),
        ("authorization", written.authorization.is_some()),
        ("oauth2", written.oauth2.is_some()),
        ("sigv4", written.sigv4.is_some()),
        ("azuread", written.azuread.is_some()),
        ("google_iam", written.google_iam.is_some()),
    ];
    let configured: Vec<&'static str> = ways.iter().filter(|(_, is_set)| *is_set).map(|(n, _)| *n).collect();
    if configured.len() > 1 {
        return Err(format!(
            "at most one of basic_auth, authorization, oauth2, sigv4, azuread or google_iam must be configured. \
             Currently configured: [{}]",
            configured.join(" ")
        ));
    }
    Ok(configured.into_iter().filter(|name| ["azuread", "google_iam"].contains(name)).collect())
}
