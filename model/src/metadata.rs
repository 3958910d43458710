//! What an exposition says of a metric family beside its samples.

use std::fmt;

/// The type of a metric family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MetricType {
    /// Not told, or `untyped`.
    #[default]
    Unknown,
    /// Only goes up, but for resets.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets of observations.
    Histogram,
    /// Buckets whose counts go up and down.
    GaugeHistogram,
    /// Quantiles of observations.
    Summary,
    /// A constant 1 that carries labels.
    Info,
    /// One of several states.
    StateSet,
}

impl MetricType {
    /// The name as in the HTTP API and OpenMetrics.
    pub fn as_str(self) -> &'static str {
        match self {
            MetricType::Unknown => "unknown",
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
            MetricType::GaugeHistogram => "gaugehistogram",
            MetricType::Summary => "summary",
            MetricType::Info => "info",
            MetricType::StateSet => "stateset",
        }
    }

    /// The number that stands for it in remote write and in logs.
    pub fn number(self) -> u8 {
        match self {
            MetricType::Unknown => 0,
            MetricType::Counter => 1,
            MetricType::Gauge => 2,
            MetricType::Histogram => 3,
            MetricType::GaugeHistogram => 4,
            MetricType::Summary => 5,
            MetricType::Info => 6,
            MetricType::StateSet => 7,
        }
    }

    /// What a number stands for; unknown ones are [`MetricType::Unknown`].
    pub fn of_number(number: u64) -> Self {
        match number {
            1 => MetricType::Counter,
            2 => MetricType::Gauge,
            3 => MetricType::Histogram,
            4 => MetricType::GaugeHistogram,
            5 => MetricType::Summary,
            6 => MetricType::Info,
            7 => MetricType::StateSet,
            _ => MetricType::Unknown,
        }
    }

    /// What the metrics of a family may have behind the family's name.
    fn suffixes(self) -> &'static [&'static str] {
        match self {
            MetricType::Counter => &["_total", "_created"],
            MetricType::Histogram => &["_bucket", "_count", "_sum", "_created"],
            MetricType::GaugeHistogram => &["_bucket", "_gcount", "_gsum"],
            MetricType::Summary => &["_count", "_sum", "_created"],
            MetricType::Info => &["_info"],
            MetricType::Unknown | MetricType::Gauge | MetricType::StateSet => &[],
        }
    }
}

impl fmt::Display for MetricType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Type, help and unit of a metric family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// The family's type.
    pub metric_type: MetricType,
    /// What it measures, in words.
    pub help: String,
    /// Its unit, `""` if the exposition names none.
    pub unit: String,
}

/// A metric family: what one `# TYPE` line and its like speak of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MetricFamily {
    /// Its name, which its metrics have too, or begin with.
    pub name: String,
    /// What is known of it.
    pub metadata: Metadata,
}

impl MetricFamily {
    /// The family of a metric, where metadata comes without the family's name. Of a counter it is the metric:
    /// so the text format has it, and OpenMetrics only without `_total`.
    pub fn of_metric(metric: &str, metadata: Metadata) -> Self {
        let suffixes = match metadata.metric_type {
            MetricType::Counter => &[],
            other => other.suffixes(),
        };
        let stem = suffixes.iter().find_map(|suffix| metric.strip_suffix(suffix));
        MetricFamily { name: stem.unwrap_or(metric).to_owned(), metadata }
    }

    /// Names that its metrics may have beside its own.
    pub fn suffixed_names(&self) -> impl Iterator<Item = String> + '_ {
        self.metadata.metric_type.suffixes().iter().map(|suffix| format!("{}{suffix}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_number() {
        for number in 0..8 {
            assert_eq!(u64::from(MetricType::of_number(number).number()), number);
        }
        assert_eq!(MetricType::of_number(8), MetricType::Unknown);
    }

    #[test]
    fn a_metric_is_of_the_family_whose_name_it_begins_with() {
        for (metric, metric_type, family) in [
            ("a_bucket", MetricType::Histogram, "a"),
            ("a", MetricType::Histogram, "a"),
            ("a_sum", MetricType::Summary, "a"),
            ("a_gsum", MetricType::GaugeHistogram, "a"),
            ("a_total", MetricType::Counter, "a_total"),
            ("a_sum", MetricType::Gauge, "a_sum"),
            ("target_info", MetricType::Info, "target"),
        ] {
            let metadata = Metadata { metric_type, ..Metadata::default() };
            assert_eq!(MetricFamily::of_metric(metric, metadata).name, family, "{metric} {metric_type}");
        }
    }
}
