//! Alerting rules: an alert for each element of an expression's value, from pending to firing to resolved.
//!
//! ```text
//!            element there          for `hold`
//! inactive ────────────────▶ pending ─────────▶ firing
//!     ▲                         │                  │ element gone for `keep_firing`
//!     │        element gone     │                  ▼
//!     └─────────────────────────┘              inactive, resolved: kept for 15 minutes and sent again
//! ```
//!
//! Times come from evaluations, never from a clock, so that a replay over stored data sees the same states.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use model::duration::PromDuration;
use model::labels::{Labels, LabelsBuilder, METRIC_NAME};
use model::storage::SampleValue;
use model::time::TimestampMs;
use parking_lot::Mutex;

use crate::template::{self, Environment, QuerySource};

/// The label that names an alert.
pub const ALERT_NAME: &str = "alertname";
/// The label of [`ALERTS`] that tells an alert's state.
const ALERT_STATE: &str = "alertstate";
/// The metric that shows pending and firing alerts.
pub(crate) const ALERTS: &str = "ALERTS";
/// The metric that keeps since when alerts are active, for after a restart.
pub(crate) const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// How long a resolved alert is kept, so that a lost notification of its end is made good.
const RESOLVED_RETENTION_MS: i64 = 15 * 60_000;

/// A notification's alert ends by itself after so many intervals without another one.
const VALID_INTERVALS: i64 = 4;

/// The state of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertState {
    /// Its element is gone.
    Inactive,
    /// Its element is there, but not long enough.
    Pending,
    /// It is on.
    Firing,
}

impl AlertState {
    /// The name in the API and in [`ALERTS`].
    pub fn as_str(self) -> &'static str {
        match self {
            AlertState::Inactive => "inactive",
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
        }
    }
}

/// One alert. Times are evaluation times.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Where it stands.
    pub state: AlertState,
    /// Its labels: those of the element, of the rule, and its name.
    pub labels: Labels,
    /// What is told beside the labels, expanded at the last evaluation that saw the element.
    pub annotations: BTreeMap<String, String>,
    /// The element's value at the last evaluation that saw it; 0 if it is a histogram.
    pub value: f64,
    /// Since when the element is there.
    pub active_at_ms: TimestampMs,
    /// When it began to fire.
    pub fired_at_ms: Option<TimestampMs>,
    /// When it ended.
    pub resolved_at_ms: Option<TimestampMs>,
    /// When it was last handed over for sending.
    pub last_sent_at_ms: Option<TimestampMs>,
    /// Until when what was sent holds.
    pub valid_until_ms: TimestampMs,
    /// Since when it fires without its element.
    pub keep_firing_since_ms: Option<TimestampMs>,
}

/// An alerting rule and its alerts.
#[derive(Debug)]
pub struct AlertingRule {
    pub(crate) alert: String,
    pub(crate) expr: String,
    pub(crate) hold: PromDuration,
    pub(crate) keep_firing: PromDuration,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    /// Whether the state of before a restart is back, or isn't to come: only then are series of it written.
    restored: AtomicBool,
    /// By label set.
    active: Mutex<HashMap<Labels, Alert>>,
}

/// One evaluation of a rule.
pub(crate) struct AlertingEvaluation<'a> {
    pub(crate) at_ms: TimestampMs,
    /// The most alerts; 0 is no limit.
    pub(crate) limit: usize,
    pub(crate) environment: &'a Environment,
    pub(crate) queries: &'a dyn QuerySource,
}

impl AlertingRule {
    pub(crate) fn new(
        alert: &str,
        expr: &str,
        hold: PromDuration,
        keep_firing: PromDuration,
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
        restored: bool,
    ) -> Self {
        AlertingRule {
            alert: alert.to_owned(),
            expr: expr.to_owned(),
            hold,
            keep_firing,
            labels: labels.clone(),
            annotations: annotations.clone(),
            restored: AtomicBool::new(restored),
            active: Mutex::new(HashMap::new()),
        }
    }

    /// The alerts, resolved ones of the last minutes included, in order of their labels.
    pub fn alerts(&self) -> Vec<Alert> {
        let mut alerts: Vec<Alert> = self.active.lock().values().cloned().collect();
        alerts.sort_by(|a, b| a.labels.cmp(&b.labels));
        alerts
    }

