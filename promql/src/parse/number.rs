//! Numbers and durations as tokens, and the values that they stand for.
//!
//! A number is an integer as Go writes it (`0x1F`, `017`, `1_000`) or a decimal float. The scanners are wider
//! than that, as in the reference: what they take in and the conversion then refuses is an error about a
//! number, not about an unexpected character.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{char, one_of, satisfy};
use nom::combinator::{map, not, opt, peek, recognize, value};
use nom::error::{Error, ErrorKind};
use nom::multi::many0_count;
use nom::sequence::{pair, preceded};
use nom::{IResult, Parser};

use super::lex::is_word_char;
use super::token::quoted;

/// What a scanner says: what it took in, or the rest where it gave up.
type Scan<'a> = IResult<&'a str, &'a str>;

/// Scans a number or a duration. In an error the input is what follows the text at fault.
pub(super) fn number_or_duration(input: &str) -> IResult<&str, NumberToken> {
    match number(input) {
        Ok((rest, _)) => Ok((rest, NumberToken::Number)),
        Err(nom::Err::Error(stopped)) => {
            let (rest, ()) = duration_units(stopped.input)?;
            Ok((rest, NumberToken::Duration))
        }
        Err(other) => Err(other),
    }
}

/// What [`number_or_duration`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberToken {
    Number,
    Duration,
}

/// Which digits a number has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Radix {
    Decimal,
    Hexadecimal,
}

impl Radix {
    fn is_digit(self, c: char) -> bool {
        match self {
            Radix::Decimal => c.is_ascii_digit(),
            Radix::Hexadecimal => c.is_ascii_hexdigit(),
        }
    }
}

/// Scans a number: `[.][d][d._eE]*` with few conditions on what may follow what, and no letter after it.
fn number(input: &str) -> Scan<'_> {
    let hex = preceded((char('0'), one_of("xX")), opt(char('_')));
    let (rest, radix) =
        map(opt(hex), |hex| if hex.is_some() { Radix::Hexadecimal } else { Radix::Decimal }).parse(input)?;
    // A zero that begins no hexadecimal number counts as nothing, so that the dot after it may come first.
    let zero = match radix {
        Radix::Decimal => "0",
        Radix::Hexadecimal => "",
    };
    let rest = rest.strip_prefix(zero).unwrap_or(rest);
    let (rest, _) = opt(char::<&str, Error<&str>>('.')).parse(rest)?;
    let (rest, _) = opt(satisfy(|c| radix.is_digit(c))).parse(rest)?;
    let mut tail = rest;
    let (mut dot, mut exponent) = (false, false);
    while let Some(c) = tail.chars().next() {
        tail = match c {
            '.' if !dot => {
                dot = true;
                after_dot(&tail[1..], radix)?
            }
            // In a hexadecimal number, too: `0x1e` at the end of a query is an error there as here.
            'e' | 'E' if !exponent => {
                exponent = true;
                after_exponent(&tail[1..])?
            }
            '_' => refuse_and_end(&tail[1..])?,
            '.' | 'e' | 'E' => return stop(&tail[1..]),
            c if radix.is_digit(c) => take_while(|c| radix.is_digit(c)).parse(tail)?.0,
            _ => break,
        };
    }
    match tail.chars().next() {
        Some(c) if is_word_char(c) => stop(tail),
        _ => Ok((tail, &input[..input.len() - tail.len()])),
    }
}

/// What may not follow a dot ends the number; hexadecimal numbers have no fraction.
fn after_dot(rest: &str, radix: Radix) -> Result<&str, nom::Err<Error<&str>>> {
    let rest = refuse(rest, "_.")?;
    if radix == Radix::Hexadecimal { stop(rest) } else { Ok(rest) }
}

fn after_exponent(rest: &str) -> Result<&str, nom::Err<Error<&str>>> {
    let (rest, _) = opt(one_of("+-")).parse(rest)?;
    refuse_and_end(rest)
}

fn refuse_and_end(rest: &str) -> Result<&str, nom::Err<Error<&str>>> {
    let rest = refuse(rest, "._eE")?;
    if rest.is_empty() { stop(rest) } else { Ok(rest) }
}

/// Gives up after the next character if it is one of `chars`.
fn refuse<'a>(rest: &'a str, chars: &str) -> Result<&'a str, nom::Err<Error<&'a str>>> {
    match rest.chars().next() {
        Some(c) if chars.contains(c) => stop(&rest[c.len_utf8()..]),
        _ => Ok(rest),
    }
}

fn stop<T>(rest: &str) -> Result<T, nom::Err<Error<&str>>> {
    Err(nom::Err::Error(Error::new(rest, ErrorKind::Digit)))
}

/// Scans what follows the first digits of a duration: a unit, then numbers with units, then no letter. Whether
/// the units are in order is seen when the duration is read.
fn duration_units(input: &str) -> IResult<&str, ()> {
    let (mut rest, _) = (one_of("smhdwy"), opt(char('s'))).parse(input)?;
    while let (after, Some(_)) = opt(take_while1(|c: char| c.is_ascii_digit())).parse(rest)? {
        // Years come first if at all.
        (rest, _) = (one_of("smhdw"), opt(char('s'))).parse(after)?;
    }
    match rest.chars().next() {
        Some(c) if is_word_char(c) => stop(&rest[1..]),
        _ => Ok((rest, ())),
    }
}

