//! `info`: adds labels of info metrics, such as `target_info`, to series of the same target.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use std::sync::Arc;

use model::labels::{INSTANCE_NAME, JOB_NAME, Labels, LabelsBuilder, METRIC_NAME};
use model::matcher::{MatchOp, Matcher};
use model::storage::{SampleColumns, SampleValue, SelectHints, SeriesSet};
use model::value::is_stale_nan;

use super::source::{Held, SAME_LABELSET, Source};
use super::{Context, eval_vector};
use crate::column::Column;
use crate::engine::QueryError;
use crate::plan::{Call, Node, NodeKind, Reference};
use crate::value::Steps;

/// The info metric that is meant where none is named.
const TARGET_INFO: &str = "target_info";
/// Info metrics where it is only said which ones aren't meant.
const ANY_INFO: &str = ".+_info";
/// The labels that tell which target a series is of.
const IDENTIFYING_LABELS: [&str; 2] = [INSTANCE_NAME, JOB_NAME];

/// The source of a call of `info`.
pub(crate) fn eval<'q>(
    ctx: &'q Context<'q>,
    call: &'q Call,
    steps: Steps,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    let reference = reference_of(&call.args[0], &mut Vec::new()).unwrap_or_default();
    let base = Held::collect(ctx, &*eval_vector(ctx, &call.args[0], steps)?)?;
    let asked = Asked::of(call.args.get(1))?;
    let names = asked.name_matchers()?;
    let is_info: Vec<bool> = base
        .labels
        .iter()
        .map(|labels| names.iter().all(|matcher| matcher.matches(labels.metric_name())))
        .collect();
    let info = InfoSeries::select(ctx, &base, &is_info, &asked, names, reference, steps)?;
    let held = Enrichment::new(&base, &is_info, &asked, &info, steps).run(ctx)?;
    Ok(Box::new(held))
}

/// The time that the first selector of an expression refers to, subqueries around it taken into account.
fn reference_of(node: &Node, subqueries: &mut Vec<Reference>) -> Option<Reference> {
    let own = match &node.kind {
        NodeKind::Select(select) => Some(select.reference),
        NodeKind::Range(range) => Some(range.select.reference),
        _ => None,
    };
    if let Some(mut reference) = own {
        for subquery in subqueries.iter().rev() {
            if reference.at_ms.is_some() {
                break;
            }
            reference.offset_ms += subquery.offset_ms;
            reference.at_ms = subquery.at_ms;
        }
        return Some(reference);
    }
    if let NodeKind::Subquery(subquery) = &node.kind {
        subqueries.push(subquery.reference);
        let found = reference_of(&subquery.input, subqueries);
        subqueries.pop();
        return found;
    }
    node.inputs().into_iter().find_map(|input| reference_of(input, subqueries))
}

/// What the second argument asks for.
struct Asked {
    /// Matchers of metric names.
    names: Vec<Matcher>,
    /// Matchers of labels to copy, by label; all labels are copied if there are none.
    labels: BTreeMap<String, Vec<Matcher>>,
}

impl Asked {
    fn of(arg: Option<&Node>) -> Result<Self, QueryError> {
        let mut asked = Asked { names: Vec::new(), labels: BTreeMap::new() };
        let matchers: &[Matcher] = match arg.map(|arg| &arg.kind) {
            None => &[],
            Some(NodeKind::Select(select)) => &select.matchers,
            Some(NodeKind::StepInvariant(inner)) => return Self::of(Some(inner)),
            Some(_) => {
                let text = "expected label selectors only, got vector selector instead";
                return Err(QueryError::Execution(text.to_owned()));
            }
        };
        for matcher in matchers {
            match matcher.name() {
                METRIC_NAME => asked.names.push(matcher.clone()),
                name => asked.labels.entry(name.to_owned()).or_default().push(matcher.clone()),
            }
        }
        Ok(asked)
    }

    /// Matchers that tell info metrics by name.
    fn name_matchers(&self) -> Result<Vec<Matcher>, QueryError> {
        let positive = |matcher: &Matcher| !matcher.op().is_negative();
        if self.names.iter().any(positive) {
            return Ok(self.names.clone());
        }
        if self.names.is_empty() {
            return Ok(vec![Matcher::metric_name(TARGET_INFO)]);
        }
        let any = regex_matcher(METRIC_NAME, ANY_INFO)?;
        Ok([any].into_iter().chain(self.names.iter().cloned()).collect())
    }

    /// Whether series without info metric are part of the result.
    fn keeps_unmatched(&self) -> bool {
        self.labels.values().flatten().all(Matcher::matches_empty)
    }
}

