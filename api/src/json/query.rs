//! The value of a query: `"resultType":"matrix","result":[{"metric":{…},"values":[[1435781451.781,"1"],…]},…]`.
//!
//! All series of a range query stand on the same grid of steps, so the text between two values,
//! `"],[1435781451.781,"`, is written once per query and copied from then on. A value equal to the one before it
//! is copied too.

use std::sync::Arc;

use model::histogram::FloatHistogram;
use model::labels::Labels;
use model::storage::{SampleColumns, SampleValue};
use model::time::TimestampMs;
use model::value::is_stale_nan;
use promql::value::{StepSeries, Steps, Value};

use super::histogram::push_histogram;
use super::number::{push_float, push_timestamp};
use super::{JsonOut, text};

/// After how many samples of one series the buffer is looked at.
const SAMPLES_PER_FLUSH: usize = 1024;

/// Writes the keys `resultType` and `result` of a value. Consumes it, so that every series' memory is free
/// as soon as it is written.
pub fn write_query_value(out: &mut JsonOut<'_>, value: Value) {
    match value {
        Value::Scalar { timestamp_ms, value } => {
            out.key("resultType").string("scalar");
            out.key("result").open_array();
            out.timestamp(timestamp_ms);
            out.float_string(value);
            out.close_array();
        }
        Value::String { timestamp_ms, value } => {
            out.key("resultType").string("string");
            out.key("result").open_array();
            out.timestamp(timestamp_ms);
            out.string(&value);
            out.close_array();
        }
        Value::Vector { timestamp_ms, samples } => {
            out.key("resultType").string("vector");
            write_each(out, samples, |out, (labels, value)| write_sample(out, timestamp_ms, &labels, &value));
        }
        Value::Matrix(series) => {
            out.key("resultType").string("matrix");
            write_each(out, series, |out, (labels, columns)| write_columns(out, &labels, &columns));
        }
        Value::Range { steps, series } => {
            out.key("resultType").string("matrix");
            let grid = StepTexts::of(steps);
            write_each(out, series, |out, series| write_step_series(out, &grid, &series));
        }
    }
}

/// Writes `result` as an array, an element at a time, until the client leaves.
fn write_each<T>(out: &mut JsonOut<'_>, elements: Vec<T>, mut write: impl FnMut(&mut JsonOut<'_>, T)) {
    out.key("result").open_array();
    for element in elements {
        write(out, element);
        out.flush_if_full();
        if out.is_broken() {
            return;
        }
    }
    out.close_array();
}

/// Begins an element: `{"metric":{…}`.
fn open_metric(out: &mut JsonOut<'_>, labels: &Labels) {
    out.separate();
    out.buf.extend_from_slice(b"{\"metric\":");
    text::push_labels(&mut out.buf, labels);
}

fn write_sample(out: &mut JsonOut<'_>, timestamp_ms: TimestampMs, labels: &Labels, value: &SampleValue) {
    open_metric(out, labels);
    match value {
        SampleValue::Float(value) => {
            out.buf.extend_from_slice(b",\"value\":");
            push_float_sample(&mut out.buf, timestamp_ms, *value);
        }
        SampleValue::Histogram(histogram) => {
            out.buf.extend_from_slice(b",\"histogram\":");
            push_histogram_sample(&mut out.buf, timestamp_ms, histogram);
        }
    }
    out.buf.push(b'}');
}

fn push_float_sample(buf: &mut Vec<u8>, timestamp_ms: TimestampMs, value: f64) {
    buf.push(b'[');
    push_timestamp(buf, timestamp_ms);
    buf.extend_from_slice(b",\"");
    push_float(buf, value);
    buf.extend_from_slice(b"\"]");
}

fn push_histogram_sample(buf: &mut Vec<u8>, timestamp_ms: TimestampMs, histogram: &FloatHistogram) {
    buf.push(b'[');
    push_timestamp(buf, timestamp_ms);
    buf.push(b',');
    push_histogram(buf, histogram);
    buf.push(b']');
}

