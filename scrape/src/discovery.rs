//! Discovery: where targets come from.
//!
//! Each section of a job's configuration is a **provider**: a task that yields target groups. A group has a
//! source, and a later group of the same source takes its place; one without targets removes it. A provider
//! that fails keeps quiet, so that its last good groups stand. [`Discovery`] holds the groups of all
//! providers of a job.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use client::ClientError;
use model::duration::PromDuration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::config::DiscoveryConfigs;
pub use self::file::groups_of_files;
pub use self::group::TargetGroup;
pub use self::metrics::DiscoveryMetrics;
use self::refresh::{Refresh, Refreshed};

mod ask;
pub mod config;
pub mod consul;
mod dns;
pub mod docker;
pub mod ec2;
mod file;
pub mod group;
mod http;
mod json;
pub mod kubernetes;
mod meta;
mod metrics;
mod refresh;

/// Updates that wait to be taken: a provider that is ahead of its reader waits.
const UPDATES_WAITING_MAX: usize = 16;

/// What providers need beside their configuration.
#[derive(Clone, Debug)]
pub struct Context {
    /// Whose targets these are, for logs and metrics.
    pub job_name: String,
    /// For providers that ask over HTTP.
    pub client: client::Options,
    /// Where refreshes are counted.
    pub metrics: Option<DiscoveryMetrics>,
}

/// Target groups of one provider.
#[derive(Debug)]
struct Update {
    provider: usize,
    groups: Vec<TargetGroup>,
}

/// Where a provider puts its groups.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    provider: usize,
    updates: mpsc::Sender<Update>,
}

impl Output {
    /// Hands groups over. Says whether anybody is still interested.
    pub(crate) async fn send(&self, groups: Vec<TargetGroup>) -> bool {
        self.updates.send(Update { provider: self.provider, groups }).await.is_ok()
    }

    /// Waits until nobody is interested any more.
    pub(crate) async fn closed(&self) {
        self.updates.closed().await;
    }
}

/// A provider at work; ends when nobody is interested any more.
type Provider = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The groups of all providers of a job. Providers stop when it is dropped.
#[derive(Debug)]
pub struct Discovery {
    updates: mpsc::Receiver<Update>,
    /// Groups by provider and source.
    groups: BTreeMap<(usize, String), TargetGroup>,
    /// For each provider whether it has said something.
    heard: Vec<bool>,
    was_complete: bool,
    _tasks: JoinSet<()>,
}

impl Discovery {
    /// Starts the providers of a configuration.
    ///
    /// # Errors
    ///
    /// A provider's HTTP client can't be made.
    pub fn start(configs: &DiscoveryConfigs, context: &Context) -> Result<Self, ClientError> {
        let (sender, updates) = mpsc::channel(UPDATES_WAITING_MAX);
        let providers = Providers { context, sender, all: Vec::new() }.of(configs)?;
        let heard = vec![false; providers.len()];
        let mut tasks = JoinSet::new();
        for provider in providers {
            tasks.spawn(provider);
        }
        let was_complete = heard.is_empty();
        Ok(Discovery { updates, groups: BTreeMap::new(), heard, was_complete, _tasks: tasks })
    }

    /// Waits until there is news and takes it in. Never returns if there will be none.
    pub async fn changed(&mut self) {
        match self.updates.recv().await {
            Some(update) => self.take(update),
            None => std::future::pending().await,
        }
        while let Ok(update) = self.updates.try_recv() {
            self.take(update);
        }
    }

    fn take(&mut self, update: Update) {
        self.heard[update.provider] = true;
        for group in update.groups {
            let key = (update.provider, group.source.clone());
            if group.targets.is_empty() {
                self.groups.remove(&key);
            } else {
                self.groups.insert(key, group);
            }
        }
    }

    /// Whether [`Self::complete`] has ever been true.
    pub fn was_complete(&self) -> bool {
        self.was_complete
    }

    /// Whether every provider has said something.
    pub fn complete(&mut self) -> bool {
        self.was_complete |= self.heard.iter().all(|heard| *heard);
        self.was_complete
    }

    /// The groups as they are known.
    pub fn groups(&self) -> impl Iterator<Item = &TargetGroup> {
        self.groups.values()
    }
}

/// The providers of a configuration, as they are made.
struct Providers<'a> {
    context: &'a Context,
    sender: mpsc::Sender<Update>,
    all: Vec<Provider>,
}

impl Providers<'_> {
    fn of(mut self, configs: &DiscoveryConfigs) -> Result<Vec<Provider>, ClientError> {
        let context = self.context;
        if !configs.static_configs.is_empty() {
            self.add(|output| send_static(configs.static_configs.clone(), output));
        }
        for config in &configs.file_sd_configs {
            self.add(|output| file::run(config.clone(), context.clone(), output));
        }
        for config in &configs.http_sd_configs {
            self.add_refreshed(http::HttpDiscovery::new(config, context)?, config.refresh_interval);
        }
        for config in &configs.dns_sd_configs {
            self.add_refreshed(dns::DnsDiscovery::new(config, context), config.refresh_interval);
        }
        for config in &configs.consul_sd_configs {
            let discovery = consul::ConsulDiscovery::new(config, context)?;
            self.add(|output| discovery.run(output));
        }
        for config in &configs.docker_sd_configs {
            let discovery = docker::DockerDiscovery::new(config, context)?;
            self.add_refreshed(discovery, config.engine.refresh_interval);
        }
        for config in &configs.dockerswarm_sd_configs {
            let discovery = docker::SwarmDiscovery::new(config, context)?;
            self.add_refreshed(discovery, config.engine.refresh_interval);
        }
        for config in &configs.ec2_sd_configs {
            self.add_refreshed(ec2::Ec2Discovery::new(config, context)?, config.refresh_interval);
        }
        for config in &configs.kubernetes_sd_configs {
            let discovery = kubernetes::KubernetesDiscovery::new(config, context);
            self.add(|output| discovery.run(output));
        }
        Ok(self.all)
    }

    fn add<F: Future<Output = ()> + Send + 'static>(&mut self, run: impl FnOnce(Output) -> F) {
        let output = Output { provider: self.all.len(), updates: self.sender.clone() };
        self.all.push(Box::pin(run(output)));
    }

    fn add_refreshed(&mut self, source: impl Refresh + 'static, interval: PromDuration) {
        let refreshed = Refreshed::new(source, interval.0, self.context);
        self.add(|output| refreshed.run(output));
    }
}

/// The provider of targets that stand in the configuration itself: says them once.
async fn send_static(configs: Vec<config::StaticConfig>, output: Output) {
    let groups = configs
        .into_iter()
        .enumerate()
        .map(|(index, config)| TargetGroup::of_addresses(&config.targets, config.labels, index.to_string()));
    output.send(groups.collect()).await;
}
