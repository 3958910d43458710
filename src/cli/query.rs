//! `query …`: questions to a server.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's answers")]

mod analyze;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use model::duration::PromDuration;
use model::time::{Clock, SystemClock};
use serde_json::Value;

use super::EXIT_FAILURE;
use super::http::Server;

/// How far back a range begins by default, in seconds.
const RANGE_SECS: f64 = 300.0;

/// Steps of a range by default, at most.
const RANGE_STEPS: f64 = 250.0;

/// What holds for all questions.
#[derive(Args)]
pub(super) struct Query {
    /// How to print the answer
    #[arg(short = 'o', long, default_value = "promql", global = true)]
    format: Format,
    /// File with the settings of the HTTP client
    #[arg(long = "http.config.file", global = true)]
    http_config: Option<PathBuf>,
    #[command(subcommand)]
    question: Question,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Promql,
    Json,
}

/// A question.
#[derive(Subcommand)]
enum Question {
    /// Ask for the value of an expression at one time
    Instant {
        /// The time, as seconds or RFC 3339; now by default
        #[arg(long)]
        time: Option<String>,
        /// URL of the server
        server: String,
        /// The expression
        expression: String,
    },
    /// Ask for the values of an expression over a range of time
    Range {
        /// The first time, as seconds since the epoch; five minutes before the end by default
        #[arg(long)]
        start: Option<f64>,
        /// The last time, as seconds since the epoch; now by default
        #[arg(long)]
        end: Option<f64>,
        /// The step, in seconds; by default such that there are at most 250
        #[arg(long)]
        step: Option<f64>,
        /// URL of the server
        server: String,
        /// The expression
        expression: String,
    },
    /// Ask for series
    Series {
        /// A selector; can be repeated
        #[arg(long = "match", required = true)]
        selectors: Vec<String>,
        /// Time of the oldest sample
        #[arg(long)]
        start: Option<String>,
        /// Time of the newest sample
        #[arg(long)]
        end: Option<String>,
        /// URL of the server
        server: String,
    },
    /// Ask for the values of a label
    Labels {
        /// A selector; can be repeated
        #[arg(long = "match")]
        selectors: Vec<String>,
        /// Time of the oldest sample
        #[arg(long)]
        start: Option<String>,
        /// Time of the newest sample
        #[arg(long)]
        end: Option<String>,
        /// URL of the server
        server: String,
        /// The label
        name: String,
    },
    /// Tell how many buckets of histograms are used
    Analyze(Analyze),
}

/// How much of a histogram's buckets is used.
#[derive(Args)]
pub(super) struct Analyze {
    /// URL of the server
    #[arg(long)]
    pub(super) server: String,
    /// Type of metric; `histogram` is the only one
    #[arg(long = "type")]
    pub(super) kind: String,
    /// How far back to look
    #[arg(long, default_value = "1h")]
    pub(super) duration: PromDuration,
    /// The end, as seconds or RFC 3339; now by default
    #[arg(long)]
    pub(super) time: Option<String>,
    /// A selector; can be repeated
    #[arg(long = "match", required = true)]
    pub(super) selectors: Vec<String>,
}

