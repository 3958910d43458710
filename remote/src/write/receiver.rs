//! From a request's body to samples in the storage, and an answer in the protocol's terms.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use model::labels::{Labels, METRIC_NAME};
use model::metadata::MetricFamily;
use model::names::ValidationScheme;
use model::storage::{
    AppendError, Appender, Batch, BatchList, Committed, FloatSample, HistogramSample, Rejected, SeriesKey,
    SeriesRef, StorageError,
};
use model::time::Clock;
use prometheus::{IntCounter, Registry};

use super::cache::{Cache, Key};
use super::decode::{LabelsError, Series, Symbols, exemplar};
use super::{v1, v2};
use crate::message::{histogram, sample};
use crate::snappy::decompress;
use crate::wire::{Fields, WireError};
use crate::working::Working;

/// Requests that are worked on at the same time; each holds its body and its batch. Others are told to come
/// again, which holds the sender back.
const CONCURRENT_MAX: usize = 64;
/// When a sender is told to come again, in seconds.
pub(crate) const RETRY_AFTER_SECS: u64 = 1;
/// How far a sample may lie in the future.
pub(crate) const FUTURE_MS_MAX: i64 = 10 * 60_000;
/// The most series that are named in an answer; the rest is counted.
const ERRORS_SHOWN: usize = 10;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `prometheus.WriteRequest`
    V1,
    /// `io.prometheus.write.v2.Request`
    V2,
}

impl Version {
    /// The message's name, as flags and content types write it.
    pub fn message(self) -> &'static str {
        match self {
            Version::V1 => "prometheus.WriteRequest",
            Version::V2 => "io.prometheus.write.v2.Request",
        }
    }

    /// The version of a content type; `None` if it is neither.
    fn of_content_type(content_type: &str) -> Result<Version, String> {
        let mut parts = content_type.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        if !media_type.is_empty() && !media_type.eq_ignore_ascii_case("application/x-protobuf") {
            return Err(format!(
                "expected application/x-protobuf as the first (media) part, got {content_type} content-type"
            ));
        }
        let proto = parts.find_map(|part| part.strip_prefix("proto="));
        match proto {
            None | Some("prometheus.WriteRequest") => Ok(Version::V1),
            Some("io.prometheus.write.v2.Request") => Ok(Version::V2),
            Some(other) => {
                Err(format!("got {content_type} content type; unknown remote write protobuf message {other}"))
            }
        }
    }
}

/// What a receiver does.
#[derive(Clone, Debug)]
pub struct ReceiverOptions {
    /// Accepted versions (`--web.remote-write-receiver.accepted-protobuf-messages`).
    pub accepted: Vec<Version>,
    /// Which names are allowed.
    pub names: ValidationScheme,
}

/// The headers of a request that matter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// `Content-Type`, `""` if there is none.
    pub content_type: &'a str,
    /// `Content-Encoding`, `""` if there is none.
    pub content_encoding: &'a str,
}

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The HTTP status.
    pub status: u16,
    /// The body: what is wrong.
    pub message: String,
    /// How much was stored, for the headers of version 2.0: samples, histograms, exemplars.
    pub written: Option<[usize; 3]>,
    /// `Retry-After`, in seconds.
    pub retry_after_secs: Option<u64>,
}

impl Outcome {
    fn refused(status: u16, message: impl Into<String>) -> Self {
        Outcome { status, message: message.into(), written: None, retry_after_secs: None }
    }
}

/// Takes requests.
#[derive(Debug)]
pub struct Receiver {
    options: ReceiverOptions,
    appender: Arc<dyn Appender>,
    clock: Arc<dyn Clock>,
    cache: Cache,
    working: AtomicUsize,
    invalid_labels: IntCounter,
    without_metadata: IntCounter,
}

