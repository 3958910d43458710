//! Writes down what becomes of the alerts of a group.

use std::collections::HashMap;

use model::labels::Labels;
use model::time::TimestampMs;

use super::{Episode, Failure, Replay};
use crate::alerting::{Alert, AlertState};
use crate::group::Group;

/// See the module.
pub(super) struct Recorder<'a> {
    group: &'a Group,
    /// By the rule's index and the alert's labels.
    ongoing: HashMap<(usize, Labels), Episode>,
    ended: Vec<Episode>,
    /// By the rule's index.
    failures: Vec<Option<Failure>>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(group: &'a Group) -> Self {
        let failures = vec![None; group.rules().len()];
        Recorder { group, ongoing: HashMap::new(), ended: Vec::new(), failures }
    }

    /// How many alerts have been seen.
    pub(super) fn episodes(&self) -> usize {
        self.ongoing.len() + self.ended.len()
    }

    /// Looks at the alerts after the evaluation of a slot.
    pub(super) fn look(&mut self, at_ms: TimestampMs) {
        let mut ongoing = HashMap::with_capacity(self.ongoing.len());
        for (index, (rule, config, health)) in self.group.rules().into_iter().enumerate() {
            if let Some(error) = health.last_error {
                self.fail(index, config.name(), error);
            }
            for alert in rule.alerting().into_iter().flat_map(|rule| rule.alerts()) {
                let key = (index, alert.labels.clone());
                if alert.state != AlertState::Inactive {
                    self.ongoing.remove(&key);
                    ongoing.insert(key, episode(self.group.name(), alert));
                }
            }
        }
        let ended = std::mem::replace(&mut self.ongoing, ongoing).into_values();
        self.ended.extend(ended.map(|episode| Episode { ended_at_ms: Some(at_ms), ..episode }));
    }

    fn fail(&mut self, index: usize, rule: &str, error: String) {
        let failure = self.failures[index].get_or_insert_with(|| Failure {
            group: self.group.name().to_owned(),
            rule: rule.to_owned(),
            slots: 0,
            first_error: error,
        });
        failure.slots += 1;
    }

    /// Adds what was written down.
    pub(super) fn finish(self, replay: &mut Replay) {
        replay.episodes.extend(self.ended);
        replay.episodes.extend(self.ongoing.into_values());
        replay.failures.extend(self.failures.into_iter().flatten());
    }
}

fn episode(group: &str, alert: Alert) -> Episode {
    Episode {
        group: group.to_owned(),
        labels: alert.labels,
        annotations: alert.annotations,
        pending_at_ms: alert.active_at_ms,
        firing_at_ms: alert.fired_at_ms,
        ended_at_ms: None,
    }
}
