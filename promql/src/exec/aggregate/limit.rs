//! `limitk` and `limit_ratio`: some of the series of each group, whatever their values.

use super::super::drive::for_each_column;
use super::super::source::Held;
use super::{Task, extremes, topk};
use crate::column::Column;
use crate::engine::QueryError;

/// `limitk`: at every step the first k series of each group that have a sample there.
pub(super) fn first(task: &Task<'_, '_>) -> Result<Held, QueryError> {
    let Some(counts) = topk::counts(task)? else { return task.nothing() };
    let groups = task.groups();
    let steps = task.steps.count;
    let mut taken = vec![0_usize; groups.labels.len() * steps];
    let _held = task.ctx.budget.reserve((taken.len() * size_of::<usize>()) as u64)?;
    keep(task, |series, column| {
        let first = groups.of_series[series] as usize * steps;
        for (step, count) in counts.iter().enumerate() {
            if !column.is_present(step) {
                continue;
            }
            if taken[first + step] < *count {
                taken[first + step] += 1;
            } else {
                column.clear_step(step);
            }
        }
    })
}

/// `limit_ratio`: the series whose labels' hash is below the ratio of all hashes; of a negative ratio those
/// that its counterpart leaves out.
pub(super) fn ratio(task: &Task<'_, '_>) -> Result<Held, QueryError> {
    let (lowest, highest) = extremes(task.param);
    if task.param.iter().any(|ratio| ratio.is_nan()) {
        return Err(QueryError::Execution("Ratio value is NaN".to_owned()));
    }
    if lowest == 0.0 && highest == 0.0 {
        return task.nothing();
    }
    let out_of_range = [(highest > 1.0, highest, 1.0), (lowest < -1.0, lowest, -1.0)];
    for (_, got, cap) in out_of_range.into_iter().filter(|(wrong, ..)| *wrong) {
        let (got, cap) = (model::float_text::general(got), model::float_text::general(cap));
        let text = format!("ratio value should be between -1 and 1, got {got}, capping to {cap}");
        task.ctx.warn(task.param_span(), text);
    }
    keep(task, |series, column| {
        let offset = task.input.labels(series).stable_hash() as f64 / u64::MAX as f64;
        for (step, ratio) in task.param.iter().enumerate() {
            let ratio = ratio.clamp(-1.0, 1.0);
            let kept = if ratio >= 0.0 { offset < ratio } else { offset >= 1.0 + ratio };
            if !kept {
                column.clear_step(step);
            }
        }
    })
}

/// The series of which the closure leaves something.
fn keep(task: &Task<'_, '_>, mut thin: impl FnMut(usize, &mut Column)) -> Result<Held, QueryError> {
    let (mut labels, mut columns, mut drops) = (Vec::new(), Vec::new(), Vec::new());
    for_each_column(task.ctx, task.input, |series, column| {
        thin(series, column);
        if !column.is_absent() {
            labels.push(task.input.labels(series));
            drops.push(task.input.drops_name(series));
            columns.push(std::mem::take(column));
        }
        Ok(())
    })?;
    Held::new(task.ctx, labels, columns, drops)
}
