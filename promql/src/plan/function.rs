//! Functions as the engine knows them: by what they do with their arguments.

/// A function, sorted by how it is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    /// The evaluation time.
    Time,
    /// π
    Pi,
    /// The greater of two scalars.
    MaxOf,
    /// The lesser of two scalars.
    MinOf,
    /// A vector of one float as a scalar.
    Scalar,
    /// A scalar as a vector.
    Vector,
    /// Float to float, for each sample.
    Map(MapFunction),
    /// Part of a date, for each sample or for the evaluation time.
    Date(DatePart),
    /// Native histogram to float, for each sample.
    HistogramStat(HistogramStat),
    /// Samples of a window to one sample.
    Window(WindowFunction),
    Absent,
    AbsentOverTime,
    Timestamp,
    StartTimestamp,
    HistogramQuantile,
    HistogramQuantiles,
    HistogramFraction,
    LabelReplace,
    LabelJoin,
    Sort {
        descending: bool,
    },
    SortByLabel {
        descending: bool,
    },
    Info,
    /// `start()`, `end()`, `step()`, `range()`: numbers as soon as a plan is built.
    QueryStart,
    QueryEnd,
    QueryStep,
    QueryRange,
}

/// Functions from float to float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapFunction {
    Abs,
    Ceil,
    Floor,
    Exp,
    Sqrt,
    Ln,
    Log2,
    Log10,
    Sgn,
    Deg,
    Rad,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    Round,
    Clamp,
    ClampMin,
    ClampMax,
}

/// Parts of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DatePart {
    DaysInMonth,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    Month,
    Year,
}

/// What is asked of a native histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HistogramStat {
    Count,
    Sum,
    Avg,
    Stddev,
    Stdvar,
}

/// Functions of the samples in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum WindowFunction {
    Rate,
    Increase,
    Delta,
    Irate,
    Idelta,
    Deriv,
    PredictLinear,
    Changes,
    Resets,
    Avg,
    Sum,
    Min,
    Max,
    Count,
    Present,
    First,
    Last,
    Quantile,
    Stddev,
    Stdvar,
    Mad,
    TsOfFirst,
    TsOfLast,
    TsOfMax,
    TsOfMin,
    DoubleExponentialSmoothing,
}

impl WindowFunction {
    /// Whether its samples are those of a counter.
    pub(crate) fn is_counter(self) -> bool {
        matches!(self, WindowFunction::Rate | WindowFunction::Increase | WindowFunction::Irate)
    }

    /// Whether it looks at start timestamps.
    pub(crate) fn uses_start_timestamps(self) -> bool {
        self.is_counter() || self == WindowFunction::Resets
    }

    /// Whether its result is one of the samples, so that it keeps its name.
    pub(crate) fn keeps_name(self) -> bool {
        matches!(self, WindowFunction::First | WindowFunction::Last)
    }

    /// Whether it reads all samples of each window; what others find out of a series once tells all windows.
    pub(crate) fn reads_every_window(self) -> bool {
        use WindowFunction::{
            Avg, Deriv, DoubleExponentialSmoothing, Mad, PredictLinear, Quantile, Stddev, Stdvar, Sum,
        };
        matches!(
            self,
            Avg | Deriv | DoubleExponentialSmoothing | Mad | PredictLinear | Quantile | Stddev | Stdvar | Sum
        )
    }

    /// Whether it makes sense of samples beyond the window.
    pub(crate) fn allows_anchored(self) -> bool {
        use WindowFunction::{Changes, Resets};
        self.allows_smoothed() || matches!(self, Changes | Resets)
    }

    /// Whether it makes sense of values between samples.
    pub(crate) fn allows_smoothed(self) -> bool {
        matches!(self, WindowFunction::Rate | WindowFunction::Increase | WindowFunction::Delta)
    }
}

/// Names of the functions that go with `anchored` and `smoothed`, as messages list them.
pub(crate) const ANCHORED_FUNCTIONS: &str = "changes, delta, increase, rate, resets";
/// Likewise for `smoothed` alone.
pub(crate) const SMOOTHED_FUNCTIONS: &str = "delta, increase, rate";

impl Function {
    /// The function of that name.
    pub(crate) fn named(name: &str) -> Option<Function> {
        ordinary(name)
            .or_else(|| map(name).map(Function::Map))
            .or_else(|| date(name).map(Function::Date))
            .or_else(|| window(name).map(Function::Window))
    }

    /// Whether its value is a scalar.
    pub(crate) fn is_scalar(self) -> bool {
        matches!(self, Function::Time | Function::Pi | Function::MaxOf | Function::MinOf | Function::Scalar)
    }

    /// Whether its value at a step depends on the step's time even where its arguments don't.
    pub(crate) fn depends_on_time(self) -> bool {
        matches!(
            self,
            Function::Date(_)
                | Function::Time
                | Function::Timestamp
                | Function::Window(WindowFunction::PredictLinear)
        )
    }
}

