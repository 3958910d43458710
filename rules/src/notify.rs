//! Tells Alertmanagers of alerts (API v2).
//!
//! ```text
//! rule ─▶ external labels ─▶ alert_relabel_configs ─┬▶ of a cluster ─▶ queue of an Alertmanager ─▶ POST
//!                                                   └▶ …             ─▶ …
//! ```
//!
//! Every Alertmanager has a queue and a task of its own, so that one that hangs doesn't hold up the others.
//! A full queue drops its oldest alerts; a batch that isn't accepted is dropped and counted: firing alerts
//! are sent again anyway.

mod message;
mod metrics;
mod queue;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use model::labels::{Labels, LabelsBuilder};
use model::relabel;
use parking_lot::Mutex;
use tokio::runtime::Handle;

pub use self::message::Message;
pub use self::metrics::Metrics;
use self::queue::Queue;
use crate::alerting::Alert;
use crate::manager::AlertSink;

/// What [`Post::post`] gives.
pub type Posted<'a> = Pin<Box<dyn Future<Output = Result<u16, String>> + Send + 'a>>;

/// Sends a body to a URL: the HTTP client of a cluster's configuration.
pub trait Post: std::fmt::Debug + Send + Sync {
    /// Posts JSON; the status of the answer, or why there is none.
    fn post<'a>(&'a self, url: &'a str, body: Arc<[u8]>) -> Posted<'a>;
}

/// One element of `alerting.alertmanagers`: Alertmanagers that are found and spoken to alike.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// `http` or `https`, unless a target says otherwise.
    pub scheme: String,
    /// What stands before `/api/v2/alerts`.
    pub path_prefix: String,
    /// How long a request may take.
    pub timeout: Duration,
    /// Applied to discovered targets.
    pub relabel: Vec<relabel::Config>,
    /// Applied to the alerts that go to this cluster.
    pub alert_relabel: Vec<relabel::Config>,
    /// The way there.
    pub post: Arc<dyn Post>,
}

/// The notifier's part of a configuration.
#[derive(Clone, Debug, Default)]
pub struct NotifierConfig {
    /// Labels that alerts get unless they have them.
    pub external_labels: Labels,
    /// Where links of alerts lead.
    pub external_url: String,
    /// Applied to all alerts.
    pub alert_relabel: Vec<relabel::Config>,
    /// Who is told.
    pub clusters: Vec<Cluster>,
}

/// What flags say of the notifier.
#[derive(Clone, Copy, Debug)]
pub struct NotifierOptions {
    /// Alerts that wait for one Alertmanager (`--alertmanager.notification-queue-capacity`).
    pub queue_capacity: usize,
    /// Alerts in one request (`--alertmanager.notification-batch-size`).
    pub batch_size: usize,
    /// Whether waiting alerts are sent before the program ends.
    pub drains_on_shutdown: bool,
}

/// Tells Alertmanagers of alerts.
#[derive(Debug)]
pub struct Notifier {
    options: NotifierOptions,
    metrics: Arc<Metrics>,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    config: NotifierConfig,
    /// For each cluster, by URL.
    queues: Vec<BTreeMap<String, Queue>>,
    /// URLs of targets that relabelling dropped.
    dropped: Vec<Vec<String>>,
}

impl Notifier {
    /// A notifier that knows no Alertmanager.
    pub fn new(options: NotifierOptions, metrics: Arc<Metrics>, runtime: Handle) -> Self {
        metrics.set_capacity(options.queue_capacity);
        Notifier { options, metrics, runtime, state: Mutex::default() }
    }

    /// Takes a configuration. What waits for an Alertmanager that the new one has at the same place stays.
    pub fn apply(&self, config: NotifierConfig) {
        let mut state = self.state.lock();
        let clusters = config.clusters.len();
        for queue in state.queues.iter_mut().skip(clusters).flat_map(std::mem::take) {
            self.forget(queue);
        }
        state.queues.resize_with(clusters, BTreeMap::new);
        state.dropped.resize_with(clusters, Vec::new);
        for (cluster, queues) in config.clusters.iter().zip(&state.queues) {
            queues.values().for_each(|queue| queue.set_way(Arc::clone(&cluster.post), cluster.timeout));
        }
        state.config = config;
    }

