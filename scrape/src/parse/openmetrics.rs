//! OpenMetrics text, 1.0.0 and 0.0.1.
//!
//! ```text
//! # HELP family words to the end of the line
//! # TYPE family counter|gauge|histogram|gaugehistogram|summary|info|stateset|unknown
//! # UNIT family unit
//! name{label="value",…} value [timestamp in s] [# {label="value",…} value [timestamp in s]]
//! # EOF
//! ```
//!
//! Exactly one blank stands between the parts, and nothing after the last line. The lexer has the states of
//! the reference's (`textparse/openmetricslex.l`).

use memchr::memchr;
use model::metadata::MetricType;
use model::time::TimestampMs;

use super::labels::{LabelSpans, Strictness};
use super::lex::{Cursor, Lex, Token, is_colon};
use super::number::{parse_float, plain_value};
use super::quote::quoted;
use super::text::help;
use super::{Entry, Lines, ParseError, RawExemplar, RawLabels, Sample};

const NO_EOF: &str = "data does not end with # EOF";
const EOF_WORD: &[u8] = b"EOF";

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
    ExemplarLabels,
    ExemplarLabelValue,
    ExemplarValue,
    ExemplarTimestamp,
}

#[derive(Clone, Debug)]
struct Lexer<'a> {
    cursor: Cursor<'a>,
    state: State,
}

impl<'a> Lex<'a> for Lexer<'a> {
    fn next_token(&mut self) -> Token {
        self.cursor.start = self.cursor.pos;
        let Some(byte) = self.cursor.peek() else { return Token::Eof };
        match self.state {
            State::Init => self.line_start(byte),
            State::Comment => self.comment(),
            State::MetadataName => {
                self.state = State::MetadataText;
                match byte {
                    b'"' => self.cursor.take_quoted(false, Token::MetricName),
                    _ => self.cursor.take_name(is_colon, Token::MetricName),
                }
            }
            State::MetadataText => self.metadata_text(byte),
            State::Labels => self.in_labels(byte, State::Value, State::LabelValue),
            State::ExemplarLabels => self.in_labels(byte, State::ExemplarValue, State::ExemplarLabelValue),
            State::LabelValue => self.label_value(byte, State::Labels),
            State::ExemplarLabelValue => self.label_value(byte, State::ExemplarLabels),
            State::Value if byte == b'{' => {
                self.state = State::Labels;
                self.cursor.take(1, Token::BraceOpen)
            }
            State::Value => self.after_blank(Token::Value, State::Timestamp),
            State::ExemplarValue => self.after_blank(Token::Value, State::ExemplarTimestamp),
            State::Timestamp | State::ExemplarTimestamp if byte == b'\n' => {
                self.state = State::Init;
                self.cursor.take(1, Token::Linebreak)
            }
            State::Timestamp if self.cursor.rest().starts_with(b" # {") => {
                self.state = State::ExemplarLabels;
                self.cursor.take(4, Token::Comment)
            }
            State::Timestamp | State::ExemplarTimestamp => self.after_blank(Token::Timestamp, self.state),
        }
    }

    fn cursor(&self) -> &Cursor<'a> {
        &self.cursor
    }
}

impl<'a> Lexer<'a> {
    fn line_start(&mut self, byte: u8) -> Token {
        match byte {
            b'#' if self.cursor.rest().starts_with(b"# ") => {
                self.cursor.pos += 2;
                self.state = State::Comment;
                self.comment()
            }
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
        if let Some(after) = rest.strip_prefix(EOF_WORD) {
            self.state = State::Init;
            let line_end = usize::from(after.first() == Some(&b'\n'));
            return self.cursor.take(EOF_WORD.len() + line_end, Token::EofWord);
        }
        let keywords = [("HELP ", Token::Help), ("TYPE ", Token::Type), ("UNIT ", Token::Unit)];
        match keywords.iter().find(|(keyword, _)| rest.starts_with(keyword.as_bytes())) {
            Some((keyword, token)) => {
                self.state = State::MetadataName;
                self.cursor.take(keyword.len(), *token)
            }
            None => Token::Invalid,
        }
    }

    /// A blank and the rest of the line, its end included.
    fn metadata_text(&mut self, byte: u8) -> Token {
        match (byte, memchr(b'\n', self.cursor.rest())) {
            (b' ', Some(len)) => {
                self.state = State::Init;
                self.cursor.take(len + 1, Token::Text)
            }
            _ => Token::Invalid,
        }
    }

    fn in_labels(&mut self, byte: u8, closed: State, equal: State) -> Token {
        match byte {
            b'"' => self.cursor.take_quoted(false, Token::QuotedString),
            b'}' => {
                self.state = closed;
                self.cursor.take(1, Token::BraceClose)
            }
            b'=' => {
                self.state = equal;
                self.cursor.take(1, Token::Equal)
            }
            b',' => self.cursor.take(1, Token::Comma),
            _ => self.cursor.take_name(|_| false, Token::LabelName),
        }
    }

    fn label_value(&mut self, byte: u8, next: State) -> Token {
        if byte != b'"' {
            return Token::Invalid;
        }
        self.state = next;
        self.cursor.take_quoted(false, Token::LabelValue)
    }

    /// One blank and everything up to the next blank or line end.
    fn after_blank(&mut self, token: Token, next: State) -> Token {
        let rest = self.cursor.rest();
        let len = rest.iter().skip(1).take_while(|byte| !matches!(byte, b' ' | b'\n')).count();
        if rest[0] != b' ' || len == 0 {
            self.cursor.pos += usize::from(rest[0] == b' ');
            return Token::Invalid;
        }
        self.state = next;
        self.cursor.take(len + 1, token)
    }
}

/// Reads OpenMetrics text.
#[derive(Clone, Debug)]
pub struct OpenMetricsParser<'a> {
    lexer: Lexer<'a>,
    metric_type: MetricType,
    labels: LabelSpans,
    exemplar: Option<ExemplarSpans>,
}

