//! Fields and methods of values: `$labels.job`, `.Value`, `(toTime $value).Format "15:04"`.

use std::rc::Rc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::value::{Value, duration_text};

/// What `.name` of a value is, called with `args` if it is a method.
pub(crate) fn field(value: &Value, name: &str, args: &[Value]) -> Result<Value, String> {
    if let Value::Time(time) = value {
        return time_method(*time, name, args);
    }
    let found = match value {
        Value::Nil => return Err(format!("nil pointer evaluating interface {{}}.{name}")),
        Value::Labels(map) => Some(Value::str(map.get(name).map_or("", String::as_str))),
        Value::Map(map) => Some(map.get(name).cloned().unwrap_or(Value::Nil)),
        Value::Struct(map) => map.get(name).cloned(),
        Value::Sample(sample) => match name {
            "Labels" => Some(Value::Labels(Rc::clone(&sample.labels))),
            "Value" => Some(Value::Float(sample.value)),
            _ => None,
        },
        Value::Duration(nanos) => duration_method(*nanos, name),
        _ => None,
    };
    match found {
        None => Err(format!("can't evaluate field {name} in type {}", value.type_name())),
        Some(_) if !args.is_empty() => Err(format!("{name} is not a method but has arguments")),
        Some(found) => Ok(found),
    }
}

fn duration_method(nanos: i64, name: &str) -> Option<Value> {
    let seconds = nanos as f64 / 1e9;
    Some(match name {
        "Hours" => Value::Float(seconds / 3600.0),
        "Minutes" => Value::Float(seconds / 60.0),
        "Seconds" => Value::Float(seconds),
        "Milliseconds" => Value::Int(nanos / 1_000_000),
        "String" => Value::str(duration_text(nanos)),
        _ => return None,
    })
}

fn time_method(time: Timestamp, name: &str, args: &[Value]) -> Result<Value, String> {
    let civil = time.to_zoned(TimeZone::UTC);
    match (name, args) {
        ("Format", [Value::Str(layout)]) => Ok(Value::str(civil.strftime(&strftime_of(layout)).to_string())),
        ("Format", [other]) => {
            Err(format!("wrong type for value; expected string; got {}", other.type_name()))
        }
        ("Format", _) => Err(format!("wrong number of args for Format: want 1 got {}", args.len())),
        (_, [_, ..]) => Err(format!("wrong number of args for {name}: want 0 got {}", args.len())),
        ("Unix", []) => Ok(Value::Int(time.as_second())),
        ("UnixMilli", []) => Ok(Value::Int(time.as_millisecond())),
        ("Year", []) => Ok(Value::Int(civil.year().into())),
        ("Month", []) => Ok(Value::str(civil.strftime("%B").to_string())),
        ("Day", []) => Ok(Value::Int(civil.day().into())),
        ("YearDay", []) => Ok(Value::Int(civil.day_of_year().into())),
        ("Weekday", []) => Ok(Value::str(civil.strftime("%A").to_string())),
        ("Hour", []) => Ok(Value::Int(civil.hour().into())),
        ("Minute", []) => Ok(Value::Int(civil.minute().into())),
        ("Second", []) => Ok(Value::Int(civil.second().into())),
        ("String", []) => Ok(Value::str(Value::Time(time).to_string())),
        ("UTC", []) => Ok(Value::Time(time)),
        _ => Err(format!("can't evaluate field {name} in type *time.Time")),
    }
}

/// The parts of Go's reference time, longer ones before their beginnings, and what they are elsewhere.
const LAYOUT_PARTS: [(&str, &str); 29] = [
    ("January", "%B"),
    ("Jan", "%b"),
    ("Monday", "%A"),
    ("Mon", "%a"),
    ("MST", "%Z"),
    ("2006", "%Y"),
    ("-07:00", "%:z"),
    ("-0700", "%z"),
    ("Z07:00", "Z"),
    (".000000000", "%.9f"),
    (".000000", "%.6f"),
    (".000", "%.3f"),
    ("002", "%j"),
    ("01", "%m"),
    ("02", "%d"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("06", "%y"),
    ("15", "%H"),
    ("_2", "%e"),
    ("PM", "%p"),
    ("pm", "%P"),
    ("1", "%-m"),
    ("2", "%-d"),
    ("3", "%-I"),
    ("4", "%-M"),
    ("5", "%-S"),
    ("%", "%%"),
];

/// Turns a layout of Go (`2006-01-02 15:04:05`) into one of `strftime`.
fn strftime_of(layout: &str) -> String {
    let mut format = String::with_capacity(layout.len());
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        match LAYOUT_PARTS.iter().find(|(part, _)| rest.starts_with(part)) {
            Some((part, directive)) => {
                format.push_str(directive);
                rest = &rest[part.len()..];
            }
            None => {
                format.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    format
}
