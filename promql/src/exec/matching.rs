//! Which series of two vectors belong together: decided once, from labels, for all steps.

use hashbrown::HashMap;

use model::labels::{Labels, METRIC_NAME};

use super::source::Source;
use crate::ast::VectorMatching;

/// Series of both sides by slot: all series of a slot have the same matching labels.
#[derive(Debug)]
pub(crate) struct Slots {
    /// For each series of the left side its slot.
    pub(crate) left: Vec<u32>,
    /// For each series of the right side its slot.
    pub(crate) right: Vec<u32>,
    /// Number of slots.
    pub(crate) count: usize,
}

impl Slots {
    /// The slots of two sides.
    pub(crate) fn of(left: &dyn Source, right: &dyn Source, matching: &VectorMatching) -> Self {
        if matching.on {
            Self::on(left, right, &matching.labels)
        } else {
            Self::ignoring(left, right, matching)
        }
    }

    /// `on`: from the dictionaries of the labels named.
    fn on(left: &dyn Source, right: &dyn Source, names: &[String]) -> Self {
        let mut slots = Slots { left: vec![0; left.len()], right: vec![0; right.len()], count: 1 };
        for name in names {
            let columns = [left.label_column(name), right.label_column(name)];
            let mut value_ids: HashMap<&str, u32> = HashMap::new();
            let mut slot_ids: HashMap<(u32, u32), u32> = HashMap::new();
            for (column, of_series) in columns.iter().zip([&mut slots.left, &mut slots.right]) {
                let shared: Vec<u32> = column
                    .values
                    .iter()
                    .map(|value| {
                        let next = value_ids.len() as u32;
                        *value_ids.entry(value).or_insert(next)
                    })
                    .collect();
                for (slot, id) in of_series.iter_mut().zip(&column.ids) {
                    let next = slot_ids.len() as u32;
                    *slot = *slot_ids.entry((*slot, shared[*id as usize])).or_insert(next);
                }
            }
            slots.count = slot_ids.len();
        }
        slots
    }

    fn ignoring(left: &dyn Source, right: &dyn Source, matching: &VectorMatching) -> Self {
        let mut slot_of: HashMap<Labels, u32> = HashMap::new();
        let mut side = |source: &dyn Source| -> Vec<u32> {
            let labels = (0..source.len()).map(|series| matching_labels(&source.labels(series), matching));
            labels
                .map(|labels| {
                    let next = slot_of.len() as u32;
                    *slot_of.entry(labels).or_insert(next)
                })
                .collect()
        };
        let (left, right) = (side(left), side(right));
        Slots { left, right, count: slot_of.len() }
    }
}

/// The labels by which a series is matched.
pub(crate) fn matching_labels(labels: &Labels, matching: &VectorMatching) -> Labels {
    let mut names: Vec<&str> = matching.labels.iter().map(String::as_str).collect();
    if matching.on {
        return labels.only(&names);
    }
    names.push(METRIC_NAME);
    labels.without(&names)
}

/// Series by slot: for each slot its series, in order.
pub(crate) fn by_slot(of_series: &[u32], count: usize) -> Vec<Vec<u32>> {
    let mut members = vec![Vec::new(); count];
    for (series, slot) in of_series.iter().enumerate() {
        members[*slot as usize].push(series as u32);
    }
    members
}
