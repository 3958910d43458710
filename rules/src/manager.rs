//! Runs rule groups on their clocks, and changes them when the configuration changes.
//!
//! Each group has a task that sleeps until its next slot and evaluates on a thread that may block. A reload
//! leaves groups alone that it doesn't change; others take over the state of what they replace.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use model::labels::Labels;
use model::time::{Clock, TimestampMs};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::alerting::Alert;
use crate::file::GroupConfig;
use crate::group::{Group, Iteration, Sources, slot_before};
use crate::metrics::Metrics;
use crate::restore::{RestoreOptions, restore};
use crate::template::Environment;

/// Takes alerts on their way to Alertmanager. Never blocks for long.
pub trait AlertSink: std::fmt::Debug + Send + Sync {
    /// Alerts of a rule with this expression that are due for sending.
    fn send(&self, expr: &str, alerts: Vec<Alert>);
}

/// What a manager needs beside the rules.
#[derive(Debug)]
pub struct ManagerParts {
    /// What rules are evaluated with.
    pub sources: Sources,
    /// Tells when slots begin.
    pub clock: Arc<dyn Clock>,
    /// Where evaluations are counted.
    pub metrics: Arc<Metrics>,
    /// Where alerts go.
    pub sink: Arc<dyn AlertSink>,
    /// How alerts come back after a restart.
    pub restore: RestoreOptions,
    /// How often a firing alert is sent again (`--rules.alert.resend-delay`).
    pub resend_delay_ms: i64,
    /// Permits for rules that are evaluated at the same time as others of their group; `None`: none are.
    pub permits: Option<Semaphore>,
    /// Where the groups' tasks run.
    pub runtime: Handle,
}

/// The rules of a configuration.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// Groups by the file they stand in.
    pub files: Vec<(PathBuf, Vec<GroupConfig>)>,
    /// The interval of groups that name none.
    pub evaluation_interval_ms: i64,
    /// The offset of groups that name none.
    pub query_offset_ms: i64,
    /// `$externalLabels`
    pub external_labels: Labels,
    /// `$externalURL`
    pub external_url: String,
}

/// Runs groups.
#[derive(Debug)]
pub struct Manager {
    shared: Arc<Shared>,
    groups: Mutex<BTreeMap<String, Running>>,
    /// Whether a configuration has been applied: only alerts of the first are restored.
    was_loaded: AtomicBool,
}

#[derive(Debug)]
struct Shared {
    parts: ManagerParts,
    environment: Mutex<Environment>,
}

