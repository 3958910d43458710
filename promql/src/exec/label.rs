//! `label_replace`, `label_join`: other labels, the same samples.

use model::labels::{Labels, LabelsBuilder, METRIC_NAME};
use model::regex::AnchoredRegex;

use super::source::{Conflict, Relabelled, Source};
use super::{Context, eval_vector};
use crate::engine::QueryError;
use crate::parse::is_utf8;
use crate::plan::{Call, Node, NodeKind};
use crate::value::Steps;

/// A text argument.
pub(crate) fn text(arg: &Node) -> &str {
    match &arg.kind {
        NodeKind::Text(text) => text,
        _ => "",
    }
}

/// Whether the text names a label: any but the empty one does, if it is UTF-8.
pub(crate) fn is_label_name(name: &str) -> bool {
    !name.is_empty() && is_utf8(name)
}

/// `label_replace(v, dst, replacement, src, regex)`
pub(crate) fn replace<'q>(
    ctx: &'q Context<'q>,
    call: &'q Call,
    steps: Steps,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    let [dst, replacement, src, pattern] = [1, 2, 3, 4].map(|i| call.args.get(i).map_or("", text));
    let wrong =
        |what: &str, text: &str| QueryError::Execution(format!("invalid {what} in label_replace(): {text}"));
    let regex = AnchoredRegex::new(pattern).map_err(|_| wrong("regular expression", pattern))?;
    if !is_label_name(dst) {
        return Err(wrong("destination label name", dst));
    }
    let input = eval_vector(ctx, &call.args[0], steps)?;
    let relabelled: Vec<_> = (0..input.len())
        .map(|series| {
            let labels = input.labels(series);
            match regex.expand(labels.value(src), replacement) {
                Some(value) => (with(&labels, dst, &value), dst != METRIC_NAME && input.drops_name(series)),
                None => (labels, input.drops_name(series)),
            }
        })
        .collect();
    Ok(Box::new(Relabelled::new(input, Conflict::SameStep, |series| relabelled[series].clone())))
}

/// `label_join(v, dst, separator, src…)`
pub(crate) fn join<'q>(
    ctx: &'q Context<'q>,
    call: &'q Call,
    steps: Steps,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    let (dst, separator) = (call.args.get(1).map_or("", text), call.args.get(2).map_or("", text));
    let sources: Vec<&str> = call.args.iter().skip(3).map(text).collect();
    let wrong = |what: &str, text: &str| {
        QueryError::Execution(format!("invalid {what} label name in label_join(): {text}"))
    };
    if let Some(src) = sources.iter().find(|name| !is_label_name(name)) {
        return Err(wrong("source", src));
    }
    if !is_label_name(dst) {
        return Err(wrong("destination", dst));
    }
    let input = eval_vector(ctx, &call.args[0], steps)?;
    let relabelled: Vec<_> = (0..input.len())
        .map(|series| {
            let labels = input.labels(series);
            let values: Vec<&str> = sources.iter().map(|name| labels.value(name)).collect();
            (with(&labels, dst, &values.join(separator)), dst != METRIC_NAME && input.drops_name(series))
        })
        .collect();
    Ok(Box::new(Relabelled::new(input, Conflict::SameStep, |series| relabelled[series].clone())))
}

fn with(labels: &Labels, name: &str, value: &str) -> Labels {
    LabelsBuilder::from_labels(labels).set(name, value).build()
}
