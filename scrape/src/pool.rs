//! A pool: all targets of a job, kept in step with discovery and configuration.
//!
//! One task owns a pool. It hears of target groups and of new configurations, and starts, stops and hands
//! over scrape loops accordingly. What others may know it publishes as a snapshot.

use std::sync::Arc;

use client::{Client, ClientError};
use hashbrown::HashMap;
use model::labels::Labels;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::discovery::Discovery;
use crate::error::TargetError;
use crate::manager::{client_options, discovery_context};
use crate::scrape_loop::{LoopHandle, PoolContext, spawn};
use crate::session::Session;
use crate::status::TargetHealth;
use crate::target::{Discovered, Target, build};

/// What a pool is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// A new configuration is in force.
    Reload(Arc<PoolContext>),
    /// The job is gone: series end.
    End,
    /// The server stops: nothing more is written.
    Quit,
}

/// What others may know of a pool.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) active: Vec<(Arc<Target>, Arc<TargetHealth>)>,
    pub(crate) dropped: Vec<Labels>,
    pub(crate) dropped_count: usize,
}

/// A target with its loop.
#[derive(Debug)]
struct Active {
    /// The configuration that its loop works by.
    context: Arc<PoolContext>,
    target: Arc<Target>,
    health: Arc<TargetHealth>,
    handle: LoopHandle,
}

/// The task's state.
pub(crate) struct Pool {
    context: Arc<PoolContext>,
    discovery: Discovery,
    clients: Clients,
    /// Targets by [`Target::identity`].
    active: HashMap<u64, Active>,
    /// Loops that end their series in their own time.
    ending: Vec<LoopHandle>,
    snapshot: Arc<Mutex<Snapshot>>,
}

/// Targets that discovery and relabelling leave.
#[derive(Default)]
struct Wanted {
    targets: HashMap<u64, Target>,
    dropped: Vec<Labels>,
    dropped_count: usize,
}

/// The pool's HTTP client, and one for each socket that stands for hosts.
#[derive(Debug)]
struct Clients {
    tcp: Arc<Client>,
    unix: HashMap<String, Arc<Client>>,
}

impl Clients {
    fn new(context: &PoolContext) -> Result<Self, ClientError> {
        Ok(Clients { tcp: Arc::new(client(context, None)?), unix: HashMap::new() })
    }

    fn of(&mut self, context: &PoolContext, target: &Target) -> Result<Arc<Client>, ClientError> {
        let Some(path) = &target.unix_socket else { return Ok(self.tcp.clone()) };
        if let Some(client) = self.unix.get(path) {
            return Ok(client.clone());
        }
        let made = Arc::new(client(context, Some(path.clone()))?);
        self.unix.insert(path.clone(), made.clone());
        Ok(made)
    }
}

fn client(context: &PoolContext, unix_socket: Option<String>) -> Result<Client, ClientError> {
    let options = client_options(&context.options, &context.job.job_name, unix_socket);
    Client::new(&context.job.http_client, options)
}

impl Pool {
    /// A pool that has no targets yet. Fails if its HTTP clients can't be made.
    pub(crate) fn new(
        context: Arc<PoolContext>,
        snapshot: Arc<Mutex<Snapshot>>,
    ) -> Result<Self, ClientError> {
        let discovery = Discovery::start(&context.job.discovery, &discovery_context(&context))?;
        let clients = Clients::new(&context)?;
        Ok(Pool { context, discovery, clients, active: HashMap::new(), ending: Vec::new(), snapshot })
    }

