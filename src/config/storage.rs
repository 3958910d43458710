//! `storage`: what is kept, and for how long.

use std::path::Path;

use model::byte_size::ByteSize;
use model::duration::PromDuration;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use super::yaml::ConfigError;

/// The reference's default of `exemplars.max_exemplars`.
const DEFAULT_EXEMPLARS_MAX: i64 = 100_000;

/// The section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenStorage {
    pub(super) tsdb: Option<WrittenTsdb>,
    pub(super) exemplars: Option<WrittenExemplars>,
}

/// `storage.tsdb` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenTsdb {
    pub(super) out_of_order_time_window: Option<Spanned<PromDuration>>,
    pub(super) stale_series_compaction_threshold: Option<Spanned<f64>>,
    pub(super) chunk_encoding: Option<WrittenChunkEncoding>,
    retention: Option<WrittenRetention>,
}

/// `storage.tsdb.chunk_encoding` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenChunkEncoding {
    pub(super) floats: Option<Spanned<String>>,
}

/// `storage.tsdb.retention` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenRetention {
    time: Option<PromDuration>,
    size: Option<ByteSize>,
    percentage: Option<Spanned<f64>>,
}

/// `storage.exemplars` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenExemplars {
    pub(super) max_exemplars: Option<i64>,
}

/// The section in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StorageConfig {
    /// How much older than a series' newest sample a sample may be; zero refuses all that are older.
    pub(crate) out_of_order_time_window: PromDuration,
    /// Takes the place of all the flags' limits.
    pub(crate) retention: Option<Retention>,
    /// How many exemplars are kept; zero or less keeps none.
    pub(crate) max_exemplars: i64,
}

/// How long, and how much, is kept. What is zero doesn't limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Retention {
    #[serde(skip_serializing_if = "is_zero_duration")]
    pub(crate) time: PromDuration,
    #[serde(skip_serializing_if = "ByteSize::is_zero")]
    pub(crate) size: ByteSize,
    /// Of the disk, instead of `size`.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) percentage: f64,
}

fn is_zero_duration(duration: &PromDuration) -> bool {
    duration.is_zero()
}

fn is_zero(percentage: &f64) -> bool {
    *percentage == 0.0
}

impl StorageConfig {
    pub(super) fn new(file: &Path, written: &Option<WrittenStorage>) -> Result<StorageConfig, ConfigError> {
        let storage = written.as_ref();
        let exemplars = storage.and_then(|storage| storage.exemplars.as_ref());
        let max_exemplars =
            exemplars.and_then(|exemplars| exemplars.max_exemplars).unwrap_or(DEFAULT_EXEMPLARS_MAX);
        let Some(tsdb) = storage.and_then(|storage| storage.tsdb.as_ref()) else {
            return Ok(StorageConfig { max_exemplars, ..StorageConfig::default() });
        };
        check_threshold(file, tsdb)?;
        check_encoding(file, tsdb)?;
        let window = tsdb.out_of_order_time_window.as_ref();
        Ok(StorageConfig {
            out_of_order_time_window: window.map(|window| window.value).unwrap_or_default(),
            retention: tsdb
                .retention
                .as_ref()
                .map(|retention| Retention::new(file, retention))
                .transpose()?,
            max_exemplars,
        })
    }
}

impl Retention {
    fn new(file: &Path, written: &WrittenRetention) -> Result<Retention, ConfigError> {
        let percentage = written.percentage.as_ref().map_or(0.0, |percentage| percentage.value);
        if let Some(place) = &written.percentage
            && !(0.0..=100.0).contains(&percentage)
        {
            let what = format!(
                "'storage.tsdb.retention.percentage' must be in the range [0, 100], got {percentage}"
            );
            let field = "storage.tsdb.retention.percentage";
            return Err(ConfigError::at(file, place.referenced, field, what));
        }
        let (time, size) = (written.time.unwrap_or_default(), written.size.unwrap_or_default());
        Ok(Retention { time, size, percentage })
    }
}

fn check_threshold(file: &Path, tsdb: &WrittenTsdb) -> Result<(), ConfigError> {
    match &tsdb.stale_series_compaction_threshold {
        Some(threshold) if !(0.0..=1.0).contains(&threshold.value) => Err(ConfigError::at(
            file,
            threshold.referenced,
            "storage.tsdb.stale_series_compaction_threshold",
            format!("must be in the range [0, 1], got {}", threshold.value),
        )),
        _ => Ok(()),
    }
}

fn check_encoding(file: &Path, tsdb: &WrittenTsdb) -> Result<(), ConfigError> {
    match tsdb.chunk_encoding.as_ref().and_then(|encoding| encoding.floats.as_ref()) {
        Some(floats) if !["xor", "xor2"].contains(&floats.value.as_str()) => Err(ConfigError::at(
            file,
            floats.referenced,
            "storage.tsdb.chunk_encoding.floats",
            format!(
                "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the field must be omitted \
                 entirely, got {:?}",
                floats.value
            ),
        )),
        _ => Ok(()),
    }
}
