//! Sources: what every operator that yields a vector is to the operator above it.
//!
//! A source works in two phases. Its series and their labels are known when it is made; then any of its
//! columns can be read, in any order and from several threads. What can be computed one series at a time is
//! computed when it is read and held nowhere; what can't (groups of an aggregation, sides of a join) is held
//! as columns.

use hashbrown::HashMap;
use std::borrow::Cow;

use model::labels::{Labels, METRIC_NAME};
use model::storage::{LabelColumn, SampleColumns};
use smallvec::{SmallVec, smallvec};

use super::Context;
use super::scratch::Scratch;
use crate::column::Column;
use crate::engine::QueryError;
use crate::memory::Reservation;

/// Label of a metric's type.
pub(crate) const TYPE_LABEL: &str = "__type__";
/// Label of a metric's unit.
pub(crate) const UNIT_LABEL: &str = "__unit__";
/// The labels that belong to a metric and not to what is computed of it.
pub(crate) const METADATA_LABELS: [&str; 3] = [METRIC_NAME, TYPE_LABEL, UNIT_LABEL];

/// A message that clients know.
pub(crate) const SAME_LABELSET: &str = "vector cannot contain metrics with the same labelset";

/// Series over the steps of a query.
pub(crate) trait Source: Send + Sync {
    /// Number of series. Some may turn out to have no sample at any step.
    fn len(&self) -> usize;

    /// Labels of a series.
    fn labels(&self, series: usize) -> Labels;

    /// One label of all series.
    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        column_of_labels(self.len(), |series| Cow::Owned(self.labels(series).value(name).to_owned()))
    }

    /// Whether the series' metadata labels go at the end of the query.
    fn drops_name(&self, _series: usize) -> bool {
        false
    }

    /// Whether series are known to differ in other labels than metadata.
    fn unique_without_metadata(&self) -> bool {
        false
    }

    /// About how many samples are touched to read a series.
    fn cost(&self) -> usize;

    /// Reads a series: `out` is made as long as there are steps.
    fn read(&self, series: usize, scratch: &mut Scratch, out: &mut Column) -> Result<(), QueryError>;
}

/// A dictionary of what the closure says.
pub(crate) fn column_of_labels<'a>(len: usize, value: impl Fn(usize) -> Cow<'a, str>) -> LabelColumn<'a> {
    let mut index_of: HashMap<Cow<'a, str>, u32> = HashMap::from([(Cow::Borrowed(""), 0)]);
    let mut column = LabelColumn { values: vec![Cow::Borrowed("")], ids: Vec::with_capacity(len) };
    for series in 0..len {
        let value = value(series);
        let next = column.values.len() as u32;
        let id = *index_of.entry(value).or_insert_with_key(|value| {
            column.values.push(value.clone());
            next
        });
        column.ids.push(id);
    }
    column
}

/// Columns in memory.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) labels: Vec<Labels>,
    pub(crate) columns: Vec<Column>,
    /// Which series drop their names; as many as series.
    pub(crate) drops: Vec<bool>,
    /// Their memory.
    pub(crate) reservation: Option<Reservation>,
}

impl Held {
    /// Holds columns, and counts what they take.
    pub(crate) fn new(
        ctx: &Context<'_>,
        labels: Vec<Labels>,
        columns: Vec<Column>,
        drops: Vec<bool>,
    ) -> Result<Self, QueryError> {
        let bytes = columns.iter().map(Column::bytes).sum();
        let reservation = Some(ctx.budget.reserve(bytes)?);
        Ok(Held { labels, columns, drops, reservation })
    }

    /// Without series.
    pub(crate) fn empty() -> Self {
        Held { labels: Vec::new(), columns: Vec::new(), drops: Vec::new(), reservation: None }
    }

    /// Reads all of a source that has samples.
    pub(crate) fn collect(ctx: &Context<'_>, source: &dyn Source) -> Result<Self, QueryError> {
        let mut held = Held::empty();
        let mut reservation = ctx.budget.reserve(0)?;
        super::drive::for_each_column(ctx, source, |series, column| {
            if !column.is_absent() {
                reservation.grow(column.bytes())?;
                held.labels.push(source.labels(series));
                held.drops.push(source.drops_name(series));
                held.columns.push(std::mem::take(column));
            }
            Ok(())
        })?;
        held.reservation = Some(reservation);
        Ok(held)
    }
}

impl Source for Held {
    fn len(&self) -> usize {
        self.columns.len()
    }

    fn labels(&self, series: usize) -> Labels {
        self.labels[series].clone()
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        column_of_labels(self.len(), |series| Cow::Borrowed(self.labels[series].value(name)))
    }

    fn drops_name(&self, series: usize) -> bool {
        self.drops[series]
    }

    fn cost(&self) -> usize {
        0
    }

    fn read(&self, series: usize, _: &mut Scratch, out: &mut Column) -> Result<(), QueryError> {
        out.clone_from(&self.columns[series]);
        Ok(())
    }
}

/// When series that get the same labels are in each other's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// When both have a sample at the same step.
    SameStep,
    /// When both have a sample at any step.
    AnyStep,
}

/// A source under other labels. Series that come to have the same labels are one.
pub(crate) struct Relabelled<'q> {
    inner: Box<dyn Source + 'q>,
    labels: Vec<Labels>,
    /// For each series those that it is made of.
    parts: Vec<SmallVec<[u32; 1]>>,
    drops: Vec<bool>,
    conflict: Conflict,
}

