//! Every endpoint in one table, and what happens to a request before and after its handler.
//!
//! Patterns are written as the reference labels its metrics: `/api/v1/label/:name/values`.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::routing::any;
use http::header::{ALLOW, HeaderName, HeaderValue, VARY};
use http::{Method, Response, StatusCode};
use model::cancel::Cancel;

use crate::call::Call;
use crate::compress::Encoding;
use crate::readiness::Phase;
use crate::respond::{ApiHandler, api, no_content, plain_error, redirect};
use crate::server::App;
use crate::stream::{StreamHandler, stream};
use crate::{cors, federate, management, metrics_page, openapi, pages, v1};

/// A handler that writes its own response.
pub(crate) type PlainHandler = fn(&Arc<App>, &Call) -> Response<Body>;

/// Who answers.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    /// On a thread that may block; the answer goes into an envelope and may be compressed.
    Api(ApiHandler),
    /// Likewise, but never compressed.
    ApiUncompressed(ApiHandler),
    /// On a thread that may block; writes its own response.
    Blocking(PlainHandler),
    /// Likewise; takes the body as it is.
    Upload(PlainHandler),
    /// Likewise; sends its answer piece by piece.
    Stream(StreamHandler),
    /// At once; must not block.
    Inline(PlainHandler),
}

/// When an endpoint answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Only while the server is ready.
    Ready,
    /// Always.
    Open,
}

/// A route.
pub(crate) struct Endpoint {
    pub pattern: &'static str,
    pub methods: &'static [Method],
    pub gate: Gate,
    pub handler: Handler,
}

const GET: &[Method] = &[Method::GET];
const GET_HEAD: &[Method] = &[Method::GET, Method::HEAD];
const GET_POST: &[Method] = &[Method::GET, Method::POST];
const POST: &[Method] = &[Method::POST];
const POST_PUT: &[Method] = &[Method::POST, Method::PUT];
const GET_POST_PUT: &[Method] = &[Method::GET, Method::POST, Method::PUT];
const OPTIONS: &[Method] = &[Method::OPTIONS];

const fn api_endpoint(pattern: &'static str, methods: &'static [Method], handler: ApiHandler) -> Endpoint {
    Endpoint { pattern, methods, gate: Gate::Ready, handler: Handler::Api(handler) }
}

const fn open(pattern: &'static str, methods: &'static [Method], handler: Handler) -> Endpoint {
    Endpoint { pattern, methods, gate: Gate::Open, handler }
}

const fn gated(pattern: &'static str, methods: &'static [Method], handler: Handler) -> Endpoint {
    Endpoint { pattern, methods, gate: Gate::Ready, handler }
}

