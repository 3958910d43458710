//! The list of labels in braces, which both text formats have, and what is made of it on request.

use std::borrow::Cow;
use std::ops::Range;

use model::float_text;
use model::metadata::MetricType;

use super::lex::{Lex, Token};
use super::quote::quoted;
use super::{ParseError, RawLabels};

/// Where names and values stand in the input.
#[derive(Clone, Debug, Default)]
pub(super) struct LabelSpans {
    /// The metric's name, without quotes.
    pub(super) metric_name: Option<Range<usize>>,
    /// Names and values, without quotes.
    pub(super) pairs: Vec<(Range<usize>, Range<usize>)>,
}

/// What the formats, and exemplars, ask of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// A comma may be missing (text format).
    Lenient,
    /// Commas between labels (OpenMetrics).
    Strict,
    /// As strict, and a metric name has no place in it.
    Exemplar,
}

impl LabelSpans {
    pub(super) fn clear(&mut self) {
        self.metric_name = None;
        self.pairs.clear();
    }

    /// Reads a list whose opening brace was the last token, up to its closing brace.
    pub(super) fn read<'a>(
        &mut self,
        lexer: &mut impl Lex<'a>,
        strictness: Strictness,
    ) -> Result<(), ParseError> {
        let mut token = lexer.next_token();
        loop {
            match token {
                Token::BraceClose => return Ok(()),
                Token::LabelName | Token::QuotedString => {}
                other => return Err(lexer.cursor().unexpected("expected label name", other)),
            }
            let name = unquoted(lexer, token);
            let is_quoted = token == Token::QuotedString;
            token = lexer.next_token();
            let is_alone = matches!(token, Token::Comma | Token::BraceClose);
            if is_alone && strictness == Strictness::Exemplar {
                return Err(lexer.cursor().unexpected("expected label name", token));
            }
            if is_alone && (is_quoted || self.metric_name.is_some()) {
                // A string without a value is the metric's name.
                if self.metric_name.is_some() {
                    return Err(lexer.cursor().failed("metric name already set"));
                }
                self.metric_name = Some(name);
                if token == Token::BraceClose {
                    return Ok(());
                }
                token = lexer.next_token();
                continue;
            }
            if token != Token::Equal {
                return Err(lexer.cursor().unexpected("expected equal", token));
            }
            token = lexer.next_token();
            if token != Token::LabelValue {
                return Err(lexer.cursor().unexpected("expected label value", token));
            }
            let text = lexer.cursor().token();
            if std::str::from_utf8(text).is_err() {
                return Err(ParseError::new(format!("invalid UTF-8 label value: {}", quoted(text))));
            }
            let value = lexer.cursor().start + 1..lexer.cursor().pos - 1;
            self.pairs.push((name, value));
            token = lexer.next_token();
            if token == Token::Comma {
                token = lexer.next_token();
            } else if token != Token::BraceClose && strictness != Strictness::Lenient {
                return Err(lexer.cursor().unexpected("expected comma or brace close", token));
            }
        }
    }

    /// The labels, the metric name first.
    pub(super) fn resolve<'a>(&self, input: &'a [u8], metric_type: MetricType) -> RawLabels<'a> {
        let mut labels = Vec::with_capacity(self.pairs.len() + 1);
        if let Some(name) = &self.metric_name {
            labels.push((Cow::Borrowed(model::labels::METRIC_NAME), unescape(text_at(input, name))));
        }
        for (name, value) in &self.pairs {
            let name = unescape(text_at(input, name));
            let value = normalise(metric_type, &name, unescape(text_at(input, value)));
            labels.push((name, value));
        }
        labels
    }
}

/// Where the last token stands, without its quotes.
fn unquoted<'a>(lexer: &impl Lex<'a>, token: Token) -> Range<usize> {
    let cursor = lexer.cursor();
    match token {
        Token::QuotedString => cursor.start + 1..cursor.pos - 1,
        _ => cursor.start..cursor.pos,
    }
}

/// Text at a place; bytes that aren't UTF-8, which names may have, are replaced.
pub(super) fn text_at<'a>(input: &'a [u8], span: &Range<usize>) -> Cow<'a, str> {
    String::from_utf8_lossy(&input[span.clone()])
}

/// Resolves `\\`, `\"` and `\n`; other backslashes stay.
pub(super) fn unescape(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let resolved = match (c, chars.peek()) {
            ('\\', Some('\\')) => Some('\\'),
            ('\\', Some('"')) => Some('"'),
            ('\\', Some('n')) => Some('\n'),
            _ => None,
        };
        if resolved.is_some() {
            chars.next();
        }
        out.push(resolved.unwrap_or(c));
    }
    Cow::Owned(out)
}

/// Writes bounds and quantiles the way OpenMetrics does, so that the series don't change with the format.
fn normalise<'a>(metric_type: MetricType, name: &str, value: Cow<'a, str>) -> Cow<'a, str> {
    let is_number = match metric_type {
        MetricType::Histogram => name == model::labels::BUCKET_LABEL,
        MetricType::Summary => name == "quantile",
        _ => false,
    };
    match super::number::parse_float(value.as_bytes()) {
        Ok(number) if is_number => Cow::Owned(openmetrics_float(number)),
        _ => value,
    }
}

/// Decimal exponents that Go's format `g` writes without an exponent.
const PLAIN_EXPONENTS: Range<i32> = -4..6;

/// A float the way OpenMetrics writes it: `1.0`, `0.25`, `1e+06`, `+Inf`.
pub(crate) fn openmetrics_float(value: f64) -> String {
    if !value.is_finite() {
        return float_text::api(value);
    }
    let exponential = float_text::exponent(value);
    let exponent = exponential.split_once('e').and_then(|(_, e)| e.parse::<i32>().ok()).unwrap_or(0);
    if PLAIN_EXPONENTS.contains(&exponent) {
        let mut text = float_text::plain(value);
        if !text.contains('.') {
            text.push_str(".0");
        }
        return text;
    }
    exponential
}
