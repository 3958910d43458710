//! Cross-origin requests: which pages of other sites may read answers.

use http::HeaderMap;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue, ORIGIN, VARY,
};
use model::regex::AnchoredRegex;

/// Adds the headers that an answer to a request of this origin has.
pub(crate) fn add_headers(allowed: &AnchoredRegex, request: &HeaderMap, response: &mut HeaderMap) {
    response.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = request.get(ORIGIN).filter(|origin| !origin.is_empty()) else { return };
    response.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Accept, Authorization, Content-Type, Origin"),
    );
    response.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
    response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Date"));
    if allowed.as_str() == ".*" {
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else if origin.to_str().is_ok_and(|origin| allowed.is_match(origin)) {
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
}