/// All endpoints.
pub(crate) static ENDPOINTS: &[Endpoint] = &[
    open("/", GET, Handler::Inline(management::root)),
    open("/graph", GET, Handler::Inline(management::graph)),
    open("/query", GET, Handler::Blocking(pages::query)),
    open("/alerts", GET, Handler::Blocking(pages::alerts)),
    open("/targets", GET, Handler::Blocking(pages::targets)),
    open("/rules", GET, Handler::Blocking(pages::rules)),
    open("/service-discovery", GET, Handler::Blocking(pages::service_discovery)),
    open("/alertmanager-discovery", GET, Handler::Blocking(pages::alertmanagers)),
    open("/status", GET, Handler::Blocking(pages::status)),
    open("/tsdb-status", GET, Handler::Blocking(pages::tsdb_status)),
    open("/running-queries", GET, Handler::Blocking(pages::running_queries)),
    open("/flags", GET, Handler::Blocking(pages::flags)),
    open("/config", GET, Handler::Blocking(pages::config)),
    open("/assets/*filepath", GET, Handler::Inline(pages::asset)),
    open("/-/healthy", GET_HEAD, Handler::Inline(management::healthy)),
    gated("/-/ready", GET_HEAD, Handler::Inline(management::ready)),
    open("/-/reload", GET_POST_PUT, Handler::Blocking(management::reload)),
    open("/-/quit", GET_POST_PUT, Handler::Blocking(management::quit)),
    open("/version", GET, Handler::Inline(management::version)),
    open("/metrics", GET, Handler::Blocking(metrics_page::metrics)),
    gated("/federate", GET, Handler::Blocking(federate::federate)),
    api_endpoint("/api/v1/query", GET_POST, v1::query::instant),
    api_endpoint("/api/v1/query_range", GET_POST, v1::query::range),
    api_endpoint("/api/v1/query_exemplars", GET_POST, v1::exemplars::query_exemplars),
    api_endpoint("/api/v1/format_query", GET_POST, v1::parse::format_query),
    api_endpoint("/api/v1/parse_query", GET_POST, v1::parse::parse_query),
    api_endpoint("/api/v1/explain", GET_POST, v1::explain::explain),
    api_endpoint("/api/v1/labels", GET_POST, v1::labels::names),
    api_endpoint(v1::labels::VALUES_PATTERN, GET, v1::labels::values),
    api_endpoint("/api/v1/series", GET_POST, v1::series::series),
    api_endpoint("/api/v1/metadata", GET, v1::metadata::metadata),
    api_endpoint("/api/v1/targets", GET, v1::targets::targets),
    api_endpoint("/api/v1/targets/metadata", GET, v1::metadata::target_metadata),
    api_endpoint("/api/v1/targets/relabel_steps", GET, v1::targets::relabel_steps),
    api_endpoint("/api/v1/scrape_pools/config", GET, v1::targets::scrape_pool_config),
    api_endpoint("/api/v1/scrape_pools", GET, v1::targets::scrape_pools),
    api_endpoint("/api/v1/alertmanagers", GET, v1::rules::alertmanagers),
    api_endpoint("/api/v1/alerts", GET, v1::rules::alerts),
    api_endpoint("/api/v1/rules", GET, v1::rules::rules),
    api_endpoint("/api/v1/status/config", GET, v1::status::config),
    api_endpoint("/api/v1/status/flags", GET, v1::status::flags),
    api_endpoint("/api/v1/status/runtimeinfo", GET, v1::status::runtime_info),
    api_endpoint("/api/v1/status/buildinfo", GET, v1::status::build_info),
    api_endpoint("/api/v1/status/tsdb", GET, v1::tsdb::status),
    api_endpoint("/api/v1/status/cardinality", GET, v1::cardinality::cardinality),
    api_endpoint("/api/v1/status/usage", GET, v1::usage::usage),
    api_endpoint("/api/v1/status/tsdb/blocks", GET, v1::tsdb::blocks),
    api_endpoint("/api/v1/status/tsdb/damage", GET, v1::tsdb::damage),
    api_endpoint("/api/v1/status/queries", GET, v1::running::queries),
    api_endpoint("/api/v1/status/self_metrics", GET, v1::self_metrics::self_metrics),
    gated("/api/v1/search/metric_names", GET_POST, Handler::Blocking(v1::search::metric_names)),
    gated("/api/v1/search/label_names", GET_POST, Handler::Blocking(v1::search::label_names)),
    gated("/api/v1/search/label_values", GET_POST, Handler::Blocking(v1::search::label_values)),
    gated("/api/v1/openapi.yaml", GET, Handler::Inline(openapi::openapi)),
    api_endpoint("/api/v1/features", GET, v1::status::features),
    api_endpoint("/api/v1/admin/tsdb/delete_series", POST_PUT, v1::admin::delete_series),
    api_endpoint("/api/v1/admin/tsdb/clean_tombstones", POST_PUT, v1::admin::clean_tombstones),
    api_endpoint("/api/v1/admin/tsdb/snapshot", POST_PUT, v1::admin::snapshot),
    api_endpoint("/api/v1/admin/queries/cancel", POST_PUT, v1::running::cancel),
    gated("/api/v1/read", POST, Handler::Stream(v1::read::read)),
    gated("/api/v1/write", POST, Handler::Upload(v1::write::write)),
    gated("/api/v1/otlp/v1/metrics", POST, Handler::Upload(v1::otlp::metrics)),
    open("/api/v1/status/walreplay", GET, Handler::ApiUncompressed(v1::tsdb::wal_replay)),
    open("/api/v1/notifications", GET, Handler::ApiUncompressed(v1::notifications::notifications)),
    open("/api/v1/notifications/live", GET, Handler::Inline(v1::notifications::live)),
    gated("/api/v1/*path", OPTIONS, Handler::Inline(|_, _| no_content())),
];

