//! The queries of clients that are being evaluated: what they ask, since when, and how to end them.
//!
//! A query is listed from before it waits for its turn until its value is there. As many can be listed as there
//! are threads that answer requests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use model::cancel::Cancel;
use model::time::TimestampMs;
use parking_lot::Mutex;
use promql::engine::QueryTime;

/// The queries that run, by number.
#[derive(Debug, Default)]
pub(crate) struct RunningQueries {
    last_id: AtomicU64,
    queries: Mutex<BTreeMap<u64, RunningQuery>>,
}

/// A query that runs.
#[derive(Clone, Debug)]
pub(crate) struct RunningQuery {
    /// The expression as it was written.
    pub query: String,
    /// The times it is evaluated at.
    pub time: QueryTime,
    /// The client's address; empty if it didn't come over a network.
    pub client: String,
    /// When it arrived.
    pub begun_ms: TimestampMs,
    /// Ends it.
    pub cancel: Cancel,
}

/// A query that is listed for as long as this lives.
#[derive(Debug)]
pub(crate) struct Listed<'a> {
    running: &'a RunningQueries,
    id: u64,
}

impl RunningQueries {
    /// Lists a query.
    pub(crate) fn list(&self, query: RunningQuery) -> Listed<'_> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        self.queries.lock().insert(id, query);
        Listed { running: self, id }
    }

    /// All of them, the oldest first.
    pub(crate) fn all(&self) -> Vec<(u64, RunningQuery)> {
        self.queries.lock().iter().map(|(id, query)| (*id, query.clone())).collect()
    }

    /// Tells a query to end; `false` if there is none of this number.
    pub(crate) fn cancel(&self, id: u64) -> bool {
        let queries = self.queries.lock();
        queries.get(&id).inspect(|query| query.cancel.cancel()).is_some()
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.running.queries.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> RunningQuery {
        RunningQuery {
            query: text.to_owned(),
            time: QueryTime::Instant { at_ms: 1 },
            client: String::new(),
            begun_ms: 2,
            cancel: Cancel::new(),
        }
    }

    #[test]
    fn a_query_is_listed_while_it_runs_and_ended_by_its_number() {
        let running = RunningQueries::default();
        let (first, second) = (query("first"), query("second"));
        let listed = running.list(first.clone());
        let _other = running.list(second.clone());
        let ids: Vec<_> = running.all().into_iter().map(|(id, query)| (id, query.query)).collect();
        assert_eq!(ids, [(1, "first".to_owned()), (2, "second".to_owned())]);
        assert!(running.cancel(1));
        assert!(first.cancel.is_cancelled() && !second.cancel.is_cancelled());
        drop(listed);
        assert!(!running.cancel(1));
        assert_eq!(running.all().len(), 1);
    }
}
