//! The local storage and those that are read from (`remote_read`), as one.
//!
//! The local storage has to answer. Of the others, one that doesn't is a warning that goes with the result. All
//! are asked when series are selected; label names and values are the local ones, as in the reference.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use model::cancel::Cancel;
use model::labels::Labels;
use model::matcher::Matcher;
use model::storage::{
    LabelColumn, Querier, Queryable, SampleColumns, SampleValue, SelectHints, Selection, SeriesSet,
    StorageError,
};
use model::time::TimestampMs;
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::Chunk;
use super::answer::{Data, RemoteSeries};
use super::client::{ClientConfig, Metrics, Source};

/// How often a query that waits for others looks whether it is still wanted.
const CANCEL_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Reads chunks.
pub trait ChunkDecoder: Debug + Send + Sync {
    /// Appends the samples of a chunk in `[mint, maxt]`, both inclusive.
    ///
    /// # Errors
    ///
    /// The bytes are no chunk, in a sentence; the columns are as before then.
    fn decode(
        &self,
        chunk: &Chunk,
        range: (TimestampMs, TimestampMs),
        out: &mut SampleColumns,
    ) -> Result<(), String>;
}

/// Knows from when on the local storage has everything.
pub trait LocalStart: Debug + Send + Sync {
    /// The time; [`TimestampMs::MAX`] while it has nothing.
    fn local_start_ms(&self) -> TimestampMs;
}

/// What a merged storage is made of.
#[derive(Debug)]
pub struct MergedParts {
    /// The local storage.
    pub local: Arc<dyn Queryable>,
    /// See [`LocalStart`].
    pub start: Arc<dyn LocalStart>,
    /// What makes samples of chunks.
    pub chunks: Arc<dyn ChunkDecoder>,
    /// Where requests run; queries mustn't run on its threads.
    pub runtime: Handle,
    /// The header `User-Agent`.
    pub user_agent: String,
}

/// See the module.
#[derive(Debug)]
pub struct Merged {
    parts: Arc<MergedParts>,
    metrics: Metrics,
    sources: ArcSwap<Vec<Arc<Source>>>,
}

impl Merged {
    /// A storage that reads from nobody but the local one yet.
    ///
    /// # Errors
    ///
    /// Its metrics are registered already.
    pub fn new(parts: MergedParts, registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Metrics::new(registry)?;
        Ok(Merged { parts: Arc::new(parts), metrics, sources: ArcSwap::default() })
    }

    /// Takes a configuration, for queries from then on.
    ///
    /// # Errors
    ///
    /// Those that can't be read from, in a sentence; the others are.
    pub fn apply(&self, configs: Vec<ClientConfig>) -> Result<(), String> {
        let before = self.sources.load_full();
        let (mut sources, mut failed) = (Vec::new(), Vec::new());
        for config in configs {
            if let Some(source) = before.iter().find(|source| source.config == config) {
                sources.push(Arc::clone(source));
                continue;
            }
            let name = config.name.clone();
            match Source::new(config, &self.parts.user_agent, &self.metrics) {
                Ok(source) => sources.push(Arc::new(source)),
                Err(error) => failed.push(format!("remote read {name:?}: {error}")),
            }
        }
        self.sources.store(Arc::new(sources));
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }
}

impl Queryable for Merged {
    fn querier(&self, mint: TimestampMs, maxt: TimestampMs) -> Result<Box<dyn Querier>, StorageError> {
        let local = self.parts.local.querier(mint, maxt)?;
        let sources = self.sources.load_full();
        if sources.is_empty() {
            return Ok(local);
        }
        Ok(Box::new(MergedQuerier { local, sources, parts: Arc::clone(&self.parts) }))
    }
}

#[derive(Debug)]
struct MergedQuerier {
    local: Box<dyn Querier>,
    sources: Arc<Vec<Arc<Source>>>,
    parts: Arc<MergedParts>,
}

impl Querier for MergedQuerier {
    fn select(&self, matchers: &[Matcher], hints: &SelectHints) -> Result<Box<dyn SeriesSet>, StorageError> {
        let local = self.local.select(matchers, hints)?;
        let mut sets = self.merge(&[Selection { matchers, hints: hints.clone() }], vec![local])?;
        sets.pop().ok_or(StorageError::NotReady)
    }

