//! What a target's scrape loop remembers between scrapes, and how a response goes to the storage.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashSet;
use model::storage::{AppendError, Appender, Batch, BatchList, Committed, SeriesRef};
use model::time::TimestampMs;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::body::Gunzip;
use crate::cache::LineCache;
use crate::cache::LineState;
use crate::config::JobConfig;
use crate::error::ScrapeError;
use crate::fetch::Format;
use crate::ingest::{Counts, Ingest, Pass, Pending};
use crate::metadata::MetadataCache;
use crate::metrics::Metrics;
use crate::parse::{OpenMetricsParser, TextParser};
use crate::report::{Report, ReportSeries};
use crate::sample_labels::SampleLabels;
use crate::target::Target;

/// Buffers of one scrape, which the next one, of whatever target, uses again.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The response, decompressed.
    pub(crate) body: Vec<u8>,
    pub(crate) gunzip: Gunzip,
    batch: Batch,
    pending: Vec<Pending>,
    ended: Vec<SeriesRef>,
}

/// Buffers that wait for their next scrape.
#[derive(Debug, Default)]
pub(crate) struct ScratchPool(Mutex<Vec<Scratch>>);

/// Buffers kept: about as many as scrapes are worked on at the same time.
const SCRATCHES_KEPT: usize = 8;
/// A larger body's buffers are given back to the allocator, so that one huge target doesn't pin its size.
const SCRATCH_BODY_BYTES_KEPT: usize = 4 << 20;

impl ScratchPool {
    pub(crate) fn take(&self) -> Scratch {
        self.0.lock().pop().unwrap_or_default()
    }

    pub(crate) fn give_back(&self, scratch: Scratch) {
        let mut kept = self.0.lock();
        if kept.len() < SCRATCHES_KEPT && scratch.body.capacity() <= SCRATCH_BODY_BYTES_KEPT {
            kept.push(scratch);
        }
    }
}

/// What appending a target's samples needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) appender: &'a dyn Appender,
    pub(crate) job: &'a JobConfig,
    pub(crate) target: &'a Target,
    pub(crate) metrics: &'a Metrics,
}

/// A target's memory.
#[derive(Debug)]
pub(crate) struct Session {
    cache: LineCache,
    report: ReportSeries,
    metadata: Arc<Mutex<MetadataCache>>,
}

/// How a scrape went.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) error: Option<ScrapeError>,
    pub(crate) duration: Duration,
}

impl Session {
    pub(crate) fn new(hash_seed: u64, metadata: Arc<Mutex<MetadataCache>>) -> Self {
        Session { cache: LineCache::new(hash_seed), report: ReportSeries::default(), metadata }
    }

    pub(crate) fn metadata(&self) -> &Arc<Mutex<MetadataCache>> {
        &self.metadata
    }

    /// Appends what was fetched into `scratch.body`, or the consequences of there being nothing.
    pub(crate) fn append(
        &mut self,
        context: &Context<'_>,
        scratch: &mut Scratch,
        scrape_ms: TimestampMs,
        fetched: Result<Option<Format>, ScrapeError>,
        started: Instant,
    ) -> Outcome {
        let (counts, error) = self.fill_batch(context, scratch, scrape_ms, fetched.clone());
        for series in scratch.ended.drain(..) {
            scratch.batch.ended.push((series, scrape_ms));
        }
        count_error(context.metrics, error.as_ref());
        let duration = started.elapsed();
        let body_bytes = match &error {
            None => scratch.body.len() as f64,
            Some(ScrapeError::BodySize) => -1.0,
            Some(_) => 0.0,
        };
        let report = Report {
            timestamp_ms: scrape_ms,
            with_extra: context.job.extra_scrape_metrics,
            is_up: error.is_none(),
            duration_seconds: duration.as_secs_f64(),
            scraped: counts.scraped,
            kept: counts.kept,
            series_added: counts.series_added,
            timeout_seconds: context.target.timeout.as_secs_f64(),
            sample_limit: context.job.sample_limit,
            body_bytes,
        };
        self.append_report(context, scratch, &report);
        self.commit(context, scratch, &counts);
        if let Some(unknown) = self.forget_unknown(scratch) {
            let format = fetched.ok().flatten().filter(|_| error.is_none());
            self.append_again(context, scratch, scrape_ms, format, &report, &unknown);
        }
        Outcome { error, duration }
    }