fn write_columns(out: &mut JsonOut<'_>, labels: &Labels, columns: &SampleColumns) {
    open_metric(out, labels);
    let floats = columns.timestamps.iter().zip(&columns.values);
    write_list(out, ",\"values\":[", floats, |buf, (at, value)| push_float_sample(buf, *at, *value));
    let histograms = columns.histogram_timestamps.iter().zip(&columns.histograms);
    write_list(out, ",\"histograms\":[", histograms, |buf, (at, histogram)| {
        push_histogram_sample(buf, *at, histogram);
    });
    out.buf.push(b'}');
}

/// Writes a key and its array, or nothing if there are no elements.
fn write_list<T>(
    out: &mut JsonOut<'_>,
    opening: &str,
    elements: impl Iterator<Item = T>,
    mut push: impl FnMut(&mut Vec<u8>, T),
) {
    let mut count = 0_usize;
    for element in elements {
        out.buf.extend_from_slice(if count == 0 { opening.as_bytes() } else { b"," });
        push(&mut out.buf, element);
        count += 1;
        if count.is_multiple_of(SAMPLES_PER_FLUSH) {
            out.flush_if_full();
        }
    }
    if count > 0 {
        out.buf.push(b']');
    }
}

/// What ends a sample and begins the next one.
const BETWEEN_SAMPLES: &[u8] = b"\"],";

/// `"],[<timestamp>,"` for every step, one after the other.
struct StepTexts {
    text: Vec<u8>,
    /// Where each step's text ends; it begins where the one before ends.
    ends: Vec<u32>,
}

impl StepTexts {
    fn of(steps: Steps) -> Self {
        let mut texts = StepTexts { text: Vec::new(), ends: Vec::with_capacity(steps.count) };
        for step in 0..steps.count {
            texts.text.extend_from_slice(BETWEEN_SAMPLES);
            texts.text.push(b'[');
            push_timestamp(&mut texts.text, steps.at(step));
            texts.text.extend_from_slice(b",\"");
            texts.ends.push(texts.text.len() as u32);
        }
        texts
    }

    /// The text between the value before the step's and the step's own.
    fn between(&self, step: usize) -> &[u8] {
        let begin = if step == 0 { 0 } else { self.ends[step - 1] };
        &self.text[begin as usize..self.ends[step] as usize]
    }

    /// The text of the step alone, opening bracket first.
    fn first(&self, step: usize) -> &[u8] {
        &self.between(step)[BETWEEN_SAMPLES.len()..]
    }
}

fn write_step_series(out: &mut JsonOut<'_>, grid: &StepTexts, series: &StepSeries) {
    open_metric(out, &series.labels);
    let mut is_open = false;
    let mut previous = PreviousValue::default();
    for (chunk_index, chunk) in series.values.chunks(SAMPLES_PER_FLUSH).enumerate() {
        for (i, value) in chunk.iter().enumerate() {
            if is_stale_nan(*value) {
                continue;
            }
            let step = chunk_index * SAMPLES_PER_FLUSH + i;
            if is_open {
                out.buf.extend_from_slice(grid.between(step));
            } else {
                is_open = true;
                out.buf.extend_from_slice(b",\"values\":[");
                out.buf.extend_from_slice(grid.first(step));
            }
            previous.push(&mut out.buf, *value);
        }
        if out.buf.len() >= super::CHUNK_BYTES {
            out.flush();
            previous = PreviousValue::default();
        }
    }
    if is_open {
        out.buf.extend_from_slice(b"\"]]");
    }
    write_step_histograms(out, grid, &series.histograms);
    out.buf.push(b'}');
}

fn write_step_histograms(
    out: &mut JsonOut<'_>,
    grid: &StepTexts,
    histograms: &[Option<Arc<FloatHistogram>>],
) {
    let present = histograms.iter().enumerate().filter_map(|(step, h)| Some((step, h.as_ref()?)));
    write_list(out, ",\"histograms\":[", present, |buf, (step, histogram)| {
        let text = grid.first(step);
        buf.extend_from_slice(&text[..text.len() - 1]);
        push_histogram(buf, histogram);
        buf.push(b']');
    });
}

/// Where in the buffer the last value's text is.
#[derive(Default)]
struct PreviousValue {
    bits: u64,
    begin: usize,
    len: usize,
}

