//! What the server tells of its own requests.

use std::sync::OnceLock;
use std::time::Instant;

use http::StatusCode;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
    exponential_buckets,
};

/// Bounds of the durations, in seconds.
const DURATION_BUCKETS: [f64; 9] = [0.1, 0.2, 0.4, 1.0, 3.0, 8.0, 20.0, 60.0, 120.0];

/// The metrics of all endpoints.
#[derive(Debug)]
pub(crate) struct HttpMetrics {
    requests: IntCounterVec,
    duration: HistogramVec,
    response_size: HistogramVec,
    /// Requests for `/metrics`, by status.
    pub(crate) scrapes: IntCounterVec,
    /// Federation requests that failed.
    pub(crate) federation_errors: IntCounter,
    /// Federation requests with warnings.
    pub(crate) federation_warnings: IntCounter,
    /// 1 once the server is ready.
    pub(crate) ready: Gauge,
}

/// The metrics of one endpoint. Histograms come into being with the first request, as in the reference.
#[derive(Debug)]
pub(crate) struct EndpointMetrics {
    handler: &'static str,
    ok: IntCounter,
    histograms: OnceLock<(Histogram, Histogram)>,
}

impl HttpMetrics {
    /// Makes and registers the metrics.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str, buckets: Vec<f64>| {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), &["handler"])
        };
        let metrics = HttpMetrics {
            requests: IntCounterVec::new(
                Opts::new("prometheus_http_requests_total", "Counter of HTTP requests."),
                &["handler", "code"],
            )?,
            duration: histogram(
                "prometheus_http_request_duration_seconds",
                "Histogram of latencies for HTTP requests.",
                DURATION_BUCKETS.to_vec(),
            )?,
            response_size: histogram(
                "prometheus_http_response_size_bytes",
                "Histogram of response size for HTTP requests.",
                exponential_buckets(100.0, 10.0, 8)?,
            )?,
            scrapes: IntCounterVec::new(
                Opts::new(
                    "promhttp_metric_handler_requests_total",
                    "Total number of scrapes by HTTP status code.",
                ),
                &["code"],
            )?,
            federation_errors: IntCounter::new(
                "prometheus_web_federation_errors_total",
                "Total number of errors that occurred while sending federation responses.",
            )?,
            federation_warnings: IntCounter::new(
                "prometheus_web_federation_warnings_total",
                "Total number of warnings that occurred while sending federation responses.",
            )?,
            ready: Gauge::new(
                "prometheus_ready",
                "Whether Prometheus startup was fully completed and the server is ready for normal operation.",
            )?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.response_size.clone()))?;
        registry.register(Box::new(metrics.scrapes.clone()))?;
        registry.register(Box::new(metrics.federation_errors.clone()))?;
        registry.register(Box::new(metrics.federation_warnings.clone()))?;
        registry.register(Box::new(metrics.ready.clone()))?;
        for code in ["200", "500", "503"] {
            metrics.scrapes.with_label_values(&[code]);
        }
        Ok(metrics)
    }

    /// The metrics of one endpoint; its counter of successes begins at 0 at once.
    pub(crate) fn endpoint(&self, handler: &'static str) -> EndpointMetrics {
        let ok = self.requests.with_label_values(&[handler, "200"]);
        EndpointMetrics { handler, ok, histograms: OnceLock::new() }
    }

    /// Counts a request that has been answered.
    pub(crate) fn observe(
        &self,
        endpoint: &EndpointMetrics,
        status: StatusCode,
        begun: Instant,
        bytes: Option<u64>,
    ) {
        if status == StatusCode::OK {
            endpoint.ok.inc();
        } else {
            self.requests.with_label_values(&[endpoint.handler, status.as_str()]).inc();
        }
        let (duration, size) = endpoint.histograms.get_or_init(|| {
            let label = &[endpoint.handler];
            (self.duration.with_label_values(label), self.response_size.with_label_values(label))
        });
        duration.observe(begun.elapsed().as_secs_f64());
        if let Some(bytes) = bytes {
            size.observe(bytes as f64);
        }
    }
}
