//! What is unusual about an exposition: the advice of `promtool check metrics`.
//!
//! The rules and their texts are those of client_golang's `promlint`.

use std::collections::{BTreeMap, BTreeSet};

use model::labels::{BUCKET_LABEL, METRIC_NAME};
use model::metadata::MetricType;

use crate::parse::{Entry, Lines, ParseError, TextParser};

/// Units that are fit for metrics, or those that should be used instead.
const UNITS: &[(&str, &str)] = &[
    ("amperes", "amperes"),
    ("bytes", "bytes"),
    ("celsius", "celsius"),
    ("grams", "grams"),
    ("joules", "joules"),
    ("kelvin", "kelvin"),
    ("meters", "meters"),
    ("metres", "metres"),
    ("seconds", "seconds"),
    ("volts", "volts"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("days", "seconds"),
    ("weeks", "seconds"),
    ("kelvins", "kelvin"),
    ("fahrenheit", "celsius"),
    ("rankine", "celsius"),
    ("inches", "meters"),
    ("yards", "meters"),
    ("miles", "meters"),
    ("bits", "bytes"),
    ("calories", "joules"),
    ("pounds", "grams"),
    ("ounces", "grams"),
];
const UNIT_PREFIXES: &[&str] = &[
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mibi",
    "giga", "gibi", "tera", "tebi", "peta", "pebi",
];
const UNIT_ABBREVIATIONS: &[&str] =
    &["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"];

/// One piece of advice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The metric family.
    pub metric: String,
    /// What is unusual.
    pub text: String,
}

/// What an exposition says of a family.
#[derive(Debug, Default)]
struct Family {
    metric_type: MetricType,
    has_help: bool,
    label_names: BTreeSet<String>,
    /// Series, to find those that stand twice.
    series: BTreeSet<Vec<(String, String)>>,
    is_repeated: bool,
}

/// Reads an exposition in the text format and gives advice, sorted by metric.
///
/// # Errors
///
/// It isn't the text format.
pub fn lint(exposition: &[u8]) -> Result<Vec<Problem>, ParseError> {
    let families = families(exposition)?;
    let mut problems = Vec::new();
    for (name, family) in &families {
        let texts = family_problems(name, family);
        problems.extend(texts.into_iter().map(|text| Problem { metric: name.clone(), text }));
    }
    problems.sort();
    Ok(problems)
}

/// How many series each family of an exposition in the text format has.
///
/// # Errors
///
/// It isn't the text format.
pub fn cardinality(exposition: &[u8]) -> Result<Vec<(String, usize)>, ParseError> {
    let families = families(exposition)?.into_iter().map(|(name, family)| (name, family.series.len()));
    Ok(families.filter(|(_, count)| *count > 0).collect())
}

fn families(exposition: &[u8]) -> Result<BTreeMap<String, Family>, ParseError> {
    let mut parser = TextParser::new(exposition);
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    while let Some(entry) = parser.next_entry()? {
        match entry {
            Entry::Help { family, .. } => families.entry(family.into_owned()).or_default().has_help = true,
            Entry::Type { family, metric_type } => {
                families.entry(family.into_owned()).or_default().metric_type = metric_type;
            }
            Entry::Sample(_) => {
                let labels = parser.labels();
                let mut series: Vec<(String, String)> =
                    labels.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
                series.sort();
                let metric =
                    series.iter().find(|(name, _)| name == METRIC_NAME).map(|(_, value)| value.clone());
                let name = family_name(&metric.unwrap_or_default(), &families);
                families.entry(name).or_default().add_series(series);
            }
            Entry::Unit { .. } | Entry::Comment => {}
        }
    }
    Ok(families)
}

impl Family {
    fn add_series(&mut self, series: Vec<(String, String)>) {
        self.label_names
            .extend(series.iter().map(|(name, _)| name.clone()).filter(|name| name != METRIC_NAME));
        self.is_repeated |= !self.series.insert(series);
    }
}

/// The family of a sample: its own name, or that without the suffix of a histogram or summary.
fn family_name(metric: &str, families: &BTreeMap<String, Family>) -> String {
    let is_of = |name: &&str, types: &[MetricType]| {
        families.get(*name).is_some_and(|family| types.contains(&family.metric_type))
    };
    let both = [MetricType::Histogram, MetricType::Summary];
    let bucket = metric.strip_suffix("_bucket").filter(|name| is_of(name, &both[..1]));
    let count = metric.strip_suffix("_count").or_else(|| metric.strip_suffix("_sum"));
    bucket.or(count.filter(|name| is_of(name, &both))).unwrap_or(metric).to_owned()
}

