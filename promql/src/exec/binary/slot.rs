//! Slots whose series may be in each other's way: evaluated step by step, as the reference does.

use hashbrown::{HashMap, HashSet};

use model::labels::Labels;
use model::storage::SampleValue;

use super::super::matching::matching_labels;
use super::super::source::{Held, SAME_LABELSET};
use super::join::{Join, hold_in_place, swapped};
use crate::annotations::Annotations;
use crate::ast::Cardinality;
use crate::column::Column;
use crate::engine::QueryError;

/// The evaluation of such slots.
pub(super) struct SlotEvaluation<'a, 'q> {
    join: &'a Join<'q>,
    slot_of: HashMap<Labels, usize>,
    labels: Vec<Labels>,
    columns: Vec<Column>,
    annotations: Annotations,
}

/// A sample and the series that it is of.
type Present<'a> = (&'a Labels, SampleValue);

impl<'a, 'q> SlotEvaluation<'a, 'q> {
    pub(super) fn new(join: &'a Join<'q>) -> Self {
        let (labels, columns) = (Vec::new(), Vec::new());
        SlotEvaluation { join, slot_of: HashMap::new(), labels, columns, annotations: Annotations::default() }
    }

    /// Evaluates the slots named, each over all steps.
    pub(super) fn evaluate(
        mut self,
        slots: &[usize],
        many_by_slot: &[Vec<u32>],
        one_by_slot: &[Vec<u32>],
    ) -> Result<Held, QueryError> {
        let many = hold_in_place(self.join.ctx, &*self.join.many)?;
        let one = hold_in_place(self.join.ctx, &*self.join.one)?;
        for slot in slots {
            self.check_unique(&one_by_slot[*slot], &many, &one)?;
        }
        for slot in slots {
            self.join.ctx.check()?;
            for step in 0..self.join.steps.count {
                let present = |held: &'_ Held, members: &[u32]| -> Vec<(usize, SampleValue)> {
                    let members = members.iter().map(|series| *series as usize);
                    members.filter_map(|s| Some((s, held.columns[s].get(step)?))).collect()
                };
                let of_many = present(&many, &many_by_slot[*slot]);
                let of_one = present(&one, &one_by_slot[*slot]).into_iter().next();
                let of_many: Vec<Present<'_>> =
                    of_many.into_iter().map(|(series, sample)| (&many.labels[series], sample)).collect();
                let of_one = of_one.map(|(series, sample)| (&one.labels[series], sample));
                self.step(step, &of_many, of_one)?;
            }
        }
        self.join.ctx.annotate(std::mem::take(&mut self.annotations));
        let drops = vec![self.join.operation.return_bool; self.labels.len()];
        Held::new(self.join.ctx, self.labels, self.columns, drops)
    }

    /// One sample of the one side at most, wherever the other side has any at all.
    fn check_unique(&self, one_series: &[u32], many: &Held, one: &Held) -> Result<(), QueryError> {
        let matching = self.join.matching;
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        for step in 0..self.join.steps.count {
            let mut present = one_series.iter().filter(|s| one.columns[**s as usize].is_present(step));
            let (Some(first), Some(second)) = (present.next(), present.next()) else { continue };
            if !fills && !many.columns.iter().any(|column| column.is_present(step)) {
                continue;
            }
            let labels = [first, second].map(|series| &one.labels[*series as usize]);
            let mut texts = labels.map(ToString::to_string);
            texts.sort();
            let side = if swapped(matching) { "left" } else { "right" };
            let group = matching_labels(labels[1], matching);
            return Err(QueryError::Execution(format!(
                "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                texts[0], texts[1]
            )));
        }
        Ok(())
    }

    fn step(
        &mut self,
        step: usize,
        many: &[Present<'_>],
        one: Option<Present<'_>>,
    ) -> Result<(), QueryError> {
        let matching = self.join.matching;
        // As in the reference, `group_right` turns the sides around, but not their fill values.
        let (fill_many, fill_one) = (matching.fill_left, matching.fill_right);
        let mut inserted: HashSet<Labels> = HashSet::new();
        for (labels, sample) in many {
            match (&one, fill_one) {
                (Some((one_labels, one_sample)), _) => {
                    self.pair(step, (labels, sample), (one_labels, one_sample), &mut inserted)?;
                }
                (None, Some(fill)) => {
                    let stand_in = matching_labels(labels, matching);
                    let fill = SampleValue::Float(fill);
                    self.pair(step, (labels, sample), (&stand_in, &fill), &mut inserted)?;
                }
                (None, None) => {}
            }
        }
        if let (Some((labels, sample)), Some(fill)) = (&one, fill_many)
            && inserted.is_empty()
        {
            let stand_in = matching_labels(labels, matching);
            self.pair(step, (&stand_in, &SampleValue::Float(fill)), (labels, sample), &mut inserted)?;
        }
        Ok(())
    }

    fn pair(
        &mut self,
        step: usize,
        (many_labels, many): (&Labels, &SampleValue),
        (one_labels, one): (&Labels, &SampleValue),
        inserted: &mut HashSet<Labels>,
    ) -> Result<(), QueryError> {
        let Some(result) = self.join.element(many, one, &mut self.annotations) else { return Ok(()) };
        let labels = self.join.result_labels(many_labels, one_labels);
        let wrong = |text: &str| Err(QueryError::Execution(text.to_owned()));
        if self.join.matching.cardinality == Cardinality::OneToOne {
            if !inserted.is_empty() {
                return wrong(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                );
            }
            inserted.insert(labels.clone());
        } else if !inserted.insert(labels.clone()) {
            return wrong("multiple matches for labels: grouping labels must ensure unique matches");
        }
        let Some(sample) = result else { return Ok(()) };
        let column = self.column(labels);
        if column.is_present(step) {
            return wrong(SAME_LABELSET);
        }
        column.set(step, sample);
        Ok(())
    }

    fn column(&mut self, labels: Labels) -> &mut Column {
        let next = self.columns.len();
        let index = *self.slot_of.entry(labels).or_insert_with_key(|labels| {
            self.labels.push(labels.clone());
            self.columns.push(Column::absent(self.join.steps.count));
            next
        });
        &mut self.columns[index]
    }
}
