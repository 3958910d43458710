//! An alert as Alertmanager takes it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::labels::Labels;
use model::time::TimestampMs;
use serde::{Serialize, Serializer};

use crate::alerting::Alert;
use crate::template::escape_query;

/// One element of the array that is posted to `/api/v2/alerts`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    annotations: BTreeMap<String, String>,
    #[serde(serialize_with = "time")]
    ends_at: TimestampMs,
    #[serde(serialize_with = "time")]
    starts_at: TimestampMs,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    labels: Labels,
}

impl Message {
    /// An alert, with the labels it is sent with. It ends when it ended, or when it won't have been heard of
    /// for too long.
    pub(super) fn new(labels: Labels, alert: &Alert, expr: &str, external_url: &str) -> Self {
        Message {
            labels,
            annotations: alert.annotations.clone(),
            starts_at: alert.fired_at_ms.unwrap_or(alert.active_at_ms),
            ends_at: alert.resolved_at_ms.unwrap_or(alert.valid_until_ms),
            generator_url: format!("{external_url}/graph?g0.expr={}&g0.tab=1", escape_query(expr)),
        }
    }

    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(super) fn with_labels(&self, labels: Labels) -> Self {
        Message { labels, ..self.clone() }
    }
}

/// `2006-01-02T15:04:05.000Z`
fn time<S: Serializer>(time: &TimestampMs, serializer: S) -> Result<S::Ok, S::Error> {
    let time = Timestamp::from_millisecond(*time).map_err(serde::ser::Error::custom)?;
    serializer.collect_str(&time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))
}
