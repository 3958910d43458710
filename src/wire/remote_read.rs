//! Reading from other systems: their samples together with those of the storage.

use std::sync::Arc;

use model::time::TimestampMs;
use prometheus::Registry;
use remote::read::{LocalStart, Merged, MergedParts};
use tokio::runtime::Handle;

use super::chunks::Chunks;
use super::status::external_labels;
use super::storage::Storage;
use crate::config::Config;
use crate::flags::Flags;
use crate::reload::Part;

/// The storage together with those that the configuration will name.
pub(super) fn merged(storage: &Storage, flags: &Flags, registry: &Registry) -> prometheus::Result<Merged> {
    // As in the reference: what is at the very beginning may not be whole.
    let margin_ms = 2 * flags.storage.min_block_duration.as_millis();
    let parts = MergedParts {
        local: Arc::new(storage.clone()),
        start: Arc::new(Start { storage: storage.clone(), margin_ms }),
        chunks: Arc::new(Chunks),
        runtime: Handle::current(),
        user_agent: format!("Ferula/{}", crate::version::VERSION),
    };
    Merged::new(parts, registry)
}

/// From when on the storage has everything.
#[derive(Debug)]
struct Start {
    storage: Storage,
    margin_ms: i64,
}

impl LocalStart for Start {
    fn local_start_ms(&self) -> TimestampMs {
        self.storage.oldest_ms().saturating_add(self.margin_ms)
    }
}

/// Reads from whom the configuration says.
#[derive(Debug)]
pub(super) struct Reading(pub(super) Arc<Merged>);

impl Part for Reading {
    fn name(&self) -> &'static str {
        "remote_storage"
    }

    fn apply(&self, config: &Config) -> Result<(), String> {
        let external_labels = external_labels(config);
        self.0.apply(config.remote_read.iter().map(|section| section.client(&external_labels)).collect())
    }
}
