//! `and`, `or`, `unless`.

use std::borrow::Cow;

use model::labels::Labels;
use model::storage::LabelColumn;

use super::Context;
use super::drive::for_each_column;
use super::matching::Slots;
use super::scratch::Scratch;
use super::source::{Conflict, Held, Relabelled, Source, column_of_labels};
use crate::ast::{BinaryOp, VectorMatching};
use crate::column::Column;
use crate::engine::QueryError;
use crate::memory::Reservation;
use crate::value::Steps;

/// Whether a slot has any sample, at each step: a bit for each.
struct Presence {
    bits: Vec<u64>,
    words: usize,
    _held: Reservation,
}

const WORD_BITS: usize = u64::BITS as usize;

impl Presence {
    fn of(
        ctx: &Context<'_>,
        source: &dyn Source,
        slot_of: &[u32],
        slots: usize,
        steps: usize,
    ) -> Result<Self, QueryError> {
        let words = steps.div_ceil(WORD_BITS);
        let held = ctx.budget.reserve((slots * words * size_of::<u64>()) as u64)?;
        let mut presence = Presence { bits: vec![0; slots * words], words, _held: held };
        for_each_column(ctx, source, |series, column| {
            let first = slot_of[series] as usize * words;
            for step in (0..column.len()).filter(|step| column.is_present(*step)) {
                presence.bits[first + step / WORD_BITS] |= 1 << (step % WORD_BITS);
            }
            Ok(())
        })?;
        Ok(presence)
    }

    fn has(&self, slot: u32, step: usize) -> bool {
        self.bits[slot as usize * self.words + step / WORD_BITS] >> (step % WORD_BITS) & 1 == 1
    }
}

/// The source of a set operation.
pub(crate) fn eval<'q>(
    ctx: &'q Context<'q>,
    op: BinaryOp,
    matching: &VectorMatching,
    left: Box<dyn Source + 'q>,
    right: Box<dyn Source + 'q>,
    steps: Steps,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    if op != BinaryOp::Or {
        let slots = Slots::of(&*left, &*right, matching);
        let presence = Presence::of(ctx, &*right, &slots.right, slots.count, steps.count)?;
        let kept_if = op == BinaryOp::And;
        return Ok(Box::new(Masked { inner: left, slot_of: slots.left, presence, kept_if }));
    }
    // The left side is read to know where it has samples, and is part of the result: it is held.
    let left = Held::collect(ctx, &*left)?;
    let slots = Slots::of(&left, &*right, matching);
    let presence = Presence::of(ctx, &left, &slots.left, slots.count, steps.count)?;
    let right = Masked { inner: right, slot_of: slots.right, presence, kept_if: false };
    let both = Box::new(Chained { left, right });
    let relabel: Vec<_> =
        (0..both.len()).map(|series| (both.labels(series), both.drops_name(series))).collect();
    Ok(Box::new(Relabelled::new(both, Conflict::SameStep, |series| relabel[series].clone())))
}

/// A source whose samples are kept where the other side has some in their slot, or where it has none.
struct Masked<'q> {
    inner: Box<dyn Source + 'q>,
    slot_of: Vec<u32>,
    presence: Presence,
    kept_if: bool,
}

impl Source for Masked<'_> {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn labels(&self, series: usize) -> Labels {
        self.inner.labels(series)
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        self.inner.label_column(name)
    }

    fn drops_name(&self, series: usize) -> bool {
        self.inner.drops_name(series)
    }

    fn unique_without_metadata(&self) -> bool {
        self.inner.unique_without_metadata()
    }

    fn cost(&self) -> usize {
        self.inner.cost()
    }

    fn read(&self, series: usize, scratch: &mut Scratch, out: &mut Column) -> Result<(), QueryError> {
        self.inner.read(series, scratch, out)?;
        let slot = self.slot_of[series];
        for step in 0..out.len() {
            if self.presence.has(slot, step) != self.kept_if {
                out.clear_step(step);
            }
        }
        Ok(())
    }
}

/// One source after the other.
struct Chained<'q> {
    left: Held,
    right: Masked<'q>,
}

impl Chained<'_> {
    fn locate(&self, series: usize) -> (&dyn Source, usize) {
        match series.checked_sub(self.left.len()) {
            Some(of_right) => (&self.right, of_right),
            None => (&self.left, series),
        }
    }
}

impl Source for Chained<'_> {
    fn len(&self) -> usize {
        self.left.len() + self.right.len()
    }

    fn labels(&self, series: usize) -> Labels {
        let (source, index) = self.locate(series);
        source.labels(index)
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        column_of_labels(self.len(), |series| Cow::Owned(self.labels(series).value(name).to_owned()))
    }

    fn drops_name(&self, series: usize) -> bool {
        let (source, index) = self.locate(series);
        source.drops_name(index)
    }

    fn cost(&self) -> usize {
        self.right.cost()
    }

    fn read(&self, series: usize, scratch: &mut Scratch, out: &mut Column) -> Result<(), QueryError> {
        let (source, index) = self.locate(series);
        source.read(index, scratch, out)
    }
}
