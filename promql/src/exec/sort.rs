//! `sort` and its like: the order of an instant query's result.

use std::cmp::Ordering;

use model::labels::Labels;

use super::label::text;
use super::source::{Held, Source};
use super::{Context, eval_vector};
use crate::column::Column;
use crate::engine::QueryError;
use crate::functions::quantile::nan_first;
use crate::plan::{Call, Node};
use crate::value::Steps;

/// The text of a warning.
const INEFFECTIVE: &str = "sort is ineffective for range queries since results are always ordered by labels";

/// `sort`, `sort_desc`: by value, NaN last. Histograms are left out.
pub(crate) fn by_value<'q>(
    ctx: &'q Context<'q>,
    node: &Node,
    call: &'q Call,
    descending: bool,
    steps: Steps,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    let mut held = gather(ctx, node, call, steps)?;
    for column in &mut held.columns {
        column.drop_histograms();
    }
    sort(&mut held, |(_, a), (_, b)| {
        let (a, b) = (a.values[0], b.values[0]);
        let ascending = nan_first(&a, &b);
        if descending || a.is_nan() || b.is_nan() { ascending.reverse() } else { ascending }
    });
    Ok(Box::new(held))
}

/// `sort_by_label`, `sort_by_label_desc`: by the labels named, in natural order, then by all labels.
pub(crate) fn by_label<'q>(
    ctx: &'q Context<'q>,
    node: &Node,
    call: &'q Call,
    descending: bool,
    steps: Steps,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    let mut held = gather(ctx, node, call, steps)?;
    let names: Vec<&str> = call.args[1..].iter().map(text).collect();
    sort(&mut held, |(a, _), (b, _)| {
        let differing = names.iter().map(|name| natural(a.value(name), b.value(name)));
        let order = differing.fold(Ordering::Equal, Ordering::then).then_with(|| a.cmp(b));
        if descending { order.reverse() } else { order }
    });
    Ok(Box::new(held))
}

fn gather<'q>(ctx: &'q Context<'q>, node: &Node, call: &'q Call, steps: Steps) -> Result<Held, QueryError> {
    if steps.count > 1 {
        ctx.warn(node.span, INEFFECTIVE);
    }
    Held::collect(ctx, &*eval_vector(ctx, &call.args[0], steps)?)
}

type Row<'a> = (&'a Labels, &'a Column);

fn sort(held: &mut Held, order: impl Fn(Row<'_>, Row<'_>) -> Ordering) {
    let mut rows: Vec<usize> = (0..held.columns.len()).collect();
    rows.sort_by(|a, b| order((&held.labels[*a], &held.columns[*a]), (&held.labels[*b], &held.columns[*b])));
    held.labels = rows.iter().map(|row| held.labels[*row].clone()).collect();
    held.columns = rows.iter().map(|row| std::mem::take(&mut held.columns[*row])).collect();
    held.drops = rows.iter().map(|row| held.drops[*row]).collect();
}

/// Runs of digits compare as numbers, everything else character by character.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (chunks(a), chunks(b));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match compare_chunks(a, b) {
                Ordering::Equal => {}
                order => return order,
            },
        }
    }
}

fn compare_chunks(a: &str, b: &str) -> Ordering {
    let is_number = |chunk: &str| chunk.as_bytes()[0].is_ascii_digit();
    if !is_number(a) || !is_number(b) {
        return a.cmp(b);
    }
    let (left, right) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    // Of equal numbers the one with fewer zeros before it comes first.
    left.len().cmp(&right.len()).then_with(|| left.cmp(right)).then_with(|| a.len().cmp(&b.len()))
}

/// Runs of digits and runs of everything else.
fn chunks(text: &str) -> impl Iterator<Item = &str> {
    text.as_bytes()
        .chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit())
        .scan(0, |start, chunk| {
            let begin = *start;
            *start += chunk.len();
            Some((begin, *start))
        })
        .map(move |(begin, end)| &text[begin..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_texts_compare_as_numbers() {
        for (a, b, order) in [
            ("a2", "a10", Ordering::Less),
            ("a2b", "a2a", Ordering::Greater),
            ("cpu1", "cpu01", Ordering::Less),
            ("", "a", Ordering::Less),
            ("10", "9", Ordering::Greater),
            ("é2", "é10", Ordering::Less),
            ("x", "x", Ordering::Equal),
        ] {
            assert_eq!(natural(a, b), order, "{a} {b}");
        }
    }
}
