//! Promtool's other commands.

use std::process::Output;

use crate::server::{Home, Server, wait_for};
use crate::target::{Target, counter};

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_server_is_asked() {
    let target = Target::serve_text(counter);
    let home = Home::new(&target.config());
    let server = Server::start(&home, &[]);
    wait_for("a scrape", || server.value("up{job='app'}").filter(|up| *up == 1.0));
    let instance = target.address();
    let answer = out(&home.run(&["query", "instant", server.address(), "up"]));
    assert!(answer.starts_with(&format!("up{{instance=\"{instance}\", job=\"app\"}} => 1 @[")), "{answer}");
    let answer = out(&home.run(&["query", "instant", "-o", "json", server.address(), "1+1"]));
    assert!(answer.ends_with(",\"2\"]\n"), "{answer}");
    let answer = out(&home.run(&["query", "series", "--match=up", server.address()]));
    assert_eq!(answer, format!("up{{instance=\"{instance}\", job=\"app\"}}\n"));
    assert_eq!(out(&home.run(&["query", "labels", server.address(), "job"])), "app\n");
    let answer = out(&home.run(&["query", "range", "--step=1", server.address(), "vector(1)"]));
    assert!(answer.starts_with("{} =>\n1 @["), "{answer}");
    let output = home.run(&["query", "instant", server.address(), "up("]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.starts_with("query error: bad_data: invalid parameter \"query\": 1:4: parse error: "),
        "{error}"
    );

    let url = format!("--url=http://{}", server.address());
    for (command, answer) in
        [("healthy", "Prometheus Server is Healthy."), ("ready", "Prometheus Server is Ready.")]
    {
        let output = home.run(&["check", command, &url]);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8_lossy(&output.stderr), format!("  SUCCESS:  {answer}\n\n"));
    }
    assert_eq!(home.run(&["check", "ready", "--url=http://127.0.0.1:1"]).status.code(), Some(1));
}

#[test]
fn expressions_are_written_anew_and_explained() {
    let home = Home::new("");
    assert_eq!(out(&home.run(&["promql", "format", "sum (up) by(job)"])), "sum by (job) (up)\n");
    let set = ["promql", "label-matchers", "set", "-t", "=~", "up{job='a'}", "job", "b.*"];
    assert_eq!(out(&home.run(&set)), "up{job=~\"b.*\"}\n");
    assert!(!out(&home.run(&["promql", "explain", "rate(x[5m])"])).is_empty());
    assert_eq!(home.run(&["promql", "format", "up("]).status.code(), Some(1));
}

#[test]
fn scripts_and_rules_are_tested_and_checked() {
    let home = Home::new("");
    let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
    write("good.test", "load 1m\n  x 1 2 3\n\neval instant at 2m x\n  x 3\n");
    write("bad.test", "load 1m\n  x 1 2 3\n\neval instant at 2m x\n  x 4\n");
    let output = home.run(&["test", "promql", "good.test"]);
    assert_eq!((output.status.code(), out(&output)), (Some(0), "good.test: 1 passed, 0 failed\n".to_owned()));
    assert_eq!(home.run(&["test", "promql", "bad.test"]).status.code(), Some(1));

    write("rules.yml", "groups:\n- name: g\n  rules:\n  - record: x\n    expr: up\n");
    let output = home.run(&["check", "rules", "rules.yml"]);
    assert_eq!(out(&output), "Checking rules.yml\n  SUCCESS: 1 rules found\n\n");
    write("rules.yml", "groups:\n- name: g\n  rules:\n  - record: x\n    expr: up(\n");
    assert_eq!(home.run(&["check", "rules", "rules.yml"]).status.code(), Some(1));
}

