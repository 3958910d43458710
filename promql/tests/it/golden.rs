//! Tables of expectations in `testdata/`. With `UPDATE=1` in the environment they are rewritten.

use std::path::PathBuf;

use serde_json::Value;

/// A path from the workspace's root.
pub(crate) fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(relative)
}

/// Compares what `answer` says to each entry of a table with the entry. `answer` gets the entry and returns
/// what it should be.
pub(crate) fn check(relative: &str, answer: impl Fn(&Value) -> Value) {
    let path = path(relative);
    let table: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(&path).expect(relative)).expect(relative);
    assert!(!table.is_empty(), "{relative} is empty");
    let answers: Vec<Value> = table.iter().map(&answer).collect();
    if std::env::var_os("UPDATE").is_some() {
        let lines: Vec<String> = answers.iter().map(|entry| format!("  {entry}")).collect();
        std::fs::write(&path, format!("[\n{}\n]\n", lines.join(",\n"))).expect(relative);
        return;
    }
    let wrong: Vec<String> = table
        .iter()
        .zip(&answers)
        .filter(|(wanted, got)| wanted != got)
        .map(|(wanted, got)| format!("wanted {wanted}\n   got {got}"))
        .collect();
    assert!(wrong.is_empty(), "{} of {} in {relative}:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}
