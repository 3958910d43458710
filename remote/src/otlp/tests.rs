//! Requests as an SDK sends them, into a storage that keeps batches.

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use model::labels::Labels;
use model::metadata::MetricType;
use model::storage::{
    AppendError, Appender, Batch, BatchList, Committed, HistogramValue, Rejected, SeriesKey, StorageError,
};
use model::time::ManualClock;
use model::value::is_stale_nan;
use parking_lot::Mutex;
use prometheus::Registry;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{DeltaHandling, Headers, Outcome, Receiver, ReceiverOptions, Settings};
use crate::protobuf::{put_bytes, put_double, put_packed_doubles, put_sint32, put_varint_field};

const NOW_MS: i64 = 1_700_000_000_000;
/// The time of points in these tests, in nanoseconds.
const NANOS: u64 = 1_700_000_000_000_000_000;

/// Keeps what is committed; refuses what it is told to.
#[derive(Debug, Default)]
struct Kept {
    batches: Mutex<Vec<Batch>>,
    rejected: Mutex<Vec<Rejected>>,
    fails: bool,
}

impl Appender for Kept {
    fn commit(&self, batch: &Batch) -> Result<Committed, StorageError> {
        if self.fails {
            return Err(StorageError::NotReady);
        }
        self.batches.lock().push(batch.clone());
        let new_refs = vec![None; batch.new_series.len()];
        Ok(Committed { new_refs, rejected: self.rejected.lock().clone() })
    }
}

struct Bench {
    kept: Arc<Kept>,
    receiver: Receiver,
}

impl Bench {
    fn new(settings: Settings, deltas: DeltaHandling) -> Self {
        Self::on(Kept::default(), settings, deltas)
    }

    fn on(kept: Kept, settings: Settings, deltas: DeltaHandling) -> Self {
        let kept = Arc::new(kept);
        let options = ReceiverOptions { deltas, lookback_ms: 300_000 };
        let clock = Arc::new(ManualClock::new(NOW_MS));
        let receiver = Receiver::new(options, Arc::clone(&kept) as _, clock, &Registry::new()).unwrap();
        receiver.apply(settings);
        Bench { kept, receiver }
    }

    fn json(&self, request: &Json) -> Outcome {
        let headers = Headers { content_type: "application/json", content_encoding: "" };
        self.receiver.receive(headers, request.to_string().as_bytes())
    }

    fn protobuf(&self, body: &[u8]) -> Outcome {
        let headers = Headers { content_type: "application/x-protobuf", content_encoding: "" };
        self.receiver.receive(headers, body)
    }

    /// Every sample of the last batch as a line: labels, value, and time since [`NOW_MS`].
    fn lines(&self) -> Vec<String> {
        let batches = self.kept.batches.lock();
        let batch = batches.last().unwrap();
        let labels = |series: SeriesKey| labels_of(batch, series);
        let value = |value: f64| if is_stale_nan(value) { "stale".to_owned() } else { value.to_string() };
        let floats = batch.floats.iter().map(|sample| {
            format!("{} {} {}", labels(sample.series), value(sample.value), sample.timestamp_ms - NOW_MS)
        });
        let histograms = batch.histograms.iter().map(|sample| {
            let (kind, sum) = match &sample.value {
                HistogramValue::Integer(histogram) => ("integer", histogram.to_float()),
                HistogramValue::Float(histogram) => ("float", histogram.clone()),
            };
            let text = if sample.value.is_stale() { "stale".to_owned() } else { sum.test_expression() };
            format!("{} {kind} {text} {}", labels(sample.series), sample.timestamp_ms - NOW_MS)
        });
        let exemplars = batch.exemplars.iter().map(|(series, exemplar)| {
            format!("{} # {} {}", labels(*series), exemplar.labels, exemplar.value)
        });
        floats.chain(histograms).chain(exemplars).collect()
    }
}

fn labels_of(batch: &Batch, series: SeriesKey) -> Labels {
    match series {
        SeriesKey::New(index) => batch.new_series[index as usize].clone(),
        SeriesKey::Known(_) => panic!("nobody gave it a ref"),
    }
}

