//! `tsdb dump` and `tsdb dump-openmetrics`.

use std::io::{BufWriter, Write};

use clap::ValueEnum;
use model::cancel::Cancel;
use model::float_text;
use model::labels::{Labels, write_quoted};
use model::storage::{SampleColumns, SelectHints, SeriesSet};

use super::{Selection, blocks};

/// How samples are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A line for each sample: labels, value, time in milliseconds
    Prom,
    /// A line for each series: its labels as JSON
    Seriesjson,
    /// OpenMetrics
    #[value(skip)]
    Openmetrics,
}

/// Prints samples, block by block.
pub(super) fn print(what: &Selection, format: Format) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let hints = SelectHints::new(what.min_time, what.max_time, &Cancel::new());
    let mut samples = SampleColumns::default();
    for block in blocks(&what.path)? {
        for matchers in what.matchers()? {
            let set = block.select(&matchers, &hints)?;
            for series in 0..set.len() {
                let labels = set.labels(series);
                if format == Format::Seriesjson {
                    writeln!(out, "{}", serde_json::to_string(&labels)?)?;
                    continue;
                }
                samples.clear();
                set.read(series, what.min_time, what.max_time, &mut samples)?;
                write_samples(&mut out, &labels, &samples, format)?;
            }
        }
    }
    if format == Format::Openmetrics {
        writeln!(out, "# EOF")?;
    }
    out.flush()?;
    Ok(())
}

fn write_samples(
    out: &mut impl Write,
    labels: &Labels,
    samples: &SampleColumns,
    format: Format,
) -> anyhow::Result<()> {
    let series = if format == Format::Openmetrics { openmetrics(labels)? } else { labels.to_string() };
    for (at_ms, value) in samples.timestamps.iter().zip(&samples.values) {
        let value = float_text::general(*value);
        match format {
            Format::Openmetrics => {
                let (seconds, millis) = (at_ms.div_euclid(1000), at_ms.rem_euclid(1000));
                writeln!(out, "{series} {value} {seconds}.{millis:03}")?;
            }
            Format::Prom | Format::Seriesjson => writeln!(out, "{series} {value} {at_ms}")?,
        }
    }
    for (at_ms, histogram) in samples.histogram_timestamps.iter().zip(&samples.histograms) {
        writeln!(out, "{series} {histogram} {at_ms}")?;
    }
    Ok(())
}

/// A series with its name before the braces.
fn openmetrics(labels: &Labels) -> Result<String, std::fmt::Error> {
    let mut text = labels.metric_name().to_owned();
    let mut before = '{';
    for (name, value) in labels.without_metric_name().iter() {
        text.push(before);
        text.push_str(name);
        text.push('=');
        write_quoted(&mut text, value)?;
        before = ',';
    }
    if before == ',' {
        text.push('}');
    }
    Ok(text)
}
