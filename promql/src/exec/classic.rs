//! `histogram_quantile`, `histogram_quantiles`, `histogram_fraction`: of classic histograms, whose buckets
//! are series told apart by `le`, and of native ones.

use hashbrown::HashMap;
use std::sync::Arc;

use model::histogram::FloatHistogram;
use model::labels::{BUCKET_LABEL, Labels, LabelsBuilder, METRIC_NAME};
use model::storage::SampleValue;
use smallvec::SmallVec;

use super::label::text;
use super::scratch::Scratch;
use super::source::{Conflict, Source, drop_metadata};
use super::{Context, eval_scalar, eval_vector};
use crate::annotations::{Annotations, ForcedMonotonicity};
use crate::ast::Span;
use crate::column::Column;
use crate::engine::QueryError;
use crate::functions::bucket;
use crate::histogram::{self, ClassicBucket, NanObservations};
use crate::plan::Call;
use crate::value::Steps;

/// The text of an info; `histogram_quantile` stands for its sister too, as in the reference.
const FORCED_MONOTONICITY: &str = "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";

/// The texts of infos about observations that were NaN.
const NAN_RESULT: &str = "input to histogram_quantile has NaN observations, result is NaN";
const NAN_SKEW: &str = "input to histogram_quantile has NaN observations, result is skewed higher";
const NAN_EXCLUDED: &str =
    "input to histogram_fraction has NaN observations, which are excluded from all fractions";

/// What is asked of a histogram at each step.
enum Question {
    Quantile(Vec<f64>),
    Fraction { lower: Vec<f64>, upper: Vec<f64> },
}

/// `histogram_quantile(q, v)`
pub(crate) fn quantile<'q>(
    ctx: &'q Context<'q>,
    call: &'q Call,
    steps: Steps,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    let quantiles = eval_scalar(ctx, &call.args[0], steps)?;
    warn_of_quantiles(ctx, &quantiles, call.args[0].span);
    let input = eval_vector(ctx, &call.args[1], steps)?;
    let source =
        Histograms::new(ctx, input, vec![(None, Question::Quantile(quantiles))], call.args[1].span, steps);
    Ok(drop_metadata(ctx, Box::new(source), Conflict::SameStep))
}

/// `histogram_quantiles(v, label, q…)`
pub(crate) fn quantiles<'q>(
    ctx: &'q Context<'q>,
    call: &'q Call,
    steps: Steps,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    let label = text(&call.args[1]);
    let input = eval_vector(ctx, &call.args[0], steps)?;
    let mut questions = Vec::new();
    for arg in &call.args[2..] {
        let quantiles = eval_scalar(ctx, arg, steps)?;
        warn_of_quantiles(ctx, &quantiles, arg.span);
        questions.extend(by_value(label, quantiles));
    }
    let source = Histograms::new(ctx, input, questions, call.args[0].span, steps);
    Ok(drop_metadata(ctx, Box::new(source), Conflict::SameStep))
}

/// `histogram_fraction(lower, upper, v)`
pub(crate) fn fraction<'q>(
    ctx: &'q Context<'q>,
    call: &'q Call,
    steps: Steps,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    let lower = eval_scalar(ctx, &call.args[0], steps)?;
    let upper = eval_scalar(ctx, &call.args[1], steps)?;
    let input = eval_vector(ctx, &call.args[2], steps)?;
    let questions = vec![(None, Question::Fraction { lower, upper })];
    let source = Histograms::new(ctx, input, questions, call.args[2].span, steps);
    Ok(drop_metadata(ctx, Box::new(source), Conflict::SameStep))
}

fn warn_of_quantiles(ctx: &Context<'_>, quantiles: &[f64], span: Span) {
    for quantile in quantiles.iter().filter(|quantile| !(0.0..=1.0).contains(*quantile)) {
        let quantile = model::float_text::general(*quantile);
        ctx.warn(span, format!("quantile value should be between 0 and 1, got {quantile}"));
    }
}

/// A label, and its value.
type Marked = Option<(String, String)>;

