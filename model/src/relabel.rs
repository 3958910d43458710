//! Relabelling: a list of rules that change a label set or drop what it names.
//!
//! Used for discovered targets, scraped samples, alerts and remote write. The rules and their texts are those
//! of the reference (`model/relabel`).

use std::fmt;
use std::sync::LazyLock;

use md5::{Digest, Md5};
use regex::Regex;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::labels::{Labels, LabelsBuilder, write_quoted};
use crate::names::ValidationScheme;
use crate::regex::AnchoredRegex;

const DEFAULT_SEPARATOR: &str = ";";
const DEFAULT_REGEX: &str = "(.*)";
const DEFAULT_REPLACEMENT: &str = "$1";

/// What a `target_label` with variables must look like where names are legacy ones.
static LEGACY_TEMPLATE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+$").expect("the pattern is a constant")
});

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sets a label to the replacement if the regex matches.
    Replace,
    /// Drops the set unless the regex matches.
    Keep,
    /// Drops the set if the regex matches.
    Drop,
    /// Drops the set unless the joined source equals the target label's value.
    KeepEqual,
    /// Drops the set if the joined source equals the target label's value.
    DropEqual,
    /// Sets a label to a hash of the joined source, modulo a number.
    HashMod,
    /// Copies labels whose name matches to the replaced name.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name doesn't match.
    LabelKeep,
    /// Sets a label to the joined source in lower case.
    Lowercase,
    /// Sets a label to the joined source in upper case.
    Uppercase,
}

impl Action {
    const ALL: [Action; 11] = [
        Action::Replace,
        Action::Keep,
        Action::Drop,
        Action::KeepEqual,
        Action::DropEqual,
        Action::HashMod,
        Action::LabelMap,
        Action::LabelDrop,
        Action::LabelKeep,
        Action::Lowercase,
        Action::Uppercase,
    ];

