//! Tokens of the Go template language (`text/template/parse/lex.go`).

use super::ParseError;

/// A token and where it begins, in bytes of the whole text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) at: usize,
}

/// The kinds of tokens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind {
    /// What stands outside of `{{ }}`.
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// A name or a keyword.
    Word(String),
    /// `.name`
    Field(String),
    /// `$name`, or `$` with an empty name.
    Variable(String),
    /// `.`
    Dot,
    /// A number as written.
    Number(String),
    /// A character constant, its code.
    Char(u32),
    /// A text as written, and what it stands for.
    Str(String, String),
    /// `|`
    Pipe,
    /// `(`
    LeftParen,
    /// `)`
    RightParen,
    /// `:=`
    Declare,
    /// `=`
    Assign,
    /// `,`
    Comma,
    /// White space, which tells `.a .b` from `.a.b`.
    Space,
    /// The end of the text.
    End,
}

const OPEN: &str = "{{";
const CLOSE: &str = "}}";
const COMMENT_OPEN: &str = "/*";
const COMMENT_CLOSE: &str = "*/";
/// What Go takes for space around trim markers.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Cuts a template into tokens; the last one is [`TokenKind::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, ParseError> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new() };
    lexer.run()?;
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: TokenKind, bytes: usize) {
        self.tokens.push(Token { kind, at: self.at });
        self.at += bytes;
    }

    fn fail<T>(&self, what: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError { at: self.at, what: what.into() })
    }

    fn run(&mut self) -> Result<(), ParseError> {
        let mut trim_next = false;
        loop {
            let rest = self.rest();
            let len = rest.find(OPEN).unwrap_or(rest.len());
            let mut piece = &rest[..len];
            let start = self.at;
            if trim_next {
                piece = piece.trim_start_matches(SPACE);
            }
            let opens_trimmed = rest[len..].strip_prefix(OPEN).is_some_and(begins_with_trim_marker);
            if opens_trimmed {
                piece = piece.trim_end_matches(SPACE);
            }
            if !piece.is_empty() {
                self.push(TokenKind::Text(piece.to_owned()), 0);
            }
            self.at = start + len;
            if self.rest().is_empty() {
                self.push(TokenKind::End, 0);
                return Ok(());
            }
            trim_next = self.action(opens_trimmed)?;
        }
    }

    /// Takes in `{{ … }}`; says whether the space after it is to be trimmed.
    fn action(&mut self, trimmed: bool) -> Result<bool, ParseError> {
        let marker = if trimmed { 2 } else { 0 };
        let inside = self.at + OPEN.len() + marker;
        if self.text[inside..].starts_with(COMMENT_OPEN) {
            self.at = inside;
            return self.comment();
        }
        self.push(TokenKind::Open, OPEN.len() + marker);
        let mut parens = 0usize;
        loop {
            let rest = self.rest();
            if rest.starts_with(CLOSE) || ends_with_trim_marker(rest) {
                if parens > 0 {
                    return self.fail("unclosed left paren");
                }
                let trim = !rest.starts_with(CLOSE);
                self.push(TokenKind::Close, CLOSE.len() + if trim { 2 } else { 0 });
                return Ok(trim);
            }
            match rest.chars().next() {
                None => return self.fail("unclosed action"),
                Some('(') => parens += 1,
                Some(')') => match parens.checked_sub(1) {
                    Some(open) => parens = open,
                    None => return self.fail("unexpected right paren"),
                },
                Some(_) => {}
            }
            self.inside_action()?;
        }
    }

    fn comment(&mut self) -> Result<bool, ParseError> {
        let Some(end) = self.rest().find(COMMENT_CLOSE) else {
            return self.fail("unclosed comment");
        };
        self.at += end + COMMENT_CLOSE.len();
        let trim = ends_with_trim_marker(self.rest());
        let close = if trim { &self.rest()[2..] } else { self.rest() };
        if !close.starts_with(CLOSE) {
            return self.fail("comment ends before closing delimiter");
        }
        self.at += CLOSE.len() + if trim { 2 } else { 0 };
        Ok(trim)
    }

    fn inside_action(&mut self) -> Result<(), ParseError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return self.fail("unclosed action") };
        match first {
            c if SPACE.contains(&c) => {
                let len = rest.find(|c| !SPACE.contains(&c)).unwrap_or(rest.len());
                // The space before "-}}" belongs to the marker.
                let len = if rest[len..].starts_with("-}}") { len - 1 } else { len };
                if len > 0 {
                    self.push(TokenKind::Space, len);
                }
            }
            ':' if rest.starts_with(":=") => self.push(TokenKind::Declare, 2),
            ':' => return self.fail("expected :="),
            '=' => self.push(TokenKind::Assign, 1),
            ',' => self.push(TokenKind::Comma, 1),
            '|' => self.push(TokenKind::Pipe, 1),
            '(' => self.push(TokenKind::LeftParen, 1),
            ')' => self.push(TokenKind::RightParen, 1),
            '"' => self.quoted()?,
            '`' => self.raw_quoted()?,
            '\'' => self.character()?,
            '$' => {
                let name = word(&rest[1..]);
                self.push(TokenKind::Variable(name.to_owned()), 1 + name.len());
            }
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let name = word(&rest[1..]);
                let kind = if name.is_empty() { TokenKind::Dot } else { TokenKind::Field(name.to_owned()) };
                self.push(kind, 1 + name.len());
            }
            '+' | '-' | '.' | '0'..='9' => self.number()?,
            c if is_alphanumeric(c) => {
                let name = word(rest);
                self.push(TokenKind::Word(name.to_owned()), name.len());
            }
            c => {
                return self.fail(format!(
                    "unrecognized character in action: U+{:04X} {}",
                    c as u32,
                    quote_char(c)
                ));
            }
        }
        Ok(())
    }

    fn quoted(&mut self) -> Result<(), ParseError> {
        let rest = self.rest();
        let mut escaped = false;
        for (i, c) in rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '\n' => break,
                '"' => {
                    let written = &rest[..=i];
                    let Some(text) = unescape(&written[1..i]) else { return self.fail("invalid syntax") };
                    self.push(TokenKind::Str(written.to_owned(), text), written.len());
                    return Ok(());
                }
                _ => {}
            }
        }
        self.fail("unterminated quoted string")
    }

    fn raw_quoted(&mut self) -> Result<(), ParseError> {
        let rest = self.rest();
        let Some(end) = rest[1..].find('`') else { return self.fail("unterminated raw quoted string") };
        let written = &rest[..end + 2];
        self.push(TokenKind::Str(written.to_owned(), written[1..=end].replace('\r', "")), written.len());
        Ok(())
    }

    fn character(&mut self) -> Result<(), ParseError> {
        let rest = self.rest();
        let closing = rest.char_indices().skip(1).scan(false, |escaped, (i, c)| {
            let closes = c == '\'' && !*escaped;
            *escaped = c == '\\' && !*escaped;
            Some((i, closes))
        });
        let end = closing.into_iter().find(|(_, closes)| *closes).map(|(i, _)| i);
        let Some(end) = end else { return self.fail("unterminated character constant") };
        let text = unescape(&rest[1..end]).unwrap_or_default();
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) => self.push(TokenKind::Char(c as u32), end + 1),
            _ => return self.fail(format!("malformed character constant: {}", &rest[..=end])),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), ParseError> {
        let rest = self.rest();
        let mut previous = '\0';
        let len = rest
            .find(|c: char| {
                let sign_in_place =
                    matches!(c, '+' | '-') && (previous == '\0' || matches!(previous, 'e' | 'E' | 'p' | 'P'));
                previous = c;
                !(sign_in_place || c == '.' || c == '_' || is_alphanumeric(c))
            })
            .unwrap_or(rest.len());
        self.push(TokenKind::Number(rest[..len].to_owned()), len);
        Ok(())
    }
}

