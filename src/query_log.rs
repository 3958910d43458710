//! `global.query_log_file`: a line of JSON for each query that was run, in the reference's form, and the queries
//! that are running ([`ActiveQueries`]).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use model::time::{Clock, TimestampMs};
use parking_lot::Mutex;
use promql::engine::{Engine, Origin, QueryObserver, QueryReport, QueryTime, QueryTimings};
use serde_json::{Map, Value, json};

use crate::active_queries::ActiveQueries;
use crate::config::Config;
use crate::reload::Part;

/// Watches the engine's queries.
#[derive(Debug)]
pub(crate) struct QueryLog {
    clock: Arc<dyn Clock>,
    /// `None` while queries aren't logged.
    file: Mutex<Option<File>>,
    active: OnceLock<ActiveQueries>,
}

impl QueryLog {
    /// Logs nothing yet.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        QueryLog { clock, file: Mutex::default(), active: OnceLock::new() }
    }

    /// From now on running queries are written down. To be called once the data directory is this process's.
    pub(crate) fn open_active(&self, directory: &Path, queries_max: usize) {
        match ActiveQueries::open(directory, queries_max) {
            Ok(active) => drop(self.active.set(active)),
            Err(error) => tracing::error!(%error, "Opening the file of active queries failed"),
        }
    }

    /// Opens the file, or opens it again: what was under its name may have been moved away.
    fn open(&self, path: &str) -> io::Result<()> {
        *self.file.lock() = match path {
            "" => None,
            path => Some(OpenOptions::new().create(true).append(true).open(path)?),
        };
        Ok(())
    }

    fn line(&self, report: &QueryReport<'_>) -> String {
        let mut line = Map::new();
        line.insert("time".to_owned(), instant(self.clock.now_ms()));
        line.insert("level".to_owned(), json!("INFO"));
        line.insert("source".to_owned(), json!("query_log.rs"));
        line.insert("msg".to_owned(), json!("promql query logged"));
        let (start_ms, end_ms, step_ms) = match report.request.time {
            QueryTime::Instant { at_ms } => (at_ms, at_ms, 0),
            QueryTime::Range { start_ms, end_ms, step_ms } => (start_ms, end_ms, step_ms),
        };
        let params = json!({
            "end": instant(end_ms),
            "query": report.request.query,
            "start": instant(start_ms),
            "step": step_ms / 1000,
        });
        line.insert("params".to_owned(), params);
        if let Some(error) = report.error {
            line.insert("error".to_owned(), json!(error.to_string()));
        }
        let stats = json!({
            "timings": timings(&report.stats.timings),
            "samples": {
                "totalQueryableSamples": report.stats.samples_total,
                "samplesRead": report.stats.samples_read,
                "peakSamples": report.stats.samples_peak,
            },
        });
        line.insert("stats".to_owned(), stats);
        if let Some((name, value)) = report.request.origin.as_ref().map(origin) {
            line.insert(name.to_owned(), value);
        }
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        text
    }
}

impl QueryObserver for QueryLog {
    fn begins(&self, query: &str) -> usize {
        let now_secs = self.clock.now_ms().div_euclid(1000);
        self.active.get().and_then(|active| active.insert(query, now_secs)).unwrap_or(usize::MAX)
    }

    fn leaves(&self, number: usize) {
        if let Some(active) = self.active.get().filter(|_| number != usize::MAX) {
            active.remove(number);
        }
    }

    fn ended(&self, report: &QueryReport<'_>) -> io::Result<()> {
        match &mut *self.file.lock() {
            // One write a line: lines of several queries don't mix.
            Some(file) => file.write_all(self.line(report).as_bytes()),
            None => Ok(()),
        }
    }
}

/// Text such as `2026-01-01T00:00:00.000Z`.
fn instant(at_ms: TimestampMs) -> Value {
    let at =
        Timestamp::from_millisecond(at_ms).unwrap_or(if at_ms < 0 { Timestamp::MIN } else { Timestamp::MAX });
    Value::String(format!("{at:.3}"))
}

fn timings(timings: &QueryTimings) -> Value {
    json!({
        "evalTotalTime": timings.eval_total.as_secs_f64(),
        "resultSortTime": timings.result_sort.as_secs_f64(),
        "queryPreparationTime": timings.prepare.as_secs_f64(),
        "innerEvalTime": timings.inner_eval.as_secs_f64(),
        "execQueueTime": timings.queue.as_secs_f64(),
        "execTotalTime": timings.exec_total.as_secs_f64(),
    })
}

fn origin(origin: &Origin) -> (&'static str, Value) {
    match origin {
        Origin::Http { client_ip, method, path } => {
            ("httpRequest", json!({ "clientIP": client_ip, "method": method, "path": path }))
        }
        Origin::RuleGroup { file, name } => ("ruleGroup", json!({ "file": file, "name": name })),
    }
}

/// Switches the log on and off as the configuration says.
#[derive(Debug)]
pub(crate) struct Logging {
    pub(crate) log: Arc<QueryLog>,
    pub(crate) engine: Arc<Engine>,
}

impl Part for Logging {
    fn name(&self) -> &'static str {
        "query_engine"
    }

    fn apply(&self, config: &Config) -> Result<(), String> {
        let path = &config.global.query_log_file;
        self.log.open(path).map_err(|error| format!("open {path}: {error}"))?;
        self.engine.set_query_log_enabled(!path.is_empty());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use model::time::ManualClock;
    use promql::engine::{QueryError, QueryRequest, QueryStats};

    use super::*;

    #[test]
    fn a_line_has_what_was_asked_by_whom_and_what_it_cost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("query.log");
        let log = QueryLog::new(Arc::new(ManualClock::new(1_500)));
        let mut request = QueryRequest::range("up", 1_500, 9_250, 1_500);
        request.origin = Some(Origin::RuleGroup { file: "r.yml".into(), name: "g".into() });
        let stats = QueryStats { samples_total: 3, samples_peak: 2, ..QueryStats::default() };
        let error = QueryError::Execution("no".into());
        let report = |error| QueryReport { request: &request, stats: &stats, error };
        log.ended(&report(None)).unwrap();
        log.open(path.to_str().unwrap()).unwrap();
        log.ended(&report(None)).unwrap();
        log.ended(&report(Some(&error))).unwrap();
        log.open("").unwrap();
        log.ended(&report(None)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[0],
            r#"{"time":"1970-01-01T00:00:01.500Z","level":"INFO","source":"query_log.rs","msg":"promql query logged","params":{"end":"1970-01-01T00:00:09.250Z","query":"up","start":"1970-01-01T00:00:01.500Z","step":1},"stats":{"timings":{"evalTotalTime":0.0,"resultSortTime":0.0,"queryPreparationTime":0.0,"innerEvalTime":0.0,"execQueueTime":0.0,"execTotalTime":0.0},"samples":{"totalQueryableSamples":3,"samplesRead":0,"peakSamples":2}},"ruleGroup":{"file":"r.yml","name":"g"}}"#
        );
        let second: Value = serde_json::from_str(lines[1]).unwrap();
        assert_eq!(second["error"], "no");
    }

    #[test]
    fn a_log_that_cannot_be_written_is_an_error_of_the_query_no_more() {
        let log = QueryLog::new(Arc::new(ManualClock::new(0)));
        assert!(log.open("/nonexistent/query.log").is_err());
        log.open("/dev/full").unwrap();
        let (request, stats) = (QueryRequest::instant("up", 0), QueryStats::default());
        assert!(log.ended(&QueryReport { request: &request, stats: &stats, error: None }).is_err());
    }
}
