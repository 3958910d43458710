//! From text to syntax tree.
//!
//! The text becomes tokens first, read with nom; the grammar over the tokens is written by hand as a
//! precedence climber, because that keeps the table of precedences in one place and lets every error say what it
//! was in the middle of. What the reference's generated parser does at a syntax error (look outwards for the
//! nearest construct that has a message for it) is done here by [`grammar::Failure`]: it leaves the place of the
//! error without a context, and the first construct on its way out that has one adds it.
//!
//! The first error is the only one. Types are checked after the whole text has been read, see
//! [`crate::types`].

mod call;
mod duration;
mod expr;
mod grammar;
mod lex;
mod metric;
pub(crate) mod number;
mod selector;
pub(crate) mod string;
mod token;
pub(crate) mod words;

use std::fmt;

use model::labels::Labels;
use model::matcher::Matcher;

use crate::ast::{Expr, Span};
use crate::features::Features;
use crate::types;
use grammar::Parser;

pub use string::is_utf8;
pub use token::quoted;

/// How deep a query may be nested: parentheses, calls and signs around each other.
///
/// The parser and everybody after it call themselves once for each level. Queries that people or programs write
/// stay far below.
pub const NESTING_MAX: usize = 100;
/// How high a syntax tree may become, which long chains such as `a or b or …` make higher without nesting.
pub const HEIGHT_MAX: usize = 1_000;

/// Parses and checks a query.
///
/// # Errors
///
/// The first place where the text is no query, or where types don't fit.
pub fn parse(query: &str, features: &Features) -> Result<Expr, ParseError> {
    let mut expr = Parser::new(query, *features).expression()?;
    types::check(&mut expr).map_err(|error| ParseError::new(query, error.span, error.message))?;
    Ok(expr)
}

/// Parses a selector as in a `match[]` parameter: `name{…}` without modifiers. A selector that selects everything
/// isn't an error here.
///
/// # Errors
///
/// The first place where the text is no selector.
pub fn parse_selector(selector: &str) -> Result<Vec<Matcher>, ParseError> {
    Parser::new(selector, Features::default()).metric_selector()
}

/// Parses a metric as it is written in tests: `name{label="value"}`.
///
/// # Errors
///
/// The first place where the text is no metric.
pub fn parse_metric(metric: &str) -> Result<Labels, ParseError> {
    Parser::new(metric, Features::default()).whole_metric()
}

/// Why a text is no query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Where, in bytes of the text.
    pub span: Span,
    /// Line of the span's start, from 1; 0 in an empty text, which has no place.
    pub line: usize,
    /// Column of the span's start in bytes, from 1.
    pub column: usize,
    /// What is wrong, without the place.
    pub message: String,
}

impl ParseError {
    pub(crate) fn new(text: &str, span: Span, message: impl Into<String>) -> Self {
        let before = &text.as_bytes()[..span.start.min(text.len())];
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
        let line = if text.is_empty() { 0 } else { before.iter().filter(|b| **b == b'\n').count() + 1 };
        ParseError { span, line, column: before.len() - line_start + 1, message: message.into() }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "unknown position: parse error: {}", self.message),
            line => write!(f, "{line}:{}: parse error: {}", self.column, self.message),
        }
    }
}

impl std::error::Error for ParseError {}
