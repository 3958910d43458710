//! Templates of alerts: the Go template language with Prometheus's functions.
//!
//! A text such as `{{ $labels.job }} is at {{ $value | humanizePercentage }}` is parsed when rules are loaded,
//! so that a mistake in it refuses the file, and expanded for each alert at each evaluation.
//!
//! - [`lex`](self): the text is cut into tokens, [`parse`](self): tokens become a tree, [`exec`](self): the tree
//!   is evaluated over the alert's data.
//! - Functions of the language itself, and those of Prometheus, stand in files of their own.
//!
//! Messages are those of Go (`template: __alert_X:1: function "f" not defined`), because people search for
//! them. Evaluation is bounded: in depth, in iterations of numbers, and in the length of what is printed.

mod builtins;
mod exec;
mod functions;
mod lex;
mod method;
mod parse;
mod printf;
mod value;

use std::collections::BTreeMap;
use std::rc::Rc;

use model::labels::Labels;
use model::storage::SampleValue;
use model::time::TimestampMs;

pub(crate) use self::builtins::escape_query;
use self::functions::Library;
use self::value::Value;
pub(crate) use self::value::duration_text;

/// Evaluates what templates ask with `query`.
pub trait QuerySource {
    /// An instant query; the error is shown in the expanded text.
    fn query(&self, expr: &str, at_ms: TimestampMs) -> Result<Vec<(Labels, f64)>, String>;
}

/// What all templates of a server share.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `$externalLabels`
    pub external_labels: Labels,
    /// `$externalURL`, without a slash at its end.
    pub external_url: String,
    /// The evaluation time.
    pub timestamp_ms: TimestampMs,
}

/// The names of all functions that a template may call.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    builtins::NAMES.iter().chain(&functions::NAMES).copied()
}

/// Why a template can't be parsed or expanded, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

/// Where parsing failed and why.
#[derive(Debug)]
pub(crate) struct ParseError {
    pub(crate) at: usize,
    pub(crate) what: String,
}

/// Variables that every alert template begins with. They stand on the template's first line, as in the
/// reference, where they count in the columns of messages.
const VARIABLES: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}\
                         {{$externalURL := .ExternalURL}}{{$value := .Value}}";

/// Checks that a template parses. `name` is what messages call it.
///
/// # Errors
///
/// In Go's words, without a prefix: `template: <name>:<line>: …`.
pub fn check(name: &str, text: &str) -> Result<(), TemplateError> {
    let text = format!("{VARIABLES}{text}");
    parsed(name, &text).map(|_| ())
}

/// Expands a template over an alert's labels and value.
///
/// # Errors
///
/// `error parsing template …` or `error executing template …`, with the place.
pub fn expand(
    name: &str,
    text: &str,
    labels: &Labels,
    value: &SampleValue,
    environment: &Environment,
    queries: &dyn QuerySource,
) -> Result<String, TemplateError> {
    // Nearly all labels and many annotations are plain texts.
    if !text.contains("{{") {
        return Ok(text.to_owned());
    }
    let text = format!("{VARIABLES}{text}");
    let tree = parsed(name, &text)
        .map_err(|error| TemplateError(format!("error parsing template {name}: {error}")))?;
    let library = Library { environment, queries };
    exec::execute(&tree, data(labels, value, environment), &library).map_err(|error| {
        let (line, column) = place(&text, error.at);
        let template = error.template.as_deref().unwrap_or(name);
        TemplateError(format!(
            "error executing template {name}: template: {name}:{line}:{column}: executing {template:?} at <{}>: {}",
            error.context, error.what
        ))
    })
}

fn parsed(name: &str, text: &str) -> Result<parse::Tree, TemplateError> {
    let is_function = |name: &str| function_names().any(|function| function == name);
    parse::parse(text, &is_function).map_err(|error| {
        TemplateError(format!("template: {name}:{}: {}", place(text, error.at).0, error.what))
    })
}

/// Line, counted from 1, and column in bytes, counted from 0, as Go counts them.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before.len() - line_start)
}

