//! Rules replayed over stored history: when would each alert have been pending, firing and resolved?
//!
//! All groups are evaluated at their slots in a range of time, in the order of the slots, by the code that
//! evaluates them in a server. What rules store goes to a storage of the replay's own, which the rules after
//! them see on top of the history (`overlay`). An alert whose element is there at the first slot already
//! counts from that slot on.

mod overlay;
mod recorder;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::cancel::Cancel;
use model::labels::Labels;
use model::storage::{Appender, Queryable};
use model::time::{Clock, ManualClock, TimestampMs};
use prometheus::Registry;
use promql::engine::Engine;

use self::overlay::{Overlay, Replayed};
use self::recorder::Recorder;
use crate::file::GroupConfig;
use crate::group::{Group, Iteration, Sources, slot_before};
use crate::metrics::Metrics;
use crate::template::Environment;

/// How many alerts a replay may give: some hundred megabytes. More are of no use to a reader.
pub const EPISODES_MAX: usize = 500_000;

/// What is replayed, and how.
#[derive(Debug)]
pub struct BacktestOptions {
    /// Answers the expressions.
    pub engine: Arc<Engine>,
    /// The history; it is only read.
    pub history: Arc<dyn Queryable>,
    /// An empty storage for what rules store.
    pub results: Arc<dyn Queryable>,
    /// The way into it.
    pub appender: Arc<dyn Appender>,
    /// The time of the first slot, at the earliest.
    pub from_ms: TimestampMs,
    /// The time of the last slot, at the latest.
    pub to_ms: TimestampMs,
    /// The interval of groups that name none.
    pub evaluation_interval_ms: i64,
    /// The offset of groups that name none.
    pub query_offset_ms: i64,
    /// What templates see.
    pub environment: Environment,
}

/// Why a replay gave up.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// See [`EPISODES_MAX`].
    #[error("more than {EPISODES_MAX} alerts: replay a shorter time, or fewer rules")]
    TooManyAlerts,
    /// What evaluations are counted with can't be made.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// An alert from the slot that its element came at to the one that it ended at.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// The rule's group.
    pub group: String,
    /// The alert's labels, its name among them.
    pub labels: Labels,
    /// Its annotations, as they were last.
    pub annotations: BTreeMap<String, String>,
    /// Since when its element was there.
    pub pending_at_ms: TimestampMs,
    /// Since when it fired; `None` if it never did.
    pub firing_at_ms: Option<TimestampMs>,
    /// When it was resolved, or its element went before it fired; `None` if it went on at the last slot.
    pub ended_at_ms: Option<TimestampMs>,
}

/// A rule that couldn't be evaluated at some slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The rule's group.
    pub group: String,
    /// The rule's name.
    pub rule: String,
    /// At how many slots.
    pub slots: usize,
    /// What was wrong at the first of them.
    pub first_error: String,
}

/// What a replay gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replay {
    /// Sorted by the time that they began at.
    pub episodes: Vec<Episode>,
    /// In order of the groups and their rules.
    pub failures: Vec<Failure>,
}

/// A replay that is about to run.
#[derive(Debug)]
pub struct Backtest {
    options: BacktestOptions,
    groups: Vec<Group>,
    replayed: Replayed,
}

impl Backtest {
    /// A replay of the groups of files.
    pub fn new(options: BacktestOptions, files: &[(PathBuf, Vec<GroupConfig>)]) -> Self {
        let groups = files.iter().flat_map(|(file, groups)| groups.iter().map(move |group| (file, group)));
        let replayed = Replayed::by(files.iter().flat_map(|(_, groups)| groups));
        let groups = groups.map(|(file, config)| {
            let interval_ms =
                config.interval.map_or(options.evaluation_interval_ms, |interval| interval.as_millis());
            let offset_ms = config.query_offset.map_or(options.query_offset_ms, |offset| offset.as_millis());
            // Alerts that wait for the state of before a restart store no series: here it never comes.
            Group::new(&file.to_string_lossy(), config.clone(), interval_ms, offset_ms, true)
        });
        Backtest { groups: groups.collect(), replayed, options }
    }

    /// How many slots all groups together have in the range.
    pub fn slots(&self) -> u64 {
        let slots = |group: &Group| {
            let first_ms = self.first_slot_ms(group);
            if first_ms > self.options.to_ms {
                0
            } else {
                (self.options.to_ms - first_ms) / group.interval_ms() + 1
            }
        };
        self.groups.iter().map(|group| slots(group).unsigned_abs()).sum()
    }

    /// Replays the rules; `evaluated` is called after each slot of a group.
    ///
    /// # Errors
    ///
    /// See [`BacktestError`]. Rules that can't be evaluated are no error of the replay.
    pub fn run(self, cancel: &Cancel, mut evaluated: impl FnMut()) -> Result<Replay, BacktestError> {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(self.options.from_ms));
        let metrics = Metrics::new(&Registry::new(), &clock)?;
        let first_ms = self.groups.iter().map(|group| self.first_slot_ms(group));
        let mut next: BinaryHeap<_> =
            first_ms.enumerate().map(|(index, at_ms)| Reverse((at_ms, index))).collect();
        let mut recorders: Vec<Recorder<'_>> = self.groups.iter().map(Recorder::new).collect();
        let sources = self.sources();
        while let Some(Reverse((at_ms, index))) = next.pop().filter(|next| next.0.0 <= self.options.to_ms) {
            if cancel.is_cancelled() {
                return Err(BacktestError::Cancelled);
            }
            let group = &self.groups[index];
            let iteration = Iteration {
                at_ms,
                sources: &sources,
                environment: &self.options.environment,
                metrics: &metrics,
                permits: None,
            };
            group.evaluate(&iteration, 0);
            recorders[index].look(at_ms);
            if recorders.iter().map(Recorder::episodes).sum::<usize>() > EPISODES_MAX {
                return Err(BacktestError::TooManyAlerts);
            }
            evaluated();
            next.push(Reverse((at_ms + group.interval_ms(), index)));
        }
        let mut replay = Replay::default();
        for recorder in recorders {
            recorder.finish(&mut replay);
        }
        replay.episodes.sort_by(|a, b| (a.pending_at_ms, &a.labels).cmp(&(b.pending_at_ms, &b.labels)));
        Ok(replay)
    }

    fn sources(&self) -> Sources {
        let overlay = Overlay {
            history: Arc::clone(&self.options.history),
            results: Arc::clone(&self.options.results),
            replayed: self.replayed.clone(),
            from_ms: self.first_result_ms(),
        };
        Sources {
            engine: Arc::clone(&self.options.engine),
            storage: Arc::new(overlay),
            appender: Arc::clone(&self.options.appender),
        }
    }

    /// The time of the first sample that a rule may store.
    fn first_result_ms(&self) -> TimestampMs {
        let offset_ms = self.groups.iter().map(Group::offset_ms).max().unwrap_or(0).max(0);
        self.options.from_ms - offset_ms
    }

    fn first_slot_ms(&self, group: &Group) -> TimestampMs {
        let interval_ms = group.interval_ms();
        let file = Path::new(group.file());
        slot_before(group.name(), file, interval_ms, self.options.from_ms - 1) + interval_ms
    }
}

#[cfg(test)]
mod tests;
