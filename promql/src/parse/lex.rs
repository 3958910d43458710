//! The lexer: a query's text as tokens.
//!
//! What a character means depends on where it stands: in braces every word is an identifier, in brackets a colon
//! separates range and step. The lexer alone knows about that, as in the reference, so that its messages come
//! out the same. The whole text is read before the grammar looks at it; a text that can't be read to its end
//! ends with [`TokenKind::Error`], which the grammar may or may not come to.

use nom::Parser;
use nom::bytes::complete::{take_till, take_while, take_while1};
use nom::combinator::recognize;
use nom::error::Error;
use nom::sequence::pair;

use super::number::{NumberToken, number_or_duration};
use super::string::{quoted_char, quoted_text};
use super::token::{Token, TokenKind, quoted};
use crate::ast::{BinaryOp, Span};

/// The tokens of a text, and what stopped the lexer, if something did.
#[derive(Debug)]
pub(super) struct Lexed {
    /// The last one is [`TokenKind::End`] or [`TokenKind::Error`].
    pub(super) tokens: Vec<Token>,
    /// Set if the last token is [`TokenKind::Error`].
    pub(super) error: Option<LexError>,
}

/// Something that is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LexError {
    pub(super) start: usize,
    pub(super) message: String,
}

/// Splits a text into tokens. Comments are left out.
pub(super) fn lex(input: &str) -> Lexed {
    let mut lexer = Lexer {
        input,
        at: 0,
        tokens: Vec::with_capacity(input.len() / 4 + 2),
        paren_depth: 0,
        in_braces: false,
        in_brackets: false,
        had_colon: false,
        had_number: false,
        duration_begins: false,
    };
    let error = loop {
        match lexer.step() {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => break None,
            Err(error) => break Some(error),
        }
    };
    if let Some(error) = &error {
        lexer
            .tokens
            .push(Token { kind: TokenKind::Error, span: Span { start: error.start, end: input.len() } });
    }
    Lexed { tokens: lexer.tokens, error }
}

/// Whether `c` may begin a word.
pub(super) fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// Whether `c` may stand in a word.
pub(super) fn is_word_char(c: char) -> bool {
    is_word_start(c) || c.is_ascii_digit()
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

enum Progress {
    More,
    Done,
}

type Step = Result<Progress, LexError>;

struct Lexer<'a> {
    input: &'a str,
    /// Bytes that have been read.
    at: usize,
    tokens: Vec<Token>,
    paren_depth: usize,
    in_braces: bool,
    in_brackets: bool,
    /// Whether a colon was seen in these brackets.
    had_colon: bool,
    /// Whether a number was seen in any brackets so far.
    had_number: bool,
    /// Whether these brackets have had no number yet.
    duration_begins: bool,
}

impl<'a> Lexer<'a> {
    /// Reads one token, or something that isn't one and is skipped.
    fn step(&mut self) -> Step {
        if self.duration_begins {
            self.skip_spaces();
            return self.step_at_duration();
        }
        self.skip_spaces();
        if self.rest().starts_with('#') {
            self.skip_comment();
            return Ok(Progress::More);
        }
        if self.in_braces { self.step_in_braces() } else { self.step_in_expression() }
    }

    fn step_in_expression(&mut self) -> Step {
        let Some(c) = self.peek() else { return self.end() };
        match c {
            '=' => match self.peek_second() {
                Some('=') => self.push(TokenKind::Op(BinaryOp::Equal), 2),
                Some('~') => self.fail("unexpected character after '=': '~'"),
                _ => self.push(TokenKind::Assign, 1),
            },
            '!' => match self.peek_second() {
                Some('=') => self.push(TokenKind::Op(BinaryOp::NotEqual), 2),
                other => self.fail(&format!("unexpected character after '!': {}", quoted_char(other))),
            },
            '<' => self.push_comparison(BinaryOp::Less, BinaryOp::LessEqual, BinaryOp::TrimUpper),
            '>' => self.push_comparison(BinaryOp::Greater, BinaryOp::GreaterEqual, BinaryOp::TrimLower),
            '"' | '\'' | '`' => self.string(),
            ':' if self.in_brackets => self.colon_after_duration(),
            c if self.at_number(c) => self.number(),
            c if is_word_start(c) && self.in_brackets => self.word_after_duration(),
            c if is_word_start(c) || c == ':' => self.word(),
            ')' => self.close_paren(),
            '{' => {
                self.in_braces = true;
                self.push(TokenKind::LeftBrace, 1)
            }
            '[' if self.in_brackets => self.fail("unexpected left bracket '['"),
            '[' => self.open_bracket(),
            ']' if self.in_brackets => self.close_bracket(),
            ']' => self.fail("unexpected right bracket ']'"),
            '@' => self.push(TokenKind::At, 1),
            c => match self.punctuation(c) {
                Some(kind) => self.push(kind, 1),
                None => self.fail(&format!("unexpected character: {}", quoted_char(Some(c)))),
            },
        }
    }

