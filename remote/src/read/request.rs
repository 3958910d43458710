//! What is asked.
//!
//! ```text
//! ReadRequest  { 1 repeated Query, 2 repeated enum accepted_response_types }
//! Query        { 1 int64 start_ms, 2 int64 end_ms, 3 repeated LabelMatcher, 4 ReadHints }
//! LabelMatcher { 1 enum type (0 =, 1 !=, 2 =~, 3 !~), 2 string name, 3 string value }
//! ReadHints    { 1 step_ms, 2 string func, 3 int64 start_ms, 4 int64 end_ms, 5 grouping, 6 by, 7 range_ms }
//! ```

use model::labels::Labels;
use model::matcher::{MatchOp, Matcher};
use model::time::TimestampMs;

use crate::wire::{Fields, WireError};

/// The hint's function of those who want labels alone.
const SERIES_FUNCTION: &str = "series";

/// How to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseType {
    Samples,
    Streamed,
}

impl ResponseType {
    fn of_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(ResponseType::Samples),
            1 => Some(ResponseType::Streamed),
            _ => None,
        }
    }
}

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) response_type: ResponseType,
    pub(super) queries: Vec<Query>,
}

/// One selection.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) mint: TimestampMs,
    pub(super) maxt: TimestampMs,
    pub(super) matchers: Vec<Matcher>,
    /// Only the labels are wanted.
    pub(super) is_series_only: bool,
}

/// Why a request can't be understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("{0}")]
    Matcher(String),
    #[error(
        "server does not support any of the requested response types: {0:?}; supported: [SAMPLES STREAMED_XOR_CHUNKS]"
    )]
    ResponseType(Vec<u64>),
}

/// Decodes a request. Series carry `external` labels outside of the storage, so a matcher for one of them holds
/// for all series inside, which don't have it.
pub(super) fn decode(message: &[u8], external: &Labels) -> Result<Request, RequestError> {
    let (mut queries, mut accepted) = (Vec::new(), Vec::new());
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.take_field()? {
        match number {
            1 => queries.push(query(field.bytes(number)?, external)?),
            2 => field.repeated_varint(number, &mut |number| accepted.push(number))?,
            _ => {}
        }
    }
    let response_type = if accepted.is_empty() {
        ResponseType::Samples
    } else {
        let known = accepted.iter().find_map(|number| ResponseType::of_number(*number));
        known.ok_or(RequestError::ResponseType(accepted))?
    };
    Ok(Request { response_type, queries })
}

fn query(message: &[u8], external: &Labels) -> Result<Query, RequestError> {
    let mut query = Query { mint: 0, maxt: 0, matchers: Vec::new(), is_series_only: false };
    let mut hints = None;
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.take_field()? {
        match number {
            1 => query.mint = field.int64(number)?,
            2 => query.maxt = field.int64(number)?,
            3 => query.matchers.push(matcher(field.bytes(number)?, external)?),
            4 => hints = Some(field.bytes(number)?),
            _ => {}
        }
    }
    if let Some(hints) = hints {
        apply_hints(hints, &mut query)?;
    }
    Ok(query)
}

fn matcher(message: &[u8], external: &Labels) -> Result<Matcher, RequestError> {
    let (mut op, mut name, mut value) = (MatchOp::Equal, "", "");
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.take_field()? {
        match number {
            1 => {
                op = match field.varint(number)? {
                    0 => MatchOp::Equal,
                    1 => MatchOp::NotEqual,
                    2 => MatchOp::Regex,
                    3 => MatchOp::NotRegex,
                    _ => return Err(RequestError::Matcher("invalid matcher type".to_owned())),
                }
            }
            2 => name = field.text(number)?,
            3 => value = field.text(number)?,
            _ => {}
        }
    }
    if op == MatchOp::Equal && external.get(name) == Some(value) {
        value = "";
    }
    Matcher::new(op, name, value).map_err(|error| RequestError::Matcher(error.to_string()))
}

/// Samples outside of the hints' range aren't looked at by the one who asks.
fn apply_hints(message: &[u8], query: &mut Query) -> Result<(), WireError> {
    let (mut mint, mut maxt) = (0, 0);
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.take_field()? {
        match number {
            2 => query.is_series_only = field.text(number)? == SERIES_FUNCTION,
            3 => mint = field.int64(number)?,
            4 => maxt = field.int64(number)?,
            _ => {}
        }
    }
    // Hints without a range, as some clients send them, say nothing of it.
    if (mint, maxt) != (0, 0) {
        query.mint = query.mint.max(mint);
        query.maxt = query.maxt.min(maxt);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(request) = decode(&bytes, &Labels::empty()) {
                prop_assert!(request.queries.len() <= bytes.len());
            }
        }
    }
}
