//! Targets that misbehave: `up` is 0 or the samples are right, the error says why, others go on.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Response;
use scrape::TargetState;

use crate::world::{Answer, World, text, typed};

/// A job whose options stand before the targets.
fn job(options: &str) -> String {
    format!("{{job_name: j, scrape_interval: 100ms, {options} static_configs: [{{targets: [ADDRESS]}}]}}")
}

/// A body that comes in pieces, the last of which never ends.
fn endless(pieces: impl Fn() -> Bytes + Send + Sync + Clone + 'static, pause: Duration) -> Answer {
    Arc::new(move |_| {
        let pieces = pieces.clone();
        let stream = futures_stream(move || {
            let piece = pieces();
            async move {
                tokio::time::sleep(pause).await;
                piece
            }
        });
        Response::builder().header("content-type", "text/plain").body(stream).unwrap()
    })
}

/// A body of what the closure gives, for ever.
fn futures_stream<F, R>(next: F) -> Body
where
    F: Fn() -> R + Send + 'static,
    R: Future<Output = Bytes> + Send + 'static,
{
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    tokio::spawn(async move { while sender.send(next().await).await.is_ok() {} });
    Body::new(ChannelBody(receiver))
}

struct ChannelBody(tokio::sync::mpsc::Receiver<Bytes>);

impl hyper::body::Body for ChannelBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(hyper::body::Frame::data(piece))))
    }
}

