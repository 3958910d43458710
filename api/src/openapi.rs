//! `/api/v1/openapi.yaml`: the API described as OpenAPI.
//!
//! The document is written from one table that stands beside the table of endpoints; a test holds the two
//! together, route by route and method by method.

use std::fmt::Write;
use std::sync::Arc;

use axum::body::Body;
use http::header::{CACHE_CONTROL, HeaderValue};
use http::{Method, Response};

use crate::call::Call;
use crate::endpoints::ENDPOINTS;
use crate::error::ApiError;
use crate::respond::with_type;
use crate::server::App;

/// What is written where an endpoint's answer is an envelope.
const ENVELOPE: &str = "application/json";
/// The pattern that OpenAPI 3.1 has no words for: a stream of events.
const LIVE: &str = "/api/v1/notifications/live";

/// The type of a parameter.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Texts,
    Time,
    Duration,
    Number,
    Bool,
    OneOf(&'static [&'static str]),
}

/// A parameter: its name, its type, whether it must be there, what it is for.
type Param = (&'static str, Kind, bool, &'static str);

/// What is said of an endpoint.
struct Doc {
    pattern: &'static str,
    summary: &'static str,
    params: &'static [Param],
    /// The media type of the answer.
    media_type: &'static str,
    /// The schema of the data, in YAML's flow style; `""` if there is none.
    data: &'static str,
}

const fn doc(
    pattern: &'static str,
    summary: &'static str,
    params: &'static [Param],
    data: &'static str,
) -> Doc {
    Doc { pattern, summary, params, media_type: ENVELOPE, data }
}

const QUERY: Param = ("query", Kind::Text, true, "PromQL expression");
const START: Param = ("start", Kind::Time, false, "start of the range of time");
const END: Param = ("end", Kind::Time, false, "end of the range of time");
const MATCH: Param = ("match[]", Kind::Texts, false, "series selectors");
const MATCH_REQUIRED: Param = ("match[]", Kind::Texts, true, "series selectors");
const LIMIT: Param = ("limit", Kind::Number, false, "the most results; 0 for all");
const TIMEOUT: Param = ("timeout", Kind::Duration, false, "how long evaluation may take");
const LOOKBACK: Param = ("lookback_delta", Kind::Duration, false, "how old a sample may be");
const STATS: Param = ("stats", Kind::Text, false, "which statistics to give: true or all");
const POOL: Param = ("scrapePool", Kind::Text, false, "name of a scrape pool");

const OBJECT: &str = "{type: object}";
const TEXTS: &str = "{type: array, items: {type: string}}";
const OBJECTS: &str = "{type: array, items: {type: object}}";
const QUERY_DATA: &str = "{type: object, required: [resultType, result], properties: {resultType: {type: string, \
     enum: [vector, matrix, scalar, string]}, result: {type: array}, stats: {type: object}}}";
const YAML_DATA: &str = "{type: object, required: [yaml], properties: {yaml: {type: string}}}";
const LABEL_SETS: &str = "{type: array, items: {type: object, additionalProperties: {type: string}}}";

const NDJSON: &str = "application/x-ndjson";
const SEARCH: [Param; 14] = [
    START,
    END,
    MATCH,
    ("search[]", Kind::Texts, false, "parts of what is looked for"),
    ("fuzz_threshold", Kind::Number, false, "how similar results must be, 0 to 100"),
    ("fuzz_alg", Kind::OneOf(&["subsequence", "jarowinkler"]), false, "how similarity is measured"),
    ("case_sensitive", Kind::Bool, false, "whether upper and lower case differ"),
    ("include_score", Kind::Bool, false, "whether to give scores"),
    ("include_metadata", Kind::Bool, false, "whether to give metadata; metric names only"),
    ("sort_by", Kind::OneOf(&["alpha", "score"]), false, "how to sort"),
    ("sort_dir", Kind::OneOf(&["asc", "dsc"]), false, "the direction of sort_by=alpha"),
    ("limit", Kind::Number, false, "the most results"),
    ("batch_size", Kind::Number, false, "results on a line"),
    ("label", Kind::Text, false, "the label whose values are searched; label values only"),
];

