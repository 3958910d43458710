//! One test, from its series to its verdict.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use model::float_text;
use model::labels::{Labels, LabelsBuilder};
use model::storage::{Appender, Queryable, SampleColumns, SampleValue};
use model::time::{Clock, ManualClock, TimestampMs};
use prometheus::Registry;
use promql::engine::{DefaultSubqueryStep, Engine, EngineOptions, QueryRequest, QueryResult};
use promql::parse::ParseError;
use promql::script::{SequenceValue, parse_series};
use promql::value::Value;
use serde_json::json;

use super::file::{AlertTest, ExpectedSample, ExprTest, Test, TestFile};
use super::storage::TestStorage;
use super::{Groups, TestOptions, TestResult, diff};
use crate::alerting::{ALERT_NAME, AlertState};
use crate::file::GroupConfig;
use crate::group::{Group, Iteration, Sources};
use crate::metrics::Metrics;
use crate::template::{Environment, duration_text};

const NANOS_PER_MILLI: i64 = 1_000_000;

/// Runs a test, which is the `nth` of its file.
pub(super) fn run(
    file: &TestFile,
    (nth, test): (usize, &Test),
    groups: &Groups,
    options: &TestOptions,
) -> TestResult {
    let debug = options.debug.unwrap_or(|_| ());
    let name = if test.name.is_empty() { format!("unnamed#{nth}") } else { test.name.clone() };
    debug(&format!("DEBUG: Starting test {name}"));
    let started = Instant::now();
    let errors = match Bench::new(file, test, groups, options) {
        Ok(bench) => bench.run(),
        Err(errors) => errors,
    };
    let took = duration_text(i64::try_from(started.elapsed().as_nanos()).unwrap_or(i64::MAX));
    debug(&format!("DEBUG: Test {name} finished, took {took}"));
    TestResult { name, errors }
}

