//! Classes of characters: brackets, `\d` and its like, `\pL`; and escapes of single characters.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::syntax::{Fault, Problem, fault, until};

/// A class in brackets. `here` begins with the bracket; `rest` is set to what follows the closing one.
pub(super) fn bracket<'p>(here: &'p str, rest: &mut &'p str, fold_case: bool) -> Result<ClassUnicode, Fault> {
    let mut text = &here[1..];
    let negated = text.starts_with('^');
    if negated {
        text = &text[1..];
    }
    let mut class = ClassUnicode::empty();
    let mut first = true;
    while first || !text.starts_with(']') {
        first = false;
        if text.starts_with("[:")
            && let Some(named) = posix(text, &mut text)?
        {
            class.union(&if fold_case { folded(named) } else { named });
            continue;
        }
        if let Some(escaped) = escaped(text, &mut text, fold_case)? {
            class.union(&escaped);
            continue;
        }
        let range = range(here, &mut text)?;
        class.union(&if fold_case { folded(range) } else { range });
    }
    *rest = &text[1..];
    if negated {
        class.negate();
    }
    Ok(class)
}

/// The class with the other cases of its characters.
pub(super) fn folded(mut class: ClassUnicode) -> ClassUnicode {
    // The tables for this are compiled in.
    let _ = class.try_case_fold_simple();
    class
}

/// A character or `a-z`.
fn range(bracket: &str, text: &mut &str) -> Result<ClassUnicode, Fault> {
    let here = *text;
    let low = class_char(bracket, text)?;
    let mut high = low;
    // A dash before the closing bracket is a dash.
    if text.starts_with('-') && text.len() >= 2 && !text[1..].starts_with(']') {
        *text = &text[1..];
        high = class_char(bracket, text)?;
        if high < low {
            return Err(fault(Problem::InvalidRange, until(here, text)));
        }
    }
    Ok(between(low, high))
}

/// The characters from one code point to another; surrogates, which are none, are left out.
fn between(low: u32, high: u32) -> ClassUnicode {
    let below = (low, high.min(0xd7ff));
    let above = (low.max(0xe000), high);
    let ranges = [below, above].into_iter().filter(|(low, high)| low <= high);
    let char_at = |code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    ClassUnicode::new(ranges.map(|(low, high)| ClassUnicodeRange::new(char_at(low), char_at(high))))
}

fn class_char(bracket: &str, text: &mut &str) -> Result<u32, Fault> {
    let here = *text;
    let mut chars = here.chars();
    match chars.next() {
        None => Err(fault(Problem::MissingBracket, bracket)),
        Some('\\') => escaped_code(here, text),
        Some(c) => {
            *text = chars.as_str();
            Ok(c as u32)
        }
    }
}

// ---------------------------------------------------------------------------------------------- named classes

/// `[:alpha:]` within a bracket, without its case folded. `None` if there is no `:]`.
fn posix<'p>(here: &'p str, rest: &mut &'p str) -> Result<Option<ClassUnicode>, Fault> {
    let Some(end) = here[2..].find(":]") else { return Ok(None) };
    let (whole, after) = here.split_at(end + 4);
    let name = &whole[2..whole.len() - 2];
    let (negated, name) = match name.strip_prefix('^') {
        Some(name) => (true, name),
        None => (false, name),
    };
    let ranges: &[(char, char)] = match name {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "ascii" => &[('\0', '\x7f')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        "digit" => DIGITS,
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "word" => WORD,
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return Err(fault(Problem::InvalidRange, whole)),
    };
    *rest = after;
    Ok(Some(ascii(ranges, negated, false)))
}

const DIGITS: &[(char, char)] = &[('0', '9')];
const SPACE: &[(char, char)] = &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')];
const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];

/// A class of ranges; case is folded before it is negated.
fn ascii(ranges: &[(char, char)], negated: bool, fold_case: bool) -> ClassUnicode {
    let mut class = ClassUnicode::new(ranges.iter().map(|(low, high)| ClassUnicodeRange::new(*low, *high)));
    if fold_case {
        class = folded(class);
    }
    if negated {
        class.negate();
    }
    class
}

/// A class that is an escape, if there is one here: `\d`, `\pL`.
pub(super) fn escaped<'p>(
    here: &'p str,
    rest: &mut &'p str,
    fold_case: bool,
) -> Result<Option<ClassUnicode>, Fault> {
    let &[b'\\', letter, ..] = here.as_bytes() else { return Ok(None) };
    let ranges = match letter {
        b'd' | b'D' => DIGITS,
        b's' | b'S' => SPACE,
        b'w' | b'W' => WORD,
        b'p' | b'P' => return unicode(here, rest, fold_case).map(Some),
        _ => return Ok(None),
    };
    *rest = &here[2..];
    Ok(Some(ascii(ranges, letter.is_ascii_uppercase(), fold_case)))
}