/// A quantile that changes from step to step is a question for each of its values.
fn by_value(label: &str, quantiles: Vec<f64>) -> Vec<(Marked, Question)> {
    let mut distinct: Vec<f64> = Vec::new();
    for quantile in &quantiles {
        if !distinct.iter().any(|known| known.to_bits() == quantile.to_bits()) {
            distinct.push(*quantile);
        }
    }
    let question = |value: &f64| {
        let same = |q: &f64| if q.to_bits() == value.to_bits() { *q } else { model::value::STALE_NAN };
        let at_its_steps = quantiles.iter().map(same).collect();
        let marked = Some((label.to_owned(), bucket::open_metrics_float(*value)));
        (marked, Question::Quantile(at_its_steps))
    };
    distinct.iter().map(question).collect()
}

/// The series that make one histogram.
#[derive(Default)]
struct Group {
    /// Upper bound and series of each bucket.
    buckets: Vec<(f64, u32)>,
    /// Series with exactly the group's labels: native histograms are theirs.
    native: SmallVec<[u32; 1]>,
    /// Series whose `le` is no number, and what it is.
    malformed: Vec<(u32, String)>,
    drops: bool,
}

struct Histograms<'q> {
    ctx: &'q Context<'q>,
    input: Box<dyn Source + 'q>,
    /// For each question all groups come in turn. The label marks the question's results.
    questions: Vec<(Marked, Question)>,
    labels: Vec<Labels>,
    groups: Vec<Group>,
    /// Where the histograms stand in the query.
    span: Span,
    steps: Steps,
}

impl<'q> Histograms<'q> {
    fn new(
        ctx: &'q Context<'q>,
        input: Box<dyn Source + 'q>,
        questions: Vec<(Marked, Question)>,
        span: Span,
        steps: Steps,
    ) -> Self {
        let mut source =
            Histograms { ctx, questions, labels: Vec::new(), groups: Vec::new(), span, steps, input };
        let mut index_of: HashMap<Labels, usize> = HashMap::new();
        for series in 0..source.input.len() {
            let labels = source.input.labels(series);
            let drops = source.input.drops_name(series);
            let bound = labels.value(BUCKET_LABEL);
            let rest = if bound.is_empty() { labels.clone() } else { labels.without(&[BUCKET_LABEL]) };
            let group = source.group(rest, drops, &mut index_of);
            match bucket::parse_bound(bound) {
                Some(bound) => group.buckets.push((bound, series as u32)),
                None => group.malformed.push((series as u32, bound.to_owned())),
            }
            source.group(labels, drops, &mut index_of).native.push(series as u32);
        }
        source
    }

    fn group(&mut self, labels: Labels, drops: bool, index_of: &mut HashMap<Labels, usize>) -> &mut Group {
        let next = self.groups.len();
        let index = *index_of.entry(labels).or_insert_with_key(|labels| {
            self.labels.push(labels.clone());
            self.groups.push(Group::default());
            next
        });
        self.groups[index].drops |= drops;
        &mut self.groups[index]
    }

    /// The name in a text, which is told only as long as series have it.
    fn about(&self, text: &str, labels: &Labels) -> String {
        let name = labels.value(METRIC_NAME);
        match self.ctx.features.delayed_name_removal && !name.is_empty() {
            true => format!("{text} for metric name {name:?}"),
            false => text.to_owned(),
        }
    }

    fn answer_native(
        &self,
        question: &Question,
        step: usize,
        histogram: &FloatHistogram,
        labels: &Labels,
        notes: &mut Annotations,
    ) -> f64 {
        let (value, text) = match question {
            Question::Quantile(quantiles) => {
                let answer = histogram::quantile(quantiles[step], histogram);
                let text = answer.nans.map(|nans| match nans {
                    NanObservations::AreTheResult => NAN_RESULT,
                    NanObservations::SkewTheResult => NAN_SKEW,
                });
                (answer.value, text)
            }
            Question::Fraction { lower, upper } => {
                let answer = histogram::fraction(lower[step], upper[step], histogram);
                (answer.value, answer.excludes_nans.then_some(NAN_EXCLUDED))
            }
        };
        if let Some(text) = text {
            notes.info(self.span, self.about(text, labels));
        }
        value
    }

    fn answer_classic(
        &self,
        question: &Question,
        step: usize,
        buckets: &mut Vec<ClassicBucket>,
        labels: &Labels,
        notes: &mut Annotations,
    ) -> f64 {
        match question {
            Question::Quantile(quantiles) => {
                let answer = histogram::classic_quantile(quantiles[step], buckets);
                if let Some(forced) = answer.forced {
                    let time = self.steps.at(step);
                    let figures = ForcedMonotonicity {
                        buckets: (forced.lowest_bound, forced.highest_bound),
                        diff_max: forced.largest_difference,
                        times_ms: (time, time),
                        samples: 1,
                    };
                    notes.info_forced_monotonicity(
                        self.span,
                        self.about(FORCED_MONOTONICITY, labels),
                        figures,
                    );
                }
                answer.value
            }
            Question::Fraction { lower, upper } => {
                histogram::classic_fraction(lower[step], upper[step], buckets)
            }
        }
    }

