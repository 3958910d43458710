//! The file of unit tests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::duration::PromDuration;
use model::time::TimestampMs;
use serde::{Deserialize, Deserializer, de};
use serde_saphyr::UserMessageFormatter;

const DEFAULT_INTERVAL: PromDuration = PromDuration::from_secs(60);

/// Why a test file can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TestFileError(pub(super) String);

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TestFile {
    pub(super) rule_files: Vec<String>,
    evaluation_interval: Option<PromDuration>,
    pub(super) fuzzy_compare: bool,
    pub(super) group_eval_order: Vec<String>,
    pub(super) tests: Vec<Test>,
}

/// One test.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Test {
    pub(super) name: String,
    interval: Option<PromDuration>,
    pub(super) start_timestamp: StartTime,
    pub(super) input_series: Vec<InputSeries>,
    pub(super) alert_rule_test: Vec<AlertTest>,
    pub(super) promql_expr_test: Vec<ExprTest>,
    pub(super) external_labels: BTreeMap<String, String>,
    pub(super) external_url: String,
}

/// Series that a test begins with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputSeries {
    pub(super) series: String,
    pub(super) values: String,
}

/// Which alerts of a name must fire at a time.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AlertTest {
    pub(super) eval_time: PromDuration,
    pub(super) alertname: String,
    pub(super) exp_alerts: Vec<ExpectedAlert>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExpectedAlert {
    pub(super) exp_labels: BTreeMap<String, String>,
    pub(super) exp_annotations: BTreeMap<String, String>,
}

/// Which samples an expression must give at a time.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExprTest {
    pub(super) expr: String,
    pub(super) eval_time: PromDuration,
    pub(super) exp_samples: Vec<ExpectedSample>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExpectedSample {
    pub(super) labels: String,
    pub(super) value: f64,
    pub(super) histogram: String,
}

/// When a test begins: seconds or a date.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StartTime(pub(super) TimestampMs);

impl<'de> Deserialize<'de> for StartTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Ok(seconds) = text.parse::<i64>() {
            return Ok(StartTime(seconds.saturating_mul(1000)));
        }
        let time: Timestamp =
            text.parse().map_err(|_| de::Error::custom(format!("invalid start_timestamp {text:?}")))?;
        Ok(StartTime(time.as_millisecond()))
    }
}

impl TestFile {
    pub(super) fn parse(text: &str) -> Result<Self, TestFileError> {
        let options = serde_saphyr::options! { with_snippet: false };
        match serde_saphyr::from_str_with_options::<Option<TestFile>>(text, options) {
            Ok(file) => Ok(file.unwrap_or_default()),
            Err(serde_saphyr::Error::Eof { .. }) => Ok(TestFile::default()),
            Err(error) => Err(TestFileError(error.render_with_formatter(&UserMessageFormatter))),
        }
    }

    pub(super) fn evaluation_interval(&self) -> PromDuration {
        self.evaluation_interval.filter(|interval| !interval.is_zero()).unwrap_or(DEFAULT_INTERVAL)
    }
}

impl Test {
    /// The distance of the input's samples.
    pub(super) fn interval(&self, file: &TestFile) -> PromDuration {
        self.interval.filter(|interval| !interval.is_zero()).unwrap_or_else(|| file.evaluation_interval())
    }

    /// The last time that is asked about, from the start.
    pub(super) fn duration(&self) -> PromDuration {
        let alerts = self.alert_rule_test.iter().map(|test| test.eval_time);
        alerts.chain(self.promql_expr_test.iter().map(|test| test.eval_time)).max().unwrap_or_default()
    }
}
