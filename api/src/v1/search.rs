//! `/search/*`: finding metric names, label names and label values by parts of them, or nearly so.
//!
//! The answer is a line of JSON for each batch of results, and a last line that tells how it ended. What is
//! wrong with a request is told before that, as an ordinary error.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use http::Response;
use model::matcher::Matcher;
use model::metadata::Metadata;
use model::storage::{Querier, StorageError};

use crate::call::Call;
use crate::error::{ApiError, ErrorType};
use crate::go_text;
use crate::json::{JsonOut, to_vec};
use crate::respond::{api_error, with_type};
use crate::selector;
use crate::server::App;

use super::similarity::{jaro_winkler, subsequence, substring};

/// How far back is searched unless the request says otherwise.
const RANGE_DEFAULT_MS: i64 = 60 * 60 * 1000;
/// The most terms of one request.
const TERMS_MAX: usize = 32;
/// Results, and results on a line, unless the request says otherwise.
const LIMIT_DEFAULT: usize = 100;

/// How results are ordered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
    /// The best first, equals by value.
    Score,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Subsequence,
    JaroWinkler,
}

/// What is searched for.
struct Search {
    mint: i64,
    maxt: i64,
    selectors: Vec<Vec<Matcher>>,
    terms: Vec<String>,
    case_sensitive: bool,
    /// 0 to 1; 0 asks for no similarity, only for parts.
    threshold: f64,
    algorithm: Algorithm,
    with_score: bool,
    order: Order,
    limit: usize,
    batch_size: usize,
}

/// A value that was found.
struct Found {
    value: String,
    score: f64,
}

impl Search {
    fn parse(app: &App, call: &Call) -> Result<Search, ApiError> {
        let form = &call.form;
        let now_ms = app.parts.clock.now_ms();
        let (mint, maxt) = form.time_range(now_ms - RANGE_DEFAULT_MS, now_ms)?;
        if maxt < mint {
            return Err(ApiError::param("end", "end timestamp must not be before start timestamp"));
        }
        let selectors =
            selector::parse_all(form.all("match[]")).map_err(|cause| ApiError::param("match[]", cause))?;
        let case_sensitive = flag(call, "case_sensitive", true)?;
        let folded = |term: &str| if case_sensitive { term.to_owned() } else { term.to_lowercase() };
        let terms: Vec<String> = form.all("search[]").filter(|term| !term.is_empty()).map(folded).collect();
        if form.all("search[]").count() > TERMS_MAX {
            return Err(ApiError::param("search[]", format!("at most {TERMS_MAX} search terms are allowed")));
        }
        let limit = limit(app, call)?;
        Ok(Search {
            mint,
            maxt,
            selectors,
            case_sensitive,
            threshold: threshold(call)?,
            algorithm: algorithm(call)?,
            with_score: flag(call, "include_score", false)?,
            order: order(call, !terms.is_empty())?,
            terms,
            limit,
            batch_size: positive(call, "batch_size")?.unwrap_or(LIMIT_DEFAULT),
        })
    }

    /// The best score of a value over all terms; `None` if it isn't wanted.
    fn score(&self, value: &str) -> Option<f64> {
        if self.terms.is_empty() {
            return Some(1.0);
        }
        let folded = if self.case_sensitive { value.to_owned() } else { value.to_lowercase() };
        let scores = self.terms.iter().filter_map(|term| self.score_of_term(term, &folded));
        scores.max_by(f64::total_cmp)
    }

    fn score_of_term(&self, term: &str, value: &str) -> Option<f64> {
        let part = substring(term, value);
        if self.threshold == 0.0 {
            return part;
        }
        let similar = match self.algorithm {
            Algorithm::Subsequence => subsequence(term, value),
            Algorithm::JaroWinkler => jaro_winkler(term, value),
        };
        let similar = Some(similar).filter(|score| *score > 0.0 && *score >= self.threshold);
        match (part, similar) {
            (Some(part), Some(similar)) => Some(part.max(similar)),
            (part, similar) => part.or(similar),
        }
    }

