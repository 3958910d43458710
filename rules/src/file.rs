//! Rule files: groups of recording and alerting rules, read strictly and checked whole.
//!
//! A file is refused as a whole, with everything that is wrong in it: each error names file, line, column,
//! group and rule (`rules.yml: 12:7: group "g", rule 2, "HighLoad": …`). The wording is that of the reference's
//! `model/rulefmt`.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use model::duration::PromDuration;
use model::labels::{Labels, METRIC_NAME};
use model::names::ValidationScheme;
use promql::features::Features;
use serde::Deserialize;
use serde_saphyr::{Location, Spanned, UserMessageFormatter};

use self::lenient::Lenient;
use crate::template;

mod lenient;

/// One thing that is wrong with a rule file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RuleFileError {
    file: String,
    /// Line and column, from 1.
    at: Option<(u64, u64)>,
    /// Group, the rule's number from 1, the rule's name.
    rule: Option<Box<RulePlace>>,
    what: String,
}

/// A rule's place in messages: group, number, name.
type RulePlace = (String, usize, String);

impl fmt::Display for RuleFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if let Some((line, column)) = self.at {
            write!(f, "{line}:{column}: ")?;
        }
        if let Some((group, rule, name)) = self.rule.as_deref() {
            write!(f, "group {group:?}, rule {rule}, {name:?}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// A group as it is written, with defaults left open.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupConfig {
    /// Unique within its file.
    pub name: String,
    /// How often it is evaluated; `None` for the global evaluation interval.
    pub interval: Option<PromDuration>,
    /// How far back it is evaluated; `None` for the global offset.
    pub query_offset: Option<PromDuration>,
    /// The most series or alerts that one of its rules may have; 0 is no limit.
    pub limit: usize,
    /// Its rules, in order.
    pub rules: Vec<RuleConfig>,
}

/// A rule as it is written; labels of the group are among its own.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleConfig {
    /// What it makes.
    pub kind: RuleKind,
    /// The expression, in the reference's spelling.
    pub expr: String,
    /// Labels that its output gets; of alerts they are templates.
    pub labels: BTreeMap<String, String>,
}

/// The two kinds of rules.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    /// Stores the value of the expression.
    Recording {
        /// The metric name of what is stored.
        record: String,
    },
    /// Holds an alert for each element of the expression's value.
    Alerting {
        /// The alerts' name.
        alert: String,
        /// How long an element must be there before its alert fires.
        hold: PromDuration,
        /// How long an alert fires on after its element has gone.
        keep_firing: PromDuration,
        /// What is told beside the labels: templates.
        annotations: BTreeMap<String, String>,
    },
}

impl RuleConfig {
    /// The name of the recorded metric or of the alert.
    pub fn name(&self) -> &str {
        match &self.kind {
            RuleKind::Recording { record } => record,
            RuleKind::Alerting { alert, .. } => alert,
        }
    }
}

/// What a file is checked against.
#[derive(Clone, Debug, Default)]
pub struct CheckOptions {
    /// Which names are allowed.
    pub names: ValidationScheme,
    /// Which experimental parts of PromQL are.
    pub features: Features,
    /// Whether fields that there aren't are passed over; else they are errors.
    pub ignores_unknown_fields: bool,
}

/// Parses and checks a rule file. `file` is what messages call it.
///
/// # Errors
///
/// Everything that is wrong, in order of the text; of YAML that can't be read only the first thing.
pub fn parse(file: &str, text: &str, options: &CheckOptions) -> Result<Vec<GroupConfig>, Vec<RuleFileError>> {
    let written = read(file, text, options.ignores_unknown_fields).map_err(|error| vec![error])?;
    let mut checker = Checker { file, options, errors: Vec::new() };
    let mut names = HashSet::new();
    let mut groups = Vec::new();
    for group in written.groups.unwrap_or_default() {
        let location = group.referenced;
        let group = group.value;
        if group.name.is_empty() {
            checker.fail(location, None, "Groupname must not be empty");
        }
        if !names.insert(group.name.clone()) {
            checker.fail(location, None, format!("groupname: {:?} is repeated in the same file", group.name));
        }
        groups.push(checker.group(group));
    }
    if checker.errors.is_empty() { Ok(groups) } else { Err(checker.errors) }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenFile {
    groups: Option<Vec<Spanned<WrittenGroup>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenGroup {
    name: String,
    interval: Option<PromDuration>,
    query_offset: Option<PromDuration>,
    limit: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    rules: Option<Vec<Spanned<WrittenRule>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenRule {
    record: Option<String>,
    alert: Option<String>,
    expr: Option<Spanned<String>>,
    #[serde(rename = "for")]
    hold: Option<PromDuration>,
    keep_firing_for: Option<PromDuration>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
}

fn read(file: &str, text: &str, ignores_unknown_fields: bool) -> Result<WrittenFile, RuleFileError> {
    let options = serde_saphyr::options! { with_snippet: false };
    let written = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        if ignores_unknown_fields {
            Option::<WrittenFile>::deserialize(Lenient(deserializer))
        } else {
            Option::<WrittenFile>::deserialize(deserializer)
        }
    });
    match written {
        Ok(written) => Ok(written.unwrap_or_default()),
        Err(serde_saphyr::Error::Eof { .. }) => Ok(WrittenFile::default()),
        Err(error) => {
            let message = error.render_with_formatter(&UserMessageFormatter);
            let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what).to_owned();
            Err(RuleFileError {
                file: file.to_owned(),
                at: error.location().and_then(place),
                rule: None,
                what,
            })
        }
    }
}

