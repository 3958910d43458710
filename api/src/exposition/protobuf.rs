//! Metrics as protobuf: `io.prometheus.client.MetricFamily` (`metrics.proto` of client_model), each message
//! behind its length.
//!
//! ```text
//! MetricFamily  1 name  2 help  3 type  4 metric…
//! Metric        1 label…  2 gauge  3 counter  4 summary  5 untyped  6 timestamp_ms  7 histogram
//! LabelPair     1 name  2 value
//! Gauge, Counter, Untyped   1 value
//! Summary       1 sample_count  2 sample_sum  3 quantile… (1 quantile  2 value)
//! Histogram     1 sample_count  2 sample_sum  3 bucket…  4 sample_count_float  5 schema  6 zero_threshold
//!               8 zero_count_float  9 negative_span…  11 negative_count…  12 positive_span…  14 positive_count…
//! Bucket        1 cumulative_count  2 upper_bound  4 cumulative_count_float
//! BucketSpan    1 offset  2 length
//! ```

use model::histogram::{FloatHistogram, Span};
use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};
use remote::protobuf::{put_bytes, put_double, put_packed_doubles, put_sint32, put_varint, put_varint_field};

use super::format::Names;
use super::underscored;

/// The type of a family, as the message numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter = 0,
    Gauge = 1,
    Summary = 2,
    Untyped = 3,
    Histogram = 4,
    GaugeHistogram = 5,
}

