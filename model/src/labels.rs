//! Label sets: sorted by name, without empty values, cheap to clone.
//!
//! A label set is one shared string, so that a clone is a reference count and a set of ten labels is one
//! allocation. Each name and each value is preceded by its length in bytes, written base 64 in ASCII,
//! least significant digit first:
//!
//! ```text
//! ┌──────────────┬──────┬───────────────┬───────┬────
//! │ len(name)    │ name │ len(value)    │ value │ …    next pair
//! │ 1..=6 B      │      │ 1..=6 B       │       │
//! └──────────────┴──────┴───────────────┴───────┴────
//! length byte: 0b0cdd_dddd    c: another digit follows    d: six bits of the length
//! ```
//!
//! Every length byte is below 0x80, so the whole is valid UTF-8 and can be sliced without `unsafe` code.
//! What is given up: looking up a label walks the pairs, which is what one does with ten of them anyway.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use xxhash_rust::xxh64::Xxh64;

/// The label that holds a series' metric name.
pub const METRIC_NAME: &str = "__name__";
/// The label that holds the upper bound of a classic histogram's bucket.
pub const BUCKET_LABEL: &str = "le";
/// The label of a target's address in a pool of targets.
pub const INSTANCE_NAME: &str = "instance";
/// The label of the scrape configuration that a series comes from.
pub const JOB_NAME: &str = "job";

/// An immutable label set, sorted by name, each name once, no value empty.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<str>);

impl Labels {
    /// The label set without labels.
    pub fn empty() -> Self {
        Labels(Arc::from(""))
    }

    /// Makes a label set of pairs in any order. Pairs with an empty value are left out; of pairs with the
    /// same name the last one counts.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = LabelsBuilder::new();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// Makes a label set of pairs that are sorted by name already, each name once, without empty values.
    ///
    /// # Panics
    ///
    /// In debug builds, when the pairs break that promise.
    pub fn from_sorted_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = String::with_capacity(256);
        let mut previous: Option<&str> = None;
        for (name, value) in pairs {
            debug_assert!(
                previous.is_none_or(|p| p < name),
                "label names not ascending: {previous:?}, {name:?}"
            );
            debug_assert!(!value.is_empty(), "empty value of label {name:?}");
            previous = Some(name);
            push_text(&mut text, name);
            push_text(&mut text, value);
        }
        Labels(Arc::from(text))
    }

    /// The value of the label, or `""` if the set has no such label: the two are the same in this model.
    pub fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// The value of the label, if the set has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().take_while(|(n, _)| *n <= name).find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// Whether the set has a label of this name.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The metric name, `""` if there is none.
    pub fn metric_name(&self) -> &str {
        self.value(METRIC_NAME)
    }

    /// The pairs in order of their names.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.0 }
    }

    /// Number of labels; walks the set.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether the set has no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes that the set takes as text, its lengths included.
    pub fn size_bytes(&self) -> usize {
        self.0.len()
    }

    /// A hash that is the same on every machine and in every version: xxHash64 (seed 0) of each name and
    /// value, each after its length (see [`hashed_length`]). That is Prometheus's `Labels.Hash`, which
    /// `limit_ratio` builds on.
    pub fn stable_hash(&self) -> u64 {
        let mut hasher = Xxh64::new(0);
        for text in self.iter().flat_map(|(name, value)| [name, value]) {
            let (length, length_bytes) = hashed_length(text.len());
            hasher.update(&length[..length_bytes]);
            hasher.update(text.as_bytes());
        }
        hasher.digest()
    }

    /// The set without the named labels. `names` may be in any order.
    pub fn without(&self, names: &[&str]) -> Labels {
        Self::from_sorted_pairs(self.iter().filter(|(name, _)| !names.contains(name)))
    }

    /// The set reduced to the named labels. `names` may be in any order.
    pub fn only(&self, names: &[&str]) -> Labels {
        Self::from_sorted_pairs(self.iter().filter(|(name, _)| names.contains(name)))
    }

    /// The set without its metric name.
    pub fn without_metric_name(&self) -> Labels {
        if self.has(METRIC_NAME) { self.without(&[METRIC_NAME]) } else { self.clone() }
    }

    /// Shows the set as a selector would be written: `name{label="value"}`, `{}` if it is empty.
    pub fn as_metric(&self) -> AsMetric<'_> {
        AsMetric(self)
    }
}

