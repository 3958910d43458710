//! `ec2_sd_configs`.

use client::HttpClientConfig;
use client::aws::AwsConfig;
use client::config::Secret;
use model::duration::PromDuration;
use serde::{Deserialize, Deserializer, Serialize, de};

const REFRESH_INTERVAL: PromDuration = PromDuration::from_secs(60);
const PORT: u16 = 80;

/// Instances of Amazon's EC2.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ec2SdConfig {
    /// The API's URL; that of the region by default.
    pub endpoint: String,
    /// The region; by default that of the environment, the profile or the machine, in this order.
    pub region: String,
    /// Who asks, together with `secret_key`; what the environment gives by default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub access_key: String,
    /// See above.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub secret_key: Secret,
    /// Whose section of the shared files of Amazon's tools counts.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub profile: String,
    /// A role to take on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub role_arn: String,
    /// What the role's owner wants to hear.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub external_id: String,
    /// How often to ask.
    pub refresh_interval: PromDuration,
    /// The targets' port.
    pub port: u16,
    /// What instances have to be like.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// How to ask.
    #[serde(flatten)]
    pub http_client: HttpClientConfig,
}

impl Ec2SdConfig {
    /// Whose account it is.
    pub(super) fn account(&self) -> AwsConfig {
        AwsConfig {
            region: self.region.clone(),
            access_key: self.access_key.clone(),
            secret_key: self.secret_key.clone(),
            profile: self.profile.clone(),
            role_arn: self.role_arn.clone(),
            external_id: self.external_id.clone(),
        }
    }
}

/// Values of which one has to match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// What is looked at.
    pub name: String,
    /// The values.
    pub values: Vec<String>,
}

client::inline_http_client! {
    struct Written {
        endpoint: Option<String>,
        region: Option<String>,
        access_key: Option<String>,
        secret_key: Option<Secret>,
        profile: Option<String>,
        role_arn: Option<String>,
        external_id: Option<String>,
        refresh_interval: Option<PromDuration>,
        port: Option<u16>,
        filters: Option<Vec<Filter>>,
    }
}

impl<'de> Deserialize<'de> for Ec2SdConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut written = Written::deserialize(deserializer)?;
        let http_client = written.http_client(true).map_err(de::Error::custom)?;
        let filters = written.filters.unwrap_or_default();
        if filters.iter().any(|filter| filter.values.is_empty()) {
            return Err(de::Error::custom("EC2 SD configuration filter values cannot be empty"));
        }
        let endpoint = written.endpoint.unwrap_or_default();
        if !endpoint.is_empty() {
            url::Url::parse(&endpoint)
                .map_err(|error| de::Error::custom(format!("parse {endpoint:?}: {error}")))?;
        }
        Ok(Ec2SdConfig {
            endpoint,
            region: written.region.unwrap_or_default(),
            access_key: written.access_key.unwrap_or_default(),
            secret_key: written.secret_key.unwrap_or_default(),
            profile: written.profile.unwrap_or_default(),
            role_arn: written.role_arn.unwrap_or_default(),
            external_id: written.external_id.unwrap_or_default(),
            refresh_interval: written.refresh_interval.unwrap_or(REFRESH_INTERVAL),
            port: written.port.unwrap_or(PORT),
            filters,
            http_client,
        })
    }
}