    /// The highest state of its alerts.
    pub fn state(&self) -> AlertState {
        self.active.lock().values().map(|alert| alert.state).max().unwrap_or(AlertState::Inactive)
    }

    pub(crate) fn set_restored(&self) {
        self.restored.store(true, Ordering::Relaxed);
    }

    /// Takes over the alerts of the rule that this one takes the place of.
    pub(crate) fn take_alerts(&self, other: &AlertingRule) {
        self.active.lock().clone_from(&other.active.lock());
    }

    /// Changes alerts where their state of before a restart says so.
    pub(crate) fn for_each_alert(&self, mut change: impl FnMut(&mut Alert)) {
        self.active.lock().values_mut().for_each(&mut change);
    }

    /// Takes in what the expression gave, and returns the series that show the alerts.
    ///
    /// # Errors
    ///
    /// Two elements make the same alert (nothing changes then), or there are more alerts than the limit
    /// (all are forgotten then).
    pub(crate) fn evaluate(
        &self,
        vector: Vec<(Labels, SampleValue)>,
        evaluation: &AlertingEvaluation<'_>,
    ) -> Result<Vec<(Labels, SampleValue)>, String> {
        let found = self.found(vector, evaluation)?;
        let mut active = self.active.lock();
        let mut is_there: HashMap<Labels, bool> =
            active.keys().map(|labels| (labels.clone(), false)).collect();
        for alert in found {
            is_there.insert(alert.labels.clone(), true);
            match active.get_mut(&alert.labels) {
                Some(known) if known.state != AlertState::Inactive => {
                    known.value = alert.value;
                    known.annotations = alert.annotations;
                }
                _ => drop(active.insert(alert.labels.clone(), alert)),
            }
        }
        let mut ongoing = 0;
        active.retain(|labels, alert| {
            let stays = self.step(alert, is_there[labels], evaluation.at_ms);
            ongoing += usize::from(stays && alert.state != AlertState::Inactive);
            stays
        });
        if evaluation.limit > 0 && ongoing > evaluation.limit {
            active.clear();
            return Err(format!("exceeded limit of {} with {ongoing} alerts", evaluation.limit));
        }
        if !self.restored.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let shown = active.values().filter(|alert| alert.state != AlertState::Inactive);
        Ok(shown.flat_map(|alert| self.series(alert)).collect())
    }

    /// The alerts that the elements of a vector make, as new ones.
    fn found(
        &self,
        vector: Vec<(Labels, SampleValue)>,
        evaluation: &AlertingEvaluation<'_>,
    ) -> Result<Vec<Alert>, String> {
        let mut by_labels = HashMap::with_capacity(vector.len());
        for (labels, value) in vector {
            let alert = self.pending(&labels, &value, evaluation);
            if by_labels.insert(alert.labels.clone(), alert).is_some() {
                return Err(
                    "vector contains metrics with the same labelset after applying alert labels".into()
                );
            }
        }
        Ok(by_labels.into_values().collect())
    }

    fn pending(&self, element: &Labels, value: &SampleValue, evaluation: &AlertingEvaluation<'_>) -> Alert {
        let name = format!("__alert_{}", self.alert);
        let expand = |text: &str| {
            template::expand(&name, text, element, value, evaluation.environment, evaluation.queries)
                .unwrap_or_else(|error| {
                    tracing::warn!(alert = %self.alert, %error, "expanding alert template failed");
                    format!("<error expanding template: {error}>")
                })
        };
        let mut labels = LabelsBuilder::from_labels(element);
        labels.remove(METRIC_NAME);
        for (name, text) in &self.labels {
            labels.set(name, &expand(text));
        }
        labels.set(ALERT_NAME, &self.alert);
        Alert {
            state: AlertState::Pending,
            labels: labels.build(),
            annotations: self.annotations.iter().map(|(name, text)| (name.clone(), expand(text))).collect(),
            value: match value {
                SampleValue::Float(value) => *value,
                SampleValue::Histogram(_) => 0.0,
            },
            active_at_ms: evaluation.at_ms,
            fired_at_ms: None,
            resolved_at_ms: None,
            last_sent_at_ms: None,
            valid_until_ms: 0,
            keep_firing_since_ms: None,
        }
    }

