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
fn files_that_a_configuration_names_have_to_be_there_where_promtool_looks_for_them() {
    let home = Home::new("");
    for (section, stdout, stderr) in [
        (
            "scrape_configs: [{job_name: a, basic_auth: {username: u, password_file: secret}}]",
            "  WARNING: file \"secret\" of scrape job \"a\" does not exist\n",
            "",
        ),
        (
            "scrape_configs: [{job_name: a, authorization: {credentials_file: secret}}]",
            "",
            "  FAILED: error checking authorization credentials or bearer token file \"secret\": stat secret: no such file or directory\n",
        ),
        (
            "scrape_configs: [{job_name: a, tls_config: {cert_file: prometheus.yml, key_file: key}}]",
            "",
            "  FAILED: error checking client key file \"key\": stat key: no such file or directory\n",
        ),
        (
            "alerting: {alertmanagers: [{authorization: {credentials_file: secret}}]}",
            "  WARNING: file \"secret\" of alertmanager config does not exist\n",
            "",
        ),
    ] {
        std::fs::write(home.path().join("prometheus.yml"), section).unwrap();
        let output = home.run(&["check", "config", "prometheus.yml"]);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(i32::from(!stderr.is_empty())), "{section}: {out}{err}");
        assert!(out.contains(stdout), "{section}: {out}");
        assert_eq!(err, stderr, "{section}");
        let output = home.run(&["check", "config", "--syntax-only", "prometheus.yml"]);
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn rule_files_are_checked_with_the_configuration_that_names_them() {
    let home =
        Home::new("rule_files: ['rules/*.yml']\nscrape_configs: [{job_name: a, scrape_interval: 10m}]\n");
    std::fs::create_dir(home.path().join("rules")).unwrap();
    let rules = home.path().join("rules/a.yml");
    let twice = "groups: [{name: g, rules: [{record: a, expr: b}, {record: a, expr: c}]}]\n";
    for (text, arguments, code, stdout, stderr) in [
        (
            "groups: [{name: g, rules: [{record: a, expr: b}]}]\n",
            &[][..],
            0,
            "  SUCCESS: 1 rules found\n",
            "",
        ),
        ("groups: [{name: g, rules: [{record: a, expr: 'b('}]}]\n", &[], 1, "", "rules/a.yml"),
        ("groups: [{name: g, rules: [{record: a, expr: 'b('}]}]\n", &["--syntax-only"], 0, "", ""),
        (twice, &[], 0, "1 duplicate rule(s) found.", ""),
        (twice, &["--lint-fatal"], 3, "", "1 duplicate rule(s) found."),
        (twice, &["--lint-fatal", "--lint=none"], 0, "  SUCCESS: 2 rules found\n", ""),
        (
            "",
            &["--lint-fatal", "--lint=too-long-scrape-interval"],
            3,
            "",
            "too long scrape interval found, data point will be marked as stale - job: a, interval: 10m\n",
        ),
        ("", &["--agent"], 1, "", "field rule_files is not allowed in agent mode"),
    ] {
        std::fs::write(&rules, text).unwrap();
        let output = home.run(&[&["check", "config"][..], arguments, &["prometheus.yml"]].concat());
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{text} {arguments:?}: {out}{err}");
        assert!(out.contains(stdout) && err.contains(stderr), "{text} {arguments:?}: {out}{err}");
    }
}

#[test]
fn targets_in_files_are_checked() {
    let home = Home::new("scrape_configs: [{job_name: a, file_sd_configs: [{files: [t.yml]}]}]\n");
    let check = || home.run(&["check", "config", "prometheus.yml"]);
    let output = check();
    assert_eq!(output.status.code(), Some(0));
    let warning = "t.yml\" for file_sd in scrape job \"a\" does not exist";
    assert!(String::from_utf8_lossy(&output.stdout).contains(warning));
    for (text, code) in [("- targets: [a:1]\n", 0), ("- nope\n", 1), ("- targets: [a/b]\n", 1)] {
        std::fs::write(home.path().join("t.yml"), text).unwrap();
        assert_eq!(check().status.code(), Some(code), "{text}");
    }
}

#[test]
fn service_discovery_shows_targets_before_and_after_relabelling() {
    let home = Home::new(
        "scrape_configs: [{job_name: a, static_configs: [{targets: ['h:1', 'h:2']}], \
         relabel_configs: [{source_labels: [__address__], regex: 'h:2', action: drop}]}]\n",
    );
    let output = home.run(&["check", "service-discovery", "prometheus.yml", "a"]);
    assert_eq!(output.status.code(), Some(0));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found[0]["discoveredLabels"]["__address__"], "h:1");
    assert_eq!(found[0]["labels"]["instance"], "h:1");
    assert_eq!(found[1]["discoveredLabels"]["__address__"], "h:2");
    assert_eq!(found[1]["labels"], serde_json::json!({}));
    let output = home.run(&["check", "service-discovery", "prometheus.yml", "b"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "Job b not found. Select one of:\n\ta\n");
}

#[test]
fn web_configuration_files_are_checked() {
    let home = Home::new("");
    std::fs::write(home.path().join("good.yml"), "").unwrap();
    std::fs::write(home.path().join("bad.yml"), "nope: 1\n").unwrap();
    let output = home.run(&["check", "web-config", "good.yml", "bad.yml"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.starts_with("good.yml SUCCESS\nbad.yml FAILED: "), "{errors}");
}
