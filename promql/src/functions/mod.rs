//! What functions compute, apart from where their input comes from.

pub(crate) mod bucket;
pub(crate) mod date;
pub(crate) mod extended;
pub(crate) mod extrapolate;
mod extremes;
pub(crate) mod float_window;
pub(crate) mod histogram_window;
mod lanes;
pub(crate) mod map;
pub(crate) mod mixed_window;
pub(crate) mod quantile;
pub(crate) mod regression;
pub(crate) mod start;
