//! The full page: its document under every path, and the files that it asks for.

use api::ApiOptions;

use crate::client::{Response, get, send};
use crate::fakes;

static FILES: [ui::File; 2] = [
    ui::File {
        path: "assets/main-1a2b.js",
        content_type: "text/javascript; charset=utf-8",
        identity: b"the script",
        gzip: Some(b"the script as gzip"),
        brotli: Some(b"the script as brotli"),
    },
    ui::File {
        path: "assets/text-3c4d.woff2",
        content_type: "font/woff2",
        identity: b"the font",
        gzip: None,
        brotli: None,
    },
];

static PAGE: ui::Page = ui::Page {
    index: "<title>FERULA_PAGE_TITLE</title><script src=\"./assets/main-1a2b.js\">",
    files: &FILES,
};

fn options() -> ApiOptions {
    ApiOptions { page: Some(&PAGE), page_title: "a & </title>".to_owned(), ..fakes::options() }
}

fn assert_is_document(path: &str, response: &Response) {
    assert_eq!(response.status, "200 OK", "{path}");
    let expected = "<title>a &amp; &lt;/title&gt;</title><script src=\"./assets/main-1a2b.js\">";
    assert_eq!(response.text(), expected, "{path}");
    let policy = response.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(response.header("cache-control"), Some("no-cache"), "{path}");
}

#[tokio::test]
async fn every_path_of_a_page_answers_with_the_document() {
    let (address, _stop) = fakes::start(options(), fakes::parts(fakes::samples())).await;
    for path in [
        "/query?g0.expr=up",
        "/alerts",
        "/targets",
        "/rules",
        "/service-discovery",
        "/alertmanager-discovery",
        "/status",
        "/tsdb-status",
        "/flags",
        "/config",
    ] {
        assert_is_document(path, &get(address, path).await);
    }
}

#[tokio::test]
async fn plain_pages_are_there_on_request() {
    let (address, _stop) = fakes::start(options(), fakes::parts(fakes::samples())).await;
    let text = get(address, "/targets?plain").await.text();
    assert!(text.contains("server returned HTTP status 500"), "{text}");
    assert!(text.contains("href=\"/alerts?plain\""), "{text}");
}

#[tokio::test]
async fn a_client_that_has_the_document_is_told_so() {
    let (address, _stop) = fakes::start(options(), fakes::parts(fakes::samples())).await;
    let etag = get(address, "/query").await.header("etag").unwrap().to_owned();
    for (known, status) in [
        (etag.clone(), "304 Not Modified"),
        (format!("\"0\", W/{etag}"), "304 Not Modified"),
        ("\"0\"".to_owned(), "200 OK"),
    ] {
        let response = send(address, &["GET /query HTTP/1.1", &format!("If-None-Match: {known}")], "").await;
        assert_eq!(response.status, status, "{known}");
        assert_eq!(response.header("etag"), Some(etag.as_str()));
    }
}

#[tokio::test]
async fn files_come_as_the_client_can_read_them_and_stay() {
    let options = ApiOptions { route_prefix: "/prefix".to_owned(), ..options() };
    let (address, _stop) = fakes::start(options, fakes::parts(fakes::samples())).await;
    for (path, accepted, coding, body) in [
        ("main-1a2b.js", "gzip, br", Some("br"), "the script as brotli"),
        ("main-1a2b.js", "gzip", Some("gzip"), "the script as gzip"),
        ("main-1a2b.js", "identity", None, "the script"),
        ("text-3c4d.woff2", "gzip, br", None, "the font"),
    ] {
        let request = format!("GET /prefix/assets/{path} HTTP/1.1");
        let response = send(address, &[&request, &format!("Accept-Encoding: {accepted}")], "").await;
        assert_eq!(response.status, "200 OK", "{path}");
        assert_eq!(response.header("content-encoding"), coding, "{path}, {accepted}");
        assert_eq!(response.header("vary"), Some("Accept-Encoding"));
        assert_eq!(response.header("cache-control"), Some("max-age=31536000, immutable"));
        assert_eq!(response.text(), body);
    }
    assert_eq!(get(address, "/prefix/assets/other.js").await.status, "404 Not Found");
}