/// Everything that is described.
static DOCS: &[Doc] = &[
    doc(
        "/api/v1/query",
        "Evaluate an expression at one time",
        &[QUERY, ("time", Kind::Time, false, "evaluation time"), TIMEOUT, LIMIT, LOOKBACK, STATS],
        QUERY_DATA,
    ),
    doc(
        "/api/v1/query_range",
        "Evaluate an expression over a range of time",
        &[
            QUERY,
            ("start", Kind::Time, true, "first evaluation time"),
            ("end", Kind::Time, true, "last evaluation time"),
            ("step", Kind::Duration, true, "distance between evaluation times"),
            TIMEOUT,
            LIMIT,
            LOOKBACK,
            STATS,
        ],
        QUERY_DATA,
    ),
    doc("/api/v1/query_exemplars", "Exemplars of the series in an expression", &[QUERY, START, END], OBJECTS),
    doc("/api/v1/format_query", "Lay an expression out", &[QUERY], "{type: string}"),
    doc("/api/v1/parse_query", "The syntax tree of an expression", &[QUERY], OBJECT),
    doc(
        "/api/v1/explain",
        "How an expression is evaluated",
        &[
            QUERY,
            ("time", Kind::Time, false, "evaluation time"),
            ("start", Kind::Time, false, "first evaluation time"),
            ("end", Kind::Time, false, "last evaluation time"),
            ("step", Kind::Duration, false, "distance between evaluation times"),
            TIMEOUT,
            LOOKBACK,
            ("analyze", Kind::Bool, false, "whether to run it and tell what each operator did"),
        ],
        OBJECT,
    ),
    doc("/api/v1/labels", "Names of labels", &[START, END, MATCH, LIMIT], TEXTS),
    doc("/api/v1/label/:name/values", "Values of a label", &[START, END, MATCH, LIMIT], TEXTS),
    doc("/api/v1/series", "Label sets of series", &[MATCH_REQUIRED, START, END, LIMIT], LABEL_SETS),
    doc(
        "/api/v1/metadata",
        "Metadata of metrics",
        &[
            ("metric", Kind::Text, false, "name of a metric"),
            LIMIT,
            ("limit_per_metric", Kind::Number, false, "the most entries of a metric"),
        ],
        OBJECT,
    ),
    doc(
        "/api/v1/targets",
        "Targets",
        &[("state", Kind::Text, false, "active, dropped or any"), POOL],
        OBJECT,
    ),
    doc(
        "/api/v1/targets/metadata",
        "Metadata of metrics by target",
        &[
            ("match_target", Kind::Text, false, "selector of targets"),
            ("metric", Kind::Text, false, "name of a metric"),
            LIMIT,
        ],
        OBJECTS,
    ),
    doc(
        "/api/v1/targets/relabel_steps",
        "What relabelling makes of a label set",
        &[
            ("scrapePool", Kind::Text, true, "name of a scrape pool"),
            ("labels", Kind::Text, true, "a label set as a JSON object"),
        ],
        OBJECT,
    ),
    doc("/api/v1/scrape_pools", "Names of scrape pools", &[], OBJECT),
    doc(
        "/api/v1/scrape_pools/config",
        "Configuration of a scrape pool",
        &[("scrapePool", Kind::Text, true, "name of a scrape pool")],
        YAML_DATA,
    ),
    doc("/api/v1/alertmanagers", "Alertmanagers", &[], OBJECT),
    doc("/api/v1/alerts", "Active alerts", &[], OBJECT),
    doc(
        "/api/v1/rules",
        "Rules",
        &[
            ("type", Kind::OneOf(&["alert", "record"]), false, "which kind of rules"),
            ("rule_name[]", Kind::Texts, false, "names of rules"),
            ("rule_group[]", Kind::Texts, false, "names of groups"),
            ("file[]", Kind::Texts, false, "files"),
            MATCH,
            ("exclude_alerts", Kind::Bool, false, "whether to leave active alerts out"),
            ("group_limit", Kind::Number, false, "the most groups"),
            ("group_next_token", Kind::Text, false, "where to go on"),
        ],
        OBJECT,
    ),
    doc("/api/v1/status/config", "The configuration in force", &[], YAML_DATA),
    doc("/api/v1/status/flags", "Flags", &[], "{type: object, additionalProperties: {type: string}}"),
    doc("/api/v1/status/runtimeinfo", "How the process is doing", &[], OBJECT),
    doc("/api/v1/status/buildinfo", "Which program this is", &[], OBJECT),
    doc("/api/v1/status/tsdb", "Sizes of the head", &[LIMIT], OBJECT),
    doc(
        "/api/v1/status/cardinality",
        "What stored series are made of",
        &[
            MATCH,
            ("time", Kind::Time, false, "until when"),
            ("window", Kind::Duration, false, "how far back"),
            ("sort_by", Kind::OneOf(&["series", "churn", "bytes"]), false, "how to sort metric names"),
            LIMIT,
        ],
        OBJECT,
    ),
    doc("/api/v1/status/usage", "Which metrics are asked for", &[START, END, MATCH, LIMIT], OBJECT),
    doc("/api/v1/status/tsdb/blocks", "Blocks", &[], OBJECT),
    doc("/api/v1/status/tsdb/damage", "What was found damaged on disk", &[], OBJECT),
    doc("/api/v1/status/walreplay", "How far the log has been read back", &[], OBJECT),
    doc(
        "/api/v1/status/self_metrics",
        "The program's own metrics",
        &[("metric_name_pattern", Kind::Text, false, "expression that names must match")],
        OBJECTS,
    ),
    doc("/api/v1/features", "What is switched on", &[], OBJECT),
    doc("/api/v1/notifications", "Notices", &[], OBJECTS),
    Doc {
        pattern: LIVE,
        summary: "Notices as they change",
        params: &[],
        media_type: "text/event-stream",
        data: "{type: string}",
    },
    Doc {
        pattern: "/api/v1/search/metric_names",
        summary: "Search metric names",
        params: &SEARCH,
        media_type: NDJSON,
        data: "{type: string}",
    },
    Doc {
        pattern: "/api/v1/search/label_names",
        summary: "Search label names",
        params: &SEARCH,
        media_type: NDJSON,
        data: "{type: string}",
    },
    Doc {
        pattern: "/api/v1/search/label_values",
        summary: "Search label values",
        params: &SEARCH,
        media_type: NDJSON,
        data: "{type: string}",
    },
    doc("/api/v1/read", "Remote read", &[], ""),
    doc("/api/v1/write", "Remote write", &[], ""),
    doc("/api/v1/otlp/v1/metrics", "Metrics in OpenTelemetry's protocol", &[], ""),
    doc("/api/v1/admin/tsdb/delete_series", "Delete samples", &[MATCH_REQUIRED, START, END], ""),
    doc("/api/v1/admin/tsdb/clean_tombstones", "Rewrite blocks without deleted samples", &[], ""),
    doc(
        "/api/v1/admin/tsdb/snapshot",
        "Copy all data",
        &[("skip_head", Kind::Bool, false, "whether to leave the head out")],
        OBJECT,
    ),
    doc("/api/v1/status/queries", "Queries that are running", &[], OBJECTS),
    doc(
        "/api/v1/admin/queries/cancel",
        "End a running query",
        &[("id", Kind::Number, true, "number of the query")],
        "",
    ),
    Doc {
        pattern: "/api/v1/openapi.yaml",
        summary: "This document",
        params: &[("openapi_version", Kind::OneOf(&["3.1", "3.2"]), false, "version of OpenAPI")],
        media_type: "application/yaml",
        data: "{type: string}",
    },
];