impl Receiver {
    /// A receiver that stores through `appender`.
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
        let invalid_labels = IntCounter::new(
            "prometheus_api_remote_write_invalid_labels_samples_total",
            "The total number of received remote write samples and histogram samples which were rejected due to invalid labels.",
        )?;
        let without_metadata = IntCounter::new(
            "prometheus_api_remote_write_without_metadata_appended_samples_total",
            "The total number of received remote write samples (and histogram samples) which were ingested without corresponding metadata.",
        )?;
        registry.register(Box::new(invalid_labels.clone()))?;
        registry.register(Box::new(without_metadata.clone()))?;
        let (cache, working) = (Cache::new(), AtomicUsize::new(0));
        Ok(Receiver { options, appender, clock, cache, working, invalid_labels, without_metadata })
    }

    #[cfg(test)]
    pub(super) fn invalid_labels_total(&self) -> u64 {
        self.invalid_labels.get()
    }

    /// Stores a request. Blocks while the storage writes.
    pub fn receive(&self, headers: Headers<'_>, body: &[u8]) -> Outcome {
        let version = match self.version(headers) {
            Ok(version) => version,
            Err(message) => return Outcome::refused(415, message),
        };
        let _working = match Working::begin(&self.working, CONCURRENT_MAX) {
            Some(working) => working,
            None => {
                let mut outcome = Outcome::refused(503, "too many remote write requests at the same time");
                outcome.retry_after_secs = Some(RETRY_AFTER_SECS);
                return outcome;
            }
        };
        let message = decompress(body);
        match message.and_then(|message| self.store(version, &message).map_err(|error| error.to_string())) {
            Ok(outcome) => outcome,
            Err(message) => {
                let mut outcome = Outcome::refused(400, message);
                outcome.written = (version == Version::V2).then_some([0; 3]);
                outcome
            }
        }
    }

    fn version(&self, headers: Headers<'_>) -> Result<Version, String> {
        let version = Version::of_content_type(headers.content_type)?;
        if !self.options.accepted.contains(&version) {
            let accepted: Vec<&str> = self.options.accepted.iter().map(|version| version.message()).collect();
            return Err(format!(
                "{} protobuf message is not accepted by this server; only accepts {}",
                version.message(),
                accepted.join(", ")
            ));
        }
        match headers.content_encoding {
            "" | "snappy" => Ok(version),
            other => Err(format!(
                "{other} encoding (compression) is not accepted by this server; only snappy is acceptable"
            )),
        }
    }

    /// # Errors
    ///
    /// The message can't be decoded; nothing is stored then.
    fn store(&self, version: Version, message: &[u8]) -> Result<Outcome, WireError> {
        let symbols = symbols(version, message)?;
        let reader = Reader { receiver: self, version, message, symbols: &symbols };
        let mut request = reader.read(None)?;
        match self.commit(&reader, &mut request) {
            Ok(()) => {
                self.without_metadata.inc_by(request.without_metadata as u64);
                Ok(request.outcome(version))
            }
            Err(error) => {
                tracing::error!(%error, "storing a remote write request failed");
                let mut outcome = Outcome::refused(500, error.to_string());
                outcome.written = (version == Version::V2).then_some([0; 3]);
                Ok(outcome)
            }
        }
    }

    fn commit(&self, reader: &Reader<'_>, request: &mut Request) -> Result<(), StorageError> {
        let mut unknown = HashSet::new();
        let committed = self.appender.commit(&request.batch)?;
        self.learn(request, &committed);
        for rejected in &committed.rejected {
            match (&rejected.error, request.series_key(rejected)) {
                (AppendError::UnknownSeries, SeriesKey::Known(series)) => drop(unknown.insert(series)),
                _ => request.reject(reader, rejected),
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        // The storage has forgotten series that the cache knows: once more for those, with their labels.
        let Ok(mut again) = reader.read(Some(&unknown)) else { return Ok(()) };
        let committed = self.appender.commit(&again.batch)?;
        self.learn(&again, &committed);
        for rejected in &committed.rejected {
            again.reject(reader, rejected);
        }
        request.join(again);
        Ok(())
    }

    fn learn(&self, request: &Request, committed: &Committed) {
        if request.new_keys.is_empty() && request.metadata.is_empty() {
            return;
        }
        let now_ms = self.clock.now_ms();
        for (key, series) in request.new_keys.iter().zip(&committed.new_refs) {
            if let Some(series) = series {
                self.cache.insert(*key, *series, now_ms);
            }
        }
        for (key, hash) in &request.metadata {
            self.cache.note_metadata(*key, *hash);
        }
    }
}

/// The table of symbols of a 2.0 request.
fn symbols(version: Version, message: &[u8]) -> Result<Vec<&str>, WireError> {
    let mut symbols = Vec::new();
    if version == Version::V1 {
        return Ok(symbols);
    }
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.take_field()? {
        if number == 4 {
            symbols.push(field.text(number)?);
        }
    }
    Ok(symbols)
}

/// Reads a request.
struct Reader<'r> {
    receiver: &'r Receiver,
    version: Version,
    message: &'r [u8],
    symbols: &'r Symbols<'r>,
}

