//! Providers that ask again and again.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::group::TargetGroup;
use super::metrics::DiscoveryMetrics;
use super::{Context, Output};

/// A mechanism that gives all of its groups when it is asked.
pub(crate) trait Refresh: Send {
    /// The mechanism's name, as metrics have it.
    const MECHANISM: &'static str;

    /// All groups that there are now.
    fn refresh(&mut self) -> impl Future<Output = Result<Vec<TargetGroup>, String>> + Send;
}

/// A provider that asks a mechanism at an interval. What fails leaves the last good groups standing.
pub(crate) struct Refreshed<R> {
    source: R,
    interval: Duration,
    job_name: String,
    metrics: Option<DiscoveryMetrics>,
}

impl<R: Refresh> Refreshed<R> {
    pub(crate) fn new(source: R, interval: Duration, context: &Context) -> Self {
        let metrics = context.metrics.clone();
        Refreshed { source, interval, job_name: context.job_name.clone(), metrics }
    }

    pub(crate) async fn run(mut self, output: Output) {
        let mut ticks = interval(self.interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known: BTreeSet<String> = BTreeSet::new();
        loop {
            ticks.tick().await;
            let started = Instant::now();
            let refreshed = self.source.refresh().await;
            if let Some(metrics) = &self.metrics {
                metrics.note_refresh(R::MECHANISM, &self.job_name, started.elapsed(), refreshed.is_ok());
            }
            let mut groups = match refreshed {
                Ok(groups) => groups,
                Err(error) => {
                    tracing::error!(discovery = R::MECHANISM, config = %self.job_name, %error, "Unable to refresh target groups");
                    continue;
                }
            };
            let current: BTreeSet<String> = groups.iter().map(|group| group.source.clone()).collect();
            let gone = known.difference(&current).cloned();
            groups.extend(gone.map(|source| TargetGroup { source, ..TargetGroup::default() }));
            known = current;
            if !output.send(groups).await {
                return;
            }
        }
    }
}
