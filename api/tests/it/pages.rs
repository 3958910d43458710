//! Plain pages: served with a strict policy, and without a way for data to become markup.

use crate::client::get;
use crate::fakes;

#[tokio::test]
async fn every_page_is_markup_without_scripts() {
    let (address, _stop) = fakes::start(fakes::options(), fakes::parts(fakes::samples())).await;
    for (path, part) in [
        ("/query", "<textarea name=\"expr\""),
        ("/query?g0.expr=hits_total", "hits_total{path=&quot;/&lt;a&gt;&amp;"),
        ("/query?expr=up(", "1:4: parse error"),
        ("/targets", "server returned HTTP status 500 &lt;oops&gt;"),
        ("/service-discovery", "__address__=&quot;b:1&quot;"),
        ("/rules", "<code>up &lt; 1</code>"),
        ("/alerts", "job=&quot;&lt;web&gt;&quot;"),
        ("/status", "3.14.0"),
        ("/tsdb-status", "hits_total"),
        ("/flags", "config.file"),
        ("/config", "scrape_interval: 15s"),
    ] {
        let response = get(address, path).await;
        assert_eq!(response.status, "200 OK", "{path}");
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
        let policy = response.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        let text = response.text();
        assert!(text.contains(part), "{part} isn't in {path}: {text}");
        for forbidden in ["<script", "<oops>", "<web>", "<a>&"] {
            assert!(!text.contains(forbidden), "{forbidden} is in {path}");
        }
    }
}