    /// The values that are wanted, in order, at most one more than the limit.
    fn rank(&self, values: Vec<String>) -> Vec<Found> {
        let found =
            values.into_iter().filter_map(|value| self.score(&value).map(|score| Found { value, score }));
        let mut found: Vec<Found> = found.collect();
        match self.order {
            Order::Ascending => {}
            Order::Descending => found.reverse(),
            // A stable sort leaves equals by value.
            Order::Score => found.sort_by(|a, b| b.score.total_cmp(&a.score)),
        }
        found.truncate(self.limit.saturating_add(1));
        found
    }
}

fn flag(call: &Call, name: &'static str, default: bool) -> Result<bool, ApiError> {
    match call.form.get(name) {
        "" => Ok(default),
        text => go_text::parse_bool(text).map_err(|cause| ApiError::param(name, cause)),
    }
}

fn positive(call: &Call, name: &'static str) -> Result<Option<usize>, ApiError> {
    let text = call.form.get(name);
    if text.is_empty() {
        return Ok(None);
    }
    let number = go_text::atoi(text).map_err(|cause| ApiError::param(name, cause))?;
    match usize::try_from(number) {
        Ok(number) if number > 0 => Ok(Some(number)),
        _ => Err(ApiError::param(name, format!("{name} must be positive"))),
    }
}

fn limit(app: &App, call: &Call) -> Result<usize, ApiError> {
    let max = match app.options.search_limit_max {
        0 => usize::MAX,
        max => max,
    };
    match positive(call, "limit")? {
        None => Ok(LIMIT_DEFAULT.min(max)),
        Some(limit) if limit > max => Err(ApiError::param("limit", format!("limit must not exceed {max}"))),
        Some(limit) => Ok(limit),
    }
}

fn threshold(call: &Call) -> Result<f64, ApiError> {
    let text = call.form.get("fuzz_threshold");
    if text.is_empty() {
        return Ok(0.0);
    }
    let number = go_text::atoi(text).map_err(|cause| ApiError::param("fuzz_threshold", cause))?;
    if !(0..=100).contains(&number) {
        return Err(ApiError::param("fuzz_threshold", "must be between 0 and 100"));
    }
    Ok(number as f64 / 100.0)
}

fn algorithm(call: &Call) -> Result<Algorithm, ApiError> {
    match call.form.get("fuzz_alg") {
        "" | "subsequence" => Ok(Algorithm::Subsequence),
        "jarowinkler" => Ok(Algorithm::JaroWinkler),
        other => {
            let cause = format!("unsupported algorithm {}", go_text::quoted(other));
            Err(ApiError::param("fuzz_alg", cause))
        }
    }
}

fn order(call: &Call, has_terms: bool) -> Result<Order, ApiError> {
    let by = call.form.get("sort_by");
    let direction = call.form.get("sort_dir");
    let unsupported =
        |name, text| ApiError::param(name, format!("not supported value {}", go_text::quoted(text)));
    match (by, direction) {
        ("" | "alpha" | "score", other) if !matches!(other, "" | "asc" | "dsc") => {
            Err(unsupported("sort_dir", other))
        }
        ("" | "score", "asc" | "dsc") => {
            Err(ApiError::param("sort_dir", "sort_dir is only supported with sort_by=alpha"))
        }
        ("score", _) if !has_terms => Err(ApiError::param("sort_by", "sort_by=score requires search[]")),
        ("score", _) => Ok(Order::Score),
        ("alpha", "dsc") => Ok(Order::Descending),
        ("" | "alpha", _) => Ok(Order::Ascending),
        (other, _) => Err(unsupported("sort_by", other)),
    }
}

/// Asks a querier for the values among which is searched, sorted.
type Ask<'a> = dyn Fn(&dyn Querier, &[Matcher]) -> Result<Vec<String>, StorageError> + 'a;

/// `/search/metric_names`.
pub(crate) fn metric_names(app: &Arc<App>, call: &Call) -> Response<Body> {
    let with_metadata = match flag(call, "include_metadata", false) {
        Ok(with_metadata) => with_metadata,
        Err(error) => return api_error(&error),
    };
    let metadata = if with_metadata { metadata_by_name(app) } else { BTreeMap::new() };
    let ask = |querier: &dyn Querier, matchers: &[Matcher]| {
        querier.label_values(model::labels::METRIC_NAME, matchers, 0, &call.cancel)
    };
    respond(app, call, "name", &metadata, &ask)
}