    /// Works until it is told to stop.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        // Discovery that takes long must not hold up the targets that are known.
        let mut sync_at = Some(Instant::now() + self.context.options.discovery_reload_interval);
        loop {
            let due = sync_at.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Reload(context)) => sync_at = Some(self.reload(context)),
                    Some(Command::End) => return self.stop(true).await,
                    Some(Command::Quit) | None => return self.stop(false).await,
                },
                () = self.discovery.changed() => {
                    self.context.metrics.sd_received.with_label_values(&["scrape"]).inc();
                    let first = !self.discovery.was_complete();
                    let soon = Instant::now() + self.context.options.discovery_reload_interval;
                    sync_at = if first && self.discovery.complete() {
                        Some(Instant::now())
                    } else {
                        Some(sync_at.map_or(soon, |at| at.min(soon)))
                    };
                }
                () = sleep_until(due), if sync_at.is_some() => {
                    self.sync().await;
                    sync_at = None;
                }
            }
        }
    }

    /// Brings the loops in step with what discovery knows and the configuration says.
    async fn sync(&mut self) {
        let started = Instant::now();
        let mut wanted = self.wanted();
        self.ending.retain(|handle| !handle.is_finished());
        self.check_target_limit(wanted.targets.len());
        let before: Vec<(u64, Active)> = self.active.drain().collect();
        for (identity, active) in before {
            match wanted.targets.remove(&identity) {
                Some(target) => self.go_on(identity, active, target).await,
                None => self.end(active),
            }
        }
        for (identity, target) in wanted.targets {
            self.start(identity, target, None);
        }
        self.publish(wanted.dropped, wanted.dropped_count);
        self.note_sync(started);
    }

    /// Leaves a target's loop as it is, or gives the target one that works by the configuration in force.
    /// What its lines stand for is kept if the configuration leaves that as it is.
    async fn go_on(&mut self, identity: u64, active: Active, target: Target) {
        if Arc::ptr_eq(&active.context, &self.context) && *active.target == target {
            self.active.insert(identity, active);
        } else if self.context.job.keeps_cache_of(&active.context.job) {
            let session = active.handle.hand_over().await;
            self.start(identity, target, session);
            if let Some(started) = self.active.get(&identity) {
                started.health.set(active.health.get());
            }
        } else {
            self.end(active);
            self.start(identity, target, None);
        }
    }

    fn end(&mut self, active: Active) {
        active.handle.end();
        self.ending.push(active.handle);
    }

    fn note_sync(&self, started: Instant) {
        let (metrics, job) = (&self.context.metrics, self.context.job.job_name.as_str());
        let seconds = started.elapsed().as_secs_f64();
        metrics.sync_length.with_label_values(&[job]).observe(seconds);
        metrics.sync_length_histogram.with_label_values(&[job]).observe(seconds);
        metrics.pool_syncs.with_label_values(&[job]).inc();
        metrics.pool_targets.with_label_values(&[job]).set(self.active.len() as i64);
        metrics.pool_target_limit.with_label_values(&[job]).set(self.context.job.target_limit as i64);
        metrics.sd_updates.with_label_values(&["scrape"]).inc();
        let found = self.discovery.groups().map(|group| group.targets.len()).sum::<usize>();
        metrics.sd_discovered.with_label_values(&["scrape", job]).set(found as f64);
    }

    /// Makes targets of all groups, each target once.
    fn wanted(&self) -> Wanted {
        let job = &self.context.job;
        let mut wanted = Wanted::default();
        for group in self.discovery.groups() {
            for own in &group.targets {
                match build(job, own, &group.labels) {
                    Ok(Discovered::Target(target)) => {
                        wanted.targets.entry(target.identity()).or_insert(*target);
                    }
                    Ok(Discovered::Dropped(labels)) => {
                        wanted.dropped_count += 1;
                        let limit = job.keep_dropped_targets;
                        if limit == 0 || (wanted.dropped.len() as u64) < limit {
                            wanted.dropped.push(labels);
                        }
                    }
                    Err(error) => self.note_failed_target(own, &error),
                }
            }
        }
        wanted
    }

    fn note_failed_target(&self, own: &Labels, error: &TargetError) {
        let job = &self.context.job.job_name;
        self.context.metrics.syncs_failed.with_label_values(&[job]).inc();
        tracing::error!(scrape_pool = %job, target = %own, %error, "Creating target failed");
    }

    fn check_target_limit(&self, targets: usize) {
        let limit = self.context.job.target_limit;
        let exceeded = limit > 0 && targets as u64 > limit;
        if exceeded {
            self.context.metrics.exceeded_target_limit.inc();
        }
        *self.context.forced_error.lock() =
            exceeded.then(|| format!("target_limit exceeded (number of targets: {targets}, limit: {limit})"));
    }

    fn start(&mut self, identity: u64, target: Target, session: Option<Session>) {
        let client = match self.clients.of(&self.context, &target) {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(scrape_pool = %self.context.job.job_name, target = %target.url, %error, "Creating HTTP client failed");
                return;
            }
        };
        let session = session.unwrap_or_else(|| Session::new(self.context.options.hash_seed, Arc::default()));
        let target = Arc::new(target);
        let health = Arc::new(TargetHealth::new(session.metadata().clone()));
        let handle = spawn(self.context.clone(), target.clone(), client, health.clone(), session);
        self.active.insert(identity, Active { context: self.context.clone(), target, health, handle });
    }

    /// Takes a new configuration over; loops follow when the pool is next brought in step, whose time this
    /// returns. A configuration that can't be used leaves everything as it was.
    fn reload(&mut self, context: Arc<PoolContext>) -> Instant {
        let started = Instant::now();
        context.metrics.pool_reloads.inc();
        let interval = context.job.scrape_interval.to_string();
        let length = context.metrics.reload_length.with_label_values(&[&interval]);
        let wait = context.options.discovery_reload_interval;
        if let Err(error) = self.try_reload(context.clone()) {
            context.metrics.pool_reloads_failed.inc();
            tracing::error!(scrape_pool = %context.job.job_name, %error, "Reloading the scrape pool failed");
        }
        length.observe(started.elapsed().as_secs_f64());
        // Discovery that has just begun is given the time to find what was there before.
        if self.discovery.was_complete() { started } else { started + wait }
    }

    fn try_reload(&mut self, context: Arc<PoolContext>) -> Result<(), ClientError> {
        let clients = Clients::new(&context)?;
        if context.job.discovery != self.context.job.discovery {
            self.discovery = Discovery::start(&context.job.discovery, &discovery_context(&context))?;
        }
        self.clients = clients;
        self.context = context;
        Ok(())
    }

    fn publish(&self, dropped: Vec<Labels>, dropped_count: usize) {
        let mut active: Vec<_> = self.active.values().map(|a| (a.target.clone(), a.health.clone())).collect();
        active.sort_by(|(a, _), (b, _)| a.labels.cmp(&b.labels).then_with(|| a.url.cmp(&b.url)));
        *self.snapshot.lock() = Snapshot { active, dropped, dropped_count };
    }

    async fn stop(mut self, ends_series: bool) {
        let active = self.active.drain().map(|(_, active)| active.handle);
        let handles: Vec<LoopHandle> = active.chain(self.ending.drain(..)).collect();
        if ends_series {
            *self.snapshot.lock() = Snapshot::default();
            handles.iter().for_each(LoopHandle::end);
            for handle in handles {
                handle.finished().await;
            }
        } else {
            for handle in handles {
                handle.quit().await;
            }
        }
    }
}