fn request(metrics: Json) -> Json {
    let attributes = json!([
        { "key": "service.name", "value": { "stringValue": "shop" } },
        { "key": "host.name", "value": { "stringValue": "h1" } },
    ]);
    json!({ "resourceMetrics": [{
        "resource": { "attributes": attributes },
        "scopeMetrics": [{ "scope": { "name": "lib", "version": "1" }, "metrics": metrics }],
    }] })
}

fn gauge(value: f64) -> Json {
    json!([{ "name": "temp", "unit": "Cel", "description": "How warm it is", "gauge": { "dataPoints": [
        { "timeUnixNano": NANOS.to_string(), "asDouble": value },
    ] } }])
}

const INFO: &str = r#"{__name__="target_info", host_name="h1", job="shop"} 1 0"#;

#[test]
fn gauges_and_sums_become_samples_with_metadata() {
    let bench = Bench::new(Settings::default(), DeltaHandling::Refuse);
    let mut metrics = gauge(20.5);
    metrics.as_array_mut().unwrap().push(json!({
        "name": "requests", "unit": "{request}", "sum": {
            "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [{
                "timeUnixNano": NANOS, "asInt": "7",
                "attributes": [{ "key": "http.code", "value": { "intValue": "200" } }],
                "exemplars": [{
                    "timeUnixNano": NANOS, "asInt": "1", "traceId": "5B8EFFF798038103D269B633813FC60C",
                    "spanId": "0000000000000000",
                }],
            }],
        },
    }));
    let outcome = bench.json(&request(metrics));
    assert_eq!((outcome.status, outcome.body.as_str()), (200, "{}"));
    let requests = r#"{__name__="requests_total", http_code="200", job="shop"}"#;
    assert_eq!(
        bench.lines(),
        [
            r#"{__name__="temp_celsius", job="shop"} 20.5 0"#.to_owned(),
            format!("{requests} 7 0"),
            INFO.to_owned(),
            format!(r#"{requests} # {{trace_id="5b8efff798038103d269b633813fc60c"}} 1"#),
        ]
    );
    let batches = bench.kept.batches.lock();
    let metadata: Vec<(MetricType, &str, &str)> = batches[0]
        .metadata
        .iter()
        .map(|(_, family)| {
            let metadata = &family.metadata;
            (metadata.metric_type, &*metadata.help, &*metadata.unit)
        })
        .collect();
    assert_eq!(
        metadata,
        [
            (MetricType::Gauge, "How warm it is", "celsius"),
            (MetricType::Counter, "", ""),
            (MetricType::Gauge, "Target metadata", ""),
        ]
    );
}

fn histogram(temporality: u64, flags: u64) -> Json {
    json!([{ "name": "wait", "unit": "s", "histogram": {
        "aggregationTemporality": temporality, "dataPoints": [{
            "timeUnixNano": NANOS, "count": "6", "sum": 9.5, "flags": flags,
            "bucketCounts": ["1", "2", "3"], "explicitBounds": [0.5, 2],
            "exemplars": [{ "asDouble": 1.5, "timeUnixNano": NANOS }],
        }],
    } }])
}

#[test]
fn histograms_become_classic_ones_or_native_ones_with_their_bounds() {
    let bench = Bench::new(Settings::default(), DeltaHandling::Refuse);
    assert_eq!(bench.json(&request(histogram(2, 0))).status, 200);
    assert_eq!(
        bench.lines(),
        [
            r#"{__name__="wait_seconds_sum", job="shop"} 9.5 0"#,
            r#"{__name__="wait_seconds_count", job="shop"} 6 0"#,
            r#"{__name__="wait_seconds_bucket", job="shop", le="0.5"} 1 0"#,
            r#"{__name__="wait_seconds_bucket", job="shop", le="2"} 3 0"#,
            r#"{__name__="wait_seconds_bucket", job="shop", le="+Inf"} 6 0"#,
            INFO,
            r#"{__name__="wait_seconds_bucket", job="shop", le="2"} # {} 1.5"#,
        ]
    );
    let settings = Settings { convert_histograms_to_nhcb: true, ..Settings::default() };
    let bench = Bench::new(settings, DeltaHandling::Refuse);
    assert_eq!(bench.json(&request(histogram(2, 0))).status, 200);
    assert_eq!(
        bench.lines()[1],
        r#"{__name__="wait_seconds", job="shop"} integer {{schema:-53 count:6 sum:9.5 custom_values:[0.5 2] buckets:[1 2 3]}} 0"#
    );
}