#[derive(Debug)]
struct Running {
    group: Arc<Group>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Manager {
    /// A manager without groups.
    pub fn new(parts: ManagerParts) -> Self {
        let shared = Arc::new(Shared { parts, environment: Mutex::new(Environment::default()) });
        Manager { shared, groups: Mutex::new(BTreeMap::new()), was_loaded: AtomicBool::new(false) }
    }

    /// The groups, sorted by file and name.
    pub fn groups(&self) -> Vec<Arc<Group>> {
        self.groups.lock().values().map(|running| Arc::clone(&running.group)).collect()
    }

    /// Runs the groups of a configuration from now on.
    pub async fn apply(&self, rules: &RuleSet) {
        *self.shared.environment.lock() = Environment {
            external_labels: rules.external_labels.clone(),
            external_url: rules.external_url.clone(),
            timestamp_ms: 0,
        };
        let is_first = !self.was_loaded.swap(true, Ordering::Relaxed);
        let mut old = std::mem::take(&mut *self.groups.lock());
        let mut new = BTreeMap::new();
        for (file, group) in
            rules.files.iter().flat_map(|(file, groups)| groups.iter().map(move |group| (file, group)))
        {
            let interval_ms =
                group.interval.map_or(rules.evaluation_interval_ms, |interval| interval.as_millis());
            let offset_ms = group.query_offset.map_or(rules.query_offset_ms, |offset| offset.as_millis());
            let group = Group::new(&file.to_string_lossy(), group.clone(), interval_ms, offset_ms, !is_first);
            let key = group.key();
            let running = match old.remove(&key) {
                Some(running) if running.group.is_same(&group) => running,
                Some(running) => {
                    running.stop().await;
                    group.take_state(&running.group);
                    self.start(group, false)
                }
                None => self.start(group, is_first),
            };
            new.insert(key, running);
        }
        *self.groups.lock() = new;
        for running in old.into_values() {
            self.remove(running).await;
        }
    }

    /// Stops all groups; each finishes the evaluation that it is at.
    pub async fn shutdown(&self) {
        let groups = std::mem::take(&mut *self.groups.lock());
        for running in groups.values() {
            running.stop.cancel();
        }
        for running in groups.into_values() {
            running.stop().await;
        }
    }

    fn start(&self, group: Group, restores: bool) -> Running {
        let group = Arc::new(group);
        self.shared.parts.metrics.group_loaded(&group.key(), group.interval_ms(), group.config().rules.len());
        let stop = CancellationToken::new();
        let run = Arc::clone(&self.shared).run(Arc::clone(&group), stop.clone(), restores);
        Running { group, stop, task: self.shared.parts.runtime.spawn(run) }
    }

    /// Stops a group that is no more. Its series are ended after two intervals, in which a renamed group may
    /// have taken them over.
    async fn remove(&self, running: Running) {
        running.stop().await;
        let group = running.group;
        self.shared.parts.metrics.group_removed(&group.key());
        let shared = Arc::clone(&self.shared);
        let stopped_at_ms = shared.parts.clock.now_ms();
        self.shared.parts.runtime.spawn(async move {
            tokio::time::sleep(millis(2 * group.interval_ms())).await;
            let ended = tokio::task::spawn_blocking(move || {
                group.end_all(&*shared.parts.sources.appender, stopped_at_ms);
            });
            if let Err(error) = ended.await {
                tracing::error!(%error, "ending the series of a removed rule group failed");
            }
        });
    }
}

impl Running {
    async fn stop(&self) {
        self.stop.cancel();
        while !self.task.is_finished() {
            tokio::time::sleep(STOP_POLL).await;
        }
    }
}

/// How often a stopping group is looked at; an evaluation takes about a millisecond.
const STOP_POLL: Duration = Duration::from_millis(2);

impl Shared {
    /// Evaluates a group at each of its slots until it is stopped.
    async fn run(self: Arc<Self>, group: Arc<Group>, stop: CancellationToken, restores: bool) {
        let interval_ms = group.interval_ms();
        let clock = Arc::clone(&self.parts.clock);
        let mut slot_ms = slot_before(group.name(), Path::new(group.file()), interval_ms, clock.now_ms());
        let mut evaluations = 0u64;
        loop {
            slot_ms += interval_ms;
            let wait = millis(slot_ms - clock.now_ms());
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            let missed = ((clock.now_ms() - slot_ms) / interval_ms).max(0);
            if missed > 0 {
                self.parts.metrics.iterations_missed(&group.key(), missed.unsigned_abs());
                slot_ms += missed * interval_ms;
            }
            evaluations += 1;
            // Alerts are restored after the second evaluation: recording rules that they build on have values
            // by then, and targets have been scraped.
            let restores_now = restores && evaluations == 2;
            let (shared, evaluated) = (Arc::clone(&self), Arc::clone(&group));
            let work =
                tokio::task::spawn_blocking(move || shared.evaluate(&evaluated, slot_ms, restores_now));
            if let Err(error) = work.await {
                tracing::error!(file = group.file(), group = group.name(), %error, "rule group evaluation panicked");
            }
        }
    }

    fn evaluate(&self, group: &Group, slot_ms: TimestampMs, restores: bool) {
        let environment = self.environment.lock().clone();
        let iteration = Iteration {
            at_ms: slot_ms,
            sources: &self.parts.sources,
            environment: &environment,
            metrics: &self.parts.metrics,
            permits: self.parts.permits.as_ref(),
        };
        for (expr, alerts) in group.evaluate(&iteration, self.parts.resend_delay_ms) {
            self.parts.sink.send(&expr, alerts);
        }
        if restores {
            self.restore(group, slot_ms);
        }
    }

    fn restore(&self, group: &Group, at_ms: TimestampMs) {
        let started = Instant::now();
        for rule in group.alerting_rules() {
            if let Err(error) = restore(rule, at_ms, &*self.parts.sources.storage, &self.parts.restore) {
                tracing::error!(file = group.file(), group = group.name(), %error, "restoring the state of alerts failed");
                rule.set_restored();
            }
        }
        self.parts.metrics.restored(&group.key(), started.elapsed());
    }
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis.max(0).unsigned_abs())
}
