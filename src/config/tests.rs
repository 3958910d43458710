//! Configuration files and what becomes of them.

use model::labels::Labels;
use remote::write::Version;

use super::*;

/// A directory that is removed when it goes out of scope.
struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Dir {
        Dir(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A text with this directory's name taken out.
    fn without_path(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn load(text: &str) -> Result<Config, String> {
    let dir = Dir::new();
    let file = dir.write("prometheus.yml", text);
    Config::load(&file, &|_| None).map_err(|error| dir.without_path(&error.to_string()))
}

#[test]
fn an_error_names_file_line_column_and_field() {
    for (text, error) in [
        (
            "global:\n  scrape_intervall: 15s\n",
            "2:3: global.scrape_intervall: unknown field `scrape_intervall`",
        ),
        (
            "otlp:\n  translation_strategy: None\n",
            "2:25: otlp.translation_strategy: unsupported OTLP translation strategy \"None\"",
        ),
        (
            "otlp:\n  promote_resource_attributes: [a, ' a ']\n",
            "2:3: otlp: invalid 'promote_resource_attributes': duplicated promoted OTel resource attribute \"a\"",
        ),
        (
            "otlp:\n  ignore_resource_attributes: [a]\n",
            "2:3: otlp: 'ignore_resource_attributes' cannot be configured unless 'promote_all_resource_attributes' is true",
        ),
        (
            "global:\n  metric_name_validation_scheme: legacy\notlp:\n  translation_strategy: NoTranslation\n",
            "4:3: otlp: OTLP translation strategy \"NoTranslation\" is not allowed when UTF8 is disabled",
        ),
        ("scrap_configs: []\n", "1:1: scrap_configs: unknown field `scrap_configs`"),
        (
            "scrape_configs:\n- job_name: a\n  static_configs:\n  - target: [x]\n",
            "4:5: scrape_configs[0].static_configs[0].target: unknown field `target`",
        ),
        (
            "scrape_configs:\n- job_name: a\n  scrape_interval: 15 s\n",
            "3:20: scrape_configs[0].scrape_interval: unknown unit \" s\" in duration \"15 s\"",
        ),
        ("global:\n  sample_limit: many\n", "2:17: global.sample_limit: "),
        ("global: [1]\n", "1:9: global: "),
        (
            "global:\n  scrape_interval: 5s\n  scrape_timeout: 10s\n",
            "3:19: global.scrape_timeout: global scrape timeout greater than scrape interval",
        ),
        (
            "scrape_configs:\n- job_name: a\n- job_name: a\n",
            "3:3: scrape_configs[1].job_name: found multiple scrape configs with job name \"a\"",
        ),
        ("scrape_configs:\n-\n", " scrape_configs[0]: empty or null scrape config section"),
        ("scrape_configs:\n- metrics_path: /m\n", "2:3: scrape_configs[0]: job_name is empty"),
        (
            "scrape_configs:\n- job_name: a\n  scrape_interval: 5s\n  scrape_timeout: 9s\n",
            "2:3: scrape_configs[0]: scrape timeout greater than scrape interval for scrape config with job \
             name \"a\"",
        ),
        (
            "scrape_configs:\n- job_name: a\n  relabel_configs:\n  - action: jump\n",
            "4:5: scrape_configs[0].relabel_configs[0]: unknown relabel action \"jump\"",
        ),
        (
            "storage:\n  tsdb:\n    retention:\n      percentage: 101\n",
            "4:19: storage.tsdb.retention.percentage: 'storage.tsdb.retention.percentage' must be in the \
             range [0, 100], got 101",
        ),
        (
            "global: {external_labels: {\"\": x}}\n",
            "1:27: global.external_labels: \"\" is not a valid label name",
        ),
        ("a: [\n", ""),
    ] {
        let found = load(text).expect_err(text);
        assert!(found.starts_with(&format!("prometheus.yml:{error}")), "{text}\ngave {found}\nnot  {error}");
    }
}

#[test]
fn a_missing_file_is_an_error_and_an_empty_one_is_all_defaults() {
    let error = Config::load(Path::new("/no/such/file.yml"), &|_| None).unwrap_err();
    assert_eq!(error.to_string(), "/no/such/file.yml: No such file or directory (os error 2)");
    for text in ["", "# nothing\n", "global:\n", "global: {}\nscrape_configs: []\n"] {
        let config = load(text).unwrap();
        assert_eq!(config.global.evaluation_interval.to_string(), "1m", "{text:?}");
        assert_eq!(config.global.scrape.scrape_timeout.to_string(), "10s", "{text:?}");
        assert!(config.jobs.is_empty() && config.unsupported.is_empty(), "{text:?}");
    }
}

#[test]
fn jobs_come_from_more_files_and_their_names_are_unique_over_all() {
    let dir = Dir::new();
    let main = dir.write("p.yml", "scrape_config_files: ['more*.yml']\nscrape_configs: [{job_name: a}]\n");
    dir.write("more1.yml", "scrape_configs: [{job_name: b}]\n");
    let config = Config::load(&main, &|_| None).unwrap();
    let names: Vec<_> = config.jobs.iter().map(|job| job.job_name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(config.files.len(), 2);

    dir.write("more2.yml", "scrape_configs:\n- job_name: a\n");
    let error = dir.without_path(&Config::load(&main, &|_| None).unwrap_err().to_string());
    assert_eq!(
        error,
        "more2.yml:2:3: scrape_configs[0].job_name: found multiple scrape configs with job name \"a\", first \
         found in p.yml"
    );
    dir.write("more2.yml", "global: {}\n");
    let error = dir.without_path(&Config::load(&main, &|_| None).unwrap_err().to_string());
    assert!(error.starts_with("more2.yml:1:1: global: unknown field `global`"), "{error}");
}

#[test]
fn what_cannot_be_done_yet_is_listed_unless_it_would_do_nothing() {
    let unsupported = |text: &str| -> Vec<String> {
        let fields = load(text).unwrap().unsupported.into_iter();
        fields.map(|unsupported| unsupported.to_string().split(": ").nth(1).unwrap().to_owned()).collect()
    };
    assert_eq!(
        unsupported("remote_write: [{url: 'http://x', google_iam: {}}]\ntracing: {endpoint: x}\n"),
        ["remote_write[0].google_iam", "tracing"]
    );
    // The reference's own example file names no Alertmanager and no rules.
    let example =
        "alerting:\n  alertmanagers:\n  - static_configs:\n    - targets:\n      # - a:9093\nrule_files:\n";
    assert_eq!(unsupported(example), [""; 0]);
}

#[test]
fn the_configuration_in_force_is_printed_with_defaults_and_without_secrets() {
    let config = load(
        "global:\n  scrape_interval: 15s\n  external_labels: {zone: $ZONE-1}\nscrape_configs:\n- job_name: a\n  \
         basic_auth: {username: u, password: hidden}\n  static_configs: [{targets: ['h:1']}]\n",
    )
    .unwrap();
    assert_eq!(config.yaml, include_str!("../../testdata/config/in_force.yml"));
    assert_eq!(config.warnings, ["environment variable \"ZONE\" of an external label is empty"]);
    // What is printed can be read again.
    assert!(load(&config.yaml).is_ok());
}

#[test]
fn alertmanagers_and_rule_files_are_read() {
    let config = load(
        "rule_files: [rules/*.yml]\nalerting:\n  alert_relabel_configs: [{regex: replica, action: labeldrop}]\n  \
         alertmanagers:\n  - path_prefix: /am\n    static_configs: [{targets: ['a:9093']}]\n",
    )
    .unwrap();
    assert!(config.rule_patterns[0].ends_with("rules/*.yml"));
    assert_eq!(config.alerting.alertmanagers[0].path_prefix, "/am");
    assert!(config.yaml.contains("api_version: v2") && config.yaml.contains("a:9093"), "{}", config.yaml);
    for (text, error) in [
        ("rule_files: ['*/a.yml']\n", "rule_files[0]: invalid rule file path \"*/a.yml\""),
        (
            "alerting: {alertmanagers: [{api_version: v1}]}\n",
            "expected Alertmanager api version to be one of [v2] but got v1",
        ),
        ("alerting: {alert_relabel_configs: [null]}\n", "empty or null alert relabeling rule"),
    ] {
        let found = load(text).unwrap_err();
        assert!(found.contains(error), "{found}");
    }
}

#[test]
fn remote_write_is_read_with_its_defaults_and_printed_without_secrets() {
    let config = load(
        "global: {external_labels: {zone: b}}\nremote_write:\n- url: http://u:hidden@h/api/v1/write\n  \
         queue_config: {max_shards: 7}\n  protobuf_message: io.prometheus.write.v2.Request\n  \
         write_relabel_configs: [{regex: x, action: labeldrop}]\n- {url: 'http://h', name: second, headers: {A: b}}\n",
    )
    .unwrap();
    let labels = Labels::from_pairs(&config.global.external_labels);
    let endpoints: Vec<_> = config.remote_write.iter().map(|section| section.endpoint(&labels)).collect();
    let (first, second) = (&endpoints[0], &endpoints[1]);
    assert_eq!((first.name.len(), second.name.as_str()), (6, "second"));
    assert_eq!((first.queue.max_shards, first.queue.capacity), (7, 10_000));
    assert_eq!((first.version, second.version), (Version::V2, Version::V1));
    assert_eq!(first.remote_timeout.to_string(), "30s");
    assert_eq!(first.external_labels.value("zone"), "b");
    assert!(first.url.contains("hidden") && !first.http_client.enable_http2);
    assert!(!config.yaml.contains("hidden") && config.yaml.contains("max_shards: 7"), "{}", config.yaml);
    assert!(load(&config.yaml).is_ok(), "{}", config.yaml);
}

#[test]
fn what_is_wrong_with_remote_write_is_named() {
    for (section, error) in [
        ("{}", "url for remote_write is empty"),
        (
            "{url: 'http://h', queue_config: {max_shards: 0}}",
            "remote write queue max_shards must be positive",
        ),
        (
            "{url: 'http://h', queue_config: {max_shards: 2, min_shards: 3}}",
            "remote write queue min_shards must not be greater than max_shards",
        ),
        (
            "{url: 'http://h', queue_config: {max_backoff: 1ms}}",
            "remote write queue max_backoff must not be less than min_backoff",
        ),
        ("{url: 'http://h', headers: {Host: a}}", "Host is a reserved header. It must not be changed"),
        ("{url: 'http://h', headers: {Authorization: a}}", "authorization header must be changed via"),
        ("{url: 'http://h', protobuf_message: x}", "unknown type for remote write protobuf message x"),
        (
            "{url: 'http://h', write_relabel_configs: [null]}",
            "empty or null relabeling rule in remote write config",
        ),
        (
            "{url: 'http://h', sigv4: {access_key: k}}",
            "must provide a AWS SigV4 Access key and Secret Key if credentials are specified in the SigV4 config",
        ),
        (
            "{url: 'http://h', basic_auth: {username: u}, sigv4: {}}",
            "must be configured. Currently configured: [basic_auth sigv4]",
        ),
        ("{url: 'http://h', queue: {}}", "unknown field `queue`"),
        ("null", "empty or null remote write config section"),
        (
            "{url: 'http://h'}\n- {url: 'http://h'}",
            "duplicate remote write configs are not allowed, found duplicate for URL: http://h",
        ),
        (
            "{url: 'http://h', name: a}\n- {url: 'http://i', name: a}",
            "found multiple remote write configs with job name \"a\"",
        ),
    ] {
        let found = load(&format!("remote_write:\n- {section}\n")).unwrap_err();
        assert!(found.contains(error), "{section}: {found}");
    }
}
