//! What is scraped: nothing yet.

use std::collections::BTreeMap;

use api::state::{ActiveTarget, DroppedTarget, RelabelStep, TargetMetadata, TargetsSource};
use model::labels::Labels;

/// No targets.
#[derive(Debug)]
pub(super) struct Targets;

impl TargetsSource for Targets {
    fn active(&self, _pool: Option<&str>) -> Vec<ActiveTarget> {
        Vec::new()
    }

    fn dropped(&self, _pool: Option<&str>) -> Vec<DroppedTarget> {
        Vec::new()
    }

    fn dropped_counts(&self) -> BTreeMap<String, usize> {
        BTreeMap::new()
    }

    fn scrape_pools(&self) -> Vec<String> {
        Vec::new()
    }

    fn scrape_pool_config(&self, pool: &str) -> Result<String, String> {
        Err(format!("scrape pool {pool:?} not found"))
    }

    fn relabel_steps(&self, pool: &str, _labels: &Labels) -> Result<Vec<RelabelStep>, String> {
        Err(format!("scrape pool {pool:?} not found"))
    }

    fn metadata(&self, _metric: Option<&str>, _target: &dyn Fn(&Labels) -> bool) -> Vec<TargetMetadata> {
        Vec::new()
    }
}
