//! From matchers to series ids, over any [`LabelIndex`]: the head's and a block's are searched by this one
//! piece of code.
//!
//! A matcher that a series without the label doesn't satisfy *includes*: the answer lies within the union of
//! the postings of the values it matches. Every other matcher *excludes*: the postings of the values that it
//! doesn't match are taken away, and series without the label stay. So a selection begins with the most
//! selective inclusion, or with all series, and narrows that running set:
//!
//! 1. inclusions by literal values (`=`, `=~"a|b"`), whose lengths are known, from the shortest on;
//! 2. if there are none, the expression over the fewest values gives the running set;
//! 3. the rest from the cheapest on, where a clause over more values or ids than checking the labels of the
//!    few series that are left would cost is checked on labels, all such clauses in one pass at the end.
//!
//! `=~".*"` vanishes. The values of a name are tried against an expression at most once per matcher, after
//! narrowing by the expression's literal prefix.

use std::collections::BTreeSet;

use model::cancel::Cancel;
use model::matcher::{MatchOp, Matcher};
use model::storage::StorageError;

use crate::error::check;
use crate::postings::{Postings, SeriesId, union_of_disjoint};

/// What checking the labels of one series costs, in ids of a list copied: decoding its labels.
const LABEL_CHECK_COST: usize = 32;
/// What trying one value against an expression costs, in the same unit.
const VALUE_TEST_COST: usize = 8;
/// How many values or series are looked at between two looks at the cancel flag.
const CANCEL_EVERY: usize = 4096;

/// A visitor of the values of a label; returns whether to go on.
pub type ValueVisitor<'v, 'a> = dyn FnMut(&'a str, PostingsRef) -> bool + 'v;

/// Where an index has a list of postings, in its own terms: an offset, the number of a slot. Values whose
/// lists nobody asks for cost nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostingsRef(pub u64);

/// An index of series by their labels. Answers don't change while it is borrowed.
pub trait LabelIndex {
    /// The ids of all series.
    fn all(&self) -> Result<Postings<'_>, StorageError>;

    /// The ids of the series that have the label pair.
    fn postings(&self, name: &str, value: &str) -> Result<Postings<'_>, StorageError>;

    /// The list that a visit of values named.
    fn postings_at(&self, list: PostingsRef) -> Result<Postings<'_>, StorageError>;

    /// Number of values that the label has.
    fn value_count(&self, name: &str) -> usize;

    /// Visits the values of a label that begin with `prefix`, each once and in any order, until the visitor
    /// says no. Lists of different values have no id in common.
    fn visit_values<'a>(
        &'a self,
        name: &str,
        prefix: &str,
        visit: &mut ValueVisitor<'_, 'a>,
    ) -> Result<(), StorageError>;

    /// Visits the names of all labels, each once and in any order.
    fn visit_names<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) -> Result<(), StorageError>;

    /// Visits the labels of a series in order of their names.
    fn visit_labels<'a>(
        &'a self,
        id: SeriesId,
        visit: &mut dyn FnMut(&'a str, &'a str),
    ) -> Result<(), StorageError>;
}

/// The ids of the series that satisfy all matchers, ascending. No matchers select everything.
///
/// # Errors
///
/// [`StorageError::Cancelled`], and whatever the index meets.
pub fn postings_for_matchers<I: LabelIndex + ?Sized>(
    index: &I,
    matchers: &[Matcher],
    cancel: &Cancel,
) -> Result<Vec<SeriesId>, StorageError> {
    let mut literals = Vec::new();
    let mut scans = Vec::new();
    for clause in matchers.iter().filter_map(Clause::new) {
        match &clause.values {
            Values::Scan(_) => scans.push(clause),
            Values::Literals(values) => {
                let lists = lookup(index, clause.matcher.name(), values)?;
                literals.push((clause, lists));
            }
        }
    }
    literals.sort_by_cached_key(|(clause, lists)| (clause.excludes, total_len(lists)));
    scans.sort_by_cached_key(|clause| (clause.excludes, index.value_count(clause.matcher.name())));

    let mut running = Running { index, cancel, ids: None, on_labels: Vec::new() };
    for (clause, lists) in literals.iter().filter(|(clause, _)| !clause.excludes) {
        running.apply_lists(clause, lists)?;
    }
    let first_scan = scans.first().filter(|clause| running.ids.is_none() && !clause.excludes).is_some();
    if first_scan {
        running.apply_scan(&scans.remove(0))?;
    }
    for (clause, lists) in literals.iter().filter(|(clause, _)| clause.excludes) {
        running.apply_lists(clause, lists)?;
    }
    for clause in &scans {
        running.apply_scan(clause)?;
    }
    running.finish()
}

