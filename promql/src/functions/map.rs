//! Functions from float to float.

use std::f64::consts::PI;

use crate::plan::duration::{go_max, go_min};
use crate::plan::function::MapFunction;

/// Applies the function; `params` are its other arguments at the step, as many as there are.
#[inline]
pub(crate) fn apply(function: MapFunction, value: f64, params: &[f64]) -> f64 {
    match function {
        MapFunction::Abs => value.abs(),
        MapFunction::Ceil => value.ceil(),
        MapFunction::Floor => value.floor(),
        MapFunction::Exp => value.exp(),
        MapFunction::Sqrt => value.sqrt(),
        MapFunction::Ln => value.ln(),
        MapFunction::Log2 => value.log2(),
        MapFunction::Log10 => value.log10(),
        MapFunction::Sgn if value < 0.0 => -1.0,
        MapFunction::Sgn if value > 0.0 => 1.0,
        MapFunction::Sgn => value,
        MapFunction::Deg => value * 180.0 / PI,
        MapFunction::Rad => value * PI / 180.0,
        MapFunction::Sin => value.sin(),
        MapFunction::Cos => value.cos(),
        MapFunction::Tan => value.tan(),
        MapFunction::Asin => value.asin(),
        MapFunction::Acos => value.acos(),
        MapFunction::Atan => value.atan(),
        MapFunction::Sinh => value.sinh(),
        MapFunction::Cosh => value.cosh(),
        MapFunction::Tanh => value.tanh(),
        MapFunction::Asinh => value.asinh(),
        MapFunction::Acosh => value.acosh(),
        MapFunction::Atanh => value.atanh(),
        MapFunction::Round => round(value, params.first().copied().unwrap_or(1.0)),
        MapFunction::Clamp => clamp(value, params[0], params[1]),
        MapFunction::ClampMin => clamp(value, params[0], f64::INFINITY),
        MapFunction::ClampMax => clamp(value, f64::NEG_INFINITY, params[0]),
    }
}

/// Whether a step with these arguments has no result at all.
pub(crate) fn is_empty(function: MapFunction, params: &[f64]) -> bool {
    match function {
        MapFunction::Clamp => params[1] < params[0],
        _ => false,
    }
}

/// Halves are rounded up. Works with the inverse, which loses less.
fn round(value: f64, to_nearest: f64) -> f64 {
    let inverse = 1.0 / to_nearest;
    (value * inverse + 0.5).floor() / inverse
}

fn clamp(value: f64, low: f64, high: f64) -> f64 {
    go_max(low, go_min(high, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_mapped() {
        for (function, value, params, expected) in [
            (MapFunction::Round, 2.5, vec![], 3.0),
            (MapFunction::Round, -2.5, vec![], -2.0),
            (MapFunction::Round, 1234.0, vec![50.0], 1250.0),
            (MapFunction::Clamp, 7.0, vec![1.0, 5.0], 5.0),
            (MapFunction::ClampMin, 7.0, vec![9.0], 9.0),
            (MapFunction::ClampMax, 7.0, vec![5.0], 5.0),
            (MapFunction::Sgn, -0.5, vec![], -1.0),
            (MapFunction::Deg, PI, vec![], 180.0),
        ] {
            assert_eq!(apply(function, value, &params), expected, "{function:?}({value}, {params:?})");
        }
        assert!(apply(MapFunction::Clamp, 1.0, &[f64::NAN, 5.0]).is_nan());
        assert!(is_empty(MapFunction::Clamp, &[5.0, 1.0]));
    }
}
