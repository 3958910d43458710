//! `tsdb create-blocks-from rules`: blocks of what recording rules would have stored.
//!
//! A server evaluates each rule's expression over the time of one block after the other; what comes back is
//! labelled as the rule says and written as one block. Rules don't see what others of the same run give: it isn't
//! in the server. Rules that build on others are for a second run, once the first one's blocks are there.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, anyhow, ensure};
use api::params::parse_time;
use indicatif::ProgressBar;
use model::cancel::Cancel;
use model::duration::PromDuration;
use model::labels::{Labels, LabelsBuilder, METRIC_NAME};
use model::storage::SampleValue;
use model::time::{Clock, SystemClock, TimestampMs};
use promql::features::Features;
use rules::file::{CheckOptions, GroupConfig, RuleConfig, RuleKind};
use rules::group::slot_before;
use serde::Deserialize;
use tsdb::tools::{Sample, compatible_block_duration};

use super::api_histogram::ApiHistogram;
use super::backfill::{Blocks, Output};
use super::progress::{Unit, bar};
use crate::cli::http::Server;

/// How far before now backfilling ends by default: what is newer is still in a server's head.
const END_BEFORE_NOW_MS: i64 = 3 * 3_600_000;

/// Steps of one question: servers refuse more than 11,000.
const STEPS_MAX: i64 = 10_000;

/// Which rules are evaluated, by whom, and when.
#[derive(clap::Args)]
pub(in crate::cli) struct Rules {
    #[command(flatten)]
    output: Output,
    /// File with the settings of the HTTP client
    #[arg(long = "http.config.file")]
    http_config: Option<PathBuf>,
    /// URL of the server that has the data
    #[arg(long, default_value = "http://localhost:9090")]
    url: String,
    /// The first time, as seconds or RFC 3339
    #[arg(long, value_parser = parse_time)]
    start: TimestampMs,
    /// The last time, as seconds or RFC 3339; three hours ago by default
    #[arg(long, value_parser = parse_time)]
    end: Option<TimestampMs>,
    /// Where the blocks go
    #[arg(long, default_value = "data/")]
    output_dir: PathBuf,
    /// How often rules are evaluated whose group doesn't say
    #[arg(long, default_value = "60s")]
    eval_interval: PromDuration,
    /// The rule files; alerting rules in them are left out
    #[arg(required = true)]
    rule_files: Vec<PathBuf>,
}

/// A recording rule, with what evaluating it takes of its group.
struct Recording {
    file: PathBuf,
    group: String,
    interval_ms: i64,
    record: String,
    rule: RuleConfig,
}

/// Makes the blocks, none longer than `duration_max_ms`.
pub(super) fn run(
    what: &Rules,
    features: Features,
    duration_max_ms: i64,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    ensure!(!what.eval_interval.is_zero(), "eval interval must be greater than 0");
    // Whole seconds, as in promtool.
    let whole = |at_ms: TimestampMs| at_ms.div_euclid(1000) * 1000;
    let start_ms = whole(what.start);
    let end_ms = whole(what.end.unwrap_or_else(|| SystemClock.now_ms() - END_BEFORE_NOW_MS));
    ensure!(start_ms < end_ms, "start time is not before end time");
    let rules = recording_rules(what, features)?;
    let server = Server::new(&what.url, what.http_config.as_ref())?;
    let duration_ms = compatible_block_duration(duration_max_ms);
    let mut blocks = Blocks::new(&what.output_dir, duration_ms)?;
    let first_ms = start_ms.div_euclid(duration_ms) * duration_ms;
    let windows = (first_ms..=end_ms).step_by(usize::try_from(duration_ms)?);
    let bar = bar((windows.clone().count() * rules.len()) as u64, Unit::Evaluations, false);
    for begin_ms in windows {
        let window = (begin_ms.max(start_ms), (begin_ms + duration_ms - 1).min(end_ms));
        // Questions are asked once, also where the samples are gone through more than once.
        let mut samples = Vec::new();
        for rule in &rules {
            evaluate(rule, &server, window, &mut samples)
                .with_context(|| format!("group {:?}, rule {:?}", rule.group, rule.record))?;
            bar.inc(1);
        }
        blocks
            .write(|| Ok::<_, std::convert::Infallible>(samples.iter().cloned().map(Ok)), &Cancel::new())?;
    }
    ProgressBar::finish_and_clear(&bar);
    blocks.print(&what.output, out)
}

