//! The endpoints under `/api/v1`.

pub(crate) mod admin;
pub(crate) mod cardinality;
pub(crate) mod exemplars;
pub(crate) mod explain;
pub(crate) mod labels;
pub(crate) mod metadata;
pub(crate) mod notifications;
pub(crate) mod otlp;
pub(crate) mod parse;
pub(crate) mod query;
pub(crate) mod read;
pub(crate) mod rules;
pub(crate) mod running;
pub(crate) mod search;
pub(crate) mod self_metrics;
pub(crate) mod series;
mod similarity;
pub(crate) mod status;
pub(crate) mod targets;
pub(crate) mod tsdb;
pub(crate) mod usage;
pub(crate) mod write;

/// The warning of an answer that was cut.
const TRUNCATED: &str = "results truncated due to limit";

/// What to ask a storage for so that it can be told whether `limit` cut anything.
fn one_more(limit: usize) -> usize {
    if limit == 0 { 0 } else { limit.saturating_add(1) }
}

/// Cuts a list at `limit` (0: no limit) and returns the warning that this calls for.
fn truncate<T>(list: &mut Vec<T>, limit: usize) -> Vec<String> {
    if limit == 0 || list.len() <= limit {
        return Vec::new();
    }
    list.truncate(limit);
    vec![TRUNCATED.to_owned()]
}