fn regex_matcher(name: &str, pattern: &str) -> Result<Matcher, QueryError> {
    Matcher::new(MatchOp::Regex, name, pattern).map_err(|error| QueryError::Execution(error.to_string()))
}

/// Info series, and when their samples at each step were taken.
struct InfoSeries {
    labels: Vec<Labels>,
    /// For each series the time of its sample at each step.
    times: Vec<Vec<Option<i64>>>,
}

impl InfoSeries {
    fn select(
        ctx: &Context<'_>,
        base: &Held,
        is_info: &[bool],
        asked: &Asked,
        names: Vec<Matcher>,
        reference: Reference,
        steps: Steps,
    ) -> Result<Self, QueryError> {
        let mut info = InfoSeries { labels: Vec::new(), times: Vec::new() };
        let mut matchers = identifying_matchers(base, is_info)?;
        if matchers.is_empty() {
            return Ok(info);
        }
        matchers.extend(asked.labels.values().flatten().cloned());
        matchers.extend(names);
        let mint = reference.time(steps.start_ms) - ctx.lookback_ms + 1;
        let maxt = reference.time(steps.end_ms());
        let hints = SelectHints::new(mint, maxt, &ctx.cancel);
        let set = ctx.querier.select(&matchers, &hints).map_err(|error| ctx.storage_error(error))?;
        let set: Arc<dyn SeriesSet> = Arc::from(set);
        let mut samples = SampleColumns::default();
        for series in 0..set.len() {
            ctx.check()?;
            samples.clear();
            set.read(series, mint, maxt, &mut samples).map_err(|error| ctx.storage_error(error))?;
            let times = sample_times(ctx, &samples, reference, steps);
            if times.iter().any(Option::is_some) {
                info.labels.push(set.labels(series));
                info.times.push(times);
            }
            if samples.histograms.iter().any(|histogram| !histogram.is_stale()) {
                let text =
                    format!("this should be an info metric, with float samples: {}", set.labels(series));
                return Err(QueryError::Execution(text));
            }
        }
        let read: usize = info.times.iter().flatten().flatten().count();
        ctx.budget.take_samples(read as u64)?;
        Ok(info)
    }
}

/// Conditions on the labels that tell targets: those that base series have.
fn identifying_matchers(base: &Held, is_info: &[bool]) -> Result<Vec<Matcher>, QueryError> {
    let mut matchers = Vec::new();
    for name in IDENTIFYING_LABELS {
        let values: BTreeSet<&str> = base
            .labels
            .iter()
            .zip(is_info)
            .filter(|(_, is_info)| !**is_info)
            .map(|(labels, _)| labels.value(name))
            .filter(|value| !value.is_empty())
            .collect();
        if !values.is_empty() {
            let patterns: Vec<String> = values.iter().map(|value| regex::escape(value)).collect();
            matchers.push(regex_matcher(name, &patterns.join("|"))?);
        }
    }
    Ok(matchers)
}

/// When the newest sample was taken that a step sees.
fn sample_times(
    ctx: &Context<'_>,
    samples: &SampleColumns,
    reference: Reference,
    steps: Steps,
) -> Vec<Option<i64>> {
    let newest = |step: usize| {
        let time = reference.time(steps.at(step));
        let newest = samples.timestamps.partition_point(|t| *t <= time).checked_sub(1)?;
        let taken = samples.timestamps[newest];
        (taken > time - ctx.lookback_ms && !is_stale_nan(samples.values[newest])).then_some(taken)
    };
    (0..steps.count).map(newest).collect()
}

/// The join of base series and info series.
struct Enrichment<'a> {
    base: &'a Held,
    is_info: &'a [bool],
    asked: &'a Asked,
    info: &'a InfoSeries,
    steps: Steps,
    /// Info series by what identifies their target, then by metric name.
    by_target: HashMap<Labels, BTreeMap<String, Vec<usize>>>,
    slot_of: HashMap<Labels, usize>,
    result: Held,
}

impl<'a> Enrichment<'a> {
    fn new(
        base: &'a Held,
        is_info: &'a [bool],
        asked: &'a Asked,
        info: &'a InfoSeries,
        steps: Steps,
    ) -> Self {
        let mut by_target: HashMap<Labels, BTreeMap<String, Vec<usize>>> = HashMap::new();
        for (series, labels) in info.labels.iter().enumerate() {
            let target = by_target.entry(labels.only(&IDENTIFYING_LABELS)).or_default();
            target.entry(labels.metric_name().to_owned()).or_default().push(series);
        }
        let (slot_of, result) = (HashMap::new(), Held::empty());
        Enrichment { base, is_info, asked, info, steps, by_target, slot_of, result }
    }

