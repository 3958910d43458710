//! One response into one batch.

use std::sync::Arc;

use model::exemplar::Exemplar;
use model::labels::Labels;
use model::metadata::{MetricFamily, MetricType};
use model::storage::{Batch, FloatSample, SeriesKey};
use model::time::TimestampMs;

use crate::cache::{LineCache, LineId, LineState, Slot};
use crate::classic::Gathering;
use crate::error::ScrapeError;
use crate::metadata::MetadataCache;
use crate::parse::{Entry, Lines, RawExemplar, RawLabels, Sample};
use crate::sample_labels::SampleLabels;
use crate::target::HistogramPolicy;

/// How far a sample may be ahead of the clock before it is dropped, as in the reference.
const FUTURE_MS_MAX: i64 = 10 * 60 * 1000;

/// What a scrape saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Samples in the response.
    pub(crate) scraped: u64,
    /// Samples that relabelling left.
    pub(crate) kept: u64,
    /// Samples handed to the storage.
    appended: u64,
    /// Series that weren't there the last time.
    pub(crate) series_added: u64,
    /// Samples of a series that has one in this scrape already.
    pub(crate) repeated: u64,
    /// Samples too far in the future.
    pub(crate) out_of_bounds: u64,
}

/// Who waits for the ref of a new series of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    /// A line of the cache.
    Line(LineId),
    /// One of the series that report on the scrape.
    Report(usize),
}

/// Which lines a pass over the response takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// All.
    First,
    /// Those whose series the storage turned out not to know any more.
    Forgotten,
}

/// Takes a response apart into a batch, with the target's memory of the last one.
pub(crate) struct Ingest<'a> {
    pub(crate) cache: &'a mut LineCache,
    pub(crate) metadata: &'a mut MetadataCache,
    pub(crate) recipe: SampleLabels<'a>,
    pub(crate) batch: &'a mut Batch,
    pub(crate) pending: &'a mut Vec<Pending>,
    pub(crate) scrape_ms: TimestampMs,
    pub(crate) pass: Pass,
    pub(crate) counts: Counts,
    /// The family that the last line of metadata spoke of, and whether it said something new.
    pub(crate) family: Option<(u32, bool)>,
    /// The family that went into the batch last, by its number: series of a family follow each other.
    pub(crate) shared: Option<(u32, Arc<MetricFamily>)>,
    /// Which histograms are taken.
    pub(crate) histograms: HistogramPolicy,
    /// The classic histogram whose lines are being gathered.
    pub(crate) gathering: Option<Gathering>,
    /// A buffer for keys of samples that aren't lines.
    pub(crate) key: Vec<u8>,
}

