//! Calls of functions: each kind of function has its operator.

use super::drive::read_in_vain;
use super::select::{Wanted, wanted};
use super::source::{Conflict, Held, Source, drop_metadata};
use super::{
    Context, Evaluated, absent, classic, eval_scalar, eval_vector, info, label, map, scalar, sort, window,
};
use crate::engine::QueryError;
use crate::functions::date;
use crate::plan::function::{DatePart, Function};
use crate::plan::{Call, Node, NodeKind, Select};
use crate::value::Steps;

/// The value of a call.
pub(crate) fn eval<'q>(
    ctx: &'q Context<'q>,
    node: &'q Node,
    call: &'q Call,
    steps: Steps,
) -> Result<Evaluated<'q>, QueryError> {
    Ok(Evaluated::Vector(match call.function {
        Function::Time | Function::Pi | Function::MaxOf | Function::MinOf | Function::Scalar => {
            return scalar_call(ctx, call, steps).map(Evaluated::Scalar);
        }
        Function::Map(function) => return map::floats(ctx, function, call, steps),
        Function::HistogramStat(stat) => return map::stats(ctx, stat, &call.args[0], steps),
        Function::Date(part) => return dates(ctx, part, call, steps),
        Function::Vector => absent::vector(ctx, eval_scalar(ctx, &call.args[0], steps)?)?,
        Function::Window(function) => window::eval(ctx, function, call, steps)?,
        Function::Absent => absent::absent(ctx, call, steps)?,
        Function::AbsentOverTime => absent::absent_over_time(ctx, call, steps)?,
        Function::Timestamp => timestamp(ctx, call, steps)?,
        Function::StartTimestamp => start_timestamp(ctx, call, steps)?,
        Function::HistogramQuantile => classic::quantile(ctx, call, steps)?,
        Function::HistogramQuantiles => classic::quantiles(ctx, call, steps)?,
        Function::HistogramFraction => classic::fraction(ctx, call, steps)?,
        Function::LabelReplace => label::replace(ctx, call, steps)?,
        Function::LabelJoin => label::join(ctx, call, steps)?,
        Function::Sort { descending } => sort::by_value(ctx, node, call, descending, steps)?,
        Function::SortByLabel { descending } => sort::by_label(ctx, node, call, descending, steps)?,
        Function::Info => info::eval(ctx, call, steps)?,
        Function::QueryStart | Function::QueryEnd | Function::QueryStep | Function::QueryRange => {
            return Err(QueryError::Execution(format!("{}() was left in a plan", call.name)));
        }
    }))
}

fn scalar_call<'q>(ctx: &'q Context<'q>, call: &'q Call, steps: Steps) -> Result<Vec<f64>, QueryError> {
    Ok(match call.function {
        Function::Time => (0..steps.count).map(|step| steps.at(step) as f64 / 1000.0).collect(),
        Function::Pi => vec![std::f64::consts::PI; steps.count],
        Function::Scalar => absent::scalar(ctx, call, steps)?,
        function => {
            let a = eval_scalar(ctx, &call.args[0], steps)?;
            let b = eval_scalar(ctx, &call.args[1], steps)?;
            a.iter().zip(&b).map(|(a, b)| scalar::extreme(function, *a, *b)).collect()
        }
    })
}

/// `hour()` and its like: of the evaluation time, or of samples.
fn dates<'q>(
    ctx: &'q Context<'q>,
    part: DatePart,
    call: &'q Call,
    steps: Steps,
) -> Result<Evaluated<'q>, QueryError> {
    let Some(arg) = call.args.first() else {
        let whole_seconds = |step| (steps.at(step) / 1000) as f64;
        let values = (0..steps.count).map(|step| date::part(part, whole_seconds(step))).collect();
        return Ok(Evaluated::Vector(absent::vector(ctx, values)?));
    };
    map::dates(ctx, part, arg, steps)
}

/// The selector that an argument is, if it is one and nothing more.
fn selector(arg: &Node) -> Option<&Select> {
    match &arg.kind {
        NodeKind::Select(select) => Some(select),
        NodeKind::StepInvariant(inner) => selector(inner),
        _ => None,
    }
}

/// Of a selector the samples' own times, of everything else the evaluation time.
fn timestamp<'q>(
    ctx: &'q Context<'q>,
    call: &'q Call,
    steps: Steps,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    let times: Box<dyn Source + 'q> = match selector(&call.args[0]) {
        Some(select) => wanted(ctx, select, steps, Wanted::Timestamp)?,
        None => map::evaluation_times(eval_vector(ctx, &call.args[0], steps)?, steps),
    };
    Ok(drop_metadata(ctx, times, Conflict::SameStep))
}

/// Of a selector the samples' start times; of everything else nothing is known.
fn start_timestamp<'q>(
    ctx: &'q Context<'q>,
    call: &'q Call,
    steps: Steps,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    match selector(&call.args[0]) {
        Some(select) if ctx.features.use_start_timestamps => {
            Ok(drop_metadata(ctx, wanted(ctx, select, steps, Wanted::StartTimestamp)?, Conflict::SameStep))
        }
        Some(_) => Ok(Box::new(Held::empty())),
        None => {
            let input = eval_vector(ctx, &call.args[0], steps)?;
            read_in_vain(ctx, &*input, 0..input.len())?;
            Ok(Box::new(Held::empty()))
        }
    }
}