/// An exemplar whose labels haven't been taken apart.
#[derive(Clone, Debug)]
struct ExemplarSpans {
    labels: LabelSpans,
    value: f64,
    timestamp_ms: Option<TimestampMs>,
}

impl<'a> OpenMetricsParser<'a> {
    /// A parser of a whole response.
    pub fn new(input: &'a [u8]) -> Self {
        OpenMetricsParser {
            lexer: Lexer { cursor: Cursor::new(input), state: State::Init },
            metric_type: MetricType::Unknown,
            labels: LabelSpans::default(),
            exemplar: None,
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
            return Err(ParseError::new(format!("expected text in {kind}")));
        }
        let text = self.lexer.cursor.token();
        let text = &text[1..text.len() - 1];
        Ok(match kind {
            Token::Type => {
                self.metric_type = metric_type(text)?;
                Entry::Type { family, metric_type: self.metric_type }
            }
            Token::Unit => {
                check_unit(name, text)?;
                Entry::Unit { family, unit: String::from_utf8_lossy(text) }
            }
            _ => Entry::Help { family, help: help(text)? },
        })
    }

    /// Reads a sample whose first token, a name or a brace, was the last one.
    fn sample(&mut self, first: Token) -> Result<Entry<'a>, ParseError> {
        self.labels.clear();
        self.exemplar = None;
        let begin = self.lexer.cursor.start;
        let mut end = self.lexer.cursor.pos;
        let mut token = first;
        if first == Token::MetricName {
            self.labels.metric_name = Some(begin..end);
            token = self.lexer.next_token();
        }
        if token == Token::BraceOpen {
            self.labels.read(&mut self.lexer, Strictness::Strict)?;
            end = self.lexer.cursor.pos;
            token = self.lexer.next_token();
        }
        if self.labels.metric_name.is_none() {
            return Err(self.lexer.cursor.failed("metric name not set"));
        }
        let value = self.value(token, "metric")?;
        let timestamp_ms = self.end_of_sample()?;
        let series = &self.lexer.cursor.input[begin..end];
        Ok(Entry::Sample(Sample { series, value, timestamp_ms }))
    }

    fn value(&self, token: Token, after: &str) -> Result<f64, ParseError> {
        if token != Token::Value {
            return Err(self.unexpected(&format!("expected value after {after}"), token));
        }
        parse_float(&self.lexer.cursor.token()[1..]).map_err(|e| self.lexer.cursor.failed(e))
    }

    /// Timestamp, exemplar and line end.
    fn end_of_sample(&mut self) -> Result<Option<TimestampMs>, ParseError> {
        let mut timestamp_ms = None;
        let mut token = self.lexer.next_token();
        if token == Token::Timestamp {
            timestamp_ms = Some(self.timestamp("timestamp")?);
            token = self.lexer.next_token();
        }
        match token {
            Token::Linebreak => {}
            Token::Comment => self.exemplar = Some(self.read_exemplar()?),
            Token::Eof => return Err(ParseError::new(NO_EOF)),
            other => return Err(self.unexpected("expected next entry after timestamp", other)),
        }
        Ok(timestamp_ms)
    }

    fn read_exemplar(&mut self) -> Result<ExemplarSpans, ParseError> {
        let mut labels = LabelSpans::default();
        labels.read(&mut self.lexer, Strictness::Exemplar)?;
        let token = self.lexer.next_token();
        let value = self.value(token, "exemplar labels")?;
        let mut timestamp_ms = None;
        match self.lexer.next_token() {
            Token::Linebreak => {}
            Token::Eof => return Err(ParseError::new(NO_EOF)),
            Token::Timestamp => {
                timestamp_ms = Some(self.timestamp("exemplar timestamp")?);
                match self.lexer.next_token() {
                    Token::Linebreak => {}
                    other => {
                        return Err(self.unexpected("expected next entry after exemplar timestamp", other));
                    }
                }
            }
            other => return Err(self.unexpected("expected timestamp or comment", other)),
        }
        Ok(ExemplarSpans { labels, value, timestamp_ms })
    }

    /// The last token as milliseconds.
    fn timestamp(&self, what: &str) -> Result<TimestampMs, ParseError> {
        let seconds =
            parse_float(&self.lexer.cursor.token()[1..]).map_err(|e| self.lexer.cursor.failed(e))?;
        millis(seconds)
            .ok_or_else(|| ParseError::new(format!("invalid {what} {}", model::float_text::plain(seconds))))
    }

    fn unexpected(&self, expectation: &str, got: Token) -> ParseError {
        self.lexer.cursor.unexpected(expectation, got)
    }
}

