//! Pages for people with a browser.
//!
//! If the program was built with the full page ([`full`]), every path answers with its document. Otherwise, or
//! if the parameter `plain` is given, the same data as the API's is rendered here, without a script.
//! Everything that comes from outside is escaped where it is written ([`html::Html`]); the content security
//! policy of plain pages forbids scripts and anything from elsewhere, so that a label value can't become more
//! than text.

mod full;
mod html;
mod query;
mod status;
mod targets;

use std::sync::Arc;

use axum::body::Body;
use http::Response;
use http::header::{
    CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use crate::call::Call;
use crate::management::external_path;
use crate::readiness::Phase;
use crate::respond::with_type;
use crate::server::App;

pub(crate) use full::{Index, asset};
pub(crate) use query::query;
pub(crate) use status::{alertmanagers, config, flags, running_queries, status, tsdb_status};
pub(crate) use targets::{alerts, rules, service_discovery, targets};

use html::Html;

/// Nothing but a plain page's own style and forms.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Pages in the order of the navigation: path below the prefix, and title.
const PAGES: [(&str, &str); 11] = [
    ("/query", "Query"),
    ("/alerts", "Alerts"),
    ("/targets", "Targets"),
    ("/rules", "Rules"),
    ("/service-discovery", "Service discovery"),
    ("/alertmanager-discovery", "Alertmanagers"),
    ("/status", "Status"),
    ("/tsdb-status", "TSDB"),
    ("/running-queries", "Running queries"),
    ("/flags", "Flags"),
    ("/config", "Configuration"),
];

const STYLE: &str = include_str!("style.css");

/// The page of this path: the full page if there is one and nothing else is asked for, or else one whose
/// contents are written by `write`.
fn page(app: &Arc<App>, call: &Call, path: &str, write: impl FnOnce(&mut Html)) -> Response<Body> {
    match &app.index {
        Some(index) if !call.query.has("plain") => index.respond(&call.headers),
        _ => plain(app, call, path, write),
    }
}

fn plain(app: &Arc<App>, call: &Call, path: &str, write: impl FnOnce(&mut Html)) -> Response<Body> {
    let title = PAGES.iter().find(|(page, _)| *page == path).map_or("", |(_, title)| title);
    let mut html = Html::default();
    html.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    html.raw("<meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">");
    html.element("title", &format!("{title} – {}", app.options.page_title));
    html.raw("<style>").raw(STYLE).raw("</style></head><body><nav>");
    let prefix = external_path(app);
    let stay = if call.query.has("plain") { "?plain" } else { "" };
    for (target, name) in PAGES {
        html.raw("<a href=\"").text(prefix).raw(target).raw(stay).raw("\"");
        html.raw(if target == path { " aria-current=\"page\">" } else { ">" }).text(name).raw("</a>");
    }
    html.raw("</nav><main>").element("h1", title);
    for notice in app.parts.notifications.current() {
        html.raw("<p class=\"notice\">").text(&notice.text).raw(" ").text(&notice.detail).raw("</p>");
    }
    match app.parts.readiness.phase() {
        Phase::Ready => write(&mut html),
        Phase::Starting => {
            html.element("p", "The server is starting.");
        }
        Phase::Stopping => {
            html.element("p", "The server is shutting down.");
        }
    }
    html.raw("</main></body></html>");
    let mut response = with_type("text/html; charset=utf-8", html.finish());
    secure(&mut response, POLICY);
    response
}

/// Adds the headers that keep a page apart from others.
fn secure(response: &mut Response<Body>, policy: &'static str) {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "deny"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}
