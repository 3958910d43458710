//! `/rules`, `/alerts` and `/alertmanagers`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use model::float_text;
use model::labels::Labels;
use model::matcher::{Matcher, all_match};

use crate::call::Call;
use crate::error::ApiError;
use crate::go_text;
use crate::json::JsonOut;
use crate::respond::{Answer, ApiResult};
use crate::selector;
use crate::server::App;
use crate::state::{ActiveAlert, Rule, RuleGroup, RuleKind};

/// Which rules a request is for, and in how many pieces.
struct Filter {
    alerting: bool,
    recording: bool,
    with_alerts: bool,
    names: Vec<String>,
    groups: Vec<String>,
    files: Vec<String>,
    selectors: Vec<Vec<Matcher>>,
    group_limit: Option<usize>,
    next_token: String,
}

impl Filter {
    fn parse(call: &Call) -> Result<Filter, ApiError> {
        let list = |name: &str| call.form.all(name).map(str::to_owned).collect();
        let selectors = selector::parse_all(call.form.all("match[]"))
            .map_err(|cause| ApiError::param("match[]", cause))?;
        let kind = call.query.get("type").to_lowercase();
        if !matches!(kind.as_str(), "" | "alert" | "record") {
            let cause = format!("not supported value {}", go_text::quoted(&kind));
            return Err(ApiError::param("type", cause));
        }
        let exclude_alerts = match call.query.get("exclude_alerts") {
            "" => false,
            text => go_text::parse_bool(text).map_err(|cause| {
                ApiError::param("exclude_alerts", format!("error converting exclude_alerts: {cause}"))
            })?,
        };
        let next_token = call.query.get("group_next_token").to_owned();
        let group_limit = group_limit(call)?;
        if !next_token.is_empty() && group_limit.is_none() {
            let cause = "group_limit needs to be present in order to paginate over the groups";
            return Err(ApiError::param("group_next_token", cause));
        }
        Ok(Filter {
            alerting: kind != "record",
            recording: kind != "alert",
            with_alerts: !exclude_alerts,
            names: list("rule_name[]"),
            groups: list("rule_group[]"),
            files: list("file[]"),
            selectors,
            group_limit,
            next_token,
        })
    }

    fn wants_group(&self, group: &RuleGroup) -> bool {
        let within = |list: &[String], name: &String| list.is_empty() || list.contains(name);
        within(&self.groups, &group.name) && within(&self.files, &group.file)
    }

    fn wants_rule(&self, rule: &Rule) -> bool {
        let is_of_type = match rule.kind {
            RuleKind::Alerting { .. } => self.alerting,
            RuleKind::Recording => self.recording,
        };
        is_of_type
            && (self.names.is_empty() || self.names.contains(&rule.name))
            && (self.selectors.is_empty() || self.selectors.iter().any(|s| selects(s, &rule.labels)))
    }
}

fn group_limit(call: &Call) -> Result<Option<usize>, ApiError> {
    let text = call.query.get("group_limit");
    if text.is_empty() {
        return Ok(None);
    }
    let refused = |cause: String| ApiError::param("group_limit", cause);
    let limit = go_text::parse_int(text)
        .map_err(|cause| refused(format!("group_limit needs to be a valid number: {cause}")))?;
    match usize::try_from(limit) {
        Ok(limit) if limit > 0 => Ok(Some(limit)),
        _ => Err(refused("group_limit needs to be greater than 0".to_owned())),
    }
}

/// Whether a selector takes a rule's labels; a value that is a template is not known yet and never fits.
fn selects(matchers: &[Matcher], labels: &Labels) -> bool {
    let is_template = |matcher: &Matcher| labels.value(matcher.name()).contains("{{");
    !matchers.iter().any(is_template) && all_match(matchers, labels)
}

/// `/rules`.
pub(crate) fn rules(app: &Arc<App>, call: &Call) -> ApiResult {
    let filter = Filter::parse(call)?;
    let mut groups = app.parts.alerts.groups();
    groups.retain(|group| filter.wants_group(group));
    for group in &mut groups {
        group.rules.retain(|rule| filter.wants_rule(rule));
    }
    groups.retain(|group| !group.rules.is_empty());
    if !filter.next_token.is_empty() {
        let at = groups.iter().position(|group| token(group) == filter.next_token).ok_or_else(|| {
            let cause =
                format!("invalid group_next_token '{}'. were rule groups changed?", filter.next_token);
            ApiError::param("group_next_token", cause)
        })?;
        groups.drain(..at);
    }
    let next = filter.group_limit.and_then(|limit| groups.get(limit)).map(token);
    groups.truncate(filter.group_limit.unwrap_or(usize::MAX));
    Ok(Answer::data(move |out| {
        out.open_object();
        out.key("groups").open_array();
        groups.iter().for_each(|group| write_group(out, group, filter.with_alerts));
        out.close_array();
        if let Some(next) = next {
            out.key("groupNextToken").string(&next);
        }
        out.close_object();
    }))
}

