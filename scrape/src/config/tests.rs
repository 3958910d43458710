use super::*;

fn resolve(yaml: &str, global: &GlobalScrapeDefaults) -> Result<JobConfig, String> {
    let config: ScrapeConfig = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
    config.resolve(global).map_err(|error| error.to_string())
}

#[test]
fn a_job_without_settings_has_the_defaults() {
    let job = resolve("job_name: a", &GlobalScrapeDefaults::default()).unwrap();
    let text = serde_saphyr::to_string(&job).unwrap();
    let expected = "\
job_name: a
honor_timestamps: true
track_timestamps_staleness: false
scrape_interval: 1m
scrape_timeout: 10s
scrape_protocols:
- OpenMetricsText1.0.0
- OpenMetricsText0.0.1
- PrometheusText1.0.0
- PrometheusText0.0.4
scrape_native_histograms: false
always_scrape_classic_histograms: false
convert_classic_histograms_to_nhcb: false
extra_scrape_metrics: false
metrics_path: /metrics
scheme: http
enable_compression: true
metric_name_validation_scheme: utf8
metric_name_escaping_scheme: allow-utf-8
follow_redirects: true
enable_http2: true
";
    assert_eq!(text, expected);
}

#[test]
fn a_job_inherits_what_it_does_not_set() {
    let global = GlobalScrapeDefaults {
        scrape_interval: PromDuration::from_secs(15),
        scrape_timeout: PromDuration::from_secs(12),
        sample_limit: 7,
        scrape_native_histograms: true,
        metric_name_validation_scheme: ValidationScheme::Legacy,
        ..GlobalScrapeDefaults::default()
    };
    let job = resolve("{job_name: a, scrape_interval: 5s}", &global).unwrap();
    assert_eq!(job.scrape_timeout, PromDuration::from_secs(5));
    assert_eq!(job.sample_limit, 7);
    assert_eq!(job.scrape_protocols[0], ScrapeProtocol::PrometheusProto);
    assert_eq!(job.metric_name_escaping_scheme, EscapingScheme::Underscores);
}

#[test]
fn a_job_that_makes_no_sense_is_refused_in_the_words_of_the_reference() {
    for (yaml, text) in [
        ("{}", "job_name is empty"),
        ("{job_name: a, nope: 1}", "nope"),
        (
            "{job_name: a, scrape_timeout: 2m}",
            r#"scrape timeout greater than scrape interval for scrape config with job name "a""#,
        ),
        ("{job_name: a, scrape_protocols: []}", "scrape_protocols cannot be empty"),
        (
            "{job_name: a, scrape_protocols: [PrometheusProto, PrometheusProto]}",
            "duplicated protocol in scrape_protocols, got [PrometheusProto PrometheusProto]",
        ),
        (
            "{job_name: a, scrape_protocols: [X]}",
            "unknown scrape protocol X, supported: [OpenMetricsText0.0.1",
        ),
        (
            "{job_name: a, metric_name_validation_scheme: legacy, metric_name_escaping_scheme: allow-utf-8}",
            "utf8 metric names requested but validation scheme is not set to UTF8",
        ),
        ("{job_name: a, relabel_configs: [null]}", "empty or null target relabeling rule in scrape config"),
        (
            "{job_name: a, metric_relabel_configs: [{action: hashmod}]}",
            "relabel configuration for hashmod requires non-zero modulus",
        ),
        ("{job_name: a, static_configs: [{targets: [a/b]}]}", r#""a/b" is not a valid hostname"#),
        (
            "{job_name: a, azure_sd_configs: [{}]}",
            "azure_sd_configs is not supported yet, supported are: static_configs",
        ),
        ("{job_name: a, scrape_interval: 1}", "not a valid duration string"),
        (
            "{job_name: a, file_sd_configs: [{files: []}]}",
            "file service discovery config must contain at least one path name",
        ),
        (
            "{job_name: a, file_sd_configs: [{files: [x.txt]}]}",
            r#"path name "x.txt" is not valid for file discovery"#,
        ),
        ("{job_name: a, http_sd_configs: [{url: 'ftp://x'}]}", "URL scheme must be 'http' or 'https'"),
        (
            "{job_name: a, dns_sd_configs: [{names: [a], type: A}]}",
            "a port is required in DNS-SD configs for all record types except SRV",
        ),
    ] {
        let error = resolve(yaml, &GlobalScrapeDefaults::default()).unwrap_err();
        assert!(error.contains(text), "{yaml}: {error}");
    }
}

#[test]
fn only_what_changes_series_makes_a_cache_useless() {
    let global = GlobalScrapeDefaults::default();
    let old = resolve("job_name: a", &global).unwrap();
    let slower =
        resolve("{job_name: a, scrape_interval: 2m, sample_limit: 9, bearer_token: x}", &global).unwrap();
    let relabelled = resolve("{job_name: a, honor_labels: true}", &global).unwrap();
    assert!(slower.keeps_cache_of(&old));
    assert!(!relabelled.keeps_cache_of(&old));
}
