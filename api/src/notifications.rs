//! Notices for whoever looks at the server: that it starts, stops, or could not reload.
//!
//! A notice is there or not; the same text is there once. Subscribers hear of every change; one that doesn't
//! listen misses changes once its short buffer is full, and never holds up anybody.

use std::sync::Arc;

use model::time::{Clock, TimestampMs};
use parking_lot::Mutex;
use prometheus::{IntCounter, IntGauge, Registry};
use tokio::sync::mpsc;

/// The notice that the configuration couldn't be reloaded.
pub const CONFIGURATION_UNSUCCESSFUL: &str = "Configuration reload has failed.";
/// The notice that the program starts.
pub const STARTING_UP: &str = "Prometheus is starting and replaying the write-ahead log (WAL).";
/// The notice that the program ends.
pub const SHUTTING_DOWN: &str = "Prometheus is shutting down and gracefully stopping all operations.";

/// Changes that may wait for a subscriber.
const BUFFERED_CHANGES: usize = 10;

/// A notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What it says.
    pub text: String,
    /// Why, if there is more to say.
    pub detail: String,
    /// Since when.
    pub date_ms: TimestampMs,
    /// False in the change that tells of its end.
    pub active: bool,
}

/// The notices; clones share them.
#[derive(Clone, Debug)]
pub struct Notifications(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Arc<dyn Clock>,
    subscribers_max: usize,
    state: Mutex<State>,
    active_subscribers: IntGauge,
    sent: IntCounter,
    dropped: IntCounter,
}

#[derive(Debug, Default)]
struct State {
    notices: Vec<Notification>,
    subscribers: Vec<mpsc::Sender<Notification>>,
}

impl Notifications {
    /// No notices, and room for so many subscribers.
    pub fn new(
        clock: Arc<dyn Clock>,
        subscribers_max: usize,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let active_subscribers = IntGauge::new(
            "prometheus_api_notification_active_subscribers",
            "The current number of active notification subscribers.",
        )?;
        let sent = IntCounter::new(
            "prometheus_api_notification_updates_sent_total",
            "Total number of notification updates sent.",
        )?;
        let dropped = IntCounter::new(
            "prometheus_api_notification_updates_dropped_total",
            "Total number of notification updates dropped.",
        )?;
        registry.register(Box::new(active_subscribers.clone()))?;
        registry.register(Box::new(sent.clone()))?;
        registry.register(Box::new(dropped.clone()))?;
        let state = Mutex::default();
        Ok(Notifications(Arc::new(Inner {
            clock,
            subscribers_max,
            state,
            active_subscribers,
            sent,
            dropped,
        })))
    }

    /// Puts a notice up, if it isn't there with the same detail.
    pub fn add(&self, text: &str, detail: &str) {
        let mut state = self.0.state.lock();
        if state.notices.iter().any(|notice| notice.text == text && notice.detail == detail) {
            return;
        }
        let (text, detail) = (text.to_owned(), detail.to_owned());
        let notice = Notification { text, detail, date_ms: self.0.clock.now_ms(), active: true };
        state.notices.retain(|old| old.text != notice.text);
        state.notices.push(notice.clone());
        self.0.tell(&mut state, &notice);
    }

    /// Takes a notice down, if it is there.
    pub fn remove(&self, text: &str) {
        let mut state = self.0.state.lock();
        let Some(at) = state.notices.iter().position(|notice| notice.text == text) else { return };
        let mut notice = state.notices.remove(at);
        notice.active = false;
        self.0.tell(&mut state, &notice);
    }

    /// The notices that are up.
    pub fn current(&self) -> Vec<Notification> {
        self.0.state.lock().notices.clone()
    }

    /// The notices that are up, then every change; `None` if there are as many subscribers as may be.
    pub(crate) fn subscribe(&self) -> Option<mpsc::Receiver<Notification>> {
        let mut state = self.0.state.lock();
        self.0.forget_gone(&mut state);
        if state.subscribers.len() >= self.0.subscribers_max {
            return None;
        }
        let (sender, receiver) = mpsc::channel(BUFFERED_CHANGES.max(state.notices.len()));
        for notice in &state.notices {
            self.0.sent.inc();
            let _ = sender.try_send(notice.clone());
        }
        state.subscribers.push(sender);
        self.0.active_subscribers.set(state.subscribers.len() as i64);
        Some(receiver)
    }

    /// Forgets subscribers that have left; called when one does.
    pub(crate) fn sweep(&self) {
        self.0.forget_gone(&mut self.0.state.lock());
    }
}

impl Inner {
    fn tell(&self, state: &mut State, notice: &Notification) {
        for subscriber in &state.subscribers {
            match subscriber.try_send(notice.clone()) {
                Ok(()) => self.sent.inc(),
                Err(_) => self.dropped.inc(),
            }
        }
    }

    fn forget_gone(&self, state: &mut State) {
        state.subscribers.retain(|subscriber| !subscriber.is_closed());
        self.active_subscribers.set(state.subscribers.len() as i64);
    }
}

#[cfg(test)]
mod tests {
    use model::time::ManualClock;

    use super::*;

    #[test]
    fn subscribers_hear_what_is_up_and_every_change() {
        let notices = Notifications::new(Arc::new(ManualClock::new(5)), 1, &Registry::new()).unwrap();
        notices.add("a", "");
        notices.add("a", "");
        let mut subscriber = notices.subscribe().unwrap();
        assert!(notices.subscribe().is_none());
        notices.remove("a");
        notices.remove("b");
        let notice = |active| Notification { text: "a".into(), detail: String::new(), date_ms: 5, active };
        assert_eq!(subscriber.try_recv(), Ok(notice(true)));
        assert_eq!(subscriber.try_recv(), Ok(notice(false)));
        assert!(subscriber.try_recv().is_err());
        assert!(notices.current().is_empty());
        drop(subscriber);
        notices.sweep();
        assert!(notices.subscribe().is_some());
    }

    #[test]
    fn a_new_detail_takes_the_place_of_the_old_one() {
        let notices = Notifications::new(Arc::new(ManualClock::new(5)), 1, &Registry::new()).unwrap();
        notices.add("a", "line 1");
        notices.add("a", "line 2");
        let details: Vec<String> = notices.current().into_iter().map(|notice| notice.detail).collect();
        assert_eq!(details, ["line 2"]);
    }
}
