//! `topk` and `bottomk`: at every step the series with the highest or lowest values of each group.

use model::value::is_stale_nan;

use super::super::drive::for_each_column;
use super::super::source::Held;
use super::{Task, extremes, note_ignored};
use crate::annotations::Annotations;
use crate::ast::AggregateOp;
use crate::column::Column;
use crate::engine::QueryError;

/// The largest float below 2^63; no greater one is an `i64`.
const INT64_MAX: f64 = 9_223_372_036_854_774_784.0;
/// −2^63
const INT64_MIN: f64 = -9_223_372_036_854_775_808.0;

/// How many series a step keeps of each group; `None` if no step keeps any.
pub(super) fn counts(task: &Task<'_, '_>) -> Result<Option<Vec<usize>>, QueryError> {
    let (lowest, highest) = extremes(task.param);
    let wrong = |text: String| Err(QueryError::Execution(text));
    if task.param.iter().any(|k| k.is_nan()) {
        return wrong("Parameter value is NaN".to_owned());
    }
    if highest < 1.0 {
        return Ok(None);
    }
    if lowest <= INT64_MIN {
        return wrong(format!("Scalar value {} underflows int64", model::float_text::general(lowest)));
    }
    if highest >= INT64_MAX {
        return wrong(format!("Scalar value {} overflows int64", model::float_text::general(highest)));
    }
    let series = task.input.len();
    Ok(Some(task.param.iter().map(|k| (*k as i64).clamp(0, series as i64) as usize).collect()))
}

/// A value of a series.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    value: f64,
    series: u32,
}

/// The candidates of a group at a step: a binary heap whose top is the first to be replaced.
#[derive(Clone, Debug, Default)]
struct Heap(Vec<Candidate>);

impl Heap {
    /// Whether `a` is to be replaced before `b`; NaN before everything else.
    fn goes_first(op: AggregateOp, a: Candidate, b: Candidate) -> bool {
        a.value.is_nan() || if op == AggregateOp::Topk { a.value < b.value } else { a.value > b.value }
    }

    fn offer(&mut self, op: AggregateOp, candidate: Candidate, k: usize) {
        let heap = &mut self.0;
        if heap.len() < k {
            heap.push(candidate);
            Self::sift_up(heap, op);
        } else if let Some(top) = heap.first().copied() {
            let replaced_nan = top.value.is_nan() && !candidate.value.is_nan();
            if replaced_nan || (!top.value.is_nan() && Self::goes_first(op, top, candidate)) {
                heap[0] = candidate;
                Self::sift_down(heap, op);
            }
        }
    }

    fn sift_up(heap: &mut [Candidate], op: AggregateOp) {
        let mut child = heap.len() - 1;
        while child > 0 {
            let parent = (child - 1) / 2;
            if !Self::goes_first(op, heap[child], heap[parent]) {
                break;
            }
            heap.swap(parent, child);
            child = parent;
        }
    }

    fn sift_down(heap: &mut [Candidate], op: AggregateOp) {
        let mut parent = 0;
        loop {
            let left = 2 * parent + 1;
            if left >= heap.len() {
                break;
            }
            let right = left + 1;
            let right_first = right < heap.len() && Self::goes_first(op, heap[right], heap[left]);
            let child = if right_first { right } else { left };
            if !Self::goes_first(op, heap[child], heap[parent]) {
                break;
            }
            heap.swap(parent, child);
            parent = child;
        }
    }

    /// The candidates, the best one first, NaN last.
    fn best_first(mut self, op: AggregateOp) -> Vec<Candidate> {
        self.0.sort_by(|a, b| {
            let ascending = crate::functions::quantile::nan_first(&a.value, &b.value);
            match (op, a.value.is_nan() || b.value.is_nan()) {
                (AggregateOp::Topk, _) | (_, true) => ascending.reverse(),
                _ => ascending,
            }
        });
        self.0
    }
}

/// The series that are among the best at any step, in an instant query the best ones first.
pub(super) fn select(task: &Task<'_, '_>) -> Result<Held, QueryError> {
    let Some(counts) = counts(task)? else { return task.nothing() };
    let (ctx, op, steps) = (task.ctx, task.aggregate.op, task.steps.count);
    let groups = task.groups();
    let mut heaps = vec![Heap::default(); groups.labels.len() * steps];
    let heap_bytes = |k: &usize| size_of::<Heap>() + k * size_of::<Candidate>();
    let bytes = counts.iter().map(heap_bytes).sum::<usize>() * groups.labels.len();
    let _held = ctx.budget.reserve(bytes as u64)?;
    let mut notes = Annotations::default();
    for_each_column(ctx, task.input, |series, column| {
        let first = groups.of_series[series] as usize * steps;
        for (step, value) in column.values.iter().enumerate() {
            if !is_stale_nan(*value) {
                let candidate = Candidate { value: *value, series: series as u32 };
                heaps[first + step].offer(op, candidate, counts[step]);
            }
        }
        if column.histograms.iter().any(Option::is_some) {
            note_ignored(&mut notes, task.node.span, op);
        }
        Ok(())
    })?;
    ctx.annotate(notes);
    collect(task, heaps.into_iter().enumerate().map(|(cell, heap)| (cell % steps, heap.best_first(op))))
}

/// Columns of the chosen series with what they have at the steps where they are chosen.
fn collect(
    task: &Task<'_, '_>,
    chosen: impl Iterator<Item = (usize, Vec<Candidate>)>,
) -> Result<Held, QueryError> {
    let steps = task.steps.count;
    let mut slot_of: hashbrown::HashMap<u32, usize> = hashbrown::HashMap::new();
    let (mut labels, mut columns, mut drops) = (Vec::new(), Vec::new(), Vec::new());
    for (step, candidates) in chosen {
        for Candidate { value, series } in candidates {
            let slot = *slot_of.entry(series).or_insert_with(|| {
                labels.push(task.input.labels(series as usize));
                drops.push(task.input.drops_name(series as usize));
                columns.push(Column::absent(steps));
                columns.len() - 1
            });
            columns[slot].values[step] = value;
        }
    }
    Held::new(task.ctx, labels, columns, drops)
}