/// `/openapi.yaml`.
pub(crate) fn openapi(app: &Arc<App>, call: &Call) -> Response<Body> {
    let newer = match call.query.get("openapi_version") {
        "" | "3.1" => false,
        "3.2" => true,
        other => {
            let cause = format!("unsupported version {}", crate::go_text::quoted(other));
            return crate::respond::api_error(&ApiError::param("openapi_version", cause));
        }
    };
    let document = document(app.options.external_url.as_str(), &app.parts.build.version, newer);
    let mut response = with_type("application/yaml; charset=utf-8", document);
    let no_cache = HeaderValue::from_static("no-cache, no-store, must-revalidate");
    response.headers_mut().insert(CACHE_CONTROL, no_cache);
    response
}

/// The document.
fn document(server_url: &str, version: &str, newer: bool) -> String {
    let openapi = if newer { "3.2.0" } else { "3.1.0" };
    let mut yaml = format!(
        "openapi: {openapi}\ninfo:\n  title: Ferula API\n  description: The HTTP API of Prometheus as \
         Ferula serves it\n  version: \"{version}\"\nservers:\n  - url: \"{}\"\npaths:\n",
        server_url.trim_end_matches('/')
    );
    for doc in DOCS.iter().filter(|doc| newer || doc.pattern != LIVE) {
        write_path(&mut yaml, doc);
    }
    yaml.push_str(COMPONENTS);
    yaml
}

/// Schemas that every path refers to.
const COMPONENTS: &str = "\
components:
  responses:
    Error:
      description: what went wrong
      content:
        application/json:
          schema:
            type: object
            required: [status, errorType, error]
            properties:
              status: {type: string, const: error}
              errorType: {type: string, enum: [bad_data, execution, canceled, timeout, not_found, internal, unavailable]}
              error: {type: string}
