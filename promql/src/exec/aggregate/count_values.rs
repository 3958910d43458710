//! `count_values`: how many series have each value.

use hashbrown::HashMap;

use model::labels::{Labels, LabelsBuilder, METRIC_NAME};
use model::storage::SampleValue;

use super::super::drive::for_each_column;
use super::super::label::is_label_name;
use super::super::source::Held;
use super::Task;
use crate::column::Column;
use crate::engine::QueryError;
use crate::parse::quoted;

/// Counts values under their texts.
pub(super) fn count(task: &Task<'_, '_>) -> Result<Held, QueryError> {
    let label = task.text_param();
    if !is_label_name(label) {
        return Err(QueryError::Execution(format!("invalid label name {}", quoted(label))));
    }
    let mut counts = Counts { task, label, slot_of: HashMap::new(), labels: Vec::new(), columns: Vec::new() };
    let mut held = task.ctx.budget.reserve(0)?;
    for_each_column(task.ctx, task.input, |series, column| {
        let before = counts.columns.len();
        counts.add(series, column);
        let new = counts.columns.len() - before;
        held.grow((new * task.steps.count * size_of::<f64>()) as u64)
    })?;
    let Counts { labels, columns, .. } = counts;
    let drops = vec![false; labels.len()];
    drop(held);
    Held::new(task.ctx, labels, columns, drops)
}

struct Counts<'a, 'b, 'q> {
    task: &'a Task<'b, 'q>,
    label: &'a str,
    slot_of: HashMap<Labels, usize>,
    labels: Vec<Labels>,
    columns: Vec<Column>,
}

impl Counts<'_, '_, '_> {
    fn add(&mut self, series: usize, column: &Column) {
        let base = self.task.input.labels(series);
        // Values repeat from step to step: their group is looked up once.
        let mut last: Option<(u64, usize)> = None;
        for step in 0..column.len() {
            let slot = match column.get(step) {
                None => continue,
                Some(SampleValue::Float(value)) => match last {
                    Some((bits, slot)) if bits == value.to_bits() => slot,
                    _ => {
                        let slot = self.slot(&base, &model::float_text::plain(value));
                        last = Some((value.to_bits(), slot));
                        slot
                    }
                },
                Some(SampleValue::Histogram(histogram)) => self.slot(&base, &histogram.to_string()),
            };
            let count = self.columns[slot].float(step).unwrap_or(0.0);
            self.columns[slot].values[step] = count + 1.0;
        }
    }

    fn slot(&mut self, base: &Labels, value: &str) -> usize {
        let (grouping, without) = (&self.task.aggregate.grouping, self.task.aggregate.without);
        let mut builder = LabelsBuilder::from_labels(base);
        builder.set(self.label, value);
        let label = self.label;
        builder.retain(|name, _| match without {
            true => name != METRIC_NAME && !grouping.iter().any(|left_out| left_out == name),
            false => name == label || grouping.iter().any(|kept| kept == name),
        });
        let labels = builder.build();
        let next = self.columns.len();
        let steps = self.task.steps.count;
        *self.slot_of.entry(labels).or_insert_with_key(|labels| {
            self.labels.push(labels.clone());
            self.columns.push(Column::absent(steps));
            next
        })
    }
}
