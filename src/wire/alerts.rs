//! Rules and alerts, as the API and a new configuration see them.

use std::sync::Arc;

use api::state::{self, ActiveAlert, AlertsSource, RuleGroup, RuleHealth};
use model::labels::Labels;
use rules::alerting::{Alert, AlertState, AlertingRule};
use rules::file::{RuleConfig, RuleKind};
use rules::group::{Group, Health, Rule};
use rules::manager::{Manager, RuleSet};
use rules::notify::Notifier;
use tokio::runtime::Handle;

use super::status::external_labels;
use crate::config::Config;
use crate::reload::Part;

/// Evaluates the rules of the configuration.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) manager: Arc<Manager>,
    /// Where links of alerts lead, without a slash at the end.
    pub(super) external_url: String,
    pub(super) runtime: Handle,
}

impl Part for Rules {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn apply(&self, config: &Config) -> Result<(), String> {
        let rules = RuleSet {
            files: config.rules.clone(),
            evaluation_interval_ms: config.global.evaluation_interval.as_millis(),
            query_offset_ms: config.global.rule_query_offset.as_millis(),
            external_labels: external_labels(config),
            external_url: self.external_url.clone(),
        };
        self.runtime.block_on(self.manager.apply(&rules));
        Ok(())
    }
}

/// What the API shows of rules and alerts.
#[derive(Debug)]
pub(super) struct Alerts {
    pub(super) manager: Arc<Manager>,
    pub(super) notifier: Arc<Notifier>,
}

impl AlertsSource for Alerts {
    fn groups(&self) -> Vec<RuleGroup> {
        self.manager.groups().iter().map(|group| shown_group(group)).collect()
    }

    fn alertmanagers(&self) -> state::Alertmanagers {
        let (active, dropped) = self.notifier.alertmanagers();
        state::Alertmanagers { active, dropped }
    }
}

fn shown_group(group: &Group) -> RuleGroup {
    let (last_evaluation_ms, duration) = group.last_evaluation();
    RuleGroup {
        name: group.name().to_owned(),
        file: group.file().to_owned(),
        rules: group
            .rules()
            .into_iter()
            .map(|(rule, config, health)| shown_rule(rule, config, health))
            .collect(),
        interval_secs: group.interval_ms() as f64 / 1000.0,
        limit: group.config().limit as u64,
        evaluation_time_secs: duration.as_secs_f64(),
        last_evaluation_ms,
    }
}

fn shown_rule(rule: &Rule, config: &RuleConfig, health: Health) -> state::Rule {
    state::Rule {
        name: config.name().to_owned(),
        query: config.expr.clone(),
        labels: Labels::from_pairs(&config.labels),
        health: match (health.last_evaluation_ms, &health.last_error) {
            (None, _) => RuleHealth::Unknown,
            (Some(_), None) => RuleHealth::Ok,
            (Some(_), Some(_)) => RuleHealth::Err,
        },
        last_error: health.last_error.unwrap_or_default(),
        evaluation_time_secs: health.duration.as_secs_f64(),
        last_evaluation_ms: health.last_evaluation_ms,
        kind: match (&config.kind, rule.alerting()) {
            (RuleKind::Alerting { hold, keep_firing, annotations, .. }, Some(alerting)) => {
                state::RuleKind::Alerting {
                    state: shown_state(alerting.state()),
                    duration_secs: hold.0.as_secs_f64(),
                    keep_firing_for_secs: keep_firing.0.as_secs_f64(),
                    annotations: Labels::from_pairs(annotations),
                    alerts: shown_alerts(alerting),
                }
            }
            _ => state::RuleKind::Recording,
        },
    }
}

fn shown_alerts(rule: &AlertingRule) -> Vec<ActiveAlert> {
    let active = rule.alerts().into_iter().filter(|alert| alert.state != AlertState::Inactive);
    let shown = |alert: Alert| ActiveAlert {
        state: shown_state(alert.state),
        annotations: Labels::from_pairs(&alert.annotations),
        labels: alert.labels,
        active_at_ms: Some(alert.active_at_ms),
        keep_firing_since_ms: alert.keep_firing_since_ms,
        value: alert.value,
    };
    active.map(shown).collect()
}

fn shown_state(state: AlertState) -> state::AlertState {
    match state {
        AlertState::Inactive => state::AlertState::Inactive,
        AlertState::Pending => state::AlertState::Pending,
        AlertState::Firing => state::AlertState::Firing,
    }
}
