//! A rule group: rules that are evaluated one after the other, for the same time, at an interval.
//!
//! What a rule stores is committed before the next one is evaluated, so that rules can build on each other. With
//! permits for it, rules that don't build on each other are evaluated at the same time.
//! Series that a rule stored last time and doesn't store now get a staleness marker.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use model::labels::Labels;
use model::storage::{
    AppendError, Appender, Batch, BatchList, FloatSample, HistogramSample, HistogramValue, Queryable,
    SampleValue, SeriesKey, SeriesRef, StorageError,
};
use model::time::TimestampMs;
use parking_lot::Mutex;
use promql::engine::{Engine, Origin, QueryError, QueryRequest};
use promql::value::Value;
use tokio::sync::Semaphore;

use crate::alerting::{Alert, AlertingEvaluation, AlertingRule};
use crate::dependencies::{RuleBatch, batches};
use crate::file::{GroupConfig, RuleConfig, RuleKind};
use crate::metrics::Metrics;
use crate::recording::RecordingRule;
use crate::template::{Environment, QuerySource};

/// What rules are evaluated with.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Answers the expressions.
    pub engine: Arc<Engine>,
    /// What they are asked of.
    pub storage: Arc<dyn Queryable>,
    /// Where results go.
    pub appender: Arc<dyn Appender>,
}

impl Sources {
    /// An instant vector; a number counts as one element without labels.
    pub(crate) fn vector(
        &self,
        expr: &str,
        at_ms: TimestampMs,
        origin: Option<Origin>,
    ) -> Result<Vec<(Labels, SampleValue)>, QueryError> {
        let request = QueryRequest { origin, ..QueryRequest::instant(expr, at_ms) };
        let result = self.engine.query(&*self.storage, &request)?;
        match result.value {
            Value::Vector { samples, .. } => Ok(samples),
            Value::Scalar { value, .. } => Ok(vec![(Labels::empty(), SampleValue::Float(value))]),
            _ => Err(QueryError::Execution("rule result is not a vector or scalar".into())),
        }
    }
}

/// What the templates of a group's alerts ask.
#[derive(Debug)]
struct GroupSources<'a> {
    sources: &'a Sources,
    origin: &'a Origin,
}

impl QuerySource for GroupSources<'_> {
    fn query(&self, expr: &str, at_ms: TimestampMs) -> Result<Vec<(Labels, f64)>, String> {
        let vector = self.sources.vector(expr, at_ms, Some(self.origin.clone()));
        let floats =
            vector.map_err(|error| error.to_string())?.into_iter().filter_map(
                |(labels, value)| match value {
                    SampleValue::Float(value) => Some((labels, value)),
                    SampleValue::Histogram(_) => None,
                },
            );
        Ok(floats.collect())
    }
}

/// How a rule fares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// What went wrong last time.
    pub last_error: Option<String>,
    /// When it was last evaluated; `None` if never.
    pub last_evaluation_ms: Option<TimestampMs>,
    /// How long that took.
    pub duration: Duration,
}

/// A rule of either kind.
#[derive(Debug)]
pub enum Rule {
    /// Stores a value.
    Recording(RecordingRule),
    /// Holds alerts.
    Alerting(AlertingRule),
}

impl Rule {
    fn new(config: &RuleConfig, restored: bool) -> Self {
        match &config.kind {
            RuleKind::Recording { record } => Rule::Recording(RecordingRule {
                record: record.clone(),
                expr: config.expr.clone(),
                labels: config.labels.clone(),
            }),
            RuleKind::Alerting { alert, hold, keep_firing, annotations } => {
                Rule::Alerting(AlertingRule::new(
                    alert,
                    &config.expr,
                    *hold,
                    *keep_firing,
                    &config.labels,
                    annotations,
                    restored,
                ))
            }
        }
    }