fn data(labels: &Labels, value: &SampleValue, environment: &Environment) -> Value {
    let map = |labels: &Labels| {
        Value::Labels(Rc::new(labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()))
    };
    let value = match value {
        SampleValue::Float(number) => Value::Float(*number),
        SampleValue::Histogram(histogram) => Value::Histogram(Rc::from(format!("{histogram:?}"))),
    };
    let fields = [
        ("Labels", map(labels)),
        ("ExternalLabels", map(&environment.external_labels)),
        ("ExternalURL", Value::str(environment.external_url.as_str())),
        ("Value", value),
    ];
    Value::Struct(Rc::new(
        fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect::<BTreeMap<_, _>>(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct OneSample;

    impl QuerySource for OneSample {
        fn query(&self, expr: &str, _: TimestampMs) -> Result<Vec<(Labels, f64)>, String> {
            match expr {
                "up" => Ok(vec![
                    (Labels::from_pairs([("__name__", "up"), ("job", "b")]), 1.0),
                    (Labels::from_pairs([("__name__", "up"), ("job", "a")]), 0.0),
                ]),
                "none" => Ok(Vec::new()),
                other => Err(format!("no such query: {other}")),
            }
        }
    }

    fn expanded(text: &str, value: f64) -> Result<String, String> {
        let labels = Labels::from_pairs([("job", "api"), ("instance", "web-1.example.org:9100")]);
        let environment = Environment {
            external_labels: Labels::from_pairs([("region", "eu")]),
            external_url: "http://ferula.example.org/mon".into(),
            timestamp_ms: 1_435_065_584_128,
        };
        expand("__alert_T", text, &labels, &SampleValue::Float(value), &environment, &OneSample)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn templates_expand_as_in_the_reference() {
        for (text, value, expected) in [
            ("plain }} text", 0.0, "plain }} text"),
            (
                "{{ $labels.job }} {{ .Labels.instance }} {{ $labels.nope }}|",
                0.0,
                "api web-1.example.org:9100 |",
            ),
            ("{{ $value }} {{ .Value | printf \"%.2f\" }}", 1234567.0, "1.234567e+06 1234567.00"),
            (
                "{{ $externalLabels.region }} {{ $externalURL }} {{ pathPrefix }}",
                0.0,
                "eu http://ferula.example.org/mon /mon",
            ),
            (
                "{{ if gt $value 90.0 }}hot{{ else if gt $value 50.0 }}warm{{ else }}cold{{ end }}",
                60.0,
                "warm",
            ),
            ("{{ if and (eq $labels.job \"api\") (not false) }}y{{ end }}", 0.0, "y"),
            (
                "{{ range query \"up\" | sortByLabel \"job\" }}{{ .Labels.job }}={{ .Value }};{{ end }}",
                0.0,
                "a=0;b=1;",
            ),
            ("{{ range query \"none\" }}x{{ else }}empty{{ end }}", 0.0, "empty"),
            ("{{ with query \"up\" }}{{ . | first | value }}{{ end }}", 0.0, "1"),
            ("{{ query \"up\" | first | label \"job\" }}", 0.0, "b"),
            (
                "{{ range $i, $s := query \"up\" }}{{ if $i }}, {{ end }}{{ $s.Labels.job }}{{ end }}",
                0.0,
                "b, a",
            ),
            ("{{ define \"x\" }}<{{ .arg0 }}>{{ end }}{{ template \"x\" (args $labels.job) }}", 0.0, "<api>"),
            ("a {{- \" b\" -}} c {{/* nothing */}}d", 0.0, "a bc d"),
            ("{{ $x := 1 }}{{ range query \"up\" }}{{ $x = 2 }}{{ break }}{{ end }}{{ $x }}", 0.0, "2"),
            ("{{ humanize $value }} {{ humanize1024 $value }}", 1_048_576.0, "1.049M 1Mi"),
            ("{{ humanize 0.0123 }} {{ humanizePercentage 0.1234 }}", 0.0, "12.3m 12.34%"),
            ("{{ humanizeDuration $value }}", 90_061.5, "1d 1h 1m 1s"),
            (
                "{{ humanizeDuration 0.0025 }} {{ humanizeDuration 5.5 }} {{ humanizeDuration 0 }}",
                0.0,
                "2.5ms 5.5s 0s",
            ),
            ("{{ humanizeTimestamp $value }}", 1_435_065_584.128, "2015-06-23 13:19:44.128 +0000 UTC"),
            ("{{ ($value | toTime).Format \"15:04 Jan 2 2006\" }}", 1_435_065_584.0, "13:19 Jun 23 2015"),
            (
                "{{ stripPort $labels.instance }} {{ stripDomain $labels.instance }}",
                0.0,
                "web-1.example.org web-1:9100",
            ),
            ("{{ reReplaceAll \"(.*):.*\" \"$1\" $labels.instance | toUpper }}", 0.0, "WEB-1.EXAMPLE.ORG"),
            ("{{ if match \"^a\" $labels.job }}m{{ end }}{{ title \"ab cD\" }}", 0.0, "mAb CD"),
            ("{{ parseDuration \"-1h30m\" }} {{ toDuration 90 }}", 0.0, "-5400 1m30s"),
            (
                "{{ index $labels \"job\" | len }} {{ slice \"abcd\" 1 3 }} {{ print 1 2 \"x\" }}",
                0.0,
                "3 bc 1 2x",
            ),
            ("{{ graphLink \"up == 0\" }}", 0.0, "/graph?g0.expr=up+%3D%3D+0&g0.tab=0"),
            ("{{ or \"\" \"b\" }}{{ and 0 1 }}{{ eq 1 2 1 }}", 0.0, "b0true"),
        ] {
            assert_eq!(expanded(text, value), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named_in_gos_words_and_place() {
        for (text, message) in [
            ("{{ $value | humanizeBytes }}", "template: __alert_T:1: function \"humanizeBytes\" not defined"),
            ("a\n{{ $foo }}", "template: __alert_T:2: undefined variable \"$foo\""),
            ("{{ if }}x{{ end }}", "template: __alert_T:1: missing value for if"),
            ("{{ if true }}x", "template: __alert_T:1: unexpected EOF"),
            ("{{ $value", "template: __alert_T:1: unclosed action"),
            ("{{ end }}", "template: __alert_T:1: unexpected {{end}}"),
            ("{{ \"x }}", "template: __alert_T:1: unterminated quoted string"),
            ("{{ break }}", "template: __alert_T:1: {{break}} outside {{range}}"),
        ] {
            assert_eq!(
                check("__alert_T", text).map_err(|error| error.to_string()),
                Err(message.to_owned()),
                "{text}"
            );
        }
        assert_eq!(
            expanded("{{ query \"none\" | first }}", 0.0),
            Err("error executing template __alert_T: template: __alert_T:1:130: executing \"__alert_T\" at <first>: \
                 error calling first: first() called on vector with no elements"
                .to_owned())
        );
        for (text, part) in [
            ("{{ gt $value 90 }}", "at <gt $value 90>: error calling gt: incompatible types for comparison"),
            ("{{ .Nope }}", "at <.Nope>: can't evaluate field Nope in type struct"),
            (
                "{{ define \"x\" }}{{ template \"x\" }}{{ end }}{{ template \"x\" }}",
                "exceeded maximum template depth",
            ),
            ("{{ template \"y\" }}", "template \"y\" not defined"),
            (
                "{{ humanize \"x\" }}",
                "error calling humanize: strconv.ParseFloat: parsing \"x\": invalid syntax",
            ),
            ("{{ toUpper 1 }}", "wrong type for value; expected string; got int"),
        ] {
            let error = expanded(text, 0.0).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = format!("{{{{ {}1{} }}}}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(check("t", &deep).unwrap_err().to_string().contains("nesting deeper"));
        let deep = "{{ if true }}".repeat(10_000);
        assert!(check("t", &deep).unwrap_err().to_string().contains("nesting deeper"));
    }
}