/// `\pL`, `\p{Greek}`, `\P{^Lu}`.
fn unicode<'p>(here: &'p str, rest: &mut &'p str, fold_case: bool) -> Result<ClassUnicode, Fault> {
    let after = &here[2..];
    let (name, end) = match after.strip_prefix('{') {
        Some(braced) => match braced.find('}') {
            None => return Err(fault(Problem::InvalidRange, here)),
            Some(end) => (&braced[..end], 4 + end),
        },
        None => {
            let len = after.chars().next().map_or(0, char::len_utf8);
            (&after[..len], 2 + len)
        }
    };
    let (inverse, name) = match name.strip_prefix('^') {
        Some(name) => (true, name),
        None => (false, name),
    };
    let mut class = table(name).ok_or_else(|| fault(Problem::InvalidRange, &here[..end]))?;
    *rest = &here[end..];
    if fold_case {
        class = folded(class);
    }
    if inverse != here.starts_with("\\P") {
        class.negate();
    }
    Ok(class)
}

/// The characters of a category or script.
fn table(name: &str) -> Option<ClassUnicode> {
    let known = name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_')
        && name.bytes().next().is_some_and(|b| b.is_ascii_uppercase());
    if !known {
        return None;
    }
    let parsed = regex_syntax::Parser::new().parse(&format!("\\p{{{name}}}")).ok()?;
    match parsed.kind() {
        regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => Some(class.clone()),
        _ => None,
    }
}

// ---------------------------------------------------------------------------------------------- characters

/// A single character that is written as an escape; `None` if its code point is no character.
pub(super) fn escaped_char<'p>(here: &'p str, rest: &mut &'p str) -> Result<Option<char>, Fault> {
    escaped_code(here, rest).map(char::from_u32)
}

/// The code point of an escape.
fn escaped_code<'p>(here: &'p str, rest: &mut &'p str) -> Result<u32, Fault> {
    let mut chars = here[1..].chars();
    let Some(letter) = chars.next() else { return Err(fault(Problem::TrailingBackslash, "")) };
    let after = chars.as_str();
    let read = match letter {
        '1'..='7' if !after.starts_with(|c| ('0'..='7').contains(&c)) => None,
        '0'..='7' => {
            let digits = after.bytes().take(2).take_while(|b| (b'0'..=b'7').contains(b)).count();
            let code = u32::from_str_radix(&here[1..2 + digits], 8).ok();
            code.map(|code| (code, &after[digits..]))
        }
        'x' => return hexadecimal(here, after, rest),
        'a' => Some((0x07, after)),
        'f' => Some((0x0c, after)),
        'n' => Some(('\n' as u32, after)),
        'r' => Some(('\r' as u32, after)),
        't' => Some(('\t' as u32, after)),
        'v' => Some((0x0b, after)),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some((c as u32, after)),
        _ => None,
    };
    match read {
        Some((code, after)) => {
            *rest = after;
            Ok(code)
        }
        None => Err(fault(Problem::InvalidEscape, until(here, after))),
    }
}

/// `\xFF` or `\x{10FFFF}`; `after` follows the `x`.
fn hexadecimal<'p>(here: &'p str, after: &'p str, rest: &mut &'p str) -> Result<u32, Fault> {
    let mut chars = after.chars();
    let braced = after.starts_with('{');
    if braced {
        chars.next();
    }
    let mut code = 0;
    let mut digits = 0;
    loop {
        match chars.next() {
            Some('}') if braced && digits > 0 => break,
            Some(c) if c.is_ascii_hexdigit() => {
                code = code * 16 + c.to_digit(16).unwrap_or(0);
                digits += 1;
                if code > char::MAX as u32 {
                    return Err(fault(Problem::InvalidEscape, until(here, chars.as_str())));
                }
                if !braced && digits == 2 {
                    break;
                }
            }
            c => {
                // The reference reads both digits before it looks at them.
                if !braced && digits == 0 && c.is_some() {
                    chars.next();
                }
                return Err(fault(Problem::InvalidEscape, until(here, chars.as_str())));
            }
        }
    }
    *rest = chars.as_str();
    Ok(code)
}
