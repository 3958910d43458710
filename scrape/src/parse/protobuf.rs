//! The protobuf exposition: `io.prometheus.client.MetricFamily` messages, each with its length before it.
//!
//! The numbers of fields stand in the functions that read them; the source is `metrics.proto` of
//! prometheus/client_model. A parser yields one metric at a time as the message has it; which series become
//! of it is decided by who appends them.

use std::borrow::Cow;

use model::histogram::Span;
use model::metadata::MetricType;
use model::time::TimestampMs;

use super::wire::{Fields, Value, delimited};
use super::{ParseError, RawExemplar, RawLabels};

/// What a family says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it measures.
    pub help: &'a str,
    /// In which unit.
    pub unit: &'a str,
    /// Its type.
    pub metric_type: MetricType,
}

/// One metric of a family.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metric<'a> {
    /// Its labels.
    pub labels: RawLabels<'a>,
    /// When it was measured, if that is said.
    pub timestamp_ms: Option<TimestampMs>,
    /// What was measured.
    pub value: MetricValue<'a>,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricValue<'a> {
    /// A counter, gauge or untyped metric.
    Single(f64, Option<RawExemplar<'a>>),
    /// A summary.
    Summary(SummaryValue),
    /// A histogram, classic or native or both.
    Histogram(Box<HistogramMessage<'a>>),
}

impl Default for MetricValue<'_> {
    fn default() -> Self {
        MetricValue::Single(0.0, None)
    }
}

/// A summary.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SummaryValue {
    /// Observations.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Quantiles and their values.
    pub quantiles: Vec<(f64, f64)>,
}

/// A bucket of a classic histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassicBucket<'a> {
    /// Observations up to the bound.
    pub cumulative_count: f64,
    /// The bound, inclusive.
    pub upper_bound: f64,
    /// One of the observations.
    pub exemplar: Option<RawExemplar<'a>>,
}

/// One side of a native histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Side {
    /// Where its buckets are.
    pub spans: Vec<Span>,
    /// Integer counts, each as the difference to the one before.
    pub deltas: Vec<i64>,
    /// Float counts.
    pub counts: Vec<f64>,
}

/// A histogram.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of the message, which says what they are")]
pub struct HistogramMessage<'a> {
    pub sample_count: u64,
    pub sample_count_float: f64,
    pub sample_sum: f64,
    pub buckets: Vec<ClassicBucket<'a>>,
    pub schema: i32,
    pub zero_threshold: f64,
    pub zero_count: u64,
    pub zero_count_float: f64,
    pub negative: Side,
    pub positive: Side,
    pub exemplars: Vec<RawExemplar<'a>>,
}

impl HistogramMessage<'_> {
    /// Whether the message has a native histogram.
    pub fn is_native(&self) -> bool {
        !self.positive.spans.is_empty()
            || !self.negative.spans.is_empty()
            || self.zero_threshold > 0.0
            || self.zero_count > 0
            || self.zero_count_float > 0.0
    }

    /// Whether its counts are floats.
    pub fn is_float(&self) -> bool {
        self.sample_count_float > 0.0 || self.zero_count_float > 0.0
    }

    /// All observations.
    pub fn count(&self) -> f64 {
        if self.is_float() { self.sample_count_float } else { self.sample_count as f64 }
    }
}

/// Something that an exposition says.
#[derive(Clone, Debug, PartialEq)]
pub enum ProtobufEntry<'a> {
    /// A family begins.
    Family(Family<'a>),
    /// A metric of the family that began last.
    Metric(Metric<'a>),
}

/// Reads a protobuf exposition.
#[derive(Clone, Debug)]
pub struct ProtobufParser<'a> {
    rest: &'a [u8],
    family: Fields<'a>,
}

impl<'a> ProtobufParser<'a> {
    /// A parser of a whole response.
    pub fn new(input: &'a [u8]) -> Self {
        ProtobufParser { rest: input, family: Fields::new(&[]) }
    }

    /// The next family or metric; `None` at the end.
    pub fn next_entry(&mut self) -> Result<Option<ProtobufEntry<'a>>, ParseError> {
        while let Some((number, value)) = self.family.next_field()? {
            if number == 4 {
                return Ok(Some(ProtobufEntry::Metric(metric(value.message()?)?)));
            }
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.family = Fields::new(delimited(&mut self.rest)?);
        family(self.family).map(ProtobufEntry::Family).map(Some)
    }
}

