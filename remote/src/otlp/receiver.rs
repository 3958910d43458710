//! From a request's body to samples in the storage, and an answer in the protocol's terms.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use arc_swap::ArcSwap;
use flate2::read::MultiGzDecoder;
use model::storage::{AppendError, Appender, BatchList, Committed, SeriesKey};
use model::time::Clock;
use parking_lot::Mutex;
use prometheus::{IntCounter, Registry};

use super::Settings;
use super::delta::Sums;
use super::message::{Metric, Request};
use super::protobuf::{Budget, DecodeError, decode};
use super::translate::{Context, Problems, TooLarge, Translation};
use crate::working::Working;
use crate::write::{FUTURE_MS_MAX, RETRY_AFTER_SECS};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
/// The longest body after decompression. An SDK's are some hundred kB.
const BODY_BYTES_MAX: u64 = 32 << 20;
/// What a decoded message may take in memory.
const MESSAGE_BYTES_MAX: usize = 128 << 20;
/// What an object in JSON may become: the largest type of message.
const OBJECT_BYTES: usize = 256;
const _: () = assert!(size_of::<Metric>() <= OBJECT_BYTES);
/// Requests that are worked on at the same time; each may take [`MESSAGE_BYTES_MAX`] and its batch.
const CONCURRENT_MAX: usize = 16;

/// What becomes of points that say what came since the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeltaHandling {
    /// They aren't taken.
    #[default]
    Refuse,
    /// They are stored as they are (`otlp-native-delta-ingestion`).
    Native,
    /// They are added up (`otlp-deltatocumulative`).
    Cumulative,
}

/// What a receiver does.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverOptions {
    /// What becomes of deltas.
    pub deltas: DeltaHandling,
    /// How far queries look back: twice the interval between the samples of `target_info`.
    pub lookback_ms: i64,
}

/// The headers of a request that matter; `""` where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// `Content-Type`
    pub content_type: &'a str,
    /// `Content-Encoding`
    pub content_encoding: &'a str,
}

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The HTTP status.
    pub status: u16,
    /// The body: what is wrong; or the empty response, in the request's format.
    pub body: String,
    /// The body's type, if all is well.
    pub content_type: &'static str,
    /// `Retry-After`, in seconds.
    pub retry_after_secs: Option<u64>,
}

impl Outcome {
    fn refused(status: u16, body: impl ToString) -> Self {
        Outcome { status, body: body.to_string(), content_type: "", retry_after_secs: None }
    }
}

/// Takes requests.
#[derive(Debug)]
pub struct Receiver {
    options: ReceiverOptions,
    settings: ArcSwap<Settings>,
    appender: Arc<dyn Appender>,
    clock: Arc<dyn Clock>,
    /// Held while a request with deltas is translated.
    sums: Mutex<Sums>,
    working: AtomicUsize,
    out_of_order_exemplars: IntCounter,
    deltas_dropped: IntCounter,
}

#[derive(Clone, Copy)]
enum Format {
    Protobuf,
    Json,
}

