//! The message `ExportMetricsServiceRequest`.
//!
//! Source: `opentelemetry/proto/metrics/v1/metrics.proto` of the OpenTelemetry protocol, version 1. Gauges, sums,
//! histograms and summaries are all lists of points of one type or another, so they share [`Points`].

use serde::Deserialize;

use super::json::{hex_id, number, numbers, optional_number, temporality};

/// A point has no value: what it belongs to has ended (`FLAG_NO_RECORDED_VALUE`).
const NO_RECORDED_VALUE: u32 = 1;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Request {
    pub(super) resource_metrics: Vec<ResourceMetrics>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ResourceMetrics {
    pub(super) resource: Resource,
    pub(super) scope_metrics: Vec<ScopeMetrics>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Resource {
    pub(super) attributes: Vec<KeyValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ScopeMetrics {
    pub(super) scope: Scope,
    pub(super) metrics: Vec<Metric>,
    pub(super) schema_url: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Scope {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) attributes: Vec<KeyValue>,
}

/// A metric; one of the lists of points is there.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) unit: String,
    pub(super) gauge: Option<Points<NumberPoint>>,
    pub(super) sum: Option<Points<NumberPoint>>,
    pub(super) histogram: Option<Points<HistogramPoint>>,
    pub(super) exponential_histogram: Option<Points<ExponentialPoint>>,
    pub(super) summary: Option<Points<SummaryPoint>>,
}

#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase", bound = "P: Deserialize<'de>")]
pub(super) struct Points<P> {
    pub(super) data_points: Vec<P>,
    #[serde(deserialize_with = "temporality")]
    pub(super) aggregation_temporality: Temporality,
    pub(super) is_monotonic: bool,
}

impl<P> Default for Points<P> {
    fn default() -> Self {
        Points {
            data_points: Vec::new(),
            aggregation_temporality: Temporality::default(),
            is_monotonic: false,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Temporality {
    #[default]
    Unspecified,
    Delta,
    Cumulative,
}

impl Temporality {
    pub(super) fn of_number(number: u64) -> Self {
        match number {
            1 => Temporality::Delta,
            2 => Temporality::Cumulative,
            _ => Temporality::Unspecified,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NumberPoint {
    pub(super) attributes: Vec<KeyValue>,
    #[serde(deserialize_with = "number")]
    pub(super) start_time_unix_nano: u64,
    #[serde(deserialize_with = "number")]
    pub(super) time_unix_nano: u64,
    #[serde(deserialize_with = "optional_number")]
    pub(super) as_double: Option<f64>,
    #[serde(deserialize_with = "optional_number")]
    pub(super) as_int: Option<i64>,
    pub(super) exemplars: Vec<Exemplar>,
    pub(super) flags: u32,
}

impl NumberPoint {
    pub(super) fn value(&self) -> f64 {
        self.as_double.or(self.as_int.map(|value| value as f64)).unwrap_or_default()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct HistogramPoint {
    pub(super) attributes: Vec<KeyValue>,
    #[serde(deserialize_with = "number")]
    pub(super) start_time_unix_nano: u64,
    #[serde(deserialize_with = "number")]
    pub(super) time_unix_nano: u64,
    #[serde(deserialize_with = "number")]
    pub(super) count: u64,
    #[serde(deserialize_with = "optional_number")]
    pub(super) sum: Option<f64>,
    #[serde(deserialize_with = "numbers")]
    pub(super) bucket_counts: Vec<u64>,
    #[serde(deserialize_with = "numbers")]
    pub(super) explicit_bounds: Vec<f64>,
    pub(super) exemplars: Vec<Exemplar>,
    pub(super) flags: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ExponentialPoint {
    pub(super) attributes: Vec<KeyValue>,
    #[serde(deserialize_with = "number")]
    pub(super) start_time_unix_nano: u64,
    #[serde(deserialize_with = "number")]
    pub(super) time_unix_nano: u64,
    #[serde(deserialize_with = "number")]
    pub(super) count: u64,
    #[serde(deserialize_with = "optional_number")]
    pub(super) sum: Option<f64>,
    pub(super) scale: i32,
    #[serde(deserialize_with = "number")]
    pub(super) zero_count: u64,
    pub(super) positive: Buckets,
    pub(super) negative: Buckets,
    pub(super) exemplars: Vec<Exemplar>,
    pub(super) flags: u32,
    #[serde(deserialize_with = "number")]
    pub(super) zero_threshold: f64,
}

/// Counts of buckets in a row; the first has the index `offset`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Buckets {
    pub(super) offset: i32,
    #[serde(deserialize_with = "numbers")]
    pub(super) bucket_counts: Vec<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SummaryPoint {
    pub(super) attributes: Vec<KeyValue>,
    #[serde(deserialize_with = "number")]
    pub(super) time_unix_nano: u64,
    #[serde(deserialize_with = "number")]
    pub(super) count: u64,
    #[serde(deserialize_with = "number")]
    pub(super) sum: f64,
    pub(super) quantile_values: Vec<Quantile>,
    pub(super) flags: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Quantile {
    #[serde(deserialize_with = "number")]
    pub(super) quantile: f64,
    #[serde(deserialize_with = "number")]
    pub(super) value: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Exemplar {
    pub(super) filtered_attributes: Vec<KeyValue>,
    #[serde(deserialize_with = "number")]
    pub(super) time_unix_nano: u64,
    #[serde(deserialize_with = "optional_number")]
    pub(super) as_double: Option<f64>,
    #[serde(deserialize_with = "optional_number")]
    pub(super) as_int: Option<i64>,
    /// In hexadecimal; likewise `trace_id`.
    #[serde(deserialize_with = "hex_id")]
    pub(super) span_id: String,
    #[serde(deserialize_with = "hex_id")]
    pub(super) trace_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct KeyValue {
    pub(super) key: String,
    pub(super) value: Value,
}

/// The message `AnyValue`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "super::json::WrittenValue")]
pub(super) enum Value {
    #[default]
    Empty,
    Text(String),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

/// What all points have in common.
pub(super) trait Point {
    fn time_unix_nano(&self) -> u64;
    fn flags(&self) -> u32;

    fn has_value(&self) -> bool {
        self.flags() & NO_RECORDED_VALUE == 0
    }
}

macro_rules! points {
    ($($point:ty),*) => {$(
        impl Point for $point {
            fn time_unix_nano(&self) -> u64 {
                self.time_unix_nano
            }

            fn flags(&self) -> u32 {
                self.flags
            }
        }
    )*};
}

points!(NumberPoint, HistogramPoint, ExponentialPoint, SummaryPoint);
