//! Go's `fmt.Sprintf`, for the verbs and types that templates have.

use std::fmt::Write;

use model::float_text;

use super::value::Value;

/// The widest field and the highest precision that are honoured; Go's own bound.
const WIDTH_MAX: usize = 1_000_000;

/// Formats the arguments. Mistakes show in the text, as in Go: `%!d(string=a)`, `%!d(MISSING)`.
pub(crate) fn format(format: &str, args: &[Value]) -> String {
    let mut out = String::with_capacity(format.len());
    let mut args = args.iter();
    let mut rest = format;
    while let Some(percent) = rest.find('%') {
        out.push_str(&rest[..percent]);
        rest = &rest[percent + 1..];
        let (spec, after) = Spec::parse(rest, &mut args, &mut out);
        rest = after;
        let Some(verb) = rest.chars().next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        rest = &rest[verb.len_utf8()..];
        match verb {
            '%' => out.push('%'),
            verb => match args.next() {
                None => {
                    let _ = write!(out, "%!{verb}(MISSING)");
                }
                Some(value) => spec.push(&mut out, verb, value),
            },
        }
    }
    out.push_str(rest);
    let extra: Vec<String> = args.map(|value| format!("{}={value}", value.type_name())).collect();
    if !extra.is_empty() {
        let _ = write!(out, "%!(EXTRA {})", extra.join(", "));
    }
    out
}

/// What stands between `%` and the verb.
#[derive(Default)]
struct Spec {
    minus: bool,
    plus: bool,
    space: bool,
    zero: bool,
    sharp: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

impl Spec {
    fn parse<'a>(text: &'a str, args: &mut std::slice::Iter<'_, Value>, out: &mut String) -> (Spec, &'a str) {
        let mut spec = Spec::default();
        let flags = text.find(|c| !matches!(c, '-' | '+' | ' ' | '0' | '#')).unwrap_or(text.len());
        for flag in text[..flags].chars() {
            match flag {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                ' ' => spec.space = true,
                '0' => spec.zero = true,
                _ => spec.sharp = true,
            }
        }
        let (width, rest) = size(&text[flags..], args, out, "%!(BADWIDTH)");
        spec.width = width.map(|width| {
            spec.minus |= width < 0;
            width.unsigned_abs() as usize
        });
        let mut rest = rest;
        if let Some(after) = rest.strip_prefix('.') {
            let (precision, after) = size(after, args, out, "%!(BADPREC)");
            spec.precision = Some(precision.map_or(0, |p| p.max(0) as usize));
            rest = after;
        }
        (spec, rest)
    }

    fn push(&self, out: &mut String, verb: char, value: &Value) {
        let body = match (verb, value) {
            ('v' | 's', Value::Str(text)) => self.cut(text),
            ('v' | 's', Value::Duration(_) | Value::Time(_) | Value::Histogram(_)) => value.to_string(),
            ('v', Value::Nil) => "<nil>".into(),
            ('v', Value::Float(number)) => self.float('g', *number),
            ('v' | 'd', Value::Int(number)) => self.integer(number.unsigned_abs().to_string(), *number < 0),
            ('d', Value::Duration(nanos)) => self.integer(nanos.unsigned_abs().to_string(), *nanos < 0),
            ('v' | 't', Value::Bool(value)) => value.to_string(),
            ('v', other) => other.to_string(),
            ('q', Value::Str(text)) => {
                let mut quoted = String::new();
                let _ = model::labels::write_quoted(&mut quoted, &self.cut(text));
                quoted
            }
            ('q', Value::Int(code)) => format!("'{}'", to_char(*code)),
            ('c', Value::Int(code)) => to_char(*code).to_string(),
            ('U', Value::Int(code)) => format!("U+{code:04X}"),
            ('b', Value::Int(number)) => self.integer(format!("{:b}", number.unsigned_abs()), *number < 0),
            ('o', Value::Int(number)) => self.integer(format!("{:o}", number.unsigned_abs()), *number < 0),
            ('x', Value::Int(number)) => self.integer(format!("{:x}", number.unsigned_abs()), *number < 0),
            ('X', Value::Int(number)) => self.integer(format!("{:X}", number.unsigned_abs()), *number < 0),
            ('x', Value::Str(text)) => {
                text.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
            }
            ('X', Value::Str(text)) => {
                text.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02X}"))
            }
            ('e' | 'E' | 'f' | 'F' | 'g' | 'G', Value::Float(number)) => self.float(verb, *number),
            ('T', other) => other.type_name().to_owned(),
            (verb, Value::Nil) => format!("%!{verb}(<nil>)"),
            (verb, other) => format!("%!{verb}({}={other})", other.type_name()),
        };
        let is_number = matches!(value, Value::Int(_) | Value::Float(_) | Value::Duration(_));
        self.pad(out, &body, is_number);
    }

    fn cut(&self, text: &str) -> String {
        text.chars().take(self.precision.unwrap_or(usize::MAX)).collect()
    }

    fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            (false, false, false) => "",
        }
    }

    fn integer(&self, digits: String, negative: bool) -> String {
        let zeros = self.precision.unwrap_or(0).min(WIDTH_MAX).saturating_sub(digits.len());
        format!("{}{}{digits}", self.sign(negative), "0".repeat(zeros))
    }

    fn float(&self, verb: char, number: f64) -> String {
        if !number.is_finite() {
            return float_text::general(number);
        }
        let magnitude = number.abs();
        let digits = match (verb.to_ascii_lowercase(), self.precision) {
            ('f', precision) => format!("{magnitude:.*}", precision.unwrap_or(6)),
            ('e', precision) => exponent(magnitude, precision.unwrap_or(6)),
            (_, None) => float_text::general(magnitude),
            (_, Some(precision)) => significant(magnitude, precision),
        };
        let digits = if verb.is_ascii_uppercase() { digits.to_uppercase() } else { digits };
        format!("{}{digits}", self.sign(number.is_sign_negative()))
    }

    fn pad(&self, out: &mut String, body: &str, is_number: bool) {
        let missing = self.width.unwrap_or(0).min(WIDTH_MAX).saturating_sub(body.chars().count());
        if self.minus {
            out.push_str(body);
            out.extend(std::iter::repeat_n(' ', missing));
        } else if self.zero && is_number {
            let sign = body.len() - body.trim_start_matches(['-', '+', ' ']).len();
            out.push_str(&body[..sign]);
            out.extend(std::iter::repeat_n('0', missing));
            out.push_str(&body[sign..]);
        } else {
            out.extend(std::iter::repeat_n(' ', missing));
            out.push_str(body);
        }
    }
}

