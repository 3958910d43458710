//! Remote write, the sending side: from the storage's log to other systems.
//!
//! ```text
//! log ──► reader (thread) ──► shards, bounded queues ──► a task each: batch, request, retry ──► endpoint
//!           │ relabels once for a series                    │
//!           └──────────── position in the log ◄─────────────┘ what was taken or refused
//! ```
//!
//! The log is the queue: what an endpoint can't take stays on disk and costs no memory. The position of an
//! endpoint outlives the process, so that it goes on where it was, and within the bounds of what the log keeps an
//! outage loses nothing. After a crash the samples of the last second may be sent a second time. A new endpoint
//! begins with what is stored from then on.
//!
//! A configuration that doesn't change leaves its endpoint alone; a changed one with the same `name` goes on at
//! the position of the old one.
//!
//! Differences to the reference: a full queue waits for room instead of trying again; when the number of shards
//! changes, what waits is handed on instead of being flushed; `queue_highest_timestamp_seconds` goes on while
//! the queue is full, so that it shows how far an endpoint is behind that takes nothing.

mod config;
mod encode;
mod endpoint;
mod item;
mod metadata;
mod metadata_task;
mod metrics;
mod post;
mod reader;
mod request;
mod sending;
mod series;
mod shard;
mod sharding;
mod shards;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use model::log::Log;
use model::time::Clock;
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

pub use config::{EndpointConfig, MetadataConfig, QueueConfig};
pub use metadata::MetadataSource;
pub use request::request;

use endpoint::{Endpoint, Parts};
use metrics::Metrics;

/// What a sender is made of.
#[derive(Debug)]
pub struct SenderParts {
    /// Where samples come from.
    pub log: Arc<dyn Log>,
    /// Where metadata comes from.
    pub metadata: Arc<dyn MetadataSource>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where its tasks run.
    pub runtime: Handle,
    /// The header `User-Agent`.
    pub user_agent: String,
    /// How long an endpoint that ends may go on sending (`--storage.remote.flush-deadline`).
    pub flush_deadline: Duration,
}

/// Sends to all endpoints.
#[derive(Debug)]
pub struct Sender {
    parts: Parts,
    flush_deadline: Duration,
    endpoints: Mutex<Vec<Endpoint>>,
}

impl Sender {
    /// A sender without endpoints.
    ///
    /// # Errors
    ///
    /// Its metrics are registered already.
    pub fn new(parts: SenderParts, registry: &Registry) -> prometheus::Result<Self> {
        let SenderParts { log, metadata, clock, runtime, user_agent, flush_deadline } = parts;
        let metrics = Arc::new(Metrics::new(registry)?);
        let counted = Arc::new(AtomicU64::new(0));
        let parts = Parts { log, metadata, clock, metrics, user_agent, runtime, counted };
        Ok(Sender { parts, flush_deadline, endpoints: Mutex::default() })
    }

    /// Takes a configuration: endpoints that are in it unchanged are left alone. Blocks until those that aren't
    /// have ended, for which they have the flush deadline. Not for a thread that runs tasks.
    ///
    /// # Errors
    ///
    /// Those that can't be started, in a sentence; the others run.
    pub fn apply(&self, configs: Vec<EndpointConfig>) -> Result<(), String> {
        let mut endpoints = self.endpoints.lock();
        let (kept, ended): (Vec<Endpoint>, Vec<Endpoint>) =
            endpoints.drain(..).partition(|endpoint| configs.contains(endpoint.config()));
        self.parts.runtime.block_on(self.stop(ended));
        *endpoints = kept;
        let names: Vec<&str> = configs.iter().map(|config| config.name.as_str()).collect();
        self.parts.log.keep_followers(&names);
        let mut failed = Vec::new();
        for config in configs {
            if endpoints.iter().any(|endpoint| *endpoint.config() == config) {
                continue;
            }
            let name = config.name.clone();
            match Endpoint::start(config, &self.parts) {
                Ok(endpoint) => endpoints.push(endpoint),
                Err(error) => failed.push(format!("remote write {name:?}: {error}")),
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }

    /// Ends all endpoints.
    pub async fn shutdown(&self) {
        let ended = std::mem::take(&mut *self.endpoints.lock());
        self.stop(ended).await;
    }

    async fn stop(&self, ended: Vec<Endpoint>) {
        let mut stopping = JoinSet::new();
        for endpoint in ended {
            stopping.spawn_on(endpoint.stop(self.flush_deadline), &self.parts.runtime);
        }
        while stopping.join_next().await.is_some() {}
    }
}
