//! Warnings and infos that go with a result: something about the data or the query that a user should know,
//! but no error.
//!
//! Each has a text and the place in the query that it is about. The same text is kept once, however many
//! series and steps it came from.

use std::collections::BTreeMap;

use crate::ast::Span;
use crate::functions::date::civil_from_days;

/// Whether an annotation is a warning or an info.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The result may be wrong or incomplete.
    Warning,
    /// The query is unusual, but may be meant so.
    Info,
}

impl Level {
    /// What every text of this level begins with.
    pub fn prefix(self) -> &'static str {
        match self {
            Level::Warning => "PromQL warning: ",
            Level::Info => "PromQL info: ",
        }
    }
}

/// How far the buckets of classic histograms were from being monotonic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForcedMonotonicity {
    /// The lowest and the highest bucket bound that was raised.
    pub buckets: (f64, f64),
    /// The largest difference that was made good.
    pub diff_max: f64,
    /// The first and the last evaluation time, in milliseconds.
    pub times_ms: (i64, i64),
    /// On how many samples.
    pub samples: u64,
}

impl ForcedMonotonicity {
    fn merge(&mut self, other: &ForcedMonotonicity) {
        self.buckets = (self.buckets.0.min(other.buckets.0), self.buckets.1.max(other.buckets.1));
        self.diff_max = self.diff_max.max(other.diff_max);
        self.times_ms = (self.times_ms.0.min(other.times_ms.0), self.times_ms.1.max(other.times_ms.1));
        self.samples += other.samples;
    }
}

/// What is told beyond the text, summed up over everything that the annotation was raised for.
#[derive(Clone, Debug, PartialEq)]
enum Detail {
    None,
    ForcedMonotonicity(ForcedMonotonicity),
    Occurrences(u64),
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    /// `None` for what comes from a storage.
    span: Option<Span>,
    detail: Detail,
}

/// A set of annotations.
///
/// Of equal texts at several places the last place is kept, so that the set doesn't depend on the order in
/// which annotations came in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotations {
    entries: BTreeMap<(Level, String), Entry>,
}

impl Annotations {
    /// Adds a warning about a place of the query.
    pub fn warn(&mut self, span: Span, text: impl Into<String>) {
        self.insert(Level::Warning, text.into(), Entry { span: Some(span), detail: Detail::None });
    }

    /// Adds an info about a place of the query.
    pub fn info(&mut self, span: Span, text: impl Into<String>) {
        self.insert(Level::Info, text.into(), Entry { span: Some(span), detail: Detail::None });
    }

    /// Adds a warning that belongs to no place, as that of a storage. It gets no prefix.
    pub fn warn_anywhere(&mut self, text: impl Into<String>) {
        self.insert(Level::Warning, text.into(), Entry { span: None, detail: Detail::None });
    }

    /// Adds a warning that tells how often it was raised.
    pub fn warn_counted(&mut self, span: Span, text: impl Into<String>, occurrences: u64) {
        let detail = Detail::Occurrences(occurrences);
        self.insert(Level::Warning, text.into(), Entry { span: Some(span), detail });
    }

    /// Adds an info whose figures are merged over everything that it is raised for.
    pub fn info_forced_monotonicity(
        &mut self,
        span: Span,
        text: impl Into<String>,
        figures: ForcedMonotonicity,
    ) {
        let detail = Detail::ForcedMonotonicity(figures);
        self.insert(Level::Info, text.into(), Entry { span: Some(span), detail });
    }