impl<'r> Reader<'r> {
    /// Makes a batch of the request; with `only`, of the series alone that the cache has under these refs,
    /// which are forgotten.
    fn read(&self, only: Option<&HashSet<SeriesRef>>) -> Result<Request, WireError> {
        let mut request =
            Request { latest_ms: self.receiver.clock.now_ms() + FUTURE_MS_MAX, ..Request::default() };
        let mut series = Series::default();
        let mut index = 0;
        let mut fields = Fields::new(self.message);
        while let Some((number, field)) = fields.take_field()? {
            if self.version == Version::V1 && number == v1::METADATA_FIELD && only.is_none() {
                let family = v1::family(field.bytes(number)?)?;
                request.batch.families.push(Arc::new(family));
            }
            if number != self.series_field() {
                continue;
            }
            self.find(field.bytes(number)?, &mut series)?;
            self.add(&series, index, only, &mut request)?;
            index += 1;
        }
        Ok(request)
    }

    fn series_field(&self) -> u32 {
        match self.version {
            Version::V1 => 1,
            Version::V2 => 5,
        }
    }

    fn find(&self, message: &'r [u8], series: &mut Series<'r>) -> Result<(), WireError> {
        match self.version {
            Version::V1 => v1::series(message, series),
            Version::V2 => v2::series(message, series),
        }
    }

    fn labels(&self, label_fields: &[u8]) -> Result<Labels, LabelsError> {
        match self.version {
            Version::V1 => v1::labels(label_fields),
            Version::V2 => v2::labels(label_fields, self.symbols),
        }
    }

    fn key(&self, series: &Series<'_>, key_bytes: &mut Vec<u8>) -> Result<Key, WireError> {
        let label_fields = series.labels.as_slice();
        match self.version {
            Version::V1 => Ok(self.receiver.cache.key(label_fields)),
            Version::V2 => {
                v2::key_bytes(label_fields, self.symbols, key_bytes)?;
                Ok(self.receiver.cache.key(key_bytes))
            }
        }
    }

    fn add(
        &self,
        series: &Series<'_>,
        index: u32,
        only: Option<&HashSet<SeriesRef>>,
        request: &mut Request,
    ) -> Result<(), WireError> {
        let key = self.key(series, &mut request.key_bytes)?;
        let known = match (self.receiver.cache.get(key), only) {
            (known, None) => known,
            (Some(known), Some(only)) if only.contains(&known.series) => {
                self.receiver.cache.remove(key, known.series);
                None
            }
            _ => return Ok(()),
        };
        let series_key = match known {
            Some(known) => SeriesKey::Known(known.series),
            None => match self.new_series(series, key, request)? {
                Some(series_key) => series_key,
                None => return Ok(()),
            },
        };
        if self.version == Version::V2 && series.samples.is_empty() && series.histograms.is_empty() {
            let what = "TimeSeries must contain at least one sample or histogram";
            request.fail(|| format!("{what} for series {}", self.series_text(index)));
        }
        self.add_samples(series, index, series_key, request)?;
        self.add_exemplars(series, index, series_key, request)?;
        let known_hash = known.map_or(0, |known| known.metadata);
        self.add_metadata(series, (key, known_hash), series_key, request)
    }

