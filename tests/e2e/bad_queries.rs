//! Queries that no server should answer, and one that it should after all of them.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::server::{Home, Server};

const RANGE: &str = "/api/v1/query_range";
const INSTANT: &str = "/api/v1/query";

/// Status and error of a refused query.
fn refused(server: &Server, path: &str, query: &str, parameters: &str) -> (u16, String) {
    let form = format!("query={}{parameters}", utf8_percent_encode(query, NON_ALPHANUMERIC));
    let (status, body) = server.post(path, &form);
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{status} {body}"));
    (status, answer["error"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn what_cannot_be_answered_is_refused_and_the_server_goes_on() {
    let server = Server::start(&Home::new(""), &["--query.max-samples=1000000"]);
    let points = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
    let no_step = "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer";
    let everything = "{__name__=~\".+\"}";
    for (query, parameters, expected) in [
        (everything, "&start=0&end=31536000&step=1", points),
        (everything, "&start=0&end=11001&step=1", points),
        (everything, "&start=0&end=1&step=NaN", no_step),
        (everything, "&start=0&end=1&step=0", no_step),
        (
            everything,
            "&start=2&end=1&step=1",
            "invalid parameter \"end\": end timestamp must not be before start time",
        ),
    ] {
        assert_eq!(refused(&server, RANGE, query, parameters), (400, expected.to_owned()), "{parameters}");
    }
    let (status, _) = server.post(RANGE, "query=1&start=0&end=11000&step=1");
    assert_eq!(status, 200);

    for query in
        ["(".repeat(10_000) + "1" + &")".repeat(10_000), "-".repeat(10_000) + "1", "a+".repeat(1 << 19) + "a"]
    {
        let (status, error) = refused(&server, INSTANT, &query, "");
        assert_eq!(status, 400, "{error}");
        assert!(error.starts_with("invalid parameter \"query\": ") && error.len() < 1_000, "{error}");
    }
    let exploding = format!("up{{a=~\"{}\"}}", "(x{1000}".repeat(3) + &"){1000}".repeat(3));
    assert_eq!(refused(&server, INSTANT, &exploding, "").0, 400);
    let (status, error) = refused(&server, INSTANT, "sum_over_time(vector(1)[10y:1ms])", "");
    assert_eq!((status, error.contains("too many samples")), (422, true), "{error}");
    assert_eq!(server.value("vector(1 + 1)"), Some(2.0));
}

#[test]
fn memory_limits_are_told_and_enforced() {
    let home = Home::new("");
    let server = Server::start(&home, &["--query.max-memory=1KB", "--query.max-total-memory=0B"]);
    let flags = server.data("/api/v1/status/flags");
    assert_eq!(
        (&flags["query.max-memory"], &flags["query.max-total-memory"]),
        (&"1KiB".into(), &"0B".into())
    );
    let (status, error) = refused(&server, RANGE, "vector(1) + vector(2)", "&start=0&end=1000&step=1");
    assert_eq!(status, 422, "{error}");
    assert!(error.contains("(1024 bytes, --query.max-memory)"), "{error}");
    drop(server);

    let server = Server::start(&home, &[]);
    let flags = server.data("/api/v1/status/flags");
    let limits = [&flags["query.max-memory"], &flags["query.max-total-memory"]];
    assert!(
        limits
            .iter()
            .all(|limit| limit.as_str().is_some_and(|text| text.ends_with("MiB") || text.ends_with("GiB"))),
        "{limits:?}"
    );
}
