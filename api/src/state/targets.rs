//! What is scraped.

use std::collections::BTreeMap;
use std::fmt::Debug;

use model::labels::Labels;
use model::metadata::Metadata;
use model::time::TimestampMs;

/// How a target's last scrape went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetHealth {
    /// Not scraped yet.
    #[default]
    Unknown,
    /// The last scrape succeeded.
    Up,
    /// The last scrape failed.
    Down,
}

impl TargetHealth {
    /// The word as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            TargetHealth::Unknown => "unknown",
            TargetHealth::Up => "up",
            TargetHealth::Down => "down",
        }
    }
}

/// A target that is scraped.
#[derive(Clone, Debug, Default)]
pub struct ActiveTarget {
    /// Labels before relabelling, those that begin with `__` included.
    pub discovered_labels: Labels,
    /// Labels that its series get.
    pub labels: Labels,
    /// Name of its scrape configuration.
    pub scrape_pool: String,
    /// What is fetched, parameters included.
    pub scrape_url: String,
    /// Why the last scrape failed, `""` if it didn't.
    pub last_error: String,
    /// When the last scrape began.
    pub last_scrape_ms: Option<TimestampMs>,
    /// How long it took.
    pub last_scrape_duration_secs: f64,
    /// How it went.
    pub health: TargetHealth,
    /// The interval, as a Prometheus duration.
    pub scrape_interval: String,
    /// The timeout, as a Prometheus duration.
    pub scrape_timeout: String,
}

/// A target that relabelling dropped.
#[derive(Clone, Debug, Default)]
pub struct DroppedTarget {
    /// Labels before relabelling.
    pub discovered_labels: Labels,
    /// Name of its scrape configuration.
    pub scrape_pool: String,
}

/// What a target said of one of its metric families.
#[derive(Clone, Debug, Default)]
pub struct TargetMetadata {
    /// The target's labels.
    pub target: Labels,
    /// Name of the metric family.
    pub metric: String,
    /// Its type, help and unit.
    pub metadata: Metadata,
}

/// One relabelling rule and what it made of a label set.
#[derive(Clone, Debug)]
pub struct RelabelStep {
    /// The rule, as JSON.
    pub rule: serde_json::Value,
    /// The labels after it; empty once the target is dropped.
    pub output: Labels,
    /// Whether the target is still there after it.
    pub keep: bool,
}

/// Knows the targets.
pub trait TargetsSource: Debug + Send + Sync {
    /// Active targets, by pool, within a pool in a stable order. `pool` restricts them to one pool.
    fn active(&self, pool: Option<&str>) -> Vec<ActiveTarget>;

    /// Dropped targets that are kept for show, ordered alike.
    fn dropped(&self, pool: Option<&str>) -> Vec<DroppedTarget>;

    /// For every pool how many targets were dropped, those not kept for show included.
    fn dropped_counts(&self) -> BTreeMap<String, usize>;

    /// Names of the pools, sorted.
    fn scrape_pools(&self) -> Vec<String>;

    /// The configuration of a pool as YAML, secrets blanked out. The error is a sentence for the client.
    fn scrape_pool_config(&self, pool: &str) -> Result<String, String>;

    /// The relabelling rules of a pool applied to a label set, step by step. The error is a sentence for the
    /// client.
    fn relabel_steps(&self, pool: &str, labels: &Labels) -> Result<Vec<RelabelStep>, String>;

    /// Metadata of active targets; `metric` restricts it to one family, `target` says which targets are
    /// wanted.
    fn metadata(&self, metric: Option<&str>, target: &dyn Fn(&Labels) -> bool) -> Vec<TargetMetadata>;
}