    /// Adds the metadata of a series, unless it is what was stored last, by its hash.
    fn add_metadata(
        &self,
        series: &Series<'_>,
        (key, known_hash): (Key, u64),
        series_key: SeriesKey,
        request: &mut Request,
    ) -> Result<(), WireError> {
        let Some(message) = series.metadata else {
            request.without_metadata += series.samples.len() + series.histograms.len();
            return Ok(());
        };
        let metadata = v2::metadata(message, self.symbols)?;
        let hash = self.receiver.cache.hash_metadata(metadata.metric_type, metadata.help, metadata.unit);
        if hash != known_hash
            && let Ok(labels) = self.labels(series.labels.as_slice())
        {
            let family = MetricFamily::of_metric(labels.metric_name(), metadata.to_metadata());
            request.batch.metadata.push((series_key, Arc::new(family)));
            request.metadata.push((key, hash));
        }
        Ok(())
    }

    /// Adds the labels of a series that the cache doesn't know; `None` if they name no series.
    fn new_series(
        &self,
        series: &Series<'_>,
        key: Key,
        request: &mut Request,
    ) -> Result<Option<SeriesKey>, WireError> {
        if let Some(series_key) = request.new_by_key.get(&key) {
            return Ok(Some(*series_key));
        }
        let problem = match self.labels(series.labels.as_slice()) {
            Ok(labels) => match self.invalid_name(&labels) {
                None => {
                    let series_key = request.batch.add_series(labels);
                    request.new_keys.push(key);
                    request.new_by_key.insert(key, series_key);
                    return Ok(Some(series_key));
                }
                Some(problem) => problem,
            },
            Err(LabelsError::Wire(error)) => return Err(error),
            Err(LabelsError::Invalid(problem)) => problem,
        };
        let samples = series.samples.len() + series.histograms.len();
        self.receiver.invalid_labels.inc_by(samples as u64);
        // A sender of version 1.0 isn't told, as in the reference.
        if self.version == Version::V2 {
            request.fail(|| problem);
        }
        Ok(None)
    }

    fn invalid_name(&self, labels: &Labels) -> Option<String> {
        let names = self.receiver.options.names;
        let is_valid = labels.has(METRIC_NAME)
            && names.allows_metric_name(labels.metric_name())
            && labels.iter().all(|(name, _)| names.allows_label_name(name));
        (!is_valid).then(|| format!("invalid metric name or labels, got {labels}"))
    }

    fn add_samples(
        &self,
        series: &Series<'_>,
        index: u32,
        series_key: SeriesKey,
        request: &mut Request,
    ) -> Result<(), WireError> {
        for message in &series.samples {
            let sample = sample(message)?;
            if sample.timestamp_ms > request.latest_ms {
                self.reject_future(index, request);
                continue;
            }
            let (timestamp_ms, value) = (sample.timestamp_ms, sample.value);
            request.batch.floats.push(FloatSample { series: series_key, timestamp_ms, value });
            request.series_of[0].push(index);
        }
        for message in &series.histograms {
            let histogram = histogram(message)?;
            if histogram.timestamp_ms > request.latest_ms {
                self.reject_future(index, request);
                continue;
            }
            let (timestamp_ms, value) = (histogram.timestamp_ms, histogram.value);
            request.batch.histograms.push(HistogramSample { series: series_key, timestamp_ms, value });
            request.series_of[1].push(index);
        }
        Ok(())
    }

    fn reject_future(&self, index: u32, request: &mut Request) {
        request.fail(|| self.error_text(&AppendError::OutOfBounds, index));
    }

    fn add_exemplars(
        &self,
        series: &Series<'_>,
        index: u32,
        series_key: SeriesKey,
        request: &mut Request,
    ) -> Result<(), WireError> {
        for message in &series.exemplars {
            match exemplar(message, &mut |label_fields| self.labels(label_fields)) {
                Ok(exemplar) => {
                    request.batch.exemplars.push((series_key, exemplar));
                    request.series_of[2].push(index);
                }
                Err(LabelsError::Wire(error)) => return Err(error),
                Err(LabelsError::Invalid(_)) => {}
            }
        }
        Ok(())
    }

