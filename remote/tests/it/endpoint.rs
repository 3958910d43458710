//! A server that takes remote write, as a test wants it.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::exemplar::Exemplar;
use model::labels::Labels;
use model::metadata::Metadata;
use model::names::ValidationScheme;
use model::storage::{Appender, Batch, Committed, HistogramValue, SeriesKey, SeriesRef, StorageError};
use model::time::{Clock, ManualClock, TimestampMs};
use parking_lot::{Condvar, Mutex};
use prometheus::Registry;
use remote::wire::Fields;
use remote::write::{Headers, Receiver, ReceiverOptions, Version};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

/// When a test that waits has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to answer instead of storing a request.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<&'static str>,
}

/// What came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) floats: Vec<(Labels, TimestampMs, u64)>,
    pub(crate) histograms: Vec<(Labels, TimestampMs, HistogramValue)>,
    pub(crate) exemplars: Vec<(Labels, Exemplar)>,
    pub(crate) metadata: Vec<(Labels, Metadata)>,
    /// Names of the families of which 1.0's requests of metadata told.
    pub(crate) families: Vec<String>,
    /// Headers of all requests.
    pub(crate) requests: Vec<HeaderMap>,
}

#[derive(Debug, Default)]
struct State {
    content: Content,
    refusals: VecDeque<Refusal>,
    /// Answers 503 to everything.
    is_down: bool,
    series: HashMap<SeriesRef, Labels>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

/// Notes what is stored.
#[derive(Debug)]
struct Recorder(Arc<Shared>);

impl Appender for Recorder {
    fn commit(&self, batch: &Batch) -> Result<Committed, StorageError> {
        let mut state = self.0.state.lock();
        let mut committed = Committed::default();
        for labels in &batch.new_series {
            let series = SeriesRef(NonZeroU64::new(state.series.len() as u64 + 1).unwrap());
            state.series.insert(series, labels.clone());
            committed.new_refs.push(Some(series));
        }
        let State { content, series, .. } = &mut *state;
        let labels = |key: SeriesKey| match key {
            SeriesKey::Known(known) => series[&known].clone(),
            SeriesKey::New(at) => batch.new_series[at as usize].clone(),
        };
        let floats = batch.floats.iter();
        content.floats.extend(floats.map(|s| (labels(s.series), s.timestamp_ms, s.value.to_bits())));
        let histograms = batch.histograms.iter();
        content.histograms.extend(histograms.map(|s| (labels(s.series), s.timestamp_ms, s.value.clone())));
        content.exemplars.extend(batch.exemplars.iter().map(|(s, e)| (labels(*s), e.clone())));
        content.metadata.extend(batch.metadata.iter().map(|(s, f)| (labels(*s), f.metadata.clone())));
        Ok(committed)
    }
}

impl Endpoint {
    /// Serves until the runtime ends.
    pub(crate) fn start(runtime: &Handle) -> Endpoint {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let options =
            ReceiverOptions { accepted: vec![Version::V1, Version::V2], names: ValidationScheme::Utf8 };
        let recorder = Arc::new(Recorder(Arc::clone(&shared)));
        // Nothing that a test sends is in the future.
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(i64::MAX / 2));
        let receiver = Arc::new(Receiver::new(options, recorder, clock, &Registry::new()).unwrap());
        let endpoint = Endpoint { address, shared };
        let serving = endpoint.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (endpoint, receiver) = (serving.clone(), Arc::clone(&receiver));
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let (endpoint, receiver) = (endpoint.clone(), Arc::clone(&receiver));
                        async move { Ok::<_, Infallible>(endpoint.answer(&receiver, request).await) }
                    });
                    // The other side may go at any time.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        endpoint
    }

    async fn answer(&self, receiver: &Receiver, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let refusal = {
            let mut state = self.shared.state.lock();
            state.content.requests.push(parts.headers.clone());
            let down = state.is_down.then_some(Refusal { status: 503, retry_after: None });
            down.or_else(|| state.refusals.pop_front())
        };
        let response = match refusal {
            Some(refusal) => {
                let response = Response::builder().status(refusal.status);
                let response = match refusal.retry_after {
                    Some(after) => response.header("Retry-After", after),
                    None => response,
                };
                response.body(Full::new(Bytes::from("as the test wants it\n"))).unwrap()
            }
            None => self.store(receiver, &parts.headers, &body),
        };
        self.shared.changed.notify_all();
        response
    }

    fn store(&self, receiver: &Receiver, headers: &HeaderMap, body: &[u8]) -> Response<Full<Bytes>> {
        let text = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
        let outcome = receiver.receive(
            Headers { content_type: text("Content-Type"), content_encoding: text("Content-Encoding") },
            body,
        );
        assert!(outcome.status < 300, "{outcome:?}");
        if text("X-Prometheus-Remote-Write-Version") == "0.1.0" {
            self.note_families(&snap::raw::Decoder::new().decompress_vec(body).unwrap());
        }
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::from_u16(outcome.status).unwrap();
        for (kind, count) in
            ["Samples", "Histograms", "Exemplars"].iter().zip(outcome.written.into_iter().flatten())
        {
            let name = format!("X-Prometheus-Remote-Write-{kind}-Written");
            response.headers_mut().insert(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                http::HeaderValue::from(count),
            );
        }
        response
    }

    fn note_families(&self, message: &[u8]) {
        let mut fields = Fields::new(message);
        while let Some((number, field)) = fields.take_field().unwrap() {
            if number == 3 {
                let mut metadata = Fields::new(field.bytes(3).unwrap());
                while let Some((number, field)) = metadata.take_field().unwrap() {
                    if number == 2 {
                        let name = field.text(2).unwrap().to_owned();
                        self.shared.state.lock().content.families.push(name);
                    }
                }
            }
        }
    }

    /// Answers the next requests so.
    pub(crate) fn refuse(&self, refusals: impl IntoIterator<Item = Refusal>) {
        self.shared.state.lock().refusals.extend(refusals);
    }

    /// Answers 503 to everything, or not any more.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.shared.state.lock().is_down = is_down;
    }

    /// Waits until what came is as wanted, and gives it back.
    pub(crate) fn wait_until(&self, what: &str, mut wanted: impl FnMut(&Content) -> bool) -> Content {
        let mut state = self.shared.state.lock();
        while !wanted(&state.content) {
            let late = self.shared.changed.wait_for(&mut state, PATIENCE).timed_out();
            assert!(!late, "no {what}: {:?}", state.content);
        }
        state.content.clone()
    }

    /// What came.
    pub(crate) fn content(&self) -> Content {
        self.shared.state.lock().content.clone()
    }
}
