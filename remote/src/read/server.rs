//! From a request's body to an answer.

use std::sync::Arc;
use std::time::Duration;

use model::cancel::Cancel;
use model::labels::{Labels, LabelsBuilder};
use model::storage::{Queryable, SampleColumns, SelectHints, SeriesSet, StorageError};
use parking_lot::{Condvar, Mutex};
use prometheus::{IntGauge, Registry};

use super::encode::{frame, put_chunk, put_series};
use super::request::{Query, Request, ResponseType, decode};
use super::{Chunk, ChunkEncoder};
use crate::message::put_labels;
use crate::protobuf::put_bytes;
use crate::snappy::decompress;

/// How often a read that waits for its turn looks whether it is still wanted.
const CANCEL_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// What a server does.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// The most samples of a query of type `SAMPLES`; 0 is no limit (`--storage.remote.read-sample-limit`).
    pub samples_max: usize,
    /// Reads at the same time; 0 is no limit (`--storage.remote.read-concurrent-limit`).
    pub concurrent_max: usize,
    /// How long a frame gets before another is begun (`--storage.remote.read-max-bytes-in-frame`).
    pub frame_bytes: usize,
}

/// Why a request isn't answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What is wrong.
    pub message: String,
}

impl Refusal {
    fn bad_request(error: impl ToString) -> Self {
        Refusal { status: 400, message: error.to_string() }
    }
}

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Self {
        let status = match error {
            StorageError::NotReady => 503,
            StorageError::Limit(_) => 400,
            _ => 500,
        };
        Refusal { status, message: error.to_string() }
    }
}

/// An answer.
#[derive(Debug)]
pub enum Answer<'s> {
    /// A whole body, in snappy.
    Samples(Vec<u8>),
    /// Frames that are yet to be made.
    Chunks(ChunkStream<'s>),
}

/// Answers remote reads.
#[derive(Debug)]
pub struct Server {
    options: ReadOptions,
    storage: Arc<dyn Queryable>,
    chunks: Arc<dyn ChunkEncoder>,
    running: Mutex<usize>,
    ended: Condvar,
    queries: IntGauge,
}

/// A read's turn.
#[derive(Debug)]
struct Turn<'s>(&'s Server);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.running.lock() -= 1;
        self.0.ended.notify_one();
        self.0.queries.dec();
    }
}

impl Server {
    /// A server of what is in `storage`.
    ///
    /// # Errors
    ///
    /// Its metric is registered already.
    pub fn new(
        options: ReadOptions,
        storage: Arc<dyn Queryable>,
        chunks: Arc<dyn ChunkEncoder>,
        registry: &Registry,
    ) -> prometheus::Result<Self> {
        let queries = IntGauge::new(
            "prometheus_remote_read_handler_queries",
            "The number of remote reads that are running or waiting for their turn.",
        )?;
        registry.register(Box::new(queries.clone()))?;
        Ok(Server { options, storage, chunks, running: Mutex::new(0), ended: Condvar::new(), queries })
    }

    /// Answers a request. `external` labels are given to every series that doesn't have them. Blocks while the
    /// storage reads, and before that until it is this read's turn.
    ///
    /// # Errors
    ///
    /// With the protocol's status.
    pub fn read(&self, body: &[u8], external: &Labels, cancel: &Cancel) -> Result<Answer<'_>, Refusal> {
        let message = decompress(body).map_err(Refusal::bad_request)?;
        let Request { response_type, queries } = decode(&message, external).map_err(Refusal::bad_request)?;
        let turn = self.wait_for_turn(cancel)?;
        let reading = Reading { turn, external: external.clone(), cancel: cancel.clone() };
        match response_type {
            ResponseType::Samples => reading.samples(&queries).map(Answer::Samples),
            ResponseType::Streamed => Ok(Answer::Chunks(ChunkStream { reading, queries })),
        }
    }

    fn wait_for_turn(&self, cancel: &Cancel) -> Result<Turn<'_>, StorageError> {
        self.queries.inc();
        let mut running = self.running.lock();
        while self.options.concurrent_max != 0 && *running >= self.options.concurrent_max {
            if cancel.is_cancelled() {
                self.queries.dec();
                return Err(StorageError::Cancelled);
            }
            self.ended.wait_for(&mut running, CANCEL_CHECK_INTERVAL);
        }
        *running += 1;
        Ok(Turn(self))
    }
}

/// A read whose turn it is.
#[derive(Debug)]
struct Reading<'s> {
    turn: Turn<'s>,
    external: Labels,
    cancel: Cancel,
}

