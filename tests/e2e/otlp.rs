//! Metrics that OpenTelemetry's own SDK pushes. Where it isn't installed, its test is left out and says so.

use std::process::Command;

use crate::server::{Home, Server, wait_for};

/// A counter, a gauge, a histogram with bounds and one without, pushed once.
const APPLICATION: &str = "
import sys
from opentelemetry.sdk.metrics import MeterProvider, Histogram
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
exporter = OTLPMetricExporter(endpoint=sys.argv[1], compression=Compression.Gzip)
resource = Resource.create({
    'service.name': 'shop', 'service.namespace': 'web', 'service.instance.id': 'i-1', 'deployment.zone': 'a'})
provider = MeterProvider(
    resource=resource,
    metric_readers=[PeriodicExportingMetricReader(exporter)],
    views=[View(instrument_name='lag', aggregation=ExponentialBucketHistogramAggregation())])
meter = provider.get_meter('shop')
orders = meter.create_counter('orders.placed', unit='{order}', description='Orders.')
for path in ('/buy', '/buy', '/gift'):
    orders.add(1, {'http.route': path})
meter.create_up_down_counter('carts').add(-2)
meter.create_observable_gauge('oven.temperature', callbacks=[lambda _: observe()], unit='Cel')
def observe():
    from opentelemetry.metrics import Observation
    return [Observation(180.5)]
wait = meter.create_histogram('wait', unit='s', explicit_bucket_boundaries_advisory=[0.1, 1])
lag = meter.create_histogram('lag', unit='s')
for seconds in (0.05, 0.5, 5):
    wait.record(seconds)
    lag.record(seconds)
provider.shutdown()
";

#[test]
fn what_opentelemetrys_sdk_pushes_is_queried() {
    let library = "import opentelemetry.exporter.otlp.proto.http.metric_exporter";
    let has_library = Command::new("python3").args(["-c", library]).output();
    if !has_library.is_ok_and(|output| output.status.success()) {
        eprintln!("left out: Python with OpenTelemetry's SDK isn't installed");
        return;
    }
    let home = Home::new("otlp:\n  promote_resource_attributes: [deployment.zone]\n");
    let server = Server::start(&home, &["--web.enable-otlp-receiver"]);
    let url = format!("http://{}/api/v1/otlp/v1/metrics", server.address());
    let pushed = Command::new("python3").args(["-c", APPLICATION, &url]).output().unwrap();
    let log = String::from_utf8_lossy(&pushed.stderr);
    assert!(pushed.status.success() && !log.contains("Failed"), "{log}");
    let target = r#"job="web/shop", instance="i-1""#;
    for (expression, value) in [
        (format!("orders_placed_total{{{target}, http_route=\"/buy\", deployment_zone=\"a\"}}"), 2.0),
        (format!("carts{{{target}}}"), -2.0),
        (format!("oven_temperature_celsius{{{target}}}"), 180.5),
        ("wait_seconds_sum / wait_seconds_count".to_owned(), 1.85),
        ("wait_seconds_bucket{le=\"1\"}".to_owned(), 2.0),
        ("histogram_count(lag_seconds)".to_owned(), 3.0),
        ("histogram_fraction(0, 1, lag_seconds) * 3".to_owned(), 2.0),
        (format!("target_info{{{target}, telemetry_sdk_language=\"python\"}}"), 1.0),
    ] {
        let found = wait_for(&expression, || server.value(&expression));
        assert!((found - value).abs() < 1e-9, "{expression} is {found}");
    }
}

#[test]
fn otlp_is_refused_where_it_is_not_switched_on() {
    let server = Server::start(&Home::new(""), &[]);
    let (status, body) = server.post("/api/v1/otlp/v1/metrics", "");
    assert_eq!(status, 404);
    assert_eq!(body.trim(), "otlp write receiver needs to be enabled with --web.enable-otlp-receiver");
}
