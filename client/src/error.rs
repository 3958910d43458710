//! Why a request got no answer.

use std::error::Error;
use std::sync::Arc;

/// Why a request got no answer. The texts resemble those of Go's `net/http`, which people search for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// The configuration can't be used.
    #[error("{0}")]
    Config(String),
    /// A file with a certificate or credentials can't be read.
    #[error("unable to read {what} {path}: {source}")]
    File {
        /// What it holds.
        what: &'static str,
        /// Where it is.
        path: String,
        /// The operating system's error.
        source: Arc<std::io::Error>,
    },
    /// Not a URL that can be asked for.
    #[error("invalid URL {0:?}")]
    Url(String),
    /// A redirection that can't be followed.
    #[error("{0}")]
    Redirect(String),
    /// No connection.
    #[error("{0}")]
    Connect(String),
    /// The connection broke, or what came back isn't HTTP.
    #[error("{0}")]
    Transport(String),
    /// The token endpoint didn't give a token.
    #[error("oauth2: {0}")]
    OAuth2(String),
}

impl ClientError {
    /// Finds the reason behind what the pool says.
    pub(crate) fn from_pool(error: hyper_util::client::legacy::Error) -> Self {
        let mut source: &(dyn Error + 'static) = &error;
        while let Some(next) = source.source() {
            source = next;
        }
        match (source.downcast_ref::<ClientError>(), error.is_connect()) {
            (Some(inner), _) => inner.clone(),
            (None, true) => ClientError::Connect(source.to_string()),
            (None, false) => ClientError::Transport(plain(source)),
        }
    }
}

/// What Go says where hyper says that a message is incomplete.
fn plain(source: &(dyn Error + 'static)) -> String {
    match source.downcast_ref::<hyper::Error>() {
        Some(error) if error.is_incomplete_message() => "EOF".to_owned(),
        Some(error) if error.is_parse() => format!("net/http: HTTP/1.x transport connection broken: {error}"),
        _ => source.to_string(),
    }
}