/// A selection in the order of labels.
struct Selected {
    set: Box<dyn SeriesSet>,
    /// Labels as others see them, and the index in the set.
    series: Vec<(Labels, usize)>,
}

impl Reading<'_> {
    fn select(&self, query: &Query) -> Result<Selected, StorageError> {
        let querier = self.turn.0.storage.querier(query.mint, query.maxt)?;
        let hints = SelectHints::new(query.mint, query.maxt, &self.cancel);
        let set = querier.select(&query.matchers, &hints)?;
        let mut series: Vec<(Labels, usize)> =
            (0..set.len()).map(|index| (self.with_external(&set.labels(index)), index)).collect();
        series.sort_unstable();
        Ok(Selected { set, series })
    }

    fn with_external(&self, labels: &Labels) -> Labels {
        if self.external.iter().all(|(name, _)| labels.has(name)) {
            return labels.clone();
        }
        let mut builder = LabelsBuilder::from_labels(labels);
        for (name, value) in self.external.iter().filter(|(name, _)| !labels.has(name)) {
            builder.set(name, value);
        }
        builder.build()
    }

    /// A compressed `ReadResponse`.
    fn samples(&self, queries: &[Query]) -> Result<Vec<u8>, Refusal> {
        let mut response = Vec::new();
        for query in queries {
            put_bytes(&mut response, 1, &self.query_result(query)?);
        }
        snap::raw::Encoder::new()
            .compress_vec(&response)
            .map_err(|error| Refusal { status: 500, message: error.to_string() })
    }

    fn query_result(&self, query: &Query) -> Result<Vec<u8>, Refusal> {
        let limit = self.turn.0.options.samples_max;
        let (mut result, mut columns, mut count) = (Vec::new(), SampleColumns::default(), 0);
        let selected = self.select(query)?;
        for (labels, index) in &selected.series {
            columns.clear();
            if !query.is_series_only {
                self.read(&selected, *index, query, &mut columns)?;
                count += columns.len();
                if limit != 0 && count > limit {
                    return Err(Refusal::bad_request(format!("exceeded sample limit ({limit})")));
                }
                if columns.is_empty() {
                    continue;
                }
            }
            put_series(&mut result, labels, &columns);
        }
        Ok(result)
    }

    fn read(
        &self,
        selected: &Selected,
        index: usize,
        query: &Query,
        columns: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        if self.cancel.is_cancelled() {
            return Err(StorageError::Cancelled);
        }
        selected.set.read(index, query.mint, query.maxt, columns)
    }
}

/// Chunks in frames, made while they are sent.
#[derive(Debug)]
pub struct ChunkStream<'s> {
    reading: Reading<'s>,
    queries: Vec<Query>,
}

impl ChunkStream<'_> {
    /// Hands out one frame after the other until all are sent, or `send` wants no more.
    ///
    /// # Errors
    ///
    /// The storage can't be read; what was sent isn't the whole answer.
    pub fn write(self, send: &mut dyn FnMut(Vec<u8>) -> bool) -> Result<(), StorageError> {
        let (mut columns, mut chunks) = (SampleColumns::default(), Vec::new());
        for (query_index, query) in self.queries.iter().enumerate().filter(|(_, query)| !query.is_series_only)
        {
            let selected = self.reading.select(query)?;
            for (labels, index) in &selected.series {
                columns.clear();
                chunks.clear();
                self.reading.read(&selected, *index, query, &mut columns)?;
                self.reading.turn.0.chunks.encode(&columns, &mut chunks);
                if !self.write_series(query_index, labels, &chunks, send) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Sends the chunks of a series, in a frame or more: a frame ends with the chunk that fills it.
    fn write_series(
        &self,
        query_index: usize,
        labels: &Labels,
        chunks: &[Chunk],
        send: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> bool {
        let mut label_fields = Vec::new();
        put_labels(&mut label_fields, labels);
        let room = self.reading.turn.0.options.frame_bytes.saturating_sub(label_fields.len());
        let mut rest = chunks.iter().peekable();
        while rest.peek().is_some() {
            let (mut series, mut chunk_bytes) = (label_fields.clone(), 0);
            for chunk in rest.by_ref() {
                put_chunk(&mut series, chunk);
                chunk_bytes += chunk.bytes.len();
                if chunk_bytes >= room {
                    break;
                }
            }
            if !send(frame(&series, query_index)) {
                return false;
            }
        }
        true
    }
}
