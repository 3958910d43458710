//! Sending to other systems: the sender, as the storage, the targets and a new configuration see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::metadata::Metadata;
use remote::write::sender::{MetadataSource, Sender};
use scrape::Manager;

use super::status::external_labels;
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

/// The families that targets tell of. Of a family that several tell of, one is taken.
#[derive(Debug)]
pub(super) struct TargetFamilies(pub(super) Arc<Manager>);

impl MetadataSource for TargetFamilies {
    fn families(&self) -> Vec<(String, Metadata)> {
        let all = self.0.metadata("").into_iter();
        let by_name: BTreeMap<String, Metadata> = all.map(|found| (found.metric, found.metadata)).collect();
        by_name.into_iter().collect()
    }
}
