//! `/admin/tsdb/*`: deleting, tidying and copying data. All of it is refused unless a flag allows it.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use jiff::Timestamp;
use model::storage::StorageError;

use crate::call::Call;
use crate::error::{ApiError, ErrorType};
use crate::go_text;
use crate::params::{MAX_TIME_MS, MIN_TIME_MS};
use crate::respond::{Answer, ApiResult};
use crate::server::App;

pub(super) fn refuse_unless_enabled(app: &App) -> Result<(), ApiError> {
    if app.options.enable_admin_api {
        return Ok(());
    }
    Err(ApiError::new(ErrorType::Unavailable, "admin APIs disabled"))
}

fn storage_error(error: StorageError) -> ApiError {
    ApiError::storage(&error, ErrorType::Internal)
}

/// `/admin/tsdb/delete_series`.
pub(crate) fn delete_series(app: &Arc<App>, call: &Call) -> ApiResult {
    refuse_unless_enabled(app)?;
    if call.form.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let (mint, maxt) = call.form.time_range(MIN_TIME_MS, MAX_TIME_MS)?;
    for selector in call.form.all("match[]") {
        let matchers =
            promql::parse::parse_selector(selector).map_err(|cause| ApiError::param("match[]", cause))?;
        app.parts.storage_admin.delete_series(mint, maxt, &matchers).map_err(storage_error)?;
    }
    Ok(Answer::nothing())
}

/// `/admin/tsdb/clean_tombstones`.
pub(crate) fn clean_tombstones(app: &Arc<App>, _: &Call) -> ApiResult {
    refuse_unless_enabled(app)?;
    app.parts.storage_admin.clean_tombstones().map_err(storage_error)?;
    Ok(Answer::nothing())
}

/// `/admin/tsdb/snapshot`.
pub(crate) fn snapshot(app: &Arc<App>, call: &Call) -> ApiResult {
    refuse_unless_enabled(app)?;
    let skip_head = match call.form.get("skip_head") {
        "" => false,
        text => go_text::parse_bool(text)
            .map_err(|cause| ApiError::param("skip_head", format!("unable to parse boolean: {cause}")))?,
    };
    let name = snapshot_name(app.parts.clock.now_ms());
    app.parts.storage_admin.snapshot(&name, skip_head).map_err(storage_error)?;
    Ok(Answer::data(move |out| {
        out.open_object();
        out.key("name").string(&name);
        out.close_object();
    }))
}

/// A name that sorts by time and that no other snapshot has: `20060102T150405Z-<16 hexadecimal digits>`.
fn snapshot_name(now_ms: i64) -> String {
    let time = Timestamp::from_millisecond(now_ms).unwrap_or_default();
    // Names need to differ, not to be unpredictable; the hasher's keys are random in every process.
    let distinct = RandomState::new().hash_one(now_ms);
    format!("{}-{distinct:016x}", time.strftime("%Y%m%dT%H%M%SZ"))
}