#[test]
fn summaries_and_exponential_histograms_are_translated() {
    let bench = Bench::new(Settings::default(), DeltaHandling::Refuse);
    let metrics = json!([
        { "name": "size", "summary": { "dataPoints": [{
            "timeUnixNano": NANOS, "count": 3, "sum": "12.5",
            "quantileValues": [{ "quantile": 0.5, "value": 4 }, { "quantile": 1, "value": "NaN" }],
        }] } },
        { "name": "lag", "exponentialHistogram": {
            "aggregationTemporality": "AGGREGATION_TEMPORALITY_CUMULATIVE", "dataPoints": [{
                "timeUnixNano": NANOS, "count": 4, "sum": 5, "scale": 0, "zeroCount": 1,
                "positive": { "offset": 0, "bucketCounts": [1, 0, 2] },
            }],
        } },
    ]);
    assert_eq!(bench.json(&request(metrics)).status, 200);
    assert_eq!(
        bench.lines(),
        [
            r#"{__name__="size_sum", job="shop"} 12.5 0"#,
            r#"{__name__="size_count", job="shop"} 3 0"#,
            r#"{__name__="size", job="shop", quantile="0.5"} 4 0"#,
            r#"{__name__="size", job="shop", quantile="1"} NaN 0"#,
            INFO,
            r#"{__name__="lag", job="shop"} integer {{count:4 sum:5 z_bucket:1 z_bucket_w:1e-128 offset:1 buckets:[1 0 2]}} 0"#,
        ]
    );
}

#[test]
fn points_without_a_value_end_their_series() {
    let bench = Bench::new(Settings::default(), DeltaHandling::Refuse);
    assert_eq!(bench.json(&request(histogram(2, 1))).status, 200);
    let lines = bench.lines();
    assert_eq!(lines.iter().filter(|line| line.contains(" stale ")).count(), 5, "{lines:?}");
}

#[test]
fn deltas_are_refused_stored_or_added_up() {
    let delta = |nanos: u64, value: f64| {
        request(json!([{ "name": "jobs", "sum": {
            "aggregationTemporality": 1, "isMonotonic": true,
            "dataPoints": [{ "timeUnixNano": nanos, "asDouble": value }],
        } }]))
    };
    let bench = Bench::new(Settings::default(), DeltaHandling::Refuse);
    let outcome = bench.json(&delta(NANOS, 1.0));
    assert_eq!(outcome.status, 500);
    assert_eq!(outcome.body, "invalid temporality and type combination for metric \"jobs\"");

    let bench = Bench::new(Settings::default(), DeltaHandling::Native);
    assert_eq!(bench.json(&delta(NANOS, 1.0)).status, 200);
    assert_eq!(bench.kept.batches.lock()[0].metadata[0].1.metadata.metric_type, MetricType::Unknown);

    let bench = Bench::new(Settings::default(), DeltaHandling::Cumulative);
    let line = |value: f64, ms: i64| format!("{{__name__=\"jobs_total\", job=\"shop\"}} {value} {ms}");
    for (later_ms, value, stored) in
        [(0, 2.0, Some(2.0)), (5, 3.0, Some(5.0)), (5, 3.0, None), (9, 1.0, Some(6.0))]
    {
        let ms = later_ms as i64;
        assert_eq!(bench.json(&delta(NANOS + later_ms * 1_000_000, value)).status, 200);
        let first = bench.lines()[0].clone();
        match stored {
            Some(sum) => assert_eq!(first, line(sum, ms)),
            None => assert!(first.contains("target_info"), "{first}"),
        }
    }
    let exponential = |nanos: u64, scale: i32| {
        request(json!([{ "name": "lag", "exponentialHistogram": {
            "aggregationTemporality": 1, "dataPoints": [{
                "timeUnixNano": nanos, "count": 1, "sum": 1, "scale": scale,
                "positive": { "offset": 0, "bucketCounts": [1] },
            }],
        } }]))
    };
    assert_eq!(bench.json(&exponential(NANOS, 1)).status, 200);
    assert_eq!(bench.json(&exponential(NANOS + 1_000_000, 0)).status, 200);
    let sum = "{{count:2 sum:2 z_bucket_w:1e-128 offset:1 buckets:[2]}}";
    assert_eq!(bench.lines()[1], format!("{{__name__=\"lag\", job=\"shop\"}} float {sum} 1"));
}

