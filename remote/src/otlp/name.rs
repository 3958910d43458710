//! Names of metrics, units and labels, made of OpenTelemetry's.
//!
//! Source: "Prometheus and OpenMetrics Compatibility" of the OpenTelemetry specification; where that leaves open
//! what to do, the reference's `otlptranslator` decides.

use serde::{Deserialize, Serialize};

use super::Settings;

/// How names are made (`otlp.translation_strategy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub enum TranslationStrategy {
    /// Characters that the legacy rule forbids become `_`; units and types become suffixes.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// Characters that the legacy rule forbids become `_`.
    UnderscoreEscapingWithoutSuffixes,
    /// Units and types become suffixes.
    NoUTF8EscapingWithSuffixes,
    /// Names stay as they are.
    NoTranslation,
}

impl TryFrom<String> for TranslationStrategy {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match name.as_str() {
            "" | "UnderscoreEscapingWithSuffixes" => Ok(TranslationStrategy::UnderscoreEscapingWithSuffixes),
            "UnderscoreEscapingWithoutSuffixes" => Ok(TranslationStrategy::UnderscoreEscapingWithoutSuffixes),
            "NoUTF8EscapingWithSuffixes" => Ok(TranslationStrategy::NoUTF8EscapingWithSuffixes),
            "NoTranslation" => Ok(TranslationStrategy::NoTranslation),
            _ => Err(format!("unsupported OTLP translation strategy {name:?}")),
        }
    }
}

impl TranslationStrategy {
    /// Whether forbidden characters are replaced.
    pub fn escapes(self) -> bool {
        use TranslationStrategy::{UnderscoreEscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes};
        matches!(self, UnderscoreEscapingWithSuffixes | UnderscoreEscapingWithoutSuffixes)
    }

    /// Whether units and types become suffixes.
    pub fn adds_suffixes(self) -> bool {
        use TranslationStrategy::{NoUTF8EscapingWithSuffixes, UnderscoreEscapingWithSuffixes};
        matches!(self, UnderscoreEscapingWithSuffixes | NoUTF8EscapingWithSuffixes)
    }
}

/// What a metric's name depends on beside its own name and unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    MonotonicSum,
    Other,
}

/// Units by their symbol in UCUM.
const UNITS: &[(&str, &str)] = &[
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

/// Units behind a slash.
const PER_UNITS: &[(&str, &str)] = &[
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

fn look_up<'a>(units: &[(&'static str, &'static str)], symbol: &'a str) -> &'a str {
    units.iter().find(|(known, _)| *known == symbol).map_or(symbol, |(_, name)| name)
}

/// A unit's own name and that of what it is per, each `""` if there is none; remarks in braces are none.
fn unit_parts(unit: &str) -> (&str, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let symbol = |part: &'static [(&str, &str)], text| {
        let text: &str = str::trim(text);
        if text.contains(['{', '}']) { "" } else { look_up(part, text) }
    };
    let (main, per) = (symbol(UNITS, main), symbol(PER_UNITS, per));
    (main, if per.is_empty() { String::new() } else { format!("per_{per}") })
}

/// The unit as metadata has it.
pub(super) fn unit_name(unit: &str, strategy: TranslationStrategy) -> String {
    let (main, per) = unit_parts(unit);
    let (main, per) = match strategy.escapes() {
        true => (clean_unit(main), clean_unit(&per)),
        false => (main.to_owned(), per),
    };
    let parts = [main, per];
    let name = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_");
    name.strip_prefix('_').unwrap_or(&name).trim_end_matches('_').to_owned()
}

/// The name of a metric.
///
/// # Errors
///
/// Nothing is left of it, in a sentence.
pub(super) fn metric_name(
    name: &str,
    unit: &str,
    kind: Kind,
    strategy: TranslationStrategy,
) -> Result<String, String> {
    let made = match (strategy.escapes(), strategy.adds_suffixes()) {
        (true, true) => with_tokens(name, unit, kind),
        (true, false) => {
            let parts: Vec<&str> =
                name.split(|c| !is_metric_char(c) && c != '_').filter(|part| !part.is_empty()).collect();
            after_digit(parts.join("_"))
        }
        (false, true) => with_suffixes(name, unit, kind),
        (false, false) => name.to_owned(),
    };
    if made.is_empty() {
        return Err(format!("normalization for metric {name:?} resulted in empty name"));
    }
    if strategy.escapes() && made != name && made.bytes().all(|byte| byte == b'_') {
        return Err(format!("normalization for metric {name:?} resulted in invalid name {made:?}"));
    }
    Ok(made)
}

