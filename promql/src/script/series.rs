//! Series as tests write them: a metric and its values, one for each interval.
//!
//! ```text
//! http_requests_total{job="a"} 0+10x3 _ 5 stale {{schema:0 count:3 sum:5 buckets:[1 2]}}x2
//!
//! 5        one value                    _        no value
//! 5x3      four times 5                 _x3      no value three times
//! 1+2x3    1 3 5 7                      stale    a staleness marker
//! {{…}}    a histogram; {{…}}x3 and {{…}}+{{…}}x3 likewise
//! ```
//!
//! A line with start timestamps has `@st` after the metric, and durations relative to each sample's time in
//! place of values: `http_requests_total@st -30s-1mx2 _`.

use model::duration::parse_ms;
use model::histogram::FloatHistogram;
use model::labels::Labels;
use model::value::STALE_NAN;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take_while, take_while1};
use nom::character::complete::{digit1, one_of};
use nom::combinator::{opt, recognize};
use nom::error::Error;
use nom::sequence::pair;

use super::histogram::histogram;
use crate::ast::Span;
use crate::parse::number::number_value;
use crate::parse::{ParseError, parse_metric};

/// Values that one line may stand for.
const SEQUENCE_LEN_MAX: usize = 10_000_000;

/// A value of a series, at its place in the sequence.
#[derive(Clone, Debug, PartialEq)]
pub enum SequenceValue {
    /// None.
    Omitted,
    /// A float, perhaps the staleness marker.
    Float(f64),
    /// A histogram.
    Histogram {
        /// The histogram.
        histogram: FloatHistogram,
        /// Whether its counter-reset hint was written, so that it is compared.
        hint_is_written: bool,
    },
}

/// Parses a metric and its values.
///
/// # Errors
///
/// The first place where the text is none.
pub fn parse_series(text: &str) -> Result<(Labels, Vec<SequenceValue>), ParseError> {
    let (metric, values) = text.split_at(metric_len(text));
    let labels = parse_metric(metric)?;
    let values = sequence(values).map_err(|fault| fault.in_text(text))?;
    Ok((labels, values))
}

/// A metric, and how far the start timestamp of each of its samples lies from the sample, in milliseconds.
pub(super) type StartTimestamps = (Labels, Vec<Option<i64>>);

/// Parses a line of start timestamps, if it is one.
pub(super) fn parse_start_timestamps(text: &str) -> Option<Result<StartTimestamps, ParseError>> {
    let (metric, offsets) = text.split_once([' ', '\t'])?;
    let metric = metric.strip_suffix("@st")?;
    let parsed = parse_metric(metric).and_then(|labels| {
        let offsets = start_offsets(offsets).map_err(|fault| fault.in_text(text))?;
        Ok((labels, offsets))
    });
    Some(parsed)
}

/// Bytes of the metric that the line begins with: up to the closing brace, or to a space before any brace.
fn metric_len(text: &str) -> usize {
    let mut in_braces = false;
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some('"' | '\''), '\\') => drop(chars.next()),
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') if in_braces => quote = Some(c),
            (None, '{') => in_braces = true,
            (None, '}') => return at + 1,
            (None, ' ' | '\t') if !in_braces => return at,
            (None, _) => {}
        }
    }
    text.len()
}

// ---------------------------------------------------------------------------------------------- values

/// Something in a sequence that is no value; `rest` is the text from there on.
#[derive(Debug)]
pub(super) struct Fault<'a> {
    pub(super) rest: &'a str,
    pub(super) message: String,
}

impl<'a> Fault<'a> {
    pub(super) fn new(rest: &'a str, message: impl Into<String>) -> Self {
        Fault { rest, message: message.into() }
    }

    fn unexpected(rest: &'a str, expected: &str) -> Self {
        let word = rest.split([' ', '\t']).next().unwrap_or_default();
        let what = if word.is_empty() { "end of input".to_owned() } else { format!("{word:?}") };
        Fault::new(rest, format!("unexpected {what} in series values{expected}"))
    }

    fn in_text(self, text: &str) -> ParseError {
        let span = Span { start: text.len() - self.rest.len(), end: text.len() };
        ParseError::new(text, span, self.message)
    }
}

/// What a rule found and what follows it, or what is wrong.
pub(super) type Found<'a, T> = Result<(&'a str, T), Fault<'a>>;

fn sequence(text: &str) -> Result<Vec<SequenceValue>, Fault<'_>> {
    let mut values = Vec::new();
    let mut rest = skip_spaces(text);
    while !rest.is_empty() {
        let item = rest;
        rest = push_item(item, &mut values)?;
        if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
            return Err(Fault::unexpected(rest, ""));
        }
        if values.len() > SEQUENCE_LEN_MAX {
            return Err(Fault::new(item, TOO_MANY_VALUES));
        }
        rest = skip_spaces(rest);
    }
    Ok(values)
}