/// The error and the value of `up` for an answer.
async fn failure(options: &str, answer: Answer) -> (String, World) {
    let world = World::new(answer).await;
    world.apply(&[&job(options)]);
    let error = world.scraped(TargetState::Down).await;
    let up = format!("up{{instance=\"{}\", job=\"j\"}}", world.address);
    world.until("up", |w| w.storage.values(&up).first() == Some(&"0".to_owned())).await;
    (error, world)
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_no_exposition_fail_with_the_words_of_the_reference() {
    let status: Answer = Arc::new(|_| Response::builder().status(500).body(Body::empty()).unwrap());
    let cases: Vec<(&str, Answer, &str)> = vec![
        ("", status, "server returned HTTP status 500 Internal Server Error"),
        ("", text("<html>\n"), "expected a valid start token, got \"<\" (\"INVALID\") while parsing: \"<\""),
        ("", text("a 1\nb{x=\"y\n"), "expected label value"),
        ("", text("a 1\na{b=\"c\",b=\"d\"} 1\n"), "label name \"b\" is not unique: invalid sample"),
        ("", typed("application/openmetrics-text", "a 1\n"), "data does not end with # EOF"),
        ("", typed("text/html", "a 1\n"), "received unsupported Content-Type \"text/html\""),
        ("sample_limit: 1,", text("a 1\nb 1\n"), "sample limit exceeded"),
        ("label_limit: 2,", text("a 1\n"), "label_limit exceeded (metric: a, number of labels: 3, limit: 2)"),
        ("body_size_limit: 3B,", text("a 1\n"), "body size limit exceeded"),
    ];
    for (options, answer, expected) in cases {
        let (error, world) = failure(options, answer).await;
        assert!(error.starts_with(expected), "{error}");
        let series = world.storage.series();
        assert!(series.iter().all(|s| s.starts_with("up") || s.starts_with("scrape_")), "{series:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_ends_the_series_of_the_scrape_before() {
    let world = World::new(text("a 1\n")).await;
    world.apply(&[&job("")]);
    world.scraped(TargetState::Up).await;
    world.answer(text("a 1\ngarbage\n"));
    let a = format!("a{{instance=\"{}\", job=\"j\"}}", world.address);
    world.until("a is stale", |w| w.storage.values(&a).last() == Some(&"stale".to_owned())).await;
    world.answer(text("a 2\n"));
    world.until("a is back", |w| w.storage.values(&a).last() == Some(&"2".to_owned())).await;
    let stale = world.storage.values(&a).iter().filter(|value| *value == "stale").count();
    assert_eq!(stale, 1, "a series ends once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_drips_is_cut_at_the_timeout() {
    let drip = endless(|| Bytes::from_static(b"#"), Duration::from_millis(20));
    let (error, _) = failure("scrape_timeout: 90ms,", drip).await;
    assert!(error.ends_with("context deadline exceeded"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_end_is_cut_at_the_limit() {
    let block = Bytes::from(vec![b'#'; 1 << 20]);
    let flood = endless(move || block.clone(), Duration::ZERO);
    let world = World::new(flood).await;
    world.apply(&["{job_name: j, scrape_interval: 20s, scrape_timeout: 20s, body_size_limit: 20MB, static_configs: [{targets: [ADDRESS], labels: {__scrape_interval__: 10s, __scrape_timeout__: 10s}}]}"]);
    assert_eq!(world.scraped(TargetState::Down).await, "body size limit exceeded");
    assert_eq!(world.metric("prometheus_target_scrapes_exceeded_body_size_limit_total"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listening_is_said_as_go_says_it() {
    let world = World::new(text("")).await;
    world.apply(&["{job_name: j, scrape_interval: 50ms, static_configs: [{targets: ['127.0.0.1:1']}]}"]);
    let error = world.scraped(TargetState::Down).await;
    assert_eq!(
        error,
        "Get \"http://127.0.0.1:1/metrics\": dial tcp 127.0.0.1:1: connect: connection refused"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_that_cannot_be_stored_are_counted_and_the_scrape_goes_on() {
    let body = "a 1\na 2\nfuture 1 99999999999999\nspecial Inf\n";
    let world = World::new(text(body)).await;
    world.apply(&[&job("")]);
    world.scraped(TargetState::Up).await;
    let instance = format!("{{instance=\"{}\", job=\"j\"}}", world.address);
    world.until("scrapes", |w| w.storage.values(&format!("up{instance}")).len() > 2).await;
    assert!(world.storage.values(&format!("a{instance}")).iter().all(|value| value == "1"));
    assert_eq!(world.storage.values(&format!("special{instance}"))[0], "+Inf");
    assert!(world.storage.values(&format!("future{instance}")).is_empty());
    let scrapes = world.storage.values(&format!("up{instance}")).len() as f64;
    let duplicates = world.metric("prometheus_target_scrapes_sample_duplicate_timestamp_total");
    let out_of_bounds = world.metric("prometheus_target_scrapes_sample_out_of_bounds_total");
    assert!((duplicates - scrapes).abs() <= 1.0 && (out_of_bounds - scrapes).abs() <= 1.0);
    assert_eq!(world.storage.values(&format!("scrape_samples_scraped{instance}"))[0], "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_target_harms_no_other() {
    let world = World::new(text("a 1\n")).await;
    let bad = World::new(endless(|| Bytes::from_static(b"x"), Duration::from_millis(5))).await;
    let yaml = format!(
        "{{job_name: j, scrape_interval: 50ms, static_configs: [{{targets: [ADDRESS, {}]}}]}}",
        bad.address
    );
    world.apply(&[&yaml]);
    let up = format!("up{{instance=\"{}\", job=\"j\"}}", world.address);
    let down = format!("up{{instance=\"{}\", job=\"j\"}}", bad.address);
    world.until("both", |w| w.storage.values(&up).len() > 5 && w.storage.values(&down).len() > 2).await;
    assert!(world.storage.values(&up).iter().all(|value| value == "1"));
    assert!(world.storage.values(&down).iter().all(|value| value == "0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_targets_than_allowed_are_all_refused() {
    let world = World::new(text("a 1\n")).await;
    world.apply(&["{job_name: j, scrape_interval: 50ms, target_limit: 1, static_configs: [{targets: [ADDRESS, '127.0.0.1:1']}]}"]);
    let error = world.scraped(TargetState::Down).await;
    assert_eq!(error, "target_limit exceeded (number of targets: 2, limit: 1)");
}
