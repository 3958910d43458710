use super::*;

const RULES: &str = "
groups:
  - name: ml
    rules:
      - record: job:errors:rate1m
        expr: sum by (job) (rate(errors_total[1m]))
      - alert: ErrorsHigh
        expr: job:errors:rate1m > 0.5
        for: 2m
        labels: {severity: page}
        annotations: {summary: '{{ $labels.job }} at {{ $value }}'}
";

fn run(tests: &str) -> Vec<TestResult> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("rules.yml"), RULES).unwrap();
    let path = directory.path().join("tests.yml");
    std::fs::write(&path, format!("rule_files: [rules.yml]\nevaluation_interval: 1m\n{tests}")).unwrap();
    run_file(&path, &TestOptions::default()).unwrap()
}

#[test]
fn alerts_and_samples_that_are_as_expected_pass() {
    let results = run("
tests:
  - name: errors
    interval: 30s
    input_series:
      - {series: 'errors_total{job=\"api\",pod=\"a\"}', values: '0+30x20'}
    alert_rule_test:
      - {eval_time: 2m, alertname: ErrorsHigh, exp_alerts: []}
      - eval_time: 3m
        alertname: ErrorsHigh
        exp_alerts:
          - exp_labels: {severity: page, job: api}
            exp_annotations: {summary: api at 1}
    promql_expr_test:
      - expr: job:errors:rate1m
        eval_time: 3m
        exp_samples: [{labels: 'job:errors:rate1m{job=\"api\"}', value: 1}]
      - {expr: 'absent_metric', eval_time: 3m}
");
    assert_eq!(results, [TestResult { name: "errors".into(), errors: vec![] }]);
}

#[test]
fn what_is_not_as_expected_is_shown() {
    let results = run("
tests:
  - input_series:
      - {series: 'errors_total{job=\"api\"}', values: '0+60x20'}
    alert_rule_test:
      - {eval_time: 5m, alertname: ErrorsHigh, exp_alerts: []}
    promql_expr_test:
      - {expr: 'errors_total', eval_time: 1m, exp_samples: [{labels: '{}', value: 1}]}
      - {expr: 'errors_total[', eval_time: 1m}
");
    let errors = &results[0].errors;
    assert_eq!(
        errors[0],
        "    expr: \"errors_total\", time: 1m,\n        exp: {} 1E+00\n        got: {__name__=\"errors_total\", job=\"api\"} 6E+01"
    );
    assert!(
        errors[1].starts_with("    expr: \"errors_total[\", time: 1m, err: 1:14: parse error:"),
        "{}",
        errors[1]
    );
}

#[test]
fn an_evaluation_that_fails_ends_its_test() {
    let directory = tempfile::tempdir().unwrap();
    let rules = "groups: [{name: g, rules: [{record: x, expr: '{job=\"a\"}'}]}]";
    std::fs::write(directory.path().join("rules.yml"), rules).unwrap();
    let path = directory.path().join("tests.yml");
    let tests = "
rule_files: [rules.yml]
tests:
  - input_series:
      - {series: 'a{job=\"a\"}', values: '_ 1 1'}
      - {series: 'b{job=\"a\"}', values: '_ 1 1'}
    alert_rule_test: [{eval_time: 2m, alertname: A, exp_alerts: [{}]}]
    promql_expr_test: [{expr: a, eval_time: 1m}]
";
    std::fs::write(&path, tests).unwrap();
    let results = run_file(&path, &TestOptions::default()).unwrap();
    let error = "vector contains metrics with the same labelset after applying rule labels";
    let errors = vec![format!("    rule: x, time: 1m0s, err: {error}")];
    assert_eq!(results, [TestResult { name: "unnamed#0".to_owned(), errors }]);
}

#[test]
fn rule_files_that_cannot_be_used_fail_each_test() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("rules.yml"), "groups: [{name: ''}]").unwrap();
    let path = directory.path().join("tests.yml");
    std::fs::write(&path, "{rule_files: [rules.yml], tests: [{name: a}, {}]}").unwrap();
    let results = run_file(&path, &TestOptions::default()).unwrap();
    for (result, name) in results.iter().zip(["a", "unnamed#1"]) {
        assert_eq!(result.name, name);
        assert!(result.errors[0].ends_with("Groupname must not be empty"), "{:?}", result.errors);
    }
    assert_eq!(results.len(), 2);
}

#[test]
fn files_that_cannot_be_used_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tests.yml");
    for (text, part) in [
        ("group_eval_order: [a, b, a]", "group name repeated in evaluation order: a"),
        ("testz: []", "unknown field"),
        ("tests: [{start_timestamp: noon}]", "invalid start_timestamp"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = run_file(&path, &TestOptions::default()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
