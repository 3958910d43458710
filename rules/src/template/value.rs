//! Values that templates compute with.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use jiff::Timestamp;
use model::float_text;

/// A value, with the Go type that the reference gives it: messages and `printf` tell them apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// `nil`, or what isn't there.
    Nil,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i64),
    /// `float64`
    Float(f64),
    /// `string`
    Str(Rc<str>),
    /// `map[string]string`: labels. What isn't there reads as `""`.
    Labels(Rc<BTreeMap<String, String>>),
    /// `map[string]interface {}`: what `args` makes.
    Map(Rc<BTreeMap<String, Value>>),
    /// The data of the template: like a map, but asking for what it doesn't have is an error.
    Struct(Rc<BTreeMap<String, Value>>),
    /// `template.queryResult`
    Samples(Rc<Vec<Sample>>),
    /// `*template.sample`
    Sample(Rc<Sample>),
    /// `time.Time`
    Time(Timestamp),
    /// `time.Duration` in nanoseconds
    Duration(i64),
    /// A native histogram, which templates can only print.
    Histogram(Rc<str>),
}

/// One element of a query's result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Its labels, the metric name included.
    pub(crate) labels: Rc<BTreeMap<String, String>>,
    /// Its value.
    pub(crate) value: f64,
}

impl Value {
    pub(crate) fn str(text: impl Into<Rc<str>>) -> Self {
        Value::Str(text.into())
    }

    /// The type's name as Go's messages write it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Str(_) => "string",
            Value::Labels(_) => "map[string]string",
            Value::Map(_) => "map[string]interface {}",
            Value::Struct(_) => "struct",
            Value::Samples(_) => "template.queryResult",
            Value::Sample(_) => "*template.sample",
            Value::Time(_) => "*time.Time",
            Value::Duration(_) => "time.Duration",
            Value::Histogram(_) => "*histogram.FloatHistogram",
        }
    }

    /// Whether `if` takes the value for true: what isn't zero and isn't empty.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(value) => *value,
            Value::Int(value) | Value::Duration(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Str(text) => !text.is_empty(),
            Value::Labels(map) => !map.is_empty(),
            Value::Map(map) => !map.is_empty(),
            Value::Samples(samples) => !samples.is_empty(),
            Value::Sample(_) | Value::Time(_) | Value::Histogram(_) | Value::Struct(_) => true,
        }
    }
}

impl fmt::Display for Value {
    /// As Go's `%v`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("<no value>"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Float(value) => f.write_str(&float_text::general(*value)),
            Value::Str(text) | Value::Histogram(text) => f.write_str(text),
            Value::Labels(map) => write_map(f, map.iter()),
            Value::Map(map) | Value::Struct(map) => write_map(f, map.iter()),
            Value::Samples(samples) => {
                f.write_str("[")?;
                for (i, sample) in samples.iter().enumerate() {
                    if i > 0 {
                        f.write_str(" ")?;
                    }
                    write!(f, "{sample}")?;
                }
                f.write_str("]")
            }
            Value::Sample(sample) => write!(f, "{sample}"),
            Value::Time(time) => f.write_str(&time_text(*time)),
            Value::Duration(nanos) => f.write_str(&duration_text(*nanos)),
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("&{")?;
        write_map(f, self.labels.iter())?;
        write!(f, " {}}}", float_text::general(self.value))
    }
}

fn write_map<'a, V: fmt::Display + 'a>(
    f: &mut fmt::Formatter<'_>,
    pairs: impl Iterator<Item = (&'a String, &'a V)>,
) -> fmt::Result {
    f.write_str("map[")?;
    for (i, (key, value)) in pairs.enumerate() {
        if i > 0 {
            f.write_str(" ")?;
        }
        write!(f, "{key}:{value}")?;
    }
    f.write_str("]")
}

/// A time as Go prints a UTC one: `2006-01-02 15:04:05.999 +0000 UTC`.
pub(crate) fn time_text(time: Timestamp) -> String {
    let mut text = time.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let nanos = time.subsec_nanosecond();
    if nanos != 0 {
        text.push_str(format!(".{:09}", nanos.unsigned_abs()).trim_end_matches('0'));
    }
    text.push_str(" +0000 UTC");
    text
}

const NANOS_PER_MICRO: u64 = 1_000;
const NANOS_PER_MILLI: u64 = 1_000_000;
const NANOS_PER_SEC: u64 = 1_000_000_000;

/// A duration as Go prints one: `1h2m3.5s`, `1.5ms`, `0s`.
pub(crate) fn duration_text(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let rest = nanos.unsigned_abs();
    if rest == 0 {
        return "0s".to_owned();
    }
    let unit = |size: u64, name: &str| format!("{sign}{}{name}", decimal(rest, size));
    if rest < NANOS_PER_MICRO {
        return unit(1, "ns");
    }
    if rest < NANOS_PER_MILLI {
        return unit(NANOS_PER_MICRO, "µs");
    }
    if rest < NANOS_PER_SEC {
        return unit(NANOS_PER_MILLI, "ms");
    }
    let (minutes, rest) = (rest / (60 * NANOS_PER_SEC), rest % (60 * NANOS_PER_SEC));
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let seconds = decimal(rest, NANOS_PER_SEC);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `count / size` exactly, for a `size` that is a power of ten, without trailing zeros.
fn decimal(count: u64, size: u64) -> String {
    let (whole, fraction) = (count / size, count % size);
    if fraction == 0 {
        return whole.to_string();
    }
    let digits = size.ilog10() as usize;
    format!("{whole}.{}", format!("{fraction:0digits$}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_times_print_as_in_go() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (245_000_000_000, "4m5s"),
            (-18_000_000_000_000, "-5h0m0s"),
            (18_367_001_000_000, "5h6m7.001s"),
        ] {
            assert_eq!(duration_text(nanos), text);
        }
        let time = |millis| time_text(Timestamp::from_millisecond(millis).unwrap());
        assert_eq!(time(0), "1970-01-01 00:00:00 +0000 UTC");
        assert_eq!(time(1_435_065_584_128), "2015-06-23 13:19:44.128 +0000 UTC");
    }
}