    fn run(mut self, ctx: &Context<'_>) -> Result<Held, QueryError> {
        self.check_unique()?;
        for series in 0..self.base.len() {
            ctx.check()?;
            self.enrich(series)?;
        }
        Held::new(ctx, self.result.labels, self.result.columns, self.result.drops)
    }

    /// Two info series of a metric and a target may not have samples of the same age.
    fn check_unique(&self) -> Result<(), QueryError> {
        let base_at = |step: usize| self.base.columns.iter().any(|column| column.is_present(step));
        for series in self.by_target.values().flat_map(BTreeMap::values).filter(|series| series.len() > 1) {
            for step in (0..self.steps.count).filter(|step| base_at(*step)) {
                let mut taken: HashMap<i64, usize> = HashMap::new();
                let mut newest: Option<i64> = None;
                for series in series {
                    let Some(time) = self.info.times[*series][step] else { continue };
                    // Only the newest so far is in the way.
                    if let Some(existing) = taken.get(&time).filter(|_| newest == Some(time)) {
                        return Err(QueryError::Execution(format!(
                            "found duplicate series for info metric: existing {} @ {time}, new {} @ {time}",
                            self.info.labels[*existing], self.info.labels[*series]
                        )));
                    }
                    taken.insert(time, *series);
                    newest = newest.max(Some(time));
                }
            }
        }
        Ok(())
    }

    fn enrich(&mut self, series: usize) -> Result<(), QueryError> {
        let labels = self.base.labels[series].clone();
        let target = self.by_target.get(&labels.only(&IDENTIFYING_LABELS)).cloned().unwrap_or_default();
        // Steps that see the same info series get the same labels.
        let mut known: HashMap<Vec<usize>, Option<Labels>> = HashMap::new();
        for step in 0..self.steps.count {
            let Some(sample) = self.base.columns[series].get(step) else { continue };
            if self.is_info[series] {
                self.put(labels.clone(), series, step, sample)?;
                continue;
            }
            let seen: Vec<usize> =
                target.values().filter_map(|of_metric| self.newest(of_metric, step)).collect();
            let enriched = match known.get(&seen) {
                Some(enriched) => enriched.clone(),
                None => {
                    let enriched = self.enriched_labels(&labels, &seen)?;
                    known.insert(seen, enriched.clone());
                    enriched
                }
            };
            if let Some(enriched) = enriched {
                self.put(enriched, series, step, sample)?;
            }
        }
        Ok(())
    }

    /// Of the series of one info metric that with the newest sample.
    fn newest(&self, of_metric: &[usize], step: usize) -> Option<usize> {
        let with_sample = of_metric.iter().filter(|series| self.info.times[**series][step].is_some());
        with_sample.max_by_key(|series| self.info.times[**series][step]).copied()
    }

    /// The labels with those of the info series; `None` if the series isn't part of the result.
    fn enriched_labels(&self, labels: &Labels, seen: &[usize]) -> Result<Option<Labels>, QueryError> {
        if seen.is_empty() && !self.asked.keeps_unmatched() {
            return Ok(None);
        }
        let mut copied = LabelsBuilder::new();
        for series in seen {
            for (name, value) in &self.info.labels[*series] {
                let wanted = self.asked.labels.is_empty() || self.asked.labels.contains_key(name);
                if name == METRIC_NAME || !wanted {
                    continue;
                }
                let known = copied.value(name);
                if !known.is_empty() && known != value {
                    return Err(QueryError::Execution(format!("conflicting label: {name}")));
                }
                if !labels.has(name) {
                    copied.set(name, value);
                }
            }
        }
        let mut enriched = LabelsBuilder::from_labels(labels);
        for (name, value) in copied.iter() {
            enriched.set(name, value);
        }
        Ok(Some(enriched.build()))
    }

    fn put(
        &mut self,
        labels: Labels,
        series: usize,
        step: usize,
        sample: SampleValue,
    ) -> Result<(), QueryError> {
        let next = self.result.columns.len();
        let slot = *self.slot_of.entry(labels).or_insert_with_key(|labels| {
            self.result.labels.push(labels.clone());
            self.result.drops.push(self.base.drops[series]);
            self.result.columns.push(Column::absent(self.steps.count));
            next
        });
        let column = &mut self.result.columns[slot];
        if column.is_present(step) {
            return Err(QueryError::Execution(SAME_LABELSET.to_owned()));
        }
        column.set(step, sample);
        Ok(())
    }
}