    /// The expression.
    pub fn expr(&self) -> &str {
        match self {
            Rule::Recording(rule) => &rule.expr,
            Rule::Alerting(rule) => &rule.expr,
        }
    }

    /// The alerting rule, if it is one.
    pub fn alerting(&self) -> Option<&AlertingRule> {
        match self {
            Rule::Alerting(rule) => Some(rule),
            Rule::Recording(_) => None,
        }
    }
}

/// A group of rules, with what it remembers from evaluation to evaluation.
#[derive(Debug)]
pub struct Group {
    /// As it was written, with the defaults filled in.
    config: GroupConfig,
    /// The file it stands in, as configured.
    file: String,
    interval_ms: i64,
    offset_ms: i64,
    rules: Vec<Rule>,
    /// What may be evaluated at the same time.
    batches: Vec<RuleBatch>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// For each rule what it stored last time.
    stored: Vec<HashMap<Labels, SeriesRef>>,
    /// Series of rules that are no more, to be ended at the next evaluation.
    orphans: Vec<SeriesRef>,
    health: Vec<Health>,
    last_evaluation_ms: Option<TimestampMs>,
    duration: Duration,
}

/// What holds for one evaluation of a group.
#[derive(Debug)]
pub struct Iteration<'a> {
    /// The slot: the time that alerts see.
    pub at_ms: TimestampMs,
    /// What rules are evaluated with.
    pub sources: &'a Sources,
    /// What templates see.
    pub environment: &'a Environment,
    /// Where it is counted.
    pub metrics: &'a Metrics,
    /// A permit for each rule of any group that may be evaluated beside another one of its own group; `None`:
    /// rules are evaluated in their order.
    pub permits: Option<&'a Semaphore>,
}

/// What the evaluation of a rule gave.
#[derive(Debug, Default)]
struct Evaluated {
    duration: Duration,
    samples: usize,
    /// What Alertmanager is to be told.
    alerts: Vec<Alert>,
}

