//! The queue of one Alertmanager, and the task that empties it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::{Cluster, Message, Metrics, NotifierOptions, Post};

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    url: String,
    options: NotifierOptions,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    /// There is something to send, or the queue is to end.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    messages: VecDeque<Message>,
    post: Arc<dyn Post>,
    timeout: Duration,
    ends: bool,
}

impl Queue {
    pub(super) fn start(
        url: &str,
        cluster: &Cluster,
        options: NotifierOptions,
        metrics: Arc<Metrics>,
        runtime: &Handle,
    ) -> Self {
        metrics.added(url);
        let shared = Arc::new(Shared {
            url: url.to_owned(),
            options,
            metrics,
            state: Mutex::new(State {
                messages: VecDeque::new(),
                post: Arc::clone(&cluster.post),
                timeout: cluster.timeout,
                ends: false,
            }),
            changed: Notify::new(),
        });
        let task = runtime.spawn(Arc::clone(&shared).run());
        Queue { shared, task }
    }

    /// Changes how the Alertmanager is spoken to.
    pub(super) fn set_way(&self, post: Arc<dyn Post>, timeout: Duration) {
        let mut state = self.shared.state.lock();
        state.post = post;
        state.timeout = timeout;
    }

    /// Adds alerts; of too many the oldest are dropped.
    pub(super) fn push(&self, messages: &[Message]) {
        let shared = &self.shared;
        let mut state = shared.state.lock();
        state.messages.extend(messages.iter().cloned());
        let excess = state.messages.len().saturating_sub(shared.options.queue_capacity);
        state.messages.drain(..excess);
        let length = state.messages.len();
        drop(state);
        if excess > 0 {
            tracing::warn!(alertmanager = %shared.url, dropped = excess, "alert notification queue full, dropping alerts");
        }
        shared.metrics.queued(&shared.url, length, excess);
        shared.changed.notify_one();
    }

    /// Ends the queue; what waits is sent first if `drains`.
    pub(super) async fn stop(self, drains: bool) {
        {
            let mut state = self.shared.state.lock();
            state.ends = true;
            if !drains && !state.messages.is_empty() {
                let dropped = state.messages.len();
                state.messages.clear();
                tracing::warn!(alertmanager = %self.shared.url, dropped, "shutting down without sending waiting alerts");
            }
        }
        self.shared.changed.notify_one();
        if let Err(error) = self.task.await {
            tracing::error!(alertmanager = %self.shared.url, %error, "sending alerts panicked");
        }
    }

    /// Ends the queue of an Alertmanager that is no more.
    pub(super) fn abandon(self) {
        self.task.abort();
    }
}

impl Shared {
    async fn run(self: Arc<Self>) {
        loop {
            let (batch, post, timeout, ends) = self.take();
            if !batch.is_empty() {
                self.send(&batch, &*post, timeout).await;
            } else if ends {
                return;
            } else {
                self.changed.notified().await;
            }
        }
    }

    fn take(&self) -> (Vec<Message>, Arc<dyn Post>, Duration, bool) {
        let mut state = self.state.lock();
        let count = state.messages.len().min(self.options.batch_size.max(1));
        let batch = state.messages.drain(..count).collect();
        self.metrics.queued(&self.url, state.messages.len(), 0);
        (batch, Arc::clone(&state.post), state.timeout, state.ends)
    }

    async fn send(&self, batch: &[Message], post: &dyn Post, timeout: Duration) {
        let started = Instant::now();
        let result = match serde_json::to_vec(batch) {
            Ok(body) => match tokio::time::timeout(timeout, post.post(&self.url, body.into())).await {
                Ok(Ok(status)) if (200..300).contains(&status) => Ok(()),
                Ok(Ok(status)) => Err(format!("bad response status {status}")),
                Ok(Err(error)) => Err(error),
                Err(_) => Err("context deadline exceeded".to_owned()),
            },
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = &result {
            tracing::error!(alertmanager = %self.url, count = batch.len(), %error, "sending alerts failed");
        }
        self.metrics.sent(&self.url, batch.len(), started.elapsed(), result.is_ok());
    }
}
