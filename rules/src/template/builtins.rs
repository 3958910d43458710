//! The functions of the Go template language itself (`text/template/funcs.go`); `and` and `or` are the
//! evaluator's, because they don't evaluate all their arguments.

use std::cmp::Ordering;

use super::printf;
use super::value::Value;

/// Their names.
pub(crate) const NAMES: [&str; 18] = [
    "and", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print", "printf",
    "println", "slice", "urlquery",
];

/// Calls a function of the language; `None` if `name` isn't one.
pub(crate) fn call(name: &str, args: &[Value]) -> Option<Result<Value, String>> {
    let result = match name {
        "not" => exactly(name, args, 1).map(|()| Value::Bool(!args[0].is_true())),
        "len" => exactly(name, args, 1).and_then(|()| len(&args[0])),
        "index" => at_least(name, args, 1).and_then(|()| index(args)),
        "slice" => at_least(name, args, 1).and_then(|()| slice(args)),
        "print" => Ok(Value::str(print(args))),
        "println" => Ok(Value::str(println(args))),
        "printf" => at_least(name, args, 1).and_then(|()| match &args[0] {
            Value::Str(format) => Ok(Value::str(printf::format(format, &args[1..]))),
            other => Err(wrong_type("string", other)),
        }),
        "html" => Ok(Value::str(escape_html(&print(args)))),
        "js" => Ok(Value::str(escape_js(&print(args)))),
        "urlquery" => Ok(Value::str(escape_query(&print(args)))),
        "eq" => at_least(name, args, 1).and_then(|()| equal(args)),
        "ne" => {
            exactly(name, args, 2).and_then(|()| equal_pair(&args[0], &args[1]).map(|eq| Value::Bool(!eq)))
        }
        "lt" => compare(name, args, Ordering::is_lt),
        "le" => compare(name, args, Ordering::is_le),
        "gt" => compare(name, args, Ordering::is_gt),
        "ge" => compare(name, args, Ordering::is_ge),
        _ => return None,
    };
    Some(result)
}

/// The error of an argument of another type.
pub(crate) fn wrong_type(expected: &str, got: &Value) -> String {
    format!("wrong type for value; expected {expected}; got {}", got.type_name())
}

/// The error of another number of arguments.
pub(crate) fn exactly(name: &str, args: &[Value], want: usize) -> Result<(), String> {
    if args.len() == want {
        return Ok(());
    }
    Err(format!("wrong number of args for {name}: want {want} got {}", args.len()))
}

fn at_least(name: &str, args: &[Value], want: usize) -> Result<(), String> {
    if args.len() >= want {
        return Ok(());
    }
    Err(format!("wrong number of args for {name}: want at least {want} got {}", args.len()))
}