/// The names of the labels of the series that satisfy all matchers; sorted, at most `limit` (0: no limit).
pub fn label_names<I: LabelIndex + ?Sized>(
    index: &I,
    matchers: &[Matcher],
    limit: usize,
    cancel: &Cancel,
) -> Result<Vec<String>, StorageError> {
    let mut names = BTreeSet::new();
    if matchers.is_empty() {
        index.visit_names(&mut |name| names.extend([name]))?;
    } else {
        for (nth, id) in postings_for_matchers(index, matchers, cancel)?.into_iter().enumerate() {
            check_every(nth, cancel)?;
            index.visit_labels(id, &mut |name, _| names.extend([name]))?;
        }
    }
    let limit = if limit == 0 { usize::MAX } else { limit };
    Ok(names.into_iter().take(limit).map(str::to_owned).collect())
}

/// The values of a label among the series that satisfy all matchers; sorted, at most `limit` (0: no limit).
pub fn label_values<I: LabelIndex + ?Sized>(
    index: &I,
    name: &str,
    matchers: &[Matcher],
    limit: usize,
    cancel: &Cancel,
) -> Result<Vec<String>, StorageError> {
    let mut values: Vec<&str> = Vec::new();
    if matchers.is_empty() {
        index.visit_values(name, "", &mut |value, _| {
            values.push(value);
            true
        })?;
    } else {
        let ids = postings_for_matchers(index, matchers, cancel)?;
        if ids.len() * LABEL_CHECK_COST < index.value_count(name) * VALUE_TEST_COST {
            values_by_series(index, name, &ids, cancel, &mut values)?;
        } else {
            values_by_postings(index, name, &ids, cancel, &mut values)?;
        }
    }
    if limit > 0 && limit < values.len() {
        values.select_nth_unstable(limit);
        values.truncate(limit);
    }
    values.sort_unstable();
    Ok(values.into_iter().map(str::to_owned).collect())
}

/// Appends the distinct values of a label by looking at the labels of each series.
fn values_by_series<'a, I: LabelIndex + ?Sized>(
    index: &'a I,
    name: &str,
    ids: &[SeriesId],
    cancel: &Cancel,
    out: &mut Vec<&'a str>,
) -> Result<(), StorageError> {
    let mut distinct = BTreeSet::new();
    for (nth, id) in ids.iter().enumerate() {
        check_every(nth, cancel)?;
        index.visit_labels(*id, &mut |n, value| {
            if n == name {
                distinct.insert(value);
            }
        })?;
    }
    out.extend(distinct);
    Ok(())
}

/// Appends the values of a label that any of the series has, by looking at the postings of each value.
fn values_by_postings<'a, I: LabelIndex + ?Sized>(
    index: &'a I,
    name: &str,
    ids: &[SeriesId],
    cancel: &Cancel,
    out: &mut Vec<&'a str>,
) -> Result<(), StorageError> {
    let mut candidates = Vec::with_capacity(index.value_count(name));
    index.visit_values(name, "", &mut |value, list| {
        candidates.push((value, list));
        true
    })?;
    for (nth, (value, list)) in candidates.into_iter().enumerate() {
        check_every(nth, cancel)?;
        if index.postings_at(list)?.intersects(ids) {
            out.push(value);
        }
    }
    Ok(())
}

/// A matcher as a set of values to include or to exclude.
struct Clause<'m> {
    matcher: &'m Matcher,
    excludes: bool,
    values: Values<'m>,
}

/// Which values a clause speaks of.
enum Values<'m> {
    /// These.
    Literals(Vec<&'m str>),
    /// Those with this prefix that [`Clause::speaks_of`].
    Scan(&'m str),
}

impl<'m> Clause<'m> {
    /// `None` if every series satisfies the matcher whatever its labels.
    fn new(matcher: &'m Matcher) -> Option<Self> {
        let excludes = matcher.matches_empty();
        let negative = matcher.op().is_negative();
        let values = match (matcher.op(), matcher.regex()) {
            // The values that are spoken of are those that the text or expression matches.
            (MatchOp::Equal | MatchOp::NotEqual, _) if excludes == negative => {
                Values::Literals(vec![matcher.value()])
            }
            (_, Some(regex)) if excludes == negative => match regex.set() {
                Some(set) => Values::Literals(set.iter().map(String::as_str).collect()),
                None => Values::Scan(regex.prefix()),
            },
            // Those that it doesn't match; nothing is left of `=~".*"`.
            (MatchOp::Regex, Some(regex)) if regex.matches_everything() => return None,
            _ => Values::Scan(""),
        };
        Some(Clause { matcher, excludes, values })
    }

    fn speaks_of(&self, value: &str) -> bool {
        self.matcher.matches(value) != self.excludes
    }
}

/// The postings of those of the values that there are.
fn lookup<'a, I: LabelIndex + ?Sized>(
    index: &'a I,
    name: &str,
    values: &[&str],
) -> Result<Vec<Postings<'a>>, StorageError> {
    let mut lists = Vec::with_capacity(values.len());
    for value in values {
        let list = index.postings(name, value)?;
        if !list.is_empty() {
            lists.push(list);
        }
    }
    Ok(lists)
}

