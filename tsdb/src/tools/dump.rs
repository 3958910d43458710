//! `tsdb dump` and `tsdb dump-openmetrics`: all samples as lines of text.

use std::fmt::Write as _;
use std::io::{self, Write};

use model::float_text::push_general;
use model::labels::{Labels, METRIC_NAME, is_legacy_label_name, is_legacy_metric_name, write_quoted};
use model::matcher::Matcher;
use model::storage::{Queryable, SampleColumns, SelectHints, SeriesSet};
use model::time::TimestampMs;

use super::ToolError;

/// How samples are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DumpFormat {
    /// `{label="value", …} value milliseconds`
    #[default]
    Prometheus,
    /// A JSON object of the labels for each series; no samples.
    SeriesJson,
    /// OpenMetrics: `name{label="value",…} value seconds`, and `# EOF` at the end. There is no way to write
    /// a native histogram, so those are left out.
    OpenMetrics,
}

/// What to dump.
#[derive(Clone, Debug)]
pub struct DumpOptions {
    /// The oldest time.
    pub mint: TimestampMs,
    /// The newest time, inclusive.
    pub maxt: TimestampMs,
    /// Series that satisfy all of any of these; none: all series.
    pub selectors: Vec<Vec<Matcher>>,
    /// How to write them.
    pub format: DumpFormat,
}

/// Writes the samples of a storage, series by series in order of their labels. `progress` hears how many series
/// are written, of how many.
pub fn dump(
    storage: &dyn Queryable,
    options: &DumpOptions,
    cancel: &model::cancel::Cancel,
    out: &mut dyn Write,
    progress: &dyn Fn(usize, usize),
) -> Result<(), ToolError> {
    let querier = storage.querier(options.mint, options.maxt)?;
    let hints = SelectHints::new(options.mint, options.maxt, cancel);
    let everything = [Vec::new()];
    let selectors = if options.selectors.is_empty() { &everything } else { options.selectors.as_slice() };
    let sets = selectors.iter().map(|matchers| querier.select(matchers, &hints));
    let sets: Vec<Box<dyn SeriesSet>> = sets.collect::<Result<_, _>>()?;
    let series = |set: usize| (0..sets[set].len()).map(move |nth| (set, nth));
    let mut order: Vec<(Labels, (usize, usize))> =
        (0..sets.len()).flat_map(series).map(|(set, nth)| (sets[set].labels(nth), (set, nth))).collect();
    order.sort_by(|a, b| a.0.cmp(&b.0));
    order.dedup_by(|a, b| a.0 == b.0);

    let mut columns = SampleColumns::default();
    let total = order.len();
    for (done, (labels, (set, nth))) in order.into_iter().enumerate() {
        crate::error::check(cancel)?;
        progress(done, total);
        if options.format == DumpFormat::SeriesJson {
            serde_json::to_writer(&mut *out, &labels).map_err(io::Error::from)?;
            writeln!(out)?;
            continue;
        }
        columns.clear();
        sets[set].read(nth, options.mint, options.maxt, &mut columns)?;
        write_samples(&labels, &columns, options.format, out)?;
    }
    if options.format == DumpFormat::OpenMetrics {
        writeln!(out, "# EOF")?;
    }
    Ok(())
}

/// Writes the samples of one series in order of time.
fn write_samples(
    labels: &Labels,
    columns: &SampleColumns,
    format: DumpFormat,
    out: &mut dyn Write,
) -> io::Result<()> {
    if format == DumpFormat::OpenMetrics {
        let series = openmetrics_series(labels);
        let mut line = String::new();
        for (t, value) in columns.timestamps.iter().zip(&columns.values) {
            line.clear();
            push_general(&mut line, *value);
            writeln!(
                out,
                "{series} {line} {}{}.{:03}",
                sign(*t),
                t.abs_diff(0) / 1000,
                t.abs_diff(0) % 1000
            )?;
        }
        return Ok(());
    }
    let mut histograms = columns.histogram_timestamps.iter().zip(&columns.histograms).peekable();
    let mut line = String::new();
    for (t, value) in columns.timestamps.iter().zip(&columns.values) {
        while let Some((t, histogram)) = histograms.next_if(|(h, _)| *h < t) {
            writeln!(out, "{labels} {histogram} {t}")?;
        }
        line.clear();
        push_general(&mut line, *value);
        writeln!(out, "{labels} {line} {t}")?;
    }
    for (t, histogram) in histograms {
        writeln!(out, "{labels} {histogram} {t}")?;
    }
    Ok(())
}

fn sign(t: TimestampMs) -> &'static str {
    if t < 0 { "-" } else { "" }
}

/// A series as OpenMetrics names it. Unlike promtool, names that aren't of the classic kind are quoted, so that
/// the dump can be read again.
fn openmetrics_series(labels: &Labels) -> String {
    let name = labels.metric_name();
    let quoted = !is_legacy_metric_name(name);
    let mut text = if quoted { String::new() } else { name.to_owned() };
    text.push('{');
    let mut separator = "";
    if quoted && !name.is_empty() {
        _ = write_quoted(&mut text, name);
        separator = ",";
    }
    for (name, value) in labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
        text.push_str(separator);
        if is_legacy_label_name(name) {
            text.push_str(name);
        } else {
            _ = write_quoted(&mut text, name);
        }
        text.push('=');
        _ = text.write_char('"');
        for c in value.chars() {
            match c {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                c => text.push(c),
            }
        }
        text.push('"');
        separator = ",";
    }
    text.push('}');
    text
}
