//! One test, from its series to its verdict.

use std::fmt;
use std::sync::Arc;

use model::labels::{Labels, LabelsBuilder};
use model::storage::{Appender, Queryable, SampleValue};
use model::time::{Clock, ManualClock, TimestampMs};
use prometheus::Registry;
use promql::engine::{DefaultSubqueryStep, Engine, EngineOptions};
use promql::script::{SequenceValue, parse_series};

use super::file::{AlertTest, ExpectedSample, ExprTest, Test, TestFile};
use super::storage::TestStorage;
use super::{Groups, TestOptions, TestResult};
use crate::alerting::{ALERT_NAME, AlertState};
use crate::group::{Group, Iteration, Sources};
use crate::metrics::Metrics;
use crate::template::Environment;

/// Runs a test.
pub(super) fn run(file: &TestFile, test: &Test, groups: &Groups, options: &TestOptions) -> TestResult {
    let mut errors = Vec::new();
    match Bench::new(file, test, groups, options) {
        Ok(bench) => bench.run(&mut errors),
        Err(error) => errors.push(error),
    }
    TestResult { name: test.name.clone(), errors }
}

/// Everything that a test runs with.
struct Bench<'a> {
    file: &'a TestFile,
    test: &'a Test,
    groups: Vec<Group>,
    sources: Sources,
    metrics: Metrics,
    environment: Environment,
}

impl<'a> Bench<'a> {
    fn new(
        file: &'a TestFile,
        test: &'a Test,
        groups: &Groups,
        options: &TestOptions,
    ) -> Result<Self, String> {
        let storage = Arc::new(TestStorage::default());
        load(file, test, &storage)?;
        let interval_ms = file.evaluation_interval().as_millis();
        let engine = Engine::new(EngineOptions {
            features: options.check.features,
            default_subquery_step: DefaultSubqueryStep::fixed(interval_ms),
            ..EngineOptions::default()
        });
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(test.start_timestamp.0));
        let metrics = Metrics::new(&Registry::new(), &clock).map_err(|error| error.to_string())?;
        Ok(Bench {
            file,
            test,
            groups: in_order(groups, &file.group_eval_order, interval_ms)?,
            sources: Sources {
                engine: Arc::new(engine),
                storage: Arc::clone(&storage) as Arc<dyn Queryable>,
                appender: storage as Arc<dyn Appender>,
            },
            metrics,
            environment: Environment {
                external_labels: Labels::from_pairs(&test.external_labels),
                external_url: test.external_url.clone(),
                timestamp_ms: 0,
            },
        })
    }

    fn run(&self, errors: &mut Vec<String>) {
        let start_ms = self.test.start_timestamp.0;
        let end_ms = start_ms + self.test.duration().as_millis();
        let interval_ms = self.file.evaluation_interval().as_millis();
        let mut at_ms = start_ms;
        while at_ms <= end_ms {
            self.evaluate(at_ms, errors);
            let since_start = at_ms - start_ms;
            let in_interval = |test: &&AlertTest| {
                (since_start..since_start + interval_ms).contains(&test.eval_time.as_millis())
            };
            self.test
                .alert_rule_test
                .iter()
                .filter(in_interval)
                .for_each(|test| errors.extend(self.check_alerts(test)));
            at_ms += interval_ms;
        }
        self.test.promql_expr_test.iter().for_each(|test| errors.extend(self.check_expr(test)));
    }

    fn evaluate(&self, at_ms: TimestampMs, errors: &mut Vec<String>) {
        for group in &self.groups {
            let iteration = Iteration {
                at_ms,
                sources: &self.sources,
                environment: &self.environment,
                metrics: &self.metrics,
            };
            group.evaluate(&iteration, 0);
            for (_, config, health) in group.rules() {
                if let Some(error) = health.last_error {
                    let since_start = model::duration::format_ms(at_ms - self.test.start_timestamp.0);
                    errors.push(format!("    rule: {}, time: {since_start}, err: {error}", config.name()));
                }
            }
        }
    }

    fn check_alerts(&self, test: &AlertTest) -> Option<String> {
        if test.alertname.is_empty() {
            return Some("    an item under alert_rule_test misses required attribute alertname".to_owned());
        }
        let rules =
            self.groups.iter().flat_map(Group::alerting_rules).filter(|rule| rule.alert == test.alertname);
        let alerts = rules.flat_map(|rule| rule.alerts()).filter(|alert| alert.state == AlertState::Firing);
        let got = Alerts::new(alerts.map(|alert| (alert.labels, Labels::from_pairs(&alert.annotations))));
        let expected = Alerts::new(test.exp_alerts.iter().map(|alert| {
            let mut labels = LabelsBuilder::from_labels(&Labels::from_pairs(&alert.exp_labels));
            labels.set(ALERT_NAME, &test.alertname);
            (labels.build(), Labels::from_pairs(&alert.exp_annotations))
        }));
        (got != expected).then(|| {
            format!(
                "    alertname: {}, time: {}, \n        exp:{expected}, \n        got:{got}",
                test.alertname, test.eval_time
            )
        })
    }

    fn check_expr(&self, test: &ExprTest) -> Option<String> {
        let fail =
            |what: String| Some(format!("    expr: {:?}, time: {}, err: {what}", test.expr, test.eval_time));
        let at_ms = self.test.start_timestamp.0 + test.eval_time.as_millis();
        let got = match self.sources.vector(&test.expr, at_ms, None) {
            Ok(vector) => Samples::new(vector),
            Err(error) => return fail(error.to_string()),
        };
        let expected = match test.exp_samples.iter().map(expected_sample).collect::<Result<Vec<_>, _>>() {
            Ok(samples) => Samples::new(samples),
            Err(error) => return fail(error),
        };
        (!got.is_like(&expected, self.file.fuzzy_compare)).then(|| {
            format!(
                "    expr: {:?}, time: {},\n        exp: {expected}\n        got: {got}",
                test.expr, test.eval_time
            )
        })
    }
}

