//! `/targets`, `/service-discovery`, `/rules`, `/alerts`.

use std::sync::Arc;

use axum::body::Body;
use http::Response;
use model::float_text;

use crate::call::Call;
use crate::go_text;
use crate::server::App;
use crate::state::{ActiveAlert, RuleKind};

use super::html::Html;
use super::page;

/// Targets and how their last scrapes went.
pub(crate) fn targets(app: &Arc<App>, call: &Call) -> Response<Body> {
    page(app, call, "/targets", |html| {
        for pool in app.parts.targets.scrape_pools() {
            html.element("h2", &pool);
            html.open_table(&["Endpoint", "State", "Labels", "Last scrape", "Took", "Error"]);
            for target in app.parts.targets.active(Some(&pool)) {
                let health = target.health.as_str();
                html.raw("<tr>").element("td", &target.scrape_url);
                html.raw("<td class=\"").raw(health).raw("\">").raw(health).raw("</td>");
                html.labels_cell(&target.labels);
                html.element("td", &go_text::rfc3339(target.last_scrape_ms));
                html.element("td", &format!("{:.1} ms", target.last_scrape_duration_secs * 1e3));
                html.element("td", &target.last_error).raw("</tr>");
            }
            html.close_table();
        }
    })
}

/// Targets as they were discovered and as relabelling left them.
pub(crate) fn service_discovery(app: &Arc<App>, call: &Call) -> Response<Body> {
    page(app, call, "/service-discovery", |html| {
        let counts = app.parts.targets.dropped_counts();
        for pool in app.parts.targets.scrape_pools() {
            html.element("h2", &pool);
            let dropped = counts.get(&pool).copied().unwrap_or_default();
            html.element("p", &format!("{dropped} targets dropped"));
            html.open_table(&["Discovered labels", "Target labels"]);
            for target in app.parts.targets.active(Some(&pool)) {
                html.raw("<tr>").labels_cell(&target.discovered_labels);
                html.labels_cell(&target.labels).raw("</tr>");
            }
            for target in app.parts.targets.dropped(Some(&pool)) {
                html.raw("<tr>").labels_cell(&target.discovered_labels);
                html.element("td", "dropped").raw("</tr>");
            }
            html.close_table();
        }
    })
}

/// Rules by group.
pub(crate) fn rules(app: &Arc<App>, call: &Call) -> Response<Body> {
    page(app, call, "/rules", |html| {
        let groups = app.parts.alerts.groups();
        if groups.is_empty() {
            html.element("p", "No rules are configured.");
        }
        for group in groups {
            html.element("h2", &format!("{} – {}", group.file, group.name));
            html.open_table(&["Rule", "Expression", "State", "Last evaluation", "Took", "Error"]);
            for rule in &group.rules {
                let health = rule.health.as_str();
                html.raw("<tr>").element("td", &rule.name);
                html.raw("<td><code>").text(&rule.query).raw("</code></td>");
                html.raw("<td class=\"").raw(health).raw("\">").raw(health).raw("</td>");
                html.element("td", &go_text::rfc3339(rule.last_evaluation_ms));
                html.element("td", &format!("{:.1} ms", rule.evaluation_time_secs * 1e3));
                html.element("td", &rule.last_error).raw("</tr>");
            }
            html.close_table();
        }
    })
}

/// Alerts that are pending or firing.
pub(crate) fn alerts(app: &Arc<App>, call: &Call) -> Response<Body> {
    page(app, call, "/alerts", |html| {
        let groups = app.parts.alerts.groups();
        let rules = groups.iter().flat_map(|group| &group.rules);
        let mut alerts = rules
            .flat_map(|rule| match &rule.kind {
                RuleKind::Alerting { alerts, .. } => alerts.as_slice(),
                RuleKind::Recording => &[],
            })
            .peekable();
        if alerts.peek().is_none() {
            html.element("p", "No alert is pending or firing.");
            return;
        }
        html.open_table(&["Labels", "State", "Since", "Value"]);
        alerts.for_each(|alert| write_alert(html, alert));
        html.close_table();
    })
}

fn write_alert(html: &mut Html, alert: &ActiveAlert) {
    let state = alert.state.as_str();
    html.raw("<tr>").labels_cell(&alert.labels);
    html.raw("<td class=\"").raw(state).raw("\">").raw(state).raw("</td>");
    html.element("td", &go_text::rfc3339(alert.active_at_ms));
    html.element("td", &float_text::api(alert.value)).raw("</tr>");
}