/// Whether what follows `{{` is a trim marker: a minus and a space.
fn begins_with_trim_marker(rest: &str) -> bool {
    rest.starts_with('-') && rest[1..].starts_with(SPACE)
}

/// Whether a trim marker, space, minus and `}}`, follows.
fn ends_with_trim_marker(rest: &str) -> bool {
    rest.starts_with(SPACE) && rest[1..].starts_with("-}}")
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn word(text: &str) -> &str {
    &text[..text.find(|c| !is_alphanumeric(c)).unwrap_or(text.len())]
}

fn quote_char(c: char) -> String {
    format!("'{c}'")
}

/// Resolves Go's escapes in what stands between quotes; `None` if one isn't valid.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let kind = rest.chars().next()?;
        rest = &rest[kind.len_utf8()..];
        let simple = match kind {
            'a' => Some(0x07),
            'b' => Some(0x08),
            'f' => Some(0x0c),
            'n' => Some(b'\n'),
            'r' => Some(b'\r'),
            't' => Some(b'\t'),
            'v' => Some(0x0b),
            '\\' | '\'' | '"' => Some(kind as u8),
            _ => None,
        };
        if let Some(byte) = simple {
            bytes.push(byte);
            continue;
        }
        let (digits, radix, is_code_point) = match kind {
            'x' => (rest.get(..2)?, 16, false),
            'u' => (rest.get(..4)?, 16, true),
            'U' => (rest.get(..8)?, 16, true),
            '0'..='7' => (text.get(text.len() - rest.len() - 1..)?.get(..3)?, 8, false),
            _ => return None,
        };
        let code = u32::from_str_radix(digits, radix).ok()?;
        rest = &rest[if radix == 8 { 2 } else { digits.len() }..];
        if is_code_point {
            bytes.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            bytes.push(u8::try_from(code).ok()?);
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