    /// Adds all annotations of another set.
    pub fn merge(&mut self, other: Annotations) {
        for ((level, text), entry) in other.entries {
            self.insert(level, text, entry);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Texts of the warnings, with `(line:column)` of their places in `query`.
    pub fn warnings(&self, query: &str) -> Vec<String> {
        self.texts(Level::Warning, query)
    }

    /// Texts of the infos, with `(line:column)` of their places in `query`.
    pub fn infos(&self, query: &str) -> Vec<String> {
        self.texts(Level::Info, query)
    }

    fn insert(&mut self, level: Level, text: String, entry: Entry) {
        use std::collections::btree_map::Entry::{Occupied, Vacant};
        match self.entries.entry((level, text)) {
            Vacant(vacant) => drop(vacant.insert(entry)),
            Occupied(mut known) => known.get_mut().merge(entry),
        }
    }

    fn texts(&self, wanted: Level, query: &str) -> Vec<String> {
        let of_level = self.entries.iter().filter(|((level, _), _)| *level == wanted);
        of_level.map(|((level, text), entry)| entry.describe(*level, text, query)).collect()
    }
}

impl Entry {
    fn merge(&mut self, other: Entry) {
        self.span = match (self.span, other.span) {
            (Some(known), Some(new)) if new.start <= known.start => Some(known),
            (known, new) => new.or(known),
        };
        match (&mut self.detail, other.detail) {
            (Detail::ForcedMonotonicity(known), Detail::ForcedMonotonicity(new)) => known.merge(&new),
            (Detail::Occurrences(known), Detail::Occurrences(new)) => *known += new,
            _ => {}
        }
    }

    fn describe(&self, level: Level, text: &str, query: &str) -> String {
        let Some(span) = self.span else { return text.to_owned() };
        let detail = match &self.detail {
            Detail::None | Detail::Occurrences(1) => String::new(),
            Detail::Occurrences(count) => format!(" ({count} occurrences)"),
            Detail::ForcedMonotonicity(figures) => describe_figures(figures),
        };
        let (line, column) = line_and_column(query, span.start);
        format!("{}{text}{detail} ({line}:{column})", level.prefix())
    }
}

fn describe_figures(figures: &ForcedMonotonicity) -> String {
    let (low, high) = figures.buckets;
    let (from, to) = figures.times_ms;
    format!(
        ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
        model::float_text::general(low),
        model::float_text::general(high),
        two_digits(figures.diff_max),
        figures.samples,
        utc_text(from),
        utc_text(to),
    )
}

/// Go's `%.2g`.
fn two_digits(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return model::float_text::general(value);
    }
    let scientific = format!("{value:.1e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = digits.trim_end_matches('0').trim_end_matches('.');
    if (-4..2).contains(&exponent) {
        return model::float_text::plain(scientific.parse().unwrap_or(value));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{trimmed}e{sign}{:02}", exponent.abs())
}

/// The time in UTC as RFC 3339 writes it, to the second.
fn utc_text(timestamp_ms: i64) -> String {
    let (days, in_day_ms) = (timestamp_ms.div_euclid(86_400_000), timestamp_ms.rem_euclid(86_400_000));
    let (year, month, day) = civil_from_days(days);
    let seconds = in_day_ms / 1000;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Line and column of a byte of the query, both from 1; columns count bytes.
pub fn line_and_column(query: &str, byte: usize) -> (usize, usize) {
    let before = &query.as_bytes()[..byte.min(query.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    (line, before.len() - line_start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_carry_their_place_and_are_kept_once() {
        let mut annotations = Annotations::default();
        let span = Span { start: 6, end: 9 };
        annotations.warn(span, "watch out");
        annotations.warn(span, "watch out");
        annotations.info(Span { start: 0, end: 1 }, "by the way");
        assert_eq!(annotations.warnings("sum(\n foo)"), ["PromQL warning: watch out (2:2)"]);
        assert_eq!(annotations.infos("sum(\n foo)"), ["PromQL info: by the way (1:1)"]);
    }

    #[test]
    fn two_digits_are_those_of_go() {
        for (value, text) in [
            (1.0, "1"),
            (0.25, "0.25"),
            (12.3, "12"),
            (1234.0, "1.2e+03"),
            (1e-7, "1e-07"),
            (0.000_123, "0.00012"),
        ] {
            assert_eq!(two_digits(value), text);
        }
    }

    #[test]
    fn times_are_utc() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (1_700_000_000_500, "2023-11-14T22:13:20Z"),
        ] {
            assert_eq!(utc_text(ms), text);
        }
    }
}