/// Everything that a test runs with.
struct Bench<'a> {
    file: &'a TestFile,
    test: &'a Test,
    options: &'a TestOptions,
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
        options: &'a TestOptions,
    ) -> Result<Self, Vec<String>> {
        let storage = Arc::new(TestStorage::default());
        load(file, test, &storage).map_err(|error| vec![error])?;
        let groups = groups.as_ref().map_err(Vec::clone)?;
        if let Some(unnamed) = test.alert_rule_test.iter().find(|test| test.alertname.is_empty()) {
            return Err(vec![no_alert_name(unnamed, test)]);
        }
        let interval_ms = file.evaluation_interval().as_millis();
        let engine = Engine::new(EngineOptions {
            features: options.check.features,
            default_subquery_step: DefaultSubqueryStep::fixed(interval_ms),
            ..EngineOptions::default()
        });
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(test.start_timestamp.0));
        let metrics = Metrics::new(&Registry::new(), &clock).map_err(|error| vec![error.to_string()])?;
        Ok(Bench {
            file,
            test,
            options,
            groups: in_order(groups, &file.group_eval_order, interval_ms),
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

    fn run(&self) -> Vec<String> {
        let mut errors = Vec::new();
        let start_ms = self.test.start_timestamp.0;
        let end_ms = start_ms + self.test.duration().as_millis();
        let interval_ms = self.file.evaluation_interval().as_millis();
        let mut alert_tests: Vec<&AlertTest> = self.test.alert_rule_test.iter().collect();
        alert_tests.sort_by_key(|test| test.eval_time);
        let mut at_ms = start_ms;
        while at_ms <= end_ms {
            let failed = self.evaluate(at_ms);
            if !failed.is_empty() {
                errors.extend(failed);
                return errors;
            }
            let interval = at_ms - start_ms..at_ms - start_ms + interval_ms;
            let due = alert_tests.iter().filter(|test| interval.contains(&test.eval_time.as_millis()));
            errors.extend(due.filter_map(|test| self.check_alerts(test)));
            at_ms += interval_ms;
        }
        errors.extend(self.test.promql_expr_test.iter().filter_map(|test| self.check_expr(test)));
        if let Some(debug) = self.options.debug {
            debug(&self.dump());
        }
        errors
    }

    /// Evaluates all groups, and returns what failed.
    fn evaluate(&self, at_ms: TimestampMs) -> Vec<String> {
        let mut errors = Vec::new();
        for group in &self.groups {
            let iteration = Iteration {
                at_ms,
                sources: &self.sources,
                environment: &self.environment,
                metrics: &self.metrics,
                permits: None,
            };
            group.evaluate(&iteration, 0);
            for (_, config, health) in group.rules() {
                if let Some(error) = health.last_error {
                    let since_start = duration_text((at_ms - self.test.start_timestamp.0) * NANOS_PER_MILLI);
                    errors.push(format!("    rule: {}, time: {since_start}, err: {error}", config.name()));
                }
            }
        }
        errors
    }

    fn check_alerts(&self, test: &AlertTest) -> Option<String> {
        let rules =
            self.groups.iter().flat_map(Group::alerting_rules).filter(|rule| rule.alert == test.alertname);
        let alerts = rules.flat_map(|rule| rule.alerts()).filter(|alert| alert.state == AlertState::Firing);
        let got = Alerts::new(alerts.map(|alert| (alert.labels, Labels::from_pairs(&alert.annotations))));
        let expected = Alerts::new(test.exp_alerts.iter().map(|alert| {
            let mut labels = LabelsBuilder::from_labels(&Labels::from_pairs(&alert.exp_labels));
            labels.set(ALERT_NAME, &test.alertname);
            (labels.build(), Labels::from_pairs(&alert.exp_annotations))
        }));
        if got == expected {
            return None;
        }
        let name = match self.test.name.as_str() {
            "" => String::new(),
            name => format!("    name: {name},\n"),
        };
        let place = format!("{name}    alertname: {}, time: {}, \n", test.alertname, test.eval_time);
        Some(if self.options.diff {
            let diff = diff::coloured(&expected.to_json(), &got.to_json()).replace('\n', "\n            ");
            format!("{place}        diff: {diff}")
        } else {
            format!("{place}        exp:{expected}, \n        got:{got}")
        })
    }

    /// All samples up to the end, which is the first whole second after the test.
    fn dump(&self) -> String {
        let length_ms = (self.test.duration().as_millis() + 1000) / 1000 * 1000;
        let expr = format!("{{__name__=~\".+\"}}[{length_ms}ms]");
        let request = QueryRequest::instant(&expr, self.test.start_timestamp.0 + length_ms);
        let matrix = match self.sources.engine.query(&*self.sources.storage, &request) {
            Ok(QueryResult { value: Value::Matrix(matrix), .. }) => matrix,
            Ok(_) => return "DEBUG: Got unexpected type".to_owned(),
            Err(error) => return format!("DEBUG: Failed query exec, expr: {expr:?}, err: {error}"),
        };
        let series: Vec<String> =
            matrix.iter().map(|(labels, samples)| shown_series(labels, samples)).collect();
        let length = duration_text(length_ms * NANOS_PER_MILLI);
        format!("DEBUG: Dump of all data (input_series and rules) at {length}:\n{}", series.join("\n"))
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

fn no_alert_name(unnamed: &AlertTest, test: &Test) -> String {
    let place = match test.name.as_str() {
        "" => String::new(),
        name => format!(" (in TestGroup {name})"),
    };
    format!(
        "an item under alert_rule_test misses required attribute alertname at eval_time {}{place}",
        unnamed.eval_time
    )
}

/// A series with a line for each sample.
fn shown_series(labels: &Labels, samples: &SampleColumns) -> String {
    let floats = samples.timestamps.iter().zip(&samples.values);
    let floats = floats.map(|(at_ms, value)| format!("\n{} @[{at_ms}]", float_text::plain(*value)));
    let histograms = samples.histogram_timestamps.iter().zip(&samples.histograms);
    let histograms = histograms.map(|(at_ms, histogram)| format!("\n{histogram} @[{at_ms}]"));
    format!("{labels} =>{}", floats.chain(histograms).collect::<String>())
}

/// Stores the input series of a test. Lines in errors are those of the reference's script: one for the interval, then
/// one for each series.
fn load(file: &TestFile, test: &Test, storage: &TestStorage) -> Result<(), String> {
    let interval_ms = test.interval(file).as_millis();
    for (nth, input) in test.input_series.iter().enumerate() {
        let text = format!("{} {}", input.series, input.values);
        let (labels, values) = parse_series(&text)
            .map_err(|error| ParseError { line: error.line + 1 + nth, ..error }.to_string())?;
        for (i, value) in values.into_iter().enumerate() {
            let at_ms = test.start_timestamp.0 + i as i64 * interval_ms;
            let value = match value {
                SequenceValue::Omitted => continue,
                SequenceValue::Float(value) => SampleValue::Float(value),
                SequenceValue::Histogram { histogram, .. } => SampleValue::Histogram(Arc::new(histogram)),
            };
            storage.add(&labels, at_ms, value).map_err(|error| format!("{}: {error}", input.series))?;
        }
    }
    Ok(())
}

/// The groups in the order of evaluation: those that `order` names first, the others by file and name.
fn in_order(groups: &[(PathBuf, Vec<GroupConfig>)], order: &[String], interval_ms: i64) -> Vec<Group> {
    let mut made: Vec<Group> = groups
        .iter()
        .flat_map(|(path, groups)| groups.iter().map(move |group| (path, group)))
        .map(|(path, group)| {
            let group_interval_ms = group.interval.map_or(interval_ms, |interval| interval.as_millis());
            let offset_ms = group.query_offset.map_or(0, |offset| offset.as_millis());
            Group::new(&path.to_string_lossy(), group.clone(), group_interval_ms, offset_ms, true)
        })
        .collect();
    let place = |group: &Group| order.iter().position(|name| name == group.name()).unwrap_or(order.len());
    made.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.key().cmp(&b.key())));
    made
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

    /// As the reference makes it for a difference: no alerts are one without anything.
    fn to_json(&self) -> serde_json::Value {
        let nothing = [(Labels::empty(), Labels::empty())];
        let alerts = if self.0.is_empty() { &nothing[..] } else { &self.0 };
        let alert =
            |(labels, annotations): &(Labels, Labels)| json!({"Annotations": annotations, "Labels": labels});
        alerts.iter().map(alert).collect()
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
        SampleValue::Float(value) => float_text::exponent(*value).to_uppercase(),
        SampleValue::Histogram(histogram) => histogram.test_expression(),
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nil");
        }
        for (i, (labels, value)) in self.0.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{labels} {}", shown(value))?;
        }
        Ok(())
    }
}