fn is_metric_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

/// No name begins with a digit.
fn after_digit(name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// Words and suffixes, each once, with one underscore between two.
fn with_tokens(name: &str, unit: &str, kind: Kind) -> String {
    let words = name.split(|c| !is_metric_char(c)).filter(|word| !word.is_empty());
    let mut tokens: Vec<String> = words.map(str::to_owned).collect();
    let (main, per) = unit_parts(unit);
    let (mut main, per) = (clean_unit(main), clean_unit(&per));
    let mut per = if per == "per_" { "" } else { per.trim_end_matches('_') };
    if tokens.contains(&main) {
        main.clear();
    }
    if tokens.iter().any(|token| token == per) {
        per = "";
    }
    let main = if per.is_empty() { main.as_str() } else { main.strip_suffix('_').unwrap_or(&main) };
    tokens.extend([main, per].into_iter().filter(|suffix| !suffix.is_empty()).map(str::to_owned));
    if let Some(suffix) = kind_suffix(kind, unit) {
        tokens.retain(|token| token != suffix);
        tokens.push(suffix.to_owned());
    }
    after_digit(tokens.join("_"))
}

/// The suffix for what a metric is. A sum in units of 1 counts things more often than it is a ratio.
fn kind_suffix(kind: Kind, unit: &str) -> Option<&'static str> {
    match kind {
        Kind::MonotonicSum => Some("total"),
        Kind::Gauge if unit == "1" => Some("ratio"),
        _ => None,
    }
}

/// A unit in letters, digits and single underscores, of which none is at the front.
fn clean_unit(unit: &str) -> String {
    let replaced: String = unit.chars().map(|c| if is_metric_char(c) { c } else { '_' }).collect();
    let collapsed = collapse_underscores(&replaced);
    collapsed.strip_prefix('_').unwrap_or(&collapsed).to_owned()
}

fn collapse_underscores(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '_' || !collapsed.ends_with('_') {
            collapsed.push(c);
        }
    }
    collapsed
}

/// Suffixes behind a name whose characters stay.
fn with_suffixes(name: &str, unit: &str, kind: Kind) -> String {
    let (main, per) = unit_parts(unit);
    let kind = kind_suffix(kind, unit);
    let mut made = kind.map_or(name, |suffix| without_suffix(name, suffix));
    if !per.is_empty() {
        made = without_suffix(made, &per);
    }
    let mut made = made.to_owned();
    let main = if made.ends_with(main) { "" } else { main };
    for suffix in [main, &per, kind.unwrap_or_default()].into_iter().filter(|suffix| !suffix.is_empty()) {
        made.push('_');
        made.push_str(suffix);
    }
    made
}

/// The name without a suffix and the character before it, unless nothing would be left.
fn without_suffix<'n>(name: &'n str, suffix: &str) -> &'n str {
    let Some(before) = name.strip_suffix(suffix) else { return name };
    let mut chars = before.chars();
    match chars.next_back() {
        Some(_) if !chars.as_str().is_empty() => chars.as_str(),
        _ => name,
    }
}

/// The name of a label.
///
/// # Errors
///
/// Nothing is left of it, in a sentence.
pub(super) fn label_name(key: &str, settings: &Settings) -> Result<String, String> {
    if key.is_empty() {
        return Err(format!("normalization for label name {key:?} resulted in empty name"));
    }
    if !settings.translation_strategy.escapes() {
        return Ok(key.to_owned());
    }
    let mut name: String =
        key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if !settings.label_name_preserve_multiple_underscores {
        name = collapse_in_label(&name);
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert_str(0, "key_");
    } else if settings.label_name_underscore_sanitization && name.starts_with('_') && !name.starts_with("__")
    {
        name.insert_str(0, "key");
    }
    if name != key && name.bytes().all(|byte| byte == b'_') {
        return Err(format!("normalization for label name {key:?} resulted in invalid name {name:?}"));
    }
    Ok(name)
}