    /// Takes the response apart. After an error the batch holds nothing but the ends of series.
    fn fill_batch(
        &mut self,
        context: &Context<'_>,
        scratch: &mut Scratch,
        scrape_ms: TimestampMs,
        fetched: Result<Option<Format>, ScrapeError>,
    ) -> (Counts, Option<ScrapeError>) {
        scratch.batch.clear();
        scratch.pending.clear();
        scratch.ended.clear();
        self.cache.begin();
        let format = match fetched {
            Ok(Some(format)) => format,
            failed => {
                // An empty answer has no samples, but is no reason to forget the lines either.
                self.cache.abort(&mut scratch.ended);
                return (Counts::default(), failed.err());
            }
        };
        let (counts, read) = self.read(context, scratch, scrape_ms, format, Pass::First);
        match read {
            Ok(()) => {
                self.cache.finish(&mut scratch.ended);
                (counts, None)
            }
            Err(error) => {
                scratch.batch.clear();
                scratch.pending.clear();
                self.cache.abort(&mut scratch.ended);
                (counts, Some(error))
            }
        }
    }

    fn read(
        &mut self,
        context: &Context<'_>,
        scratch: &mut Scratch,
        scrape_ms: TimestampMs,
        format: Format,
        pass: Pass,
    ) -> (Counts, Result<(), ScrapeError>) {
        let metadata = self.metadata.clone();
        let mut metadata = metadata.lock();
        if pass == Pass::First {
            metadata.begin();
        }
        let mut ingest = Ingest {
            cache: &mut self.cache,
            metadata: &mut metadata,
            recipe: SampleLabels { target: &context.target.labels, job: context.job },
            batch: &mut scratch.batch,
            pending: &mut scratch.pending,
            scrape_ms,
            pass,
            counts: Counts::default(),
            family: None,
            shared: None,
            histograms: context.target.histograms,
            gathering: None,
            key: Vec::new(),
        };
        let read = match format {
            Format::Text => ingest.read_lines(TextParser::new(&scratch.body)),
            Format::OpenMetrics => ingest.read_lines(OpenMetricsParser::new(&scratch.body)),
            Format::Protobuf => ingest.read_protobuf(&scratch.body),
        };
        let counts = ingest.counts;
        if read.is_ok() && pass == Pass::First {
            metadata.finish();
        }
        (counts, read)
    }

    fn append_report(&self, context: &Context<'_>, scratch: &mut Scratch, report: &Report) {
        let labels = &context.target.labels;
        self.report.append(report, labels, &mut scratch.batch, &mut scratch.pending);
    }

    /// Commits the batch, keeps the refs of new series and counts what was refused.
    fn commit(&mut self, context: &Context<'_>, scratch: &mut Scratch, counts: &Counts) {
        let committed = match context.appender.commit(&scratch.batch) {
            Ok(committed) => committed,
            Err(error) => {
                tracing::error!(scrape_pool = %context.job.job_name, target = %context.target.url, %error, "Scrape commit failed");
                scratch.batch.clear();
                return;
            }
        };
        self.keep_refs(&scratch.pending, &committed);
        let new = committed.new_refs.iter().flatten().copied();
        let repeated = if scratch.pending.is_empty() { 0 } else { self.cache.mark_repeated(new) };
        Refused::of(&committed, counts, repeated).note(context);
        scratch.ended.clear();
        scratch.ended.extend(unknown_series(&scratch.batch, &committed));
    }

    fn keep_refs(&mut self, pending: &[Pending], committed: &Committed) {
        for (pending, series) in pending.iter().zip(&committed.new_refs) {
            match pending {
                Pending::Line(line) => {
                    let state = series.map_or(LineState::Unaccepted, LineState::Series);
                    self.cache.slot_mut(*line).set_state(state);
                }
                Pending::Report(index) => self.report.set(*index, *series),
            }
        }
    }

    /// Forgets the series that the storage has forgotten; [`Self::commit`] left them in `scratch.ended`.
    fn forget_unknown(&mut self, scratch: &mut Scratch) -> Option<HashSet<SeriesRef>> {
        if scratch.ended.is_empty() {
            return None;
        }
        let unknown: HashSet<SeriesRef> = scratch.ended.drain(..).collect();
        self.cache.forget(&unknown);
        self.report.forget(&unknown);
        Some(unknown)
    }

    /// Sends the samples of series that the storage has forgotten once more, with their labels.
    fn append_again(
        &mut self,
        context: &Context<'_>,
        scratch: &mut Scratch,
        scrape_ms: TimestampMs,
        format: Option<Format>,
        report: &Report,
        unknown: &HashSet<SeriesRef>,
    ) {
        tracing::debug!(target = %context.target.url, series = unknown.len(), "Series are unknown to the storage");
        scratch.batch.clear();
        scratch.pending.clear();
        if let Some(format) = format {
            self.cache.begin_again();
            let (_, read) = self.read(context, scratch, scrape_ms, format, Pass::Forgotten);
            if let Err(error) = read {
                tracing::error!(target = %context.target.url, %error, "Reading a response again failed");
                return;
            }
        }
        self.append_report(context, scratch, report);
        self.commit(context, scratch, &Counts::default());
        scratch.ended.clear();
    }