fn place(location: Location) -> Option<(u64, u64)> {
    (location != Location::UNKNOWN).then(|| (location.line(), location.column()))
}

struct Checker<'a> {
    file: &'a str,
    options: &'a CheckOptions,
    errors: Vec<RuleFileError>,
}

impl Checker<'_> {
    fn fail(&mut self, location: Location, rule: Option<&RulePlace>, what: impl Into<String>) {
        let file = self.file.to_owned();
        self.errors.push(RuleFileError {
            file,
            at: place(location),
            rule: rule.cloned().map(Box::new),
            what: what.into(),
        });
    }

    fn group(&mut self, written: WrittenGroup) -> GroupConfig {
        let shared = written.labels.unwrap_or_default();
        let mut rules = Vec::new();
        for (i, rule) in written.rules.unwrap_or_default().into_iter().enumerate() {
            let name = rule.value.record.as_ref().or(rule.value.alert.as_ref()).cloned().unwrap_or_default();
            let at = (written.name.clone(), i + 1, name);
            rules.push(self.rule(&at, rule.referenced, rule.value, &shared));
        }
        GroupConfig {
            name: written.name,
            interval: written.interval.filter(|interval| !interval.is_zero()),
            query_offset: written.query_offset,
            limit: written.limit.map_or(0, |limit| limit.max(0) as usize),
            rules,
        }
    }

    fn rule(
        &mut self,
        at: &RulePlace,
        location: Location,
        written: WrittenRule,
        shared: &BTreeMap<String, String>,
    ) -> RuleConfig {
        let mut labels = shared.clone();
        labels.extend(written.labels.clone().unwrap_or_default());
        let expr = self.expr(at, location, written.expr.as_ref());
        self.labels(at, location, &labels);
        let filled = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
        let kind = match (filled(&written.record), filled(&written.alert)) {
            (Some(_), Some(_)) => {
                self.fail(location, Some(at), "only one of 'record' and 'alert' must be set");
                RuleKind::Recording { record: String::new() }
            }
            (None, None) => {
                self.fail(location, Some(at), "one of 'record' or 'alert' must be set");
                RuleKind::Recording { record: String::new() }
            }
            (Some(record), None) => {
                self.recording(at, location, &written, &record);
                RuleKind::Recording { record }
            }
            (None, Some(alert)) => {
                let annotations = written.annotations.unwrap_or_default();
                self.templates(at, location, &alert, &labels, &annotations);
                RuleKind::Alerting {
                    alert,
                    hold: written.hold.unwrap_or_default(),
                    keep_firing: written.keep_firing_for.unwrap_or_default(),
                    annotations,
                }
            }
        };
        RuleConfig { kind, expr, labels }
    }

    fn expr(&mut self, at: &RulePlace, rule: Location, written: Option<&Spanned<String>>) -> String {
        let Some(written) = written.filter(|expr| !expr.value.is_empty()) else {
            self.fail(rule, Some(at), "field 'expr' must be set in rule");
            return String::new();
        };
        match promql::parse::parse(&written.value, &self.options.features) {
            Ok(expr) => expr.to_string(),
            Err(error) => {
                self.fail(written.referenced, Some(at), format!("could not parse expression: {error}"));
                String::new()
            }
        }
    }

    fn recording(&mut self, at: &RulePlace, location: Location, written: &WrittenRule, record: &str) {
        for (field, is_set) in [
            ("annotations", written.annotations.as_ref().is_some_and(|map| !map.is_empty())),
            ("for", written.hold.is_some_and(|hold| !hold.is_zero())),
            ("keep_firing_for", written.keep_firing_for.is_some_and(|keep| !keep.is_zero())),
        ] {
            if is_set {
                self.fail(location, Some(at), format!("invalid field '{field}' in recording rule"));
            }
        }
        if !self.options.names.allows_metric_name(record) {
            self.fail(location, Some(at), format!("invalid recording rule name: {record}"));
        } else if record.contains(['{', '}']) {
            let what = format!("braces present in the recording rule name; should it be in expr?: {record}");
            self.fail(location, Some(at), what);
        }
    }

    fn labels(&mut self, at: &RulePlace, location: Location, labels: &BTreeMap<String, String>) {
        for name in labels.keys() {
            if !self.options.names.allows_label_name(name) || name == METRIC_NAME {
                self.fail(location, Some(at), format!("invalid label name: {name}"));
            }
        }
    }

    fn templates(
        &mut self,
        at: &RulePlace,
        location: Location,
        alert: &str,
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
    ) {
        let names = self.options.names;
        for name in annotations.keys().filter(|name| !names.allows_label_name(name)) {
            self.fail(location, Some(at), format!("invalid annotation name: {name}"));
        }
        let name = format!("__alert_{alert}");
        for (what, texts) in [("label", labels), ("annotation", annotations)] {
            for (key, text) in texts {
                if let Err(error) = template::check(&name, text) {
                    self.fail(location, Some(at), format!("{what} {key:?}: {error}"));
                }
            }
        }
    }
}

