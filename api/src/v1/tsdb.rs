//! `/status/tsdb` and what is below it, and `/status/walreplay`: what the storage tells of itself.

use std::sync::Arc;

use model::storage::StorageError;

use crate::call::Call;
use crate::error::{ApiError, ErrorType};
use crate::json::JsonOut;
use crate::respond::{Answer, ApiResult};
use crate::server::App;

/// Entries of each list unless the request says otherwise.
const LIMIT_DEFAULT: usize = 10;
/// The most entries of each list.
const LIMIT_MAX: usize = 10_000;

/// `/status/tsdb`.
pub(crate) fn status(app: &Arc<App>, call: &Call) -> ApiResult {
    let limit = limit(call)?;
    let storage_error = |error: StorageError| ApiError::storage(&error, ErrorType::Internal);
    let head = app.parts.storage_status.head_stats().map_err(storage_error)?;
    let cardinality = app.parts.storage_status.cardinality(limit).map_err(storage_error)?;
    Ok(Answer::data(move |out| {
        out.open_object();
        out.key("headStats").open_object();
        out.key("numSeries").integer(head.num_series);
        out.key("numLabelPairs").integer(head.num_label_pairs);
        out.key("chunkCount").integer(head.chunk_count);
        out.key("minTime").integer(head.min_time_ms);
        out.key("maxTime").integer(head.max_time_ms);
        out.close_object();
        write_list(out, "seriesCountByMetricName", &cardinality.series_by_metric_name);
        write_list(out, "labelValueCountByLabelName", &cardinality.values_by_label_name);
        write_list(out, "memoryInBytesByLabelName", &cardinality.bytes_by_label_name);
        write_list(out, "seriesCountByLabelValuePair", &cardinality.series_by_label_pair);
        out.close_object();
    }))
}

fn limit(call: &Call) -> Result<usize, ApiError> {
    let text = call.form.get("limit");
    if text.is_empty() {
        return Ok(LIMIT_DEFAULT);
    }
    match text.parse::<usize>() {
        Ok(0) | Err(_) => Err(ApiError::bad_data("limit must be a positive number")),
        Ok(limit) if limit > LIMIT_MAX => {
            Err(ApiError::bad_data(format!("limit must not exceed {LIMIT_MAX}")))
        }
        Ok(limit) => Ok(limit),
    }
}

fn write_list(out: &mut JsonOut<'_>, key: &'static str, entries: &[(String, u64)]) {
    out.key(key).open_array();
    for (name, value) in entries {
        out.open_object();
        out.key("name").string(name);
        out.key("value").integer(*value);
        out.close_object();
    }
    out.close_array();
}

/// `/status/walreplay`.
pub(crate) fn wal_replay(app: &Arc<App>, _: &Call) -> ApiResult {
    let replay = app.parts.storage_status.wal_replay();
    Ok(Answer::data(move |out| {
        out.open_object();
        out.key("min").integer(replay.min);
        out.key("max").integer(replay.max);
        out.key("current").integer(replay.current);
        out.close_object();
    }))
}

/// `/status/tsdb/blocks`.
pub(crate) fn blocks(app: &Arc<App>, _: &Call) -> ApiResult {
    let blocks =
        app.parts.storage_status.blocks().map_err(|error| ApiError::storage(&error, ErrorType::Internal))?;
    Ok(Answer::data(move |out| {
        out.open_object();
        out.key("blocks").open_array();
        blocks.iter().for_each(|meta| out.value(meta));
        out.close_array();
        out.close_object();
    }))
}

/// `/status/tsdb/damage`: Prometheus only logs it.
pub(crate) fn damage(app: &Arc<App>, _: &Call) -> ApiResult {
    let damage =
        app.parts.storage_status.damage().map_err(|error| ApiError::storage(&error, ErrorType::Internal))?;
    Ok(Answer::data(move |out| {
        out.open_object();
        out.key("lostCommits").integer(damage.lost_commits);
        out.key("damage").open_array();
        for place in &damage.places {
            out.open_object();
            out.key("file").string(&place.file);
            out.key("from").integer(place.from);
            out.key("to").integer(place.to);
            out.key("what").string(&place.what);
            out.close_object();
        }
        out.close_array();
        out.close_object();
    }))
}
