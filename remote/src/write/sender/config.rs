//! What an endpoint is to be sent, and how.

use std::collections::BTreeMap;

use client::HttpClientConfig;
use client::aws::SigV4Config;
use model::duration::PromDuration;
use model::labels::Labels;
use model::relabel;
use serde::{Deserialize, Serialize};

use crate::write::Version;

/// One entry of `remote_write`, complete.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointConfig {
    /// Its name in metrics and in the log, and of its place in the write-ahead log.
    pub name: String,
    /// Where to send to.
    pub url: String,
    /// How long a request may take.
    pub remote_timeout: PromDuration,
    /// Headers of every request.
    pub headers: BTreeMap<String, String>,
    /// Labels that are added where a series hasn't them.
    pub external_labels: Labels,
    /// What changes labels, and drops series, after that.
    pub write_relabel: Vec<relabel::Config>,
    /// Whether exemplars are sent.
    pub send_exemplars: bool,
    /// Whether native histograms are sent.
    pub send_native_histograms: bool,
    /// Whether each connection goes to the next of the host's addresses.
    pub round_robin_dns: bool,
    /// Whether the log shows what was in requests that were refused.
    pub failed_request_logging: bool,
    /// Which version of the protocol is spoken.
    pub version: Version,
    /// How much waits, and how it is sent.
    pub queue: QueueConfig,
    /// How metadata is sent.
    pub metadata: MetadataConfig,
    /// Credentials, TLS, proxies.
    pub http_client: HttpClientConfig,
    /// Signs requests for Amazon.
    pub sigv4: Option<SigV4Config>,
}

/// `queue_config`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// Samples that may wait in a shard.
    pub capacity: usize,
    /// The most shards.
    pub max_shards: usize,
    /// The fewest shards.
    pub min_shards: usize,
    /// Samples of a request.
    pub max_samples_per_send: usize,
    /// How long a sample waits for others to be sent with.
    pub batch_send_deadline: PromDuration,
    /// How long to wait before the first retry.
    pub min_backoff: PromDuration,
    /// How long to wait before a retry, at most.
    pub max_backoff: PromDuration,
    /// Whether a request is sent again after 429.
    pub retry_on_http_429: bool,
    /// Samples that are older aren't sent; zero sends all.
    pub sample_age_limit: PromDuration,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig {
            capacity: 10_000,
            max_shards: 50,
            min_shards: 1,
            max_samples_per_send: 2_000,
            batch_send_deadline: PromDuration::from_secs(5),
            min_backoff: PromDuration(std::time::Duration::from_millis(30)),
            max_backoff: PromDuration::from_secs(5),
            retry_on_http_429: false,
            sample_age_limit: PromDuration::default(),
        }
    }
}

impl QueueConfig {
    /// What contradicts itself, in the reference's words.
    ///
    /// # Errors
    ///
    /// The first thing found.
    pub fn validate(&self) -> Result<(), String> {
        for (name, value) in [
            ("capacity", self.capacity),
            ("max_shards", self.max_shards),
            ("min_shards", self.min_shards),
            ("max_samples_per_send", self.max_samples_per_send),
        ] {
            if value == 0 {
                return Err(format!("remote write queue {name} must be positive"));
            }
        }
        if self.min_shards > self.max_shards {
            return Err("remote write queue min_shards must not be greater than max_shards".to_owned());
        }
        if self.max_backoff < self.min_backoff {
            return Err("remote write queue max_backoff must not be less than min_backoff".to_owned());
        }
        Ok(())
    }
}

/// `metadata_config`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetadataConfig {
    /// Whether it is sent.
    pub send: bool,
    /// How often.
    pub send_interval: PromDuration,
    /// Families of a request.
    pub max_samples_per_send: usize,
}

impl Default for MetadataConfig {
    fn default() -> Self {
        MetadataConfig { send: true, send_interval: PromDuration::from_secs(60), max_samples_per_send: 2_000 }
    }
}