/// The value of a metric.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    /// Of a counter, a gauge, or what isn't told.
    Number(Kind, f64),
    /// A native histogram with exponential buckets.
    Native(&'a FloatHistogram),
    /// A classic histogram of floats; buckets are upper bounds with cumulative counts, without the infinite one.
    Classic { count: f64, sum: f64, buckets: &'a [(f64, f64)] },
    /// A classic histogram of the registry's.
    Registered(&'a proto::Histogram),
    /// A summary of the registry's.
    Summary(&'a proto::Summary),
}

/// Writes families.
#[derive(Debug)]
pub(crate) struct Delimited {
    names: Names,
    out: Vec<u8>,
    family: Vec<u8>,
}

impl Delimited {
    /// Nothing yet.
    pub(crate) fn new(names: Names) -> Self {
        Delimited { names, out: Vec::new(), family: Vec::new() }
    }

    /// The messages.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }

    /// Begins a family.
    pub(crate) fn begin(&mut self, name: &str, help: &str, kind: Kind) {
        let name = self.name(name);
        self.family.clear();
        put_bytes(&mut self.family, 1, name.as_bytes());
        if !help.is_empty() {
            put_bytes(&mut self.family, 2, help.as_bytes());
        }
        put_varint_field(&mut self.family, 3, kind as u64);
    }

    /// Adds a metric to the family.
    pub(crate) fn metric<'a>(
        &mut self,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        value: Value<'_>,
        timestamp_ms: Option<i64>,
    ) {
        let (mut metric, mut part) = (Vec::new(), Vec::new());
        for (name, value) in labels {
            part.clear();
            put_bytes(&mut part, 1, self.name(name).as_bytes());
            put_bytes(&mut part, 2, value.as_bytes());
            put_bytes(&mut metric, 1, &part);
        }
        part.clear();
        let field = put_value(&mut part, value);
        put_bytes(&mut metric, field, &part);
        if let Some(timestamp_ms) = timestamp_ms {
            put_varint_field(&mut metric, 6, timestamp_ms.cast_unsigned());
        }
        put_bytes(&mut self.family, 4, &metric);
    }

    /// Ends the family.
    pub(crate) fn end(&mut self) {
        put_varint(&mut self.out, self.family.len() as u64);
        self.out.extend_from_slice(&self.family);
    }

    /// Writes a family of the registry's.
    pub(crate) fn registered(&mut self, family: &MetricFamily) {
        let kind = match family.get_field_type() {
            MetricType::COUNTER => Kind::Counter,
            MetricType::GAUGE => Kind::Gauge,
            MetricType::SUMMARY => Kind::Summary,
            MetricType::HISTOGRAM => Kind::Histogram,
            MetricType::UNTYPED => Kind::Untyped,
        };
        self.begin(family.name(), family.help(), kind);
        for metric in family.get_metric() {
            let value = match kind {
                Kind::Counter => Value::Number(kind, metric.get_counter().get_value()),
                Kind::Gauge => Value::Number(kind, metric.get_gauge().get_value()),
                Kind::Summary => Value::Summary(metric.get_summary()),
                Kind::Histogram | Kind::GaugeHistogram => Value::Registered(metric.get_histogram()),
                // The registry has no untyped metrics.
                Kind::Untyped => continue,
            };
            let labels = metric.get_label().iter().map(|pair: &LabelPair| (pair.name(), pair.value()));
            self.metric(labels, value, None);
        }
        self.end();
    }

    fn name(&self, name: &str) -> String {
        match self.names {
            Names::Whole => name.to_owned(),
            Names::Underscored => underscored(name),
        }
    }
}

/// Writes the message of a value; returns the field that it has in a metric.
fn put_value(out: &mut Vec<u8>, value: Value<'_>) -> u32 {
    match value {
        Value::Number(kind, value) => {
            put_double(out, 1, value);
            match kind {
                Kind::Gauge => 2,
                Kind::Counter => 3,
                _ => 5,
            }
        }
        Value::Summary(summary) => {
            put_summary(out, summary);
            4
        }
        Value::Native(histogram) => {
            put_native(out, histogram);
            7
        }
        Value::Classic { count, sum, buckets } => {
            put_double(out, 4, count);
            put_double(out, 2, sum);
            for (bound, cumulative) in buckets {
                put_pair(out, 3, |bucket| {
                    put_double(bucket, 4, *cumulative);
                    put_double(bucket, 2, *bound);
                });
            }
            7
        }
        Value::Registered(histogram) => {
            put_varint_field(out, 1, histogram.get_sample_count());
            put_double(out, 2, histogram.get_sample_sum());
            for bucket in histogram.get_bucket() {
                put_pair(out, 3, |out| {
                    put_varint_field(out, 1, bucket.cumulative_count());
                    put_double(out, 2, bucket.upper_bound());
                });
            }
            7
        }
    }
}

fn put_summary(out: &mut Vec<u8>, summary: &proto::Summary) {
    put_varint_field(out, 1, summary.sample_count());
    put_double(out, 2, summary.sample_sum());
    for quantile in summary.get_quantile() {
        put_pair(out, 3, |out| {
            put_double(out, 1, quantile.quantile());
            put_double(out, 2, quantile.value());
        });
    }
}

fn put_native(out: &mut Vec<u8>, histogram: &FloatHistogram) {
    put_double(out, 4, histogram.count);
    put_double(out, 2, histogram.sum);
    put_sint32(out, 5, histogram.schema);
    put_double(out, 6, histogram.zero_threshold);
    put_double(out, 8, histogram.zero_count);
    put_spans(out, 9, &histogram.negative_spans);
    put_packed_doubles(out, 11, &histogram.negative_buckets);
    put_spans(out, 12, &histogram.positive_spans);
    put_packed_doubles(out, 14, &histogram.positive_buckets);
}

fn put_spans(out: &mut Vec<u8>, field: u32, spans: &[Span]) {
    for span in spans {
        put_pair(out, field, |out| {
            put_sint32(out, 1, span.offset);
            put_varint_field(out, 2, span.length.into());
        });
    }
}

/// Appends a message of two fields.
fn put_pair(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    /// Two floats with their tags.
    const BYTES_MAX: usize = 18;
    let mut message = Vec::with_capacity(BYTES_MAX);
    write(&mut message);
    put_bytes(out, field, &message);
}
