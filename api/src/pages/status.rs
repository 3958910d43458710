//! `/status`, `/alertmanager-discovery`, `/tsdb-status`, `/running-queries`, `/flags`, `/config`.

use std::sync::Arc;

use axum::body::Body;
use http::Response;

use crate::call::Call;
use crate::go_text;
use crate::server::App;

use super::html::Html;
use super::page;

/// Entries of each list about the head.
const ENTRIES: usize = 10;

/// Which program this is and how it is doing.
pub(crate) fn status(app: &Arc<App>, call: &Call) -> Response<Body> {
    page(app, call, "/status", |html| {
        let build = &app.parts.build;
        let runtime = app.parts.runtime.runtime_info();
        html.element("h2", "Build");
        html.pairs([
            ("Version", build.version.as_str()),
            ("Revision", &build.revision),
            ("Branch", &build.branch),
            ("Built by", &build.build_user),
            ("Built at", &build.build_date),
            ("Toolchain", &build.go_version),
        ]);
        html.element("h2", "Runtime");
        let reloaded = if runtime.reload_config_success { "successful" } else { "failed" };
        html.pairs([
            ("Start time", go_text::rfc3339(Some(runtime.start_time_ms)).as_str()),
            ("Working directory", &runtime.cwd),
            ("Configuration reload", reloaded),
            ("Configuration loaded", &go_text::rfc3339(Some(runtime.last_config_time_ms))),
            ("Corruptions", &runtime.corruption_count.to_string()),
            ("Processors", &runtime.gomaxprocs.to_string()),
            ("Retention", &runtime.storage_retention),
        ]);
    })
}

/// The Alertmanagers that are told of alerts, and those that relabelling dropped.
pub(crate) fn alertmanagers(app: &Arc<App>, call: &Call) -> Response<Body> {
    page(app, call, "/alertmanager-discovery", |html| {
        let alertmanagers = app.parts.alerts.alertmanagers();
        html.open_table(&["URL", "State"]);
        for (urls, state) in [(&alertmanagers.active, "active"), (&alertmanagers.dropped, "dropped")] {
            for url in urls {
                html.row(&[url, state]);
            }
        }
        html.close_table();
    })
}

/// What fills the head.
pub(crate) fn tsdb_status(app: &Arc<App>, call: &Call) -> Response<Body> {
    page(app, call, "/tsdb-status", |html| {
        let source = &app.parts.storage_status;
        let (head, cardinality) = match (source.head_stats(), source.cardinality(ENTRIES)) {
            (Ok(head), Ok(cardinality)) => (head, cardinality),
            (Err(error), _) | (_, Err(error)) => {
                html.raw("<p class=\"err\">").text(&error.to_string()).raw("</p>");
                return;
            }
        };
        html.pairs([
            ("Series", head.num_series.to_string().as_str()),
            ("Label pairs", &head.num_label_pairs.to_string()),
            ("Chunks", &head.chunk_count.to_string()),
            ("Oldest sample", &go_text::rfc3339(Some(head.min_time_ms))),
            ("Newest sample", &go_text::rfc3339(Some(head.max_time_ms))),
        ]);
        list(html, "Series by metric name", &cardinality.series_by_metric_name);
        list(html, "Values by label name", &cardinality.values_by_label_name);
        list(html, "Bytes by label name", &cardinality.bytes_by_label_name);
        list(html, "Series by label pair", &cardinality.series_by_label_pair);
    })
}

fn list(html: &mut Html, title: &str, entries: &[(String, u64)]) {
    html.element("h2", title).open_table(&["Name", "Count"]);
    for (name, count) in entries {
        html.row(&[name, &count.to_string()]);
    }
    html.close_table();
}

/// The queries that clients wait for, the oldest first.
pub(crate) fn running_queries(app: &Arc<App>, call: &Call) -> Response<Body> {
    page(app, call, "/running-queries", |html| {
        html.open_table(&["Number", "Query", "Client", "Since"]);
        for (id, query) in app.running.all() {
            let begun = go_text::rfc3339(Some(query.begun_ms));
            html.row(&[&id.to_string(), &query.query, &query.client, &begun]);
        }
        html.close_table();
    })
}

/// All flags.
pub(crate) fn flags(app: &Arc<App>, call: &Call) -> Response<Body> {
    page(app, call, "/flags", |html| {
        let flags = app.parts.config.flags();
        html.pairs(flags.iter().map(|(flag, value)| (flag.as_str(), value.as_str())));
    })
}

/// The configuration in force.
pub(crate) fn config(app: &Arc<App>, call: &Call) -> Response<Body> {
    page(app, call, "/config", |html| {
        html.raw("<pre>").text(&app.parts.config.yaml()).raw("</pre>");
    })
}
