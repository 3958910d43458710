//! `/series`: label sets of series.

use std::sync::Arc;

use model::labels::Labels;
use model::storage::{SelectHints, StorageError};

use crate::call::Call;
use crate::error::{ApiError, ErrorType};
use crate::params::{MAX_TIME_MS, MIN_TIME_MS};
use crate::respond::{Answer, ApiResult};
use crate::selector;
use crate::server::App;

use super::{one_more, truncate};

/// `/series`.
pub(crate) fn series(app: &Arc<App>, call: &Call) -> ApiResult {
    if call.form.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let limit = call.form.limit()?;
    let (mint, maxt) = call.form.time_range(MIN_TIME_MS, MAX_TIME_MS)?;
    let selectors =
        selector::parse_all(call.form.all("match[]")).map_err(|cause| ApiError::param("match[]", cause))?;
    let storage_error = |error: StorageError| ApiError::storage(&error, ErrorType::Execution);
    let querier = app.parts.storage.querier(mint, maxt).map_err(storage_error)?;
    let mut hints = SelectHints::new(mint, maxt, &call.cancel);
    hints.limit = one_more(limit);
    let mut found: Vec<Labels> = Vec::new();
    for matchers in &selectors {
        let set = querier.select(matchers, &hints).map_err(storage_error)?;
        found.extend((0..set.len()).map(|series| set.labels(series)));
        if call.cancel.is_cancelled() {
            return Err(storage_error(StorageError::Cancelled));
        }
    }
    if selectors.len() > 1 {
        found.sort_unstable();
        found.dedup();
    }
    let warnings = truncate(&mut found, limit);
    Ok(Answer {
        warnings,
        ..Answer::data(move |out| {
            out.open_array();
            for labels in &found {
                out.labels(labels);
                out.flush_if_full();
                if out.is_broken() {
                    return;
                }
            }
            out.close_array();
        })
    })
}
