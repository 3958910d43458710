//! The Prometheus text format, 0.0.4 and, with quoted names, 1.0.0.
//!
//! ```text
//! # HELP name words to the end of the line
//! # TYPE name counter|gauge|histogram|summary|untyped
//! name{label="value",…} value [timestamp in ms]
//! {"quoted name",label="value",…} value [timestamp in ms]
//! ```
//!
//! The lexer has the states of the reference's (`textparse/promlex.l`), so that both accept and refuse the
//! same lines with the same words.

use std::borrow::Cow;

use memchr::memchr;
use model::metadata::MetricType;
use model::time::TimestampMs;

use super::labels::{LabelSpans, Strictness, text_at, unescape};
use super::lex::{Cursor, Lex, Token, is_colon};
use super::number::{parse_float, plain_value};
use super::quote::quoted;
use super::{Entry, Lines, ParseError, RawExemplar, RawLabels, Sample};

/// The most digits of a timestamp that are read without a look at its range.
const TIMESTAMP_DIGITS_MAX: usize = 18;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Init,
    Comment,
    MetadataName,
    MetadataText,
    Labels,
    LabelValue,
    Value,
    Timestamp,
}

#[derive(Clone, Debug)]
struct Lexer<'a> {
    cursor: Cursor<'a>,
    state: State,
}

impl<'a> Lex<'a> for Lexer<'a> {
    fn next_token(&mut self) -> Token {
        self.skip_blanks();
        self.cursor.start = self.cursor.pos;
        let Some(byte) = self.cursor.peek() else {
            // The last line may lack its end.
            return match self.state {
                State::Init => Token::Eof,
                State::Timestamp | State::MetadataText => self.end_line(0),
                _ => Token::Invalid,
            };
        };
        if byte == b'\n' && self.state != State::MetadataText {
            let may_end = matches!(self.state, State::Init | State::Comment | State::Timestamp);
            return if may_end { self.end_line(1) } else { Token::Invalid };
        }
        match self.state {
            State::Init => self.line_start(byte),
            State::Comment => self.comment(),
            State::MetadataName if byte == b'"' => {
                self.state = State::MetadataText;
                self.cursor.take_quoted(true, Token::MetricName)
            }
            State::MetadataName => {
                self.state = State::MetadataText;
                self.cursor.take_name(is_colon, Token::MetricName)
            }
            State::MetadataText => {
                self.state = State::Init;
                let len = self.line_len();
                self.cursor.take(len, Token::Text)
            }
            State::Labels => self.in_labels(byte),
            State::LabelValue if byte == b'"' => {
                self.state = State::Labels;
                self.cursor.take_quoted(true, Token::LabelValue)
            }
            State::Value if byte == b'{' => {
                self.state = State::Labels;
                self.cursor.take(1, Token::BraceOpen)
            }
            State::Value => {
                self.state = State::Timestamp;
                self.cursor.take_while(|b| !matches!(b, b'{' | b' ' | b'\t' | b'\n'), Token::Value)
            }
            State::Timestamp => self.cursor.take_while(|b| b.is_ascii_digit(), Token::Timestamp),
            State::LabelValue => Token::Invalid,
        }
    }

    fn cursor(&self) -> &Cursor<'a> {
        &self.cursor
    }
}

impl<'a> Lexer<'a> {
    /// Blanks mean nothing, but for those in a metadata text.
    fn skip_blanks(&mut self) {
        if self.state != State::MetadataText {
            while matches!(self.cursor.peek(), Some(b' ' | b'\t')) {
                self.cursor.pos += 1;
            }
        }
    }

    fn end_line(&mut self, len: usize) -> Token {
        self.state = State::Init;
        self.cursor.take(len, Token::Linebreak)
    }

    /// Bytes up to the line end.
    fn line_len(&self) -> usize {
        let rest = self.cursor.rest();
        memchr(b'\n', rest).unwrap_or(rest.len())
    }

    fn line_start(&mut self, byte: u8) -> Token {
        match byte {
            b'#' if matches!(self.cursor.rest().get(1), Some(b' ' | b'\t')) => {
                self.cursor.pos += 1;
                self.skip_blanks();
                self.state = State::Comment;
                self.comment()
            }
            b'#' => self.plain_comment(),
            b'{' => {
                self.state = State::Labels;
                self.cursor.take(1, Token::BraceOpen)
            }
            _ => {
                self.state = State::Value;
                self.cursor.take_name(is_colon, Token::MetricName)
            }
        }
    }