impl PreviousValue {
    /// Appends a value.
    fn push(&mut self, buf: &mut Vec<u8>, value: f64) {
        let begin = buf.len();
        if self.len > 0 && self.bits == value.to_bits() {
            buf.extend_from_within(self.begin..self.begin + self.len);
        } else {
            push_float(buf, value);
        }
        *self = PreviousValue { bits: value.to_bits(), begin, len: buf.len() - begin };
    }
}

#[cfg(test)]
mod tests {
    use model::value::STALE_NAN;
    use proptest::prelude::*;

    use super::*;
    use crate::json::to_vec;

    fn written(value: Value) -> String {
        let bytes = to_vec(|out| {
            out.open_object();
            write_query_value(out, value);
            out.close_object();
        });
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn every_kind_of_value_has_its_shape() {
        let labels = Labels::from_pairs([("__name__", "up"), ("x", "<&>\"\\")]);
        let histogram = Arc::new(FloatHistogram { count: 1.0, sum: 2.0, ..FloatHistogram::default() });
        for (value, expected) in [
            (
                Value::Scalar { timestamp_ms: 1_435_781_451_781, value: f64::INFINITY },
                r#"{"resultType":"scalar","result":[1435781451.781,"+Inf"]}"#,
            ),
            (
                Value::String { timestamp_ms: 1000, value: "a<b".into() },
                r#"{"resultType":"string","result":[1,"a\u003cb"]}"#,
            ),
            (Value::Vector { timestamp_ms: 0, samples: vec![] }, r#"{"resultType":"vector","result":[]}"#),
            (
                Value::Vector {
                    timestamp_ms: 1500,
                    samples: vec![
                        (labels, SampleValue::Float(1e-7)),
                        (Labels::empty(), SampleValue::Histogram(Arc::clone(&histogram))),
                    ],
                },
                r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","x":"<&>\"\\"},"value":[1.500,"1e-07"]},{"metric":{},"histogram":[1.500,{"count":"1","sum":"2"}]}]}"#,
            ),
            (
                Value::Matrix(vec![(
                    Labels::empty(),
                    SampleColumns {
                        timestamps: vec![1, 2000],
                        values: vec![1.0, -0.0],
                        histogram_timestamps: vec![3000],
                        histograms: vec![Arc::clone(&histogram)],
                        ..SampleColumns::default()
                    },
                )]),
                r#"{"resultType":"matrix","result":[{"metric":{},"values":[[0.001,"1"],[2,"-0"]],"histograms":[[3,{"count":"1","sum":"2"}]]}]}"#,
            ),
            (
                Value::Range {
                    steps: Steps::range(1000, 4000, 1000),
                    series: vec![
                        StepSeries {
                            values: vec![STALE_NAN, 2.5, 2.5, f64::NAN],
                            histograms: vec![Some(histogram), None, None, None],
                            ..StepSeries::default()
                        },
                        StepSeries { values: vec![3.0, STALE_NAN, 3.0, 3.0], ..StepSeries::default() },
                    ],
                },
                r#"{"resultType":"matrix","result":[{"metric":{},"values":[[2,"2.5"],[3,"2.5"],[4,"NaN"]],"histograms":[[1,{"count":"1","sum":"2"}]]},{"metric":{},"values":[[1,"3"],[3,"3"],[4,"3"]]}]}"#,
            ),
        ] {
            assert_eq!(written(value), expected);
        }
    }

    proptest! {
        #[test]
        fn a_range_is_written_as_the_same_samples_one_by_one_are(
            columns in proptest::collection::vec(
                proptest::collection::vec(prop_oneof![Just(STALE_NAN), Just(1.0), -5.0..5.0f64], 3000), 0..4),
        ) {
            let steps = Steps::range(500, 500 + 2999 * 250, 250);
            let mut series = Vec::new();
            let mut matrix = Vec::new();
            for values in columns {
                let present = values.iter().enumerate().filter(|(_, v)| !is_stale_nan(**v));
                let (timestamps, floats) = present.map(|(step, value)| (steps.at(step), *value)).unzip();
                matrix.push((
                    Labels::empty(),
                    SampleColumns { timestamps, values: floats, ..SampleColumns::default() },
                ));
                series.push(StepSeries { values, ..StepSeries::default() });
            }
            let range = written(Value::Range { steps, series });
            let one_by_one = written(Value::Matrix(matrix));
            prop_assert!(range == one_by_one);
        }
    }
}
