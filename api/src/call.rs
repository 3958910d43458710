//! A request that has arrived whole.

use std::net::IpAddr;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use model::cancel::Cancel;
use promql::engine::Origin;

use crate::params::{Form, unescape_path};

/// The most bytes of a request's body that are read for a form; Go's limit.
const FORM_BYTES_MAX: usize = 10 << 20;

/// The most bytes of a body that is handed on as it is: a remote write request, compressed.
const UPLOAD_BYTES_MAX: usize = 32 << 20;

/// A request.
#[derive(Debug)]
pub(crate) struct Call {
    /// Parameters of body and URL.
    pub form: Form,
    /// Parameters of the URL alone.
    pub query: Form,
    /// The method.
    pub method: Method,
    /// The request's target.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, for endpoints that take one that isn't a form.
    pub upload: Bytes,
    /// Set when the client goes away.
    pub cancel: Cancel,
    /// The client's address, if it came over a network.
    pub client: Option<IpAddr>,
}

/// The address of the client at the other end of a request's connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client(pub(crate) IpAddr);

/// Why a request can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The body is too large.
    #[error("http: request body too large")]
    TooLarge,
    /// The connection broke, or the body isn't framed as HTTP.
    #[error("error reading request body: {0}")]
    Broken(String),
}

impl ReadError {
    /// The status that tells of it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            ReadError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ReadError::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl Call {
    /// Who asks, for the query log.
    pub(crate) fn origin(&self) -> Origin {
        Origin::Http {
            client_ip: self.client.map(|address| address.to_string()).unwrap_or_default(),
            method: self.method.to_string(),
            path: self.uri.path().to_owned(),
        }
    }

    /// Reads the body, if it is a form, and decodes the parameters.
    pub(crate) async fn read(request: Request<Body>, cancel: Cancel) -> Result<Call, ReadError> {
        let (parts, body) = request.into_parts();
        let query = Form::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let mut form = Form::default();
        if has_form(&parts.method, &parts.headers) {
            form = Form::parse(&read_body(&parts.headers, body, FORM_BYTES_MAX).await?);
            form.append(parts.uri.query().unwrap_or_default().as_bytes());
        } else {
            form.clone_from(&query);
        }
        let client = parts.extensions.get().map(|Client(address)| *address);
        let (method, uri, headers) = (parts.method, parts.uri, parts.headers);
        Ok(Call { form, query, method, uri, headers, upload: Bytes::new(), cancel, client })
    }

    /// Reads the body as it is; parameters are those of the URL.
    pub(crate) async fn read_upload(request: Request<Body>, cancel: Cancel) -> Result<Call, ReadError> {
        let (parts, body) = request.into_parts();
        let upload = read_body(&parts.headers, body, UPLOAD_BYTES_MAX).await?;
        let query = Form::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let client = parts.extensions.get().map(|Client(address)| *address);
        let (method, uri, headers) = (parts.method, parts.uri, parts.headers);
        Ok(Call { form: query.clone(), query, method, uri, headers, upload, cancel, client })
    }

    /// The bytes of the path's segment that stands where the pattern, such as `/label/:name/values`, has one
    /// with a colon; percent-encoding undone. `prefix` is what stands before the pattern.
    pub(crate) fn path_segment(&self, prefix: &str, pattern: &str) -> Option<Vec<u8>> {
        let path = self.uri.path().strip_prefix(prefix)?;
        let segments = path.split('/').zip(pattern.split('/'));
        let (segment, _) = segments.into_iter().find(|(_, p)| p.starts_with(':'))?;
        unescape_path(segment.as_bytes())
    }
}

fn has_form(method: &Method, headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
        && media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

async fn read_body(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, ReadError> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > bytes_max) {
        return Err(ReadError::TooLarge);
    }
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ReadError::TooLarge),
        Err(error) => Err(ReadError::Broken(error.to_string())),
    }
}
