//! Configurations and rule files as people write them in tutorials: configurations load, and rule files load or are
//! refused as Prometheus's tool refuses them.
//!
//! The documents lie beside the project where it is developed; without them this is left out. Those of the
//! project's own are in `testdata/config/` and `testdata/rules/`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::server::Home;

/// The YAML of the blocks in a document that are a server's configuration.
fn configurations(document: &str) -> Vec<String> {
    let is_configuration = |block: &&str| {
        let has = |key: &str| block.lines().any(|line| line.starts_with(key));
        has("scrape_configs:") && !has("groups:") && !has("apiVersion:")
    };
    let blocks = document.split("```").skip(1).step_by(2);
    let yaml = blocks.map(|block| block.split_once('\n').map_or("", |(_, text)| text));
    yaml.filter(is_configuration).map(without_title).collect()
}

/// A block without the prose that may stand before its first section.
fn without_title(block: &str) -> String {
    let starts = ["global:", "scrape_configs:", "#"];
    let lines = block.lines().skip_while(|line| !starts.iter().any(|start| line.starts_with(start)));
    lines.collect::<Vec<_>>().join("\n")
}

/// The documents, if they are here.
fn documents() -> Option<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.join("../shared/seeds"), root.join("../../shared/seeds")];
    let entries = folders.iter().find_map(|path| std::fs::read_dir(path).ok())?;
    Some(entries.map(|entry| entry.unwrap().path()).collect())
}

/// The rule files in a document; those within a Kubernetes object are indented.
fn rule_files(document: &str) -> Vec<String> {
    let blocks = document.split("```").skip(1).step_by(2);
    let files = blocks.filter_map(|block| {
        let lines: Vec<&str> = block.lines().skip_while(|line| line.trim() != "groups:").collect();
        let indent = lines.first()?.len() - lines.first()?.trim_start().len();
        let dedented = lines.iter().map(|line| line.get(indent..).unwrap_or_default());
        Some(dedented.collect::<Vec<_>>().join("\n"))
    });
    files.filter(|file| file.contains("alert:") || file.contains("record:")).collect()
}

/// Runs Prometheus's own tool, if it is installed.
fn promtool(home: &Home, args: &[&str]) -> Option<Output> {
    Command::new("promtool").current_dir(home.path()).args(args).output().ok()
}

/// What a tool says of the first mistake that it found, without the place in the file.
fn mistake(output: &Output) -> Option<String> {
    let error = String::from_utf8_lossy(&output.stderr);
    error.lines().find_map(|line| line.find("group \"").map(|at| line[at..].to_owned()))
}

#[test]
fn the_rule_files_of_tutorials_are_taken_as_by_prometheus() {
    let Some(documents) = documents() else {
        eprintln!("left out: the documents aren't here");
        return;
    };
    let mut checked = 0;
    for path in documents {
        for yaml in rule_files(&std::fs::read_to_string(&path).unwrap()) {
            let home = Home::new("");
            std::fs::write(home.path().join("rules.yml"), &yaml).unwrap();
            let ours = home.run(&["check", "rules", "rules.yml"]);
            let Some(theirs) = promtool(&home, &["check", "rules", "rules.yml"]) else {
                eprintln!("left out: promtool isn't installed");
                return;
            };
            assert_eq!(ours.status.code(), theirs.status.code(), "{}: {ours:?}", path.display());
            assert_eq!(mistake(&ours), mistake(&theirs), "{}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 4, "{checked} rule files");
}

#[test]
fn alerts_as_people_write_them_fire_on_data_made_for_them() {
    let home = Home::new("");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/rules");
    for file in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), home.path().join(file.file_name())).unwrap();
    }
    let test = ["test", "rules", "model_serving_test.yml", "label_clashes_test.yml"];
    let output = home.run(&test);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let check = ["check", "rules", "unknown_function.yml"];
    let refused = home.run(&check);
    assert_eq!(refused.status.code(), Some(1));
    let expected = "group \"jobs\", rule 1, \"OutOfMemory\": annotation \"description\": template: \
                    __alert_OutOfMemory:1: function \"humanizeBytes\" not defined";
    assert_eq!(mistake(&refused).as_deref(), Some(expected));

    let Some(theirs) = promtool(&home, &test) else {
        eprintln!("left out: promtool isn't installed");
        return;
    };
    assert!(theirs.status.success(), "{}", String::from_utf8_lossy(&theirs.stderr));
    assert_eq!(promtool(&home, &check).and_then(|output| mistake(&output)).as_deref(), Some(expected));
}

#[test]
fn the_configurations_of_tutorials_load() {
    let Some(documents) = documents() else {
        eprintln!("left out: the documents aren't here");
        return;
    };
    let mut checked = 0;
    for path in documents {
        for yaml in configurations(&std::fs::read_to_string(&path).unwrap()) {
            let home = Home::new(&yaml);
            let output = home.run(&["check", "config", "--syntax-only", "prometheus.yml"]);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {errors}\n{yaml}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 4, "{checked} configurations");
}