    /// What a sender is told of an element that wasn't accepted.
    fn error_text(&self, error: &AppendError, index: u32) -> String {
        match self.version {
            Version::V1 => error.to_string(),
            Version::V2 => format!("{error} for series {}", self.series_text(index)),
        }
    }

    /// The labels of the request's series number `index`, found again.
    fn series_text(&self, index: u32) -> String {
        let mut fields = Fields::new(self.message);
        let mut left = index;
        while let Ok(Some((number, field))) = fields.take_field() {
            if number != self.series_field() {
                continue;
            }
            if left > 0 {
                left -= 1;
                continue;
            }
            let mut series = Series::default();
            let found = field.bytes(number).and_then(|message| self.find(message, &mut series));
            let labels = found.ok().and_then(|()| self.labels(series.labels.as_slice()).ok());
            return labels.map(|labels| labels.to_string()).unwrap_or_default();
        }
        String::new()
    }
}

/// A request as a batch.
#[derive(Default)]
struct Request {
    batch: Batch,
    /// No sample may be later.
    latest_ms: i64,
    /// For each new series of the batch the key that its ref is cached under.
    new_keys: Vec<Key>,
    /// A request may name a new series twice.
    new_by_key: HashMap<Key, SeriesKey>,
    /// For each float, histogram and exemplar of the batch the number of its series in the request.
    series_of: [Vec<u32>; 3],
    key_bytes: Vec<u8>,
    /// The hashes of the metadata of the batch.
    metadata: Vec<(Key, u64)>,
    without_metadata: usize,
    /// The first things that are wrong, and how many there are.
    errors: Vec<String>,
    error_count: usize,
    /// How many floats, histograms and exemplars weren't stored.
    rejected: [usize; 3],
}

impl Request {
    fn fail(&mut self, text: impl FnOnce() -> String) {
        self.error_count += 1;
        if self.errors.len() < ERRORS_SHOWN {
            self.errors.push(text());
        }
    }

    fn series_key(&self, rejected: &Rejected) -> SeriesKey {
        match rejected.list {
            BatchList::Floats => self.batch.floats[rejected.index].series,
            BatchList::Histograms => self.batch.histograms[rejected.index].series,
            BatchList::Exemplars => self.batch.exemplars[rejected.index].0,
        }
    }

    fn reject(&mut self, reader: &Reader<'_>, rejected: &Rejected) {
        let list = match rejected.list {
            BatchList::Floats => 0,
            BatchList::Histograms => 1,
            BatchList::Exemplars => 2,
        };
        self.rejected[list] += 1;
        // Only exemplars that come too late are worth an answer; the reference passes over the others too.
        let tells = match rejected.list {
            BatchList::Exemplars => {
                reader.version == Version::V2 && rejected.error == AppendError::OutOfOrderExemplar
            }
            _ => true,
        };
        if tells {
            let index = self.series_of[list][rejected.index];
            self.fail(|| reader.error_text(&rejected.error, index));
        }
    }

    /// Takes in what became of the elements that were sent again: the first time they counted as stored.
    fn join(&mut self, again: Request) {
        self.error_count += again.error_count;
        let room = ERRORS_SHOWN - self.errors.len();
        self.errors.extend(again.errors.into_iter().take(room));
        for (rejected, more) in self.rejected.iter_mut().zip(again.rejected) {
            *rejected += more;
        }
    }

    fn outcome(&self, version: Version) -> Outcome {
        let lens = [self.batch.floats.len(), self.batch.histograms.len(), self.batch.exemplars.len()];
        let mut written = lens;
        for (written, rejected) in written.iter_mut().zip(self.rejected) {
            *written = written.saturating_sub(rejected);
        }
        let mut message = self.errors.join("\n");
        if version == Version::V1 {
            message = self.errors.first().cloned().unwrap_or_default();
        } else if self.error_count > self.errors.len() {
            message.push_str(&format!("\n{} more errors", self.error_count - self.errors.len()));
        }
        Outcome {
            status: if self.error_count == 0 { 204 } else { 400 },
            message,
            written: (version == Version::V2).then_some(written),
            retry_after_secs: None,
        }
    }
}