    /// The name in configuration files.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Replace => "replace",
            Action::Keep => "keep",
            Action::Drop => "drop",
            Action::KeepEqual => "keepequal",
            Action::DropEqual => "dropequal",
            Action::HashMod => "hashmod",
            Action::LabelMap => "labelmap",
            Action::LabelDrop => "labeldrop",
            Action::LabelKeep => "labelkeep",
            Action::Lowercase => "lowercase",
            Action::Uppercase => "uppercase",
        }
    }

    fn parse(text: &str) -> Result<Self, RelabelError> {
        if text.is_empty() {
            return Err(RelabelError::EmptyAction);
        }
        let lower = text.to_lowercase();
        let known = Action::ALL.into_iter().find(|action| action.as_str() == lower);
        known.ok_or_else(|| RelabelError::UnknownAction(quoted(text)))
    }

    /// Whether the rule writes to, or compares with, a target label.
    fn needs_target_label(self) -> bool {
        use Action::*;
        matches!(self, Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a rule isn't one. The texts are those of the reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelabelError {
    /// `action: ""`.
    #[error("relabel action cannot be empty")]
    EmptyAction,
    /// Not one of the eleven; quoted.
    #[error("unknown relabel action {0}")]
    UnknownAction(String),
    /// The expression doesn't compile.
    #[error(transparent)]
    Regex(#[from] crate::regex::RegexError),
    /// `hashmod` with `modulus: 0`.
    #[error("relabel configuration for hashmod requires non-zero modulus")]
    ZeroModulus,
    /// Nothing to write to.
    #[error("relabel configuration for {0} action requires 'target_label' value")]
    NoTargetLabel(Action),
    /// A target label that isn't a label name.
    #[error("{} is invalid 'target_label' for {} action", quoted(.0), .1)]
    InvalidTargetLabel(String, Action),
    /// A replacement where it has no meaning.
    #[error("'replacement' can not be set for {0} action")]
    UnexpectedReplacement(Action),
    /// `labelmap` to something that isn't a label name.
    #[error("{} is invalid 'replacement' for {} action", quoted(.0), .1)]
    InvalidReplacement(String, Action),
    /// Fields that `keepequal` and `dropequal` don't have.
    #[error("{0} action requires only 'source_labels' and `target_label`, and no other fields")]
    OnlySourceAndTarget(Action),
    /// Fields that `labeldrop` and `labelkeep` don't have.
    #[error("{0} action requires only 'regex', and no other fields")]
    OnlyRegex(Action),
}

/// One rule, complete with defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Labels whose values are joined to the rule's source; a missing label counts as empty.
    pub source_labels: Vec<String>,
    /// What the values are joined with.
    pub separator: String,
    /// What the source, or with the `label*` actions each name, is matched against.
    pub regex: AnchoredRegex,
    /// For [`Action::HashMod`].
    pub modulus: u64,
    /// The label that is written; with [`Action::Replace`] a template.
    pub target_label: String,
    /// The template of the new value or name.
    pub replacement: String,
    /// What to do.
    pub action: Action,
    /// The rule that expanded label names must satisfy.
    pub scheme: ValidationScheme,
}

impl Config {
    /// Checks the rule against a naming scheme, which it keeps from then on.
    pub fn validate(&mut self, scheme: ValidationScheme) -> Result<(), RelabelError> {
        use Action::*;
        self.scheme = scheme;
        let action = self.action;
        if self.modulus == 0 && action == HashMod {
            return Err(RelabelError::ZeroModulus);
        }
        if action.needs_target_label() {
            if self.target_label.is_empty() {
                return Err(RelabelError::NoTargetLabel(action));
            }
            let valid = match action {
                Replace => self.is_name_template(&self.target_label),
                _ => scheme.allows_label_name(&self.target_label),
            };
            if !valid {
                return Err(RelabelError::InvalidTargetLabel(self.target_label.clone(), action));
            }
        }
        let default_replacement = self.replacement == DEFAULT_REPLACEMENT;
        if matches!(action, Lowercase | Uppercase | KeepEqual | DropEqual) && !default_replacement {
            return Err(RelabelError::UnexpectedReplacement(action));
        }
        if action == LabelMap && !self.is_name_template(&self.replacement) {
            return Err(RelabelError::InvalidReplacement(self.replacement.clone(), action));
        }
        self.validate_absent_fields(default_replacement)
    }

    fn validate_absent_fields(&self, default_replacement: bool) -> Result<(), RelabelError> {
        use Action::*;
        let plain = self.modulus == 0 && self.separator == DEFAULT_SEPARATOR && default_replacement;
        match self.action {
            KeepEqual | DropEqual if !plain || self.regex.as_str() != DEFAULT_REGEX => {
                Err(RelabelError::OnlySourceAndTarget(self.action))
            }
            LabelDrop | LabelKeep
                if !plain || !self.source_labels.is_empty() || !self.target_label.is_empty() =>
            {
                Err(RelabelError::OnlyRegex(self.action))
            }
            _ => Ok(()),
        }
    }

    /// Whether the text is a label name, or becomes one when its variables are expanded.
    fn is_name_template(&self, text: &str) -> bool {
        match self.scheme {
            ValidationScheme::Legacy if has_variable(text) => LEGACY_TEMPLATE.is_match(text),
            scheme => scheme.allows_label_name(text),
        }
    }

    /// Applies the rule. Returns whether the label set is kept.
    fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        let source = || self.source(labels);
        match self.action {
            Action::Keep => return self.regex.is_match(&source()),
            Action::Drop => return !self.regex.is_match(&source()),
            Action::KeepEqual => return source() == labels.value(&self.target_label),
            Action::DropEqual => return source() != labels.value(&self.target_label),
            Action::Replace => self.replace(labels),
            Action::HashMod => {
                let hash = hash_mod(&source(), self.modulus);
                labels.set(&self.target_label, &hash.to_string());
            }
            Action::Lowercase => {
                let value = map_chars(&source(), char::to_lowercase);
                labels.set(&self.target_label, &value);
            }
            Action::Uppercase => {
                let value = map_chars(&source(), char::to_uppercase);
                labels.set(&self.target_label, &value);
            }
            Action::LabelMap => self.map_names(labels),
            Action::LabelDrop => drop(labels.retain(|name, _| !self.regex.is_match(name))),
            Action::LabelKeep => drop(labels.retain(|name, _| self.regex.is_match(name))),
        }
        true
    }

    fn replace(&self, labels: &mut LabelsBuilder) {
        let source = self.source(labels);
        let is_constant = self.regex.matches_everything() || self.regex.as_str() == DEFAULT_REGEX;
        if is_constant && !has_variable(&self.target_label) && !has_variable(&self.replacement) {
            labels.set(&self.target_label, &self.replacement);
            return;
        }
        if !self.regex.is_match(&source) {
            return;
        }
        let Some(target) = self.regex.expand(&source, &self.target_label) else { return };
        if !self.scheme.allows_label_name(&target) {
            return;
        }
        let value = self.regex.expand(&source, &self.replacement).unwrap_or_default();
        labels.set(&target, &value);
    }

    fn map_names(&self, labels: &mut LabelsBuilder) {
        let mapped: Vec<(String, String)> = labels
            .iter()
            .filter(|(name, _)| self.regex.is_match(name))
            .filter_map(|(name, value)| Some((self.regex.expand(name, &self.replacement)?, value.to_owned())))
            // A variable may stand for nothing, and no label is without a name.
            .filter(|(name, _)| !name.is_empty())
            .collect();
        for (name, value) in mapped {
            labels.set(&name, &value);
        }
    }

    fn source(&self, labels: &LabelsBuilder) -> String {
        let mut joined = String::new();
        for (i, name) in self.source_labels.iter().enumerate() {
            if i > 0 {
                joined.push_str(&self.separator);
            }
            joined.push_str(labels.value(name));
        }
        joined
    }
}