#[test]
fn target_info_is_repeated_between_the_first_point_and_the_last() {
    let bench = Bench::new(Settings::default(), DeltaHandling::Refuse);
    let points = |nanos: &[u64]| {
        let points: Vec<Json> = nanos.iter().map(|n| json!({ "timeUnixNano": n, "asInt": 1 })).collect();
        request(json!([{ "name": "x", "gauge": { "dataPoints": points } }]))
    };
    let minutes = |count: u64| NANOS - count * 60_000_000_000;
    assert_eq!(bench.json(&points(&[minutes(6), NANOS])).status, 200);
    let infos: Vec<String> = bench.lines().into_iter().filter(|line| line.contains("target_info")).collect();
    let times: Vec<&str> = infos.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(times, ["-360000", "-210000", "-60000", "0"]);
    // Points without a time don't make one for every other minute since 1970.
    assert_eq!(bench.json(&points(&[0, NANOS])).status, 200);
    assert!(bench.lines().len() < 1_300);
}

#[test]
fn names_and_labels_follow_the_settings() {
    let settings = Settings {
        translation_strategy: super::TranslationStrategy::NoTranslation,
        promote_all_resource_attributes: true,
        ignore_resource_attributes: vec!["service.name".to_owned()],
        promote_scope_metadata: true,
        ..Settings::default()
    };
    let bench = Bench::new(settings, DeltaHandling::Refuse);
    assert_eq!(bench.json(&request(gauge(1.0))).status, 200);
    assert_eq!(
        bench.lines()[0],
        r#"{__name__="temp", "host.name"="h1", job="shop", otel_scope_name="lib", otel_scope_version="1"} 1 0"#
    );
}

