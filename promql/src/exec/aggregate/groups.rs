//! Which group a series belongs to.

use hashbrown::HashMap;

use model::labels::{Labels, LabelsBuilder, METRIC_NAME};

use super::super::source::Source;

/// The groups of an aggregation, in the order in which their first series come.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) labels: Vec<Labels>,
    /// Whether a group's metadata labels go at the end of the query.
    pub(super) drops: Vec<bool>,
    /// For each series its group.
    pub(super) of_series: Vec<u32>,
}

impl Groups {
    /// The groups of a source's series.
    pub(super) fn of(source: &dyn Source, grouping: &[String], without: bool) -> Self {
        let mut groups = match without {
            true => Self::without(source, grouping),
            false => Self::by(source, grouping),
        };
        groups.drops = vec![false; groups.labels.len()];
        for series in 0..source.len() {
            groups.drops[groups.of_series[series] as usize] |= source.drops_name(series);
        }
        groups
    }

    /// `by`: from the dictionaries of the labels named, without making any series' label set.
    fn by(source: &dyn Source, grouping: &[String]) -> Self {
        let mut of_series = vec![0_u32; source.len()];
        // For each combination of values so far: one series that has it.
        let mut examples: Vec<usize> = if source.len() == 0 { Vec::new() } else { vec![0] };
        let columns: Vec<_> = grouping.iter().map(|name| source.label_column(name)).collect();
        for column in &columns {
            let mut index_of: HashMap<(u32, u32), u32> = HashMap::new();
            examples.clear();
            for (series, group) in of_series.iter_mut().enumerate() {
                let next = examples.len() as u32;
                *group = *index_of.entry((*group, column.ids[series])).or_insert_with(|| {
                    examples.push(series);
                    next
                });
            }
        }
        let labels_of = |example: &usize| {
            let mut builder = LabelsBuilder::new();
            for (name, column) in grouping.iter().zip(&columns) {
                builder.set(name, &column.values[column.ids[*example] as usize]);
            }
            builder.build()
        };
        Groups { labels: examples.iter().map(labels_of).collect(), drops: Vec::new(), of_series }
    }

    /// `without`: the whole label sets tell the groups.
    fn without(source: &dyn Source, grouping: &[String]) -> Self {
        let mut left_out: Vec<&str> = grouping.iter().map(String::as_str).collect();
        left_out.push(METRIC_NAME);
        let mut groups = Groups::default();
        let mut index_of: HashMap<Labels, u32> = HashMap::new();
        for series in 0..source.len() {
            let labels = source.labels(series).without(&left_out);
            let next = groups.labels.len() as u32;
            let group = *index_of.entry(labels).or_insert_with_key(|labels| {
                groups.labels.push(labels.clone());
                next
            });
            groups.of_series.push(group);
        }
        groups
    }
}
