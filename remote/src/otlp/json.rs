//! Parts of messages as JSON writes them: 64-bit numbers as texts, floats that are none as texts, ids in
//! hexadecimal, bytes in base64.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use super::message::{Temporality, Value};

/// A number that may be written as a text.
pub(super) trait Number: Sized {
    fn of_u64(value: u64) -> Option<Self>;
    fn of_i64(value: i64) -> Option<Self>;
    fn of_f64(value: f64) -> Option<Self>;
    fn of_text(text: &str) -> Option<Self>;
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl Number for $integer {
            fn of_u64(value: u64) -> Option<Self> {
                value.try_into().ok()
            }

            fn of_i64(value: i64) -> Option<Self> {
                value.try_into().ok()
            }

            fn of_f64(value: f64) -> Option<Self> {
                // Such as 5e3; what isn't whole is refused.
                (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64).and_then(Self::of_i64)
            }

            fn of_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )*};
}

integers!(u64, i64);

impl Number for f64 {
    fn of_u64(value: u64) -> Option<Self> {
        Some(value as f64)
    }

    fn of_i64(value: i64) -> Option<Self> {
        Some(value as f64)
    }

    fn of_f64(value: f64) -> Option<Self> {
        Some(value)
    }

    fn of_text(text: &str) -> Option<Self> {
        match text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            number => number.parse().ok(),
        }
    }
}

struct Written<T>(T);

impl<'de, T: Number> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor(PhantomData)).map(Written)
    }
}

struct NumberVisitor<T>(PhantomData<T>);

impl<T: Number> NumberVisitor<T> {
    fn check<E: Error>(number: Option<T>, written: impl fmt::Display) -> Result<T, E> {
        number.ok_or_else(|| E::custom(format!("{written} is not a number of the field's type")))
    }
}

impl<T: Number> Visitor<'_> for NumberVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a number as a text")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        Self::check(T::of_u64(value), value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        Self::check(T::of_i64(value), value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        Self::check(T::of_f64(value), value)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Self::check(T::of_text(text), format_args!("{text:?}"))
    }
}

pub(super) fn number<'de, D: Deserializer<'de>, T: Number>(deserializer: D) -> Result<T, D::Error> {
    Written::deserialize(deserializer).map(|written| written.0)
}

pub(super) fn optional_number<'de, D: Deserializer<'de>, T: Number>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::<Written<T>>::deserialize(deserializer).map(|written| written.map(|written| written.0))
}

pub(super) fn numbers<'de, D: Deserializer<'de>, T: Number>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let written = Vec::<Written<T>>::deserialize(deserializer)?;
    Ok(written.into_iter().map(|written| written.0).collect())
}

/// A number, or the name of the enum's value.
pub(super) fn temporality<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Temporality, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Name(String),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::Number(number) => Temporality::of_number(number),
        Either::Name(name) => match name.as_str() {
            "AGGREGATION_TEMPORALITY_DELTA" => Temporality::Delta,
            "AGGREGATION_TEMPORALITY_CUMULATIVE" => Temporality::Cumulative,
            _ => Temporality::Unspecified,
        },
    })
}

/// An id in hexadecimal, in lower case from then on; one of zeros is none.
pub(super) fn hex_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    if !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(D::Error::custom(format!("id {id:?} is not hexadecimal")));
    }
    Ok(if id.bytes().all(|byte| byte == b'0') { String::new() } else { id.to_ascii_lowercase() })
}

/// An `AnyValue`: one of the fields is there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WrittenValue {
    string_value: Option<String>,
    bool_value: Option<bool>,
    #[serde(default, deserialize_with = "optional_number")]
    int_value: Option<i64>,
    #[serde(default, deserialize_with = "optional_number")]
    double_value: Option<f64>,
    array_value: Option<WrittenList>,
    kvlist_value: Option<WrittenMap>,
    bytes_value: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WrittenList {
    values: Vec<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WrittenMap {
    values: Vec<super::message::KeyValue>,
}

impl TryFrom<WrittenValue> for Value {
    type Error = String;

    fn try_from(written: WrittenValue) -> Result<Self, String> {
        let value = written.string_value.map(Value::Text);
        let value = value.or(written.bool_value.map(Value::Bool));
        let value = value.or(written.int_value.map(Value::Int));
        let value = value.or(written.double_value.map(Value::Double));
        let value = value.or(written.array_value.map(|list| Value::List(list.values)));
        let value = value.or(written
            .kvlist_value
            .map(|map| Value::Map(map.values.into_iter().map(|pair| (pair.key, pair.value)).collect())));
        if let (None, Some(text)) = (&value, written.bytes_value) {
            return STANDARD.decode(text).map(Value::Bytes).map_err(|error| format!("bytesValue: {error}"));
        }
        Ok(value.unwrap_or_default())
    }
}
