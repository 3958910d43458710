//! Rewrites that make a plan cheaper and never change its answer.

use hashbrown::HashMap;

use super::{Fetch, Node, NodeKind, Plan, Select};
use crate::ast::ValueType;
use crate::exec::scalar;

/// Applies all rewrites.
pub(crate) fn optimise(plan: &mut Plan) {
    fold_constants(&mut plan.root);
    share_fetches(plan);
    let (_, wrap) = mark_invariant(&mut plan.root, &mut plan.nodes);
    if wrap {
        wrap_invariant(&mut plan.root, &mut plan.nodes);
    }
}

/// Works out operations of two numbers.
fn fold_constants(node: &mut Node) {
    for_each_input(node, &mut fold_constants);
    let folded = match &node.kind {
        NodeKind::Binary(binary) => match (&binary.lhs.kind, &binary.rhs.kind) {
            (NodeKind::Number(lhs), NodeKind::Number(rhs)) => Some(scalar::binary(binary.op, *lhs, *rhs)),
            _ => None,
        },
        NodeKind::Negate(input) => match input.kind {
            NodeKind::Number(value) => Some(-value),
            _ => None,
        },
        _ => None,
    };
    if let Some(value) = folded {
        node.kind = NodeKind::Number(value);
    }
}

/// Lets selectors with the same matchers share one selection, over all the time that any of them needs.
fn share_fetches(plan: &mut Plan) {
    let mut shared: Vec<Fetch> = Vec::new();
    let mut index_of: HashMap<String, usize> = HashMap::new();
    let mut new_index = Vec::with_capacity(plan.fetches.len());
    for fetch in plan.fetches.drain(..) {
        let mut texts: Vec<String> = fetch.matchers.iter().map(ToString::to_string).collect();
        texts.sort();
        texts.dedup();
        let index = *index_of.entry(texts.join(",")).or_insert(shared.len());
        new_index.push(index);
        match shared.get_mut(index) {
            Some(known) => {
                known.mint = known.mint.min(fetch.mint);
                known.maxt = known.maxt.max(fetch.maxt);
            }
            None => shared.push(fetch),
        }
    }
    plan.fetches = shared;
    redirect(&mut plan.root, &new_index);
}

fn redirect(node: &mut Node, new_index: &[usize]) {
    let move_select = |select: &mut Select| select.fetch = new_index[select.fetch];
    match &mut node.kind {
        NodeKind::Select(select) => move_select(select),
        NodeKind::Range(range) => move_select(&mut range.select),
        _ => {}
    }
    for_each_input(node, &mut |input| redirect(input, new_index));
}

/// Marks the largest parts below the node that are the same at every step. Returns whether the node itself
/// is, and whether it may be marked: what has no steps of its own may not.
fn mark_invariant(node: &mut Node, nodes: &mut usize) -> (bool, bool) {
    match &mut node.kind {
        NodeKind::Number(_) | NodeKind::Text(_) => (true, false),
        NodeKind::Select(select) => {
            let fixed = select.reference.at_ms.is_some();
            (fixed, fixed)
        }
        NodeKind::Range(range) => (range.select.reference.at_ms.is_some(), false),
        NodeKind::Subquery(subquery) => {
            let (_, wrap) = mark_invariant(&mut subquery.input, nodes);
            if wrap {
                wrap_invariant(&mut subquery.input, nodes);
            }
            (subquery.reference.at_ms.is_some(), false)
        }
        NodeKind::StepInvariant(_) => (true, false),
        NodeKind::Call(call) => {
            let of_selector = matches!(call.args.first().map(|arg| &arg.kind), Some(NodeKind::Select(_)));
            let own_time = call.function == super::function::Function::Timestamp && of_selector;
            let safe = !call.function.depends_on_time() || own_time;
            mark_inputs(&mut call.args.iter_mut().collect::<Vec<_>>(), safe, nodes)
        }
        NodeKind::Aggregate(aggregate) => {
            let mut inputs = vec![&mut *aggregate.input];
            inputs.extend(aggregate.param.as_deref_mut());
            mark_inputs(&mut inputs, true, nodes)
        }
        NodeKind::Binary(binary) => mark_inputs(&mut [&mut binary.lhs, &mut binary.rhs], true, nodes),
        NodeKind::Negate(input) => mark_inputs(&mut [input], true, nodes),
    }
}

fn mark_inputs(inputs: &mut [&mut Node], safe: bool, nodes: &mut usize) -> (bool, bool) {
    let marks: Vec<(bool, bool)> = inputs.iter_mut().map(|input| mark_invariant(input, nodes)).collect();
    if safe && marks.iter().all(|(invariant, _)| *invariant) {
        return (true, true);
    }
    for (input, (_, wrap)) in inputs.iter_mut().zip(marks) {
        if wrap && matches!(input.value_type(), ValueType::Scalar | ValueType::Vector) {
            wrap_invariant(input, nodes);
        }
    }
    (false, false)
}

fn wrap_invariant(node: &mut Node, nodes: &mut usize) {
    let span = node.span;
    let placeholder = Node { id: *nodes, span, kind: NodeKind::Number(0.0) };
    *nodes += 1;
    let id = placeholder.id;
    let inner = std::mem::replace(node, placeholder);
    *node = Node { id, span, kind: NodeKind::StepInvariant(Box::new(inner)) };
}

fn for_each_input(node: &mut Node, visit: &mut dyn FnMut(&mut Node)) {
    match &mut node.kind {
        NodeKind::Number(_) | NodeKind::Text(_) | NodeKind::Select(_) | NodeKind::Range(_) => {}
        NodeKind::Subquery(subquery) => visit(&mut subquery.input),
        NodeKind::StepInvariant(input) | NodeKind::Negate(input) => visit(input),
        NodeKind::Call(call) => call.args.iter_mut().for_each(visit),
        NodeKind::Aggregate(aggregate) => {
            visit(&mut aggregate.input);
            if let Some(param) = &mut aggregate.param {
                visit(param);
            }
        }
        NodeKind::Binary(binary) => {
            visit(&mut binary.lhs);
            visit(&mut binary.rhs);
        }
    }
}