/// Asks.
pub(super) fn run(query: &Query) -> ExitCode {
    match ask(query) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("query error: {error:#}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

fn ask(query: &Query) -> anyhow::Result<()> {
    let data = |server: &str, path: &str, form: &[(&str, String)]| -> anyhow::Result<Value> {
        data_of(Server::new(server, query.http_config.as_ref())?.get(path, form)?.1)
    };
    match &query.question {
        Question::Instant { time, server, expression } => {
            let mut form = vec![("query", expression.clone())];
            form.extend(time.iter().map(|time| ("time", time.clone())));
            print_value(&data(server, "/api/v1/query", &form)?, query.format)
        }
        Question::Range { start, end, step, server, expression } => {
            let form = range_form(*start, *end, *step, expression)?;
            print_value(&data(server, "/api/v1/query_range", &form)?, query.format)
        }
        Question::Series { selectors, start, end, server } => {
            let answer = data(server, "/api/v1/series", &selection(selectors, start, end))?;
            let series = answer.as_array().into_iter().flatten();
            print_list(&answer, series.map(metric), query.format)
        }
        Question::Labels { selectors, start, end, server, name } => {
            let path = format!("/api/v1/label/{name}/values");
            let answer = data(server, &path, &selection(selectors, start, end))?;
            let values = answer.as_array().into_iter().flatten().filter_map(Value::as_str);
            print_list(&answer, values.map(str::to_owned), query.format)
        }
        Question::Analyze(what) => {
            let ask = |form: &[(&str, String)]| data(&what.server, "/api/v1/query", form);
            print!("{}", analyze::analyze(what, &ask)?);
            Ok(())
        }
    }
}

fn range_form(
    start: Option<f64>,
    end: Option<f64>,
    step: Option<f64>,
    expression: &str,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let end = end.unwrap_or_else(|| SystemClock.now_ms() as f64 / 1e3);
    let start = start.unwrap_or(end - RANGE_SECS);
    if end < start {
        bail!("start time is not before end time");
    }
    let step = step.unwrap_or_else(|| ((end - start) / RANGE_STEPS).floor().max(1.0));
    Ok(vec![
        ("query", expression.to_owned()),
        ("start", start.to_string()),
        ("end", end.to_string()),
        ("step", step.to_string()),
    ])
}

fn selection(
    selectors: &[String],
    start: &Option<String>,
    end: &Option<String>,
) -> Vec<(&'static str, String)> {
    let mut form: Vec<_> = selectors.iter().map(|selector| ("match[]", selector.clone())).collect();
    form.extend(start.iter().map(|start| ("start", start.clone())));
    form.extend(end.iter().map(|end| ("end", end.clone())));
    form
}

/// `data` of an answer, or its error. Warnings go to standard error.
fn data_of(body: String) -> anyhow::Result<Value> {
    let mut answer: Value = serde_json::from_str(&body).with_context(|| format!("bad response {body:?}"))?;
    for warning in answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        eprintln!("query warning: {warning}");
    }
    if answer["status"] != "success" {
        let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
        bail!("{}: {}", text("errorType"), text("error"));
    }
    Ok(answer["data"].take())
}

fn print_list(answer: &Value, lines: impl Iterator<Item = String>, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => println!("{answer}"),
        Format::Promql => lines.for_each(|line| println!("{line}")),
    }
    Ok(())
}

/// Prints the value of an expression as the language's own values are written.
fn print_value(data: &Value, format: Format) -> anyhow::Result<()> {
    let result = &data["result"];
    if format == Format::Json {
        println!("{result}");
        return Ok(());
    }
    let elements = || result.as_array().into_iter().flatten();
    match data["resultType"].as_str() {
        Some("scalar") => println!("scalar: {}", sample(result)),
        Some("string") => println!("{}", result[1].as_str().unwrap_or_default()),
        Some("vector") => elements().for_each(|element| {
            let value = if element["value"].is_null() { &element["histogram"] } else { &element["value"] };
            println!("{} => {}", metric(&element["metric"]), sample(value));
        }),
        Some("matrix") => elements().for_each(|series| {
            println!("{} =>", metric(&series["metric"]));
            let values = ["values", "histograms"].into_iter().filter_map(|kind| series[kind].as_array());
            values.flatten().for_each(|value| println!("{}", sample(value)));
        }),
        other => bail!("unexpected result type {other:?}"),
    }
    Ok(())
}

/// `value @[time]`
fn sample(pair: &Value) -> String {
    let value = pair[1].as_str().map_or_else(|| pair[1].to_string(), str::to_owned);
    format!("{value} @[{}]", pair[0])
}

/// A label set as `name{label="value"}`.
fn metric(labels: &Value) -> String {
    let pairs = labels.as_object().into_iter().flatten();
    let pairs = pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()));
    model::labels::Labels::from_pairs(pairs).as_metric().to_string()
}
