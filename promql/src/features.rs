//! Parts of the language that are experimental and off unless asked for.

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
