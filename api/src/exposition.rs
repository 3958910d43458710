//! Metrics as text, Prometheus's format 0.0.4 and OpenMetrics 1.0, and as protobuf.
//!
//! Floats are written as Go's format `g` does, which is what scrapers have been fed with for years; in
//! OpenMetrics a whole number has `.0` behind it.

mod format;
mod protobuf;

use std::fmt::Write;

use model::float_text;
use model::labels::{is_legacy_label_name, is_legacy_metric_name};
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

pub(crate) use format::{Accepted, Format, Names};
pub(crate) use protobuf::{Delimited, Kind, Value};

/// Writes families as text.
#[derive(Debug)]
pub(crate) struct Exposition {
    format: Format,
    names: Names,
    out: String,
}

impl Exposition {
    /// Nothing yet. A format that isn't text is taken for plain text.
    pub(crate) fn new(Accepted { format, names }: Accepted) -> Self {
        Exposition { format, names, out: String::new() }
    }

    /// The text.
    pub(crate) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    /// Writes a family.
    pub(crate) fn family(&mut self, family: &MetricFamily) {
        let kind = family.get_field_type();
        let is_counter = kind == MetricType::COUNTER;
        let name = match self.format {
            Format::OpenMetrics if is_counter => {
                family.name().strip_suffix("_total").unwrap_or(family.name())
            }
            _ => family.name(),
        };
        self.help(name, family.help());
        self.kind(name, kind_text(kind, self.format));
        for metric in family.get_metric() {
            match kind {
                MetricType::COUNTER if self.format == Format::OpenMetrics => {
                    self.sample(name, "_total", metric, None, metric.get_counter().get_value());
                }
                MetricType::COUNTER => self.sample(name, "", metric, None, metric.get_counter().get_value()),
                MetricType::GAUGE => self.sample(name, "", metric, None, metric.get_gauge().get_value()),
                MetricType::SUMMARY => self.summary(name, metric),
                MetricType::HISTOGRAM => self.histogram(name, metric),
                // The registry has no untyped metrics.
                MetricType::UNTYPED => {}
            }
        }
    }

    /// Writes a line of help; line breaks and backslashes are escaped, in OpenMetrics quotes too.
    fn help(&mut self, name: &str, help: &str) {
        let _ = write!(self.out, "# HELP {name} ");
        push_escaped(&mut self.out, help, self.format == Format::OpenMetrics);
        self.out.push('\n');
    }

    /// Writes a line of type.
    pub(crate) fn kind(&mut self, name: &str, kind: &str) {
        self.out.push_str("# TYPE ");
        self.push_name(name, "", is_legacy_metric_name(name));
        let _ = writeln!(self.out, " {kind}");
    }

    fn summary(&mut self, name: &str, metric: &Metric) {
        let summary = metric.get_summary();
        for quantile in summary.get_quantile() {
            let extra = ("quantile", quantile.quantile());
            self.sample(name, "", metric, Some(extra), quantile.value());
        }
        self.sample(name, "_sum", metric, None, summary.sample_sum());
        self.sample(name, "_count", metric, None, summary.sample_count() as f64);
    }

    fn histogram(&mut self, name: &str, metric: &Metric) {
        let histogram = metric.get_histogram();
        let mut has_infinite = false;
        for bucket in histogram.get_bucket() {
            has_infinite |= bucket.upper_bound() == f64::INFINITY;
            let extra = ("le", bucket.upper_bound());
            self.sample(name, "_bucket", metric, Some(extra), bucket.cumulative_count() as f64);
        }
        let count = histogram.get_sample_count() as f64;
        if !has_infinite {
            self.sample(name, "_bucket", metric, Some(("le", f64::INFINITY)), count);
        }
        self.sample(name, "_sum", metric, None, histogram.get_sample_sum());
        self.sample(name, "_count", metric, None, count);
    }

    fn sample(&mut self, name: &str, suffix: &str, metric: &Metric, extra: Option<(&str, f64)>, value: f64) {
        let labels = metric.get_label().iter().map(|pair: &LabelPair| (pair.name(), pair.value()));
        let bound = extra.map(|(name, value)| (name, self.number(value)));
        let bound = bound.as_ref().map(|(name, value)| (*name, value.as_str()));
        self.line(name, suffix, labels.chain(bound), value, None);
    }