    fn comment(&mut self) -> Token {
        let rest = self.cursor.rest();
        for (keyword, token) in [("HELP", Token::Help), ("TYPE", Token::Type)] {
            let after = rest.strip_prefix(keyword.as_bytes());
            if after.and_then(<[u8]>::first).is_some_and(|b| matches!(b, b' ' | b'\t')) {
                self.state = State::MetadataName;
                return self.cursor.take(keyword.len(), token);
            }
        }
        self.plain_comment()
    }

    fn plain_comment(&mut self) -> Token {
        self.state = State::Init;
        let len = self.line_len();
        self.cursor.take(len, Token::Comment)
    }

    fn in_labels(&mut self, byte: u8) -> Token {
        match byte {
            b'"' => self.cursor.take_quoted(true, Token::QuotedString),
            b'}' => {
                self.state = State::Value;
                self.cursor.take(1, Token::BraceClose)
            }
            b'=' => {
                self.state = State::LabelValue;
                self.cursor.take(1, Token::Equal)
            }
            b',' => self.cursor.take(1, Token::Comma),
            _ => self.cursor.take_name(|_| false, Token::LabelName),
        }
    }
}

/// Reads the Prometheus text format.
#[derive(Clone, Debug)]
pub struct TextParser<'a> {
    lexer: Lexer<'a>,
    metric_type: MetricType,
    labels: LabelSpans,
}

impl<'a> TextParser<'a> {
    /// A parser of a whole response.
    pub fn new(input: &'a [u8]) -> Self {
        TextParser {
            lexer: Lexer { cursor: Cursor::new(input), state: State::Init },
            metric_type: MetricType::Unknown,
            labels: LabelSpans::default(),
        }
    }

    fn metadata(&mut self, kind: Token) -> Result<Entry<'a>, ParseError> {
        let token = self.lexer.next_token();
        if token != Token::MetricName {
            return Err(self.unexpected(&format!("expected metric name after {kind}"), token));
        }
        let name = self.lexer.cursor.token();
        let name = name.strip_prefix(b"\"").and_then(|n| n.strip_suffix(b"\"")).unwrap_or(name);
        let family = String::from_utf8_lossy(name);
        let token = self.lexer.next_token();
        if token != Token::Text {
            return Err(ParseError::new(format!("expected text in {kind}, got {token}")));
        }
        let text = self.lexer.cursor.token();
        let text = text.get(1..).unwrap_or_default();
        let entry = match kind {
            Token::Type => {
                self.metric_type = metric_type(text)?;
                Entry::Type { family, metric_type: self.metric_type }
            }
            _ => Entry::Help { family, help: help(text)? },
        };
        let token = self.end_of_comment();
        if token != Token::Linebreak {
            return Err(self.unexpected("expected linebreak after metadata", token));
        }
        Ok(entry)
    }

    /// The line end behind a comment or metadata, which the last line may lack.
    fn end_of_comment(&mut self) -> Token {
        match self.lexer.next_token() {
            Token::Eof => Token::Linebreak,
            token => token,
        }
    }

    /// Reads a sample whose first token, a name or a brace, was the last one.
    fn sample(&mut self, first: Token) -> Result<Entry<'a>, ParseError> {
        self.labels.clear();
        let begin = self.lexer.cursor.start;
        let mut end = self.lexer.cursor.pos;
        let mut token = first;
        if first == Token::MetricName {
            self.labels.metric_name = Some(begin..end);
            token = self.lexer.next_token();
        }
        if token == Token::BraceOpen {
            self.labels.read(&mut self.lexer, Strictness::Lenient)?;
            end = self.lexer.cursor.pos;
            token = self.lexer.next_token();
        }
        if self.labels.metric_name.is_none() {
            return Err(self.lexer.cursor.failed("metric name not set"));
        }
        if token != Token::Value {
            return Err(self.unexpected("expected value after metric", token));
        }
        let value = parse_float(self.lexer.cursor.token()).map_err(|e| self.lexer.cursor.failed(e))?;
        let timestamp_ms = self.timestamp()?;
        let series = &self.lexer.cursor.input[begin..end];
        Ok(Entry::Sample(Sample { series, value, timestamp_ms }))
    }

    fn timestamp(&mut self) -> Result<Option<TimestampMs>, ParseError> {
        match self.lexer.next_token() {
            Token::Linebreak => Ok(None),
            Token::Timestamp => {
                let text = self.lexer.cursor.token();
                let timestamp = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
                let out_of_range =
                    || format!("strconv.ParseInt: parsing {}: value out of range", quoted(text));
                let timestamp = timestamp.ok_or_else(|| self.lexer.cursor.failed(out_of_range()))?;
                match self.lexer.next_token() {
                    Token::Linebreak => Ok(Some(timestamp)),
                    other => Err(self.unexpected("expected next entry after timestamp", other)),
                }
            }
            other => Err(self.unexpected("expected timestamp or new record", other)),
        }
    }

    fn unexpected(&self, expectation: &str, got: Token) -> ParseError {
        self.lexer.cursor.unexpected(expectation, got)
    }
}