    /// Whether the question is asked at the step.
    fn is_asked(question: &Question, step: usize) -> bool {
        match question {
            Question::Quantile(quantiles) => !model::value::is_stale_nan(quantiles[step]),
            Question::Fraction { .. } => true,
        }
    }

    fn note_malformed(&self, group: &Group, columns: &HashMap<u32, Column>, notes: &mut Annotations) {
        for (series, bound) in &group.malformed {
            let column = &columns[series];
            if (0..column.len()).any(|step| column.float(step).is_some()) {
                let labels = self.input.labels(*series as usize);
                let text = format!("bucket label \"le\" is missing or has a malformed value of {bound:?}");
                notes.warn(self.span, self.about(&text, &labels));
            }
        }
    }
}

impl Source for Histograms<'_> {
    fn len(&self) -> usize {
        self.groups.len() * self.questions.len()
    }

    fn labels(&self, series: usize) -> Labels {
        let labels = &self.labels[series % self.groups.len()];
        match &self.questions[series / self.groups.len()].0 {
            Some((label, value)) => {
                // The question's label wins over one of the same name, metadata labels among them.
                LabelsBuilder::from_labels(labels).set(label, value).build()
            }
            None => labels.clone(),
        }
    }

    fn drops_name(&self, series: usize) -> bool {
        self.groups[series % self.groups.len()].drops
    }

    fn unique_without_metadata(&self) -> bool {
        self.questions.len() == 1 && self.input.unique_without_metadata()
    }

    fn cost(&self) -> usize {
        self.input.cost() * (self.input.len() / self.groups.len().max(1)).max(1)
    }

    fn read(&self, series: usize, scratch: &mut Scratch, out: &mut Column) -> Result<(), QueryError> {
        out.reset(self.steps.count);
        let index = series % self.groups.len();
        let (group, labels) = (&self.groups[index], &self.labels[index]);
        let question = &self.questions[series / self.groups.len()].1;
        let mut columns: HashMap<u32, Column> = HashMap::new();
        let members = group.buckets.iter().map(|(_, series)| *series);
        for member in members.chain(group.native.iter().copied()).chain(group.malformed.iter().map(|m| m.0)) {
            if let hashbrown::hash_map::Entry::Vacant(vacant) = columns.entry(member) {
                let mut column = scratch.take_column();
                self.input.read(member as usize, scratch, &mut column)?;
                vacant.insert(column);
            }
        }
        let mut notes = Annotations::default();
        let bucket_columns: Vec<(f64, &Column)> =
            group.buckets.iter().map(|(b, s)| (*b, &columns[s])).collect();
        let native_columns: Vec<&Column> = group.native.iter().map(|series| &columns[series]).collect();
        let mut buckets: Vec<ClassicBucket> = Vec::new();
        for step in (0..self.steps.count).filter(|step| Self::is_asked(question, *step)) {
            buckets.clear();
            for (bound, column) in &bucket_columns {
                buckets.extend(column.float(step).map(|count| ClassicBucket { upper_bound: *bound, count }));
            }
            let histogram: Option<&Arc<FloatHistogram>> =
                native_columns.iter().find_map(|c| c.histogram(step));
            match (histogram, buckets.is_empty()) {
                (Some(_), false) => {
                    let text = "vector contains a mix of classic and native histograms";
                    notes.warn(self.span, self.about(text, labels));
                }
                (Some(histogram), true) => {
                    let value = self.answer_native(question, step, histogram, labels, &mut notes);
                    out.set(step, SampleValue::Float(value));
                }
                (None, false) => {
                    out.values[step] = self.answer_classic(question, step, &mut buckets, labels, &mut notes);
                }
                (None, true) => {}
            }
        }
        self.note_malformed(group, &columns, &mut notes);
        self.ctx.annotate(notes);
        for column in columns.into_values() {
            scratch.give_column(column);
        }
        Ok(())
    }
}
