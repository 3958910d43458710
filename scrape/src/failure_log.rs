//! The log of failed scrapes: a JSON object a line, as the reference writes it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use model::time::TimestampMs;
use parking_lot::Mutex;
use serde::Serialize;

use crate::error::ScrapeError;

/// A file that failures are appended to.
#[derive(Debug)]
pub(crate) struct FailureLog {
    path: String,
    file: Mutex<File>,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'static str,
    msg: String,
    job_name: &'a str,
    target: &'a str,
}

impl FailureLog {
    pub(crate) fn open(path: &str) -> io::Result<Self> {
        Ok(FailureLog { path: path.to_owned(), file: Mutex::new(open(path)?) })
    }

    /// Opens the file again, which may have been moved away.
    pub(crate) fn reopen(&self) {
        match open(&self.path) {
            Ok(file) => *self.file.lock() = file,
            Err(error) => tracing::error!(path = %self.path, %error, "Opening the scrape failure log failed"),
        }
    }

    pub(crate) fn write(&self, at_ms: TimestampMs, job_name: &str, target: &str, error: &ScrapeError) {
        let time = jiff::Timestamp::from_millisecond(at_ms).map(|t| t.to_string()).unwrap_or_default();
        let line = Line { time, level: "ERROR", msg: error.to_string(), job_name, target };
        let Ok(mut text) = serde_json::to_string(&line) else { return };
        text.push('\n');
        if let Err(error) = self.file.lock().write_all(text.as_bytes()) {
            tracing::error!(path = %self.path, %error, "Writing the scrape failure log failed");
        }
    }
}

fn open(path: &str) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