    /// Moves an alert on; says whether it stays.
    fn step(&self, alert: &mut Alert, is_there: bool, at_ms: TimestampMs) -> bool {
        if !is_there {
            return self.step_gone(alert, at_ms);
        }
        alert.keep_firing_since_ms = None;
        let held = at_ms - alert.active_at_ms >= self.hold.as_millis();
        match alert.state {
            AlertState::Pending if held => {
                alert.state = AlertState::Firing;
                alert.fired_at_ms = Some(at_ms);
            }
            // A reload may have made the rule's `for` longer.
            AlertState::Firing if !held => {
                alert.state = AlertState::Pending;
                alert.fired_at_ms = None;
            }
            _ => {}
        }
        true
    }

    fn step_gone(&self, alert: &mut Alert, at_ms: TimestampMs) -> bool {
        match alert.state {
            AlertState::Pending => false,
            AlertState::Inactive => {
                alert.resolved_at_ms.is_some_and(|resolved| at_ms - resolved <= RESOLVED_RETENTION_MS)
            }
            AlertState::Firing => {
                if !self.keep_firing.is_zero() {
                    let since = *alert.keep_firing_since_ms.get_or_insert(at_ms);
                    if at_ms - since < self.keep_firing.as_millis() {
                        return true;
                    }
                }
                alert.state = AlertState::Inactive;
                alert.resolved_at_ms = Some(at_ms);
                true
            }
        }
    }

    /// The two series of an alert that is pending or firing.
    fn series(&self, alert: &Alert) -> [(Labels, SampleValue); 2] {
        let labelled = |metric: &str, state: &str| {
            let mut labels = LabelsBuilder::from_labels(&alert.labels);
            labels.set(METRIC_NAME, metric).set(ALERT_STATE, state);
            labels.build()
        };
        let since = alert.active_at_ms.div_euclid(1000) as f64;
        [
            (labelled(ALERTS, alert.state.as_str()), SampleValue::Float(1.0)),
            (labelled(ALERTS_FOR_STATE, ""), SampleValue::Float(since)),
        ]
    }

    /// The alerts that Alertmanager is to be told of now, marked as sent.
    pub(crate) fn to_send(&self, at_ms: TimestampMs, resend_delay_ms: i64, interval_ms: i64) -> Vec<Alert> {
        let mut active = self.active.lock();
        let due = active.values_mut().filter(|alert| alert.needs_sending(at_ms, resend_delay_ms));
        let mut alerts: Vec<Alert> = due
            .map(|alert| {
                alert.last_sent_at_ms = Some(at_ms);
                alert.valid_until_ms = at_ms + VALID_INTERVALS * interval_ms.max(resend_delay_ms);
                alert.clone()
            })
            .collect();
        alerts.sort_by(|a, b| a.labels.cmp(&b.labels));
        alerts
    }
}