impl Receiver {
    /// A receiver that stores through `appender`, with default settings.
    ///
    /// # Errors
    ///
    /// Its metrics are registered already.
    pub fn new(
        options: ReceiverOptions,
        appender: Arc<dyn Appender>,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(format!("prometheus_api_otlp_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        // Every sample of OTLP comes with metadata: this one stays 0.
        counter(
            "appended_samples_without_metadata_total",
            "The total number of samples ingested from OTLP without corresponding metadata.",
        )?;
        Ok(Receiver {
            options,
            settings: ArcSwap::default(),
            appender,
            clock,
            sums: Mutex::default(),
            working: AtomicUsize::new(0),
            out_of_order_exemplars: counter(
                "out_of_order_exemplars_total",
                "The total number of received OTLP exemplars which were rejected because they were out of order.",
            )?,
            deltas_dropped: counter(
                "deltas_dropped_total",
                "The total number of received OTLP deltas which weren't newer than the one before, or were of too many series to be added up.",
            )?,
        })
    }

    /// Takes settings, for requests from then on.
    pub fn apply(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// Stores a request. Blocks while the storage writes.
    pub fn receive(&self, headers: Headers<'_>, body: &[u8]) -> Outcome {
        match Working::begin(&self.working, CONCURRENT_MAX) {
            Some(_working) => self.work(headers, body),
            None => {
                let mut outcome = Outcome::refused(503, "too many OTLP requests at the same time");
                outcome.retry_after_secs = Some(RETRY_AFTER_SECS);
                outcome
            }
        }
    }

    fn work(&self, headers: Headers<'_>, body: &[u8]) -> Outcome {
        let (format, request) = match read(headers, body) {
            Ok(request) => request,
            Err(outcome) => return outcome,
        };
        let problems = match self.store(&request) {
            Ok(problems) => problems,
            Err(outcome) => return outcome,
        };
        match problems {
            None => Outcome {
                status: 200,
                body: if matches!(format, Format::Json) { "{}".to_owned() } else { String::new() },
                content_type: if matches!(format, Format::Json) { JSON } else { PROTOBUF },
                retry_after_secs: None,
            },
            Some((status, message)) => {
                tracing::warn!(status, err = message, "not everything of an OTLP request was stored");
                Outcome::refused(status, message)
            }
        }
    }

    /// Stores what can be stored; `Some` if that isn't everything.
    fn store(&self, request: &Request) -> Result<Option<(u16, String)>, Outcome> {
        let settings = self.settings.load();
        let now_ms = self.clock.now_ms();
        let context = Context {
            settings: &settings,
            deltas: self.options.deltas,
            lookback_ms: self.options.lookback_ms,
            now_ms,
            latest_ms: now_ms + FUTURE_MS_MAX,
        };
        // Only those who add up share anything.
        let mut shared = match self.options.deltas {
            DeltaHandling::Cumulative => Some(self.sums.lock()),
            DeltaHandling::Refuse | DeltaHandling::Native => None,
        };
        let mut none = Sums::default();
        let mut translation = Translation::new(context, shared.as_deref_mut().unwrap_or(&mut none));
        translation
            .add(request)
            .map_err(|TooLarge| Outcome::refused(413, "the labels of the request take too much memory"))?;
        self.deltas_dropped.inc_by(translation.deltas_dropped as u64);
        let committed = self.appender.commit(&translation.batch).map_err(|error| {
            tracing::error!(%error, "storing an OTLP request failed");
            Outcome::refused(500, error)
        })?;
        let refused = self.refused(&translation, &committed);
        let status = if refused.count > 0 { 400 } else { 500 };
        let untranslated = &translation.untranslated;
        let (count, mut shown) = (refused.count + untranslated.count, refused.shown);
        shown.extend_from_slice(&untranslated.shown);
        if count == 0 {
            return Ok(None);
        }
        if count > shown.len() {
            shown.push(format!("{} more errors", count - shown.len()));
        }
        Ok(Some((status, shown.join("; "))))
    }

    fn refused(&self, translation: &Translation<'_>, committed: &Committed) -> Problems {
        let mut refused = Problems::default();
        for _ in 0..translation.too_new {
            refused.add(format!("{}: timestamp is too far in the future", AppendError::OutOfBounds));
        }
        let batch = &translation.batch;
        for rejected in &committed.rejected {
            let series = match rejected.list {
                BatchList::Floats if translation.own_floats.contains(&rejected.index) => continue,
                BatchList::Floats => batch.floats[rejected.index].series,
                BatchList::Histograms => batch.histograms[rejected.index].series,
                BatchList::Exemplars => {
                    let is_late = rejected.error == AppendError::OutOfOrderExemplar;
                    self.out_of_order_exemplars.inc_by(is_late.into());
                    continue;
                }
            };
            let SeriesKey::New(series) = series else { continue };
            refused.add(format!("{} for series {}", rejected.error, batch.new_series[series as usize]));
        }
        refused
    }
}

/// Undoes what the headers say was done to the body.
fn read(headers: Headers<'_>, body: &[u8]) -> Result<(Format, Request), Outcome> {
    let media_type = headers.content_type.split(';').next().unwrap_or_default().trim();
    let format = match media_type {
        PROTOBUF => Format::Protobuf,
        JSON => Format::Json,
        other => {
            let what = format!("unsupported content type: {other}, supported: [{JSON}, {PROTOBUF}]");
            return Err(Outcome::refused(400, what));
        }
    };
    let unpacked;
    let body = match headers.content_encoding {
        "" | "identity" => body,
        "gzip" => {
            unpacked = gunzip(body)?;
            &unpacked
        }
        other => {
            let what = format!("unsupported compression: {other}. Only \"gzip\" or no compression supported");
            return Err(Outcome::refused(400, what));
        }
    };
    let request = match format {
        Format::Protobuf => from_protobuf(body),
        Format::Json => from_json(body),
    };
    request.map(|request| (format, request))
}

fn gunzip(body: &[u8]) -> Result<Vec<u8>, Outcome> {
    let mut unpacked = Vec::new();
    let mut reader = MultiGzDecoder::new(body).take(BODY_BYTES_MAX + 1);
    reader.read_to_end(&mut unpacked).map_err(|error| Outcome::refused(400, format!("gzip: {error}")))?;
    if unpacked.len() as u64 > BODY_BYTES_MAX {
        let what = format!("the body is longer than {BODY_BYTES_MAX} bytes after decompression");
        return Err(Outcome::refused(413, what));
    }
    Ok(unpacked)
}

fn from_protobuf(body: &[u8]) -> Result<Request, Outcome> {
    decode(body, &mut Budget::new(MESSAGE_BYTES_MAX)).map_err(|error| {
        let status = if matches!(error, DecodeError::Memory) { 413 } else { 400 };
        Outcome::refused(status, error)
    })
}

fn from_json(body: &[u8]) -> Result<Request, Outcome> {
    // The parser has no budget, but what the message can become at most is told by its brackets and commas.
    let count = |byte| memchr::memchr_iter(byte, body).count();
    let bytes = count(b'{') * OBJECT_BYTES + count(b',') * size_of::<u64>();
    Budget::new(MESSAGE_BYTES_MAX).take(bytes).map_err(|error| Outcome::refused(413, error))?;
    serde_json::from_slice(body).map_err(|error| Outcome::refused(400, format!("JSON: {error}")))
}
