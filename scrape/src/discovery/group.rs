//! Target groups: what a discovery mechanism yields.

use std::collections::BTreeMap;

use model::labels::{Labels, LabelsBuilder};
use serde::Deserialize;

/// The label that holds a target's address before relabelling.
pub const ADDRESS_LABEL: &str = "__address__";

/// Targets that share labels and come from one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetGroup {
    /// Each target's own labels, [`ADDRESS_LABEL`] among them.
    pub targets: Vec<Labels>,
    /// Labels of all targets; a target's own take precedence.
    pub labels: Labels,
    /// What the group is of, a file with an index for example: a later group of the same source replaces it,
    /// one without targets removes it.
    pub source: String,
}

impl TargetGroup {
    /// A group of addresses.
    pub fn of_addresses(addresses: &[String], labels: Labels, source: String) -> Self {
        let targets =
            addresses.iter().map(|address| Labels::from_pairs([(ADDRESS_LABEL, address)])).collect();
        TargetGroup { targets, labels, source }
    }
}

/// A group as files and HTTP servers write it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    pub(super) targets: Option<Vec<String>>,
    labels: Option<BTreeMap<String, Option<String>>>,
}

impl Written {
    /// The labels, if their names are ones.
    pub(super) fn labels(&self) -> Result<Labels, String> {
        let mut builder = LabelsBuilder::new();
        for (name, value) in self.labels.iter().flatten() {
            if name.is_empty() {
                return Err(format!("{name:?} is not a valid label name"));
            }
            builder.set(name, value.as_deref().unwrap_or(""));
        }
        Ok(builder.build())
    }

    pub(super) fn into_group(self, source: String) -> Result<TargetGroup, String> {
        let labels = self.labels()?;
        Ok(TargetGroup::of_addresses(&self.targets.unwrap_or_default(), labels, source))
    }
}
