//! What is known of targets from outside: for the targets page and the metadata endpoints.

use std::sync::Arc;
use std::time::Duration;

use model::labels::Labels;
use model::metadata::Metadata;
use model::time::TimestampMs;
use parking_lot::Mutex;

use crate::metadata::MetadataCache;
use crate::target::Target;

/// How a target's last scrape went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    pub(crate) last_scrape_ms: Option<TimestampMs>,
    pub(crate) last_duration: Duration,
    pub(crate) last_error: Option<String>,
}

/// A target's health and metadata, shared by its loop and those who ask.
#[derive(Debug, Default)]
pub(crate) struct TargetHealth {
    health: Mutex<Health>,
    metadata: Arc<Mutex<MetadataCache>>,
}

impl TargetHealth {
    /// Goes on with the metadata of an earlier loop.
    pub(crate) fn new(metadata: Arc<Mutex<MetadataCache>>) -> Self {
        TargetHealth { health: Mutex::default(), metadata }
    }

    pub(crate) fn set(&self, health: Health) {
        *self.health.lock() = health;
    }

    pub(crate) fn get(&self) -> Health {
        self.health.lock().clone()
    }

    pub(crate) fn metadata(&self) -> &Arc<Mutex<MetadataCache>> {
        &self.metadata
    }
}

/// Whether a target answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// It wasn't scraped yet.
    Unknown,
    /// The last scrape went well.
    Up,
    /// The last scrape failed.
    Down,
}

impl TargetState {
    /// The word in the HTTP API.
    pub fn as_str(self) -> &'static str {
        match self {
            TargetState::Unknown => "unknown",
            TargetState::Up => "up",
            TargetState::Down => "down",
        }
    }
}

/// A target as the targets page shows it.
#[derive(Clone, Debug)]
pub struct TargetStatus {
    /// Labels before relabelling.
    pub discovered_labels: Labels,
    /// Labels of the target's samples.
    pub labels: Labels,
    /// The job.
    pub scrape_pool: String,
    /// What is asked for.
    pub scrape_url: String,
    /// Why the last scrape failed, `""` if it didn't.
    pub last_error: String,
    /// When the last scrape was; `None` before the first.
    pub last_scrape_ms: Option<TimestampMs>,
    /// How long it took.
    pub last_scrape_duration: Duration,
    /// Whether it went well.
    pub state: TargetState,
    /// How often the target is scraped.
    pub scrape_interval: Duration,
    /// How long a scrape may take.
    pub scrape_timeout: Duration,
}

impl TargetStatus {
    pub(crate) fn new(job: &str, target: &Target, health: Health) -> Self {
        let state = match (&health.last_scrape_ms, &health.last_error) {
            (None, _) => TargetState::Unknown,
            (Some(_), None) => TargetState::Up,
            (Some(_), Some(_)) => TargetState::Down,
        };
        TargetStatus {
            discovered_labels: target.discovered.clone(),
            labels: target.labels.clone(),
            scrape_pool: job.to_owned(),
            scrape_url: target.url.clone(),
            last_error: health.last_error.unwrap_or_default(),
            last_scrape_ms: health.last_scrape_ms,
            last_scrape_duration: health.last_duration,
            state,
            scrape_interval: target.interval,
            scrape_timeout: target.timeout,
        }
    }
}

/// All targets of a job.
#[derive(Clone, Debug, Default)]
pub struct PoolStatus {
    /// The job.
    pub job_name: String,
    /// Targets that are scraped, by labels.
    pub active: Vec<TargetStatus>,
    /// Labels, before relabelling, of targets that relabelling dropped; at most `keep_dropped_targets`.
    pub dropped: Vec<Labels>,
    /// How many were dropped.
    pub dropped_count: usize,
}

/// What a target says of one of its metric families.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetMetadata {
    /// The labels of the target's samples.
    pub target: Labels,
    /// The family.
    pub metric: String,
    /// What is known of it.
    pub metadata: Metadata,
}
