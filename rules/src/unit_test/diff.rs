//! The difference between two JSON values, as the reference's tool colours it.
//!
//! Values are written as JSON of one line for each element, with marks on what isn't in both: what was expected
//! and isn't there (red), what is there and wasn't expected (green), and what changed (yellow). Objects are
//! compared by key, arrays by place.

use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use serde_json::{Serializer, Value};

const REMOVED: &str = "\x1b[0;31m";
const ADDED: &str = "\x1b[0;32m";
const CHANGED: &str = "\x1b[0;33m";
const END: &str = "\x1b[0m";
const INDENT: &str = "    ";

/// The lines of the difference, joined by newlines.
pub(super) fn coloured(expected: &Value, got: &Value) -> String {
    let mut out = String::new();
    write_difference(&mut out, expected, got, 0);
    out
}

fn write_difference(out: &mut String, expected: &Value, got: &Value, depth: usize) {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            let mut keys: Vec<&String> = expected.keys().chain(got.keys()).collect();
            keys.sort();
            keys.dedup();
            let elements =
                keys.into_iter().map(|key| (format!("{}: ", text(&Value::from(key.as_str()))), key));
            let elements = elements.map(|(shown, key)| (shown, expected.get(key), got.get(key)));
            write_elements(out, ["{", "}"], elements.collect(), depth);
        }
        (Value::Array(expected), Value::Array(got)) => {
            let places = 0..expected.len().max(got.len());
            let elements = places.map(|place| (String::new(), expected.get(place), got.get(place)));
            write_elements(out, ["[", "]"], elements.collect(), depth);
        }
        _ if expected == got => out.push_str(&text(got)),
        _ => out.push_str(&format!("{CHANGED}{} => {}{END}", text(expected), text(got))),
    }
}

/// An element: what stands before it, and how it was expected and got.
type Element<'a> = (String, Option<&'a Value>, Option<&'a Value>);

fn write_elements(out: &mut String, [open, close]: [&str; 2], elements: Vec<Element<'_>>, depth: usize) {
    out.push_str(open);
    let count = elements.len();
    for (nth, (key, expected, got)) in elements.into_iter().enumerate() {
        out.push('\n');
        out.push_str(&INDENT.repeat(depth + 1));
        match (expected, got) {
            (Some(expected), Some(got)) => {
                out.push_str(&key);
                write_difference(out, expected, got, depth + 1);
            }
            (Some(value), None) => write_marked(out, REMOVED, &key, value, depth + 1),
            (None, Some(value)) => write_marked(out, ADDED, &key, value, depth + 1),
            (None, None) => {}
        }
        if nth + 1 < count {
            out.push(',');
        }
    }
    if count > 0 {
        out.push('\n');
        out.push_str(&INDENT.repeat(depth));
    }
    out.push_str(close);
}

/// Writes a value that is on one side alone: each line has its own mark.
fn write_marked(out: &mut String, mark: &str, key: &str, value: &Value, depth: usize) {
    for (nth, line) in text(value).lines().enumerate() {
        let shown = line.trim_start_matches(' ');
        if nth == 0 {
            out.push_str(&format!("{mark}{key}{shown}{END}"));
        } else {
            let indent = &line[..line.len() - shown.len()];
            out.push_str(&format!("\n{}{indent}{mark}{shown}{END}", INDENT.repeat(depth)));
        }
    }
}

/// JSON, a line for each element.
fn text(value: &Value) -> String {
    let mut json = Vec::new();
    let mut serializer =
        Serializer::with_formatter(&mut json, PrettyFormatter::with_indent(INDENT.as_bytes()));
    // Writing to memory fails for no JSON value.
    let _ = value.serialize(&mut serializer);
    String::from_utf8_lossy(&json).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_on_one_side_alone_and_what_changed_is_marked() {
        let expected = json!([{"a": {"x": "1", "y": "2"}, "b": {}}, {"a": {}}]);
        let got = json!([{"a": {"x": "1", "y": "3", "z": "4"}, "b": {}}]);
        let lines = coloured(&expected, &got).replace('\x1b', "^");
        assert_eq!(
            lines,
            r#"[
    {
        "a": {
            "x": "1",
            "y": ^[0;33m"2" => "3"^[0m,
            ^[0;32m"z": "4"^[0m
        },
        "b": {}
    },
    ^[0;31m{^[0m
        ^[0;31m"a": {}^[0m
    ^[0;31m}^[0m
]"#
        );
    }
}