fn ordinary(name: &str) -> Option<Function> {
    Some(match name {
        "time" => Function::Time,
        "pi" => Function::Pi,
        "max_of" => Function::MaxOf,
        "min_of" => Function::MinOf,
        "scalar" => Function::Scalar,
        "vector" => Function::Vector,
        "histogram_count" => Function::HistogramStat(HistogramStat::Count),
        "histogram_sum" => Function::HistogramStat(HistogramStat::Sum),
        "histogram_avg" => Function::HistogramStat(HistogramStat::Avg),
        "histogram_stddev" => Function::HistogramStat(HistogramStat::Stddev),
        "histogram_stdvar" => Function::HistogramStat(HistogramStat::Stdvar),
        "histogram_quantile" => Function::HistogramQuantile,
        "histogram_quantiles" => Function::HistogramQuantiles,
        "histogram_fraction" => Function::HistogramFraction,
        "absent" => Function::Absent,
        "absent_over_time" => Function::AbsentOverTime,
        "timestamp" => Function::Timestamp,
        "start_timestamp" => Function::StartTimestamp,
        "label_replace" => Function::LabelReplace,
        "label_join" => Function::LabelJoin,
        "sort" => Function::Sort { descending: false },
        "sort_desc" => Function::Sort { descending: true },
        "sort_by_label" => Function::SortByLabel { descending: false },
        "sort_by_label_desc" => Function::SortByLabel { descending: true },
        "info" => Function::Info,
        "start" => Function::QueryStart,
        "end" => Function::QueryEnd,
        "step" => Function::QueryStep,
        "range" => Function::QueryRange,
        _ => return None,
    })
}

fn map(name: &str) -> Option<MapFunction> {
    Some(match name {
        "abs" => MapFunction::Abs,
        "ceil" => MapFunction::Ceil,
        "floor" => MapFunction::Floor,
        "exp" => MapFunction::Exp,
        "sqrt" => MapFunction::Sqrt,
        "ln" => MapFunction::Ln,
        "log2" => MapFunction::Log2,
        "log10" => MapFunction::Log10,
        "sgn" => MapFunction::Sgn,
        "deg" => MapFunction::Deg,
        "rad" => MapFunction::Rad,
        "sin" => MapFunction::Sin,
        "cos" => MapFunction::Cos,
        "tan" => MapFunction::Tan,
        "asin" => MapFunction::Asin,
        "acos" => MapFunction::Acos,
        "atan" => MapFunction::Atan,
        "sinh" => MapFunction::Sinh,
        "cosh" => MapFunction::Cosh,
        "tanh" => MapFunction::Tanh,
        "asinh" => MapFunction::Asinh,
        "acosh" => MapFunction::Acosh,
        "atanh" => MapFunction::Atanh,
        "round" => MapFunction::Round,
        "clamp" => MapFunction::Clamp,
        "clamp_min" => MapFunction::ClampMin,
        "clamp_max" => MapFunction::ClampMax,
        _ => return None,
    })
}

fn date(name: &str) -> Option<DatePart> {
    Some(match name {
        "days_in_month" => DatePart::DaysInMonth,
        "day_of_month" => DatePart::DayOfMonth,
        "day_of_week" => DatePart::DayOfWeek,
        "day_of_year" => DatePart::DayOfYear,
        "hour" => DatePart::Hour,
        "minute" => DatePart::Minute,
        "month" => DatePart::Month,
        "year" => DatePart::Year,
        _ => return None,
    })
}

fn window(name: &str) -> Option<WindowFunction> {
    Some(match name {
        "rate" => WindowFunction::Rate,
        "increase" => WindowFunction::Increase,
        "delta" => WindowFunction::Delta,
        "irate" => WindowFunction::Irate,
        "idelta" => WindowFunction::Idelta,
        "deriv" => WindowFunction::Deriv,
        "predict_linear" => WindowFunction::PredictLinear,
        "changes" => WindowFunction::Changes,
        "resets" => WindowFunction::Resets,
        "avg_over_time" => WindowFunction::Avg,
        "sum_over_time" => WindowFunction::Sum,
        "min_over_time" => WindowFunction::Min,
        "max_over_time" => WindowFunction::Max,
        "count_over_time" => WindowFunction::Count,
        "present_over_time" => WindowFunction::Present,
        "first_over_time" => WindowFunction::First,
        "last_over_time" => WindowFunction::Last,
        "quantile_over_time" => WindowFunction::Quantile,
        "stddev_over_time" => WindowFunction::Stddev,
        "stdvar_over_time" => WindowFunction::Stdvar,
        "mad_over_time" => WindowFunction::Mad,
        "ts_of_first_over_time" => WindowFunction::TsOfFirst,
        "ts_of_last_over_time" => WindowFunction::TsOfLast,
        "ts_of_max_over_time" => WindowFunction::TsOfMax,
        "ts_of_min_over_time" => WindowFunction::TsOfMin,
        "double_exponential_smoothing" => WindowFunction::DoubleExponentialSmoothing,
        _ => return None,
    })
}