impl<'a> Lines<'a> for TextParser<'a> {
    fn rest(&self) -> &'a [u8] {
        self.lexer.cursor.rest()
    }

    fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        loop {
            self.lexer.cursor.entry = self.lexer.cursor.pos;
            return match self.lexer.next_token() {
                Token::Eof => Ok(None),
                Token::Linebreak => continue,
                kind @ (Token::Help | Token::Type) => self.metadata(kind).map(Some),
                Token::Comment => match self.end_of_comment() {
                    Token::Linebreak => Ok(Some(Entry::Comment)),
                    other => Err(self.unexpected("expected linebreak after comment", other)),
                },
                first @ (Token::MetricName | Token::BraceOpen) => self.sample(first).map(Some),
                other => Err(self.unexpected("expected a valid start token", other)),
            };
        }
    }

    #[inline]
    fn sample_after(&mut self, series_len: usize) -> Option<Sample<'a>> {
        let rest = self.lexer.cursor.rest();
        let mut at = skip_blanks_from(rest, series_len)?;
        let (value, len) = plain_value(&rest[at..])?;
        at += len;
        let mut timestamp_ms = None;
        if rest[at] != b'\n' {
            at = skip_blanks_from(rest, at)?;
            if rest[at] != b'\n' {
                let (timestamp, len) = plain_timestamp(&rest[at..])?;
                timestamp_ms = Some(timestamp);
                at += len;
            }
        }
        self.lexer.cursor.pos += at + 1;
        Some(Sample { series: &rest[..series_len], value, timestamp_ms })
    }

    fn metric_type(&self) -> MetricType {
        self.metric_type
    }

    fn skip_known(&mut self, line_len: usize, type_set: Option<MetricType>) {
        self.lexer.cursor.pos += line_len;
        if let Some(metric_type) = type_set {
            self.metric_type = metric_type;
        }
    }

    fn labels(&self) -> RawLabels<'a> {
        self.labels.resolve(self.lexer.cursor.input, self.metric_type)
    }

    fn exemplar(&self) -> Option<RawExemplar<'a>> {
        None
    }
}

/// The place of the next byte that isn't a blank, if there is a blank at `at`.
#[inline]
fn skip_blanks_from(rest: &[u8], mut at: usize) -> Option<usize> {
    if !matches!(rest.get(at)?, b' ' | b'\t') {
        return None;
    }
    while matches!(rest.get(at)?, b' ' | b'\t') {
        at += 1;
    }
    Some(at)
}

/// A timestamp that ends the line, and its length.
fn plain_timestamp(rest: &[u8]) -> Option<(TimestampMs, usize)> {
    let mut timestamp: TimestampMs = 0;
    for (len, byte) in rest.iter().enumerate().take(TIMESTAMP_DIGITS_MAX + 1) {
        match byte {
            b'0'..=b'9' => timestamp = timestamp * 10 + TimestampMs::from(byte - b'0'),
            b'\n' if len > 0 => return Some((timestamp, len)),
            _ => return None,
        }
    }
    None
}

fn metric_type(text: &[u8]) -> Result<MetricType, ParseError> {
    Ok(match text {
        b"counter" => MetricType::Counter,
        b"gauge" => MetricType::Gauge,
        b"histogram" => MetricType::Histogram,
        b"summary" => MetricType::Summary,
        b"untyped" => MetricType::Unknown,
        other => return Err(ParseError::new(format!("invalid metric type {}", quoted(other)))),
    })
}

/// The words of a help line without their escapes.
pub(super) fn help(text: &[u8]) -> Result<Cow<'_, str>, ParseError> {
    if std::str::from_utf8(text).is_err() {
        return Err(ParseError::new(format!("help text {} is not a valid utf8 string", quoted(text))));
    }
    Ok(unescape(text_at(text, &(0..text.len()))))
}
