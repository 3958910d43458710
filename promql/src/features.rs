//! Parts of the language that are experimental and off unless asked for, and the list of all that there is.

use crate::ast::AggregateOp;
use crate::parse::words;
use crate::signature::SIGNATURES;

/// What `--enable-feature` switches on in PromQL. Everything is off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// `promql-experimental-functions`: experimental functions, `limitk`, `limit_ratio`.
    pub experimental_functions: bool,
    /// `promql-extended-range-selectors`: `anchored`, `smoothed`.
    pub extended_range_selectors: bool,
    /// `promql-binop-fill-modifiers`: `fill`, `fill_left`, `fill_right`.
    pub binop_fill_modifiers: bool,
    /// `promql-delayed-name-removal`: metric names are dropped at the end of a query.
    pub delayed_name_removal: bool,
    /// `promql-per-step-stats`: samples are counted for each step when all statistics are asked for.
    pub per_step_stats: bool,
    /// `type-and-unit-labels`: `__type__` and `__unit__` tell what kind of metric a series is.
    pub type_and_unit_labels: bool,
    /// `use-start-timestamps`: start timestamps tell counter resets.
    pub use_start_timestamps: bool,
}

/// Signs that stand between or before operands, beside the words of [`words`].
const SIGNS: [&str; 17] =
    ["!=", "!~", "%", "*", "+", "-", "/", "<", "</", "<=", "==", "=~", ">", ">/", ">=", "@", "^"];

/// A category under which `/api/v1/features` lists a part of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Words and ways to write things.
    Language,
    /// Operators and aggregations.
    Operators,
    /// Functions.
    Functions,
}

impl Features {
    /// Every part of the language that has a name, and whether it can be used.
    pub fn offered(&self) -> Vec<(Category, &'static str, bool)> {
        let mut all: Vec<_> = SIGNS.iter().map(|sign| (Category::Operators, *sign, true)).collect();
        all.extend(words::operators().map(|word| (Category::Operators, word, true)));
        let is_on = |op: AggregateOp| !op.is_experimental() || self.experimental_functions;
        all.extend(words::aggregates().map(|(word, op)| (Category::Operators, word, is_on(op))));
        all.extend(words::keywords().map(|word| (Category::Language, word, self.has_keyword(word))));
        let is_on = |experimental: bool| !experimental || self.experimental_functions;
        all.extend(SIGNATURES.iter().map(|f| (Category::Functions, f.name, is_on(f.experimental))));
        let ways = [
            ("at_modifier", true),
            ("delayed_name_removal", self.delayed_name_removal),
            ("duration_expr", true),
            ("negative_offset", true),
            ("per_query_lookback_delta", true),
            ("per_step_stats", self.per_step_stats),
            ("subqueries", true),
            ("type_and_unit_labels", self.type_and_unit_labels),
        ];
        all.extend(ways.into_iter().map(|(way, is_on)| (Category::Language, way, is_on)));
        all
    }

    fn has_keyword(&self, word: &str) -> bool {
        match word {
            "anchored" | "smoothed" => self.extended_range_selectors,
            "fill" | "fill_left" | "fill_right" => self.binop_fill_modifiers,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_experimental_is_offered_only_if_it_is_on() {
        let offered = |features: Features, name: &str| {
            features
                .offered()
                .into_iter()
                .find(|(_, n, _)| *n == name)
                .map(|(category, _, on)| (category, on))
        };
        let off = Features::default();
        let on = Features {
            experimental_functions: true,
            extended_range_selectors: true,
            binop_fill_modifiers: true,
            ..off
        };
        for (name, category) in [
            ("limitk", Category::Operators),
            ("mad_over_time", Category::Functions),
            ("anchored", Category::Language),
            ("fill_left", Category::Language),
        ] {
            assert_eq!(offered(off, name), Some((category, false)), "{name}");
            assert_eq!(offered(on, name), Some((category, true)), "{name}");
        }
        for (name, category) in [
            ("unless", Category::Operators),
            ("sum", Category::Operators),
            ("rate", Category::Functions),
            ("group_left", Category::Language),
            ("subqueries", Category::Language),
        ] {
            assert_eq!(offered(off, name), Some((category, true)), "{name}");
        }
        assert_eq!(offered(on, "inf"), None);
    }
}