fn total_len(lists: &[Postings<'_>]) -> usize {
    lists.iter().map(Postings::len).sum()
}

/// The series that satisfy the clauses so far.
struct Running<'r, I: ?Sized> {
    index: &'r I,
    cancel: &'r Cancel,
    /// `None`: all series.
    ids: Option<Vec<SeriesId>>,
    /// Matchers to be checked on the labels of what is left in the end.
    on_labels: Vec<&'r Matcher>,
}

impl<'r, I: LabelIndex + ?Sized> Running<'r, I> {
    /// Whether checking the labels of the series that are left costs less than `cost`.
    fn labels_are_cheaper_than(&self, cost: usize) -> bool {
        self.ids.as_ref().is_some_and(|ids| ids.len().saturating_mul(LABEL_CHECK_COST) < cost)
    }

    fn apply_lists(&mut self, clause: &Clause<'r>, lists: &[Postings<'_>]) -> Result<(), StorageError> {
        check(self.cancel)?;
        let labels_are_cheaper = self.labels_are_cheaper_than(total_len(lists));
        match (lists, &mut self.ids) {
            ([], _) if clause.excludes => return Ok(()),
            ([list], Some(ids)) if clause.excludes => list.remove_from(ids),
            ([list], Some(ids)) => list.retain_in(ids),
            _ if labels_are_cheaper => self.on_labels.push(clause.matcher),
            _ => self.apply_union(clause, union_of_disjoint(lists))?,
        }
        Ok(())
    }

    fn apply_scan(&mut self, clause: &Clause<'r>) -> Result<(), StorageError> {
        check(self.cancel)?;
        if self.ids.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        let Values::Scan(prefix) = clause.values else { return Ok(()) };
        let name = clause.matcher.name();
        let cost_max = self.index.value_count(name) * VALUE_TEST_COST + self.index.all()?.len();
        if self.labels_are_cheaper_than(cost_max) {
            self.on_labels.push(clause.matcher);
            return Ok(());
        }
        let (mut spoken_of, mut nth, mut cancelled) = (Vec::new(), 0, Ok(()));
        self.index.visit_values(name, prefix, &mut |value, list| {
            cancelled = check_every(nth, self.cancel);
            nth += 1;
            if clause.speaks_of(value) {
                spoken_of.push(list);
            }
            cancelled.is_ok()
        })?;
        cancelled?;
        let lists = spoken_of.into_iter().map(|list| self.index.postings_at(list));
        let lists = lists.collect::<Result<Vec<_>, _>>()?;
        self.apply_union(clause, union_of_disjoint(&lists))
    }

    fn apply_union(&mut self, clause: &Clause<'r>, union: Vec<SeriesId>) -> Result<(), StorageError> {
        let union_list = Postings::Ids(&union);
        match &mut self.ids {
            Some(ids) if clause.excludes => union_list.remove_from(ids),
            Some(ids) => union_list.retain_in(ids),
            None if clause.excludes => {
                let mut ids = union_of_disjoint(&[self.index.all()?]);
                union_list.remove_from(&mut ids);
                self.ids = Some(ids);
            }
            None => self.ids = Some(union),
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<SeriesId>, StorageError> {
        let mut ids = match self.ids {
            Some(ids) => ids,
            None => union_of_disjoint(&[self.index.all()?]),
        };
        if !self.on_labels.is_empty() {
            retain_by_labels(self.index, &mut ids, &self.on_labels, self.cancel)?;
        }
        Ok(ids)
    }
}

/// Keeps the series whose labels satisfy all matchers.
pub(crate) fn retain_by_labels<I: LabelIndex + ?Sized>(
    index: &I,
    ids: &mut Vec<SeriesId>,
    matchers: &[&Matcher],
    cancel: &Cancel,
) -> Result<(), StorageError> {
    let mut kept = 0;
    let mut values = vec![""; matchers.len()];
    for nth in 0..ids.len() {
        check_every(nth, cancel)?;
        values.fill("");
        index.visit_labels(ids[nth], &mut |name, value| {
            for (matcher, slot) in matchers.iter().zip(&mut values) {
                if matcher.name() == name {
                    *slot = value;
                }
            }
        })?;
        if matchers.iter().zip(&values).all(|(matcher, value)| matcher.matches(value)) {
            ids[kept] = ids[nth];
            kept += 1;
        }
    }
    ids.truncate(kept);
    Ok(())
}

/// Looks at the flag at every [`CANCEL_EVERY`]th call.
fn check_every(nth: usize, cancel: &Cancel) -> Result<(), StorageError> {
    if nth.is_multiple_of(CANCEL_EVERY) { check(cancel) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
