//! Queries that get samples from another server, over HTTP.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use client::HttpClientConfig;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::cancel::Cancel;
use model::duration::PromDuration;
use model::labels::Labels;
use model::matcher::Matcher;
use model::storage::{Queryable, SampleColumns, SampleValue, SelectHints, SeriesSet};
use model::time::TimestampMs;
use prometheus::Registry;
use remote::read::{
    Answer, Chunk, ChunkDecoder, ClientConfig, LocalStart, Merged, MergedParts, ReadOptions, Server,
};
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};

use crate::read::{Memory, Samples, Single};

/// How a server answers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Streamed,
    /// As one that knows nothing of streams.
    Sampled,
    Failing,
}

/// A server of some series.
struct Other {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

/// The last fields of a request: accepted types 1 and 0.
const ACCEPTED: &[u8] = &[0x10, 1, 0x10, 0];

impl Other {
    fn start(runtime: &Handle, series: Vec<(Labels, Samples)>, mode: Mode) -> Other {
        let options = ReadOptions { samples_max: 0, concurrent_max: 0, frame_bytes: 20 };
        let server = Arc::new(
            Server::new(options, Arc::new(Memory(series)), Arc::new(Single), &Registry::new()).unwrap(),
        );
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, count) = (Arc::clone(&server), Arc::clone(&count));
                let service = service_fn(move |request| {
                    count.fetch_add(1, Ordering::SeqCst);
                    answer(Arc::clone(&server), mode, request)
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Other { address, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn answer(
    server: Arc<Server>,
    mode: Mode,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.headers()["x-prometheus-remote-read-version"], "0.1.0");
    assert_eq!(request.headers()["x-tenant"], "me");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut response = Response::new(Full::default());
    if mode == Mode::Failing {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        *response.body_mut() = Full::from("closed for today\n");
        return Ok(response);
    }
    let mut message = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
    if mode == Mode::Sampled {
        message.truncate(message.strip_suffix(ACCEPTED).unwrap().len());
    }
    let body = snap::raw::Encoder::new().compress_vec(&message).unwrap();
    let (body, content_type) = match server.read(&body, &Labels::empty(), &Cancel::new()).unwrap() {
        Answer::Samples(body) => (body, "application/x-protobuf"),
        Answer::Chunks(stream) => {
            let mut frames = Vec::new();
            stream
                .write(&mut |frame| {
                    frames.extend(frame);
                    true
                })
                .unwrap();
            (frames, "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse")
        }
    };
    response.headers_mut().insert("content-type", content_type.parse().unwrap());
    *response.body_mut() = Full::from(body);
    Ok(response)
}

/// Reads what [`Single`] writes.
#[derive(Debug)]
struct SingleReader;

impl ChunkDecoder for SingleReader {
    fn decode(
        &self,
        chunk: &Chunk,
        (mint, maxt): (TimestampMs, TimestampMs),
        out: &mut SampleColumns,
    ) -> Result<(), String> {
        let value = f64::from_be_bytes(chunk.bytes.as_slice().try_into().map_err(|_| "no float".to_owned())?);
        if (mint..=maxt).contains(&chunk.mint) {
            out.timestamps.push(chunk.mint);
            out.values.push(value);
        }
        Ok(())
    }
}

/// The local storage begins here.
const LOCAL_START_MS: TimestampMs = 100;

#[derive(Debug)]
struct Start;

impl LocalStart for Start {
    fn local_start_ms(&self) -> TimestampMs {
        LOCAL_START_MS
    }
}

fn series(name: &str, labels: &[(&str, &str)], samples: &[(TimestampMs, f64)]) -> (Labels, Samples) {
    let pairs = labels.iter().copied().chain([("__name__", name)]);
    (Labels::from_pairs(pairs), samples.to_vec())
}

fn config(other: &Other) -> ClientConfig {
    ClientConfig {
        name: "other".to_owned(),
        url: format!("http://{}/api/v1/read", other.address),
        remote_timeout: PromDuration::from_secs(60),
        chunked_read_limit: 1000,
        headers: BTreeMap::from([("X-Tenant".to_owned(), "me".to_owned())]),
        read_recent: false,
        required_matchers: BTreeMap::new(),
        external_labels: Labels::empty(),
        http_client: HttpClientConfig::default(),
    }
}

/// The local storage has `up{job="a"}` from 100 on.
fn merged(runtime: &Runtime, configs: Vec<ClientConfig>) -> Merged {
    let local = Memory(vec![series("up", &[("job", "a")], &[(100, 1.0), (110, 2.0)])]);
    let parts = MergedParts {
        local: Arc::new(local),
        start: Arc::new(Start),
        chunks: Arc::new(SingleReader),
        runtime: runtime.handle().clone(),
        user_agent: "test/1".to_owned(),
    };
    let merged = Merged::new(parts, &Registry::new()).unwrap();
    merged.apply(configs).unwrap();
    merged
}

fn select(merged: &Merged, matchers: &[Matcher], mint: TimestampMs) -> Box<dyn SeriesSet> {
    let querier = merged.querier(mint, 1000).unwrap();
    querier.select(matchers, &SelectHints::new(mint, 1000, &Cancel::new())).unwrap()
}

fn contents(set: &dyn SeriesSet) -> Vec<(String, Samples)> {
    let read = |index| {
        let mut columns = SampleColumns::default();
        set.read(index, 0, 1000, &mut columns).unwrap();
        let samples = columns.timestamps.into_iter().zip(columns.values).collect();
        (set.labels(index).to_string(), samples)
    };
    (0..set.len()).map(read).collect()
}

#[test]
fn samples_of_another_server_are_added_to_the_local_ones() {
    let runtime = Runtime::new().unwrap();
    for mode in [Mode::Streamed, Mode::Sampled] {
        let others = vec![
            series("up", &[("job", "a")], &[(10, 0.5), (100, 7.0)]),
            series("up", &[("job", "b")], &[(20, 3.0), (30, 4.0)]),
        ];
        let other = Other::start(runtime.handle(), others, mode);
        let merged = merged(&runtime, vec![config(&other)]);
        let set = select(&merged, &[Matcher::metric_name("up")], 0);
        assert_eq!(
            contents(&*set),
            [
                (r#"{__name__="up", job="a"}"#.to_owned(), vec![(10, 0.5), (100, 1.0), (110, 2.0)]),
                (r#"{__name__="up", job="b"}"#.to_owned(), vec![(20, 3.0), (30, 4.0)]),
            ],
            "{mode:?}"
        );
        assert_eq!(set.last(1, 0, 25).unwrap(), Some((20, SampleValue::Float(3.0))));
        let column = set.label_column("job");
        assert_eq!(column.values, ["", "a", "b"]);
        assert_eq!(column.ids, [1, 2]);
        assert!(set.warnings().is_empty());
        assert_eq!(other.asked(), 1);
    }
}

#[test]
fn only_what_is_wanted_from_others_is_asked() {
    let runtime = Runtime::new().unwrap();
    let other =
        Other::start(runtime.handle(), vec![series("up", &[("job", "b")], &[(500, 1.0)])], Mode::Streamed);
    let up = Matcher::metric_name("up");
    // The local storage has all of that.
    let plain = merged(&runtime, vec![config(&other)]);
    assert_eq!(select(&plain, std::slice::from_ref(&up), LOCAL_START_MS + 1).len(), 1);
    assert_eq!(other.asked(), 0);
    let recent = merged(&runtime, vec![ClientConfig { read_recent: true, ..config(&other) }]);
    assert_eq!(select(&recent, std::slice::from_ref(&up), LOCAL_START_MS + 1).len(), 2);
    assert_eq!(other.asked(), 1);
    let required = BTreeMap::from([("job".to_owned(), "b".to_owned())]);
    let config = ClientConfig { read_recent: true, required_matchers: required, ..config(&other) };
    let only_b = merged(&runtime, vec![config]);
    assert_eq!(select(&only_b, std::slice::from_ref(&up), 0).len(), 1);
    assert_eq!(other.asked(), 1);
    assert_eq!(select(&only_b, &[up, Matcher::equal("job", "b")], 0).len(), 1);
    assert_eq!(other.asked(), 2);
}

#[test]
fn external_labels_are_asked_for_and_taken_out() {
    let runtime = Runtime::new().unwrap();
    let others = vec![
        series("up", &[("job", "b"), ("region", "eu")], &[(20, 3.0)]),
        series("up", &[("job", "c"), ("region", "us")], &[(20, 4.0)]),
    ];
    let other = Other::start(runtime.handle(), others, Mode::Streamed);
    let config = ClientConfig { external_labels: Labels::from_pairs([("region", "eu")]), ..config(&other) };
    let merged = merged(&runtime, vec![config]);
    let up = Matcher::metric_name("up");
    let jobs = |matchers: &[Matcher]| -> Vec<String> {
        contents(&*select(&merged, matchers, 0)).into_iter().map(|(labels, _)| labels).collect()
    };
    assert_eq!(
        jobs(std::slice::from_ref(&up)),
        [r#"{__name__="up", job="a"}"#, r#"{__name__="up", job="b"}"#]
    );
    // Who asks for one gets it.
    assert_eq!(jobs(&[up, Matcher::equal("region", "us")]), [r#"{__name__="up", job="c", region="us"}"#]);
}

#[test]
fn one_who_does_not_answer_is_a_warning() {
    let runtime = Runtime::new().unwrap();
    let failing = Other::start(runtime.handle(), Vec::new(), Mode::Failing);
    let good =
        Other::start(runtime.handle(), vec![series("up", &[("job", "b")], &[(20, 3.0)])], Mode::Streamed);
    let other = ClientConfig { name: "good".to_owned(), ..config(&good) };
    let merged = merged(&runtime, vec![config(&failing), other]);
    let set = select(&merged, &[Matcher::metric_name("up")], 0);
    assert_eq!(set.len(), 2);
    let url = config(&failing).url;
    assert_eq!(
        set.warnings(),
        [format!(
            "remote_read: {url}: remote server returned http status 503 Service Unavailable: closed for today"
        )]
    );
}

#[test]
fn a_query_that_is_cancelled_waits_for_nobody() {
    let runtime = Runtime::new().unwrap();
    // Accepts and says nothing.
    let silent = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let other = Other { address: silent.local_addr().unwrap(), asked: Arc::default() };
    let merged = merged(&runtime, vec![config(&other)]);
    let cancel = Cancel::new();
    cancel.cancel();
    let querier = merged.querier(0, 1000).unwrap();
    let selected = querier.select(&[Matcher::metric_name("up")], &SelectHints::new(0, 1000, &cancel));
    assert!(matches!(selected, Err(model::storage::StorageError::Cancelled)));
}