#[test]
fn what_the_storage_refuses_is_told_and_the_rest_is_stored() {
    let bench = Bench::new(Settings::default(), DeltaHandling::Refuse);
    let late = |list, index| Rejected { list, index, error: AppendError::OutOfOrder };
    *bench.kept.rejected.lock() = vec![late(BatchList::Floats, 1)];
    // Number 1 is `target_info`, which no sender sent.
    assert_eq!(bench.json(&request(gauge(1.0))).status, 200);
    *bench.kept.rejected.lock() = vec![late(BatchList::Floats, 0)];
    let outcome = bench.json(&request(gauge(1.0)));
    assert_eq!(outcome.status, 400);
    assert_eq!(outcome.body, r#"out of order sample for series {__name__="temp_celsius", job="shop"}"#);

    let hour_ahead = NANOS + 3_600_000_000_000;
    let ahead = request(json!([{ "name": "x", "gauge": { "dataPoints": [
        { "timeUnixNano": hour_ahead, "asInt": 1 },
    ] } }]));
    bench.kept.rejected.lock().clear();
    let outcome = bench.json(&ahead);
    assert_eq!(
        (outcome.status, outcome.body.as_str()),
        (400, "out of bounds: timestamp is too far in the future")
    );

    let failing = Kept { fails: true, ..Kept::default() };
    let bench = Bench::on(failing, Settings::default(), DeltaHandling::Refuse);
    assert_eq!(bench.json(&request(gauge(1.0))).status, 500);
}

#[test]
fn what_is_no_request_is_refused() {
    let bench = Bench::new(Settings::default(), DeltaHandling::Refuse);
    for (content_type, content_encoding, body, status, message) in [
        (
            "text/plain",
            "",
            &b""[..],
            400,
            "unsupported content type: text/plain, supported: [application/json, application/x-protobuf]",
        ),
        (
            "application/json",
            "zstd",
            b"{}",
            400,
            "unsupported compression: zstd. Only \"gzip\" or no compression supported",
        ),
        ("application/x-protobuf", "gzip", b"no", 400, "gzip: "),
        ("application/x-protobuf", "", b"\x0a\x7f", 400, "unexpected EOF"),
        ("application/json; charset=utf-8", "", b"{\"resourceMetrics\": 1}", 400, "JSON: invalid type"),
    ] {
        let outcome = bench.receiver.receive(Headers { content_type, content_encoding }, body);
        assert_eq!(outcome.status, status, "{content_type} {content_encoding}");
        assert!(outcome.body.starts_with(message), "{}", outcome.body);
    }
    // As nothing is in it, nothing is wrong with it.
    assert_eq!(bench.protobuf(b"").status, 200);
}

#[test]
fn requests_that_would_fill_the_memory_are_refused() {
    let bench = Bench::new(Settings::default(), DeltaHandling::Refuse);
    let mut zip = GzEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![0; 1 << 20];
    for _ in 0..33 {
        zip.write_all(&zeros).unwrap();
    }
    let bomb = zip.finish().unwrap();
    let headers = Headers { content_type: "application/x-protobuf", content_encoding: "gzip" };
    assert_eq!(bench.receiver.receive(headers, &bomb).status, 413);
    // Empty messages: two bytes each.
    let mut points = Vec::new();
    (0..2_000_000).for_each(|_| put_bytes(&mut points, 1, &[]));
    let nested = |field, inner: &[u8]| {
        let mut out = Vec::new();
        put_bytes(&mut out, field, inner);
        out
    };
    let metric = nested(5, &points);
    let body = nested(1, &nested(2, &nested(2, &metric)));
    assert_eq!(bench.protobuf(&body).status, 413);
    let headers = Headers { content_type: "application/json", content_encoding: "" };
    let body = "{".repeat(1 << 20);
    assert_eq!(bench.receiver.receive(headers, body.as_bytes()).status, 413);
    // A list in a list in a list …
    let mut value = Vec::new();
    for _ in 0..100 {
        value = nested(5, &nested(1, &value));
    }
    let attribute = nested(2, &value);
    let body = nested(1, &nested(1, &nested(1, &attribute)));
    let outcome = bench.protobuf(&body);
    assert_eq!((outcome.status, &*outcome.body), (400, "attribute values are nested more than 64 deep"));
}

/// The same request in protobuf as in JSON, compressed.
#[test]
fn protobuf_says_the_same_as_json() {
    let message = |fields: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        fields(&mut out);
        out
    };
    let fixed64 = |out: &mut Vec<u8>, field, value: u64| put_double(out, field, f64::from_bits(value));
    let text_attribute = |key: &str, value: &str| {
        let value = message(&|out| put_bytes(out, 1, value.as_bytes()));
        message(&|out| {
            put_bytes(out, 1, key.as_bytes());
            put_bytes(out, 2, &value);
        })
    };
    let point = message(&|out| {
        put_bytes(out, 1, &text_attribute("zone", "a"));
        fixed64(out, 3, NANOS);
        fixed64(out, 4, 3);
        put_double(out, 5, 2.5);
        put_sint32(out, 6, -1);
        let buckets = message(&|out| {
            put_sint32(out, 1, 2);
            put_bytes(out, 2, &[1, 2]);
        });
        put_bytes(out, 8, &buckets);
        let exemplar = message(&|out| {
            fixed64(out, 2, NANOS);
            put_double(out, 3, 1.5);
            put_bytes(out, 4, &[0xab; 8]);
            put_bytes(out, 7, &text_attribute("k", "v"));
        });
        put_bytes(out, 11, &exemplar);
    });
    let points = message(&|out| {
        put_bytes(out, 1, &point);
        put_varint_field(out, 2, 2);
    });
    let classic = message(&|out| {
        let point = message(&|out| {
            fixed64(out, 3, NANOS);
            fixed64(out, 4, 2);
            put_bytes(out, 6, &[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
            put_packed_doubles(out, 7, &[1.0]);
        });
        put_bytes(out, 1, &point);
        put_varint_field(out, 2, 2);
    });
    let metric = |name: &str, field, points: &[u8]| {
        message(&|out| {
            put_bytes(out, 1, name.as_bytes());
            put_bytes(out, field, points);
        })
    };
    let scope_metrics = message(&|out| {
        put_bytes(out, 2, &metric("lag", 10, &points));
        put_bytes(out, 2, &metric("wait", 9, &classic));
    });
    let resource = message(&|out| put_bytes(out, 1, &text_attribute("service.name", "shop")));
    let resource_metrics = message(&|out| {
        put_bytes(out, 1, &resource);
        put_bytes(out, 2, &scope_metrics);
    });
    let body = message(&|out| put_bytes(out, 1, &resource_metrics));
    let mut zip = GzEncoder::new(Vec::new(), Compression::fast());
    zip.write_all(&body).unwrap();
    let zipped = zip.finish().unwrap();
    let bench = Bench::new(Settings::default(), DeltaHandling::Refuse);
    let headers = Headers { content_type: "application/x-protobuf", content_encoding: "gzip" };
    let outcome = bench.receiver.receive(headers, &zipped);
    assert_eq!((outcome.status, outcome.body.as_str()), (200, ""));
    let from_protobuf = bench.lines();

    let written = json!({ "resourceMetrics": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "shop" } }] },
        "scopeMetrics": [{ "metrics": [
            { "name": "lag", "exponentialHistogram": { "aggregationTemporality": 2, "dataPoints": [{
                "attributes": [{ "key": "zone", "value": { "stringValue": "a" } }],
                "timeUnixNano": NANOS, "count": 3, "sum": 2.5, "scale": -1,
                "positive": { "offset": 2, "bucketCounts": [1, 2] },
                "exemplars": [{
                    "timeUnixNano": NANOS, "asDouble": 1.5, "spanId": "abababababababab",
                    "filteredAttributes": [{ "key": "k", "value": { "stringValue": "v" } }],
                }],
            }] } },
            { "name": "wait", "histogram": { "aggregationTemporality": 2, "dataPoints": [{
                "timeUnixNano": NANOS, "count": 2, "bucketCounts": [1, 1], "explicitBounds": [1],
            }] } },
        ] }],
    }] });
    assert_eq!(bench.json(&written).status, 200);
    assert_eq!(bench.lines(), from_protobuf);
    assert_eq!(
        from_protobuf,
        [
            r#"{__name__="wait_count", job="shop"} 2 0"#,
            r#"{__name__="wait_bucket", job="shop", le="1"} 1 0"#,
            r#"{__name__="wait_bucket", job="shop", le="+Inf"} 2 0"#,
            r#"{__name__="lag", job="shop", zone="a"} integer {{schema:-1 count:3 sum:2.5 z_bucket_w:1e-128 offset:3 buckets:[1 2]}} 0"#,
            r#"{__name__="lag", job="shop", zone="a"} # {k="v", span_id="abababababababab"} 1.5"#,
        ]
    );
}

proptest! {
    #[test]
    fn any_bytes_are_stored_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        is_json in any::<bool>(),
    ) {
        let bench = Bench::new(Settings::default(), DeltaHandling::Cumulative);
        let content_type = if is_json { "application/json" } else { "application/x-protobuf" };
        let outcome = bench.receiver.receive(Headers { content_type, content_encoding: "" }, &bytes);
        prop_assert!([200, 400, 500].contains(&outcome.status));
    }
}
