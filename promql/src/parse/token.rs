//! Tokens: what the lexer hands to the grammar, and how messages speak of them.

use std::fmt::Write;

use super::string::{byte_of, is_utf8};
use super::words;
use crate::ast::{AggregateOp, BinaryOp, Span};

/// A piece of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
}

/// The kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// After the last token of a text that could be read to its end.
    End,
    /// After the last token before something that is no token; the lexer's error says what.
    Error,
    Identifier,
    /// An identifier with a colon.
    MetricIdentifier,
    Number,
    Duration,
    /// Quoted, as it was written.
    String,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    /// `=`
    Assign,
    /// `=~`
    RegexMatch,
    /// `!~`
    RegexNoMatch,
    /// `@`
    At,
    Op(BinaryOp),
    Aggregate(AggregateOp),
    Keyword(Keyword),
    TimeWord(TimeWord),
}

/// Words with a meaning of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Anchored,
    Bool,
    By,
    Fill,
    FillLeft,
    FillRight,
    GroupLeft,
    GroupRight,
    Ignoring,
    Offset,
    On,
    Smoothed,
    Without,
}

/// Words that are functions, too; some of them stand for times after `@` and in durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeWord {
    Start,
    End,
    Step,
    Range,
    MaxOf,
    MinOf,
}

impl TokenKind {
    /// What a word is, whatever its case; `None` for a plain identifier.
    pub(super) fn of_word(word: &str) -> Option<TokenKind> {
        words::WORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, kind)| *kind)
    }

    /// Whether a metric may have this word for its name without quotes.
    pub(super) fn is_metric_name(self) -> bool {
        use Keyword::{Anchored, By, Fill, FillLeft, FillRight, Offset, Smoothed, Without};
        match self {
            TokenKind::Identifier | TokenKind::MetricIdentifier => true,
            TokenKind::Aggregate(_) | TokenKind::TimeWord(_) => true,
            TokenKind::Op(op) => op.is_set(),
            TokenKind::Keyword(word) => {
                matches!(word, Anchored | By | Fill | FillLeft | FillRight | Offset | Smoothed | Without)
            }
            _ => false,
        }
    }

    /// Whether a label may have this word for its name, without quotes, in a list of labels.
    pub(super) fn is_label_name(self) -> bool {
        match self {
            TokenKind::Identifier | TokenKind::MetricIdentifier => true,
            TokenKind::Aggregate(_) | TokenKind::TimeWord(_) => true,
            TokenKind::Op(op) => op.is_set() || op == BinaryOp::Atan2,
            TokenKind::Keyword(word) => word != Keyword::Without,
            _ => false,
        }
    }

    /// Whether the word is a keyword only before a parenthesis, so that metrics of that name stay in reach.
    pub(super) fn is_fill(self) -> bool {
        use Keyword::{Fill, FillLeft, FillRight};
        matches!(self, TokenKind::Keyword(Fill | FillLeft | FillRight))
    }

    /// Whether an expression can begin here.
    pub(super) fn begins_expression(self) -> bool {
        use TokenKind::{Duration, LeftBrace, LeftParen, Number, Op, String};
        self.is_metric_name()
            || matches!(
                self,
                Duration | LeftBrace | LeftParen | Number | String | Op(BinaryOp::Add | BinaryOp::Sub)
            )
    }
}

/// The longest quotation of a token in a message, in characters.
const QUOTE_CHARS_MAX: usize = 10;

impl Token {
    /// The token as messages name it; `text` is what was written.
    pub(super) fn describe(&self, text: &str) -> String {
        match self.kind {
            TokenKind::End | TokenKind::Error => "end of input".to_owned(),
            TokenKind::Identifier => format!("identifier {}", quoted(text)),
            TokenKind::MetricIdentifier => format!("metric identifier {}", quoted(text)),
            TokenKind::Number => format!("number {}", shortened(text)),
            TokenKind::Duration => format!("duration {}", shortened(text)),
            TokenKind::String => format!("string {}", shortened(text)),
            TokenKind::Op(_) | TokenKind::At | TokenKind::RegexMatch | TokenKind::RegexNoMatch => {
                format!("<op:{text}>")
            }
            TokenKind::Aggregate(_) => format!("<aggr:{text}>"),
            TokenKind::Keyword(_) => format!("<{text}>"),
            _ => quoted(text),
        }
    }
}

/// The text in quotes, with Go's escapes, so that it can be read back.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    let _ = model::labels::write_quoted(&mut out, text);
    if is_utf8(text) {
        return out;
    }
    let escape = |c: char| match byte_of(c) {
        Some(byte) => format!("\\x{byte:02x}"),
        None => c.to_string(),
    };
    out.chars().map(escape).collect()
}

/// The text in quotes, cut where it is long.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(QUOTE_CHARS_MAX) {
        // The reference measures the length in bytes and cuts after characters.
        Some((cut, _)) => {
            let mut out = quoted(&text[..cut]);
            let _ = write!(out, "...");
            out
        }
        None if text.len() > QUOTE_CHARS_MAX => format!("{}...", quoted(text)),
        None => quoted(text),
    }
}
