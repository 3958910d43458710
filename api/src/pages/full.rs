//! The full page: one document for every path, which draws what it fetches from the API, and the files that
//! the document asks for.
//!
//! The policy lets it run and fetch what this server serves and nothing else; nothing is inline, so that a
//! label value that found its way into markup would still not run.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_NONE_MATCH, VARY,
};
use http::{Response, StatusCode};

use crate::call::Call;
use crate::options::ApiOptions;
use crate::respond::{plain_error, with_type};
use crate::server::App;

use super::html::Html;
use super::secure;

/// Scripts, styles, fonts and answers of this server, nothing inline, nothing from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; \
     connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A year: the name of a file changes with its contents.
const FOREVER: &str = "max-age=31536000, immutable";

/// The document, with its title in it.
#[derive(Debug)]
pub(crate) struct Index {
    html: Bytes,
    etag: HeaderValue,
}

impl Index {
    /// The document, if there is one.
    pub(crate) fn new(options: &ApiOptions) -> Option<Index> {
        let page = options.page?;
        let mut title = Html::default();
        title.text(&options.page_title);
        let html = page.index.replace(ui::TITLE_PLACEHOLDER, &title.finish());
        let mut hasher = DefaultHasher::new();
        html.hash(&mut hasher);
        let etag = HeaderValue::from_str(&format!("\"{:016x}\"", hasher.finish())).ok()?;
        Some(Index { html: Bytes::from(html), etag })
    }

    /// The document, or that the client has it.
    pub(super) fn respond(&self, headers: &HeaderMap) -> Response<Body> {
        let known = headers.get(IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
        let is_known = known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == self.etag);
        let mut response = if is_known {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            with_type("text/html; charset=utf-8", self.html.clone())
        };
        set(&mut response, ETAG, self.etag.clone());
        set(&mut response, CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        secure(&mut response, POLICY);
        response
    }
}

/// `/assets/*filepath`: what the document asks for.
pub(crate) fn asset(app: &Arc<App>, call: &Call) -> Response<Body> {
    let path = call.uri.path().strip_prefix(&app.options.route_prefix).unwrap_or_default();
    let path = path.trim_start_matches('/');
    let files = app.options.page.map_or(&[][..], |page| page.files);
    let Some(file) = files.iter().find(|file| file.path == path) else {
        return plain_error(StatusCode::NOT_FOUND, "404 page not found");
    };
    let accepts = |coding: &str| accepts(&call.headers, coding);
    let (bytes, coding) = match (file.brotli, file.gzip) {
        (Some(bytes), _) if accepts("br") => (bytes, Some("br")),
        (_, Some(bytes)) if accepts("gzip") => (bytes, Some("gzip")),
        _ => (file.identity, None),
    };
    let mut response = with_type(file.content_type, bytes);
    if let Some(coding) = coding {
        set(&mut response, CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    set(&mut response, VARY, HeaderValue::from_static("Accept-Encoding"));
    set(&mut response, CACHE_CONTROL, HeaderValue::from_static(FOREVER));
    secure(&mut response, POLICY);
    response
}

fn set(response: &mut Response<Body>, name: HeaderName, value: HeaderValue) {
    response.headers_mut().insert(name, value);
}

/// Whether `Accept-Encoding` names a coding, and not with the weight 0.
fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    let lists = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|token| {
        let (name, weight) = token.split_once(';').unwrap_or((token, "q=1"));
        let refused = weight.trim().trim_start_matches("q=").parse() == Ok(0.0);
        name.trim().eq_ignore_ascii_case(coding) && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_is_accepted_unless_its_weight_is_zero() {
        for (header, brotli, gzip) in [
            ("gzip, deflate, br, zstd", true, true),
            ("gzip;q=0.5, br;q=0", false, true),
            ("GZIP; q=0.000", false, false),
            ("identity", false, false),
            ("", false, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, header.parse().unwrap());
            assert_eq!((accepts(&headers, "br"), accepts(&headers, "gzip")), (brotli, gzip), "{header}");
        }
    }
}
