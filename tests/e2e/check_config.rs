//! `check config`.

use crate::server::Home;

#[test]
fn good_and_bad_files_are_told_apart_as_promtool_does() {
    let home = Home::new("scrape_configs: [{job_name: a}]\n");
    let output = home.run(&["check", "config", "prometheus.yml"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "Checking prometheus.yml\n SUCCESS: prometheus.yml is valid prometheus config file syntax\n\n"
    );

    std::fs::write(home.path().join("bad.yml"), "global:\n  scrape_interval: 1x\n").unwrap();
    let output = home.run(&["check", "config", "prometheus.yml", "bad.yml"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.starts_with("  FAILED: bad.yml:2:20: global.scrape_interval: "), "{errors}");

    let output = home.run(&["check", "config"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn files_that_a_configuration_names_have_to_be_there() {
    let home =
        Home::new("scrape_configs: [{job_name: a, basic_auth: {username: u, password_file: secret}}]\n");
    let output = home.run(&["check", "config", "prometheus.yml"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("\"secret\""), "{errors}");
    let output = home.run(&["check", "config", "--syntax-only", "prometheus.yml"]);
    assert_eq!(output.status.code(), Some(0));
}