impl Default for Labels {
    fn default() -> Self {
        Labels::empty()
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    /// Pair by pair, name before value; a set that is the beginning of another comes first.
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl fmt::Display for Labels {
    /// `{a="b", c="d"}`, the metric name among the others as `__name__`; values quoted as Go quotes them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        write_pairs(f, self.iter())?;
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The pairs of a label set, in order of their names.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (name, rest) = split_text(self.rest);
        let (value, rest) = split_text(rest);
        self.rest = rest;
        Some((name, value))
    }
}

/// See [`Labels::as_metric`].
#[derive(Debug)]
pub struct AsMetric<'a>(&'a Labels);

impl fmt::Display for AsMetric<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.metric_name();
        let quoted = !name.is_empty() && !is_legacy_metric_name(name);
        let mut others = self.0.iter().filter(|(n, _)| *n != METRIC_NAME).peekable();
        if !quoted {
            f.write_str(name)?;
            if others.peek().is_none() && !name.is_empty() {
                return Ok(());
            }
        }
        f.write_str("{")?;
        if quoted {
            write_quoted(f, name)?;
            if others.peek().is_some() {
                f.write_str(", ")?;
            }
        }
        write_pairs(f, others)?;
        f.write_str("}")
    }
}

/// Collects and changes labels, then makes a [`Labels`] of them.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    /// Sorted by name, each name once, no value empty.
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// A builder without labels.
    pub fn new() -> Self {
        Self::default()
    }

    /// A builder that begins with the labels of a set.
    pub fn from_labels(labels: &Labels) -> Self {
        let pairs = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        LabelsBuilder { pairs }
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match (self.position(name), value.is_empty()) {
            (Ok(at), true) => drop(self.pairs.remove(at)),
            (Ok(at), false) => value.clone_into(&mut self.pairs[at].1),
            (Err(_), true) => {}
            (Err(at), false) => self.pairs.insert(at, (name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Removes a label, if it is there.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        if let Ok(at) = self.position(name) {
            self.pairs.remove(at);
        }
        self
    }

    /// Keeps the labels for which the closure says yes.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) -> &mut Self {
        self.pairs.retain(|(name, value)| keep(name, value));
        self
    }

    /// The value of the label, `""` if it isn't set.
    pub fn value(&self, name: &str) -> &str {
        self.position(name).map_or("", |at| &self.pairs[at].1)
    }

    /// The pairs in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether no label is set.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The label set.
    pub fn build(&self) -> Labels {
        Labels::from_sorted_pairs(self.iter())
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.pairs.binary_search_by(|(n, _)| n.as_str().cmp(name))
    }
}

/// Whether `name` is a metric name of the classic kind: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_legacy_metric_name(name: &str) -> bool {
    is_identifier(name, |b| b == b':')
}

/// Whether `name` is a label name of the classic kind: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_legacy_label_name(name: &str) -> bool {
    is_identifier(name, |_| false)
}

/// Writes text in double quotes with Go's escapes (`strconv.Quote`).
pub fn write_quoted(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\x07' => out.write_str("\\a")?,
            '\x08' => out.write_str("\\b")?,
            '\x0b' => out.write_str("\\v")?,
            '\x0c' => out.write_str("\\f")?,
            c if (c as u32) < 0x20 || c as u32 == 0x7f => write!(out, "\\x{:02x}", c as u32)?,
            // Go escapes what is not printable; these are the ranges that occur in practice.
            '\u{80}'..='\u{a0}' | '\u{ad}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                write!(out, "\\u{:04x}", c as u32)?
            }
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

