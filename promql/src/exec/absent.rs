//! `absent`, `absent_over_time`, `scalar`, `vector`: from many series to one, or back.

use hashbrown::HashSet;

use model::labels::{Labels, LabelsBuilder, METRIC_NAME};
use model::matcher::{MatchOp, Matcher};
use model::value::{NORMAL_NAN, STALE_NAN};

use super::drive::for_each_column;
use super::source::{Held, Source};
use super::{Context, window};
use crate::column::Column;
use crate::engine::QueryError;
use crate::plan::function::WindowFunction;
use crate::plan::{Call, Node, NodeKind};
use crate::value::Steps;

/// `absent`: 1 where no series has a sample.
pub(crate) fn absent<'q>(
    ctx: &'q Context<'q>,
    call: &'q Call,
    steps: Steps,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    let input = super::eval_vector(ctx, &call.args[0], steps)?;
    ones_where_absent(ctx, &*input, labels_of(&call.args[0]), false, steps)
}

/// `absent_over_time`: 1 where no series has a sample in its window.
pub(crate) fn absent_over_time<'q>(
    ctx: &'q Context<'q>,
    call: &'q Call,
    steps: Steps,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    let input = window::source(ctx, WindowFunction::Present, call, steps)?;
    ones_where_absent(ctx, &input, labels_of(&call.args[0]), true, steps)
}

fn ones_where_absent<'q>(
    ctx: &Context<'q>,
    input: &dyn Source,
    labels: Labels,
    drops: bool,
    steps: Steps,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    let held_before = ctx.budget.samples();
    let mut ones = Column { values: vec![1.0; steps.count], histograms: Vec::new() };
    for_each_column(ctx, input, |_, column| {
        for step in 0..steps.count {
            if column.is_present(step) {
                ones.values[step] = STALE_NAN;
            }
        }
        Ok(())
    })?;
    ctx.budget.set_samples(held_before);
    Ok(Box::new(Held::new(ctx, vec![labels], vec![ones], vec![drops])?))
}

/// The labels that a series that isn't there would certainly have: those with one `=` matcher.
fn labels_of(arg: &Node) -> Labels {
    match &arg.kind {
        NodeKind::StepInvariant(inner) => labels_of(inner),
        NodeKind::Select(select) => labels_of_matchers(&select.matchers),
        NodeKind::Range(range) => labels_of_matchers(&range.select.matchers),
        _ => Labels::empty(),
    }
}

fn labels_of_matchers(matchers: &[Matcher]) -> Labels {
    let mut builder = LabelsBuilder::new();
    let mut seen = HashSet::new();
    // The reference's storage has put those last that only take away from what the others select.
    let only_excludes = |matcher: &&Matcher| {
        matches!(matcher.op(), MatchOp::NotEqual | MatchOp::NotRegex) && matcher.matches_empty()
    };
    let (last, first): (Vec<&Matcher>, Vec<&Matcher>) = matchers.iter().partition(only_excludes);
    for matcher in first.into_iter().chain(last).filter(|matcher| matcher.name() != METRIC_NAME) {
        if matcher.op() == MatchOp::Equal && !seen.contains(matcher.name()) {
            builder.set(matcher.name(), matcher.value());
            seen.insert(matcher.name());
        } else {
            builder.remove(matcher.name());
        }
    }
    builder.build()
}

/// `scalar`: the one float at each step, NaN if there are none or several.
pub(crate) fn scalar<'q>(ctx: &'q Context<'q>, call: &'q Call, steps: Steps) -> Result<Vec<f64>, QueryError> {
    let held_before = ctx.budget.samples();
    let input = super::eval_vector(ctx, &call.args[0], steps)?;
    let mut values = vec![NORMAL_NAN; steps.count];
    let mut found = vec![false; steps.count];
    for_each_column(ctx, &*input, |_, column| {
        for step in 0..steps.count {
            if let Some(value) = column.float(step) {
                values[step] = if found[step] { NORMAL_NAN } else { value };
                found[step] = true;
            }
        }
        Ok(())
    })?;
    ctx.budget.set_samples(held_before);
    Ok(values)
}

/// `vector`: a scalar as a series without labels.
pub(crate) fn vector<'q>(ctx: &Context<'q>, values: Vec<f64>) -> Result<Box<dyn Source + 'q>, QueryError> {
    let column = Column { values, histograms: Vec::new() };
    Ok(Box::new(Held::new(ctx, vec![Labels::empty()], vec![column], vec![false])?))
}
