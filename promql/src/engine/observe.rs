//! Telling others of queries: what runs now, and what has run.

use std::fmt::Debug;
use std::io;

use super::{QueryError, QueryRequest, QueryStats};

/// Who asked a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client of the HTTP API.
    Http {
        /// Its address, without the port.
        client_ip: String,
        /// The request's method.
        method: String,
        /// The request's path.
        path: String,
    },
    /// A rule.
    RuleGroup {
        /// The file of its group.
        file: String,
        /// The name of its group.
        name: String,
    },
}

/// How a query ended.
#[derive(Clone, Copy, Debug)]
pub struct QueryReport<'a> {
    /// What was asked.
    pub request: &'a QueryRequest,
    /// What it cost. Of a query that failed only times are known.
    pub stats: &'a QueryStats,
    /// Why there is no answer, if there is none.
    pub error: Option<&'a QueryError>,
}

/// Is told of all queries that can be parsed. Both calls are made on the query's own thread.
pub trait QueryObserver: Debug + Send + Sync {
    /// A query's turn has come. The number names it until [`QueryObserver::leaves`].
    fn begins(&self, query: &str) -> usize;

    /// The query runs no longer, whatever has become of it.
    fn leaves(&self, number: usize);

    /// A query has ended, perhaps without having had a turn.
    ///
    /// # Errors
    ///
    /// It couldn't be logged.
    fn ended(&self, report: &QueryReport<'_>) -> io::Result<()>;
}

/// A query that runs, as long as this lives.
pub(super) struct Active<'a>(Option<(&'a dyn QueryObserver, usize)>);

impl<'a> Active<'a> {
    pub(super) fn new(observer: Option<&'a dyn QueryObserver>, query: &str) -> Self {
        Active(observer.map(|observer| (observer, observer.begins(query))))
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        if let Some((observer, number)) = self.0 {
            observer.leaves(number);
        }
    }
}
