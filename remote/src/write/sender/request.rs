//! A request made by hand, for tools that push what they have read somewhere.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use model::labels::Labels;
use model::metadata::Metadata;
use model::time::TimestampMs;

use super::encode::Encoder;
use super::item::{Item, Value};
use super::post::VERSION_HEADER;
use crate::write::Version;

/// A compressed request with samples and with what is known of their families, and the headers that say what it
/// is.
pub fn request(
    version: Version,
    samples: Vec<(Labels, TimestampMs, f64)>,
    families: &[(String, Metadata)],
) -> (HeaderMap, Bytes) {
    let item = |(labels, timestamp_ms, value)| Item {
        commit: 0,
        labels,
        timestamp_ms,
        value: Value::Float(value),
        exemplars: Vec::new(),
    };
    let items: Vec<Item> = samples.into_iter().map(item).collect();
    (version.headers(), Encoder::default().all(version, &items, families))
}

impl Version {
    /// The headers of a request of this version.
    pub(super) fn headers(self) -> HeaderMap {
        let (content_type, number) = match self {
            Version::V1 => ("application/x-protobuf", "0.1.0"),
            Version::V2 => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
        };
        HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static(content_type)),
            (CONTENT_ENCODING, HeaderValue::from_static("snappy")),
            (VERSION_HEADER, HeaderValue::from_static(number)),
        ])
    }
}
