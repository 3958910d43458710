//! Which metric and label names are allowed, and how a target is asked to escape those that aren't.

use serde::{Deserialize, Serialize};

use crate::labels::{is_legacy_label_name, is_legacy_metric_name};

/// The rule for names (`metric_name_validation_scheme`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValidationScheme {
    /// Any text but the empty one.
    #[default]
    Utf8,
    /// `[a-zA-Z_:][a-zA-Z0-9_:]*` for metrics, the same without colons for labels.
    Legacy,
}

impl ValidationScheme {
    /// Whether a metric may have this name.
    pub fn allows_metric_name(self, name: &str) -> bool {
        match self {
            ValidationScheme::Utf8 => !name.is_empty(),
            ValidationScheme::Legacy => is_legacy_metric_name(name),
        }
    }

    /// Whether a label may have this name.
    pub fn allows_label_name(self, name: &str) -> bool {
        match self {
            ValidationScheme::Utf8 => !name.is_empty(),
            ValidationScheme::Legacy => is_legacy_label_name(name),
        }
    }
}

/// What a target does to names that the other side may not understand (`metric_name_escaping_scheme`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EscapingScheme {
    /// Nothing.
    #[default]
    #[serde(rename = "allow-utf-8")]
    AllowUtf8,
    /// Characters that the legacy rule forbids become `_`.
    Underscores,
    /// Dots become `_dot_`, underscores `__`, the rest `__`.
    Dots,
    /// `U__`, then each forbidden character as `_HEX_`.
    Values,
}

impl EscapingScheme {
    /// The name in configuration files and in `Accept` headers.
    pub fn as_str(self) -> &'static str {
        match self {
            EscapingScheme::AllowUtf8 => "allow-utf-8",
            EscapingScheme::Underscores => "underscores",
            EscapingScheme::Dots => "dots",
            EscapingScheme::Values => "values",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_names_are_identifiers_and_utf8_names_are_anything() {
        for (name, metric, label) in
            [("a", true, true), ("a:b", true, false), ("a.b", false, false), ("1a", false, false)]
        {
            assert_eq!(ValidationScheme::Legacy.allows_metric_name(name), metric, "{name}");
            assert_eq!(ValidationScheme::Legacy.allows_label_name(name), label, "{name}");
            assert!(ValidationScheme::Utf8.allows_label_name(name), "{name}");
        }
        assert!(!ValidationScheme::Utf8.allows_metric_name(""));
    }
}
