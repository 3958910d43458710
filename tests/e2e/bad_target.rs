//! Targets that misbehave, and their neighbours.

use std::io::Write;

use crate::server::{Home, Server, wait_for};
use crate::target::{Target, counter};

fn answer(status: &'static str, body: &'static str) -> Target {
    Target::serve(move |_, mut stream| {
        let length = body.len();
        let _ = write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: \
             close\r\n\r\n{body}"
        );
    })
}

/// A target that never answers.
fn silent() -> Target {
    Target::serve(|_, stream| {
        // Keeps the connection open for as long as the test runs.
        Box::leak(Box::new(stream));
    })
}

/// A target that sends without end.
fn endless() -> Target {
    Target::serve(|_, mut stream| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n");
        std::thread::spawn(move || while stream.write_all(&[b'#'; 1 << 16]).is_ok() {});
    })
}

#[test]
fn a_bad_target_is_down_with_a_reason_and_the_good_one_is_unharmed() {
    let good = Target::serve_text(counter);
    let targets = [
        ("good", good),
        ("failing", answer("500 Internal Server Error", "no")),
        ("garbage", answer("200 OK", "\u{1}\u{2}\u{3}!!! {{{")),
        ("half", answer("200 OK", "a_metric 1\nb_met")),
        ("silent", silent()),
        ("endless", endless()),
    ];
    let jobs: String = targets.iter().map(|(name, target)| job(name, target)).collect();
    let home = Home::new(&format!("scrape_configs:\n{jobs}"));
    let server = Server::start(&home, &[]);
    for (name, _) in &targets[1..] {
        wait_for(name, || server.value(&format!("up{{job='{name}'}}")).filter(|up| *up == 0.0));
    }
    wait_for("the good target", || server.value("up{job='good'}").filter(|up| *up == 1.0));
    assert!(server.value("app_requests_total").is_some());
    assert_eq!(server.value("a_metric"), None, "half an answer is none");
    let listed = server.data("/api/v1/targets");
    for target in listed["activeTargets"].as_array().unwrap() {
        let (pool, error) = (target["scrapePool"].as_str().unwrap(), target["lastError"].as_str().unwrap());
        assert_eq!(error.is_empty(), pool == "good", "{pool}: {error}");
        assert_eq!(target["health"], if pool == "good" { "up" } else { "down" }, "{pool}");
    }
}

fn job(name: &str, target: &Target) -> String {
    format!(
        "- job_name: {name}\n  scrape_interval: 500ms\n  scrape_timeout: 400ms\n  body_size_limit: 1MB\n  \
         static_configs: [{{targets: ['{}']}}]\n",
        target.address()
    )
}

#[test]
fn odd_values_and_times_are_stored_as_they_are() {
    let target = Target::serve_text(|_| {
        "no_number NaN\nlargest +Inf\nleast -Inf\nsmall 5e-324\ntwice 1\ntwice 2\nfuture 1 33288105600000\n"
            .to_owned()
    });
    let home = Home::new(&target.config());
    let server = Server::start(&home, &[]);
    wait_for("samples", || server.value("largest").filter(|value| *value == f64::INFINITY));
    assert!(server.value("no_number").unwrap().is_nan());
    assert_eq!(server.value("least"), Some(f64::NEG_INFINITY));
    assert_eq!(server.value("small"), Some(5e-324));
    assert_eq!(server.value("twice"), Some(1.0), "the first of two counts");
    assert_eq!(server.value("future"), None, "the head doesn't take samples from the future");
    assert_eq!(server.value("up"), Some(1.0));
}