/// Underscores in a row become one, but for those around a reserved name.
fn collapse_in_label(name: &str) -> String {
    let inner = name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    match inner.filter(|inner| !inner.is_empty()) {
        Some(inner) => format!("__{}__", collapse_underscores(inner)),
        None => collapse_underscores(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_named_by_each_strategy() {
        use TranslationStrategy::*;
        let strategies = [
            UnderscoreEscapingWithSuffixes,
            UnderscoreEscapingWithoutSuffixes,
            NoUTF8EscapingWithSuffixes,
            NoTranslation,
        ];
        for (name, unit, kind, names) in [
            (
                "http.server.duration",
                "s",
                Kind::Other,
                [
                    "http_server_duration_seconds",
                    "http_server_duration",
                    "http.server.duration_seconds",
                    "http.server.duration",
                ],
            ),
            (
                "system.io",
                "By/s",
                Kind::Other,
                ["system_io_bytes_per_second", "system_io", "system.io_bytes_per_second", "system.io"],
            ),
            (
                "requests.total.count",
                "{request}",
                Kind::MonotonicSum,
                [
                    "requests_count_total",
                    "requests_total_count",
                    "requests.total.count_total",
                    "requests.total.count",
                ],
            ),
            ("cpu.ratio", "1", Kind::Gauge, ["cpu_ratio", "cpu_ratio", "cpu_ratio", "cpu.ratio"]),
            ("2xx", "", Kind::Other, ["_2xx", "_2xx", "2xx", "2xx"]),
            ("a__b", "%", Kind::Gauge, ["a_b_percent", "a__b", "a__b_percent", "a__b"]),
            ("speed_meters", "m/{x}", Kind::Gauge, ["speed_meters"; 4]),
            ("köln", "", Kind::Gauge, ["k_ln", "k_ln", "köln", "köln"]),
            ("total", "1", Kind::MonotonicSum, ["total", "total", "total_total", "total"]),
        ] {
            for (strategy, expected) in strategies.into_iter().zip(names) {
                let made = metric_name(name, unit, kind, strategy);
                assert_eq!(made.as_deref(), Ok(expected), "{name} {unit} {strategy:?}");
            }
        }
    }

    #[test]
    fn names_of_which_nothing_is_left_are_refused() {
        let strategy = TranslationStrategy::default();
        assert_eq!(
            metric_name("", "", Kind::Gauge, strategy).unwrap_err(),
            "normalization for metric \"\" resulted in empty name"
        );
        assert!(metric_name("é", "", Kind::Gauge, strategy).is_err());
        assert!(label_name("", &Settings::default()).is_err());
        assert_eq!(
            label_name("é", &Settings { label_name_underscore_sanitization: false, ..Settings::default() })
                .unwrap_err(),
            "normalization for label name \"é\" resulted in invalid name \"_\""
        );
    }

    #[test]
    fn labels_are_identifiers_unless_everything_is_allowed() {
        let strict = Settings::default();
        let lax = Settings {
            label_name_underscore_sanitization: false,
            label_name_preserve_multiple_underscores: false,
            ..Settings::default()
        };
        let utf8 =
            Settings { translation_strategy: TranslationStrategy::NoTranslation, ..Settings::default() };
        for (key, names) in [
            ("http.method", ["http_method", "http_method", "http.method"]),
            ("1st", ["key_1st", "key_1st", "1st"]),
            ("_private", ["key_private", "_private", "_private"]),
            ("__reserved__", ["__reserved__", "__reserved__", "__reserved__"]),
            ("a..b", ["a__b", "a_b", "a..b"]),
        ] {
            for (settings, expected) in [&strict, &lax, &utf8].into_iter().zip(names) {
                assert_eq!(label_name(key, settings).as_deref(), Ok(expected), "{key}");
            }
        }
    }

    #[test]
    fn units_have_names() {
        for (unit, name) in [("s", "seconds"), ("By/s", "bytes_per_second"), ("{x}", ""), ("1", "")] {
            assert_eq!(unit_name(unit, TranslationStrategy::default()), name, "{unit}");
        }
    }
}
