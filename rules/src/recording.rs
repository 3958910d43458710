//! Recording rules: the value of an expression, stored under a name of its own.

use std::collections::{BTreeMap, HashSet};

use model::labels::{Labels, LabelsBuilder, METRIC_NAME};
use model::storage::SampleValue;

/// A recording rule.
#[derive(Debug)]
pub struct RecordingRule {
    pub(crate) record: String,
    pub(crate) expr: String,
    pub(crate) labels: BTreeMap<String, String>,
}

impl RecordingRule {
    /// The series to store, of the expression's value. At most `limit`; 0 is no limit.
    pub(crate) fn evaluate(
        &self,
        vector: Vec<(Labels, SampleValue)>,
        limit: usize,
    ) -> Result<Vec<(Labels, SampleValue)>, String> {
        let mut seen = HashSet::with_capacity(vector.len());
        let mut series = Vec::with_capacity(vector.len());
        for (element, value) in vector {
            let mut labels = LabelsBuilder::from_labels(&element);
            labels.set(METRIC_NAME, &self.record);
            for (name, value) in &self.labels {
                labels.set(name, value);
            }
            let labels = labels.build();
            if !seen.insert(labels.clone()) {
                return Err(
                    "vector contains metrics with the same labelset after applying rule labels".into()
                );
            }
            series.push((labels, value));
        }
        if limit > 0 && series.len() > limit {
            return Err(format!("exceeded limit of {limit} with {} series", series.len()));
        }
        Ok(series)
    }
}