    /// Ends all series: the target is gone since `at_ms`.
    pub(crate) fn end_series(&mut self, context: &Context<'_>, at_ms: TimestampMs) {
        let mut batch = Batch::default();
        let series = self.cache.tracked().into_iter().chain(self.report.iter());
        batch.ended.extend(series.map(|series| (series, at_ms)));
        if let Err(error) = context.appender.commit(&batch) {
            tracing::error!(target = %context.target.url, %error, "Writing staleness markers failed");
        }
    }
}

fn unknown_series<'a>(batch: &'a Batch, committed: &'a Committed) -> impl Iterator<Item = SeriesRef> + 'a {
    use model::storage::SeriesKey::Known;
    let unknown = committed.rejected.iter().filter(|rejected| rejected.error == AppendError::UnknownSeries);
    unknown.filter_map(|rejected| {
        let key = match rejected.list {
            BatchList::Floats => batch.floats.get(rejected.index)?.series,
            BatchList::Histograms => batch.histograms.get(rejected.index)?.series,
            BatchList::Exemplars => batch.exemplars.get(rejected.index)?.0,
        };
        if let Known(series) = key { Some(series) } else { None }
    })
}

fn count_error(metrics: &Metrics, error: Option<&ScrapeError>) {
    match error {
        Some(ScrapeError::BodySize) => metrics.exceeded_body_size.inc(),
        Some(ScrapeError::SampleLimit) => metrics.exceeded_sample_limit.inc(),
        Some(ScrapeError::LabelLimit(_)) => metrics.exceeded_label_limits.inc(),
        Some(ScrapeError::BucketLimit) => metrics.exceeded_bucket_limit.inc(),
        _ => {}
    }
}

/// Samples of one scrape that weren't stored.
#[derive(Debug, Default)]
struct Refused {
    out_of_order: u64,
    duplicate: u64,
    out_of_bounds: u64,
    exemplars_out_of_order: u64,
    exemplars: u64,
    other: Option<AppendError>,
}

impl Refused {
    fn of(committed: &Committed, counts: &Counts, repeated: usize) -> Self {
        let mut refused = Refused {
            duplicate: counts.repeated + repeated as u64,
            out_of_bounds: counts.out_of_bounds,
            ..Refused::default()
        };
        for rejected in &committed.rejected {
            refused.exemplars += u64::from(rejected.list == BatchList::Exemplars);
            match &rejected.error {
                AppendError::OutOfOrder | AppendError::TooOld => refused.out_of_order += 1,
                // A repeated line's sample was counted as such already.
                AppendError::Duplicate { .. } if repeated == 0 => refused.duplicate += 1,
                AppendError::OutOfBounds => refused.out_of_bounds += 1,
                AppendError::OutOfOrderExemplar => refused.exemplars_out_of_order += 1,
                AppendError::UnknownSeries
                | AppendError::DuplicateExemplar
                | AppendError::ExemplarLabelLength
                | AppendError::Duplicate { .. } => {}
                other => refused.other = Some(other.clone()),
            }
        }
        refused
    }

    /// Counts and logs, once for each kind.
    fn note(&self, context: &Context<'_>) {
        let metrics = context.metrics;
        let kinds = [
            (self.out_of_order, &metrics.samples_out_of_order, "Error on ingesting out-of-order samples"),
            (
                self.duplicate,
                &metrics.samples_duplicate,
                "Error on ingesting samples with different value but same timestamp",
            ),
            (
                self.out_of_bounds,
                &metrics.samples_out_of_bounds,
                "Error on ingesting samples that are too old or are too far into the future",
            ),
            (
                self.exemplars_out_of_order,
                &metrics.exemplars_out_of_order,
                "Error on ingesting out-of-order exemplars",
            ),
        ];
        for (count, counter, text) in kinds {
            if count > 0 {
                counter.inc_by(count);
                tracing::warn!(scrape_pool = %context.job.job_name, target = %context.target.url, num_dropped = count, "{text}");
            }
        }
        if let Some(error) = &self.other {
            tracing::warn!(scrape_pool = %context.job.job_name, target = %context.target.url, %error, "Error on ingesting samples");
        }
    }
}

#[cfg(test)]
mod tests;
