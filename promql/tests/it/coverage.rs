//! The project's own scripts leave nothing out: each function, aggregation, operator and modifier is asked for in at
//! least one of them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use promql::ast_json::to_json;
use promql::features::Features;
use promql::parse::parse;
use promql::signature::SIGNATURES;
use regex::Regex;
use serde_json::Value;

use crate::golden;
use crate::scripts::scripts;

/// Aggregations and operators, as the tree names them.
const OPERATORS: [&str; 34] = [
    "!=",
    "%",
    "*",
    "+",
    "-",
    "/",
    "<",
    "</",
    "<=",
    "==",
    ">",
    ">/",
    ">=",
    "^",
    "and",
    "atan2",
    "avg",
    "bottomk",
    "count",
    "count_values",
    "group",
    "limit_ratio",
    "limitk",
    "max",
    "min",
    "or",
    "quantile",
    "stddev",
    "stdvar",
    "sum",
    "topk",
    "unless",
    "max_of",
    "min_of",
];
/// What changes how a selector, an aggregation or an operator works, as it is written.
const MODIFIERS: [&str; 20] = [
    " @ ",
    " by ",
    " offset ",
    " without ",
    "@ end()",
    "@ start()",
    "anchored",
    "bool",
    "fill ",
    "fill_left",
    "fill_right",
    "group_left",
    "group_right",
    "ignoring",
    "offset -",
    "on (",
    "range()",
    "smoothed",
    "step()",
    ":",
];

/// The query of a line that asks for one.
static EVAL: LazyLock<Regex> = LazyLock::new(|| {
    let line = r"^eval\w* (?:instant at \S+|range from \S+ to \S+ step \S+) (.+)$";
    Regex::new(line).expect("the expression is one")
});

/// The queries of all scripts.
fn queries() -> Vec<String> {
    let mut queries = Vec::new();
    for path in scripts(&golden::path("testdata/promql")) {
        let script = std::fs::read_to_string(path).expect("a script can be read");
        let lines = script.lines().filter_map(|line| EVAL.captures(line.trim()));
        queries.extend(lines.map(|found| found[1].to_owned()));
    }
    queries
}

/// Adds the names of functions and operators in a tree.
fn collect(tree: &Value, names: &mut BTreeSet<String>) {
    match tree {
        Value::Object(fields) => {
            if let Some(op) = fields.get("op").and_then(Value::as_str) {
                names.insert(op.to_owned());
            }
            if let Some(name) = fields.get("func").and_then(|function| function["name"].as_str()) {
                names.insert(name.to_owned());
            }
            fields.values().for_each(|field| collect(field, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        _ => {}
    }
}

#[test]
fn own_scripts_ask_for_everything_that_the_language_has() {
    let features = Features {
        experimental_functions: true,
        extended_range_selectors: true,
        binop_fill_modifiers: true,
        ..Features::default()
    };
    let (mut names, mut printed) = (BTreeSet::new(), String::new());
    for query in queries() {
        // Some are there to fail.
        if let Ok(expr) = parse(&query, &features) {
            collect(&to_json(&expr), &mut names);
            printed += &format!("{expr}\n");
        }
    }
    let functions = SIGNATURES.iter().map(|signature| signature.name);
    let unnamed: Vec<&str> = functions.chain(OPERATORS).filter(|name| !names.contains(*name)).collect();
    let unused: Vec<&&str> = MODIFIERS.iter().filter(|word| !printed.contains(**word)).collect();
    assert!(unnamed.is_empty() && unused.is_empty(), "no script has {unnamed:?} or {unused:?}");
}