#[test]
fn results_of_rule_tests_are_written_for_ci_systems() {
    let home = Home::new("");
    let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
    write("rules.yml", "groups: [{name: g, doc: x, rules: [{alert: A, expr: x > 0}]}]");
    write(
        "tests.yml",
        "rule_files: [rules.yml]
tests:
  - name: good
    input_series: [{series: x, values: '0 1'}]
    alert_rule_test: [{eval_time: 1m, alertname: A, exp_alerts: [{}]}]
  - name: bad
    input_series: [{series: x, values: '0 1'}]
    alert_rule_test: [{eval_time: 0m, alertname: A, exp_alerts: [{exp_labels: {a: <b>}}]}]
",
    );
    let output = home.run(&["test", "rules", "--ignore-unknown-fields", "--junit=out.xml", "tests.yml"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(out(&output), "Unit Testing:  tests.yml\n\n\n");
    let failure = [
        "    name: bad,",
        "    alertname: A, time: 0s, ",
        "        exp:[",
        "            0:",
        "              Labels:{a=\"<b>\", alertname=\"A\"}",
        "              Annotations:{}",
        "            ], ",
        "        got:[]",
    ]
    .join("\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), format!("  FAILED:\n{failure}\n"));
    let xml = std::fs::read_to_string(home.path().join("out.xml")).unwrap();
    let (head, cases) = xml.split_once("<testcase").unwrap();
    let suite =
        "<testsuites><testsuite name=\"tests.yml\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\"";
    assert!(head.starts_with(suite), "{head}");
    let failure = failure.replace('\n', "&#xA;").replace('"', "&#34;").replace("<b>", "&lt;b&gt;");
    assert_eq!(
        cases,
        format!(
            " name=\"good\"></testcase><testcase name=\"bad\"><failure>{failure}</failure></testcase></testsuite></testsuites>"
        )
    );

    let only_good = ["test", "rules", "--ignore-unknown-fields", "--run=^go", "--debug", "tests.yml"];
    let answer = out(&home.run(&only_good));
    assert!(answer.contains("\nDEBUG: Dump of all data (input_series and rules) at 1m1s:\n"), "{answer}");
    assert!(answer.contains("\n{__name__=\"x\"} =>\n1 @[60000]\n"), "{answer}");
    assert!(answer.ends_with("\n  SUCCESS\n\n"), "{answer}");
    assert_eq!(home.run(&["test", "rules", "tests.yml"]).status.code(), Some(1));
}

#[test]
fn a_data_directory_without_blocks_is_listed() {
    let home = Home::new("");
    std::fs::create_dir(home.data()).unwrap();
    let output = home.run(&["tsdb", "list"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(out(&output).starts_with("BLOCK ULID"), "{}", out(&output));
    assert_eq!(home.run(&["tsdb", "list", "no/such/directory"]).status.code(), Some(1));
}

#[test]
fn text_that_cannot_be_back_filled_is_named_once() {
    let home = Home::new("");
    std::fs::write(home.path().join("input.om"), "# TYPE x gauge\nx 1 noon\n# EOF\n").unwrap();
    let output = home.run(&["tsdb", "create-blocks-from", "openmetrics", "input.om"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    let what = error.strip_prefix("getting min and max timestamp: next: ").unwrap();
    assert!(what.contains("noon") && !what.contains("next: "), "{what}");
}

#[test]
fn rules_are_replayed_over_what_is_stored() {
    let home = Home::new("");
    let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
    // A value each minute for an hour; it is high from minute 20 to 39.
    let mut text = "# TYPE load gauge\n".to_owned();
    for minute in 0..60 {
        let value = if (20..40).contains(&minute) { 9 } else { 1 };
        text.push_str(&format!("load{{job=\"a\"}} {value} {}\n", 1_700_000_000 + minute * 60));
    }
    write("input.om", &(text + "# EOF\n"));
    let output = home.run(&["tsdb", "create-blocks-from", "openmetrics", "-q", "input.om", "data"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    write(
        "rules.yml",
        "groups:\n- name: g\n  interval: 1m\n  rules:\n  - {record: double, expr: load * 2}\n  \
         - {alert: High, expr: double > 10, for: 5m, annotations: {at: '{{ $value }}'}}\n",
    );
    let backtest = ["rules", "backtest", "rules.yml", "--from=1700000000", "--to=1700003540"];
    let output = home.run(&[&backtest[..], &["--format=json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let alerts: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(alerts.as_array().unwrap().len(), 1, "{alerts}");
    assert_eq!(alerts[0]["labels"], serde_json::json!({"alertname": "High", "job": "a"}));
    assert_eq!(alerts[0]["annotations"], serde_json::json!({"at": "18"}));

    let table = out(&home.run(&backtest));
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    let times = ["pendingAt", "firingAt", "endedAt"].map(|name| alerts[0][name].as_str().unwrap());
    let labels = "{alertname=\"High\", job=\"a\"}";
    assert_eq!(lines[1], format!("{}  {}  {}  {labels}", times[0], times[1], times[2]));
    // The slots lie somewhere in their minutes, as they would in a server; what is high began at 22:33:20.
    assert!(("2023-11-14T22:33:20".."2023-11-14T22:34:20").contains(&&times[0][..19]), "{table}");
    assert!(("2023-11-14T22:38:20".."2023-11-14T22:39:20").contains(&&times[1][..19]), "{table}");
    assert!(("2023-11-14T22:53:20".."2023-11-14T22:54:20").contains(&&times[2][..19]), "{table}");
    let left = std::fs::read_dir(home.data()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with("tmp_")), "a sandbox is left");
}

#[test]
fn blocks_are_made_of_what_recording_rules_would_have_stored() {
    let home = Home::new("");
    let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).unwrap();
    // Five hours with a value each minute, over the beginnings of two blocks.
    let begin = 1_700_006_400;
    let mut text = "# TYPE load gauge\n".to_owned();
    for minute in 0..300 {
        text.push_str(&format!("load{{job=\"a\"}} {minute} {}\n", begin + minute * 60));
    }
    write("input.om", &(text + "# EOF\n"));
    let output = home.run(&["tsdb", "create-blocks-from", "openmetrics", "-q", "input.om", "data"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    write(
        "rules.yml",
        "groups:\n- name: g\n  interval: 10m\n  labels: {from: rule}\n  rules:\n  - {record: double, expr: load * 2}\n  \
         - {alert: High, expr: load > 10}\n",
    );
    let server = Server::start(&home, &[]);
    let url = format!("--url={}", server.address());
    let (start, end) = (format!("--start={}", begin + 60), format!("--end={}", begin + 299 * 60));
    let create = ["tsdb", "create-blocks-from", "rules", "--output-dir=out", &url, &start, &end];
    let output = home.run(&[&create[..], &["rules.yml"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let blocks = out(&output).lines().count() - 1;
    assert!((3..=4).contains(&blocks), "{}", out(&output));

    let dumped = out(&home.run(&["tsdb", "dump", "out"]));
    let samples: Vec<(i64, i64)> = dumped
        .lines()
        .map(|line| {
            let sample = line.strip_prefix("{__name__=\"double\", from=\"rule\", job=\"a\"} ").unwrap();
            let (value, at_ms) = sample.split_once(' ').unwrap();
            (at_ms.parse().unwrap(), value.parse().unwrap())
        })
        .collect();
    assert!((29..=30).contains(&samples.len()), "{dumped}");
    for pair in samples.windows(2) {
        assert_eq!(pair[1].0 - pair[0].0, 600_000, "{dumped}");
    }
    for (at_ms, value) in samples {
        assert_eq!(value, (at_ms / 1000 - begin) / 60 * 2, "{dumped}");
    }

    let wrong = home.run(&[&create[..], &["--eval-interval=0s", "rules.yml"]].concat());
    assert_eq!(String::from_utf8_lossy(&wrong.stderr), "eval interval must be greater than 0\n");
    let nobody = ["--url=127.0.0.1:1", &start, &end, "rules.yml"];
    let failed = home.run(&[&["tsdb", "create-blocks-from", "rules"], &nobody[..]].concat());
    assert_eq!(failed.status.code(), Some(1));
}
