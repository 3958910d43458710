//! Rules, alerts and those who are told of them.

use std::fmt::Debug;

use model::labels::Labels;
use model::time::TimestampMs;

/// The state of an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertState {
    /// Nothing to tell.
    #[default]
    Inactive,
    /// Its expression holds, but not for long enough yet.
    Pending,
    /// It holds.
    Firing,
}

impl AlertState {
    /// The word as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            AlertState::Inactive => "inactive",
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
        }
    }
}

/// An alert that is pending or firing.
#[derive(Clone, Debug)]
pub struct ActiveAlert {
    /// Its labels, `alertname` among them.
    pub labels: Labels,
    /// Its annotations, filled in.
    pub annotations: Labels,
    /// Its state.
    pub state: AlertState,
    /// Since when its expression has held.
    pub active_at_ms: Option<TimestampMs>,
    /// Since when it has been kept firing though its expression no longer holds.
    pub keep_firing_since_ms: Option<TimestampMs>,
    /// The value of its expression.
    pub value: f64,
}

/// How the last evaluation of a rule went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RuleHealth {
    /// Not evaluated yet.
    #[default]
    Unknown,
    /// Well.
    Ok,
    /// It failed.
    Err,
}

impl RuleHealth {
    /// The word as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            RuleHealth::Unknown => "unknown",
            RuleHealth::Ok => "ok",
            RuleHealth::Err => "err",
        }
    }
}

/// What a rule makes.
#[derive(Clone, Debug)]
pub enum RuleKind {
    /// A series.
    Recording,
    /// Alerts.
    Alerting {
        /// The worst state of its alerts.
        state: AlertState,
        /// `for`, in seconds.
        duration_secs: f64,
        /// `keep_firing_for`, in seconds.
        keep_firing_for_secs: f64,
        /// Its annotations, not filled in.
        annotations: Labels,
        /// Its pending and firing alerts.
        alerts: Vec<ActiveAlert>,
    },
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name of the series or the alert.
    pub name: String,
    /// Its expression.
    pub query: String,
    /// Its labels, not filled in.
    pub labels: Labels,
    /// How its last evaluation went.
    pub health: RuleHealth,
    /// Why it failed, `""` if it didn't.
    pub last_error: String,
    /// How long the last evaluation took.
    pub evaluation_time_secs: f64,
    /// When it was.
    pub last_evaluation_ms: Option<TimestampMs>,
    /// What it makes.
    pub kind: RuleKind,
}

/// A group of rules.
#[derive(Clone, Debug)]
pub struct RuleGroup {
    /// Its name, unique in its file.
    pub name: String,
    /// The file.
    pub file: String,
    /// Its rules in order.
    pub rules: Vec<Rule>,
    /// How often it is evaluated, in seconds.
    pub interval_secs: f64,
    /// The most series or alerts of a rule; 0 is no limit.
    pub limit: u64,
    /// How long the last evaluation took.
    pub evaluation_time_secs: f64,
    /// When it was.
    pub last_evaluation_ms: Option<TimestampMs>,
}

/// The URLs of the Alertmanagers that are told, and of those that relabelling dropped.
#[derive(Clone, Debug, Default)]
pub struct Alertmanagers {
    /// Full URLs, such as `http://host:9093/api/v2/alerts`.
    pub active: Vec<String>,
    /// The same for dropped ones.
    pub dropped: Vec<String>,
}

/// Knows rules and Alertmanagers.
pub trait AlertsSource: Debug + Send + Sync {
    /// All groups, sorted by file, then name.
    fn groups(&self) -> Vec<RuleGroup>;

    /// The Alertmanagers.
    fn alertmanagers(&self) -> Alertmanagers;
}
