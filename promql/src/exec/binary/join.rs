//! Two vectors, matched series by series.
//!
//! Series find each other by slot. Where a slot has one series of the "one" side, and its results are told
//! apart by their labels, every result is a pair of series and is computed when it is read. Slots where
//! series can be in each other's way, and all slots of an operation that fills in missing sides, are
//! evaluated at once, step by step: see [`super::slot`].

use hashbrown::HashSet;

use model::labels::{Labels, LabelsBuilder};
use model::storage::SampleValue;
use model::value::{STALE_NAN, is_stale_nan};

use super::super::drive::{for_each_column, read_in_vain};
use super::super::matching::{Slots, by_slot};
use super::super::scratch::Scratch;
use super::super::source::{Conflict, Held, METADATA_LABELS, Relabelled, Source};
use super::super::{Context, scalar};
use super::changes_metric;
use super::element::{self, Notes};
use super::slot::SlotEvaluation;
use crate::annotations::Annotations;
use crate::ast::{Cardinality, Span, VectorMatching};
use crate::column::Column;
use crate::engine::QueryError;
use crate::plan::{Binary, Node};
use crate::value::Steps;

/// An operation of two vectors. The "many" side is the left one, unless `group_right` says otherwise.
pub(super) struct Join<'q> {
    pub(super) ctx: &'q Context<'q>,
    pub(super) operation: &'q Binary,
    pub(super) matching: &'q VectorMatching,
    pub(super) many: Box<dyn Source + 'q>,
    pub(super) one: Box<dyn Source + 'q>,
    pub(super) span: Span,
    pub(super) steps: Steps,
}

/// The source of such an operation.
pub(crate) fn eval<'q>(
    ctx: &'q Context<'q>,
    node: &'q Node,
    operation: &'q Binary,
    matching: &'q VectorMatching,
    left: Box<dyn Source + 'q>,
    right: Box<dyn Source + 'q>,
    steps: Steps,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    let (many, one) = if swapped(matching) { (right, left) } else { (left, right) };
    let mut join = Join { ctx, operation, matching, many, one, span: node.span, steps };
    let slots = Slots::of(&*join.many, &*join.one, matching);
    let (many_by_slot, one_by_slot) = (by_slot(&slots.left, slots.count), by_slot(&slots.right, slots.count));
    let (mut pairs, mut labels, mut entangled) = (Vec::new(), Vec::new(), Vec::new());
    for slot in 0..slots.count {
        let (many, one) = (&many_by_slot[slot], &one_by_slot[slot]);
        match join.pairs_of(many, one) {
            Some(of_slot) => of_slot.into_iter().for_each(|(pair, label_set)| {
                pairs.push(pair);
                labels.push(label_set);
            }),
            None => entangled.push(slot),
        }
    }
    let mut drops = vec![operation.return_bool; labels.len()];
    let mut held = Held::empty();
    if entangled.is_empty() {
        join.read_unmatched(&pairs)?;
    } else {
        let evaluation = SlotEvaluation::new(&join);
        held = evaluation.evaluate(&entangled, &many_by_slot, &one_by_slot)?;
        labels.extend(held.labels.iter().cloned());
        drops.extend(held.drops.iter().copied());
    }
    if matching.cardinality != Cardinality::OneToOne && !pairs.is_empty() {
        // Every series of the one side is read for each of its partners.
        join.one = Box::new(hold_in_place(ctx, &*join.one)?);
    }
    let source = Box::new(Pairs { join, pairs, held });
    Ok(Box::new(Relabelled::new(source, Conflict::SameStep, |series| {
        (labels[series].clone(), drops[series])
    })))
}

/// Whether the many side is the right one.
pub(super) fn swapped(matching: &VectorMatching) -> bool {
    matching.cardinality == Cardinality::OneToMany
}

/// All columns, those without samples too, so that indexes stay what they are.
pub(super) fn hold_in_place(ctx: &Context<'_>, source: &dyn Source) -> Result<Held, QueryError> {
    let mut columns = Vec::with_capacity(source.len());
    for_each_column(ctx, source, |_, column| {
        columns.push(std::mem::take(column));
        Ok(())
    })?;
    let labels = (0..source.len()).map(|series| source.labels(series)).collect();
    let drops = (0..source.len()).map(|series| source.drops_name(series)).collect();
    Held::new(ctx, labels, columns, drops)
}

/// A series of the many side and its partner.
#[derive(Clone, Copy, Debug)]
struct Pair {
    many: u32,
    one: u32,
}