fn len(value: &Value) -> Result<Value, String> {
    let len = match value {
        Value::Str(text) => text.len(),
        Value::Labels(map) => map.len(),
        Value::Map(map) => map.len(),
        Value::Samples(samples) => samples.len(),
        Value::Nil => return Err("len of nil pointer".into()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(len as i64))
}

fn index(args: &[Value]) -> Result<Value, String> {
    let mut value = args[0].clone();
    for key in &args[1..] {
        value = match (&value, key) {
            (Value::Labels(map), Value::Str(name)) => Value::str(map.get(&**name).map_or("", String::as_str)),
            (Value::Map(map), Value::Str(name)) => map.get(&**name).cloned().unwrap_or(Value::Nil),
            (Value::Labels(_) | Value::Map(_), other) => {
                return Err(format!("value has type {}; should be string", other.type_name()));
            }
            (Value::Samples(samples), Value::Int(i)) => {
                let sample = usize::try_from(*i).ok().and_then(|i| samples.get(i));
                let sample = sample.ok_or_else(|| format!("index out of range: {i}"))?;
                Value::Sample(std::rc::Rc::new(sample.clone()))
            }
            (Value::Str(text), Value::Int(i)) => {
                let byte = usize::try_from(*i).ok().and_then(|i| text.as_bytes().get(i));
                Value::Int(i64::from(*byte.ok_or_else(|| format!("index out of range: {i}"))?))
            }
            (Value::Samples(_) | Value::Str(_), other) => {
                return Err(format!("cannot index slice/array with type {}", other.type_name()));
            }
            (Value::Nil, _) => return Err("index of nil pointer".into()),
            (other, _) => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(value)
}

fn slice(args: &[Value]) -> Result<Value, String> {
    let bounds: Vec<usize> = args[1..]
        .iter()
        .map(|bound| match bound {
            Value::Int(i) => usize::try_from(*i).map_err(|_| format!("index out of range: {i}")),
            other => Err(format!("cannot index slice/array with type {}", other.type_name())),
        })
        .collect::<Result<_, _>>()?;
    let range = |len: usize| {
        let (from, to) = (bounds.first().copied().unwrap_or(0), bounds.get(1).copied().unwrap_or(len));
        match (from <= to, from.max(to) <= len) {
            (_, false) => Err(format!("index out of range: {}", from.max(to))),
            (false, _) => Err(format!("invalid slice index: {from} > {to}")),
            (true, true) => Ok(from..to),
        }
    };
    match &args[0] {
        Value::Str(text) if bounds.len() <= 2 => {
            Ok(Value::str(String::from_utf8_lossy(&text.as_bytes()[range(text.len())?]).into_owned()))
        }
        Value::Samples(samples) if bounds.len() <= 2 => {
            Ok(Value::Samples(std::rc::Rc::new(samples[range(samples.len())?].to_vec())))
        }
        Value::Str(_) | Value::Samples(_) => Err(format!("too many slice indexes: {}", bounds.len())),
        other => Err(format!("can't slice item of type {}", other.type_name())),
    }
}

/// As Go's `fmt.Sprint`: a space between two values of which neither is a string.
fn print(args: &[Value]) -> String {
    let mut text = String::new();
    for (i, arg) in args.iter().enumerate() {
        let is_str = |value: &Value| matches!(value, Value::Str(_));
        if i > 0 && !is_str(arg) && !is_str(&args[i - 1]) {
            text.push(' ');
        }
        text.push_str(&shown(arg));
    }
    text
}

fn println(args: &[Value]) -> String {
    args.iter().map(shown).collect::<Vec<_>>().join(" ") + "\n"
}

fn shown(value: &Value) -> String {
    if *value == Value::Nil { "<nil>".into() } else { value.to_string() }
}

fn equal(args: &[Value]) -> Result<Value, String> {
    let [first, rest @ ..] = args else { return Err("missing argument for comparison".into()) };
    if rest.is_empty() {
        return Err("missing argument for comparison".into());
    }
    for other in rest {
        if equal_pair(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn equal_pair(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::Str(a), Value::Str(b)) => Ok(a == b),
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::Time(a), Value::Time(b)) => Ok(a == b),
        _ if is_basic(a) && is_basic(b) => Err("incompatible types for comparison".into()),
        (other, _) if !is_basic(other) => Err(format!("non-comparable type {other}: {}", other.type_name())),
        (_, other) => Err(format!("non-comparable type {other}: {}", other.type_name())),
    }
}

fn is_basic(value: &Value) -> bool {
    matches!(value, Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) | Value::Duration(_))
}

fn compare(name: &str, args: &[Value], accept: fn(Ordering) -> bool) -> Result<Value, String> {
    exactly(name, args, 2)?;
    let order = match (&args[0], &args[1]) {
        (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::Bool(_), Value::Bool(_)) => return Err("invalid type for comparison".into()),
        (a, b) if is_basic(a) && is_basic(b) => return Err("incompatible types for comparison".into()),
        _ => return Err("invalid type for comparison".into()),
    };
    Ok(Value::Bool(order.is_some_and(accept)))
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => escaped.push('\u{fffd}'),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn escape_js(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\'' => escaped.push_str("\\'"),
            '"' => escaped.push_str("\\\""),
            '<' | '>' | '&' | '=' => escaped.push_str(&format!("\\u{:04X}", c as u32)),
            c if c.is_control() => escaped.push_str(&format!("\\u{:04X}", c as u32)),
            c => escaped.push(c),
        }
    }
    escaped
}

/// As Go's `url.QueryEscape`.
pub(crate) fn escape_query(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte))
            }
            b' ' => escaped.push('+'),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