/// The index of the endpoint that answers preflight requests under `/api/v1`.
fn preflight_index() -> usize {
    ENDPOINTS.len() - 1
}

/// The prefix of what is called the API; other endpoints have neither CORS nor compression.
const API_PREFIX: &str = "/api/v1/";

/// The routes of all endpoints, under the prefix.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let prefix = &app.options.route_prefix;
    let mut router = Router::new();
    for (index, endpoint) in ENDPOINTS.iter().enumerate().filter(|(index, _)| *index != preflight_index()) {
        let path = format!("{prefix}{}", axum_pattern(endpoint.pattern));
        let app = Arc::clone(app);
        router = router.route(&path, any(move |request: Request| dispatch(app, index, request)));
    }
    let fallback_app = Arc::clone(app);
    router.fallback(move |request: Request| fallback(fallback_app, request))
}

/// `/label/:name/values` and `/assets/*filepath` as axum writes them: `/label/{name}/values`,
/// `/assets/{*filepath}`.
fn axum_pattern(pattern: &str) -> String {
    let segments = pattern.split('/').map(|segment| match (segment.strip_prefix(':'), segment) {
        (Some(name), _) => format!("{{{name}}}"),
        (None, rest) if rest.starts_with('*') => format!("{{{rest}}}"),
        (None, fixed) => fixed.to_owned(),
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Answers a request for an endpoint.
async fn dispatch(app: Arc<App>, index: usize, request: Request) -> Response<Body> {
    let endpoint = &ENDPOINTS[index];
    let is_api = endpoint.pattern.starts_with(API_PREFIX);
    if !endpoint.methods.contains(request.method()) {
        return match (request.method() == Method::OPTIONS, is_api) {
            (true, true) => preflight(&app, request).await,
            (true, false) => allowed_methods(endpoint, StatusCode::OK, Response::new(Body::empty())),
            (false, _) => {
                let error = plain_error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
                allowed_methods(endpoint, StatusCode::METHOD_NOT_ALLOWED, error)
            }
        };
    }
    answer(&app, index, request).await
}

/// Answers `OPTIONS` under `/api/v1`, whatever the path.
async fn preflight(app: &Arc<App>, request: Request) -> Response<Body> {
    answer(app, preflight_index(), request).await
}

/// Runs an endpoint's handler, with everything around it.
async fn answer(app: &Arc<App>, index: usize, request: Request) -> Response<Body> {
    let begun = Instant::now();
    let endpoint = &ENDPOINTS[index];
    let is_api = endpoint.pattern.starts_with(API_PREFIX);
    let origin = is_api.then(|| request.headers().clone());
    let mut response = match (endpoint.gate, app.parts.readiness.phase()) {
        (Gate::Ready, phase @ (Phase::Starting | Phase::Stopping)) => unavailable(phase),
        _ => run(app, endpoint.handler, request).await,
    };
    if let Some(headers) = origin {
        cors::add_headers(&app.options.cors_origin, &headers, response.headers_mut());
    }
    let bytes = response.body().size_hint().exact();
    app.metrics.observe(&app.endpoint_metrics[index], response.status(), begun, bytes);
    response
}

async fn run(app: &Arc<App>, handler: Handler, request: Request) -> Response<Body> {
    let reading = async {
        match handler {
            Handler::Upload(_) | Handler::Stream(_) => Call::read_upload(request, Cancel::new()).await,
            _ => Call::read(request, Cancel::new()).await,
        }
    };
    let call = match tokio::time::timeout(app.options.read_timeout, reading).await {
        Ok(Ok(call)) => call,
        Ok(Err(error)) => return plain_error(error.status(), &error.to_string()),
        Err(_) => return plain_error(StatusCode::REQUEST_TIMEOUT, "the request took too long to arrive"),
    };
    match handler {
        Handler::Inline(handler) => handler(app, &call),
        Handler::Blocking(handler) | Handler::Upload(handler) => {
            let app = Arc::clone(app);
            let done = tokio::task::spawn_blocking(move || handler(&app, &call)).await;
            done.unwrap_or_else(|_| {
                plain_error(StatusCode::INTERNAL_SERVER_ERROR, "the handler of the request failed")
            })
        }
        Handler::Stream(handler) => stream(app, call, handler).await,
        Handler::ApiUncompressed(handler) => api(app, call, handler, Encoding::Identity).await,
        Handler::Api(handler) => {
            let encoding = Encoding::accepted(&call.headers);
            let mut response = api(app, call, handler, encoding).await;
            response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
            response
        }
    }
}

/// What gated endpoints answer before the server is ready, and once it is about to end.
fn unavailable(phase: Phase) -> Response<Body> {
    const STOPPING: HeaderName = HeaderName::from_static("x-prometheus-stopping");
    let mut response = Response::new(Body::from("Service Unavailable"));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let stopping = if phase == Phase::Stopping { "true" } else { "false" };
    response.headers_mut().insert(STOPPING, HeaderValue::from_static(stopping));
    response
}

/// Adds the header that lists the methods of an endpoint, in alphabetical order.
fn allowed_methods(endpoint: &Endpoint, status: StatusCode, mut response: Response<Body>) -> Response<Body> {
    let mut methods: Vec<&str> = endpoint.methods.iter().map(Method::as_str).collect();
    methods.push("OPTIONS");
    methods.sort_unstable();
    if let Ok(value) = HeaderValue::from_str(&methods.join(", ")) {
        response.headers_mut().insert(ALLOW, value);
    }
    *response.status_mut() = status;
    response
}

/// Answers what no route takes: leads to the prefix, or to the same path without its last slash.
async fn fallback(app: Arc<App>, request: Request) -> Response<Body> {
    let prefix = &app.options.route_prefix;
    let path = request.uri().path();
    if request.method() == Method::OPTIONS && path.starts_with(&format!("{prefix}{API_PREFIX}")) {
        return preflight(&app, request).await;
    }
    let is_get = request.method() == Method::GET;
    if is_get && !prefix.is_empty() && (path == "/" || path == prefix) {
        let location = if path == "/" { prefix.clone() } else { format!("{prefix}/") };
        return redirect(StatusCode::FOUND, &location);
    }
    let trimmed = path.strip_suffix('/').filter(|trimmed| !trimmed.ends_with('/'));
    if let Some(trimmed) = trimmed.filter(|trimmed| is_endpoint(prefix, trimmed)) {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let status = if is_get { StatusCode::MOVED_PERMANENTLY } else { StatusCode::PERMANENT_REDIRECT };
        return redirect(status, &format!("{trimmed}{query}"));
    }
    plain_error(StatusCode::NOT_FOUND, "404 page not found")
}

/// Whether a path is that of an endpoint.
fn is_endpoint(prefix: &str, path: &str) -> bool {
    let Some(path) = path.strip_prefix(prefix) else { return false };
    ENDPOINTS.iter().any(|endpoint| {
        let same = |(p, s): (&str, &str)| p == s || (p.starts_with(':') && !s.is_empty());
        endpoint.pattern.split('/').count() == path.split('/').count()
            && endpoint.pattern.split('/').zip(path.split('/')).all(same)
    })
}
