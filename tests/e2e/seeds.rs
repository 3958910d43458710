//! Configurations as people write them in tutorials: all of them load.
//!
//! The documents lie beside the project where it is developed; without them this is left out. Those of the
//! project's own are in `testdata/config/`.

use std::path::Path;

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

#[test]
fn the_configurations_of_tutorials_load() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documents = [root.join("../shared/seeds"), root.join("../../shared/seeds")];
    let Some(entries) = documents.iter().find_map(|path| std::fs::read_dir(path).ok()) else {
        eprintln!("left out: the documents aren't here");
        return;
    };
    let mut checked = 0;
    for entry in entries {
        let path = entry.unwrap().path();
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