fn family_problems(name: &str, family: &Family) -> Vec<String> {
    let mut problems = Vec::new();
    let mut note = |holds: bool, text: &str| {
        if holds {
            problems.push(text.to_owned());
        }
    };
    let lower = name.to_lowercase();
    let has_part = |part: &str| lower.contains(&format!("_{part}_")) || lower.ends_with(&format!("_{part}"));
    let is = |metric_type| family.metric_type == metric_type;
    let typed = !is(MetricType::Unknown);
    note(!family.has_help, "no help text");
    if is(MetricType::Counter) {
        note(!name.ends_with("_total"), r#"counter metrics should have "_total" suffix"#);
    } else {
        note(typed && name.ends_with("_total"), r#"non-counter metrics should not have "_total" suffix"#);
    }
    let (histogram, summary) = (is(MetricType::Histogram), is(MetricType::Summary));
    let both = histogram || summary;
    let has_label = |label: &str| family.label_names.contains(label);
    note(
        typed && !histogram && name.ends_with("_bucket"),
        r#"non-histogram metrics should not have "_bucket" suffix"#,
    );
    note(
        typed && !both && name.ends_with("_count"),
        r#"non-histogram and non-summary metrics should not have "_count" suffix"#,
    );
    note(
        typed && !both && name.ends_with("_sum"),
        r#"non-histogram and non-summary metrics should not have "_sum" suffix"#,
    );
    note(
        typed && !histogram && has_label(BUCKET_LABEL),
        r#"non-histogram metrics should not have "le" label"#,
    );
    note(
        typed && !summary && has_label("quantile"),
        r#"non-summary metrics should not have "quantile" label"#,
    );
    note(name.contains(':'), "metric names should not contain ':'");
    note(is_camel_case(name), "metric names should be written in 'snake_case' not 'camelCase'");
    let camel_label = family.label_names.iter().any(|label| is_camel_case(label));
    note(camel_label, "label names should be written in 'snake_case' not 'camelCase'");
    let abbreviated = UNIT_ABBREVIATIONS.iter().any(|unit| has_part(unit));
    note(abbreviated, "metric names should not contain abbreviated units");
    note(family.is_repeated, "metric not unique");
    for metric_type in ["counter", "gauge", "histogram", "summary"] {
        note(has_part(metric_type), &format!("metric name should not include type '{metric_type}'"));
    }
    if let Some((unit, base)) = unit_of(name) {
        note(unit != base, &format!("use base unit {base:?} instead of {unit:?}"));
    }
    problems
}

/// Whether a lower-case letter, or a digit, is followed by an upper-case one.
fn is_camel_case(name: &str) -> bool {
    name.as_bytes().windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
}

/// The unit in a name, and the one that should be there.
fn unit_of(name: &str) -> Option<(&str, &'static str)> {
    let base_of = |unit: &str| UNITS.iter().find(|(known, _)| *known == unit).map(|(_, base)| *base);
    name.split('_').find_map(|part| {
        let prefixed = || UNIT_PREFIXES.iter().find_map(|prefix| base_of(part.strip_prefix(prefix)?));
        base_of(part).or_else(prefixed).map(|base| (part, base))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_that_of_promlint() {
        let exposition = b"\
# HELP good_total Fine.
# TYPE good_total counter
good_total{a=\"b\"} 1
# HELP bad What.
# TYPE bad counter
bad 1
bad 1
# TYPE wait_milliseconds_ms gauge
wait_milliseconds_ms{quantile=\"1\",aB=\"c\"} 1
# HELP h_seconds Fine.
# TYPE h_seconds histogram
h_seconds_bucket{le=\"+Inf\"} 1
h_seconds_sum 1
h_seconds_count 1
";
        let problems = lint(exposition).unwrap();
        let texts: Vec<_> = problems.iter().map(|p| format!("{} {}", p.metric, p.text)).collect();
        assert_eq!(
            texts,
            [
                r#"bad counter metrics should have "_total" suffix"#,
                "bad metric not unique",
                "wait_milliseconds_ms label names should be written in 'snake_case' not 'camelCase'",
                "wait_milliseconds_ms metric names should not contain abbreviated units",
                "wait_milliseconds_ms no help text",
                r#"wait_milliseconds_ms non-summary metrics should not have "quantile" label"#,
                r#"wait_milliseconds_ms use base unit "seconds" instead of "milliseconds""#,
            ]
        );
    }

    #[test]
    fn what_is_no_exposition_is_refused() {
        assert!(lint(b"<html>").is_err());
    }
}