    /// In brackets, up to the first number: the rest is read as an expression is.
    fn step_at_duration(&mut self) -> Step {
        let Some(c) = self.peek() else {
            return self.fail("unexpected end of input in duration expression");
        };
        match c {
            ']' => self.close_bracket(),
            ':' => self.colon_before_duration(),
            ')' => self.close_paren(),
            c if self.at_number(c) => {
                self.had_number = true;
                self.duration_begins = false;
                self.number()
            }
            c => match self.punctuation(c).or_else(|| self.duration_word()) {
                Some(kind @ TokenKind::TimeWord(_)) => {
                    let len = self.word_len();
                    self.push(kind, len)
                }
                Some(kind) => self.push(kind, 1),
                None => {
                    let c = quoted_char(Some(c));
                    self.fail(&format!("unexpected character in duration expression: {c}"))
                }
            },
        }
    }

    /// In braces words are names, whatever they mean elsewhere.
    fn step_in_braces(&mut self) -> Step {
        let Some(c) = self.peek() else {
            return self.fail("unexpected end of input inside braces");
        };
        match c {
            ',' => self.push(TokenKind::Comma, 1),
            '"' | '\'' | '`' => self.string(),
            '=' if self.peek_second() == Some('~') => self.push(TokenKind::RegexMatch, 2),
            '=' => self.push(TokenKind::Assign, 1),
            '!' => match self.peek_second() {
                Some('~') => self.push(TokenKind::RegexNoMatch, 2),
                Some('=') => self.push(TokenKind::Op(BinaryOp::NotEqual), 2),
                other => {
                    let c = quoted_char(other);
                    self.fail(&format!("unexpected character after '!' inside braces: {c}"))
                }
            },
            '{' => self.fail("unexpected left brace '{'"),
            '}' => {
                self.in_braces = false;
                self.push(TokenKind::RightBrace, 1)
            }
            c if is_word_start(c) => {
                let word: Result<_, nom::Err<Error<&str>>> = take_while1(is_word_char).parse(self.rest());
                let len = word.map_or(0, |(_, word): (&str, &str)| word.len());
                self.push(TokenKind::Identifier, len)
            }
            c => self.fail(&format!("unexpected character inside braces: {}", quoted_char(Some(c)))),
        }
    }

    // ------------------------------------------------------------------------------------- single tokens

    /// Tokens of one character that mean the same in and out of brackets.
    fn punctuation(&mut self, c: char) -> Option<TokenKind> {
        Some(match c {
            ',' => TokenKind::Comma,
            '*' => TokenKind::Op(BinaryOp::Mul),
            '/' => TokenKind::Op(BinaryOp::Div),
            '%' => TokenKind::Op(BinaryOp::Mod),
            '+' => TokenKind::Op(BinaryOp::Add),
            '-' => TokenKind::Op(BinaryOp::Sub),
            '^' => TokenKind::Op(BinaryOp::Pow),
            '(' => {
                self.paren_depth += 1;
                TokenKind::LeftParen
            }
            _ => return None,
        })
    }

    fn push_comparison(&mut self, plain: BinaryOp, or_equal: BinaryOp, trim: BinaryOp) -> Step {
        match self.peek_second() {
            Some('=') => self.push(TokenKind::Op(or_equal), 2),
            Some('/') => self.push(TokenKind::Op(trim), 2),
            _ => self.push(TokenKind::Op(plain), 1),
        }
    }

    fn close_paren(&mut self) -> Step {
        match self.paren_depth.checked_sub(1) {
            Some(depth) => {
                self.paren_depth = depth;
                self.push(TokenKind::RightParen, 1)
            }
            // The reference has read the parenthesis when it finds out.
            None => self.fail_after(1, "unexpected right parenthesis ')'"),
        }
    }

    fn open_bracket(&mut self) -> Step {
        self.had_colon = false;
        self.in_brackets = true;
        self.duration_begins = true;
        self.push(TokenKind::LeftBracket, 1)
    }

    fn close_bracket(&mut self) -> Step {
        self.in_brackets = false;
        self.duration_begins = false;
        self.push(TokenKind::RightBracket, 1)
    }

    fn colon_before_duration(&mut self) -> Step {
        if !self.had_number {
            return self.fail_after(1, "unexpected colon before duration in duration expression");
        }
        if self.had_colon {
            return self.fail_after(1, "unexpected repeated colon in duration expression");
        }
        self.had_colon = true;
        self.push(TokenKind::Colon, 1)
    }