fn family(mut fields: Fields<'_>) -> Result<Family<'_>, ParseError> {
    let mut family = Family { metric_type: MetricType::Counter, ..Family::default() };
    while let Some((number, value)) = fields.next_field()? {
        match number {
            1 => family.name = value.text()?,
            2 => family.help = value.text()?,
            3 => family.metric_type = metric_type(value.uint()?)?,
            5 => family.unit = value.text()?,
            _ => {}
        }
    }
    if family.name.is_empty() {
        return Err(ParseError::new(format!("invalid metric name: {}", family.name)));
    }
    Ok(family)
}

fn metric_type(number: u64) -> Result<MetricType, ParseError> {
    Ok(match number {
        0 => MetricType::Counter,
        1 => MetricType::Gauge,
        2 => MetricType::Summary,
        3 => MetricType::Unknown,
        4 => MetricType::Histogram,
        5 => MetricType::GaugeHistogram,
        other => return Err(ParseError::new(format!("unknown metric type for metric family: {other}"))),
    })
}

fn metric(mut fields: Fields<'_>) -> Result<Metric<'_>, ParseError> {
    let mut metric = Metric::default();
    while let Some((number, value)) = fields.next_field()? {
        match number {
            1 => metric.labels.push(label(value.message()?)?),
            2 | 3 | 5 => metric.value = single(value.message()?)?,
            4 => metric.value = MetricValue::Summary(summary(value.message()?)?),
            6 => metric.timestamp_ms = Some(value.uint()? as TimestampMs).filter(|at| *at != 0),
            7 => metric.value = MetricValue::Histogram(Box::new(histogram(value.message()?)?)),
            _ => {}
        }
    }
    Ok(metric)
}

fn label(mut fields: Fields<'_>) -> Result<(Cow<'_, str>, Cow<'_, str>), ParseError> {
    let (mut name, mut text) = ("", "");
    while let Some((number, value)) = fields.next_field()? {
        match number {
            1 => name = value.text()?,
            2 => text = value.text()?,
            _ => {}
        }
    }
    Ok((Cow::Borrowed(name), Cow::Borrowed(text)))
}

fn single(mut fields: Fields<'_>) -> Result<MetricValue<'_>, ParseError> {
    let (mut number_value, mut read_exemplar) = (0.0, None);
    while let Some((number, value)) = fields.next_field()? {
        match number {
            1 => number_value = value.double()?,
            2 => read_exemplar = Some(exemplar(value.message()?)?),
            _ => {}
        }
    }
    Ok(MetricValue::Single(number_value, read_exemplar))
}

fn summary(mut fields: Fields<'_>) -> Result<SummaryValue, ParseError> {
    let mut summary = SummaryValue::default();
    while let Some((number, value)) = fields.next_field()? {
        match number {
            1 => summary.count = value.uint()?,
            2 => summary.sum = value.double()?,
            3 => {
                let (mut quantile, mut of) = (0.0, 0.0);
                let mut fields = value.message()?;
                while let Some((number, value)) = fields.next_field()? {
                    match number {
                        1 => quantile = value.double()?,
                        2 => of = value.double()?,
                        _ => {}
                    }
                }
                summary.quantiles.push((quantile, of));
            }
            _ => {}
        }
    }
    Ok(summary)
}

fn histogram(mut fields: Fields<'_>) -> Result<HistogramMessage<'_>, ParseError> {
    let mut histogram = HistogramMessage::default();
    while let Some((number, value)) = fields.next_field()? {
        match number {
            1 => histogram.sample_count = value.uint()?,
            2 => histogram.sample_sum = value.double()?,
            3 => histogram.buckets.push(bucket(value.message()?)?),
            4 => histogram.sample_count_float = value.double()?,
            5 => histogram.schema = small(value)?,
            6 => histogram.zero_threshold = value.double()?,
            7 => histogram.zero_count = value.uint()?,
            8 => histogram.zero_count_float = value.double()?,
            9 => histogram.negative.spans.push(span(value.message()?)?),
            10 => value.push_zigzags(&mut histogram.negative.deltas)?,
            11 => value.push_doubles(&mut histogram.negative.counts)?,
            12 => histogram.positive.spans.push(span(value.message()?)?),
            13 => value.push_zigzags(&mut histogram.positive.deltas)?,
            14 => value.push_doubles(&mut histogram.positive.counts)?,
            16 => histogram.exemplars.push(exemplar(value.message()?)?),
            _ => {}
        }
    }
    Ok(histogram)
}

fn small(value: Value<'_>) -> Result<i32, ParseError> {
    i32::try_from(value.zigzag()?).map_err(|_| ParseError::new("proto: integer overflow"))
}

fn span(mut fields: Fields<'_>) -> Result<Span, ParseError> {
    let mut span = Span::default();
    while let Some((number, value)) = fields.next_field()? {
        match number {
            1 => span.offset = small(value)?,
            2 => {
                let length = u32::try_from(value.uint()?);
                span.length = length.map_err(|_| ParseError::new("proto: integer overflow"))?;
            }
            _ => {}
        }
    }
    Ok(span)
}

fn bucket(mut fields: Fields<'_>) -> Result<ClassicBucket<'_>, ParseError> {
    let mut bucket = ClassicBucket::default();
    while let Some((number, value)) = fields.next_field()? {
        match number {
            1 if bucket.cumulative_count == 0.0 => bucket.cumulative_count = value.uint()? as f64,
            2 => bucket.upper_bound = value.double()?,
            3 => bucket.exemplar = Some(exemplar(value.message()?)?),
            4 if value.double()? > 0.0 => bucket.cumulative_count = value.double()?,
            _ => {}
        }
    }
    Ok(bucket)
}

fn exemplar(mut fields: Fields<'_>) -> Result<RawExemplar<'_>, ParseError> {
    let mut exemplar = RawExemplar { labels: Vec::new(), value: 0.0, timestamp_ms: None };
    while let Some((number, value)) = fields.next_field()? {
        match number {
            1 => exemplar.labels.push(label(value.message()?)?),
            2 => exemplar.value = value.double()?,
            3 => exemplar.timestamp_ms = Some(timestamp(value.message()?)?),
            _ => {}
        }
    }
    Ok(exemplar)
}

/// A `google.protobuf.Timestamp` in milliseconds.
fn timestamp(mut fields: Fields<'_>) -> Result<TimestampMs, ParseError> {
    let (mut seconds, mut nanos) = (0, 0);
    while let Some((number, value)) = fields.next_field()? {
        match number {
            1 => seconds = value.uint()? as i64,
            2 => nanos = value.uint()? as i64,
            _ => {}
        }
    }
    Ok(seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A field of bytes: key, length, content.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, content.len() as u8];
        bytes.extend_from_slice(content);
        bytes
    }

    fn double(number: u8, value: f64) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 1];
        bytes.extend_from_slice(&value.to_le_bytes());
        bytes
    }

    fn message(family: &[Vec<u8>]) -> Vec<u8> {
        let content = family.concat();
        let mut bytes = vec![content.len() as u8];
        bytes.extend(content);
        bytes
    }

    #[test]
    fn families_and_metrics_are_read() {
        let labels = field(1, &[field(1, b"x"), field(2, b"y")].concat());
        let gauge = field(2, &double(1, 2.5));
        let native = [
            vec![1 << 3, 3],
            double(2, 7.5),
            vec![5 << 3, 2],
            field(12, &[1 << 3, 4, 2 << 3, 2]),
            field(13, &[2, 1]),
        ];
        let input = [
            message(&[field(1, b"g"), vec![3 << 3, 1], field(4, &[labels, gauge].concat())]),
            message(&[field(1, b"h"), vec![3 << 3, 4], field(4, &field(7, &native.concat()))]),
        ]
        .concat();
        let mut parser = ProtobufParser::new(&input);
        let mut entries = Vec::new();
        while let Some(entry) = parser.next_entry().unwrap() {
            entries.push(entry);
        }
        assert_eq!(entries.len(), 4);
        let ProtobufEntry::Metric(gauge) = &entries[1] else { panic!("{entries:?}") };
        assert_eq!(gauge.labels, [("x".into(), "y".into())]);
        assert_eq!(gauge.value, MetricValue::Single(2.5, None));
        let ProtobufEntry::Metric(Metric { value: MetricValue::Histogram(histogram), .. }) = &entries[3]
        else {
            panic!("{entries:?}")
        };
        assert!(histogram.is_native() && !histogram.is_float());
        assert_eq!((histogram.sample_count, histogram.sample_sum, histogram.schema), (3, 7.5, 1));
        assert_eq!(histogram.positive.spans, [Span { offset: 2, length: 2 }]);
        assert_eq!(histogram.positive.deltas, [1, -1]);
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let input = message(&[field(1, b"g"), field(4, &field(2, &double(1, 2.5)))]);
        for len in 1..input.len() {
            let mut parser = ProtobufParser::new(&input[..len]);
            assert!(parser.next_entry().is_err(), "{len}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_make_the_parser_neither_panic_nor_run_for_ever(
            input in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let mut parser = ProtobufParser::new(&input);
            let mut entries = 0;
            while let Ok(Some(_)) = parser.next_entry() {
                entries += 1;
                prop_assert!(entries <= input.len());
            }
        }
    }
}
