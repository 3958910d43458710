//! Parts of a plan that are the same at every step: evaluated at the first, copied to all.

use model::labels::Labels;
use model::storage::LabelColumn;

use super::scratch::Scratch;
use super::source::Source;
use super::{Context, Evaluated};
use crate::column::Column;
use crate::engine::QueryError;
use crate::plan::Node;
use crate::value::Steps;

/// Evaluates a node at the first step, for all steps.
pub(crate) fn eval<'q>(
    ctx: &'q Context<'q>,
    node: &'q Node,
    steps: Steps,
) -> Result<Evaluated<'q>, QueryError> {
    let first = Steps { count: 1, ..steps };
    Ok(match super::eval(ctx, node, first)? {
        Evaluated::Scalar(values) => Evaluated::Scalar(vec![values[0]; steps.count]),
        Evaluated::Vector(inner) => Evaluated::Vector(Box::new(Repeated { inner, steps: steps.count })),
        other => other,
    })
}

/// One step's column, at every step.
struct Repeated<'q> {
    inner: Box<dyn Source + 'q>,
    steps: usize,
}

impl Source for Repeated<'_> {
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
        if let Some(value) = out.values.first().copied() {
            out.values.resize(self.steps, value);
        }
        if let Some(histogram) = out.histograms.first().cloned() {
            out.histograms.resize(self.steps, histogram);
        }
        Ok(())
    }
}
