//! The functions that Prometheus adds to the template language (its `template/template.go`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use jiff::Timestamp;

use super::builtins::{escape_query, exactly, wrong_type};
use super::exec::Functions;
use super::printf::significant;
use super::value::{Sample, Value, time_text};
use super::{Environment, QuerySource};

/// Their names.
pub(crate) const NAMES: [&str; 31] = [
    "args",
    "externalURL",
    "first",
    "graphLink",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "label",
    "match",
    "now",
    "parseDuration",
    "pathPrefix",
    "query",
    "reReplaceAll",
    "safeHtml",
    "sortByLabel",
    "stripDomain",
    "stripPort",
    "strvalue",
    "tableLink",
    "title",
    "toDuration",
    "toLower",
    "toTime",
    "toUpper",
    "tmpl",
    "urlQueryEscape",
    "value",
    "call",
];

/// The functions of one expansion.
pub(crate) struct Library<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) queries: &'a dyn QuerySource,
}

impl Functions for Library<'_> {
    fn call(&self, name: &str, args: &[Value]) -> Result<Value, String> {
        match name {
            "args" => return Ok(args_map(args)),
            "reReplaceAll" => return re_replace_all(args),
            "match" => return re_match(args),
            "label" => return label(args),
            "sortByLabel" => return sort_by_label(args),
            "now" => {
                exactly(name, args, 0)?;
                return Ok(Value::Float(self.environment.timestamp_ms as f64 / 1000.0));
            }
            "externalURL" | "pathPrefix" => {
                exactly(name, args, 0)?;
                let url = &self.environment.external_url;
                return Ok(Value::str(if name == "externalURL" { url.as_str() } else { path_of(url) }));
            }
            "tmpl" | "call" => return Err(format!("{name} is only for console templates")),
            _ => {}
        }
        exactly(name, args, 1)?;
        self.call_with_one(name, &args[0])
    }
}

impl Library<'_> {
    fn call_with_one(&self, name: &str, arg: &Value) -> Result<Value, String> {
        Ok(match name {
            "query" => {
                let samples = self.queries.query(text(arg)?, self.environment.timestamp_ms)?;
                let samples = samples.into_iter().map(|(labels, value)| Sample {
                    labels: Rc::new(labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect()),
                    value,
                });
                Value::Samples(Rc::new(samples.collect()))
            }
            "first" => match samples(arg)?.first() {
                Some(sample) => Value::Sample(Rc::new(sample.clone())),
                None => return Err("first() called on vector with no elements".into()),
            },
            "value" => Value::Float(sample(arg)?.value),
            "strvalue" => Value::str(sample(arg)?.labels.get("__value__").map_or("", String::as_str)),
            "safeHtml" => Value::str(text(arg)?),
            "title" => Value::str(title(text(arg)?)),
            "toUpper" => Value::str(text(arg)?.to_uppercase()),
            "toLower" => Value::str(text(arg)?.to_lowercase()),
            "graphLink" => Value::str(format!("/graph?g0.expr={}&g0.tab=0", escape_query(text(arg)?))),
            "tableLink" => Value::str(format!("/graph?g0.expr={}&g0.tab=1", escape_query(text(arg)?))),
            "urlQueryEscape" => Value::str(escape_query(text(arg)?)),
            "stripPort" => Value::str(split_port(text(arg)?).0),
            "stripDomain" => Value::str(strip_domain(text(arg)?)),
            "parseDuration" => Value::Float(parse_duration(text(arg)?)?),
            "humanize" => Value::str(humanize(number(arg)?)),
            "humanize1024" => Value::str(humanize_1024(number(arg)?)),
            "humanizeDuration" => Value::str(humanize_duration(number(arg)?)),
            "humanizePercentage" => Value::str(format!("{}%", four_digits(number(arg)? * 100.0))),
            "humanizeTimestamp" => match number(arg)? {
                seconds if seconds.is_finite() => Value::str(time_text(to_time(seconds)?)),
                seconds => Value::str(four_digits(seconds)),
            },
            "toTime" => Value::Time(to_time(number(arg)?)?),
            "toDuration" => Value::Duration((number(arg)? * 1e9) as i64),
            other => return Err(format!("function {other:?} not defined")),
        })
    }
}

/// The path of a URL without a slash at its end.
fn path_of(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |i| i + 3);
    match url[after_scheme..].find('/') {
        Some(i) => url[after_scheme + i..].trim_end_matches('/'),
        None => "",
    }
}

fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::Str(text) => Ok(text),
        other => Err(wrong_type("string", other)),
    }
}

fn samples(value: &Value) -> Result<&[Sample], String> {
    match value {
        Value::Samples(samples) => Ok(samples),
        other => Err(wrong_type("template.queryResult", other)),
    }
}

fn sample(value: &Value) -> Result<&Sample, String> {
    match value {
        Value::Sample(sample) => Ok(sample),
        other => Err(wrong_type("*template.sample", other)),
    }
}

fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(number) => Ok(*number),
        Value::Int(number) => Ok(*number as f64),
        Value::Duration(nanos) => Ok(*nanos as f64 / 1e9),
        Value::Str(text) => {
            parse_float(text).ok_or_else(|| format!("strconv.ParseFloat: parsing {text:?}: invalid syntax"))
        }
        other => Err(format!("can't convert {} to float", other.type_name())),
    }
}

fn parse_float(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let is_word = matches!(unsigned.to_ascii_lowercase().as_str(), "inf" | "infinity" | "nan");
    let looks_like_one = is_word || unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    text.parse().ok().filter(|_| looks_like_one)
}

fn args_map(args: &[Value]) -> Value {
    let named = args.iter().enumerate().map(|(i, arg)| (format!("arg{i}"), arg.clone()));
    Value::Map(Rc::new(named.collect::<BTreeMap<_, _>>()))
}

fn regex(pattern: &str) -> Result<regex::Regex, String> {
    regex::Regex::new(pattern).map_err(|error| error.to_string())
}

fn re_replace_all(args: &[Value]) -> Result<Value, String> {
    exactly("reReplaceAll", args, 3)?;
    let (pattern, replacement, subject) = (text(&args[0])?, text(&args[1])?, text(&args[2])?);
    Ok(Value::str(regex(pattern)?.replace_all(subject, replacement).into_owned()))
}

fn re_match(args: &[Value]) -> Result<Value, String> {
    exactly("match", args, 2)?;
    Ok(Value::Bool(regex(text(&args[0])?)?.is_match(text(&args[1])?)))
}

fn label(args: &[Value]) -> Result<Value, String> {
    exactly("label", args, 2)?;
    let name = text(&args[0])?;
    Ok(Value::str(sample(&args[1])?.labels.get(name).map_or("", String::as_str)))
}

fn sort_by_label(args: &[Value]) -> Result<Value, String> {
    exactly("sortByLabel", args, 2)?;
    let name = text(&args[0])?;
    let mut sorted = samples(&args[1])?.to_vec();
    sorted.sort_by(|a, b| a.labels.get(name).cmp(&b.labels.get(name)));
    Ok(Value::Samples(Rc::new(sorted)))
}

/// The first letter of each word in upper case, the others as they are.
fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut in_word = false;
    for c in text.chars() {
        if in_word {
            titled.push(c)
        } else {
            titled.extend(c.to_uppercase())
        }
        in_word = c.is_alphanumeric() || c == '_' || c == '\'';
    }
    titled
}

/// Host and port of `host:port`; the whole and `""` if there is no port.
fn split_port(address: &str) -> (&str, &str) {
    let Some((host, port)) = address.rsplit_once(':') else { return (address, "") };
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(bare) => (bare, port),
        None if host.contains(':') => (address, ""),
        None => (host, port),
    }
}

fn strip_domain(address: &str) -> String {
    let (host, port) = split_port(address);
    if host.parse::<IpAddr>().is_ok() {
        return address.to_owned();
    }
    let name = host.split('.').next().unwrap_or(host);
    if port.is_empty() { name.to_owned() } else { format!("{name}:{port}") }
}

/// Seconds of a duration, which may have a sign here.
fn parse_duration(text: &str) -> Result<f64, String> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    let millis = model::duration::parse_ms(unsigned).map_err(|error| error.to_string())?;
    Ok(sign * millis as f64 / 1000.0)
}

fn to_time(seconds: f64) -> Result<Timestamp, String> {
    let nanos = (seconds * 1e9) as i128;
    Timestamp::from_nanosecond(nanos).map_err(|_| {
        format!("{seconds} cannot be represented as a nanoseconds timestamp since it overflows int64")
    })
}

/// `%.4g`
fn four_digits(value: f64) -> String {
    if !value.is_finite() {
        return model::float_text::general(value);
    }
    format!("{}{}", if value.is_sign_negative() { "-" } else { "" }, significant(value.abs(), 4))
}

const LARGE_PREFIXES: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const SMALL_PREFIXES: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];
const BINARY_PREFIXES: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];

fn scaled_down(mut value: f64, base: f64, prefixes: &[&'static str]) -> (f64, &'static str) {
    let mut prefix = "";
    for next in prefixes {
        if value.abs() < base {
            break;
        }
        (value, prefix) = (value / base, next);
    }
    (value, prefix)
}

fn scaled_up(mut value: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for next in SMALL_PREFIXES {
        if value.abs() >= 1.0 {
            break;
        }
        (value, prefix) = (value * 1000.0, next);
    }
    (value, prefix)
}

fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return four_digits(value);
    }
    let (value, prefix) =
        if value.abs() >= 1.0 { scaled_down(value, 1000.0, &LARGE_PREFIXES) } else { scaled_up(value) };
    four_digits(value) + prefix
}

fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return four_digits(value);
    }
    let (value, prefix) = scaled_down(value, 1024.0, &BINARY_PREFIXES);
    four_digits(value) + prefix
}

fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return four_digits(value);
    }
    if value == 0.0 {
        return four_digits(value) + "s";
    }
    if value.abs() < 1.0 {
        let (value, prefix) = scaled_up(value);
        return format!("{}{prefix}s", four_digits(value));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let whole = value.abs() as i64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", four_digits(value.abs())),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, ..) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}