    fn select_all(&self, selections: &[Selection<'_>]) -> Result<Vec<Box<dyn SeriesSet>>, StorageError> {
        self.merge(selections, self.local.select_all(selections)?)
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        self.local.label_names(matchers, limit, cancel)
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        self.local.label_values(name, matchers, limit, cancel)
    }
}

/// What a source answered to one of the selections.
type Answered = (usize, Result<Vec<RemoteSeries>, String>);

impl MergedQuerier {
    /// Asks everybody about all selections at once, and adds the answers to the local sets.
    fn merge(
        &self,
        selections: &[Selection<'_>],
        local: Vec<Box<dyn SeriesSet>>,
    ) -> Result<Vec<Box<dyn SeriesSet>>, StorageError> {
        let local_start_ms = self.parts.start.local_start_ms();
        let mut asked = JoinSet::new();
        for source in self.sources.iter() {
            for (index, selection) in selections.iter().enumerate() {
                let range = (selection.hints.mint, selection.hints.maxt);
                let Some(question) = source.question(selection.matchers, range, local_start_ms) else {
                    continue;
                };
                let source = Arc::clone(source);
                let ask = async move { (index, source.ask(&question).await) };
                asked.spawn_on(ask, &self.parts.runtime);
            }
        }
        let Some(cancel) = selections.first().map(|selection| selection.hints.cancel.clone()) else {
            return Ok(local);
        };
        let mut answers: Vec<Vec<_>> = selections.iter().map(|_| Vec::new()).collect();
        for (index, answer) in self.parts.runtime.block_on(wait(asked, &cancel))? {
            answers[index].push(answer);
        }
        let sets = local.into_iter().zip(answers);
        Ok(sets.map(|(set, answers)| self.merged(set, answers)).collect())
    }

    fn merged(
        &self,
        local: Box<dyn SeriesSet>,
        answers: Vec<Result<Vec<RemoteSeries>, String>>,
    ) -> Box<dyn SeriesSet> {
        if answers.is_empty() {
            return local;
        }
        let (mut remote, mut warnings) = (Vec::new(), local.warnings());
        for answer in answers {
            match answer {
                Ok(series) => remote.extend(series),
                Err(warning) => {
                    tracing::warn!(err = warning, "reading from another server failed");
                    warnings.push(warning);
                }
            }
        }
        let mut members: BTreeMap<Labels, Member> = BTreeMap::new();
        for index in 0..local.len() {
            members.entry(local.labels(index)).or_default().local = Some(index);
        }
        for (index, series) in remote.iter().enumerate() {
            members.entry(series.labels.clone()).or_default().remote.push(index);
        }
        let members = members.into_iter().collect();
        Box::new(MergedSet { local, remote, members, warnings, chunks: Arc::clone(&self.parts.chunks) })
    }
}

/// Waits for all answers.
async fn wait(mut asked: JoinSet<Answered>, cancel: &Cancel) -> Result<Vec<Answered>, StorageError> {
    let mut answers = Vec::new();
    let mut glance = tokio::time::interval(CANCEL_CHECK_INTERVAL);
    loop {
        tokio::select! {
            answer = asked.join_next() => match answer {
                Some(Ok(answer)) => answers.push(answer),
                // The panic hook has told what happened.
                Some(Err(_)) => return Err(StorageError::Limit("reading from another server failed".to_owned())),
                None => return Ok(answers),
            },
            _ = glance.tick() => if cancel.is_cancelled() {
                return Err(StorageError::Cancelled);
            },
        }
    }
}

/// Where a series is.
#[derive(Debug, Default)]
struct Member {
    local: Option<usize>,
    remote: Vec<usize>,
}

#[derive(Debug)]
struct MergedSet {
    local: Box<dyn SeriesSet>,
    remote: Vec<RemoteSeries>,
    /// In the order of labels.
    members: Vec<(Labels, Member)>,
    warnings: Vec<String>,
    chunks: Arc<dyn ChunkDecoder>,
}

impl SeriesSet for MergedSet {
    fn len(&self) -> usize {
        self.members.len()
    }

    fn labels(&self, series: usize) -> Labels {
        self.members[series].0.clone()
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        let mut column = LabelColumn { values: vec!["".into()], ids: Vec::new() };
        let mut ids = BTreeMap::from([("", 0)]);
        for (labels, _) in &self.members {
            let value = labels.value(name);
            let id = *ids.entry(value).or_insert_with(|| {
                column.values.push(value.into());
                column.values.len() as u32 - 1
            });
            column.ids.push(id);
        }
        column
    }

    fn read(
        &self,
        series: usize,
        mint: TimestampMs,
        maxt: TimestampMs,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        let member = &self.members[series].1;
        if let (Some(local), []) = (member.local, &*member.remote) {
            return self.local.read(local, mint, maxt, out);
        }
        let mut merged = SampleColumns::default();
        if let Some(local) = member.local {
            self.local.read(local, mint, maxt, &mut merged)?;
        }
        for remote in &member.remote {
            self.add_remote(&self.remote[*remote], (mint, maxt), &mut merged)?;
        }
        append(out, merged);
        Ok(())
    }