    /// Takes the targets that discovery found for a cluster: their labels before relabelling.
    pub fn set_targets(&self, cluster: usize, targets: &[Labels]) {
        let mut state = self.state.lock();
        let State { config, queues, dropped } = &mut *state;
        let (Some(config), Some(queues)) = (config.clusters.get(cluster), queues.get_mut(cluster)) else {
            return;
        };
        let mut found = BTreeMap::new();
        let mut left_out = Vec::new();
        for target in targets {
            match endpoint(config, target) {
                (url, true) => drop(found.insert(url, ())),
                (url, false) => left_out.push(url),
            }
        }
        for (url, queue) in std::mem::take(queues) {
            if found.contains_key(&url) { drop(queues.insert(url, queue)) } else { self.forget((url, queue)) }
        }
        for (url, ()) in found {
            queues.entry(url).or_insert_with_key(|url| {
                Queue::start(url, config, self.options, Arc::clone(&self.metrics), &self.runtime)
            });
        }
        dropped[cluster] = left_out;
        self.metrics.set_discovered(state.queues.iter().map(BTreeMap::len).sum());
    }

    /// URLs of the Alertmanagers that are told, and of those that relabelling dropped.
    pub fn alertmanagers(&self) -> (Vec<String>, Vec<String>) {
        let state = self.state.lock();
        (state.queues.iter().flat_map(BTreeMap::keys).cloned().collect(), state.dropped.concat())
    }

    /// Stops; sends what waits first, if the options say so.
    pub async fn shutdown(&self) {
        let queues = std::mem::take(&mut self.state.lock().queues);
        for queue in queues.into_iter().flat_map(BTreeMap::into_values) {
            queue.stop(self.options.drains_on_shutdown).await;
        }
    }

    fn forget(&self, (url, queue): (String, Queue)) {
        queue.abandon();
        self.metrics.forget(&url);
    }
}

impl AlertSink for Notifier {
    fn send(&self, expr: &str, alerts: Vec<Alert>) {
        let state = self.state.lock();
        let messages: Vec<Message> = alerts
            .iter()
            .filter_map(|alert| {
                let mut labels = LabelsBuilder::from_labels(&alert.labels);
                for (name, value) in &state.config.external_labels {
                    if labels.value(name).is_empty() {
                        labels.set(name, value);
                    }
                }
                let keeps = relabel::process(&state.config.alert_relabel, &mut labels);
                keeps.then(|| Message::new(labels.build(), alert, expr, &state.config.external_url))
            })
            .collect();
        for (cluster, queues) in state.config.clusters.iter().zip(&state.queues) {
            let messages = relabelled(&messages, &cluster.alert_relabel);
            queues.values().for_each(|queue| queue.push(&messages));
        }
    }
}

/// The alerts as a cluster gets them.
fn relabelled(messages: &[Message], rules: &[relabel::Config]) -> Vec<Message> {
    if rules.is_empty() {
        return messages.to_vec();
    }
    let relabel = |message: &Message| {
        let mut labels = LabelsBuilder::from_labels(message.labels());
        relabel::process(rules, &mut labels).then(|| message.with_labels(labels.build()))
    };
    messages.iter().filter_map(relabel).collect()
}

/// The URL of a target after relabelling, and whether relabelling keeps it.
fn endpoint(cluster: &Cluster, target: &Labels) -> (String, bool) {
    const SCHEME: &str = "__scheme__";
    const ADDRESS: &str = "__address__";
    const PATH: &str = "__alerts_path__";
    let mut labels = LabelsBuilder::from_labels(target);
    let path = format!("/{}/api/v2/alerts", cluster.path_prefix.trim_matches('/')).replace("//", "/");
    for (name, value) in [(SCHEME, cluster.scheme.as_str()), (PATH, path.as_str())] {
        if labels.value(name).is_empty() {
            labels.set(name, value);
        }
    }
    let keeps = relabel::process(&cluster.relabel, &mut labels);
    let keeps = keeps && !labels.value(ADDRESS).is_empty();
    (format!("{}://{}{}", labels.value(SCHEME), labels.value(ADDRESS), labels.value(PATH)), keeps)
}

#[cfg(test)]
mod tests;