/// Seconds as milliseconds, cut off; `None` if it isn't finite.
fn millis(seconds: f64) -> Option<TimestampMs> {
    seconds.is_finite().then_some((seconds * 1000.0) as TimestampMs)
}

impl<'a> Lines<'a> for OpenMetricsParser<'a> {
    fn rest(&self) -> &'a [u8] {
        self.lexer.cursor.rest()
    }

    fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        self.lexer.cursor.entry = self.lexer.cursor.pos;
        match self.lexer.next_token() {
            Token::EofWord => match self.lexer.next_token() {
                Token::Eof => Ok(None),
                _ => Err(ParseError::new("unexpected data after # EOF")),
            },
            Token::Eof => Err(ParseError::new(NO_EOF)),
            kind @ (Token::Help | Token::Type | Token::Unit) => self.metadata(kind).map(Some),
            first @ (Token::MetricName | Token::BraceOpen) => self.sample(first).map(Some),
            other => Err(self.unexpected("expected a valid start token", other)),
        }
    }

    #[inline]
    fn sample_after(&mut self, series_len: usize) -> Option<Sample<'a>> {
        let rest = self.lexer.cursor.rest();
        let (value, mut end) = value_after_blank(rest, series_len)?;
        let mut timestamp_ms = None;
        if rest[end] == b' ' {
            let (seconds, after) = value_after_blank(rest, end)?;
            timestamp_ms = Some(millis(seconds)?);
            end = after;
        }
        if rest[end] != b'\n' {
            return None;
        }
        self.exemplar = None;
        self.lexer.cursor.pos += end + 1;
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
        self.exemplar.as_ref().map(|exemplar| RawExemplar {
            labels: exemplar.labels.resolve(self.lexer.cursor.input, MetricType::Unknown),
            value: exemplar.value,
            timestamp_ms: exemplar.timestamp_ms,
        })
    }
}

/// A number behind the single blank at `at`, and where it ends.
#[inline]
fn value_after_blank(rest: &[u8], at: usize) -> Option<(f64, usize)> {
    if *rest.get(at)? != b' ' {
        return None;
    }
    let (value, len) = plain_value(&rest[at + 1..])?;
    Some((value, at + 1 + len))
}

fn metric_type(text: &[u8]) -> Result<MetricType, ParseError> {
    Ok(match text {
        b"counter" => MetricType::Counter,
        b"gauge" => MetricType::Gauge,
        b"histogram" => MetricType::Histogram,
        b"gaugehistogram" => MetricType::GaugeHistogram,
        b"summary" => MetricType::Summary,
        b"info" => MetricType::Info,
        b"stateset" => MetricType::StateSet,
        b"unknown" => MetricType::Unknown,
        other => return Err(ParseError::new(format!("invalid metric type {}", quoted(other)))),
    })
}

/// A unit must be the last part of its family's name.
fn check_unit(family: &[u8], unit: &[u8]) -> Result<(), ParseError> {
    let is_suffix = family.strip_suffix(unit).is_some_and(|stem| stem.ends_with(b"_"));
    if unit.is_empty() || is_suffix {
        return Ok(());
    }
    Err(ParseError::new(format!("unit {} not a suffix of metric {}", quoted(unit), quoted(family))))
}
