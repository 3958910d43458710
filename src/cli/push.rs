//! `push metrics`: an exposition sent as remote write.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's answers")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use http::{HeaderName, HeaderValue};
use model::duration::PromDuration;
use model::labels::{Labels, METRIC_NAME};
use model::metadata::Metadata;
use model::time::{Clock, SystemClock, TimestampMs};
use remote::write::Version;
use remote::write::sender::request;
use scrape::parse::{Entry, Lines, TextParser};

use super::EXIT_FAILURE;
use super::http::Server;

/// The label that every series gets by default.
const JOB_LABEL: &str = "job";

#[derive(Subcommand)]
pub(super) enum Push {
    /// Send an exposition as remote write
    Metrics(PushMetrics),
}

#[derive(Args)]
pub(super) struct PushMetrics {
    /// File with the settings of the HTTP client
    #[arg(long = "http.config.file")]
    http_config: Option<PathBuf>,
    /// A label to give to every series; can be repeated
    #[arg(long = "label", default_value = "job=promtool", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// How long it may take
    #[arg(long, default_value = "30s")]
    timeout: PromDuration,
    /// A header of the request; can be repeated
    #[arg(long = "header", value_parser = pair)]
    headers: Vec<(String, String)>,
    /// The message to send
    #[arg(long = "protobuf_message", default_value = "prometheus.WriteRequest")]
    message: Message,
    /// Path of remote write at the server
    #[arg(long = "remote-write.path", default_value = "/api/v1/write")]
    path: String,
    /// URL of the server
    server: String,
    /// Files to send; standard input if there is none
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Message {
    #[value(name = "prometheus.WriteRequest")]
    V1,
    #[value(name = "io.prometheus.write.v2.Request")]
    V2,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("expected name=value, got {text:?}"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Sends.
pub(super) fn run(what: &Push) -> ExitCode {
    let Push::Metrics(what) = what;
    let mut is_failed = false;
    let mut tell = |name: &str, pushed: anyhow::Result<()>| match pushed {
        Ok(()) => println!("  SUCCESS: metrics {name}pushed to remote write."),
        Err(error) => {
            eprintln!("  FAILED: {error:#}");
            is_failed = true;
        }
    };
    if what.files.is_empty() {
        println!("Parsing standard input");
        let mut exposition = Vec::new();
        let read = std::io::stdin().read_to_end(&mut exposition);
        tell("", read.map_err(anyhow::Error::from).and_then(|_| push(what, &exposition)));
    }
    for file in &what.files {
        let read = std::fs::read(file).inspect(|_| println!("Parsing metrics file {}", file.display()));
        let pushed = read.map_err(anyhow::Error::from).and_then(|exposition| push(what, &exposition));
        tell(&format!("file {} ", file.display()), pushed);
    }
    if is_failed { ExitCode::from(EXIT_FAILURE) } else { ExitCode::SUCCESS }
}

fn push(what: &PushMetrics, exposition: &[u8]) -> anyhow::Result<()> {
    let labels: BTreeMap<String, String> = what.labels.iter().cloned().collect();
    let (samples, families) = parse(exposition, &labels, SystemClock.now_ms())?;
    let version = match what.message {
        Message::V1 => Version::V1,
        Message::V2 => Version::V2,
    };
    let (mut headers, body) = request(version, samples, &families);
    for (name, value) in &what.headers {
        headers.insert(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
    }
    let server = Server::new(&what.server, what.http_config.as_ref())?;
    let (status, body) = server.post(&what.path, headers, body, what.timeout.0)?;
    if !status.is_success() {
        bail!("server returned HTTP status {status}: {}", String::from_utf8_lossy(&body).trim());
    }
    Ok(())
}

type Parsed = (Vec<(Labels, TimestampMs, f64)>, Vec<(String, Metadata)>);

/// The samples of an exposition, and its families. A sample without a time has `now_ms`. A label `job` that is
/// written becomes `exported_job`.
fn parse(exposition: &[u8], extra: &BTreeMap<String, String>, now_ms: TimestampMs) -> anyhow::Result<Parsed> {
    let mut parser = TextParser::new(exposition);
    let mut families: BTreeMap<String, Metadata> = BTreeMap::new();
    let mut samples = Vec::new();
    while let Some(entry) = parser.next_entry()? {
        match entry {
            Entry::Help { family, help } => {
                families.entry(family.into_owned()).or_default().help = help.into_owned()
            }
            Entry::Type { family, metric_type } => {
                families.entry(family.into_owned()).or_default().metric_type = metric_type;
            }
            Entry::Unit { family, unit } => {
                families.entry(family.into_owned()).or_default().unit = unit.into_owned()
            }
            Entry::Comment => {}
            Entry::Sample(sample) => {
                let (timestamp_ms, value) = (sample.timestamp_ms.unwrap_or(now_ms), sample.value);
                samples.push((labels(parser.labels(), extra)?, timestamp_ms, value));
            }
        }
    }
    Ok((samples, families.into_iter().collect()))
}

fn labels(written: scrape::parse::RawLabels<'_>, extra: &BTreeMap<String, String>) -> anyhow::Result<Labels> {
    let mut names = BTreeSet::new();
    let mut all = extra.clone();
    for (name, value) in written {
        if !names.insert(name.clone()) {
            bail!("label name {name:?} is not unique");
        }
        let name = if name == JOB_LABEL { format!("exported_{JOB_LABEL}") } else { name.into_owned() };
        all.insert(name, value.into_owned());
    }
    if !all.contains_key(METRIC_NAME) {
        bail!("a series has no metric name");
    }
    Ok(Labels::from_pairs(all))
}

#[cfg(test)]
mod tests {
    use model::metadata::MetricType;

    use super::*;

    #[test]
    fn samples_get_labels_and_times() {
        let exposition =
            b"# HELP depth Deep.\n# TYPE depth gauge\ndepth{job=\"a\",q=\"x\"} 2 5000\ndepth 3\n";
        let extra = BTreeMap::from([("job".to_owned(), "promtool".to_owned())]);
        let (samples, families) = parse(exposition, &extra, 7).unwrap();
        let labels = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        let expected = [
            (
                labels(&[("__name__", "depth"), ("exported_job", "a"), ("job", "promtool"), ("q", "x")]),
                5000,
                2.0,
            ),
            (labels(&[("__name__", "depth"), ("job", "promtool")]), 7, 3.0),
        ];
        assert_eq!(samples, expected);
        let metadata =
            Metadata { metric_type: MetricType::Gauge, help: "Deep.".to_owned(), unit: String::new() };
        assert_eq!(families, [("depth".to_owned(), metadata)]);
        assert!(parse(b"depth{q=\"x\",q=\"y\"} 1\n", &extra, 7).is_err());
    }
}