/// The recording rules of all files.
fn recording_rules(what: &Rules, features: Features) -> anyhow::Result<Vec<Recording>> {
    let options = CheckOptions { features, ..CheckOptions::default() };
    let mut recording = Vec::new();
    for file in &what.rule_files {
        let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let groups = rules::file::parse(&file.to_string_lossy(), &text, &options).map_err(|errors| {
            anyhow!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        })?;
        for GroupConfig { name, interval, rules, .. } in groups {
            let interval_ms = interval.unwrap_or(what.eval_interval).as_millis();
            for rule in rules {
                let RuleKind::Recording { record } = &rule.kind else { continue };
                let (file, group, record) = (file.clone(), name.clone(), record.clone());
                recording.push(Recording { file, group, interval_ms, record, rule });
            }
        }
    }
    Ok(recording)
}

/// The answer to a question over a range of time.
#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: String,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    data: Data,
}

#[derive(Default, Deserialize)]
struct Data {
    #[serde(default, rename = "resultType")]
    kind: String,
    #[serde(default)]
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
    #[serde(default)]
    histograms: Vec<(f64, ApiHistogram)>,
}

/// Asks for the values of a rule at the slots of its group in a window of time, both ends included.
fn evaluate(
    recording: &Recording,
    server: &Server,
    (from_ms, to_ms): (TimestampMs, TimestampMs),
    samples: &mut Vec<Sample>,
) -> anyhow::Result<()> {
    let Recording { file, group, interval_ms, .. } = recording;
    let mut at_ms = slot_before(group, file, *interval_ms, from_ms - 1) + interval_ms;
    while at_ms <= to_ms {
        let last_ms = at_ms.saturating_add(interval_ms * (STEPS_MAX - 1)).min(to_ms);
        let seconds = |ms: i64| (ms as f64 / 1000.0).to_string();
        let form = [
            ("query", recording.rule.expr.clone()),
            ("start", seconds(at_ms)),
            ("end", seconds(last_ms)),
            ("step", seconds(*interval_ms)),
        ];
        let (_, body) = server.get("/api/v1/query_range", &form)?;
        let answer: Answer = serde_json::from_str(&body).with_context(|| format!("bad response {body:?}"))?;
        ensure!(answer.status == "success", "query range: {}: {}", answer.error_type, answer.error);
        ensure!(answer.data.kind == "matrix", "rule result is wrong type {}", answer.data.kind);
        for series in answer.data.result {
            add(series, recording, samples)?;
        }
        at_ms = last_ms - (last_ms - at_ms) % interval_ms + interval_ms;
    }
    Ok(())
}

/// Adds the samples of a series under the rule's name and labels.
fn add(series: Series, recording: &Recording, samples: &mut Vec<Sample>) -> anyhow::Result<()> {
    let mut labels = LabelsBuilder::from_labels(&Labels::from_pairs(&series.metric));
    for (name, value) in &recording.rule.labels {
        labels.set(name, value);
    }
    labels.set(METRIC_NAME, &recording.record);
    let labels = labels.build();
    let at_ms = |seconds: f64| (seconds * 1000.0).round() as TimestampMs;
    for (seconds, value) in series.values {
        let value = value.parse().with_context(|| format!("bad value {value:?}"))?;
        let value = SampleValue::Float(value);
        samples.push(Sample { labels: labels.clone(), timestamp_ms: at_ms(seconds), value });
    }
    for (seconds, histogram) in series.histograms {
        let value = SampleValue::Histogram(histogram.into_histogram()?.into());
        samples.push(Sample { labels: labels.clone(), timestamp_ms: at_ms(seconds), value });
    }
    Ok(())
}