    /// Writes a sample; `timestamp_ms` only if there is one.
    pub(crate) fn line<'a>(
        &mut self,
        name: &str,
        suffix: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        value: f64,
        timestamp_ms: Option<i64>,
    ) {
        let mut opening = '{';
        if self.names == Names::Whole && !is_legacy_metric_name(name) {
            self.out.push(opening);
            opening = ',';
            self.push_name(name, suffix, false);
        } else {
            self.push_name(name, suffix, is_legacy_metric_name(name));
        }
        for (label, value) in labels {
            self.out.push(opening);
            opening = ',';
            self.push_name(label, "", is_legacy_label_name(label));
            self.out.push_str("=\"");
            push_escaped(&mut self.out, value, true);
            self.out.push('"');
        }
        if opening == ',' {
            self.out.push('}');
        }
        self.out.push(' ');
        let value = self.number(value);
        self.out.push_str(&value);
        if let Some(timestamp_ms) = timestamp_ms {
            let _ = write!(self.out, " {timestamp_ms}");
        }
        self.out.push('\n');
    }

    fn push_name(&mut self, name: &str, suffix: &str, is_legacy: bool) {
        match (is_legacy, self.names) {
            (true, _) => {
                self.out.push_str(name);
                self.out.push_str(suffix);
            }
            (false, Names::Whole) => {
                self.out.push('"');
                push_escaped(&mut self.out, name, true);
                self.out.push_str(suffix);
                self.out.push('"');
            }
            (false, Names::Underscored) => {
                self.out.push_str(&underscored(name));
                self.out.push_str(suffix);
            }
        }
    }

    fn number(&self, value: f64) -> String {
        let mut text = float_text::general(value);
        if self.format == Format::OpenMetrics && text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            text.push_str(".0");
        }
        text
    }
}

/// A name with an underscore for every character that a classic name can't have.
fn underscored(name: &str) -> String {
    let fits = |(at, c): (usize, char)| {
        let digit = c.is_ascii_digit() && at > 0;
        if c.is_ascii_alphabetic() || c == '_' || c == ':' || digit { c } else { '_' }
    };
    name.chars().enumerate().map(fits).collect()
}

fn kind_text(kind: MetricType, format: Format) -> &'static str {
    match (kind, format) {
        (MetricType::COUNTER, _) => "counter",
        (MetricType::GAUGE, _) => "gauge",
        (MetricType::SUMMARY, _) => "summary",
        (MetricType::HISTOGRAM, _) => "histogram",
        (MetricType::UNTYPED, Format::OpenMetrics) => "unknown",
        (MetricType::UNTYPED, _) => "untyped",
    }
}

fn push_escaped(out: &mut String, text: &str, quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Histogram, HistogramOpts, IntCounterVec, Opts, Registry};

    use super::*;

    fn registry() -> Registry {
        let registry = Registry::new();
        let counter =
            IntCounterVec::new(Opts::new("hits_total", "Hits\nof \"all\" \\ kinds."), &["path"]).unwrap();
        counter.with_label_values(&["/\"\n\\"]).inc_by(1_234_567);
        registry.register(Box::new(counter)).unwrap();
        let opts = HistogramOpts::new("seconds", "Time.").buckets(vec![0.5, 1.0]);
        let histogram = Histogram::with_opts(opts).unwrap();
        histogram.observe(0.75);
        registry.register(Box::new(histogram)).unwrap();
        registry
    }

    fn written(format: Format) -> String {
        let mut exposition = Exposition::new(Accepted { format, names: Names::Underscored });
        registry().gather().iter().for_each(|family| exposition.family(family));
        exposition.finish()
    }

    #[test]
    fn families_are_written_as_text() {
        assert_eq!(
            written(Format::Text),
            r#"# HELP hits_total Hits\nof "all" \\ kinds.
# TYPE hits_total counter
hits_total{path="/\"\n\\"} 1.234567e+06
# HELP seconds Time.
# TYPE seconds histogram
seconds_bucket{le="0.5"} 0
seconds_bucket{le="1"} 1
seconds_bucket{le="+Inf"} 1
seconds_sum 0.75
seconds_count 1
"#
        );
    }

    #[test]
    fn families_are_written_as_open_metrics() {
        assert_eq!(
            written(Format::OpenMetrics),
            r#"# HELP hits Hits\nof \"all\" \\ kinds.
# TYPE hits counter
hits_total{path="/\"\n\\"} 1.234567e+06
# HELP seconds Time.
# TYPE seconds histogram
seconds_bucket{le="0.5"} 0.0
seconds_bucket{le="1.0"} 1.0
seconds_bucket{le="+Inf"} 1.0
seconds_sum 0.75
seconds_count 1.0
# EOF
"#
        );
    }
}
