//! History with the results of a replay on top.
//!
//! Series that the replayed rules make may be in the history as well, made by the same rules or by others of
//! the same name. From the beginning of the replay on those of the history are hidden: a series is the
//! history's up to there and the replay's from there on, never a mixture.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use model::cancel::Cancel;
use model::labels::{Labels, METRIC_NAME};
use model::matcher::Matcher;
use model::storage::{
    LabelColumn, Querier, Queryable, SampleColumns, SampleValue, SelectHints, SeriesSet, StorageError,
};
use model::time::TimestampMs;

use crate::alerting::{ALERT_NAME, ALERTS, ALERTS_FOR_STATE};
use crate::file::{GroupConfig, RuleKind};

/// Which series a replay makes.
#[derive(Clone, Debug, Default)]
pub(super) struct Replayed {
    /// Names of recorded metrics.
    records: BTreeSet<String>,
    /// Names of alerts.
    alerts: BTreeSet<String>,
}

impl Replayed {
    /// The series that the rules of these groups make.
    pub(super) fn by<'a>(groups: impl Iterator<Item = &'a GroupConfig>) -> Self {
        let mut replayed = Replayed::default();
        for rule in groups.flat_map(|group| &group.rules) {
            match &rule.kind {
                RuleKind::Recording { record } => replayed.records.insert(record.clone()),
                RuleKind::Alerting { alert, .. } => replayed.alerts.insert(alert.clone()),
            };
        }
        replayed
    }

    /// For each series of a set whether it is one of these; `None` if none is.
    fn among(&self, set: &dyn SeriesSet) -> Option<Vec<bool>> {
        let names = set.label_column(METRIC_NAME);
        let is_record = in_dictionary(&names, |name| self.records.contains(name));
        let shows_alerts = in_dictionary(&names, |name| name == ALERTS || name == ALERTS_FOR_STATE);
        let mut among: Vec<bool> = names.ids.iter().map(|id| is_record[*id as usize]).collect();
        if shows_alerts.contains(&true) {
            let alerts = set.label_column(ALERT_NAME);
            let is_ours = in_dictionary(&alerts, |alert| self.alerts.contains(alert));
            for (series, among) in among.iter_mut().enumerate() {
                *among |= shows_alerts[names.ids[series] as usize] && is_ours[alerts.ids[series] as usize];
            }
        }
        among.contains(&true).then_some(among)
    }
}

/// For each value of a column whether it is wanted.
fn in_dictionary(column: &LabelColumn<'_>, is_wanted: impl Fn(&str) -> bool) -> Vec<bool> {
    column.values.iter().map(|value| is_wanted(value)).collect()
}

/// See the module.
#[derive(Debug)]
pub(super) struct Overlay {
    pub(super) history: Arc<dyn Queryable>,
    pub(super) results: Arc<dyn Queryable>,
    pub(super) replayed: Replayed,
    /// When the results begin.
    pub(super) from_ms: TimestampMs,
}

impl Queryable for Overlay {
    fn querier(&self, mint: TimestampMs, maxt: TimestampMs) -> Result<Box<dyn Querier>, StorageError> {
        Ok(Box::new(OverlayQuerier {
            history: self.history.querier(mint, maxt)?,
            results: self.results.querier(mint, maxt)?,
            replayed: self.replayed.clone(),
            from_ms: self.from_ms,
        }))
    }
}

#[derive(Debug)]
struct OverlayQuerier {
    history: Box<dyn Querier>,
    results: Box<dyn Querier>,
    replayed: Replayed,
    from_ms: TimestampMs,
}

impl OverlayQuerier {
    fn union(
        &self,
        limit: usize,
        of: impl Fn(&dyn Querier) -> Result<Vec<String>, StorageError>,
    ) -> Result<Vec<String>, StorageError> {
        let union: BTreeSet<String> = of(&*self.history)?.into_iter().chain(of(&*self.results)?).collect();
        let limit = if limit == 0 { usize::MAX } else { limit };
        Ok(union.into_iter().take(limit).collect())
    }
}

impl Querier for OverlayQuerier {
    fn select(&self, matchers: &[Matcher], hints: &SelectHints) -> Result<Box<dyn SeriesSet>, StorageError> {
        let history = self.history.select(matchers, hints)?;
        let results = self.results.select(matchers, hints)?;
        match self.replayed.among(&*history) {
            None if results.is_empty() => Ok(history),
            hidden => {
                let hidden = hidden.unwrap_or_else(|| vec![false; history.len()]);
                Ok(Box::new(OverlaySeries::new(history, hidden, results, self.from_ms)))
            }
        }
    }