";

fn write_path(yaml: &mut String, doc: &Doc) {
    let path = doc.pattern.replace(":name", "{name}");
    let _ = writeln!(yaml, "  {path}:");
    for method in methods_of(doc.pattern) {
        let name = method.as_str().to_lowercase();
        let id = doc.pattern.trim_start_matches("/api/v1/").replace(['/', ':', '.'], "-");
        let _ = writeln!(yaml, "    {name}:\n      operationId: {name}-{id}\n      summary: {}", doc.summary);
        let as_form = method == Method::POST && methods_of(doc.pattern).contains(&Method::GET);
        write_params(yaml, doc, as_form);
        write_responses(yaml, doc);
    }
}

/// The methods that the pattern's endpoint has.
fn methods_of(pattern: &str) -> &'static [Method] {
    ENDPOINTS.iter().find(|endpoint| endpoint.pattern == pattern).map_or(&[], |endpoint| endpoint.methods)
}

fn write_params(yaml: &mut String, doc: &Doc, as_form: bool) {
    let in_path = doc.pattern.contains(":name");
    if (!as_form && !doc.params.is_empty()) || in_path {
        yaml.push_str("      parameters:\n");
    }
    if in_path {
        yaml.push_str("        - {name: name, in: path, required: true, schema: {type: string}}\n");
    }
    if as_form {
        yaml.push_str(
            "      requestBody:\n        content:\n          application/x-www-form-urlencoded:\n            \
             schema:\n              type: object\n",
        );
        let required: Vec<_> = doc.params.iter().filter(|p| p.2).map(|p| format!("\"{}\"", p.0)).collect();
        if !required.is_empty() {
            let _ = writeln!(yaml, "              required: [{}]", required.join(", "));
        }
        yaml.push_str("              properties:\n");
        for (name, kind, _, about) in doc.params {
            let schema = schema(*kind);
            let _ = writeln!(yaml, "                \"{name}\": {{description: \"{about}\", {schema}}}");
        }
        return;
    }
    for (name, kind, required, about) in doc.params {
        let schema = schema(*kind);
        let _ = writeln!(
            yaml,
            "        - {{name: \"{name}\", in: query, required: {required}, description: \"{about}\", \
             schema: {{{schema}}}}}"
        );
    }
}

fn schema(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Time | Kind::Duration => "type: string".to_owned(),
        Kind::Texts => "type: array, items: {type: string}".to_owned(),
        Kind::Number => "type: integer, minimum: 0".to_owned(),
        Kind::Bool => "type: boolean".to_owned(),
        Kind::OneOf(values) => format!(
            "type: string, enum: [{}]",
            values.iter().map(|v| format!("\"{v}\"")).collect::<Vec<_>>().join(", ")
        ),
    }
}

fn write_responses(yaml: &mut String, doc: &Doc) {
    yaml.push_str("      responses:\n");
    if doc.data.is_empty() {
        yaml.push_str("        \"204\": {description: done}\n");
    } else {
        let schema = if doc.media_type == ENVELOPE {
            format!(
                "{{type: object, required: [status, data], properties: {{status: {{type: string, const: \
                 success}}, data: {}, warnings: {TEXTS}, infos: {TEXTS}}}}}",
                doc.data
            )
        } else {
            doc.data.to_owned()
        };
        let _ = writeln!(
            yaml,
            "        \"200\":\n          description: the answer\n          content:\n            {}:\n              \
             schema: {schema}",
            doc.media_type
        );
        if matches!(doc.pattern, "/api/v1/query_exemplars" | LIVE) {
            yaml.push_str("        \"204\": {description: nothing to tell}\n");
        }
    }
    yaml.push_str("        default: {$ref: \"#/components/responses/Error\"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_served_is_described_and_nothing_else() {
        let served = ENDPOINTS.iter().map(|endpoint| endpoint.pattern);
        let mut served: Vec<_> =
            served.filter(|p| p.starts_with("/api/v1/") && *p != "/api/v1/*path").collect();
        let mut described: Vec<_> = DOCS.iter().map(|doc| doc.pattern).collect();
        served.sort_unstable();
        described.sort_unstable();
        assert_eq!(served, described);
    }

    #[test]
    fn the_older_document_leaves_the_stream_of_events_out() {
        for newer in [false, true] {
            let document = document("http://x/", "1", newer);
            assert_eq!(document.contains(LIVE), newer);
            assert!(document.starts_with(if newer { "openapi: 3.2.0\n" } else { "openapi: 3.1.0\n" }));
        }
    }
}