/// Applies rules in order. Returns whether the label set is kept; where it isn't, the rules after the one
/// that dropped it were not applied.
pub fn process(rules: &[Config], labels: &mut LabelsBuilder) -> bool {
    rules.iter().all(|rule| rule.apply(labels))
}

/// What one rule made of a label set, for people who debug their rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// The rule.
    pub rule: &'a Config,
    /// The labels after it; those before it if it dropped the set.
    pub output: Labels,
    /// Whether the set is kept.
    pub keep: bool,
}

/// Applies rules in order and records each of them, up to and with the first that drops the set.
pub fn steps<'a>(rules: &'a [Config], labels: &Labels) -> Vec<Step<'a>> {
    let mut builder = LabelsBuilder::from_labels(labels);
    let mut steps = Vec::with_capacity(rules.len());
    for rule in rules {
        let keep = rule.apply(&mut builder);
        steps.push(Step { rule, output: builder.build(), keep });
        if !keep {
            break;
        }
    }
    steps
}

fn has_variable(template: &str) -> bool {
    template.contains('$')
}

/// The last eight bytes of the text's MD5 as a big-endian number, modulo `modulus`.
fn hash_mod(text: &str, modulus: u64) -> u64 {
    let digest: [u8; 16] = Md5::digest(text.as_bytes()).into();
    let [.., a, b, c, d, e, f, g, h] = digest;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]).checked_rem(modulus).unwrap_or(0)
}

/// Maps characters one to one, as Go does; a character whose mapping is longer stays as it is.
fn map_chars<I: Iterator<Item = char>>(text: &str, map: impl Fn(char) -> I) -> String {
    text.chars()
        .map(|c| {
            let mut mapped = map(c);
            match (mapped.next(), mapped.next()) {
                (Some(one), None) => one,
                _ => c,
            }
        })
        .collect()
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    let _ = write_quoted(&mut out, text);
    out
}

/// A rule as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    source_labels: Option<Vec<String>>,
    separator: Option<String>,
    regex: Option<String>,
    modulus: Option<u64>,
    target_label: Option<String>,
    replacement: Option<String>,
    action: Option<String>,
}

impl TryFrom<Written> for Config {
    type Error = RelabelError;

    fn try_from(written: Written) -> Result<Self, RelabelError> {
        let mut config = Config {
            source_labels: written.source_labels.unwrap_or_default(),
            separator: written.separator.unwrap_or_else(|| DEFAULT_SEPARATOR.to_owned()),
            regex: AnchoredRegex::new(written.regex.as_deref().unwrap_or(DEFAULT_REGEX))?,
            modulus: written.modulus.unwrap_or(0),
            target_label: written.target_label.unwrap_or_default(),
            replacement: written.replacement.unwrap_or_else(|| DEFAULT_REPLACEMENT.to_owned()),
            action: written.action.as_deref().map_or(Ok(Action::Replace), Action::parse)?,
            scheme: ValidationScheme::Utf8,
        };
        config.validate(ValidationScheme::Utf8)?;
        Ok(config)
    }
}

impl<'de> Deserialize<'de> for Config {
    /// Checks all but what the naming scheme asks for: [`Config::validate`] does that once it is known.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Config::try_from(Written::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.source_labels.is_empty() {
            map.serialize_entry("source_labels", &self.source_labels)?;
        }
        map.serialize_entry("separator", &self.separator)?;
        map.serialize_entry("regex", self.regex.as_str())?;
        if self.modulus != 0 {
            map.serialize_entry("modulus", &self.modulus)?;
        }
        if !self.target_label.is_empty() {
            map.serialize_entry("target_label", &self.target_label)?;
        }
        map.serialize_entry("replacement", &self.replacement)?;
        map.serialize_entry("action", self.action.as_str())?;
        map.end()
    }
}

#[cfg(test)]
mod tests;