fn write_pairs<'a>(
    f: &mut fmt::Formatter<'_>,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
) -> fmt::Result {
    for (i, (name, value)) in pairs.enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        if is_legacy_label_name(name) {
            f.write_str(name)?
        } else {
            write_quoted(f, name)?
        }
        f.write_str("=")?;
        write_quoted(f, value)?;
    }
    Ok(())
}

fn is_identifier(name: &str, extra: impl Fn(u8) -> bool) -> bool {
    !name.is_empty()
        && !name.as_bytes()[0].is_ascii_digit()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || extra(b))
}

const DIGIT_BITS: u32 = 6;
const MORE: u8 = 1 << DIGIT_BITS;

fn push_text(out: &mut String, text: &str) {
    let mut len = text.len();
    loop {
        let digit = (len & (MORE as usize - 1)) as u8;
        len >>= DIGIT_BITS;
        out.push(char::from(if len > 0 { digit | MORE } else { digit }));
        if len == 0 {
            break;
        }
    }
    out.push_str(text);
}

fn split_text(encoded: &str) -> (&str, &str) {
    let mut len = 0;
    let mut shift = 0;
    for (i, byte) in encoded.bytes().enumerate() {
        len |= usize::from(byte & (MORE - 1)) << shift;
        shift += DIGIT_BITS;
        if byte & MORE == 0 {
            return encoded[i + 1..].split_at(len);
        }
    }
    unreachable!("a label set ends within a length: only push_text writes them")
}

/// A length as [`Labels::stable_hash`] takes it in, and how many of the bytes it is: one byte below 255, else 255
/// and three bytes, little-endian.
fn hashed_length(length: usize) -> ([u8; 4], usize) {
    let [low, middle, high, ..] = length.to_le_bytes();
    if length < 255 { ([low, 0, 0, 0], 1) } else { ([255, low, middle, high], 4) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pairs_are_sorted_and_empty_values_are_left_out() {
        let labels = Labels::from_pairs([("job", "a"), ("__name__", "up"), ("zone", "")]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("__name__", "up"), ("job", "a")]);
        assert_eq!(labels.value("job"), "a");
        assert_eq!(labels.get("zone"), None);
        assert_eq!(labels.to_string(), r#"{__name__="up", job="a"}"#);
        assert_eq!(labels.as_metric().to_string(), r#"up{job="a"}"#);
        assert_eq!(Labels::empty().as_metric().to_string(), "{}");
        assert_eq!(
            Labels::from_pairs([("__name__", "a.b"), ("c", "d")]).as_metric().to_string(),
            r#"{"a.b", c="d"}"#
        );
    }

    #[test]
    fn stable_hash_is_that_of_the_reference() {
        assert_eq!(Labels::empty().stable_hash(), 0xef46_db37_51d8_e999);
        let up = Labels::from_pairs([("__name__", "up"), ("job", "a")]);
        assert_eq!(up.stable_hash(), 0xabb3_5243_313f_bb0b);
        let long = Labels::from_pairs([("a", "x".repeat(300))]);
        assert_eq!(long.stable_hash(), 0x7334_729f_4d20_ea0b);
    }

    proptest! {
        #[test]
        fn a_label_set_is_the_map_it_was_made_of(
            map in proptest::collection::btree_map("[a-z]{1,3}", "\\PC{1,300}", 0..8),
            other in proptest::collection::btree_map("[a-z]{1,3}", "[ab]{1,2}", 0..8),
        ) {
            let labels = Labels::from_pairs(&map);
            prop_assert_eq!(labels.len(), map.len());
            for (name, value) in &map {
                prop_assert_eq!(labels.get(name), Some(value.as_str()));
            }
            let order = map.iter().cmp(other.iter());
            prop_assert_eq!(labels.cmp(&Labels::from_pairs(&other)), order);
        }
    }
}
