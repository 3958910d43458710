//! Quoted texts: `"…"` and `'…'` with Go's escapes, `` `…` `` without any.
//!
//! Escapes of single bytes (`\xff`, `\377`) may make up text that isn't UTF-8, which a Rust string can't hold. A
//! byte that is part of no character is kept as the private character U+10FF00 + byte: it equals nothing that a
//! label may have for its value, and [`is_utf8`] and [`quoted`](super::token::quoted) know it.

use std::fmt::Write;

use super::token::quoted;

/// The private characters that stand for single bytes begin here.
const BYTE_CHAR_BASE: u32 = 0x10_ff00;

/// Whether a text of a query is UTF-8, that is, whether no character stands for a single byte.
pub fn is_utf8(text: &str) -> bool {
    !text.chars().any(|c| byte_of(c).is_some())
}

/// The byte that the character stands for.
pub(super) fn byte_of(c: char) -> Option<u8> {
    (c as u32).checked_sub(BYTE_CHAR_BASE).and_then(|byte| u8::try_from(byte).ok())
}

/// The character that stands where bytes weren't UTF-8. A query that has it was damaged on its way.
const REPLACEMENT: char = '\u{fffd}';
/// The largest value of an octal or hexadecimal escape, which is one byte.
const BYTE_MAX: u32 = 0xff;
/// The largest code point.
const CODE_POINT_MAX: u32 = 0x10_ffff;

/// Reads the quoted text that `input` begins with. Returns its value and what follows the closing quote.
pub(crate) fn quoted_text(input: &str) -> Result<(String, &str), String> {
    let quote = input.chars().next().unwrap_or('"');
    let raw = quote == '`';
    let mut value = Vec::new();
    let mut rest = &input[quote.len_utf8()..];
    loop {
        let mut chars = rest.chars();
        let next = chars.next();
        rest = chars.as_str();
        match next {
            Some(c) if c == quote => return Ok((into_text(value), rest)),
            Some(REPLACEMENT) => return Err("invalid UTF-8 rune".to_owned()),
            Some('\\') if !raw => rest = escape(rest, quote, &mut value)?,
            Some('\n') | None if !raw => return Err("unterminated quoted string".to_owned()),
            None => return Err("unterminated raw string".to_owned()),
            Some(c) => push(&mut value, c),
        }
    }
}

fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        let mut text = String::new();
        for chunk in error.as_bytes().utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(
                chunk.invalid().iter().filter_map(|b| char::from_u32(BYTE_CHAR_BASE + u32::from(*b))),
            );
        }
        text
    })
}

fn push(value: &mut Vec<u8>, c: char) {
    value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Reads an escape after its backslash, appends what it stands for, and returns what follows it.
fn escape<'a>(input: &'a str, quote: char, value: &mut Vec<u8>) -> Result<&'a str, String> {
    let mut chars = input.chars();
    let kind = chars.next().ok_or("escape sequence not terminated")?;
    let rest = chars.as_str();
    let plain = match kind {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        c if c == quote => quote as u8,
        // The first octal digit is the letter of the escape itself.
        '0'..='7' => return byte_escape(input, 3, 8, value),
        'x' => return byte_escape(rest, 2, 16, value),
        'u' => return char_escape(rest, 4, value),
        'U' => return char_escape(rest, 8, value),
        c => return Err(format!("unknown escape sequence {}", unicode(c))),
    };
    value.push(plain);
    Ok(rest)
}

fn byte_escape<'a>(input: &'a str, len: usize, radix: u32, value: &mut Vec<u8>) -> Result<&'a str, String> {
    let (number, rest) = digits(input, len, radix)?;
    if number > BYTE_MAX {
        return Err(INVALID_CODE_POINT.to_owned());
    }
    value.push(number as u8);
    Ok(rest)
}

fn char_escape<'a>(input: &'a str, len: usize, value: &mut Vec<u8>) -> Result<&'a str, String> {
    let (number, rest) = digits(input, len, 16)?;
    let c = char::from_u32(number).filter(|_| number <= CODE_POINT_MAX).ok_or(INVALID_CODE_POINT)?;
    push(value, c);
    Ok(rest)
}

const INVALID_CODE_POINT: &str = "escape sequence is an invalid Unicode code point";

/// Reads exactly `len` digits.
fn digits(input: &str, len: usize, radix: u32) -> Result<(u32, &str), String> {
    let mut chars = input.chars();
    let mut number: u32 = 0;
    for _ in 0..len {
        let c = chars.next().ok_or("escape sequence not terminated")?;
        let digit = c
            .to_digit(radix)
            .ok_or_else(|| format!("illegal character {} in escape sequence", unicode(c)))?;
        number = number.wrapping_mul(radix).wrapping_add(digit);
    }
    Ok((number, chars.as_str()))
}

/// A character as Go's verb `%#U` writes it: `U+0071 'q'`.
fn unicode(c: char) -> String {
    let mut out = format!("U+{:04X}", c as u32);
    if !c.is_control() {
        let _ = write!(out, " '{c}'");
    }
    out
}

/// A character as Go's verb `%q` writes it: `'q'`.
pub(super) fn quoted_char(c: Option<char>) -> String {
    match c {
        Some('\'') => r"'\''".to_owned(),
        Some('"') => r#"'"'"#.to_owned(),
        // The end of the text counts as the character that can't be.
        c => {
            let text = quoted(c.unwrap_or(REPLACEMENT).encode_utf8(&mut [0; 4]));
            format!("'{}'", &text[1..text.len() - 1])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_kept_apart() {
        let (text, _) = quoted_text(r#""a\xc5z""#).unwrap();
        assert!(!is_utf8(&text));
        assert_eq!(quoted(&text), r#""a\xc5z""#);
        assert!(!is_utf8("a\u{10fffd}") && is_utf8("\u{fffd}é"));
    }

    #[test]
    fn escapes_stand_for_what_go_says() {
        for (text, value) in [
            (r#""a\n\t\\\"b" rest"#, "a\n\t\\\"b"),
            (r"'it\'s' rest", "it's"),
            ("`a\\n\nb` rest", "a\\n\nb"),
            (r#""\101\x42\u0043\U00000044" rest"#, "ABCD"),
            (r#""\xc3\xa9" rest"#, "é"),
            (r#""\xff" rest"#, "\u{10ffff}"),
            (r#""" rest"#, ""),
        ] {
            assert_eq!(quoted_text(text), Ok((value.to_owned(), " rest")), "{text}");
        }
        for (text, error) in [
            ("\"a", "unterminated quoted string"),
            ("\"a\nb\"", "unterminated quoted string"),
            ("`a", "unterminated raw string"),
            (r#""\q""#, "unknown escape sequence U+0071 'q'"),
            (r#""\'""#, "unknown escape sequence U+0027 '''"),
            (r#""\xg""#, "illegal character U+0067 'g' in escape sequence"),
            (r#""\ud800""#, INVALID_CODE_POINT),
            (r#""\777""#, INVALID_CODE_POINT),
            (r#""\U00110000""#, INVALID_CODE_POINT),
            ("\"\\x1", "escape sequence not terminated"),
            ("\"\u{fffd}\"", "invalid UTF-8 rune"),
        ] {
            assert_eq!(quoted_text(text), Err(error.to_owned()), "{text}");
        }
    }
}