const TOO_MANY_VALUES: &str = "more than 10000000 values in a series";

/// Appends the values that an item stands for and returns what follows it.
fn push_item<'a>(text: &'a str, values: &mut Vec<SequenceValue>) -> Result<&'a str, Fault<'a>> {
    if let Some(rest) = text.strip_prefix('_') {
        let (rest, times) = repetition(rest)?;
        values.extend(std::iter::repeat_n(SequenceValue::Omitted, times.unwrap_or(1)));
        return Ok(rest);
    }
    if text.starts_with("{{") {
        return push_histograms(text, values);
    }
    if let Some(rest) = text.strip_prefix("stale") {
        values.push(SequenceValue::Float(STALE_NAN));
        return Ok(rest);
    }
    push_floats(text, values)
}

fn push_floats<'a>(text: &'a str, values: &mut Vec<SequenceValue>) -> Result<&'a str, Fault<'a>> {
    let (rest, mut value) = number(text)?;
    let (rest, step) = match rest.starts_with(['+', '-']) {
        true => number(rest).map(|(rest, step)| (rest, Some(step)))?,
        false => (rest, None),
    };
    let (rest, times) = repetition(rest)?;
    match (step, times) {
        (None, None) => values.push(SequenceValue::Float(value)),
        (Some(_), None) => return Err(Fault::unexpected(rest, "")),
        (step, Some(times)) => {
            // One more than it says: the value at the first interval isn't counted.
            for _ in 0..=times {
                values.push(SequenceValue::Float(value));
                value += step.unwrap_or(0.0);
            }
        }
    }
    Ok(rest)
}

fn push_histograms<'a>(text: &'a str, values: &mut Vec<SequenceValue>) -> Result<&'a str, Fault<'a>> {
    let (rest, (first, mut hint_is_written)) = histogram(text)?;
    let mut step = None;
    let mut rest = rest;
    if rest.starts_with(['+', '-']) {
        let (after, (histogram, written)) = histogram(&rest[1..])?;
        step = Some((rest.starts_with('-'), histogram));
        hint_is_written = written;
        rest = after;
    }
    let (rest, times) = repetition(rest)?;
    if step.is_some() && times.is_none() {
        return Err(Fault::unexpected(rest, ""));
    }
    let mut current = first;
    for i in 0..=times.unwrap_or(0) {
        if i > 0
            && let Some((subtract, step)) = &step
        {
            current = combined(&current, step, *subtract).map_err(|message| Fault::new(text, message))?;
        }
        values.push(SequenceValue::Histogram { histogram: current.clone(), hint_is_written });
    }
    Ok(rest)
}

fn combined(
    current: &FloatHistogram,
    step: &FloatHistogram,
    subtract: bool,
) -> Result<FloatHistogram, String> {
    if current.schema > step.schema {
        let (from, to) = (step.schema, current.schema);
        return Err(format!("error combining histograms: cannot merge from schema {from} to {to}"));
    }
    let mut next = current.clone();
    let combined = if subtract { next.sub(step) } else { next.add(step) };
    combined.map(|_| next).map_err(|error| error.to_string())
}

/// `xN`, if it is there.
fn repetition(text: &str) -> Found<'_, Option<usize>> {
    let Some(digits) = text.strip_prefix('x') else { return Ok((text, None)) };
    let (rest, count) = take_while::<_, _, Error<&str>>(|c: char| c.is_ascii_digit())
        .parse(digits)
        .map_err(|_| Fault::unexpected(digits, ""))?;
    match count.parse::<usize>() {
        Ok(count) if count < SEQUENCE_LEN_MAX => Ok((rest, Some(count))),
        Ok(_) => Err(Fault::new(text, TOO_MANY_VALUES)),
        Err(error) => Err(Fault::new(text, format!("invalid repetition in series values: {error}"))),
    }
}

/// A number with or without a sign.
pub(super) fn number(text: &str) -> Found<'_, f64> {
    let exponent = (one_of("eE"), opt(one_of("+-")), digit1);
    let digits = take_while1(|c: char| c.is_ascii_digit() || c == '_' || c == '.');
    let decimal = recognize(pair(digits, opt(exponent)));
    let word = alt((tag_no_case("inf"), tag_no_case("nan")));
    let mut signed = pair(opt(one_of("+-")), alt((decimal, word)));
    let parsed: nom::IResult<&str, (Option<char>, &str)> = signed.parse(text);
    let Ok((rest, (sign, digits))) = parsed else {
        return Err(Fault::unexpected(text, ", expected number or \"stale\""));
    };
    let value = number_value(digits).map_err(|message| Fault::new(text, message))?;
    let negated = if value.is_nan() { value } else { -value };
    Ok((rest, if sign == Some('-') { negated } else { value }))
}

