//! Parsing: tables of queries, and what holds for every text.

use proptest::prelude::*;
use serde_json::{Value, json};

use promql::ast_json::to_json;
use promql::features::Features;
use promql::parse::{HEIGHT_MAX, NESTING_MAX, parse, parse_metric, parse_selector};

use crate::golden;

/// Every experimental part of the grammar switched on.
pub(crate) const ALL: Features = Features {
    experimental_functions: true,
    extended_range_selectors: true,
    binop_fill_modifiers: true,
    delayed_name_removal: false,
    per_step_stats: false,
    type_and_unit_labels: false,
    use_start_timestamps: false,
};

fn features_of(entry: &Value) -> Features {
    if entry["features"] == "none" { Features::default() } else { ALL }
}

#[test]
fn errors_are_those_of_the_reference() {
    golden::check("testdata/promql/parse/errors.json", |entry| {
        let query = entry["query"].as_str().unwrap();
        let error = parse(query, &features_of(entry)).err().map(|error| error.to_string());
        let mut answer = entry.clone();
        answer["error"] = json!(error);
        answer
    });
}

#[test]
fn trees_are_those_of_the_reference() {
    golden::check("testdata/promql/parse/trees.json", |entry| {
        let expr = parse(entry["query"].as_str().unwrap(), &features_of(entry)).unwrap();
        let mut answer = entry.clone();
        answer["tree"] = to_json(&expr);
        answer
    });
}

#[test]
fn deep_nesting_is_refused() {
    let deep = |open: &str, close: &str, levels: usize| {
        parse(&format!("{}1{}", open.repeat(levels), close.repeat(levels)), &ALL)
    };
    for (open, close) in [("(", ")"), ("abs(", ")"), ("-", ""), ("2^", ""), ("sum by(a)(", ")"), ("a+(", ")")]
    {
        for levels in [10_000, 170_000] {
            let error = deep(open, close, levels).unwrap_err().to_string();
            assert!(error.contains(&format!("nested more than {NESTING_MAX} levels")), "{open}: {error}");
        }
    }
    // With half the stack that a thread has by default, in a build without optimisation.
    let to_the_limit = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        let levels = NESTING_MAX - 1;
        for (open, close) in
            [("(", ")"), ("abs(", ")"), ("-", ""), ("2^", ""), ("sum by(a)(", ")"), ("a+(", ")")]
        {
            // The right side of an operator is a level, too.
            let levels = if open == "a+(" { levels / 2 } else { levels };
            let query = format!("{}a{}", open.repeat(levels), close.repeat(levels));
            let expr = parse(&query, &ALL).unwrap();
            assert!(promql::print::pretty(&expr).len() >= query.len());
            assert!(!to_json(&expr).is_null());
        }
    });
    to_the_limit.unwrap().join().unwrap();
    let in_duration = parse(&format!("a[{}1{}]", "(".repeat(10_000), ")".repeat(10_000)), &ALL);
    assert!(in_duration.unwrap_err().message.contains("nested more than"));
}

#[test]
fn long_chains_are_refused() {
    let chain = |terms: usize| parse(&vec!["a"; terms].join(" or "), &ALL);
    assert!(chain(HEIGHT_MAX).is_ok());
    let error = chain(200_000).unwrap_err();
    assert!(error.message.contains("more than 1000 levels high"), "{error}");
    let error = parse(&format!("a{}", "[1m:1s]".repeat(10_000)), &ALL).unwrap_err();
    assert!(error.message.contains("levels high"), "{error}");
}

#[test]
fn a_megabyte_of_anything_is_read_or_refused() {
    const BYTES: usize = 1 << 20;
    for piece in [
        "a,",
        "(",
        ")",
        "[",
        "{",
        "\"",
        "\\",
        "1",
        "1.",
        "_",
        "a ",
        "fill ",
        "fill_left(",
        "é",
        "#",
        "\n",
        "a{b=\"c\"}",
        "a + ",
        "5m",
        "0x",
        "sum by (a) ",
        "a[5m:",
        "'\\x",
        "-",
        "@",
        "offset ",
        "\"\\\\\" ",
    ] {
        let _ = parse(&piece.repeat(BYTES / piece.len()), &ALL);
    }
    for (before, piece, after) in [
        ("a{", "b=\"c\",", "}"),
        ("sum by (", "b,", ") (a)"),
        ("label_join(a, \"b\", \"c\"", ",\"d\"", ")"),
        ("a{b=~\"", "c|", "\"}"),
        ("\"", "x", "\""),
        ("a #", "#", "\n"),
        ("a", " ", ""),
        ("1", "0", ""),
    ] {
        let query = format!("{before}{}{after}", piece.repeat(BYTES / piece.len()));
        let _ = parse(&query, &ALL);
    }
    let labels = "l,".repeat(BYTES / 8);
    assert!(parse(&format!("a * on({labels}) group_left({labels}x) b"), &ALL).is_err());
}

#[test]
fn selectors_and_metrics_stand_alone() {
    let matchers = parse_selector("up{job=~\"a|b\"}").unwrap();
    assert_eq!(
        matchers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["job=~\"a|b\"", "__name__=\"up\""]
    );
    assert!(parse_selector("{}").unwrap().is_empty());
    for (selector, error) in [
        ("up + 1", "1:4: parse error: unexpected <op:+>"),
        ("up[5m]", "1:3: parse error: unexpected \"[\""),
        ("", "unknown position: parse error: unexpected end of input"),
        ("1", "1:1: parse error: unexpected number \"1\""),
        ("up{a}", "1:5: parse error: unexpected \"}\" in label matching, expected label matching operator"),
    ] {
        assert_eq!(parse_selector(selector).unwrap_err().to_string(), error);
    }
    assert_eq!(parse_metric("up{b=\"c\", a='d',}").unwrap().to_string(), r#"{__name__="up", a="d", b="c"}"#);
    assert_eq!(
        parse_metric(r#"{"a.b", "c.d"="e"}"#).unwrap().as_metric().to_string(),
        r#"{"a.b", "c.d"="e"}"#
    );
    assert_eq!(parse_metric("").unwrap().len(), 0);
    assert_eq!(
        parse_metric("up{a=~\"b\"}").unwrap_err().to_string(),
        "1:5: parse error: unexpected <op:=~> in label set, expected \"=\""
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        let _ = parse(&text, &ALL);
        let _ = parse_selector(&text);
        let _ = promql::script::parse_series(&text);
    }

    #[test]
    fn no_soup_of_tokens_panics(tokens in proptest::collection::vec(proptest::sample::select(&[
        "a", "sum", "(", ")", "[", "]", "{", "}", "5m", "1", "-", "+", "and", "by", "on", "offset", "@", "\"s\"", "=",
        ":", ",", "bool", "rate", "start()", "step()", "fill(1)", "anchored", "group_left", "!~", "#", "\n", "{{",
    ][..]), 0..20)) {
        for separator in ["", " "] {
            let text = tokens.join(separator);
            if let Err(error) = parse(&text, &ALL) {
                prop_assert!(error.span.start <= text.len());
            }
            let _ = promql::script::parse_series(&text);
            let _ = promql::script::run_text(&text);
        }
    }
}