impl Ingest<'_> {
    /// Reads a text format to its end.
    pub(crate) fn read_lines<'b>(&mut self, mut parser: impl Lines<'b>) -> Result<(), ScrapeError> {
        loop {
            if self.known_line(&mut parser) {
                continue;
            }
            let before = parser.rest();
            match parser.next_entry()? {
                None => break,
                Some(Entry::Sample(sample)) => self.sample(&parser, sample)?,
                Some(entry) => {
                    self.finish_gathering()?;
                    let line = &before[..before.len() - parser.rest().len()];
                    self.metadata_line(line, &entry);
                }
            }
        }
        self.finish_gathering()?;
        self.check_sample_limit()
    }

    /// More samples than the limit fail the scrape, but only at its end: all of them are counted.
    pub(crate) fn check_sample_limit(&self) -> Result<(), ScrapeError> {
        if self.exceeds_sample_limit() { Err(ScrapeError::SampleLimit) } else { Ok(()) }
    }

    fn exceeds_sample_limit(&self) -> bool {
        let limit = self.recipe.job.sample_limit;
        limit > 0 && self.counts.appended > limit
    }

    /// Takes the next line if it is the one that stood here the last time.
    #[inline]
    fn known_line<'b>(&mut self, parser: &mut impl Lines<'b>) -> bool {
        if self.converts(parser.metric_type()) {
            return false;
        }
        let Some(slot) = self.cache.expected_at(parser.rest()) else { return false };
        match slot.state() {
            LineState::Unaccepted => return false,
            LineState::Series(_) | LineState::Dropped => {
                let Some(sample) = parser.sample_after(slot.len()) else { return false };
                let line = self.cache.advance();
                let (value, at) = (sample.value, sample.timestamp_ms);
                self.known_sample(line, &slot, at, |ingest, line, key| {
                    ingest.append_float(line, key, value, at, None)
                });
            }
            LineState::Comment => {
                parser.skip_known(slot.len(), None);
                self.cache.advance();
            }
            LineState::Family(id, sets_type) => {
                let metric_type = self.metadata.touch(id);
                self.enter_family(id, false);
                parser.skip_known(slot.len(), sets_type.then_some(metric_type));
                self.cache.advance();
            }
        }
        true
    }

    /// A sample that isn't the line that was expected, or isn't a plain one.
    fn sample<'b>(&mut self, parser: &impl Lines<'b>, sample: Sample<'b>) -> Result<(), ScrapeError> {
        let exemplar = parser.exemplar();
        if self.converts(parser.metric_type()) {
            let at = sample.timestamp_ms;
            let is_part = self.gather(&parser.labels(), sample.value, at, exemplar.clone())?;
            if is_part && !self.histograms.always_classic {
                return Ok(());
            }
        } else {
            self.finish_gathering()?;
        }
        let line = self.place(sample.series);
        self.take(
            line,
            sample.timestamp_ms,
            || parser.labels(),
            |ingest, line, key| ingest.append_float(line, key, sample.value, sample.timestamp_ms, exemplar),
        )
    }

    /// Whether lines of this type are gathered and converted.
    fn converts(&self, metric_type: MetricType) -> bool {
        self.histograms.convert_classic && metric_type == MetricType::Histogram
    }

    /// The place of a line in the cache, by its bytes or whatever else stands for it.
    pub(crate) fn place(&mut self, key: &[u8]) -> LineId {
        let hash = self.cache.hash(key);
        match self.cache.locate(hash, key.len()) {
            Some(line) => line,
            None => self.cache.insert(Slot::new(hash, key.len(), LineState::Unaccepted)),
        }
    }

    /// Takes a sample whose line may or may not be known. Its labels are asked for only if it isn't.
    pub(crate) fn take<'b>(
        &mut self,
        line: LineId,
        exposed_ms: Option<TimestampMs>,
        labels: impl FnOnce() -> RawLabels<'b>,
        append: impl FnOnce(&mut Self, LineId, SeriesKey) -> bool,
    ) -> Result<(), ScrapeError> {
        let slot = *self.cache.slot_mut(line);
        if slot.state() != LineState::Unaccepted {
            self.known_sample(line, &slot, exposed_ms, append);
            return Ok(());
        }
        self.counts.scraped += u64::from(self.pass == Pass::First);
        match self.recipe.resolve(&labels())? {
            Some(labels) => self.new_series(line, labels, |ingest, key| append(ingest, line, key)),
            None => self.cache.slot_mut(line).set_state(LineState::Dropped),
        }
        Ok(())
    }

    /// Gives a line the series of these labels, if its sample is one to append.
    pub(crate) fn new_series(
        &mut self,
        line: LineId,
        labels: Labels,
        append: impl FnOnce(&mut Self, SeriesKey) -> bool,
    ) {
        self.counts.kept += u64::from(self.pass == Pass::First);
        let family = self.family_of(labels.metric_name());
        let key = SeriesKey::New(self.batch.new_series.len() as u32);
        if !append(self, key) {
            return;
        }
        self.batch.add_series(labels);
        self.pending.push(Pending::Line(line));
        self.counts.series_added += u64::from(self.pass == Pass::First);
        if let Some(family) = family {
            self.batch.metadata.push((key, family));
        }
    }

    #[inline]
    fn known_sample(
        &mut self,
        line: LineId,
        slot: &Slot,
        exposed_ms: Option<TimestampMs>,
        append: impl FnOnce(&mut Self, LineId, SeriesKey) -> bool,
    ) {
        if self.pass == Pass::Forgotten {
            return;
        }
        self.counts.scraped += 1;
        let LineState::Series(series) = slot.state() else { return };
        self.counts.kept += 1;
        let explicit = self.recipe.job.honor_timestamps && exposed_ms.is_some();
        if slot.is_repeated() && !explicit {
            self.counts.repeated += 1;
            self.cache.track(line, false);
            return;
        }
        let key = SeriesKey::Known(series);
        if append(self, line, key) {
            self.renew_metadata(key);
        }
    }

    /// Sends metadata of a known series again if its family has just said something new.
    fn renew_metadata(&mut self, key: SeriesKey) {
        if let Some((id, true)) = self.family
            && let Some(family) = self.share(id)
        {
            self.batch.metadata.push((key, family));
        }
    }

    #[inline]
    pub(crate) fn append_float(
        &mut self,
        line: LineId,
        series: SeriesKey,
        value: f64,
        exposed_ms: Option<TimestampMs>,
        exemplar: Option<RawExemplar<'_>>,
    ) -> bool {
        let Some(timestamp_ms) = self.admit(line, exposed_ms) else { return false };
        self.batch.floats.push(FloatSample { series, timestamp_ms, value });
        if let Some(exemplar) = exemplar {
            self.append_exemplar(series, exemplar, timestamp_ms);
        }
        true
    }

    /// Decides whether a sample is appended, at which time, and whether its series ends with its line.
    #[inline]
    pub(crate) fn admit(&mut self, line: LineId, exposed_ms: Option<TimestampMs>) -> Option<TimestampMs> {
        let exposed_ms = exposed_ms.filter(|_| self.recipe.job.honor_timestamps);
        let timestamp_ms = exposed_ms.unwrap_or(self.scrape_ms);
        self.cache.track(line, false);
        if timestamp_ms > self.scrape_ms.saturating_add(FUTURE_MS_MAX) {
            self.counts.out_of_bounds += 1;
            return None;
        }
        self.counts.appended += 1;
        if self.exceeds_sample_limit() {
            return None;
        }
        self.cache.track(line, exposed_ms.is_none() || self.recipe.job.track_timestamps_staleness);
        Some(timestamp_ms)
    }

    /// Adds an exemplar of a sample; without a time of its own it has the sample's.
    pub(crate) fn append_exemplar(
        &mut self,
        series: SeriesKey,
        exemplar: RawExemplar<'_>,
        sample_ms: TimestampMs,
    ) {
        let exemplar = Exemplar {
            labels: Labels::from_pairs(exemplar.labels),
            value: exemplar.value,
            timestamp_ms: Some(exemplar.timestamp_ms.unwrap_or(sample_ms)),
        };
        self.batch.exemplars.push((series, exemplar));
    }

    fn metadata_line(&mut self, line: &[u8], entry: &Entry<'_>) {
        let state = self.metadata_entry(entry);
        let hash = self.cache.hash(line);
        match self.cache.locate(hash, line.len()) {
            Some(known) => self.cache.slot_mut(known).set_state(state),
            None => drop(self.cache.insert(Slot::new(hash, line.len(), state))),
        }
    }

    /// Notes what an entry says of its family.
    pub(crate) fn metadata_entry(&mut self, entry: &Entry<'_>) -> LineState {
        let ((id, changed), sets_type) = match entry {
            Entry::Help { family, help } => {
                (self.metadata.update(family, |m| help.as_ref().clone_into(&mut m.help)), false)
            }
            Entry::Unit { family, unit } => {
                (self.metadata.update(family, |m| unit.as_ref().clone_into(&mut m.unit)), false)
            }
            Entry::Type { family, metric_type } => {
                (self.metadata.update(family, |m| m.metric_type = *metric_type), true)
            }
            Entry::Comment | Entry::Sample(_) => return LineState::Comment,
        };
        if changed {
            self.shared = None;
        }
        self.enter_family(id, changed);
        LineState::Family(id, sets_type)
    }

    fn enter_family(&mut self, id: u32, changed: bool) {
        let changed_before = matches!(self.family, Some((last, true)) if last == id);
        self.family = Some((id, changed || changed_before));
    }

    /// The family that a metric of this name belongs to.
    fn family_of(&mut self, metric: &str) -> Option<Arc<MetricFamily>> {
        const SUFFIXES: [&str; 7] = ["_total", "_bucket", "_sum", "_count", "_gsum", "_gcount", "_info"];
        let id = self.metadata.find(metric).or_else(|| {
            let stem = SUFFIXES.iter().find_map(|suffix| metric.strip_suffix(suffix))?;
            self.metadata.find(stem)
        })?;
        self.share(id)
    }

    /// The family with this number for the batch, if anything is known of it.
    fn share(&mut self, id: u32) -> Option<Arc<MetricFamily>> {
        if let Some((last, family)) = &self.shared
            && *last == id
        {
            return Some(Arc::clone(family));
        }
        let (name, metadata) = self.metadata.by_id(id)?;
        if metadata.metric_type == MetricType::Unknown && metadata.help.is_empty() {
            return None;
        }
        let family = Arc::new(MetricFamily { name: name.to_owned(), metadata: metadata.clone() });
        self.shared = Some((id, Arc::clone(&family)));
        Some(family)
    }
}