impl<'q> Relabelled<'q> {
    /// Labels and whether names are dropped come from the closure.
    pub(crate) fn new(
        inner: Box<dyn Source + 'q>,
        conflict: Conflict,
        relabel: impl Fn(usize) -> (Labels, bool),
    ) -> Self {
        let mut slot_of: HashMap<Labels, usize> = HashMap::with_capacity(inner.len());
        let mut source =
            Relabelled { labels: Vec::new(), parts: Vec::new(), drops: Vec::new(), conflict, inner };
        for series in 0..source.inner.len() {
            let (labels, drops) = relabel(series);
            let slot = *slot_of.entry(labels.clone()).or_insert(source.labels.len());
            if slot == source.labels.len() {
                source.labels.push(labels);
                source.parts.push(smallvec![series as u32]);
                source.drops.push(drops);
            } else {
                source.parts[slot].push(series as u32);
            }
        }
        source
    }

    fn merge(&self, column: &Column, out: &mut Column) -> Result<(), QueryError> {
        let in_the_way = self.conflict == Conflict::AnyStep && !column.is_absent() && !out.is_absent();
        for step in 0..column.len() {
            let Some(sample) = column.get(step) else { continue };
            if in_the_way || out.is_present(step) {
                return Err(QueryError::Execution(SAME_LABELSET.to_owned()));
            }
            out.set(step, sample);
        }
        Ok(())
    }
}

impl Source for Relabelled<'_> {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn labels(&self, series: usize) -> Labels {
        self.labels[series].clone()
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        column_of_labels(self.len(), |series| Cow::Borrowed(self.labels[series].value(name)))
    }

    fn drops_name(&self, series: usize) -> bool {
        self.drops[series]
    }

    fn cost(&self) -> usize {
        self.inner.cost()
    }

    fn read(&self, series: usize, scratch: &mut Scratch, out: &mut Column) -> Result<(), QueryError> {
        let parts = &self.parts[series];
        self.inner.read(parts[0] as usize, scratch, out)?;
        for part in &parts[1..] {
            let mut column = scratch.take_column();
            self.inner.read(*part as usize, scratch, &mut column)?;
            self.merge(&column, out)?;
            scratch.give_column(column);
        }
        Ok(())
    }
}

/// A source whose metadata labels are gone, or go at the end of the query.
struct Unnamed<'q> {
    inner: Box<dyn Source + 'q>,
    delayed: bool,
}

impl Source for Unnamed<'_> {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn labels(&self, series: usize) -> Labels {
        let labels = self.inner.labels(series);
        if self.delayed { labels } else { without_metadata(&labels) }
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        if !self.delayed && METADATA_LABELS.contains(&name) {
            return LabelColumn { values: vec![Cow::Borrowed("")], ids: vec![0; self.len()] };
        }
        self.inner.label_column(name)
    }

    fn drops_name(&self, _: usize) -> bool {
        true
    }

    fn unique_without_metadata(&self) -> bool {
        self.inner.unique_without_metadata()
    }

    fn cost(&self) -> usize {
        self.inner.cost()
    }

    fn read(&self, series: usize, scratch: &mut Scratch, out: &mut Column) -> Result<(), QueryError> {
        self.inner.read(series, scratch, out)
    }
}

/// The labels without those of the metric.
pub(crate) fn without_metadata(labels: &Labels) -> Labels {
    if METADATA_LABELS.iter().any(|name| labels.has(name)) {
        labels.without(&METADATA_LABELS)
    } else {
        labels.clone()
    }
}

/// Drops the metadata labels of all series, now or, where names are removed late, at the end of the query.
pub(crate) fn drop_metadata<'q>(
    ctx: &Context<'q>,
    inner: Box<dyn Source + 'q>,
    conflict: Conflict,
) -> Box<dyn Source + 'q> {
    let delayed = ctx.features.delayed_name_removal;
    if delayed || inner.unique_without_metadata() {
        return Box::new(Unnamed { inner, delayed });
    }
    let labels: Vec<Labels> =
        (0..inner.len()).map(|series| without_metadata(&inner.labels(series))).collect();
    Box::new(Relabelled::new(inner, conflict, |series| (labels[series].clone(), true)))
}

/// Drops the names of all series and leaves what else tells of the metric: where names are dropped at once the
/// reference's functions of single histograms do so.
pub(crate) fn drop_name<'q>(ctx: &Context<'q>, inner: Box<dyn Source + 'q>) -> Box<dyn Source + 'q> {
    if ctx.features.delayed_name_removal {
        return drop_metadata(ctx, inner, Conflict::SameStep);
    }
    let labels: Vec<Labels> =
        (0..inner.len()).map(|series| inner.labels(series).without_metric_name()).collect();
    Box::new(Relabelled::new(inner, Conflict::SameStep, |series| (labels[series].clone(), true)))
}

/// Samples of series, as range vector selectors and subqueries yield them.
pub(crate) trait RangeSource: Send + Sync {
    /// Number of series.
    fn len(&self) -> usize;

    /// Labels of a series.
    fn labels(&self, series: usize) -> Labels;

    /// One label of all series.
    fn label_column(&self, name: &str) -> LabelColumn<'_>;

    /// The name that all series have, if that is known.
    fn common_name(&self) -> Option<&str> {
        None
    }

    /// Whether the series' metadata labels go at the end of the query.
    fn drops_name(&self, series: usize) -> bool;

    /// Whether series are known to differ in other labels than metadata.
    fn unique_without_metadata(&self) -> bool;

    /// About how many samples a series has.
    fn cost(&self) -> usize;

    /// Reads all samples that windows may touch, without staleness markers.
    fn read(&self, series: usize, scratch: &mut Scratch, out: &mut SampleColumns) -> Result<(), QueryError>;
}
