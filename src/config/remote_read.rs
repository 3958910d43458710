//! `remote_read`: from whom else queries get samples.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use client::HttpClientConfig;
use model::duration::PromDuration;
use model::labels::Labels;
use remote::read::ClientConfig;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_saphyr::Spanned;

use super::remote_write::{check_headers, hash_name, without_password};
use super::yaml::ConfigError;

const DEFAULT_TIMEOUT: PromDuration = PromDuration::from_secs(60);
const DEFAULT_CHUNKED_READ_LIMIT: u64 = 50_000_000;
/// What to set instead of the header `Authorization`.
const AUTH_FIELDS: &str = "basic_auth, authorization, or oauth2";

/// The section as it is written.
pub(super) type WrittenRemoteRead = Vec<Option<Spanned<RemoteRead>>>;

/// One entry, complete but for what other sections say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RemoteRead {
    #[serde(serialize_with = "without_password")]
    url: String,
    remote_timeout: PromDuration,
    chunked_read_limit: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    read_recent: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(flatten)]
    http_client: HttpClientConfig,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    required_matchers: BTreeMap<String, String>,
    filter_external_labels: bool,
}

client::inline_http_client! {
    /// An entry's fields as they are written.
    struct Written {
        url: Option<String>,
        remote_timeout: Option<PromDuration>,
        chunked_read_limit: Option<u64>,
        headers: Option<BTreeMap<String, String>>,
        read_recent: Option<bool>,
        name: Option<String>,
        required_matchers: Option<BTreeMap<String, String>>,
        filter_external_labels: Option<bool>,
    }
}

impl<'de> Deserialize<'de> for RemoteRead {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RemoteRead::new(Written::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl RemoteRead {
    fn new(mut written: Written) -> Result<Self, String> {
        let url = written.url.take().filter(|url| !url.is_empty()).ok_or("url for remote_read is empty")?;
        url::Url::parse(&url).map_err(|error| format!("parse {url:?}: {error}"))?;
        let headers = written.headers.take().unwrap_or_default();
        check_headers(&headers, AUTH_FIELDS)?;
        Ok(RemoteRead {
            url,
            remote_timeout: written.remote_timeout.unwrap_or(DEFAULT_TIMEOUT),
            chunked_read_limit: written.chunked_read_limit.unwrap_or(DEFAULT_CHUNKED_READ_LIMIT),
            headers,
            read_recent: written.read_recent.unwrap_or_default(),
            name: written.name.take().unwrap_or_default(),
            required_matchers: written.required_matchers.take().unwrap_or_default(),
            filter_external_labels: written.filter_external_labels.unwrap_or(true),
            http_client: written.http_client(true).map_err(|error| error.to_string())?,
        })
    }

    fn shown_name(&self) -> String {
        if self.name.is_empty() { hash_name(self) } else { self.name.clone() }
    }

    /// For whom reads.
    pub(crate) fn client(&self, external_labels: &Labels) -> ClientConfig {
        let filters = self.filter_external_labels;
        ClientConfig {
            name: self.shown_name(),
            url: self.url.clone(),
            remote_timeout: self.remote_timeout,
            chunked_read_limit: self.chunked_read_limit,
            headers: self.headers.clone(),
            read_recent: self.read_recent,
            required_matchers: self.required_matchers.clone(),
            external_labels: if filters { external_labels.clone() } else { Labels::empty() },
            http_client: self.http_client.clone(),
        }
    }
}

/// Checks a section; relative paths become relative to the file's directory.
pub(super) fn check(file: &Path, written: Option<WrittenRemoteRead>) -> Result<Vec<RemoteRead>, ConfigError> {
    let mut names = BTreeSet::new();
    let mut sections = Vec::new();
    for (index, section) in written.unwrap_or_default().into_iter().enumerate() {
        let field = format!("remote_read[{index}]");
        let mut section = section.ok_or_else(|| ConfigError {
            field: field.clone(),
            ..ConfigError::of_file(file, "empty or null remote read config section")
        })?;
        section.value.http_client.set_directory(file.parent().unwrap_or(Path::new("")));
        let name = section.value.shown_name();
        if !names.insert(name.clone()) {
            let what = if section.value.name.is_empty() {
                let url = &section.value.url;
                format!("duplicate remote read configs are not allowed, found duplicate for URL: {url}")
            } else {
                format!("found multiple remote read configs with job name {name:?}")
            };
            return Err(ConfigError::at(file, section.referenced, field, what));
        }
        sections.push(section.value);
    }
    Ok(sections)
}
