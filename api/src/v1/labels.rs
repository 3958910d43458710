//! `/labels` and `/label/<name>/values`.

use std::sync::Arc;

use model::matcher::Matcher;
use model::storage::{Querier, StorageError};

use crate::call::Call;
use crate::error::{ApiError, ErrorType};
use crate::go_text;
use crate::params::{MAX_TIME_MS, MIN_TIME_MS};
use crate::respond::{Answer, ApiResult};
use crate::selector;
use crate::server::App;

use super::{one_more, truncate};

/// The pattern of the endpoint for a label's values.
pub(crate) const VALUES_PATTERN: &str = "/api/v1/label/:name/values";

/// What the name of a label begins with when it is escaped.
const ESCAPED_PREFIX: &str = "U__";

/// `/labels`: names of labels.
pub(crate) fn names(app: &Arc<App>, call: &Call) -> ApiResult {
    list(app, call, &|querier, matchers, limit| querier.label_names(matchers, limit, &call.cancel))
}

/// `/label/<name>/values`: values of a label.
pub(crate) fn values(app: &Arc<App>, call: &Call) -> ApiResult {
    let segment = call.path_segment(&app.options.route_prefix, VALUES_PATTERN).unwrap_or_default();
    let invalid = || ApiError::bad_data(format!("invalid label name: {}", go_text::quoted_bytes(&segment)));
    let name = std::str::from_utf8(&segment).ok().filter(|name| !name.is_empty()).ok_or_else(invalid)?;
    let name = unescape_name(name);
    list(app, call, &|querier, matchers, limit| querier.label_values(&name, matchers, limit, &call.cancel))
}

/// Asks for a sorted list of strings.
type Ask<'a> = dyn Fn(&dyn Querier, &[Matcher], usize) -> Result<Vec<String>, StorageError> + 'a;

fn list(app: &Arc<App>, call: &Call, ask: &Ask<'_>) -> ApiResult {
    let limit = call.form.limit()?;
    let (mint, maxt) = call.form.time_range(MIN_TIME_MS, MAX_TIME_MS)?;
    let selectors = selector::parse_all(call.form.all("match[]")).map_err(ApiError::bad_data)?;
    let storage_error = |error: StorageError| ApiError::storage(&error, ErrorType::Execution);
    let querier = app.parts.storage.querier(mint, maxt).map_err(storage_error)?;
    let wanted = one_more(limit);
    let mut found = match selectors.as_slice() {
        [] => ask(&*querier, &[], wanted).map_err(storage_error)?,
        [only] => ask(&*querier, only, wanted).map_err(storage_error)?,
        several => {
            let mut all = Vec::new();
            for matchers in several {
                all.append(&mut ask(&*querier, matchers, wanted).map_err(storage_error)?);
            }
            all.sort_unstable();
            all.dedup();
            all
        }
    };
    let warnings = truncate(&mut found, limit);
    Ok(Answer { warnings, ..Answer::data(move |out| out.strings(&found)) })
}

/// Undoes the escapes of a name that begins with `U__`: `__` is `_`, `_<hex>_` is a character. A name whose
/// escapes don't fit is taken as it stands.
fn unescape_name(name: &str) -> String {
    let Some(escaped) = name.strip_prefix(ESCAPED_PREFIX) else { return name.to_owned() };
    let mut unescaped = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((plain, after)) = rest.split_once('_') {
        unescaped.push_str(plain);
        let Some((code, after)) = after.split_once('_') else { return name.to_owned() };
        match code {
            "" => unescaped.push('_'),
            code => match u32::from_str_radix(code, 16).ok().and_then(char::from_u32) {
                Some(c) if code.len() <= 6 => unescaped.push(c),
                _ => return name.to_owned(),
            },
        }
        rest = after;
    }
    unescaped.push_str(rest);
    unescaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names_are_read_back() {
        for (escaped, name) in [
            ("job", "job"),
            ("U__a_2e_b", "a.b"),
            ("U__a__b", "a_b"),
            ("U___e9_", "é"),
            ("U__a_zz_", "U__a_zz_"),
            ("U__a_2e", "U__a_2e"),
            ("U__a_110000_", "U__a_110000_"),
        ] {
            assert_eq!(unescape_name(escaped), name);
        }
    }
}
