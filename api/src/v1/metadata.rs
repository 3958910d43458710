//! `/metadata` and `/targets/metadata`: what is known of metric families.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::labels::Labels;
use model::matcher::{Matcher, all_match};
use model::metadata::Metadata;
use promql::parse::parse_selector;

use crate::call::Call;
use crate::error::ApiError;
use crate::json::JsonOut;
use crate::respond::{Answer, ApiResult};
use crate::server::App;
use crate::state::TargetMetadata;

/// A limit where absent and negative mean none.
fn limit(call: &Call, name: &str) -> Result<Option<usize>, ApiError> {
    let text = call.form.get(name);
    if text.is_empty() {
        return Ok(None);
    }
    let refused = |_| ApiError::bad_data(format!("{name} must be a number"));
    Ok(usize::try_from(text.parse::<i64>().map_err(refused)?).ok())
}

/// What is known of each family, or of one: first what targets say now, then what the storage knows of others,
/// or from before.
pub(super) fn families(app: &App, metric: Option<&str>) -> BTreeMap<String, Vec<Metadata>> {
    let mut families: BTreeMap<String, Vec<Metadata>> = BTreeMap::new();
    let mut add = |name: &str, metadata: &Metadata| {
        let known = families.entry(name.to_owned()).or_default();
        if !known.contains(metadata) {
            known.push(metadata.clone());
        }
    };
    for found in app.parts.targets.metadata(metric, &|_| true) {
        add(&found.metric, &found.metadata);
    }
    // While the storage isn't open, targets are all there is.
    for family in app.parts.storage_status.families().unwrap_or_default() {
        if metric.is_none_or(|metric| family.name == metric) {
            add(&family.name, &family.metadata);
        }
    }
    families
}

/// `/metadata`: metadata by name of metric family.
pub(crate) fn metadata(app: &Arc<App>, call: &Call) -> ApiResult {
    let limit = limit(call, "limit")?.unwrap_or(usize::MAX);
    let per_metric = self::limit(call, "limit_per_metric")?.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let families = families(app, wanted_metric(call));
    Ok(Answer::data(move |out| {
        out.open_object();
        for (name, metadata) in families.iter().take(limit) {
            out.text_key(name).open_array();
            for metadata in metadata.iter().take(per_metric) {
                out.open_object();
                out.key("type").string(metadata.metric_type.as_str());
                out.key("unit").string(&metadata.unit);
                out.key("help").string(&metadata.help);
                out.close_object();
            }
            out.close_array();
        }
        out.close_object();
    }))
}

/// `/targets/metadata`: metadata by target.
pub(crate) fn target_metadata(app: &Arc<App>, call: &Call) -> ApiResult {
    let limit = limit(call, "limit")?.unwrap_or(usize::MAX);
    let matchers: Vec<Matcher> = match call.form.get("match_target") {
        "" => Vec::new(),
        selector => parse_selector(selector).map_err(|error| ApiError::param("match_target", error))?,
    };
    let is_wanted = |labels: &Labels| all_match(&matchers, labels);
    let found = app.parts.targets.metadata(wanted_metric(call), &is_wanted);
    let with_names = wanted_metric(call).is_none();
    Ok(Answer::data(move |out| {
        out.open_array();
        for metadata in found.iter().take(limit) {
            write_target_metadata(out, metadata, with_names);
        }
        out.close_array();
    }))
}

fn wanted_metric(call: &Call) -> Option<&str> {
    Some(call.form.get("metric")).filter(|metric| !metric.is_empty())
}

fn write_target_metadata(out: &mut JsonOut<'_>, found: &TargetMetadata, with_name: bool) {
    out.open_object();
    out.key("target").labels(&found.target);
    if with_name {
        out.key("metric").string(&found.metric);
    }
    out.key("type").string(found.metadata.metric_type.as_str());
    out.key("help").string(&found.metadata.help);
    out.key("unit").string(&found.metadata.unit);
    out.close_object();
}
