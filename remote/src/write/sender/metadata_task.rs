//! Metadata: in requests of its own with protocol 1.0, with the samples in 2.0.

use std::sync::Arc;

use super::encode::Encoder;
use super::endpoint::Shared;
use super::metadata::{Families, MetadataSource};
use super::post::Posted;
use crate::write::Version;

/// Sends metadata, or has it at hand, until cancelled.
pub(super) async fn run(shared: Arc<Shared>, source: Arc<dyn MetadataSource>) {
    let mut interval = tokio::time::interval(shared.config.metadata.send_interval.0);
    let mut encoder = Encoder::default();
    loop {
        interval.tick().await;
        let source = Arc::clone(&source);
        // It looks at every target.
        let Ok(families) = tokio::task::spawn_blocking(move || source.families()).await else { continue };
        match shared.config.version {
            Version::V1 => {
                for families in families.chunks(shared.config.metadata.max_samples_per_send) {
                    let body = encoder.metadata(families);
                    shared.send_metadata(body, families.len() as u64).await;
                }
            }
            Version::V2 => shared.families.store(Arc::new(Families::new(families))),
        }
    }
}

impl Shared {
    async fn send_metadata(&self, body: bytes::Bytes, count: u64) {
        let mut backoff = self.config.queue.min_backoff.0;
        for attempt in 0.. {
            self.metrics.metadata.inc_by(count);
            self.metrics.metadata_bytes.inc_by(body.len() as u64);
            match self.poster.post(body.clone(), attempt, &*self.clock).await {
                Posted::Taken(_) => return,
                Posted::Refused(what, _) => {
                    self.metrics.metadata_failed.inc_by(count);
                    tracing::error!(
                        remote_name = self.config.name,
                        url = self.config.url,
                        count,
                        err = what,
                        "non-recoverable error while sending metadata"
                    );
                    return;
                }
                Posted::Later(what, after) => {
                    self.metrics.metadata_retried.inc_by(count);
                    let wait = after.unwrap_or(backoff);
                    backoff =
                        (wait * 2).clamp(self.config.queue.min_backoff.0, self.config.queue.max_backoff.0);
                    self.note_trouble(&what, wait, attempt);
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }
}
