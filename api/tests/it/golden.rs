//! Requests with the bytes that must answer them, in `testdata/api/*.txt`.
//!
//! A case is the request (`> ` before its line and headers, `>> ` before its body), then the response:
//! `< ` before its status and those headers that matter, then the body up to a line `----`. A line break that
//! the body ends with is written as `\n` at its end. `UPDATE=1` writes the files anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use api::ApiOptions;

use crate::client::{Response, send};
use crate::fakes;

/// Headers that are the framing's business, or change with the time.
const IGNORED_HEADERS: [&str; 4] = ["date", "content-length", "connection", "transfer-encoding"];

struct Case {
    head: Vec<String>,
    body: String,
    expected: String,
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/api")
}

fn read_cases(text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for part in text.split("\n----\n").filter(|part| !part.trim().is_empty()) {
        let mut case = Case { head: Vec::new(), body: String::new(), expected: String::new() };
        for line in part.trim_start().lines() {
            if let Some(body) = line.strip_prefix(">> ") {
                case.body = body.to_owned();
            } else if let Some(head) = line.strip_prefix("> ") {
                case.head.push(head.to_owned());
            } else {
                let _ = writeln!(case.expected, "{line}");
            }
        }
        cases.push(case);
    }
    cases
}

fn describe(response: &Response) -> String {
    let mut text = format!("< {}\n", response.status);
    let mut headers: Vec<_> =
        response.headers.iter().filter(|(name, _)| !IGNORED_HEADERS.contains(&name.as_str())).collect();
    headers.sort();
    for (name, value) in headers {
        let _ = writeln!(text, "< {name}: {value}");
    }
    let body = response.text();
    match body.strip_suffix('\n') {
        Some(rest) => text.push_str(&format!("{rest}\\n\n")),
        None if body.is_empty() => {}
        None => text.push_str(&format!("{body}\n")),
    }
    text
}

/// Runs the cases of a file against a server with these options.
async fn check(file: &str, options: ApiOptions) {
    let path = directory().join(file);
    let (address, _stop) = fakes::start(options, fakes::parts(fakes::samples())).await;
    let cases = read_cases(&std::fs::read_to_string(&path).unwrap());
    assert!(!cases.is_empty(), "{file} has no cases");
    let mut written = String::new();
    let mut differing = Vec::new();
    for case in cases {
        let head: Vec<&str> = case.head.iter().map(String::as_str).collect();
        let response = describe(&send(address, &head, &case.body).await);
        if response != case.expected {
            differing.push(format!("{}\nexpected:\n{}got:\n{response}", case.head[0], case.expected));
        }
        case.head.iter().for_each(|line| written.push_str(&format!("> {line}\n")));
        if !case.body.is_empty() {
            let _ = writeln!(written, ">> {}", case.body);
        }
        let _ = write!(written, "{response}----\n\n");
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{}\n", written.trim_end())).unwrap();
        return;
    }
    assert!(differing.is_empty(), "{file}:\n{}", differing.join("\n"));
}

fn everything_on() -> ApiOptions {
    ApiOptions { enable_lifecycle: true, enable_admin_api: true, enable_search_api: true, ..fakes::options() }
}

#[tokio::test]
async fn query_parameters_are_checked_in_the_reference_order() {
    check("query_errors.txt", fakes::options()).await;
}

#[tokio::test]
async fn labels_and_series_answer_as_the_reference() {
    check("labels.txt", fakes::options()).await;
}

#[tokio::test]
async fn targets_and_metadata_answer_as_the_reference() {
    check("targets.txt", fakes::options()).await;
}

#[tokio::test]
async fn rules_and_alerts_answer_as_the_reference() {
    check("rules.txt", fakes::options()).await;
}

#[tokio::test]
async fn status_endpoints_answer_as_the_reference() {
    check("status.txt", fakes::options()).await;
}

#[tokio::test]
async fn admin_and_lifecycle_are_off_unless_asked_for() {
    check("disabled.txt", fakes::options()).await;
    check("enabled.txt", everything_on()).await;
}

#[tokio::test]
async fn routing_cors_and_methods_are_those_of_the_reference() {
    check("http.txt", fakes::options()).await;
    let cors_origin = model::regex::AnchoredRegex::new("https?://(a|b)\\.example").unwrap();
    check("cors.txt", ApiOptions { cors_origin, ..fakes::options() }).await;
    let route_prefix = "/p/q".to_owned();
    check("prefix.txt", ApiOptions { route_prefix, ..fakes::options() }).await;
}

#[tokio::test]
async fn federation_writes_the_newest_samples() {
    check("federate.txt", fakes::options()).await;
}

#[tokio::test]
async fn queries_answer_with_the_values_of_the_engine() {
    check("query.txt", fakes::options()).await;
}

#[tokio::test]
async fn search_finds_names_and_values_line_by_line() {
    check("search.txt", everything_on()).await;
    check("search_off.txt", fakes::options()).await;
}

#[tokio::test]
async fn cardinality_and_usage_tell_what_is_stored_and_asked_for() {
    check("insight.txt", fakes::options()).await;
}