    fn label_names(
        &self,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        self.union(limit, |querier| querier.label_names(matchers, limit, cancel))
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        self.union(limit, |querier| querier.label_values(name, matchers, limit, cancel))
    }
}

/// A series: its numbers in the history and in the results.
type Parts = (Option<usize>, Option<usize>);

#[derive(Debug)]
struct OverlaySeries {
    history: Box<dyn SeriesSet>,
    results: Box<dyn SeriesSet>,
    series: Vec<Parts>,
    /// For each series of the history whether it ends where the results begin.
    hidden: Vec<bool>,
    from_ms: TimestampMs,
}

impl OverlaySeries {
    fn new(
        history: Box<dyn SeriesSet>,
        hidden: Vec<bool>,
        results: Box<dyn SeriesSet>,
        from_ms: TimestampMs,
    ) -> Self {
        let mut series: Vec<Parts> = (0..history.len()).map(|nth| (Some(nth), None)).collect();
        let made = (0..history.len()).filter(|nth| hidden[*nth]);
        let made: HashMap<Labels, usize> = made.map(|nth| (history.labels(nth), nth)).collect();
        for nth in 0..results.len() {
            match made.get(&results.labels(nth)) {
                Some(in_history) => series[*in_history].1 = Some(nth),
                None => series.push((None, Some(nth))),
            }
        }
        OverlaySeries { history, results, series, hidden, from_ms }
    }

    /// Up to when a series of the history is shown.
    fn history_maxt(&self, nth: usize, maxt: TimestampMs) -> TimestampMs {
        if self.hidden[nth] { maxt.min(self.from_ms - 1) } else { maxt }
    }
}

impl SeriesSet for OverlaySeries {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, series: usize) -> Labels {
        match self.series[series] {
            (Some(nth), _) => self.history.labels(nth),
            (None, Some(nth)) => self.results.labels(nth),
            (None, None) => Labels::empty(),
        }
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        let mut column = self.history.label_column(name);
        let more = self.results.label_column(name);
        let mut ids: HashMap<Cow<'_, str>, u32> = HashMap::with_capacity(column.values.len());
        ids.extend(column.values.iter().cloned().zip(0..));
        let translated: Vec<u32> = more
            .values
            .into_iter()
            .map(|value| {
                *ids.entry(value).or_insert_with_key(|value| {
                    column.values.push(value.clone());
                    column.values.len() as u32 - 1
                })
            })
            .collect();
        let only_results = self.series.iter().filter(|parts| parts.0.is_none()).filter_map(|parts| parts.1);
        column.ids.extend(only_results.map(|nth| translated[more.ids[nth] as usize]));
        column
    }

    fn read(
        &self,
        series: usize,
        mint: TimestampMs,
        maxt: TimestampMs,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        let (in_history, in_results) = self.series[series];
        if let Some(nth) = in_history {
            let maxt = self.history_maxt(nth, maxt);
            if mint <= maxt {
                self.history.read(nth, mint, maxt, out)?;
            }
        }
        if let Some(nth) = in_results {
            self.results.read(nth, mint, maxt, out)?;
            // Rules' results have no start timestamps; what the history has of them is as long as itself.
            for (starts, timestamps) in [
                (&mut out.start_timestamps, &out.timestamps),
                (&mut out.histogram_start_timestamps, &out.histogram_timestamps),
            ] {
                if !starts.is_empty() {
                    starts.resize(timestamps.len(), 0);
                }
            }
        }
        Ok(())
    }

    fn last(
        &self,
        series: usize,
        mint: TimestampMs,
        maxt: TimestampMs,
    ) -> Result<Option<(TimestampMs, SampleValue)>, StorageError> {
        let (in_history, in_results) = self.series[series];
        if let Some(nth) = in_results
            && let Some(last) = self.results.last(nth, mint, maxt)?
        {
            return Ok(Some(last));
        }
        match in_history {
            Some(nth) if mint <= self.history_maxt(nth, maxt) => {
                self.history.last(nth, mint, self.history_maxt(nth, maxt))
            }
            _ => Ok(None),
        }
    }
}