    fn colon_after_duration(&mut self) -> Step {
        if self.had_colon {
            return self.fail("unexpected colon ':'");
        }
        self.had_colon = true;
        self.push(TokenKind::Colon, 1)
    }

    fn word_after_duration(&mut self) -> Step {
        match self.duration_word() {
            Some(kind) => {
                let len = self.word_len();
                self.push(kind, len)
            }
            None => {
                let c = quoted_char(self.peek());
                self.fail(&format!("unexpected character: {c}, expected ':'"))
            }
        }
    }

    /// The word here, if it is one of those that a duration may have.
    fn duration_word(&self) -> Option<TokenKind> {
        use super::token::TimeWord::{MaxOf, MinOf, Range, Step};
        let word = &self.rest()[..self.word_len()];
        TokenKind::of_word(word)
            .filter(|kind| matches!(kind, TokenKind::TimeWord(Step | Range | MaxOf | MinOf)))
    }

    /// Bytes of the word here, which in brackets has no digits.
    fn word_len(&self) -> usize {
        self.rest().find(|c| !is_word_start(c)).unwrap_or(self.rest().len())
    }

    fn word(&mut self) -> Step {
        let name = recognize(pair(
            nom::character::complete::satisfy(|c| is_word_start(c) || c == ':'),
            take_while(|c| is_word_char(c) || c == ':'),
        ));
        let mut name = name;
        let parsed: nom::IResult<&str, &str> = name.parse(self.rest());
        let word = parsed.map_or("", |(_, word)| word);
        let kind = match TokenKind::of_word(word) {
            Some(kind) if kind.is_fill() && !self.paren_follows(word.len()) => TokenKind::Identifier,
            Some(kind) => kind,
            None if word.contains(':') => TokenKind::MetricIdentifier,
            None => TokenKind::Identifier,
        };
        self.push(kind, word.len())
    }

    fn paren_follows(&self, after: usize) -> bool {
        self.rest()[after..].trim_start_matches(is_space).starts_with('(')
    }

    fn at_number(&self, c: char) -> bool {
        c.is_ascii_digit() || (c == '.' && self.peek_second().is_some_and(|c| c.is_ascii_digit()))
    }

    fn number(&mut self) -> Step {
        let here = self.rest();
        match number_or_duration(here) {
            Ok((rest, NumberToken::Number)) => self.push(TokenKind::Number, here.len() - rest.len()),
            Ok((rest, NumberToken::Duration)) => self.push(TokenKind::Duration, here.len() - rest.len()),
            Err(error) => {
                let rest = match error {
                    nom::Err::Error(error) | nom::Err::Failure(error) => error.input,
                    nom::Err::Incomplete(_) => "",
                };
                let text = quoted(&here[..here.len() - rest.len()]);
                self.fail(&format!("bad number or duration syntax: {text}"))
            }
        }
    }

    fn string(&mut self) -> Step {
        let here = self.rest();
        match quoted_text(here) {
            Ok((_, rest)) => self.push(TokenKind::String, here.len() - rest.len()),
            Err(message) => self.fail(&message),
        }
    }

    fn end(&mut self) -> Step {
        if self.paren_depth > 0 {
            return self.fail("unclosed left parenthesis");
        }
        if self.in_brackets {
            return self.fail("unclosed left bracket");
        }
        self.push(TokenKind::End, 0)?;
        Ok(Progress::Done)
    }

    // -------------------------------------------------------------------------------------------- reading

    fn rest(&self) -> &'a str {
        &self.input[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn peek_second(&self) -> Option<char> {
        self.rest().chars().nth(1)
    }

    fn skip_spaces(&mut self) {
        self.skip(|rest| take_while::<_, _, Error<&str>>(is_space).parse(rest));
    }

    fn skip_comment(&mut self) {
        self.skip(|rest| take_till::<_, _, Error<&str>>(|c| matches!(c, '\r' | '\n')).parse(rest));
    }

    fn skip(&mut self, what: impl FnOnce(&'a str) -> nom::IResult<&'a str, &'a str>) {
        if let Ok((rest, _)) = what(self.rest()) {
            self.at = self.input.len() - rest.len();
        }
    }

    fn push(&mut self, kind: TokenKind, len: usize) -> Step {
        let span = Span { start: self.at, end: self.at + len };
        self.tokens.push(Token { kind, span });
        self.at += len;
        Ok(Progress::More)
    }

    fn fail(&self, message: &str) -> Step {
        self.fail_after(0, message)
    }

    fn fail_after(&self, bytes: usize, message: &str) -> Step {
        Err(LexError { start: self.at + bytes, message: message.to_owned() })
    }
}
