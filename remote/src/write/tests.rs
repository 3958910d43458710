use std::num::NonZeroU64;
use std::sync::Arc;

use model::labels::Labels;
use model::metadata::{Metadata, MetricFamily, MetricType};
use model::names::ValidationScheme;
use model::storage::{
    AppendError, Appender, Batch, BatchList, Committed, Rejected, SeriesKey, SeriesRef, StorageError,
};
use model::time::ManualClock;
use parking_lot::Mutex;
use prometheus::Registry;
use proptest::prelude::*;

use super::*;

/// Keeps what is committed, by series; knows series by the order in which they came.
#[derive(Debug, Default)]
struct FakeStorage(Mutex<Stored>);

#[derive(Debug, Default)]
struct Stored {
    series: Vec<Labels>,
    samples: Vec<(Labels, i64, f64)>,
    histograms: usize,
    exemplars: usize,
    families: Vec<MetricFamily>,
    new_series_seen: usize,
    /// Refs below are refused as unknown.
    first_known: usize,
}

impl Appender for FakeStorage {
    fn commit(&self, batch: &Batch) -> Result<Committed, StorageError> {
        let mut stored = self.0.lock();
        let mut committed = Committed::default();
        stored.new_series_seen += batch.new_series.len();
        for labels in &batch.new_series {
            stored.series.push(labels.clone());
            committed.new_refs.push(NonZeroU64::new(stored.series.len() as u64).map(SeriesRef));
        }
        for (index, sample) in batch.floats.iter().enumerate() {
            let place = match sample.series {
                SeriesKey::Known(SeriesRef(number)) => number.get() as usize - 1,
                SeriesKey::New(nth) => stored.series.len() - batch.new_series.len() + nth as usize,
            };
            let error = if place < stored.first_known {
                Some(AppendError::UnknownSeries)
            } else {
                (sample.value < 0.0).then_some(AppendError::OutOfOrder)
            };
            match error {
                Some(error) => committed.rejected.push(Rejected { list: BatchList::Floats, index, error }),
                None => {
                    let labels = stored.series[place].clone();
                    stored.samples.push((labels, sample.timestamp_ms, sample.value));
                }
            }
        }
        stored.histograms += batch.histograms.len();
        stored.exemplars += batch.exemplars.len();
        stored.families.extend(batch.metadata.iter().map(|(_, family)| MetricFamily::clone(family)));
        stored.families.extend(batch.families.iter().map(|family| MetricFamily::clone(family)));
        Ok(committed)
    }
}

fn receiver(storage: &Arc<FakeStorage>) -> Receiver {
    let options = ReceiverOptions { accepted: vec![Version::V1, Version::V2], names: ValidationScheme::Utf8 };
    let appender: Arc<dyn Appender> = Arc::clone(storage) as _;
    Receiver::new(options, appender, Arc::new(ManualClock::new(1_000_000)), &Registry::new()).unwrap()
}

const V1: Headers<'_> = Headers { content_type: "application/x-protobuf", content_encoding: "snappy" };
const V2: Headers<'_> = Headers {
    content_type: "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    content_encoding: "snappy",
};

fn message(out: &mut Vec<u8>, number: u8, body: &[u8]) {
    out.push(number << 3 | 2);
    assert!(body.len() < 128, "test messages are short");
    out.push(body.len() as u8);
    out.extend_from_slice(body);
}

