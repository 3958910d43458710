//! The formats in which targets answer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ConfigError;

/// A format of exposition, with its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScrapeProtocol {
    /// Length-delimited protobuf.
    PrometheusProto,
    /// The text format.
    PrometheusText004,
    /// The text format with quoted names.
    PrometheusText100,
    /// OpenMetrics before its standard.
    OpenMetricsText001,
    /// OpenMetrics 1.0.
    OpenMetricsText100,
}

impl ScrapeProtocol {
    const ALL: [ScrapeProtocol; 5] = [
        ScrapeProtocol::OpenMetricsText001,
        ScrapeProtocol::OpenMetricsText100,
        ScrapeProtocol::PrometheusProto,
        ScrapeProtocol::PrometheusText004,
        ScrapeProtocol::PrometheusText100,
    ];

    /// The name in configuration files.
    pub fn as_str(self) -> &'static str {
        match self {
            ScrapeProtocol::PrometheusProto => "PrometheusProto",
            ScrapeProtocol::PrometheusText004 => "PrometheusText0.0.4",
            ScrapeProtocol::PrometheusText100 => "PrometheusText1.0.0",
            ScrapeProtocol::OpenMetricsText001 => "OpenMetricsText0.0.1",
            ScrapeProtocol::OpenMetricsText100 => "OpenMetricsText1.0.0",
        }
    }

    /// What an `Accept` header asks for, without weight and escaping scheme.
    pub fn media_type(self) -> &'static str {
        match self {
            ScrapeProtocol::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            ScrapeProtocol::PrometheusText004 => "text/plain;version=0.0.4",
            ScrapeProtocol::PrometheusText100 => "text/plain;version=1.0.0",
            ScrapeProtocol::OpenMetricsText001 => "application/openmetrics-text;version=0.0.1",
            ScrapeProtocol::OpenMetricsText100 => "application/openmetrics-text;version=1.0.0",
        }
    }

    /// Whether the format knows how names can be escaped.
    pub fn knows_escaping(self) -> bool {
        matches!(self, ScrapeProtocol::PrometheusText100 | ScrapeProtocol::OpenMetricsText100)
    }

    /// What is asked for where nobody says: protobuf first where native histograms are wanted.
    pub fn default_order(protobuf_first: bool) -> Vec<ScrapeProtocol> {
        let text = [
            ScrapeProtocol::OpenMetricsText100,
            ScrapeProtocol::OpenMetricsText001,
            ScrapeProtocol::PrometheusText100,
            ScrapeProtocol::PrometheusText004,
        ];
        protobuf_first.then_some(ScrapeProtocol::PrometheusProto).into_iter().chain(text).collect()
    }
}

/// Refuses a list of protocols that is empty or names one twice.
pub fn check_list(protocols: &[ScrapeProtocol]) -> Result<(), ConfigError> {
    if protocols.is_empty() {
        return Err(ConfigError::NoProtocols);
    }
    let is_repeated = |i: usize| protocols[..i].contains(&protocols[i]);
    if (0..protocols.len()).any(is_repeated) {
        let names: Vec<_> = protocols.iter().map(|p| p.as_str()).collect();
        return Err(ConfigError::DuplicateProtocol(names.join(" ")));
    }
    Ok(())
}

impl FromStr for ScrapeProtocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ScrapeProtocol::ALL.into_iter().find(|p| p.as_str() == text).ok_or_else(|| {
            let names = ScrapeProtocol::ALL.map(ScrapeProtocol::as_str).join(" ");
            format!("unknown scrape protocol {text}, supported: [{names}]")
        })
    }
}

impl fmt::Display for ScrapeProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ScrapeProtocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for ScrapeProtocol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