/// What names a group in a request for the groups that follow.
fn token(group: &RuleGroup) -> String {
    // Clients hand the token back unread; it only has to be the same for the same group.
    let mut hasher = DefaultHasher::new();
    (&group.file, &group.name).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn write_group(out: &mut JsonOut<'_>, group: &RuleGroup, with_alerts: bool) {
    out.open_object();
    out.key("name").string(&group.name);
    out.key("file").string(&group.file);
    out.key("rules").open_array();
    group.rules.iter().for_each(|rule| write_rule(out, rule, with_alerts));
    out.close_array();
    out.key("interval").float(group.interval_secs);
    out.key("limit").integer(group.limit);
    out.key("evaluationTime").float(group.evaluation_time_secs);
    out.key("lastEvaluation").string(&go_text::rfc3339(group.last_evaluation_ms));
    out.close_object();
}

fn write_rule(out: &mut JsonOut<'_>, rule: &Rule, with_alerts: bool) {
    out.open_object();
    let kind = match &rule.kind {
        RuleKind::Recording => {
            out.key("name").string(&rule.name);
            out.key("query").string(&rule.query);
            out.key("labels").labels(&rule.labels);
            "recording"
        }
        RuleKind::Alerting { state, duration_secs, keep_firing_for_secs, annotations, alerts } => {
            out.key("state").string(state.as_str());
            out.key("name").string(&rule.name);
            out.key("query").string(&rule.query);
            out.key("duration").float(*duration_secs);
            out.key("keepFiringFor").float(*keep_firing_for_secs);
            out.key("labels").labels(&rule.labels);
            out.key("annotations").labels(annotations);
            out.key("alerts");
            if with_alerts {
                write_alerts(out, alerts)
            } else {
                out.null()
            }
            "alerting"
        }
    };
    out.key("health").string(rule.health.as_str());
    if !rule.last_error.is_empty() {
        out.key("lastError").string(&rule.last_error);
    }
    out.key("evaluationTime").float(rule.evaluation_time_secs);
    out.key("lastEvaluation").string(&go_text::rfc3339(rule.last_evaluation_ms));
    out.key("type").string(kind);
    out.close_object();
}

fn write_alerts<'a>(out: &mut JsonOut<'_>, alerts: impl IntoIterator<Item = &'a ActiveAlert>) {
    out.open_array();
    for alert in alerts {
        out.open_object();
        out.key("labels").labels(&alert.labels);
        out.key("annotations").labels(&alert.annotations);
        out.key("state").string(alert.state.as_str());
        if alert.active_at_ms.is_some() {
            out.key("activeAt").string(&go_text::rfc3339(alert.active_at_ms));
        }
        if alert.keep_firing_since_ms.is_some() {
            out.key("keepFiringSince").string(&go_text::rfc3339(alert.keep_firing_since_ms));
        }
        out.key("value").string(&float_text::exponent(alert.value));
        out.close_object();
    }
    out.close_array();
}

/// `/alerts`.
pub(crate) fn alerts(app: &Arc<App>, _: &Call) -> ApiResult {
    let groups = app.parts.alerts.groups();
    Ok(Answer::data(move |out| {
        let of_rule = |rule| match rule {
            &Rule { kind: RuleKind::Alerting { ref alerts, .. }, .. } => alerts.as_slice(),
            _ => &[],
        };
        out.open_object();
        out.key("alerts");
        write_alerts(out, groups.iter().flat_map(|group| &group.rules).flat_map(of_rule));
        out.close_object();
    }))
}

/// `/alertmanagers`.
pub(crate) fn alertmanagers(app: &Arc<App>, _: &Call) -> ApiResult {
    let known = app.parts.alerts.alertmanagers();
    Ok(Answer::data(move |out| {
        out.open_object();
        for (key, urls) in [("activeAlertmanagers", &known.active), ("droppedAlertmanagers", &known.dropped)]
        {
            out.key(key).open_array();
            for url in urls {
                out.open_object();
                out.key("url").string(url);
                out.close_object();
            }
            out.close_array();
        }
        out.close_object();
    }))
}
