//! What is scraped: the scrape manager, as the API and a new configuration see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::state::{ActiveTarget, DroppedTarget, RelabelStep, TargetHealth, TargetMetadata, TargetsSource};
use model::duration::PromDuration;
use model::labels::Labels;
use model::relabel;
use scrape::config::JobConfig;
use scrape::{Manager, PoolStatus, TargetState, TargetStatus};

use super::status::external_labels;
use crate::config::Config;
use crate::flags::Features;
use crate::reload::Part;

/// Shows what is scraped.
#[derive(Debug)]
pub(super) struct Targets(pub(super) Arc<Manager>);

impl Targets {
    /// All pools, or the one of this name.
    fn pools(&self, name: Option<&str>) -> impl Iterator<Item = PoolStatus> {
        let name = name.map(str::to_owned);
        let pools = self.0.targets().into_iter();
        pools.filter(move |pool| name.as_ref().is_none_or(|name| pool.job_name == *name))
    }

    fn job(&self, name: &str) -> Result<JobConfig, String> {
        self.0.job(name).ok_or_else(|| format!("scrape pool {name:?} not found"))
    }
}

impl TargetsSource for Targets {
    fn active(&self, pool: Option<&str>) -> Vec<ActiveTarget> {
        self.pools(pool).flat_map(|pool| pool.active).map(active_target).collect()
    }

    fn dropped(&self, pool: Option<&str>) -> Vec<DroppedTarget> {
        let dropped = |pool: PoolStatus| {
            let scrape_pool = pool.job_name;
            pool.dropped.into_iter().map(move |discovered_labels| DroppedTarget {
                discovered_labels,
                scrape_pool: scrape_pool.clone(),
            })
        };
        self.pools(pool).flat_map(dropped).collect()
    }

    fn dropped_counts(&self) -> BTreeMap<String, usize> {
        self.pools(None).map(|pool| (pool.job_name, pool.dropped_count)).collect()
    }

    fn scrape_pools(&self) -> Vec<String> {
        self.pools(None).map(|pool| pool.job_name).collect()
    }

    fn scrape_pool_config(&self, pool: &str) -> Result<String, String> {
        serde_saphyr::to_string(&self.job(pool)?).map_err(|error| error.to_string())
    }

    fn relabel_steps(&self, pool: &str, labels: &Labels) -> Result<Vec<RelabelStep>, String> {
        let job = self.job(pool)?;
        let steps = relabel::steps(&job.relabel_configs, labels).into_iter();
        steps
            .map(|step| {
                let rule = serde_json::to_value(step.rule).map_err(|error| error.to_string())?;
                Ok(RelabelStep { rule, output: step.output, keep: step.keep })
            })
            .collect()
    }

    fn metadata(&self, metric: Option<&str>, target: &dyn Fn(&Labels) -> bool) -> Vec<TargetMetadata> {
        let all = self.0.metadata(metric.unwrap_or_default()).into_iter();
        all.filter(|found| target(&found.target))
            .map(|found| TargetMetadata {
                target: found.target,
                metric: found.metric,
                metadata: found.metadata,
            })
            .collect()
    }
}

fn active_target(target: TargetStatus) -> ActiveTarget {
    ActiveTarget {
        discovered_labels: target.discovered_labels,
        labels: target.labels,
        scrape_pool: target.scrape_pool,
        scrape_url: target.scrape_url,
        last_error: target.last_error,
        last_scrape_ms: target.last_scrape_ms,
        last_scrape_duration_secs: target.last_scrape_duration.as_secs_f64(),
        health: match target.state {
            TargetState::Unknown => TargetHealth::Unknown,
            TargetState::Up => TargetHealth::Up,
            TargetState::Down => TargetHealth::Down,
        },
        scrape_interval: PromDuration(target.scrape_interval).to_string(),
        scrape_timeout: PromDuration(target.scrape_timeout).to_string(),
    }
}

/// Scrapes what the configuration says.
#[derive(Debug)]
pub(super) struct Scraping {
    pub(super) manager: Arc<Manager>,
    pub(super) features: Features,
}

impl Part for Scraping {
    fn name(&self) -> &'static str {
        "scrape"
    }

    fn apply(&self, config: &Config) -> Result<(), String> {
        let mut jobs = config.jobs.clone();
        for job in &mut jobs {
            job.extra_scrape_metrics |= self.features.extra_scrape_metrics;
        }
        self.manager.apply(jobs, &external_labels(config)).map_err(|failed| {
            let failed = failed.into_iter().map(|(job, error)| format!("job {job:?}: {error}"));
            failed.collect::<Vec<_>>().join("; ")
        })
    }
}