impl Join<'_> {
    /// The pairs of a slot with their labels, if its series can't be in each other's way.
    fn pairs_of(&self, many: &[u32], one: &[u32]) -> Option<Vec<(Pair, Labels)>> {
        let fills = self.matching.fill_left.is_some() || self.matching.fill_right.is_some();
        if fills || one.len() > 1 {
            return None;
        }
        let [one] = one else { return Some(Vec::new()) };
        if self.matching.cardinality == Cardinality::OneToOne && many.len() > 1 {
            return None;
        }
        let of_one = self.one.labels(*one as usize);
        let mut seen = HashSet::with_capacity(many.len());
        let mut pairs = Vec::with_capacity(many.len());
        for series in many {
            let labels = self.result_labels(&self.many.labels(*series as usize), &of_one);
            if many.len() > 1 && !seen.insert(labels.clone()) {
                return None;
            }
            pairs.push((Pair { many: *series, one: *one }, labels));
        }
        Some(pairs)
    }

    /// Reads the series that are in no pair, if that may tell something.
    fn read_unmatched(&self, pairs: &[Pair]) -> Result<(), QueryError> {
        let (left, right) = (&*self.operation.lhs, &*self.operation.rhs);
        let (of_many, of_one) = if swapped(self.matching) { (right, left) } else { (left, right) };
        let paired: [Vec<u32>; 2] =
            [pairs.iter().map(|pair| pair.many).collect(), pairs.iter().map(|pair| pair.one).collect()];
        for (node, source, paired) in [(of_many, &self.many, &paired[0]), (of_one, &self.one, &paired[1])] {
            if node.is_silent() {
                continue;
            }
            let mut unmatched = vec![true; source.len()];
            paired.iter().for_each(|series| unmatched[*series as usize] = false);
            read_in_vain(self.ctx, &**source, (0..source.len()).filter(|series| unmatched[*series]))?;
        }
        Ok(())
    }

    /// Labels of the result of two series.
    pub(super) fn result_labels(&self, many: &Labels, one: &Labels) -> Labels {
        let delayed = self.ctx.features.delayed_name_removal;
        let (op, matching) = (self.operation.op, self.matching);
        let mut builder = LabelsBuilder::from_labels(many);
        if changes_metric(op) || (self.operation.return_bool && !delayed) {
            builder.retain(|name, _| !METADATA_LABELS.contains(&name));
        }
        if matching.cardinality == Cardinality::OneToOne {
            builder.retain(|name, _| matching.on == matching.labels.iter().any(|label| label == name));
        }
        for name in &matching.include {
            builder.set(name, one.value(name));
        }
        builder.build()
    }

    /// Computes the result of two columns in place of that of the many side.
    fn combine(&self, many: &mut Column, one: &Column) {
        let arithmetic = changes_metric(self.operation.op);
        let plain = !many.has_histograms() && !one.has_histograms();
        if plain && (arithmetic || self.operation.op.is_comparison()) {
            self.combine_floats(&mut many.values, &one.values);
            return;
        }
        let mut annotations = Annotations::default();
        for step in 0..many.len() {
            let (own, other) = (many.get(step), one.get(step));
            many.clear_step(step);
            let (Some(own), Some(other)) = (own, other) else { continue };
            if let Some(Some(sample)) = self.element(&own, &other, &mut annotations) {
                many.set(step, sample);
            }
        }
        self.ctx.annotate(annotations);
    }

    fn combine_floats(&self, many: &mut [f64], one: &[f64]) {
        let (op, return_bool, swapped) =
            (self.operation.op, self.operation.return_bool, swapped(self.matching));
        let arithmetic = changes_metric(op);
        for (value, other) in many.iter_mut().zip(one) {
            if is_stale_nan(*value) || is_stale_nan(*other) {
                *value = STALE_NAN;
                continue;
            }
            let (lhs, rhs) = if swapped { (*other, *value) } else { (*value, *other) };
            *value = if arithmetic {
                scalar::arithmetic(op, lhs, rhs)
            } else {
                match (return_bool, scalar::compare(op, lhs, rhs)) {
                    (true, holds) => scalar::truth(holds),
                    (false, true) => lhs,
                    (false, false) => STALE_NAN,
                }
            };
        }
    }

    /// The result of two samples: `None` if there is no such operation, `Some(None)` if a comparison
    /// doesn't hold.
    pub(super) fn element(
        &self,
        many: &SampleValue,
        one: &SampleValue,
        annotations: &mut Annotations,
    ) -> Option<Option<SampleValue>> {
        let mut notes = Notes { span: self.span, annotations, infos_only: false };
        let (lhs, rhs) = if swapped(self.matching) { (one, many) } else { (many, one) };
        let outcome = element::operate(self.operation.op, lhs, rhs, &mut notes)?;
        Some(match (self.operation.return_bool, outcome.keep) {
            (true, keep) => Some(SampleValue::Float(scalar::truth(keep))),
            (false, true) => Some(outcome.sample),
            (false, false) => None,
        })
    }
}

/// Results: first those of pairs, then those that are held.
struct Pairs<'q> {
    join: Join<'q>,
    pairs: Vec<Pair>,
    held: Held,
}

impl Source for Pairs<'_> {
    fn len(&self) -> usize {
        self.pairs.len() + self.held.len()
    }

    /// Labels are told by the source around this one; here they are only asked for in vain.
    fn labels(&self, series: usize) -> Labels {
        match self.pairs.get(series) {
            Some(pair) => {
                let many = self.join.many.labels(pair.many as usize);
                self.join.result_labels(&many, &self.join.one.labels(pair.one as usize))
            }
            None => self.held.labels(series - self.pairs.len()),
        }
    }

    fn cost(&self) -> usize {
        self.join.many.cost() + self.join.one.cost()
    }

    fn read(&self, series: usize, scratch: &mut Scratch, out: &mut Column) -> Result<(), QueryError> {
        let Some(pair) = self.pairs.get(series) else {
            return self.held.read(series - self.pairs.len(), scratch, out);
        };
        self.join.many.read(pair.many as usize, scratch, out)?;
        let mut other = scratch.take_column();
        self.join.one.read(pair.one as usize, scratch, &mut other)?;
        self.join.combine(out, &other);
        scratch.give_column(other);
        Ok(())
    }
}