pub(super) fn skip_spaces(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

// ---------------------------------------------------------------------------------------------- start timestamps

fn start_offsets(text: &str) -> Result<Vec<Option<i64>>, Fault<'_>> {
    let mut offsets = Vec::new();
    let mut rest = skip_spaces(text);
    while !rest.is_empty() {
        let item = rest;
        rest = push_offsets(item, &mut offsets)?;
        if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
            return Err(Fault::new(item, "invalid @st sequence"));
        }
        if offsets.len() > SEQUENCE_LEN_MAX {
            return Err(Fault::new(item, TOO_MANY_VALUES));
        }
        rest = skip_spaces(rest);
    }
    Ok(offsets)
}

/// Appends the offsets that an item stands for, in milliseconds, and returns what follows it.
fn push_offsets<'a>(text: &'a str, offsets: &mut Vec<Option<i64>>) -> Result<&'a str, Fault<'a>> {
    if let Some(rest) = text.strip_prefix('_') {
        let (rest, times) = repetition(rest)?;
        offsets.extend(std::iter::repeat_n(None, times.unwrap_or(1)));
        return Ok(rest);
    }
    let (rest, mut offset) = signed_duration(text)?;
    let (rest, step) = match rest.starts_with(['+', '-']) {
        true => signed_duration(rest)?,
        false => (rest, 0),
    };
    let (rest, times) = repetition(rest)?;
    for _ in 0..=times.unwrap_or(0) {
        offsets.push(Some(offset));
        offset += step;
    }
    Ok(rest)
}

/// A duration of one unit, with or without a sign, in milliseconds.
fn signed_duration(text: &str) -> Found<'_, i64> {
    let unit = alt((tag("ms"), tag("s"), tag("m"), tag("h"), tag("d"), tag("w"), tag("y")));
    let mut signed = pair(opt(one_of("+-")), recognize(pair(digit1, opt(unit))));
    let parsed: nom::IResult<&str, (Option<char>, &str)> = signed.parse(text);
    let Ok((rest, (sign, duration))) = parsed else {
        return Err(Fault::new(text, "expected a duration in @st sequence"));
    };
    let ms =
        parse_ms(duration).map_err(|error| Fault::new(text, format!("invalid @st sequence: {error}")))?;
    Ok((rest, if sign == Some('-') { -ms } else { ms }))
}

/// Takes the character, which must be next.
pub(super) fn expect<'a>(text: &'a str, wanted: char, context: &str) -> Result<&'a str, Fault<'a>> {
    text.strip_prefix(wanted).ok_or_else(|| Fault::new(text, format!("expected {wanted:?} in {context}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(text: &str) -> Vec<Option<f64>> {
        let (_, values) = parse_series(text).unwrap();
        let float = |value| match value {
            SequenceValue::Float(value) => Some(value),
            _ => None,
        };
        values.into_iter().map(float).collect()
    }

    #[test]
    fn notations_stand_for_their_values() {
        for (text, values) in [
            ("a", vec![]),
            ("a 1 2", vec![Some(1.0), Some(2.0)]),
            ("a 1x2 _x2 3", vec![Some(1.0), Some(1.0), Some(1.0), None, None, Some(3.0)]),
            ("a 0+10x2", vec![Some(0.0), Some(10.0), Some(20.0)]),
            ("a{b=\"}\"}  -1.5e1-0.5x1  _", vec![Some(-15.0), Some(-15.5), None]),
            ("{} Inf -Inf", vec![Some(f64::INFINITY), Some(f64::NEG_INFINITY)]),
        ] {
            assert_eq!(floats(text), values, "{text}");
        }
        let (labels, values) = parse_series("a{b=\"c\"} stale {{count:1}}").unwrap();
        assert_eq!(labels.as_metric().to_string(), "a{b=\"c\"}");
        assert!(matches!(values[0], SequenceValue::Float(value) if model::value::is_stale_nan(value)));
        assert!(matches!(values[1], SequenceValue::Histogram { hint_is_written: false, .. }));
    }

    #[test]
    fn start_timestamps_have_a_line_of_their_own() {
        let (_, offsets) = parse_start_timestamps("a@st _ -1mx1 -30s-1mx2 0").unwrap().unwrap();
        let ms = [None, Some(-60_000), Some(-60_000), Some(-30_000), Some(-90_000), Some(-150_000), Some(0)];
        assert_eq!(offsets, ms);
        assert!(parse_start_timestamps("a 1 2").is_none());
    }

    #[test]
    fn faults_have_their_place() {
        for (text, error) in [
            ("a 1 x", "1:5: parse error: unexpected \"x\" in series values, expected number or \"stale\""),
            ("a 1+2", "1:6: parse error: unexpected end of input in series values"),
            ("a{b} 1", "1:4: parse error: unexpected \"}\" in label set, expected \"=\""),
            ("a 1x99999999999", "1:4: parse error: more than 10000000 values in a series"),
        ] {
            assert_eq!(parse_series(text).unwrap_err().to_string(), error);
        }
    }
}
