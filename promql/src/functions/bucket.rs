//! Bucket bounds and quantiles as label values.

/// The bound that `le` tells, as Go parses floats but for hexadecimal ones and underscores, which nobody
/// writes here.
pub(crate) fn parse_bound(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// A float as OpenMetrics writes the values of `quantile` and `le`.
pub(crate) fn open_metrics_float(value: f64) -> String {
    let text = model::float_text::general(value);
    let is_integer = value.is_finite() && !text.contains(['.', 'e']);
    if is_integer { text + ".0" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantile_labels_are_floats() {
        for (value, text) in [(0.5, "0.5"), (1.0, "1.0"), (0.0, "0.0"), (f64::INFINITY, "+Inf")] {
            assert_eq!(open_metrics_float(value), text);
        }
    }

    #[test]
    fn bounds_are_floats() {
        for (text, bound) in [("0.5", Some(0.5)), ("+Inf", Some(f64::INFINITY)), ("", None), ("x", None)] {
            assert_eq!(parse_bound(text), bound);
        }
    }
}
