//! Native histograms, and classic ones that become native.

use scrape::TargetState;

use crate::world::{World, text, typed};

const CLASSIC: &str = "\
# TYPE h histogram
h_bucket{le=\"1\"} 2
h_bucket{le=\"+Inf\"} 3
h_sum 4.5
h_count 3
# TYPE other gauge
other 1
";

fn job(options: &str) -> String {
    format!("{{job_name: j, scrape_interval: 100ms, {options} static_configs: [{{targets: [ADDRESS]}}]}}")
}

fn series(world: &World, metric: &str) -> Vec<String> {
    let labels = format!("instance=\"{}\", job=\"j\"", world.address);
    world.storage.values(&metric.replace("TARGET", &labels))
}

#[tokio::test(flavor = "multi_thread")]
async fn classic_histograms_are_converted_where_that_is_asked_for() {
    let world = World::new(text(CLASSIC)).await;
    world.apply(&[&job("convert_classic_histograms_to_nhcb: true,")]);
    world.scraped(TargetState::Up).await;
    world.until("scrapes", |w| series(w, "h{TARGET}").len() > 2).await;
    assert!(series(&world, "h{TARGET}")[0].contains("schema: -53"));
    assert!(series(&world, "h_count{TARGET}").is_empty());
    assert_eq!(series(&world, "other{TARGET}")[0], "1");
    assert_eq!(series(&world, "scrape_samples_scraped{TARGET}")[1], "2");
    assert_eq!(series(&world, "scrape_series_added{TARGET}")[..2], ["2", "0"]);
    world.answer(text("other 1\n"));
    world.until("h ends", |w| series(w, "h{TARGET}").last() == Some(&"stale".to_owned())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn classic_series_stay_beside_the_converted_ones_where_that_is_asked_for() {
    let world = World::new(text(CLASSIC)).await;
    world.apply(&[&job("convert_classic_histograms_to_nhcb: true, always_scrape_classic_histograms: true,")]);
    world.until("scrapes", |w| series(w, "h{TARGET}").len() > 2).await;
    assert_eq!(series(&world, "h_count{TARGET}")[0], "3");
    assert_eq!(series(&world, "h_bucket{TARGET, le=\"1.0\"}")[0], "2");
    assert_eq!(series(&world, "scrape_samples_scraped{TARGET}")[0], "6");
}

/// A field of bytes: key, length, content.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2, content.len() as u8];
    bytes.extend_from_slice(content);
    bytes
}

/// A family `h` with a histogram that is native, schema 0 with buckets 1 and 2, and classic, bound 1.
fn protobuf() -> Vec<u8> {
    let classic = [vec![1 << 3, 2], vec![2 << 3 | 1], 1f64.to_le_bytes().to_vec()].concat();
    let histogram = [
        vec![1 << 3, 3],
        vec![2 << 3 | 1],
        4.5f64.to_le_bytes().to_vec(),
        field(3, &classic),
        field(12, &[1 << 3, 2, 2 << 3, 2]),
        field(13, &[4, 1]),
    ]
    .concat();
    let family = [field(1, b"h"), vec![3 << 3, 4], field(4, &field(7, &histogram))].concat();
    let mut bytes = vec![family.len() as u8];
    bytes.extend(family);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn protobuf_brings_native_histograms_where_they_are_asked_for() {
    let media_type =
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    for (options, native, classic, scraped) in [
        ("scrape_native_histograms: true,", true, false, "1"),
        ("scrape_native_histograms: true, always_scrape_classic_histograms: true,", true, true, "5"),
        ("scrape_protocols: [PrometheusProto],", false, true, "4"),
    ] {
        let world = World::new(typed(media_type, protobuf())).await;
        world.apply(&[&job(options)]);
        assert_eq!(world.scraped(TargetState::Up).await, "");
        world.until("scrapes", |w| series(w, "up{TARGET}").len() > 2).await;
        assert_eq!(series(&world, "h{TARGET}").first().is_some_and(|h| h.contains("schema: 0")), native);
        let bucket = series(&world, "h_bucket{TARGET, le=\"1.0\"}");
        assert_eq!(bucket.first() == Some(&"2".to_owned()), classic);
        assert_eq!(series(&world, "scrape_samples_scraped{TARGET}")[0], scraped, "{options}");
        assert_eq!(series(&world, "scrape_series_added{TARGET}")[1], "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_histogram_over_the_bucket_limit_is_made_coarser_or_fails_the_scrape() {
    let world = World::new(text(CLASSIC)).await;
    world.apply(&[&job("convert_classic_histograms_to_nhcb: true, native_histogram_bucket_limit: 1,")]);
    assert_eq!(world.scraped(TargetState::Down).await, "histogram bucket limit exceeded");
}