    fn last(
        &self,
        series: usize,
        mint: TimestampMs,
        maxt: TimestampMs,
    ) -> Result<Option<(TimestampMs, SampleValue)>, StorageError> {
        let member = &self.members[series].1;
        if let (Some(local), []) = (member.local, &*member.remote) {
            return self.local.last(local, mint, maxt);
        }
        let mut columns = SampleColumns::default();
        self.read(series, mint, maxt, &mut columns)?;
        let float = columns.timestamps.last().zip(columns.values.last());
        let histogram = columns.histogram_timestamps.last().zip(columns.histograms.last());
        Ok(match (float, histogram) {
            (Some((at, value)), histogram) if histogram.is_none_or(|(t, _)| t < at) => {
                Some((*at, SampleValue::Float(*value)))
            }
            (_, Some((at, value))) => Some((*at, SampleValue::Histogram(Arc::clone(value)))),
            (_, None) => None,
        })
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}

impl MergedSet {
    /// Adds the samples of a series that came from elsewhere; where both have one, the first counts.
    fn add_remote(
        &self,
        series: &RemoteSeries,
        (mint, maxt): (TimestampMs, TimestampMs),
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        match &series.data {
            Data::Samples(columns) => merge(out, within(columns, mint, maxt)),
            Data::Chunks(chunks) => {
                for chunk in chunks.iter().filter(|chunk| chunk.mint <= maxt && chunk.maxt >= mint) {
                    let mut columns = SampleColumns::default();
                    self.chunks.decode(chunk, (mint, maxt), &mut columns).map_err(|what| {
                        StorageError::Limit(format!("remote_read: chunk of series {}: {what}", series.labels))
                    })?;
                    merge(out, columns);
                }
            }
        }
        Ok(())
    }
}

fn within(columns: &SampleColumns, mint: TimestampMs, maxt: TimestampMs) -> SampleColumns {
    let range = |timestamps: &[TimestampMs]| {
        timestamps.partition_point(|t| *t < mint)..timestamps.partition_point(|t| *t <= maxt)
    };
    let (floats, histograms) = (range(&columns.timestamps), range(&columns.histogram_timestamps));
    SampleColumns {
        timestamps: columns.timestamps[floats.clone()].to_vec(),
        values: columns.values[floats].to_vec(),
        histogram_timestamps: columns.histogram_timestamps[histograms.clone()].to_vec(),
        histograms: columns.histograms[histograms].to_vec(),
        ..SampleColumns::default()
    }
}

/// Merges samples in order of time into others. Start timestamps, which aren't sent, are dropped.
fn merge(into: &mut SampleColumns, more: SampleColumns) {
    into.start_timestamps.clear();
    into.histogram_start_timestamps.clear();
    merge_column(&mut into.timestamps, &mut into.values, more.timestamps, more.values);
    let histograms = (more.histogram_timestamps, more.histograms);
    merge_column(&mut into.histogram_timestamps, &mut into.histograms, histograms.0, histograms.1);
}

fn merge_column<V>(
    timestamps: &mut Vec<TimestampMs>,
    values: &mut Vec<V>,
    more_timestamps: Vec<TimestampMs>,
    more_values: Vec<V>,
) {
    let is_behind = timestamps.last().is_none_or(|last| more_timestamps.first().is_none_or(|t| last < t));
    if is_behind && more_timestamps.is_sorted_by(|a, b| a < b) {
        timestamps.extend(more_timestamps);
        values.extend(more_values);
        return;
    }
    let mut first = std::mem::take(timestamps).into_iter().zip(std::mem::take(values)).peekable();
    let mut second = more_timestamps.into_iter().zip(more_values).peekable();
    loop {
        let next = match (first.peek(), second.peek()) {
            (Some((a, _)), Some((b, _))) if b < a => second.next(),
            (None, _) => second.next(),
            (Some(_), _) => first.next(),
        };
        let Some((at, value)) = next else { return };
        if timestamps.last().is_none_or(|last| *last < at) {
            timestamps.push(at);
            values.push(value);
        }
    }
}

/// Appends samples that are all behind those that are there.
fn append(out: &mut SampleColumns, more: SampleColumns) {
    if out.is_empty() {
        *out = more;
        return;
    }
    // Start timestamps are there for all samples or for none.
    out.start_timestamps.clear();
    out.histogram_start_timestamps.clear();
    out.timestamps.extend(more.timestamps);
    out.values.extend(more.values);
    out.histogram_timestamps.extend(more.histogram_timestamps);
    out.histograms.extend(more.histograms);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(samples: &[(TimestampMs, f64)]) -> SampleColumns {
        SampleColumns {
            timestamps: samples.iter().map(|(t, _)| *t).collect(),
            values: samples.iter().map(|(_, v)| *v).collect(),
            ..SampleColumns::default()
        }
    }

    #[test]
    fn samples_are_merged_in_order_and_the_first_of_two_counts() {
        for (first, second, merged) in [
            (&[][..], &[(1, 1.0)][..], &[(1, 1.0)][..]),
            (&[(1, 1.0)], &[(2, 2.0)], &[(1, 1.0), (2, 2.0)]),
            (
                &[(2, 2.0), (4, 4.0)],
                &[(1, 1.0), (2, 9.0), (3, 3.0)],
                &[(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)],
            ),
            // Not even chunks in disorder are let through.
            (&[(5, 5.0)], &[(3, 3.0), (2, 2.0)], &[(3, 3.0), (5, 5.0)]),
        ] {
            let mut columns = floats(first);
            merge(&mut columns, floats(second));
            assert_eq!(columns, floats(merged));
        }
    }

    #[test]
    fn samples_outside_of_the_range_are_left_out() {
        let columns = floats(&[(1, 1.0), (2, 2.0), (3, 3.0)]);
        assert_eq!(within(&columns, 2, 2), floats(&[(2, 2.0)]));
        assert_eq!(within(&columns, 4, 9), floats(&[]));
    }
}