/// `/search/label_names`.
pub(crate) fn label_names(app: &Arc<App>, call: &Call) -> Response<Body> {
    let ask = |querier: &dyn Querier, matchers: &[Matcher]| querier.label_names(matchers, 0, &call.cancel);
    respond(app, call, "name", &BTreeMap::new(), &ask)
}

/// `/search/label_values`.
pub(crate) fn label_values(app: &Arc<App>, call: &Call) -> Response<Body> {
    let label = call.form.get("label");
    if label.is_empty() && app.options.enable_search_api {
        return api_error(&ApiError::bad_data("missing required parameter \"label\""));
    }
    let ask =
        |querier: &dyn Querier, matchers: &[Matcher]| querier.label_values(label, matchers, 0, &call.cancel);
    respond(app, call, "value", &BTreeMap::new(), &ask)
}

/// One of the things that are known of each metric family.
fn metadata_by_name(app: &App) -> BTreeMap<String, Metadata> {
    let families = super::metadata::families(app, None).into_iter();
    families.filter_map(|(name, metadata)| Some((name, metadata.into_iter().next()?))).collect()
}

fn respond(
    app: &App,
    call: &Call,
    key: &'static str,
    metadata: &BTreeMap<String, Metadata>,
    ask: &Ask<'_>,
) -> Response<Body> {
    if !app.options.enable_search_api {
        return api_error(&ApiError::new(ErrorType::Unavailable, "search API disabled"));
    }
    let found = Search::parse(app, call)
        .and_then(|search| candidates(app, &search, ask).map(|values| (search.rank(values), search)));
    match found {
        Err(error) => api_error(&error),
        Ok((found, search)) => {
            let lines = write_lines(&found, &search, key, metadata);
            with_type("application/x-ndjson; charset=utf-8", lines)
        }
    }
}

fn candidates(app: &App, search: &Search, ask: &Ask<'_>) -> Result<Vec<String>, ApiError> {
    let storage_error = |error: StorageError| ApiError::storage(&error, ErrorType::Execution);
    let querier = app.parts.storage.querier(search.mint, search.maxt).map_err(storage_error)?;
    if search.selectors.is_empty() {
        return ask(&*querier, &[]).map_err(storage_error);
    }
    let mut values = Vec::new();
    for matchers in &search.selectors {
        values.append(&mut ask(&*querier, matchers).map_err(storage_error)?);
    }
    values.sort_unstable();
    values.dedup();
    Ok(values)
}

fn write_lines(
    found: &[Found],
    search: &Search,
    key: &'static str,
    metadata: &BTreeMap<String, Metadata>,
) -> Vec<u8> {
    let told = &found[..found.len().min(search.limit)];
    let mut lines = Vec::new();
    // There is a line of results even if there are none.
    let empty: &[Found] = &[];
    let batches = told.chunks(search.batch_size).chain(told.is_empty().then_some(empty));
    for batch in batches {
        lines.append(&mut to_vec(|out| {
            out.open_object();
            out.key("results").open_array();
            batch.iter().for_each(|found| write_result(out, found, search, key, metadata));
            out.close_array();
            out.close_object();
        }));
        lines.push(b'\n');
    }
    lines.append(&mut to_vec(|out| {
        out.open_object();
        out.key("status").string("success");
        out.key("has_more").bool(found.len() > told.len());
        out.close_object();
    }));
    lines.push(b'\n');
    lines
}

fn write_result(
    out: &mut JsonOut<'_>,
    found: &Found,
    search: &Search,
    key: &'static str,
    metadata: &BTreeMap<String, Metadata>,
) {
    out.open_object();
    out.key(key).string(&found.value);
    if search.with_score {
        out.key("score").float(found.score);
    }
    if let Some(metadata) = metadata.get(&found.value) {
        out.key("type").string(metadata.metric_type.as_str());
        out.key("help").string(&metadata.help);
        out.key("unit").string(&metadata.unit);
    }
    out.close_object();
}