fn varint(out: &mut Vec<u8>, number: u8, value: u64) {
    out.push(number << 3);
    let mut rest = value;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn sample(timestamp_ms: u64, value: f64) -> Vec<u8> {
    let mut out = vec![1 << 3 | 1];
    out.extend_from_slice(&value.to_le_bytes());
    varint(&mut out, 2, timestamp_ms);
    out
}

fn series_v1(pairs: &[(&str, &str)], samples: &[(u64, f64)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in pairs {
        let mut label = Vec::new();
        message(&mut label, 1, name.as_bytes());
        message(&mut label, 2, value.as_bytes());
        message(&mut out, 1, &label);
    }
    for (timestamp_ms, value) in samples {
        message(&mut out, 2, &sample(*timestamp_ms, *value));
    }
    out
}

fn compressed(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).unwrap()
}

fn request_v1(series: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    series.iter().for_each(|series| message(&mut out, 1, series));
    compressed(&out)
}

#[test]
fn a_known_series_is_not_looked_at_again() {
    let storage = Arc::new(FakeStorage::default());
    let receiver = receiver(&storage);
    for t in 1..=3 {
        let body = request_v1(&[
            series_v1(&[("job", "a"), ("__name__", "up"), ("empty", "")], &[(t, 1.5)]),
            series_v1(&[("__name__", "up"), ("job", "b")], &[(t, 2.0)]),
        ]);
        let outcome = receiver.receive(V1, &body);
        assert_eq!((outcome.status, outcome.written), (204, None), "{}", outcome.message);
    }
    let stored = storage.0.lock();
    assert_eq!(stored.new_series_seen, 2);
    assert_eq!(stored.samples.len(), 6);
    let a = Labels::from_pairs([("__name__", "up"), ("job", "a")]);
    assert_eq!(stored.samples[4], (a, 3, 1.5));
}

#[test]
fn a_series_that_the_storage_forgot_is_sent_again_with_its_labels() {
    let storage = Arc::new(FakeStorage::default());
    let receiver = receiver(&storage);
    let body = |t| {
        request_v1(&[
            series_v1(&[("__name__", "a")], &[(t, 1.0), (t + 1, 1.0)]),
            series_v1(&[("__name__", "b")], &[(t, 2.0)]),
        ])
    };
    assert_eq!(receiver.receive(V1, &body(1)).status, 204);
    storage.0.lock().first_known = 1;
    assert_eq!(receiver.receive(V1, &body(10)).status, 204);
    let stored = storage.0.lock();
    assert_eq!(stored.new_series_seen, 3, "only the forgotten series came again");
    assert_eq!(stored.samples.len(), 6, "nothing was lost or doubled");
}

#[test]
fn what_cannot_be_stored_is_named_and_the_rest_is_stored() {
    let storage = Arc::new(FakeStorage::default());
    let receiver = receiver(&storage);
    let body = request_v1(&[
        series_v1(&[("__name__", "a")], &[(1, -1.0)]),
        series_v1(&[("__name__", "b")], &[(1, 1.0), (1_700_001, 1.0)]),
        series_v1(&[("job", "nameless")], &[(1, 1.0)]),
        series_v1(&[("__name__", "c"), ("x", "1"), ("x", "2")], &[(1, 1.0)]),
    ]);
    let outcome = receiver.receive(V1, &body);
    assert_eq!((outcome.status, outcome.message.as_str()), (400, "out of bounds"));
    assert_eq!(storage.0.lock().samples.len(), 1);
    assert_eq!(receiver.invalid_labels_total(), 2);
}

fn request_v2(symbols: &[&str], series: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    symbols.iter().for_each(|symbol| message(&mut out, 4, symbol.as_bytes()));
    series.iter().for_each(|series| message(&mut out, 5, series));
    compressed(&out)
}

#[test]
fn version_2_writes_what_it_can_and_says_how_much() {
    let storage = Arc::new(FakeStorage::default());
    let receiver = receiver(&storage);
    let symbols = ["", "__name__", "up", "job", "a", "b", "help"];
    let series = |refs: &[u8], value: f64| {
        let mut out = Vec::new();
        message(&mut out, 1, refs);
        message(&mut out, 2, &sample(5, value));
        out
    };
    let empty = {
        let mut out = Vec::new();
        message(&mut out, 1, &[1, 2, 3, 5]);
        out
    };
    let body = request_v2(&symbols, &[series(&[1, 2, 3, 4], 1.0), series(&[1, 2, 3, 5], -1.0), empty]);
    let outcome = receiver.receive(V2, &body);
    assert_eq!(outcome.status, 400);
    assert_eq!(
        outcome.message,
        "TimeSeries must contain at least one sample or histogram for series {__name__=\"up\", job=\"b\"}\n\
         out of order sample for series {__name__=\"up\", job=\"b\"}"
    );
    assert_eq!(outcome.written, Some([1, 0, 0]));
    let outside = receiver.receive(V2, &request_v2(&symbols, &[series(&[1, 9], 1.0)]));
    assert_eq!(outside.status, 400);
    assert_eq!(outside.message, "labelRefs 1 (name) = 9 outside of symbols table (size 7)");
}

fn family(name: &str, metric_type: MetricType, help: &str) -> MetricFamily {
    let metadata = Metadata { metric_type, help: help.to_owned(), unit: "s".to_owned() };
    MetricFamily { name: name.to_owned(), metadata }
}

#[test]
fn metadata_of_version_2_is_stored_when_it_is_new_or_changed() {
    let storage = Arc::new(FakeStorage::default());
    let receiver = receiver(&storage);
    let symbols = ["", "__name__", "a_bucket", "b", "first", "second", "s"];
    let series = |name: u8, help: u64, time: u64| {
        let mut metadata = Vec::new();
        for (number, value) in [(1, 3), (3, help), (4, 6)] {
            varint(&mut metadata, number, value);
        }
        let mut out = Vec::new();
        message(&mut out, 1, &[1, name]);
        message(&mut out, 2, &sample(time, 1.0));
        message(&mut out, 5, &metadata);
        out
    };
    for (time, help) in [(1, 4), (2, 4), (3, 5), (4, 5)] {
        let body = request_v2(&symbols, &[series(2, help, time), series(3, 4, time)]);
        assert_eq!(receiver.receive(V2, &body).status, 204);
    }
    let of = |name, help| family(name, MetricType::Histogram, help);
    assert_eq!(storage.0.lock().families, [of("a", "first"), of("b", "first"), of("a", "second")]);
    storage.0.lock().first_known = 2;
    storage.0.lock().families.clear();
    assert_eq!(receiver.receive(V2, &request_v2(&symbols, &[series(2, 5, 5)])).status, 204);
    assert_eq!(storage.0.lock().families, [of("a", "second")], "the storage forgot the series");
}

#[test]
fn metadata_of_version_1_is_stored_by_family() {
    let storage = Arc::new(FakeStorage::default());
    let mut metadata = Vec::new();
    varint(&mut metadata, 1, 1);
    for (number, text) in [(2, "hits_total"), (4, "Hits."), (5, "s")] {
        message(&mut metadata, number, text.as_bytes());
    }
    let mut body = Vec::new();
    message(&mut body, 3, &metadata);
    assert_eq!(receiver(&storage).receive(V1, &compressed(&body)).status, 204);
    assert_eq!(storage.0.lock().families, [family("hits_total", MetricType::Counter, "Hits.")]);
}

#[test]
fn histograms_and_exemplars_come_through() {
    let storage = Arc::new(FakeStorage::default());
    let receiver = receiver(&storage);
    let mut series = series_v1(&[("__name__", "h")], &[]);
    let mut histogram = Vec::new();
    varint(&mut histogram, 1, 3);
    varint(&mut histogram, 4, 2); // schema 1
    message(&mut histogram, 11, &[0x08, 0x00, 0x10, 0x02]);
    message(&mut histogram, 12, &[0x02, 0x02]); // deltas 1, 1
    varint(&mut histogram, 15, 7);
    message(&mut series, 4, &histogram);
    let mut exemplar = Vec::new();
    message(&mut exemplar, 1, &series_v1(&[("trace_id", "x")], &[])[2..]);
    exemplar.extend_from_slice(
        &sample(7, 1.0)[..9]
            .iter()
            .enumerate()
            .map(|(i, b)| if i == 0 { 2 << 3 | 1 } else { *b })
            .collect::<Vec<_>>(),
    );
    varint(&mut exemplar, 3, 7);
    message(&mut series, 3, &exemplar);
    let outcome = receiver.receive(V1, &request_v1(&[series]));
    assert_eq!(outcome.status, 204, "{}", outcome.message);
    let stored = storage.0.lock();
    assert_eq!((stored.histograms, stored.exemplars), (1, 1));
}

#[test]
fn requests_of_another_kind_are_refused() {
    let storage = Arc::new(FakeStorage::default());
    let receiver = receiver(&storage);
    let status = |content_type, content_encoding, body: &[u8]| {
        receiver.receive(Headers { content_type, content_encoding }, body).status
    };
    let body = request_v1(&[series_v1(&[("__name__", "a")], &[(1, 1.0)])]);
    assert_eq!(status("", "", &body), 204);
    assert_eq!(status("text/plain", "snappy", &body), 415);
    assert_eq!(status("application/x-protobuf;proto=other", "snappy", &body), 415);
    assert_eq!(status("application/x-protobuf", "gzip", &body), 415);
    assert_eq!(status("application/x-protobuf", "snappy", b"no snappy"), 400);
    assert_eq!(status("application/x-protobuf", "snappy", &compressed(&[0x0a, 0x7f])), 400);
    // A length of 4 GiB is refused before it is believed.
    assert_eq!(status("application/x-protobuf", "snappy", &[0xff, 0xff, 0xff, 0xff, 0x0f, 0]), 400);
}

proptest! {
    #[test]
    fn any_message_has_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300), second in any::<bool>()) {
        let storage = Arc::new(FakeStorage::default());
        let outcome = receiver(&storage).receive(if second { V2 } else { V1 }, &compressed(&bytes));
        prop_assert!(matches!(outcome.status, 204 | 400));
    }
}