/// The value of a number token: an integer in Go's notation if it is one, else a float.
pub(crate) fn number_value(text: &str) -> Result<f64, String> {
    if let Some(integer) = go_integer(text) {
        return Ok(integer as f64);
    }
    let failed =
        |why: &str| Err(format!("error parsing number: strconv.ParseFloat: parsing {}: {why}", quoted(text)));
    match text.to_ascii_lowercase().as_str() {
        "inf" => return Ok(f64::INFINITY),
        "nan" => return Ok(f64::from_bits(GO_NAN_BITS)),
        // Hexadecimal floats would need an exponent, which the scanner doesn't take in.
        lower if lower.contains('x') => return failed("invalid syntax"),
        _ => {}
    }
    if has_misplaced_underscore(text) {
        return failed("invalid syntax");
    }
    match text.replace('_', "").parse::<f64>() {
        Ok(value) if value.is_infinite() => failed("value out of range"),
        Ok(value) => Ok(value),
        Err(_) => failed("invalid syntax"),
    }
}

/// Whether an underscore isn't between two digits.
fn has_misplaced_underscore(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let between_digits = |at: usize| is_digit(at.checked_sub(1)) && is_digit(at.checked_add(1));
    (0..bytes.len()).any(|at| bytes[at] == b'_' && !between_digits(at))
}

/// The NaN that a literal `NaN` stands for.
const GO_NAN_BITS: u64 = model::value::NORMAL_NAN_BITS;

/// An integer as Go's `strconv.ParseInt` with base 0 reads it: `0x` for hexadecimal, a leading `0` for octal, an
/// underscore between digits or after the prefix.
fn go_integer(text: &str) -> Option<i64> {
    let prefix = alt((
        value(16, alt((tag("0x"), tag("0X")))),
        value(8, recognize(pair(char('0'), peek(not(nom::combinator::eof))))),
        value(10, tag("")),
    ));
    let mut prefix = prefix;
    let (digits, radix): (&str, u32) =
        Parser::<&str>::parse(&mut prefix, text).map_err(|_: nom::Err<Error<&str>>| ()).ok()?;
    let digit = |c: char| c.is_digit(radix);
    let groups = pair(take_while1(digit), many0_count(pair(char('_'), take_while1(digit))));
    let mut whole = (opt(char('_')), groups);
    let (rest, (underscore, _)) =
        Parser::<&str>::parse(&mut whole, digits).map_err(|_: nom::Err<Error<&str>>| ()).ok()?;
    if !rest.is_empty() || (underscore.is_some() && radix == 10) {
        return None;
    }
    i64::from_str_radix(&digits.replace('_', ""), radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, value) in [
            ("0", 0.0),
            ("1", 1.0),
            ("017", 15.0),
            ("08", 8.0),
            ("0x1F", 31.0),
            ("0X_1f", 31.0),
            ("1_000", 1000.0),
            ("0_17", 15.0),
            ("1.5", 1.5),
            ("1_000.5", 1000.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1.5e-3", 0.0015),
            ("9223372036854775808", 9223372036854775808.0),
            ("Inf", f64::INFINITY),
        ] {
            assert_eq!(number_value(text), Ok(value), "{text}");
        }
        assert!(number_value("NaN").is_ok_and(f64::is_nan));
        for (text, why) in [
            ("0x", "invalid syntax"),
            ("1e400", "value out of range"),
            ("0.5.5", "invalid syntax"),
            ("0.1_", "invalid syntax"),
            ("0._1", "invalid syntax"),
            ("1e400_", "invalid syntax"),
            ("0xFFFFFFFFFFFFFFFFF", "invalid syntax"),
        ] {
            let message = format!("error parsing number: strconv.ParseFloat: parsing \"{text}\": {why}");
            assert_eq!(number_value(text), Err(message));
        }
    }

    #[test]
    fn scanners_stop_where_the_text_is_wrong() {
        let scanned = |text: &'static str| match number_or_duration(text) {
            Ok((rest, kind)) => (&text[..text.len() - rest.len()], Some(kind)),
            Err(nom::Err::Error(error)) => (&text[..text.len() - error.input.len()], None),
            Err(other) => panic!("{other}"),
        };
        for (text, taken, kind) in [
            ("5m", "5m", Some(NumberToken::Duration)),
            ("5m ", "5m", Some(NumberToken::Duration)),
            ("1y2w3d4h5m6s7ms", "1y2w3d4h5m6s7ms", Some(NumberToken::Duration)),
            ("5)", "5", Some(NumberToken::Number)),
            ("0x1f+", "0x1f", Some(NumberToken::Number)),
            ("5x", "5", None),
            ("5mx", "5mx", None),
            ("0x0.1", "0x0.", None),
            ("5m5", "5m5", None),
            ("1.2.3", "1.2.", None),
            ("1e", "1e", None),
            ("1_", "1_", None),
            ("1__0", "1__", None),
        ] {
            assert_eq!(scanned(text), (taken, kind), "{text}");
        }
    }
}