/// Rules of a set of groups that make the same series: name and labels equal.
pub fn duplicates(groups: &[GroupConfig]) -> Vec<(String, Labels)> {
    let mut seen: BTreeMap<(String, Labels), usize> = BTreeMap::new();
    for rule in groups.iter().flat_map(|group| &group.rules) {
        *seen.entry((rule.name().to_owned(), Labels::from_pairs(&rule.labels))).or_default() += 1;
    }
    seen.into_iter().flat_map(|(rule, count)| std::iter::repeat_n(rule, count.saturating_sub(1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let result = parse("r.yml", text, &CheckOptions::default());
        result.err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_gives_its_groups() {
        let text = "
groups:
  - name: ml
    interval: 15s
    limit: 10
    labels: {team: ml, severity: none}
    rules:
      - record: job:accuracy:avg
        expr: avg by (job) (accuracy)
      - alert: AccuracyLow
        expr: job:accuracy:avg < 0.9
        for: 5m
        labels: {severity: page}
        annotations: {summary: 'at {{ $value | humanizePercentage }}'}
";
        let groups = parse("r.yml", text, &CheckOptions::default()).unwrap();
        assert_eq!(groups[0].interval, Some(PromDuration::from_secs(15)));
        assert_eq!(groups[0].limit, 10);
        assert_eq!(groups[0].rules[0].name(), "job:accuracy:avg");
        assert_eq!(groups[0].rules[0].labels["severity"], "none");
        assert_eq!(groups[0].rules[1].labels["severity"], "page");
        assert_eq!(groups[0].rules[1].labels["team"], "ml");
        let RuleKind::Alerting { hold, .. } = &groups[0].rules[1].kind else { panic!("no alert") };
        assert_eq!(*hold, PromDuration::from_secs(300));
    }

    #[test]
    fn everything_that_is_wrong_is_named_with_its_place() {
        let text = "
groups:
  - name: g
    rules:
      - record: a
        alert: b
        expr: up
      - alert: Mem
        expr: up ==
        annotations:
          description: '{{ $value | humanizeBytes }}'
      - record: c
        expr: up
        for: 5m
        labels: {__name__: x}
      - alert: NoExpr
  - name: g
";
        assert_eq!(
            errors(text),
            [
                "r.yml: 5:9: group \"g\", rule 1, \"a\": only one of 'record' and 'alert' must be set",
                "r.yml: 9:15: group \"g\", rule 2, \"Mem\": could not parse expression: 1:6: parse error: unexpected end of input",
                "r.yml: 8:9: group \"g\", rule 2, \"Mem\": annotation \"description\": template: __alert_Mem:1: function \"humanizeBytes\" not defined",
                "r.yml: 12:9: group \"g\", rule 3, \"c\": invalid label name: __name__",
                "r.yml: 12:9: group \"g\", rule 3, \"c\": invalid field 'for' in recording rule",
                "r.yml: 16:9: group \"g\", rule 4, \"NoExpr\": field 'expr' must be set in rule",
                "r.yml: 17:5: groupname: \"g\" is repeated in the same file",
            ]
        );
        assert_eq!(errors("groups:\n  - name: g\n    rulez: []\n").len(), 1);
        assert_eq!(errors(""), Vec::<String>::new());
    }

    #[test]
    fn unknown_fields_are_passed_over_on_request_and_errors_keep_their_places() {
        let text = "owner: us\ngroups:\n- name: g\n  team: {a: [1]}\n  rules:\n  - record: r\n    expr: up\n    note: {x: y}\n    labels: {note: kept}\n";
        let lenient = CheckOptions { ignores_unknown_fields: true, ..CheckOptions::default() };
        assert!(parse("r.yml", text, &CheckOptions::default()).is_err());
        let groups = parse("r.yml", text, &lenient).unwrap();
        assert_eq!(groups[0].rules[0].labels["note"], "kept");
        let wrong = text.replace("expr: up", "expr: up +");
        let errors = parse("r.yml", &wrong, &lenient).unwrap_err();
        let strict = parse(
            "r.yml",
            &wrong
                .replace("owner: us", "#")
                .replace("team: {a: [1]}", "limit: 0")
                .replace("note: {x: y}", "#"),
            &CheckOptions::default(),
        );
        assert_eq!(errors, strict.unwrap_err());
        let mistyped = text.replace("record: r", "record: [r]");
        assert!(parse("r.yml", &mistyped, &lenient).unwrap_err()[0].to_string().starts_with("r.yml: 6:13: "));
    }
}
