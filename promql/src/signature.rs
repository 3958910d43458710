//! All functions: their names, what they take and return. How they are computed stands elsewhere; the parser,
//! the checker and the API know functions by this table alone.

use crate::ast::ValueType::{self, Matrix, Scalar, String, Vector};

/// What is known of a function without calling it.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature {
    /// Its name, in lower case; functions are told apart by case.
    pub name: &'static str,
    /// Types of the arguments. Where there may be more arguments than these, they are of the last type.
    pub args: &'static [ValueType],
    /// 0: exactly the arguments of `args`. `n` above 0: the last of `args` may be missing, or be there up to `n`
    /// times. -1: it may be missing, or be there any number of times.
    pub variadic: i32,
    /// Type of the result.
    pub return_type: ValueType,
    /// Whether the feature `promql-experimental-functions` is needed.
    pub experimental: bool,
    /// What it computes, in a few words.
    pub doc: &'static str,
}

/// The function of this name.
pub fn find(name: &str) -> Option<&'static Signature> {
    SIGNATURES.binary_search_by(|signature| signature.name.cmp(name)).ok().map(|at| &SIGNATURES[at])
}

const fn stable(
    name: &'static str,
    args: &'static [ValueType],
    variadic: i32,
    return_type: ValueType,
    doc: &'static str,
) -> Signature {
    Signature { name, args, variadic, return_type, experimental: false, doc }
}

const fn experimental(
    name: &'static str,
    args: &'static [ValueType],
    variadic: i32,
    return_type: ValueType,
    doc: &'static str,
) -> Signature {
    Signature { name, args, variadic, return_type, experimental: true, doc }
}

