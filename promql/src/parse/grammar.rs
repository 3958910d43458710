//! The parser's state and its failures: what all rules of the grammar share.

use super::lex::{LexError, Lexed, lex};
use super::string::quoted_text;
use super::token::{Keyword, Token, TokenKind};
use super::{NESTING_MAX, ParseError};
use crate::ast::{Expr, Span};
use crate::features::Features;

/// Reads the tokens of one text.
pub(super) struct Parser<'a> {
    input: &'a str,
    tokens: Vec<Token>,
    lex_error: Option<LexError>,
    /// Index of the next token.
    at: usize,
    /// Rules that call themselves and haven't returned.
    nesting: usize,
    pub(super) features: Features,
}

/// What a rule of the grammar returns.
pub(super) type Parsed<T> = Result<T, Failure>;

/// Why a rule didn't find what it looked for.
#[derive(Debug)]
pub(super) enum Failure {
    /// A token that can't stand where it stands; no construct has claimed it yet.
    Unexpected(Token),
    /// An error with its message.
    Error(Box<(Span, String)>),
}

impl Failure {
    pub(super) fn error(span: Span, message: impl Into<String>) -> Self {
        Failure::Error(Box::new((span, message.into())))
    }
}

/// An expression and the height of its tree. Boxed, because rules hand it up through many frames.
pub(super) struct Tree {
    pub(super) expr: Box<Expr>,
    pub(super) height: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(input: &'a str, features: Features) -> Self {
        let Lexed { tokens, error } = lex(input);
        Parser { input, tokens, lex_error: error, at: 0, nesting: 0, features }
    }

    /// A whole query.
    pub(super) fn expression(mut self) -> Result<Expr, ParseError> {
        let parsed = self.peek().and_then(|first| match first.kind {
            TokenKind::End => Err(Failure::error(Span::default(), "no expression found in input")),
            _ => self.expr().map(|tree| *tree.expr),
        });
        self.finish(parsed)
    }

    /// Sees that nothing follows, and turns a failure that nobody claimed into an error.
    pub(super) fn finish<T>(mut self, parsed: Parsed<T>) -> Result<T, ParseError> {
        let whole = parsed.and_then(|value| self.expect(TokenKind::End).map(|_| value));
        whole.map_err(|failure| match self.claim(failure, "", "") {
            Failure::Error(error) => ParseError::new(self.input, error.0, error.1),
            Failure::Unexpected(token) => ParseError::new(self.input, token.span, "unexpected token"),
        })
    }

    // -------------------------------------------------------------------------------------------- tokens

    /// The next token, which stays the next one.
    pub(super) fn peek(&self) -> Parsed<Token> {
        let token = self.tokens[self.at];
        match &self.lex_error {
            Some(error) if token.kind == TokenKind::Error => {
                Err(Failure::error(token.span, error.message.clone()))
            }
            _ => Ok(token),
        }
    }

    /// Goes on to the token after the next one.
    pub(super) fn advance(&mut self) {
        // The last token is no rule's to take.
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    /// The kind of the token after the next one; what can't be read counts as an error token.
    pub(super) fn second_kind(&self) -> TokenKind {
        self.tokens.get(self.at + 1).map_or(TokenKind::End, |token| token.kind)
    }

    /// Where the token before the next one ends.
    pub(super) fn previous_end(&self) -> usize {
        self.at.checked_sub(1).map_or(0, |at| self.tokens[at].span.end)
    }

    /// Takes the next token if it is of this kind.
    pub(super) fn accept(&mut self, kind: TokenKind) -> Parsed<Option<Token>> {
        let token = self.peek()?;
        if token.kind != kind {
            return Ok(None);
        }
        self.advance();
        Ok(Some(token))
    }

    /// Takes the next token if it is this word.
    pub(super) fn accept_keyword(&mut self, word: Keyword) -> Parsed<Option<Token>> {
        self.accept(TokenKind::Keyword(word))
    }

    /// Takes the next token, which must be of this kind.
    pub(super) fn expect(&mut self, kind: TokenKind) -> Parsed<Token> {
        match self.accept(kind)? {
            Some(token) => Ok(token),
            None => self.unexpected(),
        }
    }

    /// Fails at the next token.
    pub(super) fn unexpected<T>(&self) -> Parsed<T> {
        self.peek().and_then(|token| Err(Failure::Unexpected(token)))
    }

    /// What was written for the token.
    pub(super) fn text(&self, token: &Token) -> &'a str {
        &self.input[token.span.start..token.span.end]
    }

    /// The value of a string token.
    pub(super) fn string_value(&self, token: &Token) -> Parsed<String> {
        match quoted_text(self.text(token)) {
            Ok((value, _)) => Ok(value),
            Err(message) => Err(Failure::error(token.span, message)),
        }
    }

    // ------------------------------------------------------------------------------------------- failures

    /// Says of an unexpected token in what it stands and what should stand there, unless a construct within has
    /// said so.
    pub(super) fn claim(&self, failure: Failure, context: &str, expected: &str) -> Failure {
        let Failure::Unexpected(token) = failure else { return failure };
        let mut message = format!("unexpected {}", token.describe(self.text(&token)));
        if !context.is_empty() {
            message.push_str(" in ");
            message.push_str(context);
        }
        if !expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(expected);
        }
        Failure::error(token.span, message)
    }

    /// Enters a level of nesting. A rule that fails need not leave it: the first failure is the end.
    pub(super) fn enter(&mut self) -> Parsed<()> {
        if self.nesting == NESTING_MAX {
            let here = self.peek()?.span;
            return Err(Failure::error(here, format!("query is nested more than {NESTING_MAX} levels deep")));
        }
        self.nesting += 1;
        Ok(())
    }

    /// Leaves a level of nesting.
    pub(super) fn leave(&mut self) {
        self.nesting -= 1;
    }
}
