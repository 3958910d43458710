//! Metrics as a table: a struct of them, of which each row says field, kind, name and help.

use std::sync::Arc;

use model::summary::{self, SummaryOpts, SummaryVec};
use model::time::Clock;
use prometheus::core::Collector;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
};

/// Bounds of the histograms over intervals, synchronisations and refreshes, in seconds.
const SECONDS_BOUNDS: &[f64] = &[0.01, 0.1, 1.0, 10.0];

/// A kind of metric, made from its name, its help, and what else it takes.
pub(crate) trait Kind: Collector + Clone + 'static {
    /// What else it takes.
    type With;

    fn make(name: &str, help: &str, with: Self::With, clock: &Arc<dyn Clock>) -> prometheus::Result<Self>;
}

/// Names of labels.
type Names = &'static [&'static str];

impl Kind for IntCounter {
    type With = ();

    fn make(name: &str, help: &str, (): (), _: &Arc<dyn Clock>) -> prometheus::Result<Self> {
        IntCounter::new(name, help)
    }
}

impl Kind for IntCounterVec {
    type With = Names;

    fn make(name: &str, help: &str, labels: Names, _: &Arc<dyn Clock>) -> prometheus::Result<Self> {
        IntCounterVec::new(Opts::new(name, help), labels)
    }
}

impl Kind for IntGaugeVec {
    type With = Names;

    fn make(name: &str, help: &str, labels: Names, _: &Arc<dyn Clock>) -> prometheus::Result<Self> {
        IntGaugeVec::new(Opts::new(name, help), labels)
    }
}

impl Kind for GaugeVec {
    type With = Names;

    fn make(name: &str, help: &str, labels: Names, _: &Arc<dyn Clock>) -> prometheus::Result<Self> {
        GaugeVec::new(Opts::new(name, help), labels)
    }
}

/// Over the default bounds.
impl Kind for Histogram {
    type With = ();

    fn make(name: &str, help: &str, (): (), _: &Arc<dyn Clock>) -> prometheus::Result<Self> {
        Histogram::with_opts(HistogramOpts::new(name, help))
    }
}

/// Over [`SECONDS_BOUNDS`].
impl Kind for HistogramVec {
    type With = Names;

    fn make(name: &str, help: &str, labels: Names, _: &Arc<dyn Clock>) -> prometheus::Result<Self> {
        HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS_BOUNDS.to_vec()), labels)
    }
}

impl Kind for SummaryVec {
    /// Labels and quantiles.
    type With = (Names, &'static [f64]);

    fn make(
        name: &str,
        help: &str,
        (labels, quantiles): Self::With,
        clock: &Arc<dyn Clock>,
    ) -> prometheus::Result<Self> {
        summary::summary_vec(SummaryOpts::new(name, help, quantiles, Arc::clone(clock)), labels)
    }
}

/// Makes a metric and registers it.
pub(crate) fn register<K: Kind>(
    registry: &Registry,
    clock: &Arc<dyn Clock>,
    (name, help, with): (&str, &str, K::With),
) -> prometheus::Result<K> {
    let metric = K::make(name, help, with, clock)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// Declares a struct of metrics by a table of field, kind with what else it takes, name, and help, and the
/// function `make` that registers them.
macro_rules! metric_table {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $table:ident;
        $($field:ident: $kind:ident $(($with:expr))? = $name:literal, $help:literal;)*
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug)]
        $visibility struct $table {
            $(#[doc = $help] pub(crate) $field: $kind,)*
        }

        impl $table {
            fn make(
                registry: &::prometheus::Registry,
                clock: &::std::sync::Arc<dyn ::model::time::Clock>,
            ) -> ::prometheus::Result<Self> {
                Ok($table {
                    $($field: $crate::metric_table::register(registry, clock, ($name, $help, ($($with)?)))?,)*
                })
            }
        }
    };
}
pub(crate) use metric_table;
