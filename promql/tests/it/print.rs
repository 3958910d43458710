//! Printing: a table of formatted queries, and that what is printed means the same.

use proptest::prelude::*;
use serde_json::{Value, json};

use promql::ast_json::to_json;
use promql::parse::parse;
use promql::print::pretty;

use crate::golden;
use crate::grammar;
use crate::parse::ALL;

#[test]
fn queries_are_formatted_as_the_reference_does() {
    golden::check("testdata/promql/print/pretty.json", |entry| {
        let expr = parse(entry["query"].as_str().unwrap(), &ALL).unwrap();
        json!({ "query": entry["query"], "pretty": pretty(&expr) })
    });
}

/// Printing sorts matchers, so their order is no difference.
fn with_sorted_matchers(mut tree: Value) -> Value {
    match &mut tree {
        Value::Array(elements) => elements.iter_mut().for_each(|e| *e = with_sorted_matchers(e.take())),
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                *value = with_sorted_matchers(value.take());
                if let ("matchers", Value::Array(matchers)) = (key.as_str(), value) {
                    matchers.sort_by_key(Value::to_string);
                }
            }
        }
        _ => {}
    }
    tree
}

/// Whether the generator makes queries that parse; otherwise the property below would hold of nothing.
#[test]
fn most_random_queries_parse() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let parsed = |runner: &mut TestRunner| {
        let query = grammar::query().new_tree(runner).unwrap().current();
        parse(&query, &ALL).is_ok()
    };
    let good = (0..500).filter(|_| parsed(&mut runner)).count();
    assert!(good > 250, "{good} of 500");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_printed_parses_to_the_same_tree(query in grammar::query()) {
        if let Ok(expr) = parse(&query, &ALL) {
            let tree = with_sorted_matchers(to_json(&expr));
            for text in [expr.to_string(), pretty(&expr)] {
                let again = parse(&text, &ALL);
                prop_assert!(again.is_ok(), "{} printed as {}: {}", query, text, again.unwrap_err());
                let again = again.unwrap();
                prop_assert_eq!(&with_sorted_matchers(to_json(&again)), &tree, "{} printed as {}", query, text);
                prop_assert_eq!(again.to_string(), expr.to_string());
            }
        }
    }
}