impl Alert {
    fn needs_sending(&self, at_ms: TimestampMs, resend_delay_ms: i64) -> bool {
        match (self.state, self.last_sent_at_ms) {
            (AlertState::Pending, _) => false,
            (_, None) => true,
            (_, Some(last)) => {
                self.resolved_at_ms.is_some_and(|resolved| resolved > last) || last + resend_delay_ms < at_ms
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NoQueries;

    impl QuerySource for NoQueries {
        fn query(&self, _: &str, _: TimestampMs) -> Result<Vec<(Labels, f64)>, String> {
            Ok(Vec::new())
        }
    }

    fn rule(hold_secs: u64, keep_firing_secs: u64) -> AlertingRule {
        let labels = BTreeMap::from([(
            "severity".to_owned(),
            "{{ if gt $value 5.0 }}page{{ else }}info{{ end }}".to_owned(),
        )]);
        let annotations =
            BTreeMap::from([("summary".to_owned(), "{{ $labels.job }}: {{ $value }}".to_owned())]);
        let (hold, keep) = (PromDuration::from_secs(hold_secs), PromDuration::from_secs(keep_firing_secs));
        AlertingRule::new("High", "x > 0", hold, keep, &labels, &annotations, true)
    }

    fn evaluate(
        rule: &AlertingRule,
        at_secs: i64,
        elements: &[(&str, f64)],
        limit: usize,
    ) -> Result<Vec<String>, String> {
        let vector = elements.iter().map(|(job, value)| {
            (Labels::from_pairs([("__name__", "x"), ("job", job)]), SampleValue::Float(*value))
        });
        let environment = Environment::default();
        let evaluation = AlertingEvaluation {
            at_ms: at_secs * 1000,
            limit,
            environment: &environment,
            queries: &NoQueries,
        };
        let mut series: Vec<String> = rule
            .evaluate(vector.collect(), &evaluation)?
            .into_iter()
            .map(|(labels, value)| match value {
                SampleValue::Float(value) => format!("{} {value}", labels.as_metric()),
                SampleValue::Histogram(_) => unreachable!("alerts have floats"),
            })
            .collect();
        series.sort();
        Ok(series)
    }

    #[test]
    fn an_alert_is_pending_then_fires_then_resolves() {
        let rule = rule(60, 0);
        assert_eq!(
            evaluate(&rule, 100, &[("a", 1.0)], 0).unwrap(),
            [
                r#"ALERTS_FOR_STATE{alertname="High", job="a", severity="info"} 100"#,
                r#"ALERTS{alertname="High", alertstate="pending", job="a", severity="info"} 1"#,
            ]
        );
        assert!(rule.to_send(100_000, 60_000, 15_000).is_empty(), "pending alerts aren't sent");
        let firing = evaluate(&rule, 160, &[("a", 2.0)], 0).unwrap();
        assert_eq!(firing[1], r#"ALERTS{alertname="High", alertstate="firing", job="a", severity="info"} 1"#);
        let sent = rule.to_send(160_000, 60_000, 15_000);
        assert_eq!(sent[0].annotations["summary"], "a: 2");
        assert_eq!((sent[0].fired_at_ms, sent[0].valid_until_ms), (Some(160_000), 400_000));
        assert!(rule.to_send(220_000, 60_000, 15_000).is_empty(), "the resend delay isn't over");
        assert_eq!(rule.to_send(220_001, 60_000, 15_000).len(), 1);
        assert!(evaluate(&rule, 230, &[], 0).unwrap().is_empty());
        assert_eq!(rule.state(), AlertState::Inactive);
        assert_eq!(rule.to_send(230_000, 60_000, 15_000)[0].resolved_at_ms, Some(230_000));
        evaluate(&rule, 230 + 15 * 60, &[], 0).unwrap();
        assert_eq!(rule.alerts().len(), 1);
        evaluate(&rule, 231 + 15 * 60, &[], 0).unwrap();
        assert!(rule.alerts().is_empty());
    }

    #[test]
    fn a_pending_alert_whose_element_goes_is_forgotten() {
        let rule = rule(60, 0);
        evaluate(&rule, 100, &[("a", 1.0)], 0).unwrap();
        evaluate(&rule, 130, &[], 0).unwrap();
        assert!(rule.alerts().is_empty());
        evaluate(&rule, 160, &[("a", 1.0)], 0).unwrap();
        assert_eq!(rule.alerts()[0].active_at_ms, 160_000);
    }

    #[test]
    fn a_firing_alert_is_kept_for_as_long_as_the_rule_says() {
        let rule = rule(0, 60);
        evaluate(&rule, 100, &[("a", 1.0)], 0).unwrap();
        assert_eq!(rule.state(), AlertState::Firing);
        evaluate(&rule, 110, &[], 0).unwrap();
        evaluate(&rule, 169, &[], 0).unwrap();
        assert_eq!(rule.state(), AlertState::Firing);
        evaluate(&rule, 170, &[], 0).unwrap();
        assert_eq!(rule.state(), AlertState::Inactive);
    }

    #[test]
    fn clashes_and_limits_are_errors() {
        let rule = rule(0, 0);
        let clash = evaluate(&rule, 100, &[("a", 1.0), ("a", 2.0)], 0);
        assert_eq!(
            clash,
            Err("vector contains metrics with the same labelset after applying alert labels".into())
        );
        let many = evaluate(&rule, 100, &[("a", 1.0), ("b", 2.0)], 1);
        assert_eq!(many, Err("exceeded limit of 1 with 2 alerts".into()));
        assert!(rule.alerts().is_empty());
        assert_eq!(evaluate(&rule, 110, &[("a", 9.0)], 1).unwrap().len(), 2);
        assert_eq!(rule.alerts()[0].labels.value("severity"), "page");
    }
}
