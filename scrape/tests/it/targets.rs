//! Targets that behave.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use scrape::{Options, TargetState};

use crate::world::{World, text, typed};

const JOB: &str = "{job_name: j, scrape_interval: 50ms, static_configs: [{targets: [ADDRESS]}]}";

fn instance(world: &World, metric: &str) -> String {
    metric.replace("TARGET", &format!("instance=\"{}\", job=\"j\"", world.address))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_scraped_and_its_samples_are_stored_with_its_labels() {
    let world =
        World::new(text("# HELP a What.\n# TYPE a counter\na{x=\"y\"} 5\nb{job=\"mine\"} NaN\n")).await;
    world.apply(&[JOB]);
    assert_eq!(world.scraped(TargetState::Up).await, "");
    world.until("three scrapes", |w| w.storage.values(&instance(w, "up{TARGET}")).len() > 3).await;
    let a = instance(&world, "a{TARGET, x=\"y\"}");
    assert_eq!(world.storage.values(&a)[..2], ["5", "5"]);
    let b = format!("b{{exported_job=\"mine\", instance=\"{}\", job=\"j\"}}", world.address);
    assert_eq!(world.storage.values(&b)[0], "NaN");
    assert_eq!(world.storage.values(&instance(&world, "scrape_samples_scraped{TARGET}"))[0], "2");
    let added = world.storage.values(&instance(&world, "scrape_series_added{TARGET}"));
    assert_eq!(added[..2], ["2", "0"]);
    let metadata = world.manager.metadata("");
    assert_eq!(metadata.len(), 1);
    assert_eq!((metadata[0].metric.as_str(), metadata[0].metadata.help.as_str()), ("a", "What."));
    world.manager.refresh_metrics();
    assert_eq!(world.metric("prometheus_target_metadata_cache_entries"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_of_a_scrape_stand_at_intervals_of_the_slot() {
    let world = World::new(text("a 1\n")).await;
    world.apply(&["{job_name: j, scrape_interval: 200ms, static_configs: [{targets: [ADDRESS]}]}"]);
    let up = instance(&world, "up{TARGET}");
    world.until("scrapes", |w| w.storage.samples(&up).len() > 2).await;
    let a = world.storage.samples(&instance(&world, "a{TARGET}"));
    assert_eq!(a[0].0, world.storage.samples(&up)[0].0, "one time for all samples of a scrape");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_that_vanishes_gets_a_staleness_marker() {
    let world = World::new(text("a 1\nb 1\nc 1\n")).await;
    world.apply(&[JOB]);
    let series = |name: &str| instance(&world, &format!("{name}{{TARGET}}"));
    world.until("c", |w| !w.storage.values(&series("c")).is_empty()).await;
    world.answer(text("c 2\na 2\n"));
    world.until("b is stale", |w| w.storage.values(&series("b")).contains(&"stale".to_owned())).await;
    world.answer(text("c 2\na 2\nb 3\n"));
    world.until("b is back", |w| w.storage.values(&series("b")).last() == Some(&"3".to_owned())).await;
    assert!(!world.storage.values(&series("a")).contains(&"stale".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_goes_away_ends_all_its_series() {
    let world = World::new(text("a 1\n")).await;
    world.apply(&[JOB]);
    let a = instance(&world, "a{TARGET}");
    let up = instance(&world, "up{TARGET}");
    world.until("a", |w| !w.storage.values(&a).is_empty()).await;
    world.apply(&[]);
    world.until("up is stale", |w| w.storage.values(&up).last() == Some(&"stale".to_owned())).await;
    assert_eq!(world.storage.values(&a).last().unwrap(), "stale");
    assert!(world.manager.targets().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_no_series() {
    let world = World::new(text("a 1\n")).await;
    world.apply(&[JOB]);
    let a = instance(&world, "a{TARGET}");
    world.until("a", |w| !w.storage.values(&a).is_empty()).await;
    world.manager.shutdown().await;
    assert!(!world.storage.values(&a).contains(&"stale".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_changes_only_times_keeps_series_and_cache() {
    let world = World::new(text("a 1\n")).await;
    world.apply(&[JOB]);
    let added = instance(&world, "scrape_series_added{TARGET}");
    world.until("a scrape", |w| !w.storage.values(&added).is_empty()).await;
    world.apply(&["{job_name: j, scrape_interval: 60ms, static_configs: [{targets: [ADDRESS]}]}"]);
    let before = world.storage.values(&added).len();
    world.until("scrapes after", |w| w.storage.values(&added).len() > before + 3).await;
    let ones = world.storage.values(&added).iter().filter(|value| *value == "1").count();
    assert_eq!(ones, 1, "the series was new once");
    let a = instance(&world, "a{TARGET}");
    assert!(!world.storage.values(&a).contains(&"stale".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn series_that_the_storage_forgot_are_sent_again_with_their_labels() {
    let world = World::new(text("a 1\nb 2\n")).await;
    world.apply(&[JOB]);
    let a = instance(&world, "a{TARGET}");
    world.until("a", |w| !w.storage.values(&a).is_empty()).await;
    world.storage.forget_refs();
    let up = instance(&world, "up{TARGET}");
    let before = world.storage.values(&up).len();
    world.until("more scrapes", |w| w.storage.values(&up).len() > before + 2).await;
    let times = |metric: &str| world.storage.samples(metric).iter().map(|(at, _)| *at).collect::<Vec<_>>();
    let (ups, samples) = (times(&up), times(&a));
    assert_eq!(ups[..samples.len().min(ups.len())], samples[..samples.len().min(ups.len())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_stored_with_a_new_series_and_when_it_changes() {
    let body =
        |help| format!("# HELP a {help}\n# TYPE a summary\na_sum 1\na_count 2\n# TYPE b gauge\nb 1\nc 1\n");
    let world = World::new(text(body("First."))).await;
    world.apply(&[JOB]);
    let scrapes = |world: &World| world.storage.values(&instance(world, "up{TARGET}")).len();
    world.until("some scrapes", |w| scrapes(w) > 2).await;
    world.answer(text(body("Second.")));
    world.until("the change", |w| w.storage.metadata().iter().any(|told| told.contains("Second."))).await;
    let before = scrapes(&world);
    world.until("scrapes after", |w| scrapes(w) > before + 2).await;
    let told = world.storage.metadata();
    let (own, reports): (Vec<_>, Vec<_>) = told.iter().partition(|told| told.starts_with(['a', 'b', 'c']));
    let expected = [
        "a_sum a summary First.",
        "a_count a summary First.",
        "b b gauge ",
        "a_sum a summary Second.",
        "a_count a summary Second.",
    ];
    assert_eq!(own, expected);
    assert_eq!(reports.len(), 5, "{reports:?}");
    assert!(reports[0].starts_with("up up gauge Health of the scrape target."), "{}", reports[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn openmetrics_brings_exemplars_and_honoured_timestamps_end_without_marker() {
    let body = "# TYPE a counter\na_total 3 # {trace=\"x\"} 1.5\nold 1 1000.5\n# EOF\n";
    let world = World::new(typed("application/openmetrics-text; version=1.0.0", body)).await;
    world.apply(&[JOB]);
    let old = instance(&world, "old{TARGET}");
    world.until("old", |w| !w.storage.samples(&old).is_empty()).await;
    assert_eq!(world.storage.samples(&old)[0], (1_000_500, "1".to_owned()));
    assert!(world.storage.exemplars()[0].contains("trace"));
    world.answer(typed("application/openmetrics-text; version=1.0.0", "# EOF\n"));
    let a = instance(&world, "a_total{TARGET}");
    world.until("a ends", |w| w.storage.values(&a).last() == Some(&"stale".to_owned())).await;
    assert_eq!(world.storage.values(&old), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn gzip_is_asked_for_and_read() {
    let body = "a 7\n";
    let world = World::new(Arc::new(move |headers| {
        use std::io::Write;
        assert_eq!(headers["accept-encoding"], "gzip");
        assert_eq!(headers["user-agent"], "Prometheus/3.14.0");
        assert_eq!(headers["x-prometheus-scrape-timeout-seconds"], "0.05");
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(body.as_bytes()).unwrap();
        Response::builder()
            .header("content-type", "text/plain")
            .header("content-encoding", "gzip")
            .body(Body::from(encoder.finish().unwrap()))
            .unwrap()
    }))
    .await;
    world.apply(&[JOB]);
    world.scraped(TargetState::Up).await;
    let a = instance(&world, "a{TARGET}");
    world.until("a", |w| w.storage.values(&a).first() == Some(&"7".to_owned())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_tell_targets_and_changes_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("targets.json");
    let world = World::with_options(
        text("a 1\n"),
        Options { discovery_reload_interval: Duration::from_millis(50), ..Options::default() },
    )
    .await;
    let write = |targets: &str| {
        std::fs::write(&file, format!(r#"[{{"targets": [{targets}], "labels": {{"x": "y"}}}}]"#)).unwrap()
    };
    write(&format!("{:?}, \"127.0.0.1:1\"", world.address.to_string()));
    let job =
        format!("{{job_name: j, scrape_interval: 50ms, file_sd_configs: [{{files: [{}]}}]}}", file.display());
    world.apply(&[&job]);
    world.until("two targets", |w| w.pool().active.len() == 2).await;
    assert_eq!(world.pool().active[0].labels.value("x"), "y");
    write(&format!("{:?}", world.address.to_string()));
    world.until("one target", |w| w.pool().active.len() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_tells_targets_and_keeps_the_last_good_ones_when_it_fails() {
    let asked = Arc::new(AtomicU64::new(0));
    let counter = asked.clone();
    let world = World::with_options(
        Arc::new(move |headers| {
            let is_discovery = headers["accept"] == "application/json";
            let html = is_discovery && counter.fetch_add(1, Ordering::SeqCst) > 0;
            let (content_type, body) = match (is_discovery, html) {
                (_, true) => ("text/html", "<html>"),
                (true, false) => ("application/json", r#"[{"targets": ["127.0.0.1:2", "127.0.0.1:3"]}]"#),
                (false, false) => ("text/plain", "a 1\n"),
            };
            Response::builder().header("content-type", content_type).body(Body::from(body)).unwrap()
        }),
        Options { discovery_reload_interval: Duration::from_millis(50), ..Options::default() },
    )
    .await;
    world.apply(&[
        "{job_name: j, scrape_interval: 50ms, http_sd_configs: [{url: 'http://ADDRESS/sd', refresh_interval: 20ms}]}",
    ]);
    world.until("two targets", |w| w.pool().active.len() == 2).await;
    world.until("failures", |w| w.metric("prometheus_sd_http_failures_total") > 2.0).await;
    assert_eq!(world.pool().active.len(), 2);
    assert!(world.metric("prometheus_sd_refresh_failures_total") > 1.0);
}
