//! Running queries are listed, and end when they are told to.

use std::sync::Arc;
use std::time::Duration;

use api::ApiOptions;
use model::cancel::Cancel;
use model::matcher::Matcher;
use model::storage::{Querier, Queryable, SelectHints, SeriesSet, StorageError};
use model::time::TimestampMs;

use crate::client::{Response, get, send};
use crate::fakes;

/// How often is looked whether something has happened.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Gives no answer until it is cancelled.
#[derive(Debug)]
struct Endless;

impl Queryable for Endless {
    fn querier(&self, _: TimestampMs, _: TimestampMs) -> Result<Box<dyn Querier>, StorageError> {
        Ok(Box::new(Endless))
    }
}

impl Querier for Endless {
    #[expect(clippy::disallowed_methods, reason = "what is waited for is another thread")]
    fn select(&self, _: &[Matcher], hints: &SelectHints) -> Result<Box<dyn SeriesSet>, StorageError> {
        while !hints.cancel.is_cancelled() {
            std::thread::sleep(LOOK_AGAIN);
        }
        Err(StorageError::Cancelled)
    }

    fn label_names(&self, _: &[Matcher], _: usize, _: &Cancel) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }

    fn label_values(
        &self,
        _: &str,
        _: &[Matcher],
        _: usize,
        _: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_listed_and_ended() {
    let options = ApiOptions { enable_admin_api: true, ..fakes::options() };
    let mut parts = fakes::parts(fakes::samples());
    parts.storage = Arc::new(Endless);
    let (address, _stop) = fakes::start(options, parts).await;
    let data = |response: &Response| {
        let answer: serde_json::Value = serde_json::from_str(&response.text()).unwrap();
        answer["data"].clone()
    };
    assert_eq!(data(&get(address, "/api/v1/status/queries").await), serde_json::json!([]));
    let path = "/api/v1/query_range?query=rate(up[5m])&start=10&end=70&step=30";
    let asked = tokio::spawn(async move { get(address, path).await });
    let listed = loop {
        let listed = data(&get(address, "/api/v1/status/queries").await);
        if listed != serde_json::json!([]) {
            break listed;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    };
    let expected = serde_json::json!([{
        "id": 1, "query": "rate(up[5m])", "start": 10, "end": 70, "step": 30, "client": "127.0.0.1",
        "begun": 1_435_781_451.781, "runningSeconds": 0,
    }]);
    assert_eq!(listed, expected);
    let ended = send(address, &["POST /api/v1/admin/queries/cancel?id=1 HTTP/1.1"], "").await;
    assert_eq!(ended.status, "204 No Content");
    let answer = asked.await.unwrap();
    assert!(answer.status.starts_with("499"), "{answer:?}");
    assert!(answer.text().contains(r#""errorType":"canceled""#), "{answer:?}");
    assert_eq!(data(&get(address, "/api/v1/status/queries").await), serde_json::json!([]));
}
