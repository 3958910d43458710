//! Sending to other systems: the sender, as the storage, the targets and a new configuration see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::state::StorageStatus;
use model::metadata::Metadata;
use remote::write::sender::{MetadataSource, Sender};
use scrape::Manager;

use super::status::external_labels;
use super::storage::Storage;
use crate::config::Config;
use crate::reload::Part;

/// Sends what the configuration says.
#[derive(Debug)]
pub(super) struct Sending(pub(super) Arc<Sender>);

impl Part for Sending {
    fn name(&self) -> &'static str {
        "remote_storage"
    }

    fn apply(&self, config: &Config) -> Result<(), String> {
        let external_labels = external_labels(config);
        self.0.apply(config.remote_write.iter().map(|section| section.endpoint(&external_labels)).collect())
    }
}

/// The families that targets tell of, and others that the storage knows. Of what is told of one family, one
/// thing is taken.
#[derive(Debug)]
pub(super) struct KnownFamilies {
    pub(super) scraping: Arc<Manager>,
    pub(super) storage: Storage,
}

impl MetadataSource for KnownFamilies {
    fn families(&self) -> Vec<(String, Metadata)> {
        // Until the storage is open, there is nothing to send either.
        let stored = self.storage.families().unwrap_or_default().into_iter();
        let mut by_name: BTreeMap<String, Metadata> =
            stored.map(|family| (family.name.clone(), family.metadata.clone())).collect();
        by_name.extend(self.scraping.metadata("").into_iter().map(|found| (found.metric, found.metadata)));
        by_name.into_iter().collect()
    }
}