impl Group {
    /// A group that hasn't been evaluated. `restored` says that there is no state of before a restart to wait
    /// for.
    pub fn new(file: &str, config: GroupConfig, interval_ms: i64, offset_ms: i64, restored: bool) -> Self {
        let rules: Vec<Rule> = config.rules.iter().map(|rule| Rule::new(rule, restored)).collect();
        let state = State {
            stored: vec![HashMap::new(); rules.len()],
            health: vec![Health::default(); rules.len()],
            ..State::default()
        };
        let batches = batches(&config.rules);
        let file = file.to_owned();
        Group { file, config, interval_ms, offset_ms, rules, batches, state: Mutex::new(state) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The file it stands in.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// File and name in one, as the metrics label groups.
    pub fn key(&self) -> String {
        format!("{};{}", self.file, self.config.name)
    }

    /// As it was written.
    pub fn config(&self) -> &GroupConfig {
        &self.config
    }

    /// How often it is evaluated.
    pub fn interval_ms(&self) -> i64 {
        self.interval_ms
    }

    /// How far back it is evaluated.
    pub(crate) fn offset_ms(&self) -> i64 {
        self.offset_ms
    }

    /// Its rules, each with how it fares.
    pub fn rules(&self) -> Vec<(&Rule, &RuleConfig, Health)> {
        let health = self.state.lock().health.clone();
        self.rules
            .iter()
            .zip(&self.config.rules)
            .zip(health)
            .map(|((rule, config), health)| (rule, config, health))
            .collect()
    }

    /// When it was last evaluated and how long that took.
    pub fn last_evaluation(&self) -> (Option<TimestampMs>, Duration) {
        let state = self.state.lock();
        (state.last_evaluation_ms, state.duration)
    }

    pub(crate) fn alerting_rules(&self) -> impl Iterator<Item = &AlertingRule> {
        self.rules.iter().filter_map(Rule::alerting)
    }

    /// Whether a group of another configuration is this one.
    pub(crate) fn is_same(&self, other: &Group) -> bool {
        self.file == other.file
            && self.config == other.config
            && self.interval_ms == other.interval_ms
            && self.offset_ms == other.offset_ms
    }

    /// Takes over the state of the group that this one takes the place of: that of each rule with the same
    /// name and labels, in order. The series of the others are ended.
    pub(crate) fn take_state(&self, old: &Group) {
        let mut old_state = old.state.lock();
        let mut state = self.state.lock();
        let mut taken = vec![false; old.rules.len()];
        for (i, rule) in self.config.rules.iter().enumerate() {
            let found = (0..old.rules.len()).find(|&j| {
                let other = &old.config.rules[j];
                !taken[j]
                    && other.name() == rule.name()
                    && other.labels == rule.labels
                    && old.rules[j].alerting().is_some() == self.rules[i].alerting().is_some()
            });
            let Some(j) = found else { continue };
            taken[j] = true;
            state.stored[i] = std::mem::take(&mut old_state.stored[j]);
            if let (Some(new), Some(old)) = (self.rules[i].alerting(), old.rules[j].alerting()) {
                new.take_alerts(old);
            }
        }
        state.last_evaluation_ms = old_state.last_evaluation_ms;
        state.orphans = std::mem::take(&mut old_state.orphans);
        for left in &mut old_state.stored {
            state.orphans.extend(left.drain().map(|(_, series)| series));
        }
    }

    /// Evaluates all rules for the slot, and returns for each alerting rule what Alertmanager is to be told.
    pub fn evaluate(&self, iteration: &Iteration<'_>, resend_delay_ms: i64) -> Vec<(String, Vec<Alert>)> {
        let started = Instant::now();
        let evaluate = |rule: usize| self.evaluate_one(rule, iteration, resend_delay_ms);
        let evaluated: Vec<Evaluated> = match iteration.permits {
            None => (0..self.rules.len()).map(evaluate).collect(),
            Some(permits) => {
                let mut evaluated: Vec<_> =
                    self.batches.iter().flat_map(|batch| at_once(batch, permits, &evaluate)).collect();
                evaluated.sort_by_key(|(rule, _)| *rule);
                evaluated.into_iter().map(|(_, evaluated)| evaluated).collect()
            }
        };
        self.end_orphans(iteration);
        let duration = started.elapsed();
        let rules_duration = evaluated.iter().map(|rule| rule.duration).sum();
        let samples = evaluated.iter().map(|rule| rule.samples).sum();
        iteration.metrics.group_evaluated(&self.key(), iteration.at_ms, duration, rules_duration, samples);
        let mut state = self.state.lock();
        state.last_evaluation_ms = Some(iteration.at_ms);
        state.duration = duration;
        let alerts = self.rules.iter().zip(evaluated).filter(|(_, evaluated)| !evaluated.alerts.is_empty());
        alerts.map(|(rule, evaluated)| (rule.expr().to_owned(), evaluated.alerts)).collect()
    }

    /// Evaluates a rule and notes how it fares.
    fn evaluate_one(&self, rule: usize, iteration: &Iteration<'_>, resend_delay_ms: i64) -> Evaluated {
        let started = Instant::now();
        let result = self.evaluate_rule(rule, iteration);
        let duration = started.elapsed();
        iteration.metrics.rule_evaluated(&self.key(), duration, result.is_ok());
        let evaluated = match &result {
            Ok(samples) => {
                let alerting = self.rules[rule].alerting();
                let alerts = alerting
                    .map(|alerting| alerting.to_send(iteration.at_ms, resend_delay_ms, self.interval_ms));
                Evaluated { duration, samples: *samples, alerts: alerts.unwrap_or_default() }
            }
            Err(error) => {
                tracing::warn!(file = %self.file, group = %self.name(), rule = %self.config.rules[rule].name(), index = rule, %error, "evaluating rule failed");
                Evaluated { duration, ..Evaluated::default() }
            }
        };
        let health = Health { last_error: result.err(), last_evaluation_ms: Some(iteration.at_ms), duration };
        self.state.lock().health[rule] = health;
        evaluated
    }

    /// Evaluates a rule, stores what it gives, and returns how much that was.
    fn evaluate_rule(&self, index: usize, iteration: &Iteration<'_>) -> Result<usize, String> {
        let stored_at_ms = iteration.at_ms - self.offset_ms;
        let rule = &self.rules[index];
        let origin = Origin::RuleGroup { file: self.file.clone(), name: self.config.name.clone() };
        let vector = iteration
            .sources
            .vector(rule.expr(), stored_at_ms, Some(origin.clone()))
            .map_err(|error| error.to_string())?;
        let series = match rule {
            Rule::Recording(rule) => rule.evaluate(vector, self.config.limit)?,
            Rule::Alerting(rule) => {
                let environment = Environment { timestamp_ms: stored_at_ms, ..iteration.environment.clone() };
                let evaluation = AlertingEvaluation {
                    at_ms: iteration.at_ms,
                    limit: self.config.limit,
                    environment: &environment,
                    queries: &GroupSources { sources: iteration.sources, origin: &origin },
                };
                rule.evaluate(vector, &evaluation)?
            }
        };
        let count = series.len();
        // Not under the lock: others of the group may be storing at the same time.
        let before = std::mem::take(&mut self.state.lock().stored[index]);
        let stored = store(&*iteration.sources.appender, stored_at_ms, series, &before);
        let (stored, error) = match stored {
            Ok(stored) => (stored, None),
            Err(error) => (before, Some(error.to_string())),
        };
        self.state.lock().stored[index] = stored;
        if let Some(error) = error {
            return Err(error);
        }
        Ok(count)
    }

    fn end_orphans(&self, iteration: &Iteration<'_>) {
        let orphans = std::mem::take(&mut self.state.lock().orphans);
        self.end(&*iteration.sources.appender, iteration.at_ms - self.offset_ms, orphans);
    }

    /// Ends all series of the group, which is no more.
    pub(crate) fn end_all(&self, appender: &dyn Appender, at_ms: TimestampMs) {
        let mut state = self.state.lock();
        let mut series = std::mem::take(&mut state.orphans);
        for stored in &mut state.stored {
            series.extend(stored.drain().map(|(_, series)| series));
        }
        drop(state);
        self.end(appender, at_ms, series);
    }

    fn end(&self, appender: &dyn Appender, at_ms: TimestampMs, series: Vec<SeriesRef>) {
        if series.is_empty() {
            return;
        }
        let batch =
            Batch { ended: series.into_iter().map(|series| (series, at_ms)).collect(), ..Batch::default() };
        if let Err(error) = appender.commit(&batch) {
            tracing::warn!(file = %self.file, group = %self.name(), %error, "writing staleness markers failed");
        }
    }
}

/// Evaluates the rules of a batch, each once: on this thread, and on one more for each permit that is there.
fn at_once(
    batch: &RuleBatch,
    permits: &Semaphore,
    evaluate: &(impl Fn(usize) -> Evaluated + Sync),
) -> Vec<(usize, Evaluated)> {
    let next = AtomicUsize::new(0);
    let work = || {
        let rules = std::iter::from_fn(|| batch.get(next.fetch_add(1, Ordering::Relaxed)));
        rules.map(|rule| (*rule, evaluate(*rule))).collect::<Vec<_>>()
    };
    let held: Vec<_> = (1..batch.len()).map_while(|_| permits.try_acquire().ok()).collect();
    if held.is_empty() {
        return work();
    }
    std::thread::scope(|scope| {
        let helpers: Vec<_> = held.iter().map(|_| scope.spawn(work)).collect();
        let mut evaluated = work();
        for helper in helpers {
            match helper.join() {
                Ok(more) => evaluated.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        evaluated
    })
}

/// Stores a rule's series, ends those of `before` that aren't among them, and returns what is stored now.
fn store(
    appender: &dyn Appender,
    at_ms: TimestampMs,
    series: Vec<(Labels, SampleValue)>,
    before: &HashMap<Labels, SeriesRef>,
) -> Result<HashMap<Labels, SeriesRef>, StorageError> {
    let mut stored = HashMap::with_capacity(series.len());
    let mut batch = Batch::default();
    for (labels, value) in &series {
        let key = match before.get(labels) {
            Some(known) => {
                stored.insert(labels.clone(), *known);
                SeriesKey::Known(*known)
            }
            None => batch.add_series(labels.clone()),
        };
        push(&mut batch, key, at_ms, value);
    }
    let gone = before.iter().filter(|(labels, _)| !stored.contains_key(*labels));
    batch.ended = gone.map(|(_, series)| (*series, at_ms)).collect();
    let committed = appender.commit(&batch)?;
    let mut unknown = Vec::new();
    for rejected in committed.rejected {
        let key = match rejected.list {
            BatchList::Floats => batch.floats[rejected.index].series,
            BatchList::Histograms => batch.histograms[rejected.index].series,
            BatchList::Exemplars => continue,
        };
        match (rejected.error, key) {
            (AppendError::UnknownSeries, SeriesKey::Known(series)) => unknown.push(series),
            (error, _) => tracing::warn!(%error, "rule evaluation result discarded"),
        }
    }
    let made = batch.new_series.iter().zip(&committed.new_refs);
    stored.extend(made.filter_map(|(labels, series)| series.map(|series| (labels.clone(), series))));
    if !unknown.is_empty() {
        store_again(appender, at_ms, &series, &unknown, &mut stored)?;
    }
    Ok(stored)
}

/// Stores once more, by their labels, what the storage has forgotten by its refs.
fn store_again(
    appender: &dyn Appender,
    at_ms: TimestampMs,
    series: &[(Labels, SampleValue)],
    unknown: &[SeriesRef],
    stored: &mut HashMap<Labels, SeriesRef>,
) -> Result<(), StorageError> {
    let mut batch = Batch::default();
    for (labels, value) in series {
        if stored.get(labels).is_some_and(|series| unknown.contains(series)) {
            stored.remove(labels);
            let key = batch.add_series(labels.clone());
            push(&mut batch, key, at_ms, value);
        }
    }
    let committed = appender.commit(&batch)?;
    let made = batch.new_series.into_iter().zip(committed.new_refs);
    stored.extend(made.filter_map(|(labels, series)| series.map(|series| (labels, series))));
    Ok(())
}

fn push(batch: &mut Batch, series: SeriesKey, timestamp_ms: TimestampMs, value: &SampleValue) {
    match value {
        SampleValue::Float(value) => batch.floats.push(FloatSample { series, timestamp_ms, value: *value }),
        SampleValue::Histogram(histogram) => batch.histograms.push(HistogramSample {
            series,
            timestamp_ms,
            value: HistogramValue::Float((**histogram).clone()),
        }),
    }
}

/// The group's slot at or before a time. Slots lie on a grid of the interval, moved by a hash of name and
/// file, so that the groups of a server are spread over the interval, and at the same places after a restart.
pub fn slot_before(name: &str, file: &Path, interval_ms: i64, at_ms: TimestampMs) -> TimestampMs {
    let identity = Labels::from_pairs([("name", name), ("file", &file.to_string_lossy())]);
    let interval_nanos = interval_ms.unsigned_abs() * 1_000_000;
    let offset_ms = (identity.stable_hash() % interval_nanos / 1_000_000) as i64;
    let adjusted = at_ms - offset_ms;
    adjusted - adjusted.rem_euclid(interval_ms) + offset_ms
}

#[cfg(test)]
mod tests;
