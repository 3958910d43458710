//! `/status/usage`: which metrics have been asked for since the program started, which rules use, and which
//! nobody does: what could be dropped. The reference has no such endpoint.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use model::labels::METRIC_NAME;
use model::storage::StorageError;
use model::time::TimestampMs;

use crate::call::Call;
use crate::error::{ApiError, ErrorType};
use crate::json::JsonOut;
use crate::params::{MAX_TIME_MS, MIN_TIME_MS};
use crate::respond::{Answer, ApiResult};
use crate::selector;
use crate::server::App;
use crate::usage::{Used, names_in};

use super::truncate;

/// A metric with what is known of its use.
struct Entry {
    name: String,
    used: Used,
    rules: u64,
}

/// `/status/usage`.
pub(crate) fn usage(app: &Arc<App>, call: &Call) -> ApiResult {
    let limit = call.form.limit()?;
    let stored = stored_names(app, call)?;
    let (by_name, unnamed) = app.usage.snapshot();
    let by_rules = names_in_rules(app);
    let mut used = Vec::new();
    let mut unused = Vec::new();
    for name in stored {
        let of_queries = by_name.get(&name).copied().unwrap_or_default();
        let rules = by_rules.get(&name).copied().unwrap_or_default();
        if of_queries.queries == 0 && rules == 0 {
            unused.push(name);
        } else {
            used.push(Entry { name, used: of_queries, rules });
        }
    }
    used.sort_by(|a, b| b.used.queries.cmp(&a.used.queries).then_with(|| a.name.cmp(&b.name)));
    let mut warnings = truncate(&mut used, limit);
    warnings.append(&mut truncate(&mut unused, limit));
    warnings.dedup();
    Ok(Answer {
        warnings,
        ..Answer::data(move |out| {
            out.open_object();
            out.key("used").open_array();
            used.iter().for_each(|entry| write_entry(out, entry));
            out.close_array();
            out.key("unused").strings(&unused);
            out.key("queriesWithoutName").open_object();
            write_use(out, unnamed.queries, unnamed.last_ms);
            out.close_object();
            out.close_object();
        })
    })
}

/// The names of stored metrics, of the selectors `match[]` if there are any.
fn stored_names(app: &App, call: &Call) -> Result<BTreeSet<String>, ApiError> {
    let (mint, maxt) = call.form.time_range(MIN_TIME_MS, MAX_TIME_MS)?;
    let mut selectors =
        selector::parse_all(call.form.all("match[]")).map_err(|cause| ApiError::param("match[]", cause))?;
    if selectors.is_empty() {
        selectors.push(Vec::new());
    }
    let failed = |error: StorageError| ApiError::storage(&error, ErrorType::Execution);
    let querier = app.parts.storage.querier(mint, maxt).map_err(failed)?;
    let mut names = BTreeSet::new();
    for matchers in &selectors {
        names.extend(querier.label_values(METRIC_NAME, matchers, 0, &call.cancel).map_err(failed)?);
    }
    Ok(names)
}

/// How many rules name each metric.
fn names_in_rules(app: &App) -> HashMap<String, u64> {
    let features = &app.parts.engine.options().features;
    let mut rules: HashMap<String, u64> = HashMap::new();
    for rule in app.parts.alerts.groups().iter().flat_map(|group| &group.rules) {
        let Ok(expr) = promql::parse::parse(&rule.query, features) else { continue };
        for name in names_in(&expr).0 {
            *rules.entry(name).or_default() += 1;
        }
    }
    rules
}

fn write_entry(out: &mut JsonOut<'_>, entry: &Entry) {
    out.open_object();
    out.key("name").string(&entry.name);
    write_use(out, entry.used.queries, entry.used.last_ms);
    out.key("rules").integer(entry.rules);
    out.close_object();
}

fn write_use(out: &mut JsonOut<'_>, queries: u64, last_ms: Option<TimestampMs>) {
    out.key("queries").integer(queries);
    out.key("lastQueried");
    match last_ms {
        Some(last_ms) => out.timestamp(last_ms),
        None => out.null(),
    }
}