/// Stores the input series of a test.
fn load(file: &TestFile, test: &Test, storage: &TestStorage) -> Result<(), String> {
    let interval_ms = test.interval(file).as_millis();
    for input in &test.input_series {
        let text = format!("{} {}", input.series, input.values);
        let (labels, values) = parse_series(&text).map_err(|error| format!("    {error}"))?;
        for (i, value) in values.into_iter().enumerate() {
            let at_ms = test.start_timestamp.0 + i as i64 * interval_ms;
            let value = match value {
                SequenceValue::Omitted => continue,
                SequenceValue::Float(value) => SampleValue::Float(value),
                SequenceValue::Histogram { histogram, .. } => SampleValue::Histogram(Arc::new(histogram)),
            };
            storage.add(&labels, at_ms, value).map_err(|error| format!("    {}: {error}", input.series))?;
        }
    }
    Ok(())
}

/// The groups in the order of evaluation: those that `order` names first, the others by file and name.
fn in_order(groups: &Groups, order: &[String], interval_ms: i64) -> Result<Vec<Group>, String> {
    let mut made: Vec<Group> = groups
        .iter()
        .flat_map(|(path, groups)| groups.iter().map(move |group| (path, group)))
        .map(|(path, group)| {
            let group_interval_ms = group.interval.map_or(interval_ms, |interval| interval.as_millis());
            let offset_ms = group.query_offset.map_or(0, |offset| offset.as_millis());
            Group::new(&path.to_string_lossy(), group.clone(), group_interval_ms, offset_ms, true)
        })
        .collect();
    for (i, name) in order.iter().enumerate() {
        if order[..i].contains(name) {
            return Err(format!("    group name repeated in evaluation order: {name}"));
        }
    }
    let place = |group: &Group| order.iter().position(|name| name == group.name()).unwrap_or(order.len());
    made.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.key().cmp(&b.key())));
    Ok(made)
}

fn expected_sample(sample: &ExpectedSample) -> Result<(Labels, SampleValue), String> {
    let labels = match sample.labels.trim() {
        "" => Labels::empty(),
        text => promql::parse::parse_metric(text)
            .map_err(|error| format!("labels {:?}: {error}", sample.labels))?,
    };
    if sample.histogram.is_empty() {
        return Ok((labels, SampleValue::Float(sample.value)));
    }
    let (_, values) = parse_series(&format!("{{}} {}", sample.histogram))
        .map_err(|error| format!("failed to parse histogram {:?}: {error}", sample.histogram))?;
    match values.into_iter().next() {
        Some(SequenceValue::Histogram { histogram, .. }) => {
            Ok((labels, SampleValue::Histogram(Arc::new(histogram))))
        }
        _ => Err(format!("expected histogram, got {:?}", sample.histogram)),
    }
}

/// Firing alerts, sorted: labels and annotations.
#[derive(PartialEq)]
struct Alerts(Vec<(Labels, Labels)>);

impl Alerts {
    fn new(alerts: impl Iterator<Item = (Labels, Labels)>) -> Self {
        let mut alerts: Vec<_> = alerts.collect();
        alerts.sort();
        Alerts(alerts)
    }
}

impl fmt::Display for Alerts {
    /// As promtool shows them, indented.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const INDENT: &str = "            ";
        if self.0.is_empty() {
            return write!(f, "[]");
        }
        write!(f, "[")?;
        for (i, (labels, annotations)) in self.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(
                f,
                "{comma}\n{INDENT}{i}:\n{INDENT}  Labels:{labels}\n{INDENT}  Annotations:{annotations}"
            )?;
        }
        write!(f, "\n{INDENT}]")
    }
}

/// A vector, sorted by labels.
struct Samples(Vec<(Labels, SampleValue)>);

impl Samples {
    fn new(mut samples: Vec<(Labels, SampleValue)>) -> Self {
        samples.sort_by(|a, b| a.0.cmp(&b.0));
        Samples(samples)
    }

    fn is_like(&self, other: &Samples, fuzzy: bool) -> bool {
        let is_like = |a: &SampleValue, b: &SampleValue| match (a, b) {
            (SampleValue::Float(a), SampleValue::Float(b)) => {
                a == b || (a.is_nan() && b.is_nan()) || (fuzzy && are_neighbours(*a, *b))
            }
            (SampleValue::Histogram(_), SampleValue::Histogram(_)) => shown(a) == shown(b),
            _ => false,
        };
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(a, b)| a.0 == b.0 && is_like(&a.1, &b.1))
    }
}

/// Whether two floats differ in the last bit at most.
fn are_neighbours(a: f64, b: f64) -> bool {
    a.is_sign_negative() == b.is_sign_negative() && a.to_bits().abs_diff(b.to_bits()) <= 1
}

fn shown(value: &SampleValue) -> String {
    match value {
        SampleValue::Float(value) => model::float_text::exponent(*value).to_uppercase(),
        SampleValue::Histogram(histogram) => histogram.to_string(),
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nil");
        }
        for (i, (labels, value)) in self.0.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{} {}", labels.as_metric(), shown(value))?;
        }
        Ok(())
    }
}