/// Every function, sorted by name.
pub const SIGNATURES: [Signature; 90] = [
    stable("abs", &[Vector], 0, Vector, "absolute value"),
    stable("absent", &[Vector], 0, Vector, "1 if the vector is empty, else nothing"),
    stable(
        "absent_over_time",
        &[Matrix],
        0,
        Vector,
        "1 if no series has a sample in the range, else nothing",
    ),
    stable("acos", &[Vector], 0, Vector, "arc cosine, in radians"),
    stable("acosh", &[Vector], 0, Vector, "inverse hyperbolic cosine"),
    stable("asin", &[Vector], 0, Vector, "arc sine, in radians"),
    stable("asinh", &[Vector], 0, Vector, "inverse hyperbolic sine"),
    stable("atan", &[Vector], 0, Vector, "arc tangent, in radians"),
    stable("atanh", &[Vector], 0, Vector, "inverse hyperbolic tangent"),
    stable("avg_over_time", &[Matrix], 0, Vector, "mean of the samples in the range"),
    stable("ceil", &[Vector], 0, Vector, "rounded up to an integer"),
    stable("changes", &[Matrix], 0, Vector, "how often the value changed in the range"),
    stable("clamp", &[Vector, Scalar, Scalar], 0, Vector, "limited to a minimum and a maximum"),
    stable("clamp_max", &[Vector, Scalar], 0, Vector, "limited to a maximum"),
    stable("clamp_min", &[Vector, Scalar], 0, Vector, "limited to a minimum"),
    stable("cos", &[Vector], 0, Vector, "cosine of radians"),
    stable("cosh", &[Vector], 0, Vector, "hyperbolic cosine"),
    stable("count_over_time", &[Matrix], 0, Vector, "number of samples in the range"),
    stable("day_of_month", &[Vector], 1, Vector, "day of the month, from 1 (UTC)"),
    stable("day_of_week", &[Vector], 1, Vector, "day of the week, 0 is Sunday (UTC)"),
    stable("day_of_year", &[Vector], 1, Vector, "day of the year, from 1 (UTC)"),
    stable("days_in_month", &[Vector], 1, Vector, "days of the month that the time is in (UTC)"),
    stable("deg", &[Vector], 0, Vector, "radians to degrees"),
    stable("delta", &[Matrix], 0, Vector, "difference over the range, extrapolated to its ends, of a gauge"),
    stable("deriv", &[Matrix], 0, Vector, "slope per second by least squares"),
    experimental(
        "double_exponential_smoothing",
        &[Matrix, Scalar, Scalar],
        0,
        Vector,
        "smoothed value with a trend (Holt)",
    ),
    experimental("end", &[], 0, Scalar, "end of the query's range, in seconds"),
    stable("exp", &[Vector], 0, Vector, "e to the power"),
    stable("first_over_time", &[Matrix], 0, Vector, "oldest sample in the range"),
    stable("floor", &[Vector], 0, Vector, "rounded down to an integer"),
    stable("histogram_avg", &[Vector], 0, Vector, "mean observation of native histograms"),
    stable("histogram_count", &[Vector], 0, Vector, "observations of native histograms"),
    stable(
        "histogram_fraction",
        &[Scalar, Scalar, Vector],
        0,
        Vector,
        "estimated fraction of observations between two bounds",
    ),
    stable("histogram_quantile", &[Scalar, Vector], 0, Vector, "estimated quantile of observations"),
    experimental(
        "histogram_quantiles",
        &[Vector, String, Scalar, Scalar],
        9,
        Vector,
        "several estimated quantiles, told apart by a label",
    ),
    stable(
        "histogram_stddev",
        &[Vector],
        0,
        Vector,
        "estimated standard deviation of observations of native histograms",
    ),
    stable(
        "histogram_stdvar",
        &[Vector],
        0,
        Vector,
        "estimated variance of observations of native histograms",
    ),
    stable("histogram_sum", &[Vector], 0, Vector, "sum of observations of native histograms"),
    stable("hour", &[Vector], 1, Vector, "hour of the day (UTC)"),
    stable("idelta", &[Matrix], 0, Vector, "difference of the last two samples"),
    stable(
        "increase",
        &[Matrix],
        0,
        Vector,
        "increase of a counter over the range, extrapolated to its ends",
    ),
    experimental("info", &[Vector, Vector], 1, Vector, "adds labels of matching info metrics"),
    stable("irate", &[Matrix], 0, Vector, "increase per second between the last two samples of a counter"),
    stable(
        "label_join",
        &[Vector, String, String, String],
        -1,
        Vector,
        "sets a label to the joined values of others",
    ),
    stable(
        "label_replace",
        &[Vector, String, String, String, String],
        0,
        Vector,
        "sets a label from a match of a regular expression on another",
    ),
    stable("last_over_time", &[Matrix], 0, Vector, "newest sample in the range"),
    stable("ln", &[Vector], 0, Vector, "natural logarithm"),
    stable("log10", &[Vector], 0, Vector, "decimal logarithm"),
    stable("log2", &[Vector], 0, Vector, "binary logarithm"),
    experimental("mad_over_time", &[Matrix], 0, Vector, "median absolute deviation in the range"),
    experimental("max_of", &[Scalar, Scalar], 0, Scalar, "the greater of two numbers"),
    stable("max_over_time", &[Matrix], 0, Vector, "greatest sample in the range"),
    experimental("min_of", &[Scalar, Scalar], 0, Scalar, "the lesser of two numbers"),
    stable("min_over_time", &[Matrix], 0, Vector, "least sample in the range"),
    stable("minute", &[Vector], 1, Vector, "minute of the hour (UTC)"),
    stable("month", &[Vector], 1, Vector, "month of the year, from 1 (UTC)"),
    stable("pi", &[], 0, Scalar, "the number pi"),
    stable("predict_linear", &[Matrix, Scalar], 0, Vector, "value so many seconds from now by least squares"),
    stable("present_over_time", &[Matrix], 0, Vector, "1 for each series with a sample in the range"),
    stable("quantile_over_time", &[Scalar, Matrix], 0, Vector, "quantile of the samples in the range"),
    stable("rad", &[Vector], 0, Vector, "degrees to radians"),
    experimental("range", &[], 0, Scalar, "length of the query's range, in seconds"),
    stable(
        "rate",
        &[Matrix],
        0,
        Vector,
        "increase per second of a counter over the range, extrapolated to its ends",
    ),
    stable("resets", &[Matrix], 0, Vector, "how often a counter was reset in the range"),
    stable(
        "round",
        &[Vector, Scalar],
        1,
        Vector,
        "rounded to the nearest multiple of a number, 1 by default",
    ),
    stable("scalar", &[Vector], 0, Scalar, "the value of a vector's only element, else NaN"),
    stable("sgn", &[Vector], 0, Vector, "sign: -1, 0 or 1"),
    stable("sin", &[Vector], 0, Vector, "sine of radians"),
    stable("sinh", &[Vector], 0, Vector, "hyperbolic sine"),
    stable("sort", &[Vector], 0, Vector, "sorted by value, ascending"),
    experimental(
        "sort_by_label",
        &[Vector, String],
        -1,
        Vector,
        "sorted by labels in natural order, ascending",
    ),
    experimental(
        "sort_by_label_desc",
        &[Vector, String],
        -1,
        Vector,
        "sorted by labels in natural order, descending",
    ),
    stable("sort_desc", &[Vector], 0, Vector, "sorted by value, descending"),
    stable("sqrt", &[Vector], 0, Vector, "square root"),
    experimental("start", &[], 0, Scalar, "start of the query's range, in seconds"),
    experimental(
        "start_timestamp",
        &[Vector],
        0,
        Vector,
        "when the counting of the sample began, in seconds",
    ),
    stable("stddev_over_time", &[Matrix], 0, Vector, "standard deviation of the samples in the range"),
    stable("stdvar_over_time", &[Matrix], 0, Vector, "variance of the samples in the range"),
    experimental("step", &[], 0, Scalar, "step of the query, in seconds"),
    stable("sum_over_time", &[Matrix], 0, Vector, "sum of the samples in the range"),
    stable("tan", &[Vector], 0, Vector, "tangent of radians"),
    stable("tanh", &[Vector], 0, Vector, "hyperbolic tangent"),
    stable("time", &[], 0, Scalar, "evaluation time, in seconds"),
    stable("timestamp", &[Vector], 0, Vector, "time of each sample, in seconds"),
    experimental(
        "ts_of_first_over_time",
        &[Matrix],
        0,
        Vector,
        "time of the oldest sample in the range, in seconds",
    ),
    experimental(
        "ts_of_last_over_time",
        &[Matrix],
        0,
        Vector,
        "time of the newest sample in the range, in seconds",
    ),
    experimental(
        "ts_of_max_over_time",
        &[Matrix],
        0,
        Vector,
        "time of the greatest sample in the range, in seconds",
    ),
    experimental(
        "ts_of_min_over_time",
        &[Matrix],
        0,
        Vector,
        "time of the least sample in the range, in seconds",
    ),
    stable("vector", &[Scalar], 0, Vector, "a number as a vector without labels"),
    stable("year", &[Vector], 1, Vector, "year (UTC)"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_found_by_its_name() {
        for signature in &SIGNATURES {
            assert_eq!(find(signature.name), Some(signature));
        }
        assert_eq!(find("Rate"), None);
        assert_eq!(SIGNATURES.iter().filter(|signature| signature.experimental).count(), 17);
    }
}
