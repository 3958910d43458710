//! What the two text formats' lexers have in common.

use std::fmt;

use memchr::memchr2;

use super::ParseError;
use super::quote::quoted;

/// A token of a text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Invalid,
    Eof,
    Linebreak,
    Help,
    Type,
    Unit,
    EofWord,
    Text,
    Comment,
    MetricName,
    QuotedString,
    BraceOpen,
    BraceClose,
    LabelName,
    LabelValue,
    Comma,
    Equal,
    Timestamp,
    Value,
}

impl fmt::Display for Token {
    /// The names that the reference's error texts have.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Token::Invalid => "INVALID",
            Token::Eof => "EOF",
            Token::Linebreak => "LINEBREAK",
            Token::Help => "HELP",
            Token::Type => "TYPE",
            Token::Unit => "UNIT",
            Token::EofWord => "EOFWORD",
            Token::Text => "TEXT",
            Token::Comment => "COMMENT",
            Token::MetricName => "MNAME",
            Token::QuotedString => "QSTRING",
            Token::BraceOpen => "BOPEN",
            Token::BraceClose => "BCLOSE",
            Token::LabelName => "LNAME",
            Token::LabelValue => "LVALUE",
            Token::Comma => "COMMA",
            Token::Equal => "EQUAL",
            Token::Timestamp => "TIMESTAMP",
            Token::Value => "VALUE",
        })
    }
}

/// Where a lexer is.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    pub(super) input: &'a [u8],
    /// Where the entry that is being read begins.
    pub(super) entry: usize,
    /// Where the last token begins.
    pub(super) start: usize,
    /// Where it ends and the next one begins.
    pub(super) pos: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Cursor { input, entry: 0, start: 0, pos: 0 }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        &self.input[self.pos..]
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.input.get(self.pos).copied()
    }

    /// The last token's bytes.
    pub(super) fn token(&self) -> &'a [u8] {
        &self.input[self.start..self.pos]
    }

    /// Moves past `len` bytes, which are the token.
    pub(super) fn take(&mut self, len: usize, token: Token) -> Token {
        self.pos += len;
        token
    }

    /// Moves past the bytes that satisfy the predicate; none of them is an invalid token.
    pub(super) fn take_while(&mut self, predicate: impl Fn(u8) -> bool, token: Token) -> Token {
        let len = self.rest().iter().take_while(|byte| predicate(**byte)).count();
        if len == 0 { Token::Invalid } else { self.take(len, token) }
    }

    /// Moves past a string in double quotes; `multiline` says whether line ends may stand in it.
    pub(super) fn take_quoted(&mut self, multiline: bool, token: Token) -> Token {
        let rest = self.rest();
        let mut len = 1;
        while let Some(at) = memchr2(b'"', b'\\', rest.get(len..).unwrap_or_default()) {
            let crossed = &rest[len..len + at];
            if !multiline && crossed.contains(&b'\n') {
                break;
            }
            len += at;
            if rest[len] == b'"' {
                return self.take(len + 1, token);
            }
            // A backslash hides the character after it, which is never a line end.
            if rest.get(len + 1).is_none_or(|byte| *byte == b'\n') {
                break;
            }
            len += 2;
        }
        self.pos += rest.len().min(len);
        Token::Invalid
    }

    /// Moves past a name: a first character that isn't a digit, then letters, digits, underscores and
    /// whatever `extra` allows.
    pub(super) fn take_name(&mut self, extra: impl Fn(u8) -> bool, token: Token) -> Token {
        if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Token::Invalid;
        }
        self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || extra(byte), token)
    }

    /// The error for a token that isn't what the grammar asks for here.
    pub(super) fn unexpected(&self, expectation: &str, got: Token) -> ParseError {
        let end = self.input.len().min(self.pos + 1);
        ParseError::new(format!(
            "{expectation}, got {} (\"{got}\") while parsing: {}",
            quoted(&self.input[self.start..end]),
            quoted(&self.input[self.entry..end])
        ))
    }

    /// An error with what has been read of the entry so far.
    pub(super) fn failed(&self, reason: impl fmt::Display) -> ParseError {
        ParseError::new(format!("{reason} while parsing: {}", quoted(&self.input[self.entry..self.pos])))
    }
}

/// Whether the byte may stand in a metric name, beside letters, digits and underscores.
pub(super) fn is_colon(byte: u8) -> bool {
    byte == b':'
}

/// A lexer of a text format.
pub(super) trait Lex<'a> {
    fn next_token(&mut self) -> Token;
    fn cursor(&self) -> &Cursor<'a>;
}