/// A width or precision: digits, or `*` for the next argument.
fn size<'a>(
    text: &'a str,
    args: &mut std::slice::Iter<'_, Value>,
    out: &mut String,
    complaint: &str,
) -> (Option<i64>, &'a str) {
    if let Some(rest) = text.strip_prefix('*') {
        return match args.next() {
            Some(Value::Int(size)) if size.unsigned_abs() <= WIDTH_MAX as u64 => (Some(*size), rest),
            _ => {
                out.push_str(complaint);
                (None, rest)
            }
        };
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let size = text[..digits].parse::<i64>().ok().map(|size| size.min(WIDTH_MAX as i64));
    (size, &text[digits..])
}

fn to_char(code: i64) -> char {
    u32::try_from(code).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// `1.50e+01`: Go's exponents have a sign and at least two digits.
fn exponent(magnitude: f64, precision: usize) -> String {
    let text = format!("{magnitude:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// `%.4g`: so many significant digits, without trailing zeros, with an exponent where that is shorter.
pub(crate) fn significant(magnitude: f64, precision: usize) -> String {
    let precision = precision.max(1);
    let text = exponent(magnitude, precision - 1);
    let (mantissa, tail) = text.split_once('e').unwrap_or((&text, "+00"));
    let power: i32 = tail.parse().unwrap_or(0);
    let without_zeros = |digits: &str| match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    };
    if power < -4 || power >= precision as i32 {
        return format!("{}e{tail}", without_zeros(mantissa));
    }
    let decimals = (precision as i32 - 1 - power).max(0) as usize;
    without_zeros(&format!("{magnitude:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_print_as_in_go() {
        for (pattern, args, text) in [
            ("%.2f%%", vec![Value::Float(12.345)], "12.35%"),
            ("%d items", vec![Value::Int(3)], "3 items"),
            (
                "%5.1f|%-6s|%06.2f",
                vec![Value::Float(1.25), Value::str("ab"), Value::Float(-1.5)],
                "  1.2|ab    |-01.50",
            ),
            ("%v %v", vec![Value::Float(1e6), Value::Float(0.5)], "1e+06 0.5"),
            ("%q", vec![Value::str("a\"b")], "\"a\\\"b\""),
            ("%d", vec![Value::Float(1.5)], "%!d(float64=1.5)"),
            ("%d %d", vec![Value::Int(1)], "1 %!d(MISSING)"),
            ("%d", vec![Value::Int(1), Value::str("x")], "1%!(EXTRA string=x)"),
            ("%.4g", vec![Value::Float(123456.0)], "1.235e+05"),
            ("%.4g", vec![Value::Float(0.1)], "0.1"),
            ("%.3e", vec![Value::Float(1500.0)], "1.500e+03"),
            (
                "%x %X %o %b",
                vec![Value::Int(255), Value::Int(255), Value::Int(8), Value::Int(5)],
                "ff FF 10 101",
            ),
            ("%t %s", vec![Value::Bool(true), Value::Duration(90_000_000_000)], "true 1m30s"),
            ("%*d", vec![Value::Int(4), Value::Int(7)], "   7"),
            ("100%", vec![], "100%!(NOVERB)"),
            ("%.1f", vec![Value::Float(f64::INFINITY)], "+Inf"),
        ] {
            assert_eq!(format(pattern, &args), text, "{pattern}");
        }
    }
}
