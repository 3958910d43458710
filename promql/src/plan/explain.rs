//! Plans as people read them.

use std::fmt;

use serde::Serialize;

use super::{Aggregate, Binary, Node, NodeKind, Plan, Reference, Select};
use crate::ast::{Cardinality, ExtendedRange, VectorMatching};
use crate::exec::profile::OperatorStats;

/// An operator of a plan, with its inputs below it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanNode {
    /// What it does.
    pub operator: String,
    /// On what, and how.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Where it comes from in the query, in bytes.
    pub position: (usize, usize),
    /// What it did, if the query was run.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub stats: Option<OperatorStats>,
    /// What it gets its input from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<PlanNode>,
}

impl fmt::Display for PlanNode {
    /// One line for each operator, inputs indented below it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_indented(f, 0)
    }
}

impl PlanNode {
    fn write_indented(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        write!(f, "{:indent$}{}", "", self.operator, indent = depth * 2)?;
        if !self.detail.is_empty() {
            write!(f, " {}", self.detail)?;
        }
        if let Some(stats) = &self.stats {
            let milliseconds = stats.nanos as f64 / 1e6;
            write!(
                f,
                " (series {}, reads {}, samples {}, bytes {}, time {milliseconds:.3} ms)",
                stats.series, stats.reads, stats.samples, stats.bytes
            )?;
        }
        writeln!(f)?;
        self.inputs.iter().try_for_each(|input| input.write_indented(f, depth + 1))
    }
}

/// Describes a plan; `stats` are what was counted, by operator.
pub(crate) fn explain(plan: &Plan, stats: Option<&[OperatorStats]>) -> PlanNode {
    describe(plan, &plan.root, stats)
}

fn describe(plan: &Plan, node: &Node, stats: Option<&[OperatorStats]>) -> PlanNode {
    let (operator, detail) = match &node.kind {
        NodeKind::Number(value) => ("number".to_owned(), model::float_text::general(*value)),
        NodeKind::Text(text) => ("string".to_owned(), format!("{text:?}")),
        NodeKind::Select(select) => ("select".to_owned(), describe_select(plan, select)),
        NodeKind::Range(range) => {
            let select = describe_select(plan, &range.select);
            ("range select".to_owned(), format!("{select} range {}", millis(range.range_ms)))
        }
        NodeKind::Subquery(subquery) => {
            let reference = describe_reference(subquery.reference);
            let (range, step) = (millis(subquery.range_ms), millis(subquery.step_ms));
            ("subquery".to_owned(), format!("range {range} step {step}{reference}"))
        }
        NodeKind::StepInvariant(_) => ("step invariant".to_owned(), "evaluated once".to_owned()),
        NodeKind::Call(call) => (call.name.to_owned(), String::new()),
        NodeKind::Aggregate(aggregate) => (aggregate.op.as_str().to_owned(), describe_grouping(aggregate)),
        NodeKind::Binary(binary) => (binary.op.as_str().to_owned(), describe_matching(binary)),
        NodeKind::Negate(_) => ("negate".to_owned(), String::new()),
    };
    PlanNode {
        operator,
        detail,
        position: (node.span.start, node.span.end),
        stats: stats.and_then(|stats| stats.get(node.id)).copied(),
        inputs: node.inputs().into_iter().map(|input| describe(plan, input, stats)).collect(),
    }
}

fn millis(millis: i64) -> String {
    model::duration::format_ms(millis)
}

fn describe_select(plan: &Plan, select: &Select) -> String {
    let matchers: Vec<String> = select.matchers.iter().map(ToString::to_string).collect();
    let extended = match select.extended {
        None => "",
        Some(ExtendedRange::Anchored) => " anchored",
        Some(ExtendedRange::Smoothed) => " smoothed",
    };
    let fetched = plan.fetches.get(select.fetch).map_or(String::new(), |fetch| {
        format!(" fetch #{} [{} ms, {} ms]", select.fetch, fetch.mint, fetch.maxt)
    });
    format!("{{{}}}{}{extended}{fetched}", matchers.join(","), describe_reference(select.reference))
}

fn describe_reference(reference: Reference) -> String {
    let at = reference.at_ms.map(|at_ms| format!(" @ {at_ms} ms")).unwrap_or_default();
    match reference.offset_ms {
        0 => at,
        offset_ms => format!("{at} offset {}", millis(offset_ms)),
    }
}

fn describe_grouping(aggregate: &Aggregate) -> String {
    match (aggregate.without, aggregate.grouping.is_empty()) {
        (false, true) => "all".to_owned(),
        (false, false) => format!("by ({})", aggregate.grouping.join(", ")),
        (true, _) => format!("without ({})", aggregate.grouping.join(", ")),
    }
}

fn describe_matching(binary: &Binary) -> String {
    let mut parts: Vec<String> = Vec::new();
    if binary.return_bool {
        parts.push("bool".to_owned());
    }
    if let Some(matching) = &binary.matching {
        parts.extend(describe_labels(matching));
    }
    parts.join(" ")
}

fn describe_labels(matching: &VectorMatching) -> Vec<String> {
    let keyword = if matching.on { "on" } else { "ignoring" };
    let mut parts = vec![format!("{keyword} ({})", matching.labels.join(", "))];
    let include = matching.include.join(", ");
    match matching.cardinality {
        Cardinality::ManyToOne => parts.push(format!("group_left ({include})")),
        Cardinality::OneToMany => parts.push(format!("group_right ({include})")),
        Cardinality::OneToOne | Cardinality::ManyToMany => {}
    }
    let fills = [("fill_left", matching.fill_left), ("fill_right", matching.fill_right)];
    for (name, fill) in fills {
        parts.extend(fill.map(|value| format!("{name} ({})", model::float_text::general(value))));
    }
    parts
}
