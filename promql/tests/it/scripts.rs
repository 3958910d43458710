//! Test scripts: the project's own in `testdata/promql`, and the reference's where they are at hand.

use std::path::{Path, PathBuf};

use promql::script::run_file;

use crate::golden;

/// The scripts in a folder, by name.
pub(crate) fn scripts(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a folder can be listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "test"));
    paths.sort();
    paths
}

/// Runs all scripts of a folder, prints the counts of each, and returns how many there are.
#[expect(clippy::print_stdout, reason = "the counts are what one runs this for")]
fn run_all(folder: &Path) -> usize {
    let scripts = scripts(folder);
    let mut failures = Vec::new();
    for script in &scripts {
        let report = run_file(script).expect("a script can be read");
        let name = script.file_name().unwrap_or_default().to_string_lossy();
        println!("{name}: {report}");
        failures.extend(report.failed.into_iter().map(|failure| format!("{name}: {failure}")));
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    scripts.len()
}

#[test]
fn own_scripts_pass() {
    assert!(run_all(&golden::path("testdata/promql")) > 0);
}

#[test]
fn scripts_of_the_reference_pass_where_they_are_at_hand() {
    run_all(&golden::path("../shared/promqltest"));
}
