//! What goes wrong in a call, as clients see it.

use http::StatusCode;
use model::storage::StorageError;

/// The type of an error; clients act by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// The query took longer than it may.
    Timeout,
    /// The query was cancelled, or its client went away.
    Canceled,
    /// The query can't be evaluated.
    Execution,
    /// The request isn't well-formed.
    BadData,
    /// What was asked for isn't there.
    NotFound,
    /// The server failed.
    Internal,
    /// The server can't do that now, or isn't set up to.
    Unavailable,
}

impl ErrorType {
    /// The name in the envelope.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorType::Timeout => "timeout",
            ErrorType::Canceled => "canceled",
            ErrorType::Execution => "execution",
            ErrorType::BadData => "bad_data",
            ErrorType::NotFound => "not_found",
            ErrorType::Internal => "internal",
            ErrorType::Unavailable => "unavailable",
        }
    }

    /// The status of the response. "Unavailable" is a 500 in the reference too.
    pub fn status(self) -> StatusCode {
        match self {
            ErrorType::Timeout => StatusCode::SERVICE_UNAVAILABLE,
            ErrorType::Canceled => client_closed_request(),
            ErrorType::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorType::BadData => StatusCode::BAD_REQUEST,
            ErrorType::NotFound => StatusCode::NOT_FOUND,
            ErrorType::Internal | ErrorType::Unavailable => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// 499, which nginx brought into use.
fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).expect("499 is within the range of status codes")
}

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", kind.as_str())]
pub struct ApiError {
    /// Its type.
    pub kind: ErrorType,
    /// A sentence for the client.
    pub message: String,
}

impl ApiError {
    /// An error of this type.
    pub fn new(kind: ErrorType, message: impl ToString) -> Self {
        ApiError { kind, message: message.to_string() }
    }

    /// The request isn't well-formed.
    pub fn bad_data(message: impl ToString) -> Self {
        Self::new(ErrorType::BadData, message)
    }

    /// A parameter isn't well-formed.
    pub fn param(name: &str, cause: impl ToString) -> Self {
        Self::bad_data(format!("invalid parameter \"{name}\": {}", cause.to_string()))
    }

    /// A storage failed; what isn't a matter of readiness or cancellation gets the type `otherwise`.
    pub fn storage(error: &StorageError, otherwise: ErrorType) -> Self {
        let kind = match error {
            StorageError::NotReady => ErrorType::Unavailable,
            StorageError::Cancelled => ErrorType::Canceled,
            _ => otherwise,
        };
        Self::new(kind, error)
    }
}
