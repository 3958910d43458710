//! What is known of metric families, for whom samples are sent to.

use std::fmt::Debug;

use hashbrown::HashMap;
use model::metadata::Metadata;

/// Knows metric families.
pub trait MetadataSource: Debug + Send + Sync {
    /// All families by name, each once.
    fn families(&self) -> Vec<(String, Metadata)>;
}

/// What the names of a family's series have behind the family's, by the text formats.
const SUFFIXES: &[&str] = &["_bucket", "_sum", "_count", "_total", "_created", "_info", "_gsum", "_gcount"];

/// Families to look up.
#[derive(Debug, Default)]
pub(super) struct Families(HashMap<String, Metadata>);

impl Families {
    pub(super) fn new(families: Vec<(String, Metadata)>) -> Self {
        Families(families.into_iter().collect())
    }

    /// The family that a series is of.
    pub(super) fn of_series(&self, metric: &str) -> Option<&Metadata> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(metric).or_else(|| {
            let mut families = SUFFIXES.iter().filter_map(|suffix| metric.strip_suffix(suffix));
            families.find_map(|family| self.0.get(family))
        })
    }
}
